package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/store"
)

func (a *app) status() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show the whole fleet on one screen: may Monitor act, the last sweep, what is bad", Args: takes(),
		Long: "Show the whole fleet on one screen: whether Monitor may act and why not, when it last looked and whether it believes\n" +
			"what it saw, how many nodes are in which state, which issues are open, and which sites are penalised.",
		Example: "  monitor status\n  monitor status -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				var v answers.Status
				if err := r.get(ctx, "/status", nil, &v); err != nil {
					return err
				}
				return a.show(v, func() { a.drawStatus(v) })
			}); done {
				return err
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) error {
				v, err := answers.ReadStatus(ctx, db)
				if err != nil {
					return err
				}
				return a.show(v, func() { a.drawStatus(v) })
			})
		},
	}
}

func (a *app) drawStatus(v answers.Status) {
	a.drawControls(v.Controls)
	switch s := v.Sweep; {
	case s == nil:
		a.say("no sweep has ended yet: is monitor-worker running?")
	case s.Doubt != "":
		a.say("the last sweep, which ended %s, is not believed, so nothing acts: %s", a.when(s.Ended), clean(s.Doubt))
	default:
		a.say("the last sweep ended %s", a.when(s.Ended))
	}
	if v.Sweep != nil {
		for _, what := range slices.Sorted(maps.Keys(v.Sweep.Doubts)) {
			a.say("no new issue of %s is opened: %s", what, clean(v.Sweep.Doubts[what]))
		}
	}
	for _, away := range v.Away {
		what := "the mail server does not take mail"
		if away.Server == store.ServerTracker {
			what = "Request Tracker does not answer"
		}
		a.say("%s since %s, last tried %s, and what is to be said waits: %s", what, a.when(away.Since), a.when(away.Tried),
			clean(away.Why))
	}
	var nodes, issues, sites []row
	for _, n := range v.Nodes {
		nodes = append(nodes, row{a.state(n.Status), n.Count})
	}
	for _, i := range v.Issues {
		issues = append(issues, row{i.Type, a.state(i.Status), i.Count})
	}
	for _, p := range v.Penalised {
		sites = append(sites, row{p.Site, fmt.Sprint("level ", p.Level)})
	}
	a.heading("nodes")
	a.table("no nodes are known", row{"STATUS", "COUNT"}, nodes)
	a.heading("open issues")
	a.table("none", row{"TYPE", "STATUS", "COUNT"}, issues)
	if len(sites) > 0 {
		a.heading("penalised sites")
		a.table("", row{"SITE", "PENALTY"}, sites)
	}
	if len(v.Sources) > 0 {
		var told []row
		for _, s := range v.Sources {
			told = append(told, row{s.Name, s.Facts, a.when(s.Read), s.Trouble})
		}
		a.heading("sources of facts")
		a.table("", row{"SOURCE", "FACTS", "READ", "TROUBLE"}, told)
	}
}
