package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
)

// OldBootCD is the list for a node that only a new boot CD helps: it is set disabled first, and gets its boot state back at the end.
func OldBootCD() Ladder {
	return Ladder{
		Type:  activities.OldBootCDType,
		About: "a node starts from a boot CD that is too old",
		Opens: "the node has run from an old boot CD for policy.failboot_after, 0.25 d by default, or bootman finds it does",
		Ends:  "a look finds it running from anything else; PLC then gets the boot state back that it had",
		Rungs: []Rung{
			{Do: Disable},
			{Do: Email, Yield: PeopleStep},
			{Do: Email, Level: 1, Yield: PeopleStep},
			{Do: Email, Level: 2, Yield: PeopleStep},
			{Do: Email, Yield: PeopleStep},
			{Do: Flag, Yield: AdminStep},
		},
	}
}

// OldBootCDIssue is the workflow oldbootcd/<host>.
func OldBootCDIssue(ctx workflow.Context, in activities.IssueInput) (Result, error) {
	return climb(ctx, OldBootCD(), in)
}
