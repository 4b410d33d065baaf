package issue

import (
	"fmt"
	"time"

	"github.com/planetlab/monitor/policy"
)

// NodeDown is the name of this type.
const NodeDown = "nodedown"

// nodeDown is the list for a node that has stopped answering.
func nodeDown() Type {
	return Type{
		Name:   NodeDown,
		Target: OfNode,
		About:  "a node has stopped answering",
		Opens: "the node has been offline or down for policy.node_down_after, 1 d by default, and not for a " +
			"firewall",
		Ends:      "a look finds the node running, all its ports open",
		Notice:    "down",
		NeedsDown: true,
		Call:      silent,
		Recovered: running,
		Ladder: Ladder{Version: 1, Rungs: []Rung{
			{When: []Condition{PCUOK}, Do: Reboot, Yield: MachineStep},
			{When: []Condition{PCUOK, RebootFailed}, Do: Reinstall, Yield: MachineStep},
			{Do: OpenPCUDown},
			{Do: Email, Yield: PeopleStep},
			{Do: Email, Level: 1, Yield: PeopleStep},
			{Do: Email, Level: 2, Yield: PeopleStep},
			{Do: Email, Yield: PeopleStep},
			{Do: Flag, Yield: AdminStep},
		}},
	}
}

// silent calls for nodedown: nothing answers for the node, and that for long enough.
func silent(p policy.Policy, f Facts, now time.Time) (string, bool) {
	n, age := f.Node, now.Sub(f.Node.Record.Changed)
	if !n.Record.Status.Unhealthy() || n.Finding.Alive() || age < p.NodeDownAfter {
		return "", false
	}
	return fmt.Sprintf("%s for %s: %s", n.Record.Status, p.Days(age), n.Finding.Reason), true
}
