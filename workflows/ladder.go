// Package workflows holds Monitor's durable issues. One file an issue type, each the action list it is named after;
// issue.go climbs any of them, site.go owns what a site is told and denied, sweep.go looks at the fleet.
package workflows

import (
	"fmt"
	"strings"
	"time"

	"github.com/planetlab/monitor/activities"
)

// Ladder is the action list of an issue type.
type Ladder struct {
	Type  string // also the workflow type
	About string // what is wrong, in one sentence
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

// Ladders are all issue types, in the order of the seed note.
func Ladders() []Ladder { return []Ladder{NodeDown(), PCUDown(), Failboot()} }

// after is the rung that follows another. The last one repeats for ever, so an issue nobody mends stays open and quiet.
func (l Ladder) after(rung int) Rung { return l.Rungs[min(rung+1, len(l.Rungs)-1)] }

// String is the rung as the note would write it.
func (r Rung) String() string {
	what := map[Action]string{
		Reboot: "reboot", Reinstall: "set rins, reboot", OpenPCUDown: "create_issue pcudown",
		Email: "send email", Flag: "flag for admin", Bootman: "run bootman",
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
	fmt.Fprintf(&b, "%s: %s\n", l.Type, l.About)
	for _, r := range l.Rungs {
		fmt.Fprintf(&b, "    %s\n", r)
		if r.Yield != NoYield {
			fmt.Fprintf(&b, "        yield %s (%s)\n", days(r.Yield.of(t), t.Day), r.Yield)
		}
	}
	return b.String()
}

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
	return []Type{
		{activities.NodeDownType, NodeDownIssue},
		{activities.PCUDownType, PCUDownIssue},
		{activities.FailbootType, FailbootIssue},
		{activities.SiteType, Site},
		{activities.SweepType, Sweep},
	}
}
