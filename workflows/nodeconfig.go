package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
)

// NodeConfig is the list for a node whose settings do not fit. bootman brings PLC's network settings and the log.
func NodeConfig() Ladder {
	return Ladder{
		Type:  activities.NodeConfigType,
		About: "a node cannot boot with the network settings or the key it has, or lets Monitor not in",
		Opens: "bootman reads so in the log of the BootManager, or its ssh answers and lets Monitor not in for policy.trouble_after, 1 d by default, " +
			"or an operator says so",
		Ends: "a look finds the node running, all its ports open",
		Rungs: []Rung{
			{Do: Email, Yield: PeopleStep},
			{Do: Email, Level: 1, Yield: PeopleStep},
			{Do: Email, Level: 2, Yield: PeopleStep},
			{Do: Email, Yield: PeopleStep},
			{Do: Flag, Yield: AdminStep},
		},
	}
}

// NodeConfigIssue is the workflow nodeconfig/<host>.
func NodeConfigIssue(ctx workflow.Context, in activities.IssueInput) (Result, error) {
	return climb(ctx, NodeConfig(), in)
}
