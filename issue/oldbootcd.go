package issue

import (
	"fmt"
	"time"

	"github.com/planetlab/monitor/policy"
)

// OldBootCD is the name of this type.
const OldBootCD = "oldbootcd"

// oldBootCD is the list for a node that only a new boot CD helps: it is set disabled first, and gets its boot state
// back at the end.
func oldBootCD() Type {
	return Type{
		Name:   OldBootCD,
		Target: OfNode,
		About:  "a node starts from a boot CD that is too old",
		Opens: "the node has run from an old boot CD for policy.failboot_after, 0.25 d by default, or bootman " +
			"finds it does",
		Ends:      "a look finds it running from anything else; the node then gets the boot state back that it had",
		Call:      onOldBootCD,
		Recovered: offOldBootCD,
		Ladder: Ladder{Version: 1, Rungs: []Rung{
			{Do: Disable},
			{Do: Email, Yield: PeopleStep},
			{Do: Email, Level: 1, Yield: PeopleStep},
			{Do: Email, Level: 2, Yield: PeopleStep},
			{Do: Email, Yield: PeopleStep},
			{Do: Flag, Yield: AdminStep},
		}},
	}
}

func onOldBootCD(p policy.Policy, f Facts, now time.Time) (string, bool) {
	n, age := f.Node, now.Sub(f.Node.Record.Changed)
	if n.Record.Status != policy.StatusFailboot || age < p.FailbootAfter ||
		n.Finding.Category != policy.CategoryOldBootCD {
		return "", false
	}
	return fmt.Sprintf("an old boot CD for %s: %s", p.Days(age), n.Finding.Reason), true
}

func offOldBootCD(f Facts) (bool, string) {
	found := f.Node.Finding
	if found.State == policy.StateBoot || found.Category != policy.CategoryError &&
		found.Category != policy.CategoryOldBootCD {
		return true, "it runs, or no longer from an old boot CD: " + found.Reason
	}
	return false, found.Reason
}
