package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
)

// Failboot is the list for a node that is stuck in debug mode. Bootman has four visits, and so two days, before people are
// asked: no site hears of a node before that. A visit whose repair was already tried passes at once, and one that finds what
// no program mends opens the issue that says so and waits for it.
func Failboot() Ladder {
	return Ladder{
		Type:  activities.FailbootType,
		About: "a node is stuck in debug mode",
		Opens: "the node has been in debug mode for policy.failboot_after, 0.25 d by default, and not from an old boot CD",
		Ends:  "a look finds the node running, all its ports open",
		Rungs: []Rung{
			{Do: Bootman, Yield: HalfStep},
			{Do: Bootman, Yield: HalfStep},
			{Do: Bootman, Yield: HalfStep},
			{Do: Bootman, Yield: HalfStep},
			{Do: Email, Yield: PeopleStep},
			{Do: Email, Level: 1, Yield: PeopleStep},
			{Do: Email, Level: 2, Yield: PeopleStep},
			{Do: Email, Yield: PeopleStep},
			{Do: Flag, Yield: AdminStep},
		},
	}
}

// FailbootIssue is the workflow failboot/<host>.
func FailbootIssue(ctx workflow.Context, in activities.IssueInput) (Result, error) {
	return climb(ctx, Failboot(), in)
}
