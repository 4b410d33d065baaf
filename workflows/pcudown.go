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
		Rungs: []Rung{
			{Do: Email, Yield: PeopleStep},
			{Do: Email, Level: 1, Yield: PeopleStep},
			{Do: Email, Level: 2, Yield: PeopleStep},
			{Do: Email, Level: 2, Yield: PeopleStep},
			{Do: Flag, Yield: AdminStep},
		},
	}
}

// PCUDownIssue is the workflow pcudown/<pcu>.
func PCUDownIssue(ctx workflow.Context, in activities.IssueInput) (Result, error) {
	return climb(ctx, PCUDown(), in)
}
