package issue

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/policy"
)

// Ladder is the action list of an issue type. A running issue keeps the ladder with which it opened, whatever a newer
// build says.
type Ladder struct {
	Version int    `json:"version"` // raised with every change of the rungs
	Rungs   []Rung `json:"rungs"`
}

// Rung is one line of an action list: under conditions, do something, then yield.
type Rung struct {
	When  []Condition `json:"when,omitempty"`
	Do    Action      `json:"do"`
	Level int         `json:"level,omitempty"` // penalty level asked for, with Email
	Yield Yield       `json:"yield,omitempty"` // what to wait after the rung has acted; none when it was passed over
}

// Condition is what must hold for a rung; one that does not hold passes the rung over.
type Condition string

// The conditions a rung may ask for.
const (
	PCUOK        Condition = "pcu ok"
	RebootFailed Condition = "reboot failed"
)

// Lacks says why a rung is passed over as things stand, by what the issue itself knows; empty: nothing is missing.
func (s State) Lacks(r Rung) string {
	if slices.Contains(r.When, RebootFailed) && !s.Rebooted {
		return "it was surely not rebooted, so no reboot has failed"
	}
	return ""
}

// Action names the activity that does a rung.
type Action string

// The actions a ladder may name.
const (
	Reboot      Action = "Reboot"
	Reinstall   Action = "Reinstall"
	OpenPCUDown Action = "OpenPCUDown"
	Disable     Action = "Disable"
	Email       Action = "Email"
	Flag        Action = "Flag"
	Bootman     Action = "Bootman"
)

// words are the actions as the seed note writes them.
func (a Action) words() string {
	switch a {
	case Reboot:
		return "reboot"
	case Reinstall:
		return "set rins, reboot"
	case OpenPCUDown:
		return "create_issue pcudown"
	case Disable:
		return "set disabled"
	case Email:
		return "send email"
	case Flag:
		return "flag for admin"
	case Bootman:
		return "run bootman"
	}
	return string(a)
}

// Yield names how long a rung is given to help before the next one.
type Yield string

// The yields of policy.
const (
	NoYield     Yield = ""
	HalfStep    Yield = "half a machine step"
	MachineStep Yield = "machine step"
	PeopleStep  Yield = "people step"
	AdminStep   Yield = "admin step"
)

// Times are the durations of a ladder, recorded when an issue opens so that a change of policy never changes a running
// issue.
type Times struct {
	Day          time.Duration `json:"day"`
	MachineStep  time.Duration `json:"machine_step"`
	PeopleStep   time.Duration `json:"people_step"`
	AdminStep    time.Duration `json:"admin_step"`
	HealthyDelay time.Duration `json:"healthy_delay"`
}

// TimesOf takes from policy what a ladder needs.
func TimesOf(p policy.Policy) Times {
	return Times{Day: p.Day, MachineStep: p.MachineStep, PeopleStep: p.PeopleStep, AdminStep: p.AdminStep,
		HealthyDelay: p.HealthyDelay}
}

func (y Yield) of(t Times) time.Duration {
	switch y {
	case HalfStep:
		return t.MachineStep / 2
	case MachineStep:
		return t.MachineStep
	case PeopleStep:
		return t.PeopleStep
	case AdminStep:
		return t.AdminStep
	}
	return 0
}

// powerRungs counts the rungs at the start of a ladder that need a PCU.
func (l Ladder) powerRungs() int {
	for i, r := range l.Rungs {
		if !slices.Contains(r.When, PCUOK) {
			return i
		}
	}
	return len(l.Rungs)
}

// UsesPower reports whether the rung needs a queue of its own, since it may talk long with a machine.
func (r Rung) UsesPower() bool { return r.Do == Reboot || r.Do == Reinstall || r.Do == Bootman }

// String is the rung as the note would write it.
func (r Rung) String() string {
	what := r.Do.words()
	switch r.Level {
	case 1:
		what += ", apply penalty"
	case 2:
		what += ", apply second penalty"
	}
	if len(r.When) == 0 {
		return what
	}
	var when []string
	for _, c := range r.When {
		when = append(when, string(c))
	}
	return "if " + strings.Join(when, " and ") + ": " + what
}

// Print writes a type and its ladder as an action list.
func (t Type) Print(times Times) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n    opens when %s\n    ends when %s\n", t.Name, t.About, t.Opens, t.Ends)
	for _, r := range t.Ladder.Rungs {
		fmt.Fprintf(&b, "    %s\n", r)
		if r.Yield != NoYield {
			fmt.Fprintf(&b, "        yield %s (%s)\n", days(r.Yield.of(times), times.Day), r.Yield)
		}
	}
	return b.String()
}

// Markdown is a page about issue types and their ladders.
func Markdown(list []Type, times Times) string {
	var b strings.Builder
	b.WriteString("# Issue types and their ladders\n\nWritten by `make docs` from package issue; do not edit.\n\n" +
		"An issue climbs its list from the top. Before every line Monitor looks at the target again: one that is " +
		"good again ends the issue, and one\n" +
		"that the inventory no longer has does, too. Every act then passes the gate (see [gate.md](gate.md)): it says no, " +
		"with a reason and the time when to ask\n" +
		"again, or the act is done. A yield is how long a line is given to help; a line that is passed over is not " +
		"waited for. The last line\n" +
		"repeats ever more rarely: it tells the admins once, then looks, for as long as the issue is open. Times " +
		"are policy days, with the\n" +
		"defaults of the configuration.\n")
	for _, t := range list {
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n- Opens when %s.\n- Ends when %s.\n\n", t.Name, sentence(t.About),
			t.Opens, t.Ends)
		for i, r := range t.Ladder.Rungs {
			fmt.Fprintf(&b, "%d. %s", i+1, r)
			if r.Yield != NoYield {
				fmt.Fprintf(&b, "; yield %s", days(r.Yield.of(times), times.Day))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func days(d, day time.Duration) string {
	n := fmt.Sprintf("%.2f", float64(d)/float64(day))
	return strings.TrimSuffix(strings.TrimRight(n, "0"), ".") + " d"
}
