package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
)

// NodeDown is the list for a node that has stopped answering.
func NodeDown() Ladder {
	return Ladder{
		Type:  activities.NodeDownType,
		About: "a node has stopped answering",
		Opens: "the node has been offline or down for policy.node_down_after, 1 d by default, and not for a firewall",
		Ends:  "a look finds the node running, all its ports open",
		Rungs: []Rung{
			{When: []string{activities.PCUOK}, Do: Reboot, Yield: MachineStep},
			{When: []string{activities.PCUOK, activities.RebootFailed}, Do: Reinstall, Yield: MachineStep},
			{Do: OpenPCUDown},
			{Do: Email, Yield: PeopleStep},
			{Do: Email, Level: 1, Yield: PeopleStep},
			{Do: Email, Level: 2, Yield: PeopleStep},
			{Do: Email, Yield: PeopleStep},
			{Do: Flag, Yield: AdminStep},
		},
	}
}

// NodeDownIssue is the workflow nodedown/<host>.
func NodeDownIssue(ctx workflow.Context, in activities.IssueInput) (Result, error) {
	return climb(ctx, NodeDown(), in)
}
