package issue

import (
	"fmt"
	"time"

	"github.com/planetlab/monitor/policy"
)

// SiteDown is the name of this type.
const SiteDown = "sitedown"

// siteDown is the list for a site that went down as a whole: one story instead of one for each node.
func siteDown() Type {
	return Type{
		Name:   SiteDown,
		Target: OfSite,
		About:  "a site has gone dark as a whole",
		Opens: "no node of the site answers, at least policy.site_outage_nodes of them, 3 by default, went silent " +
			"together, " +
			"and all that for policy.node_down_after, 1 d by default",
		Ends: "a look finds one node of the site that answers, in debug mode or locked as it may be; what is " +
			"wrong then gets an issue of its own",
		NeedsDown: true,
		Call:      siteDark,
		Recovered: siteAnswers,
		Ladder: Ladder{Version: 1, Rungs: []Rung{
			{Do: Email, Yield: PeopleStep},
			{Do: Email, Level: 1, Yield: PeopleStep},
			{Do: Email, Level: 2, Yield: PeopleStep},
			{Do: Email, Yield: PeopleStep},
			{Do: Flag, Yield: AdminStep},
		}},
	}
}

func siteDark(p policy.Policy, f Facts, now time.Time) (string, bool) {
	why, _, open := policy.SiteOutage(p, f.Site, now)
	return why, open
}

// siteAnswers: one node that answers in any way ends the story of a dark site, and so does it when none is missed any
// more.
func siteAnswers(f Facts) (bool, string) {
	if f.Site.Nodes == 0 {
		return true, "all its nodes are disabled: none is missed"
	}
	return f.Site.Alive > 0, fmt.Sprintf("%d of its %d nodes answer", f.Site.Alive, f.Site.Nodes)
}
