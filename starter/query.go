package main

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

// query is one command for all kinds of rows.
func (a *app) query() *cobra.Command {
	var l listing
	var closed, page bool
	var limit int
	var past string
	kinds := []string{"nodes", "sites", "pcus", "issues", "ledger", "history"}
	cmd := &cobra.Command{
		Use: "query [nodes|sites|pcus|issues|ledger|history]", Short: "List nodes, sites, PCUs, issues, acts or changes by an expression",
		Long: "List nodes (where nothing else is asked for), sites, PCUs, issues, lines of the ledger or of the history by an expression over\n" +
			"their fields.\n\n" + selectHelp,
		Example: `  monitor query --select site=princeton,state!=boot
  monitor query --select 'status in ["down", "failboot"] && last_contact_age > duration("48h")' --sort -status_age
  monitor query --select planetlab1.example.edu --explain-select planetlab1.example.edu
  monitor query nodes --list-fields
  monitor query nodes --select 'planetlab*.example.edu' --not-in issues=nodedown --fields name,site,kernel,uptime -o csv
  monitor query sites --select 'penalty=[12]||status=down' -o name
  monitor query pcus --select ok=no --sort site,-bad_age
  monitor query issues --closed --select 'type=nodedown,age<30d' -o yaml
  monitor query ledger --select 'kind=reboot,age<7d' --sort -at
  monitor query --select 'state=DOWN&&loginbase=princ' -o wide
  monitor query --at 2026-11-23 --select state=down
  monitor query --at 12h --sort since
  monitor query issues --at 3d --select type=nodedown
  monitor query history --select 'kind=fact,age<7d' --sort target,at`,
		ValidArgsFunction: a.completeKind(kinds, func(string) lister { return nothing }),
		Args:              cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if page {
				a.say("%s", strings.TrimRight(selection.Page(issueTypes()), "\n"))
				return nil
			}
			if limit < 1 {
				return badInput("--limit must be above zero")
			}
			kind := "nodes"
			if len(args) == 1 {
				kind = args[0]
			}
			ctx := cmd.Context()
			if past != "" {
				then, err := a.pastMoment("--at", past)
				switch {
				case kind != "nodes" && kind != "issues":
					return badInput("--at is for nodes and issues: of %s only what is now is kept", kind)
				case err != nil:
					return err
				case kind == "issues":
					return list(ctx, a, &l, a.pastIssues(then, limit))
				}
				return list(ctx, a, &l, a.pastNodes(then))
			}
			switch kind {
			case "nodes":
				return list(ctx, a, &l, a.nodeSource())
			case "sites":
				return list(ctx, a, &l, a.siteSource())
			case "pcus":
				return list(ctx, a, &l, a.pcuSource())
			case "issues":
				return list(ctx, a, &l, a.issueSource(closed, limit))
			case "ledger":
				return list(ctx, a, &l, a.ledgerSource(limit))
			case "history":
				return list(ctx, a, &l, a.historySource("", limit))
			}
			return oneOf("the kind", kind, kinds)
		},
	}
	l.addFlags(cmd)
	cmd.Flags().BoolVar(&closed, "closed", false, "of issues: the closed ones, too")
	cmd.Flags().
		IntVar(&limit, "limit", 100_000, "of issues, the ledger and the history: look at most at this `number`, the latest first")
	cmd.Flags().StringVar(&past, "at", "", "nodes as they were, or issues that were open, at this `time`: "+pastHelp)
	cmd.Flags().BoolVar(&page, "markdown", false, "print docs/select.md")
	_ = cmd.Flags().MarkHidden("markdown") // it is for `make docs`
	_ = cmd.RegisterFlagCompletionFunc("fields", a.completeFields)
	_ = cmd.RegisterFlagCompletionFunc("sort", a.completeFields)
	return cmd
}

func nothing(context.Context, *store.Store) ([]string, error) { return nil, nil }

// completeFields suggests the fields of the kind that is asked for.
func (a *app) completeFields(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	fields := selection.Nodes(nil).Fields()
	if len(args) == 1 {
		switch args[0] {
		case "sites":
			fields = selection.Sites(nil).Fields()
		case "pcus":
			fields = selection.PCUs(nil).Fields()
		case "issues":
			fields = selection.Issues(nil).Fields()
		case "ledger":
			fields = selection.Ledger().Fields()
		case "history":
			fields = selection.History().Fields()
		}
	}
	var names []cobra.Completion
	for _, f := range fields {
		names = append(names, cobra.CompletionWithDesc(f.Name, f.About))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) nodeSource() source[selection.Node] {
	return source[selection.Node]{
		table: selection.Nodes(issueTypes()),
		brief: []string{"name", "site", "status", "since", "boot_state", "state", "why"},
		wide: []string{
			"category",
			"uptime",
			"last_contact",
			"pcu",
			"pcu.status",
			"site.penalty",
			"issues",
			"ip",
			"model",
		},
		read: func(ctx context.Context, db *store.Store, uses func(string) bool) ([]selection.Node, store.Unreadable, error) {
			return db.NodeRows(ctx, a.now(), selection.NodePartsOf(uses))
		},
		over: func(ctx context.Context, r *apiServer, uses func(string) bool) ([]selection.Node, error) {
			return r.remoteNodes(ctx, selection.NodePartsOf(uses).Details, time.Time{})
		},
	}
}

func (a *app) siteSource() source[selection.Site] {
	return source[selection.Site]{
		table: selection.Sites(issueTypes()),
		brief: []string{"site", "name", "status", "since", "penalty", "nodes", "nodes_up"},
		wide:  []string{"enabled", "pending", "exempt", "blacklisted", "pcus", "issues"},
		read: func(ctx context.Context, db *store.Store, _ func(string) bool) ([]selection.Site, store.Unreadable, error) {
			return db.SiteRows(ctx, a.now())
		},
		over: func(ctx context.Context, r *apiServer, _ func(string) bool) ([]selection.Site, error) {
			return rowsOf[selection.Site](ctx, r, "/sites", nil, 0)
		},
	}
}

func (a *app) pcuSource() source[selection.PCU] {
	return source[selection.PCU]{
		table: selection.PCUs(issueTypes()),
		brief: []string{"name", "site", "model", "status", "ok", "seen", "why"},
		wide:  []string{"id", "hostname", "ip", "bad_age", "nodes", "issues"},
		read: func(ctx context.Context, db *store.Store, _ func(string) bool) ([]selection.PCU, store.Unreadable, error) {
			return db.PCURows(ctx)
		},
		over: func(ctx context.Context, r *apiServer, _ func(string) bool) ([]selection.PCU, error) {
			return rowsOf[selection.PCU](ctx, r, "/pcus", nil, 0)
		},
	}
}

func (a *app) issueSource(closed bool, limit int) source[selection.Issue] {
	return source[selection.Issue]{
		table: selection.Issues(issueTypes()),
		brief: []string{"id", "site", "status", "penalty", "opened", "next", "next_at"},
		wide:  []string{"closed", "outcome", "cause"},
		read: func(ctx context.Context, db *store.Store, _ func(string) bool) ([]selection.Issue, store.Unreadable, error) {
			rows, bad, err := db.IssueRows(ctx, closed, limit)
			a.warnAtLimit(len(rows), limit)
			return rows, bad, err
		},
		over: func(ctx context.Context, r *apiServer, _ func(string) bool) ([]selection.Issue, error) {
			query := url.Values{"closed": {strconv.FormatBool(closed)}}
			rows, err := rowsOf[selection.Issue](ctx, r, "/issues", query, limit)
			a.warnAtLimit(len(rows), limit)
			return rows, err
		},
	}
}

func (a *app) ledgerSource(limit int) source[selection.Action] {
	return source[selection.Action]{
		table: selection.Ledger(),
		brief: []string{"key", "at", "kind", "site", "node", "outcome", "reason"},
		wide:  []string{"issue", "pcu", "committed", "finished", "detail", "times"},
		read: func(ctx context.Context, db *store.Store, _ func(string) bool) ([]selection.Action, store.Unreadable, error) {
			rows, bad, err := db.LedgerRows(ctx, limit)
			a.warnAtLimit(len(rows), limit)
			return rows, bad, err
		},
		over: func(ctx context.Context, r *apiServer, _ func(string) bool) ([]selection.Action, error) {
			rows, err := rowsOf[selection.Action](ctx, r, "/ledger", nil, limit)
			a.warnAtLimit(len(rows), limit)
			return rows, err
		},
	}
}

func (a *app) warnAtLimit(rows, limit int) {
	if rows == limit {
		a.warn("only the latest %d are looked at: see --limit", limit)
	}
}
