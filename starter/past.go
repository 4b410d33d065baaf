package main

import (
	"context"
	"net/url"
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
		read: func(ctx context.Context, db *store.Store, uses func(string) bool) (
			[]selection.Node, store.Unreadable, error,
		) {
			return db.NodeRowsAt(ctx, at, uses("facts"))
		},
		over: func(ctx context.Context, r *apiServer, uses func(string) bool) ([]selection.Node, error) {
			return r.remoteNodes(ctx, uses("facts"), at)
		},
	}
}

// pastIssues are the issues that were open at a time.
func (a *app) pastIssues(at time.Time, limit int) source[selection.Issue] {
	return source[selection.Issue]{
		table: selection.IssuesAt(issueTypes()),
		brief: []string{"id", "site", "opened", "closed", "outcome", "cause"},
		now:   at,
		read: func(ctx context.Context, db *store.Store, _ func(string) bool) ([]selection.Issue, store.Unreadable, error) {
			return db.IssueRowsAt(ctx, at, limit)
		},
		over: func(ctx context.Context, r *apiServer, _ func(string) bool) ([]selection.Issue, error) {
			return rowsOf[selection.Issue](ctx, r, "/issues", url.Values{"at": {at.UTC().Format(time.RFC3339Nano)}}, limit)
		},
	}
}

// historySource is what became other than it was, of one target or of all.
func (a *app) historySource(target string, limit int) source[selection.Passage] {
	return source[selection.Passage]{
		table: selection.History(),
		brief: []string{"target", "at", "kind", "was", "became", "reason"},
		wide:  []string{"site", "age"},
		read: func(ctx context.Context, db *store.Store, _ func(string) bool) ([]selection.Passage, store.Unreadable, error) {
			name := target
			if target != "" { // the history of a name that nobody knows would be empty
				var err error
				if _, name, err = findTarget(ctx, db, target); err != nil {
					return nil, nil, err
				}
			}
			rows, bad, err := db.HistoryRows(ctx, name, limit)
			a.warnAtLimit(len(rows), limit)
			return rows, bad, err
		},
		over: func(ctx context.Context, r *apiServer, _ func(string) bool) ([]selection.Passage, error) {
			rows, err := rowsOf[selection.Passage](ctx, r, "/history", url.Values{"target": {target}}, limit)
			a.warnAtLimit(len(rows), limit)
			return rows, err
		},
	}
}

func (a *app) history() *cobra.Command {
	var l listing
	var limit int
	cmd := &cobra.Command{
		Use: "history TARGET", Short: "List what became other than it was of a node, a PCU or a site, the latest first",
		Args: takes("TARGET"), ValidArgsFunction: a.complete(targetNames),
		Long: "List what became other than it was of a node, a PCU or a site, the latest first: its status, what looks saw, its facts, and what\n" +
			"the inventory says. It is short for `monitor query history`, which lists that of many.\n\n" + selectHelp,
		Example: "  monitor history planetlab1.example.edu\n  monitor history planetlab1.example.edu --select 'kind=fact,age<7d' -o csv",
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 {
				return badInput("--limit must be above zero")
			}
			return list(cmd.Context(), a, &l, a.historySource(args[0], limit))
		},
	}
	l.addFlags(cmd)
	cmd.Flags().IntVar(&limit, "limit", 1000, "list at most this `number`")
	return cmd
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
	addSelection(cmd, &r, "nodes")
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
		return compare(func(at time.Time) ([]selection.Node, error) { return r.remoteNodes(ctx, set.Uses("facts"), at) })
	})
	if !done {
		err = a.withStore(ctx, func(ctx context.Context, db *store.Store) error {
			return compare(func(at time.Time) ([]selection.Node, error) {
				rows, _, err := db.NodeRowsAt(ctx, at, set.Uses("facts"))
				return rows, err
			})
		})
	}
	slices.SortFunc(changes, func(x, y changeView) int { return strings.Compare(x.Site+"/"+x.Name, y.Site+"/"+y.Name) })
	return changes, err
}
