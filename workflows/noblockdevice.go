package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
)

// NoBlockDevice is the list for a node without a disk that its kernel knows.
func NoBlockDevice() Ladder {
	return Ladder{
		Type:  activities.NoBlockDeviceType,
		About: "a node finds no disk to install on",
		Opens: "bootman reads so in the log of the BootManager, or an operator says so",
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

// NoBlockDeviceIssue is the workflow noblockdevice/<host>.
func NoBlockDeviceIssue(ctx workflow.Context, in activities.IssueInput) (Result, error) {
	return climb(ctx, NoBlockDevice(), in)
}
