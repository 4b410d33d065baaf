package issue

import (
	"fmt"
	"time"

	"github.com/planetlab/monitor/policy"
)

// Failboot is the name of this type.
const Failboot = "failboot"

// failboot is the list for a node that is stuck in debug mode. Bootman has four visits, and so two days, before people
// are asked: no site hears of a node before that. A visit whose repair was already tried passes at once, and one that
// finds what no program mends opens the issue that says so and waits for it.
func failboot() Type {
	return Type{
		Name:   Failboot,
		Target: OfNode,
		About:  "a node is stuck in debug mode",
		Opens: "the node has been in debug mode for policy.failboot_after, 0.25 d by default, and not from an " +
			"old boot CD",
		Ends:      "a look finds the node running, all its ports open",
		Call:      inDebugMode,
		Recovered: running,
		Ladder: Ladder{Version: 1, Rungs: []Rung{
			{Do: Bootman, Yield: HalfStep},
			{Do: Bootman, Yield: HalfStep},
			{Do: Bootman, Yield: HalfStep},
			{Do: Bootman, Yield: HalfStep},
			{Do: Email, Yield: PeopleStep},
			{Do: Email, Level: 1, Yield: PeopleStep},
			{Do: Email, Level: 2, Yield: PeopleStep},
			{Do: Email, Yield: PeopleStep},
			{Do: Flag, Yield: AdminStep},
		}},
	}
}

func inDebugMode(p policy.Policy, f Facts, now time.Time) (string, bool) {
	n, age := f.Node, now.Sub(f.Node.Record.Changed)
	if n.Record.Status != policy.StatusFailboot || age < p.FailbootAfter ||
		n.Finding.Category == policy.CategoryOldBootCD {
		return "", false
	}
	return fmt.Sprintf("in debug mode for %s: %s", p.Days(age), n.Finding.Reason), true
}
