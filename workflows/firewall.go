package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
)

// Firewall is the list for a node that runs behind a firewall.
func Firewall() Ladder {
	return Ladder{
		Type:  activities.FirewallType,
		About: "a node runs, but a firewall keeps the world from it",
		Opens: "the node lets us in by ssh and one of 22, 80 and 806 is not open, for policy.trouble_after, 1 d by default",
		Ends:  "a look finds the node running, all its ports open",
		Rungs: []Rung{
			{Do: Email, Yield: PeopleStep},
			{Do: Email, Level: 1, Yield: PeopleStep},
			{Do: Email, Level: 2, Yield: PeopleStep},
			{Do: Email, Yield: PeopleStep},
			{Do: Flag, Yield: AdminStep},
		},
	}
}

// FirewallIssue is the workflow firewall/<host>.
func FirewallIssue(ctx workflow.Context, in activities.IssueInput) (Result, error) {
	return climb(ctx, Firewall(), in)
}
