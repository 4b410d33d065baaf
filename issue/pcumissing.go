package issue

import (
	"fmt"
	"time"

	"github.com/planetlab/monitor/policy"
)

// PCUMissing is the name of this type.
const PCUMissing = "pcumissing"

// pcuMissing is the list for a node that nothing can reboot. It asks and does not punish: nodedown raises the level
// already.
func pcuMissing() Type {
	return Type{
		Name:      PCUMissing,
		Target:    OfNode,
		About:     "a node is down, and the inventory has no PCU to reboot it with",
		Opens:     "the node is down, as it is after policy.offline_to_down, 2 d by default, and the inventory has no PCU for it",
		Ends:      "the inventory has a PCU for it, or a look finds the node running",
		NeedsDown: true,
		Call:      withoutPCU,
		Recovered: hasPCUOrRuns,
		Ladder: Ladder{Version: 1, Rungs: []Rung{
			{Do: Email, Yield: PeopleStep},
			{Do: Email, Yield: PeopleStep},
			{Do: Flag, Yield: AdminStep},
		}},
	}
}

func withoutPCU(p policy.Policy, f Facts, now time.Time) (string, bool) {
	n := f.Node
	if n.Record.Status != policy.StatusDown || n.Finding.Alive() || n.HasPCU ||
		policy.CleanBootState(n.BootState) == "disabled" {
		return "", false
	}
	return fmt.Sprintf("down for %s, and the inventory has no PCU to reboot it with", p.Days(now.Sub(n.Record.Changed))), true
}

func hasPCUOrRuns(f Facts) (bool, string) {
	if f.Node.HasPCU {
		return true, "the inventory has a PCU for it now"
	}
	return running(f)
}
