package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The types of issues, as the seed note and the original policy name them.
const (
	NodeDown        = "nodedown"
	PCUDown         = "pcudown"
	SiteDown        = "sitedown"
	FailbootIssue   = "failboot"
	BadHardware     = "badhardware"
	DNSError        = "dnserror"
	NodeConfig      = "nodeconfig"
	OldBootCD       = "oldbootcd"
	Firewall        = "firewall"
	MinimalHardware = "minimalhardware"
	NoBlockDevice   = "noblockdevice"
	UnknownSequence = "unknownsequence"
	PCUMissing      = "pcumissing"
	Filesystem      = "filesystem"
)

// Verdict is a problem that has passed its threshold.
type Verdict struct {
	Type   string
	Target string
	Node   string
	Site   string
	PCU    string
	Reason string
}

// Trouble is something wrong with a node that a look shows and that no status tells of.
type Symptom struct {
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
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

// writable are the mount points that a node must be able to write: its root, and where slices live.
var writable = []string{"/", "/vservers"}

// Troubles names what a look shows besides whether the node runs: its firewall, its locks, its disks, its name. Since is the time of
// the look, unless the trouble was there at the look before.
func Symptoms(l NodeLook, f Finding, before map[string]Symptom, at time.Time) map[string]Symptom {
	now := map[string]Symptom{}
	see := func(typ, format string, a ...any) {
		t := Symptom{at, fmt.Sprintf(format, a...)}
		if was, seen := before[typ]; seen {
			t.Since = was.Since
		}
		now[typ] = t
	}
	if f.Firewall {
		see(Firewall, "%s", f.Reason)
	}
	if f.Locked {
		see(NodeConfig, "%s", f.Reason)
	}
	stuck := slices.DeleteFunc(slices.Clone(l.ReadOnly), func(m string) bool { return !slices.Contains(writable, m) })
	if len(stuck) > 0 {
		see(Filesystem, "mounted read-only: %s", strings.Join(stuck, ", "))
	}
	switch {
	case l.Name == NameMissing:
		see(DNSError, "its name does not resolve")
	case l.Name == NameMismatch:
		see(DNSError, "its name does not resolve to the address that PLC holds")
	case l.SSH && l.Resolves == ResolvesNot:
		see(DNSError, "it cannot resolve its boot server %s", l.BootServer)
	}
	return now
}

// NodeVerdicts names the issues that may open for a node that a sweep just saw. A node that is disabled or in safeboot is
// in somebody's hands.
func NodeVerdicts(n Policy, f NodeFacts, now time.Time) []Verdict {
	var out []Verdict
	age := now.Sub(f.Record.Changed)
	open := func(typ, format string, a ...any) {
		out = append(out, Verdict{Type: typ, Target: f.Host, Node: f.Host, Site: f.Site, Reason: fmt.Sprintf(format, a...)})
	}
	silent := f.Record.Status.Unhealthy() && !f.Finding.Alive()
	if silent && age >= n.NodeDownAfter {
		open(NodeDown, "%s for %s: %s", f.Record.Status, n.Days(age), f.Finding.Reason)
	}
	if silent && f.Record.Status == StatusDown && !f.HasPCU {
		open(PCUMissing, "down for %s, and PLC has no PCU to reboot it with", n.Days(age))
	}
	if f.Record.Status == StatusFailboot && age >= n.FailbootAfter {
		if f.Finding.Category == CategoryOldBootCD {
			open(OldBootCD, "an old boot CD for %s: %s", n.Days(age), f.Finding.Reason)
		} else {
			open(FailbootIssue, "in debug mode for %s: %s", n.Days(age), f.Finding.Reason)
		}
	}
	if f.Record.Status == StatusDisabled || f.Record.Status == StatusSafeboot {
		return out
	}
	for _, typ := range []string{Firewall, NodeConfig, Filesystem, DNSError} {
		if t, seen := f.Symptoms[typ]; seen && now.Sub(t.Since) >= n.TroubleAfter {
			open(typ, "for %s: %s", n.Days(now.Sub(t.Since)), t.Reason)
		}
	}
	return out
}

// PCUVerdict says whether pcudown may open for a PCU whose dry run a sweep just tried.
func PCUVerdict(n Policy, name, site string, r PCURecord, why string, now time.Time) (Verdict, bool) {
	if r.Status != StatusDown {
		return Verdict{}, false
	}
	return Verdict{Type: PCUDown, Target: name, PCU: name, Site: site, Reason: fmt.Sprintf("%s for %s: %s", r.Status, n.Days(now.Sub(r.Changed)), why)}, true
}

// Mended says whether the node of an issue is good again as far as that type of issue goes, by a look just taken.
func Recovered(typ string, f NodeFacts) (bool, string) {
	trouble, seen := f.Symptoms[typ]
	switch typ {
	case OldBootCD:
		if f.Finding.Category != CategoryError && f.Finding.Category != CategoryOldBootCD {
			return true, "it no longer runs from an old boot CD: " + f.Finding.Reason
		}
		return false, f.Finding.Reason
	case PCUMissing:
		if f.HasPCU {
			return true, "PLC has a PCU for it now"
		}
	case Filesystem:
		if seen || f.Finding.Category == CategoryError { // nothing is known of the disks of a node that does not let us in
			return false, reasonOf(trouble, f)
		}
		return true, "no disk that it must write is read-only"
	case DNSError:
		if seen || f.Finding.State != StateBoot {
			return false, reasonOf(trouble, f)
		}
		return true, "names resolve as they should: " + f.Finding.Reason
	}
	if f.Finding.State == StateBoot {
		return true, "up: " + f.Finding.Reason
	}
	return false, f.Finding.Reason
}

func reasonOf(t Symptom, f NodeFacts) string {
	if t.Reason != "" {
		return t.Reason
	}
	return f.Finding.Reason
}

// MayTell says whether a site may be written to about an issue yet: not before a node, a PCU or the site is down. A trouble that
// does not make its target down, as debug mode or a read-only disk, must have lasted as long.
func MayNotifySite(n Policy, typ string, r Record, opened, now time.Time) Decision {
	after := n.OfflineToDown
	if typ == PCUDown {
		after = n.PCUOfflineToDown
	}
	switch typ {
	case NodeDown, PCUDown, SiteDown, Firewall, PCUMissing:
		if r.Status == StatusDown {
			return yes("it is down")
		}
		return no(r.Changed.Add(after), "nobody is written to before it is down; it is %s", r.Status)
	}
	since := opened
	if !r.Status.Healthy() && r.Changed.Before(opened) {
		since = r.Changed
	}
	if age := now.Sub(since); age < after {
		return no(since.Add(after), "nobody is written to before the trouble is %s old; it is %s", n.Days(after), n.Days(age))
	}
	return yes("the trouble lasts")
}
