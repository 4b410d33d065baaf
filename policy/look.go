package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// What a look at a node amounts to.
const (
	StateDown  = "DOWN"
	StateDebug = "DEBUG"
	StateBoot  = "BOOT"

	CategoryError     = "ERROR"
	CategoryOldBootCD = "OLDBOOTCD"
	CategoryOldProd   = "OLDPROD"
	CategoryProd      = "PROD"
	CategoryUnknown   = "UNKNOWN"
)

// States of a TCP port as a probe sees it.
const (
	PortOpen     = "open"
	PortClosed   = "closed"
	PortFiltered = "filtered"
)

// NodeLook is what a probe saw of a node.
type NodeLook struct {
	SSH         bool
	SSHFailure  string // why there was no ssh
	Kernel      string // uname -a
	BootManager bool   // the BootManager is there: debug mode
	BootCD      string // id of the boot CD
	Ports       map[int]string
	MustBeOpen  []int // ports of a node that runs; nil: those of PlanetLab
	Uptime      time.Duration
	Name        string // what became of its name: NameMissing, NameMismatch, or anything else for nothing amiss
	Resolves    string // ResolvesNot when it cannot resolve its boot server
	BootServer  string
	ReadOnly    []string // mount points of disks that are read-only
}

// What a look may say of names.
const (
	NameMissing  = "no entry"
	NameMismatch = "mismatch"
	ResolvesNot  = "fails"
)

// Finding is what policy makes of a look.
type Finding struct {
	Category string
	State    string
	Firewall bool   // it runs, but a port that must be open is not
	Locked   bool   // it is alive, for its ssh answers, but lets nobody in
	Entry    string // why there was no ssh, as a probe names it
	Uptime   time.Duration
	Reason   string
}

// Alive says whether anything answers for a node, whatever is wrong with it. Only a node that is not alive is dark: no
// power command helps one that is.
func (f Finding) Alive() bool { return f.State != StateDown || f.Firewall || f.Locked }

// dead are the failures of ssh by which a node may be down. All others come from something that runs there.
var dead = []string{"", "no route", "refused", "timeout"}

// mustBeOpen are the ports of a PlanetLab node in production: ssh, web, and the node's second ssh.
var mustBeOpen = []int{22, 80, 806}

// InferNode names the category and state of a node from one look. Kernels that do not compile match nothing.
func InferNode(k Kernels, l NodeLook) Finding {
	f := Finding{Uptime: l.Uptime}
	if !l.SSH {
		why := l.SSHFailure
		if why == "" {
			why = "no answer"
		}
		f.Category, f.State, f.Reason, f.Locked = CategoryError, StateDown, "no ssh: "+why,
			!slices.Contains(dead, l.SSHFailure)
		f.Entry = l.SSHFailure
		return f
	}
	f.State = StateBoot
	if l.BootManager {
		f.State = StateDebug
	}
	switch {
	case matches(k.OldBootCD, l.Kernel):
		f.Category, f.State = CategoryOldBootCD, StateDebug
	case strings.Contains(l.BootCD, "v2"):
		// the state stays as found: a node in production that was once booted from an old CD runs
		f.Category = CategoryOldBootCD
	case matches(k.OldProd, l.Kernel):
		f.Category = CategoryOldProd
	case matches(k.Current, l.Kernel):
		f.Category = CategoryProd
	default:
		f.Category = CategoryUnknown
	}
	f.Reason = fmt.Sprintf("%s, kernel %q", strings.ToLower(f.State), release(l.Kernel))
	if f.State != StateBoot {
		return f
	}
	ports := l.MustBeOpen
	if ports == nil {
		ports = mustBeOpen
	}
	for _, port := range ports {
		if state := l.Ports[port]; state != PortOpen {
			if state == "" {
				state = "not looked at"
			}
			f.State, f.Firewall = StateDown, true
			f.Reason = fmt.Sprintf("runs, but port %d is %s", port, state)
			return f
		}
	}
	return f
}

func matches(expressions []string, s string) bool {
	return slices.ContainsFunc(expressions, func(e string) bool {
		re, err := regexp.Compile(e)
		return err == nil && re.MatchString(s)
	})
}

// release is the third word of uname -a.
func release(kernel string) string {
	if words := strings.Fields(kernel); len(words) > 2 {
		return words[2]
	}
	return kernel
}
