package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The symptoms, each named like the issue type that it calls for.
const (
	SymptomFirewall   = "firewall"
	SymptomNodeConfig = "nodeconfig"
	SymptomFilesystem = "filesystem"
	SymptomDNSError   = "dnserror"
	SymptomNodeFact   = "nodefact" // which no look shows: it comes of the rules of the configuration
)

// Symptom is something wrong with a node that a look shows and that no status tells of.
type Symptom struct {
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
	// Stale says that what showed it is not known any more: it opens nothing, and it ends nothing.
	Stale bool `json:"stale,omitempty"`
}

// NodeFacts are what is known of a node after a look.
type NodeFacts struct {
	Host, Site string
	BootState  string // in PLC
	Record     NodeRecord
	Finding    Finding
	HasPCU     bool
	Symptoms   map[string]Symptom // by the type of issue each is
}

// writable are the places that a node must be able to write: its root, its logs, and where slices live.
var writable = []string{"/", "/var/log", "/vservers"}

// Symptoms names what a look shows besides whether the node runs: its firewall, its locks, its disks, its name. Since
// is the time of the look, unless the symptom was there at the look before.
func Symptoms(l NodeLook, f Finding, before map[string]Symptom, at time.Time) map[string]Symptom {
	now := map[string]Symptom{}
	see := func(typ, format string, a ...any) {
		t := Symptom{Since: at, Reason: fmt.Sprintf(format, a...)}
		if was, seen := before[typ]; seen {
			t.Since = was.Since
		}
		now[typ] = t
	}
	if f.Firewall {
		see(SymptomFirewall, "%s", f.Reason)
	}
	if f.Locked {
		see(SymptomNodeConfig, "%s", f.Reason)
	}
	stuck := slices.DeleteFunc(slices.Clone(l.ReadOnly), func(m string) bool { return !slices.Contains(writable, m) })
	if len(stuck) > 0 {
		see(SymptomFilesystem, "mounted read-only: %s", strings.Join(stuck, ", "))
	}
	switch {
	case l.Name == NameMissing:
		see(SymptomDNSError, "its name does not resolve")
	case l.Name == NameMismatch:
		see(SymptomDNSError, "its name does not resolve to the address that it is registered with")
	case l.SSH && l.Resolves == ResolvesNot:
		see(SymptomDNSError, "it cannot resolve its boot server %s", l.BootServer)
	}
	return now
}
