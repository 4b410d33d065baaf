// Package workflows holds Monitor's durable processes: the shells in which the pure machines of packages issue and site
// run on Temporal's timers, and the sweep. What they decide, and when, is decided in those packages.
package workflows

import (
	"go.temporal.io/sdk/temporal"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/rollout"
)

// Search attributes by which issues are found in the Web UI and with `temporal workflow list`.
var (
	AttrType    = temporal.NewSearchAttributeKeyKeyword("IssueType")
	AttrStatus  = temporal.NewSearchAttributeKeyKeyword("IssueStatus")
	AttrSite    = temporal.NewSearchAttributeKeyKeyword("Site")
	AttrNode    = temporal.NewSearchAttributeKeyKeyword("Node")
	AttrPCU     = temporal.NewSearchAttributeKeyKeyword("PCU")
	AttrPenalty = temporal.NewSearchAttributeKeyInt64("PenaltyLevel")
)

// Attributes are all search attributes that a namespace must have.
func Attributes() []temporal.SearchAttributeKey {
	return []temporal.SearchAttributeKey{AttrType, AttrStatus, AttrSite, AttrNode, AttrPCU, AttrPenalty}
}

// QueryStatus is the query that every issue and every site answers.
const QueryStatus = issue.QueryStatus

// Type is a workflow and the name by which every client knows it.
type Type struct {
	Name string
	Func any
}

// Types are all workflows that a worker runs: one for each issue type, the sites, the sweep, the answer to why
// something is not done, the orders of persons, and the look at one node.
func Types() []Type {
	var out []Type
	for _, t := range issue.Types() {
		out = append(out, Type{t.Name, climb(t)})
	}
	return append(out, Type{activities.SiteType, Site}, Type{activities.SweepType, Sweep},
		Type{activities.WhyNotType, WhyNot}, Type{request.Type, Request}, Type{request.OutletType, Outlet},
		Type{rollout.Type, Rollout}, Type{activities.LookType, Look})
}
