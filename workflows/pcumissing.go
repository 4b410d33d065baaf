package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
)

// PCUMissing is the list for a node that nothing can reboot. It asks and does not punish: nodedown leans on the site already.
func PCUMissing() Ladder {
	return Ladder{
		Type:  activities.PCUMissingType,
		About: "a node is down, and PLC has no PCU to reboot it with",
		Opens: "the node is down, as it is after policy.offline_to_down, 2 d by default, and PLC has no PCU for it",
		Ends:  "PLC has a PCU for it, or a look finds the node running",
		Rungs: []Rung{
			{Do: Email, Yield: PeopleStep},
			{Do: Email, Yield: PeopleStep},
			{Do: Flag, Yield: AdminStep},
		},
	}
}

// PCUMissingIssue is the workflow pcumissing/<host>.
func PCUMissingIssue(ctx workflow.Context, in activities.IssueInput) (Result, error) {
	return climb(ctx, PCUMissing(), in)
}
