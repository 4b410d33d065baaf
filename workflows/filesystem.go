package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
)

// Filesystem is the list for a node whose disks have become read-only.
func Filesystem() Ladder {
	return Ladder{
		Type:  activities.FilesystemType,
		About: "a node runs, but cannot write its root or where slices live",
		Opens: "/ or /vservers is seen mounted read-only for policy.trouble_after, 1 d by default",
		Ends:  "a look from inside finds neither of them read-only",
		Rungs: []Rung{
			{Do: Email, Yield: PeopleStep},
			{Do: Email, Level: 1, Yield: PeopleStep},
			{Do: Email, Level: 2, Yield: PeopleStep},
			{Do: Email, Yield: PeopleStep},
			{Do: Flag, Yield: AdminStep},
		},
	}
}

// FilesystemIssue is the workflow filesystem/<host>.
func FilesystemIssue(ctx workflow.Context, in activities.IssueInput) (Result, error) {
	return climb(ctx, Filesystem(), in)
}
