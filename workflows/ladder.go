// Package workflows holds Monitor's durable issues. One file an issue type, each the action list it is named after;
// issue.go climbs any of them, site.go owns what a site is told and denied, sweep.go looks at the fleet.
package workflows

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
)

// Ladder is the action list of an issue type.
type Ladder struct {
	Type  string // also the workflow type
	About string // what is wrong, in one sentence
	Opens string // when it opens, or who opens it
	Ends  string // what a look must find for it to end by itself
	Rungs []Rung
}

// Rung is one line of an action list: under a condition, do something, then yield.
type Rung struct {
	When  []string // conditions of package activities that must all hold
	Do    Action
	Level int   // penalty level asked for, with Email
	Yield Yield // what to wait after the rung has acted; none when it was passed over
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

func (y Yield) of(t activities.Times) time.Duration {
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

// kind is an issue type: its ladder, and the workflow that climbs it.
type kind struct {
	ladder Ladder
	run    func(workflow.Context, activities.IssueInput) (Result, error)
}

// kinds are all issue types: those of the seed note in its order, then the rest.
func kinds() []kind {
	return []kind{
		{NodeDown(), NodeDownIssue}, {PCUDown(), PCUDownIssue}, {BadHardware(), BadHardwareIssue}, {DNSError(), DNSErrorIssue},
		{NodeConfig(), NodeConfigIssue}, {OldBootCD(), OldBootCDIssue}, {Failboot(), FailbootIssue},
		{SiteDown(), SiteDownIssue}, {Firewall(), FirewallIssue}, {Filesystem(), FilesystemIssue}, {PCUMissing(), PCUMissingIssue},
		{MinimalHardware(), MinimalHardwareIssue}, {NoBlockDevice(), NoBlockDeviceIssue}, {UnknownSequence(), UnknownSequenceIssue},
	}
}

// Ladders are the action lists of all issue types.
func Ladders() []Ladder {
	var out []Ladder
	for _, k := range kinds() {
		out = append(out, k.ladder)
	}
	return out
}

// machineRungs counts the rungs at the start of a ladder that need a PCU.
func (l Ladder) machineRungs() int {
	for i, r := range l.Rungs {
		if !slices.Contains(r.When, activities.PCUOK) {
			return i
		}
	}
	return len(l.Rungs)
}

// after is the rung that follows another. The last one repeats for ever, so an issue nobody mends stays open and quiet.
func (l Ladder) after(rung int) Rung { return l.Rungs[min(rung+1, len(l.Rungs)-1)] }

// String is the rung as the note would write it.
func (r Rung) String() string {
	what := map[Action]string{
		Reboot: "reboot", Reinstall: "set rins, reboot", OpenPCUDown: "create_issue pcudown",
		Disable: "set disabled in PLC", Email: "send email", Flag: "flag for admin", Bootman: "run bootman",
	}[r.Do]
	switch r.Level {
	case 1:
		what += ", apply penalty"
	case 2:
		what += ", apply second penalty"
	}
	if len(r.When) > 0 {
		what = "if " + strings.Join(r.When, " and ") + ": " + what
	}
	return what
}

// Print writes the ladder as an action list, with the yields of the policy given.
func (l Ladder) Print(t activities.Times) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n    opens when %s\n    ends when %s\n", l.Type, l.About, l.Opens, l.Ends)
	for _, r := range l.Rungs {
		fmt.Fprintf(&b, "    %s\n", r)
		if r.Yield != NoYield {
			fmt.Fprintf(&b, "        yield %s (%s)\n", days(r.Yield.of(t), t.Day), r.Yield)
		}
	}
	return b.String()
}

// Markdown is a page about some ladders, with the yields of the policy given.
func Markdown(list []Ladder, t activities.Times) string {
	var b strings.Builder
	b.WriteString("# Issue types and their ladders\n\nWritten by `make docs` from package workflows; do not edit.\n\n" +
		"An issue climbs its list from the top. Before every line it looks at its target again: one that is good again ends the issue, and one\n" +
		"that PLC no longer has does, too. It asks the exemptions in PLC, the blacklist, downtimes and the fleet guard whether it may act. A yield\n" +
		"is how long a line is given to help; a line that is passed over is not waited for. The last line repeats: it tells the admins once,\n" +
		"then looks, for as long as the issue is open. Times are policy days, with the defaults of the configuration.\n")
	for _, l := range list {
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n- Opens when %s.\n- Ends when %s.\n\n", l.Type, sentence(l.About), l.Opens, l.Ends)
		for i, r := range l.Rungs {
			fmt.Fprintf(&b, "%d. %s", i+1, r)
			if r.Yield != NoYield {
				fmt.Fprintf(&b, "; yield %s", days(r.Yield.of(t), t.Day))
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

// Type is a workflow and the name by which every client knows it.
type Type struct {
	Name string
	Func any
}

// Types are all workflows that a worker runs.
func Types() []Type {
	var out []Type
	for _, k := range kinds() {
		out = append(out, Type{k.ladder.Type, k.run})
	}
	return append(out, Type{activities.SiteType, Site}, Type{activities.SweepType, Sweep})
}
