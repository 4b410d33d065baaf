package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
)

// PCUDown is the list for a power control unit that fails its dry run. The note calls it pcubroken, too.
func PCUDown() Ladder {
	return Ladder{
		Type:  activities.PCUDownType,
		About: "a power control unit fails its dry run",
		Opens: "the dry run of the PCU has failed for policy.pcu_offline_to_down, 2 d by default, or nodedown finds that it fails",
		Ends:  "a dry run passes",
		Rungs: []Rung{
			{Do: Email, Yield: PeopleStep},
			{Do: Email, Level: 1, Yield: PeopleStep},
			{Do: Email, Level: 2, Yield: PeopleStep},
			{Do: Email, Yield: PeopleStep},
			{Do: Flag, Yield: AdminStep},
		},
	}
}

// PCUDownIssue is the workflow pcudown/<pcu>.
func PCUDownIssue(ctx workflow.Context, in activities.IssueInput) (Result, error) {
	return climb(ctx, PCUDown(), in)
}
