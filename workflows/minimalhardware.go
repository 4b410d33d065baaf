package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
)

// MinimalHardware is the list for a node that is too small to install.
func MinimalHardware() Ladder {
	return Ladder{
		Type:  activities.MinimalHardwareType,
		About: "a node lacks hardware that PlanetLab requires",
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

// MinimalHardwareIssue is the workflow minimalhardware/<host>.
func MinimalHardwareIssue(ctx workflow.Context, in activities.IssueInput) (Result, error) {
	return climb(ctx, MinimalHardware(), in)
}
