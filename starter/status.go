package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/store"
)

// statusView is the whole fleet on one screen.
type statusView struct {
	controlsView
	Sweep     *lastSweepView      `json:"sweep,omitempty"` // none: no sweep has ended yet
	Nodes     []store.StatusCount `json:"nodes"`
	Issues    []store.IssueCount  `json:"issues"`
	Penalised []penaltyView       `json:"penalised"`
}

// lastSweepView is how the last sweep ended, and since when none has been believed.
type lastSweepView struct {
	Ended    time.Time `json:"ended"`
	Believed time.Time `json:"believed,omitzero"` // when the last one ended that was
	Doubt    string    `json:"doubt,omitempty"`   // why a later one was not
}

type penaltyView struct {
	Site  string `json:"site"`
	Level int    `json:"level"`
}

func (a *app) status() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show the whole fleet on one screen: may Monitor act, the last sweep, what is bad", Args: takes(),
		Long: "Show the whole fleet on one screen: whether Monitor may act and why not, when it last looked and whether it believes\n" +
			"what it saw, how many nodes are in which state, which issues are open, and which sites are penalised.",
		Example: "  monitor status\n  monitor status -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) error {
				v, err := readStatus(ctx, db)
				if err != nil {
					return err
				}
				return a.show(v, func() { a.drawStatus(v) })
			})
		},
	}
}

func readStatus(ctx context.Context, db *store.Store) (v statusView, err error) {
	if v.controlsView, err = readControls(ctx, db); err != nil {
		return v, err
	}
	last, err := db.LastSweep(ctx)
	switch {
	case err == nil:
		v.Sweep = &lastSweepView{Ended: last.Ended.UTC()}
		if v.Sweep.Believed, v.Sweep.Doubt, err = db.LastBelieved(ctx); err != nil {
			return v, err
		}
		v.Sweep.Believed = v.Sweep.Believed.UTC()
	case !errors.Is(err, store.ErrNotFound):
		return v, err
	}
	if v.Nodes, err = db.CountNodes(ctx); err != nil {
		return v, err
	}
	if v.Issues, err = db.CountIssues(ctx); err != nil {
		return v, err
	}
	v.Penalised = []penaltyView{}
	sites, err := db.Sites(ctx)
	for _, s := range sites {
		if s.PenaltyLevel > 0 && !s.Gone {
			v.Penalised = append(v.Penalised, penaltyView{s.LoginBase, s.PenaltyLevel})
		}
	}
	for i := range v.Nodes {
		v.Nodes[i].Status = cmp.Or(v.Nodes[i].Status, "unseen") // no sweep has judged it
	}
	slices.SortFunc(v.Nodes, func(x, y store.StatusCount) int { return strings.Compare(x.Status, y.Status) })
	slices.SortFunc(v.Issues, func(x, y store.IssueCount) int { return strings.Compare(x.Type+x.Status, y.Type+y.Status) })
	return v, err
}

func (a *app) drawStatus(v statusView) {
	a.drawControls(v.controlsView)
	switch s := v.Sweep; {
	case s == nil:
		a.say("no sweep has ended yet: is monitor-worker running?")
	case s.Doubt != "":
		a.say("the last sweep, which ended %s, is not believed, so nothing acts: %s", a.when(s.Ended), clean(s.Doubt))
	default:
		a.say("the last sweep ended %s", a.when(s.Ended))
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
}
