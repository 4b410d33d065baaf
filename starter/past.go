package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

const pastHelp = "2026-11-20, 2026-11-20T15:00:00Z (UTC where no zone is given), or how long ago, such as 3d or 12h"

// pastMoment reads a time that lies behind. A policy time is how long ago.
func (a *app) pastMoment(flag, s string) (time.Time, error) {
	at := time.Time{}
	if d, err := config.ParsePolicyTime(s); err == nil {
		cfg, err := a.config()
		if err != nil {
			return at, err
		}
		at = a.now().Add(-cfg.Policy.RealTime(d)).UTC()
	} else if at, err = a.readMoment(s); err != nil {
		return at, badInput("%s: %q is no time: write %s", flag, s, pastHelp)
	}
	if at.After(a.now()) {
		return at, badInput("%s: %q lies ahead: it is %s", flag, s, a.when(at))
	}
	return at, nil
}

// pastNodes are nodes as they were at a time.
func (a *app) pastNodes(at time.Time) source[selection.Node] {
	return source[selection.Node]{
		table: selection.NodesAt(issueTypes()),
		brief: []string{"name", "site", "status", "since", "state", "why", "issues"},
		wide:  []string{"category", "ip", "model"},
		now:   at,
		read: func(ctx context.Context, db *store.Store, _ func(string) bool) (
			[]selection.Node, store.Unreadable, error,
		) {
			return db.NodeRowsAt(ctx, at)
		},
		over: func(ctx context.Context, r *apiServer, _ func(string) bool) ([]selection.Node, error) {
			return r.remoteNodes(ctx, false, at)
		},
	}
}

func (a *app) diff() *cobra.Command {
	var r selection.Request
	cmd := &cobra.Command{
		Use: "diff THEN [LATER]", Short: "Say which nodes were other than they are, or than they were later",
		Args: cobra.RangeArgs(1, 2),
		Long: "Say which nodes had another status, were seen in another state or had other issues at one time than at another, or\n" +
			"than they have now. A time is " + pastHelp + ".\n--select is asked what was true at the later time.\n\n" + selectHelp,
		Example: "  monitor diff 3d\n  monitor diff 2026-11-17 2026-11-24 --select site=princeton\n  monitor diff 12h -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			then, err := a.pastMoment("THEN", args[0])
			if err != nil {
				return err
			}
			later := a.now()
			if len(args) == 2 {
				if later, err = a.pastMoment("LATER", args[1]); err != nil {
					return err
				}
			}
			if !then.Before(later) {
				return badInput("THEN must lie before LATER: %s, and %s", a.when(then), a.when(later))
			}
			changes, err := a.changesBetween(cmd.Context(), then, later, r)
			if err != nil {
				return err
			}
			return a.show(changes, func() { a.changeTable("no node is other than it was", changes) })
		},
	}
	cmd.Flags().StringArrayVar(&r.Select, "select", nil, "only nodes that this `expression` selects; may be given again")
	cmd.Flags().StringArrayVar(&r.NotIn, "not-in", nil, "no node that this `expression` selects; may be given again")
	return cmd
}

func (a *app) changesBetween(ctx context.Context, then, later time.Time, r selection.Request) ([]changeView, error) {
	opts, err := a.selectOptions()
	if err != nil {
		return nil, err
	}
	opts.Now = later
	set, err := selection.NewSet(selection.NodesAt(issueTypes()), r, opts)
	if err != nil {
		return nil, badInput("%w", err)
	}
	changes := []changeView{}
	compare := func(read func(time.Time) ([]selection.Node, error)) error {
		before, err := read(then)
		if err != nil {
			return err
		}
		after, err := read(later)
		if err != nil {
			return err
		}
		if after, err = pick(set, after); err != nil {
			return err
		}
		was := map[string]selection.Node{}
		for _, n := range before {
			was[n.Name] = n
		}
		for _, n := range after {
			if c, changed := changeOfNode(was[n.Name], n); changed {
				changes = append(changes, c)
			}
		}
		return nil
	}
	done, err := a.overAPI(ctx, func(ctx context.Context, r *apiServer) error {
		return compare(func(at time.Time) ([]selection.Node, error) { return r.remoteNodes(ctx, false, at) })
	})
	if !done {
		err = a.withStore(ctx, func(ctx context.Context, db *store.Store) error {
			return compare(func(at time.Time) ([]selection.Node, error) {
				rows, _, err := db.NodeRowsAt(ctx, at)
				return rows, err
			})
		})
	}
	slices.SortFunc(changes, func(x, y changeView) int { return strings.Compare(x.Site+"/"+x.Name, y.Site+"/"+y.Name) })
	return changes, err
}
