package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
)

// SiteDown is the list for a site that went down as a whole: one story instead of one for each node.
func SiteDown() Ladder {
	return Ladder{
		Type:  activities.SiteDownType,
		About: "a site has gone dark as a whole",
		Opens: "no node of the site answers, at least policy.site_outage_nodes of them, 3 by default, went silent together, " +
			"and all that for policy.node_down_after, 1 d by default",
		Ends: "a look finds one node of the site that answers, in debug mode or locked as it may be; what is wrong then gets an issue of its own",
		Rungs: []Rung{
			{Do: Email, Yield: PeopleStep},
			{Do: Email, Level: 1, Yield: PeopleStep},
			{Do: Email, Level: 2, Yield: PeopleStep},
			{Do: Email, Yield: PeopleStep},
			{Do: Flag, Yield: AdminStep},
		},
	}
}

// SiteDownIssue is the workflow sitedown/<login_base>.
func SiteDownIssue(ctx workflow.Context, in activities.IssueInput) (Result, error) {
	return climb(ctx, SiteDown(), in)
}
