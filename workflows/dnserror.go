package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
)

// DNSError is the list for a node that cannot resolve names, or whose own name does not lead to it.
func DNSError() Ladder {
	return Ladder{
		Type:  activities.DNSErrorType,
		About: "a node cannot resolve names, or its own name leads elsewhere",
		Opens: "it is seen so for policy.trouble_after, 1 d by default, or bootman finds that the node cannot resolve its boot server",
		Ends:  "a look finds the node running, its name leading to its address and its boot server resolved",
		Rungs: []Rung{
			{Do: Email, Yield: PeopleStep},
			{Do: Email, Level: 1, Yield: PeopleStep},
			{Do: Email, Level: 2, Yield: PeopleStep},
			{Do: Email, Yield: PeopleStep},
			{Do: Flag, Yield: AdminStep},
		},
	}
}

// DNSErrorIssue is the workflow dnserror/<host>.
func DNSErrorIssue(ctx workflow.Context, in activities.IssueInput) (Result, error) {
	return climb(ctx, DNSError(), in)
}
