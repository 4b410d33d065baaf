package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
)

// BadHardware is the list for a node whose disk or memory fails. bootman brings the lines of dmesg.
func BadHardware() Ladder {
	return Ladder{
		Type:  activities.BadHardwareType,
		About: "a node reports hardware that fails",
		Opens: "bootman finds a known disk error in dmesg, or an operator or an alert says so",
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

// BadHardwareIssue is the workflow badhardware/<host>.
func BadHardwareIssue(ctx workflow.Context, in activities.IssueInput) (Result, error) {
	return climb(ctx, BadHardware(), in)
}
