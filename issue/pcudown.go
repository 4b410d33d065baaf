package issue

import (
	"fmt"
	"time"

	"github.com/planetlab/monitor/policy"
)

// PCUDown is the name of this type.
const PCUDown = "pcudown"

// pcuDown is the list for a power control unit that fails its dry run. The note calls it pcubroken, too.
func pcuDown() Type {
	return Type{
		Name:   PCUDown,
		Target: OfPCU,
		About:  "a power control unit fails its dry run",
		Opens: "the dry run of the PCU has failed for policy.pcu_offline_to_down, 2 d by default, or nodedown " +
			"finds that it fails",
		Ends:      "a dry run passes",
		NeedsDown: true,
		Call:      pcuFails,
		Recovered: pcuPasses,
		Ladder: Ladder{Version: 1, Rungs: []Rung{
			{Do: Email, Yield: PeopleStep},
			{Do: Email, Level: 1, Yield: PeopleStep},
			{Do: Email, Level: 2, Yield: PeopleStep},
			{Do: Email, Yield: PeopleStep},
			{Do: Flag, Yield: AdminStep},
		}},
	}
}

func pcuFails(p policy.Policy, f Facts, now time.Time) (string, bool) {
	if f.PCU.Record.Status != policy.StatusDown {
		return "", false
	}
	return fmt.Sprintf("%s for %s: %s", f.PCU.Record.Status, p.Days(now.Sub(f.PCU.Record.Changed)), f.PCU.Reason), true
}

func pcuPasses(f Facts) (bool, string) { return f.PCU.Passes, f.PCU.Reason }
