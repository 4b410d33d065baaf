package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
)

// UnknownSequence is the list for a log that bootman does not know. It goes to the admins and never to the site.
func UnknownSequence() Ladder {
	return Ladder{
		Type:  activities.UnknownSequenceType,
		About: "a node fails to boot in a way that bootman does not know",
		Opens: "bootman meets a log whose sequence is not in its table",
		Ends:  "a look finds the node running, all its ports open",
		Rungs: []Rung{
			{Do: Flag, Yield: AdminStep},
		},
	}
}

// UnknownSequenceIssue is the workflow unknownsequence/<host>.
func UnknownSequenceIssue(ctx workflow.Context, in activities.IssueInput) (Result, error) {
	return climb(ctx, UnknownSequence(), in)
}
