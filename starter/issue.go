package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

func (a *app) issue() *cobra.Command {
	cmd := group("issue", "List, show, open and steer issues", "  monitor issue list --site princeton\n  monitor issue pause nodedown/planetlab1.example.edu --until 3d --reason \"new disk ordered\"")
	order := func(name, short, example string) *cobra.Command { return a.order(name, short, example) }
	cmd.AddCommand(
		a.issueList(), a.issueShow(), a.issueOpen(),
		order(string(issue.OrderPause), "Freeze an issue: nothing is done to its target and nobody is written to", `  monitor issue pause nodedown/planetlab1.example.edu --until 2026-12-24 --reason "new disk ordered"
  monitor issue pause nodedown/planetlab1.example.edu --until 3d --by alice`),
		order(string(issue.OrderResume), "Let a paused issue go on where it was", "  monitor issue resume nodedown/planetlab1.example.edu --reason \"the disk is in\""),
		order(string(issue.OrderClose), "Close an issue and release its hold on the site", "  monitor issue close pcudown/pcu1.example.edu --reason \"this PCU is retired\""),
		order(string(issue.OrderSkip), "Pass over the next rung of an issue; the wait before it stays", "  monitor issue skip nodedown/planetlab1.example.edu --reason \"do not reinstall, its disk has data\""),
		a.issueVeto(issue.OrderVeto, "Pass over a coming step of an issue when it is due", "  monitor issue veto nodedown/planetlab1.example.edu 3 --reason \"its disk has data\""),
		a.issueVeto(issue.OrderAllow, "Take a veto back", "  monitor issue allow nodedown/planetlab1.example.edu 3 --reason \"the data is saved\""),
	)
	return cmd
}

func (a *app) issueList() *cobra.Command {
	var f store.IssueFilter
	var l listing
	var all bool
	statuses := []string{string(issue.Open), string(issue.Paused), string(issue.Closed)}
	cmd := &cobra.Command{
		Use: "list", Short: "List the open issues, or all", Args: takes(), Aliases: []string{"ls"},
		Long: "List the open issues, or all.\n\n" + selectHelp,
		Example: `  monitor issue list
  monitor issue list --type pcudown --all
  monitor issue list --status paused -o json
  monitor issue list --select 'site=princeton,age>7d' --sort next_at`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.Limit < 1 {
				return badInput("--limit must be above zero")
			}
			if err := oneOf("--status", f.Status, statuses); err != nil {
				return err
			}
			if f.Type != "" {
				if err := orders.CheckType(f.Type); err != nil {
					return err
				}
			}
			f.Open = !all && f.Status == ""
			s := a.issueSource(!f.Open, everything)
			s.site = f.Site
			s.keep = func(i *selection.Issue) bool {
				return (f.Status == "" || i.Status == f.Status) && (f.Type == "" || i.Type == f.Type) && (f.Site == "" || i.Site == f.Site)
			}
			s.own = a.ownIssues
			s.most = f.Limit
			return list(cmd.Context(), a, &l, s)
		},
	}
	cmd.Flags().StringVar(&f.Type, "type", "", "only this `type` of issue")
	cmd.Flags().StringVar(&f.Site, "site", "", "only of the site with this `login_base`")
	cmd.Flags().StringVar(&f.Status, "status", "", "only with this `status`: open, paused or closed")
	cmd.Flags().BoolVar(&all, "all", false, "closed ones, too")
	cmd.Flags().IntVar(&f.Limit, "limit", 1000, "show at most this `number`, open ones and the latest first")
	l.addFlags(cmd)
	_ = cmd.RegisterFlagCompletionFunc("type", a.fixed(issueTypes()...))
	_ = cmd.RegisterFlagCompletionFunc("site", a.complete(siteNames))
	_ = cmd.RegisterFlagCompletionFunc("status", a.fixed(statuses...))
	return cmd
}

// ownIssues shows the issues of rows, in their order, as this command always did.
func (a *app) ownIssues(rows []selection.Issue) (any, func()) {
	views := make([]answers.Issue, 0, len(rows))
	for _, i := range rows {
		views = append(views, answers.IssueOf(store.Issue{ID: i.ID, RunID: i.RunID, Type: i.Type, Target: i.Target, Site: i.Site, Status: i.Status, Cause: i.Cause, Level: i.Level,
			Opened: i.Opened, Closed: i.Closed, Next: i.Next, NextAt: i.NextAt, Outcome: i.Outcome}))
	}
	return views, func() { a.issueTable("no issues", views) }
}

func (a *app) issueTable(none string, views []answers.Issue) {
	var rows []row
	for _, v := range views {
		next, at := v.Next, v.NextAt
		if v.Status == string(issue.Closed) {
			next, at = v.Outcome, v.Closed
		}
		rows = append(rows, row{v.ID, v.Site, a.state(v.Status), v.Penalty, v.Opened, orDash(next), at})
	}
	a.table(none, row{"ISSUE", "SITE", "STATUS", "PENALTY", "OPENED", "NEXT OR OUTCOME", "AT"}, rows)
}

func (a *app) issueShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show where an issue is, its story, and what was done", Args: takes("ID"), ValidArgsFunction: a.complete(allIssues),
		Long:    "Show where an issue is on its ladder, its story, and all that the ledger holds of it.\n\nA running issue is asked itself; the store answers for one that cannot be asked.",
		Example: "  monitor issue show nodedown/planetlab1.example.edu\n  monitor issue show pcudown/pcu1.example.edu -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := orders.CheckID(args[0]); err != nil {
				return err
			}
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				var v answers.Issue
				if err := r.get(ctx, issuePath(args[0]), nil, &v); err != nil {
					return err
				}
				if v.Missing != "" {
					a.warn("%s", v.Missing)
					v.Missing = ""
				}
				return a.show(v, func() { a.drawIssue(v) })
			}); done {
				return err
			}
			ctx, cancel := a.within(cmd.Context(), patience)
			defer cancel()
			v, err := a.wholeIssue(ctx, args[0])
			if err != nil {
				return err
			}
			return a.show(v, func() { a.drawIssue(v) })
		},
	}
}

// wholeIssue asks the store and the workflow.
func (a *app) wholeIssue(ctx context.Context, id string) (answers.Issue, error) {
	db, err := a.openStore(ctx)
	if err != nil {
		return answers.Issue{}, err
	}
	defer db.Close()
	v, err := answers.StoredIssue(ctx, db, id)
	if err != nil {
		return v, err
	}
	tc, away := a.openTemporal(ctx)
	if away == nil {
		defer tc.Close()
	}
	if err = v.Live(ctx, tc, away); errors.Is(err, store.ErrNotFound) {
		return v, notFound("there is no issue %s: see `monitor issue list --all`", id)
	}
	if v.Missing != "" {
		a.warn("%s", v.Missing)
		v.Missing = "" // it is said
	}
	return v, err
}

func (a *app) drawIssue(v answers.Issue) {
	a.say("%s", v.ID)
	penalty := ""
	if v.Penalty > 0 {
		penalty = fmt.Sprintf("level %d", v.Penalty)
	}
	a.facts(row{"status", a.state(v.Status)}, row{"site", v.Site}, row{"cause", v.Cause}, row{"penalty", penalty},
		row{"opened", a.when(v.Opened)}, row{"closed", a.when(v.Closed)}, row{"outcome", v.Outcome},
		row{"next", v.Next}, row{"at", a.when(v.NextAt)}, row{"waits", v.Blocked})
	if len(v.Evidence) > 0 {
		a.heading("Evidence")
		for _, line := range v.Evidence {
			a.say("  %s", line)
		}
	}
	if len(v.Earlier) > 0 {
		a.heading("Earlier")
		var rows []row
		for _, e := range v.Earlier {
			rows = append(rows, row{"  " + a.when(e.Opened), a.when(e.Closed), e.Outcome})
		}
		a.grid(rows)
	}
	if len(v.Timeline) > 0 {
		a.heading("Story")
		var rows []row
		for _, h := range v.Timeline {
			rows = append(rows, row{"  " + a.when(h.At), h.String()})
		}
		a.grid(rows)
	}
	a.drawActions(v.Actions)
}

// drawActions prints lines of the ledger.
func (a *app) drawActions(list []store.Action) {
	if len(list) == 0 {
		return
	}
	a.heading("Actions")
	var rows []row
	for _, x := range list {
		outcome := x.Outcome
		if outcome == "" {
			outcome = "intended"
		}
		why := x.Reason
		if x.Detail != "" && x.Detail != x.Reason {
			why = strings.Trim(why+": "+x.Detail, ": ")
		}
		rows = append(rows, row{"  " + a.when(x.At), x.Kind, a.state(outcome), why})
	}
	a.grid(rows)
}

// order is a command of operators that the issue's workflow carries out and answers.
func (a *app) order(name, short, example string) *cobra.Command {
	var f reasonFlags
	var w orders.Words
	var until string
	cmd := &cobra.Command{
		Use: name + " ID", Short: short, Example: example, Args: takes("ID"), ValidArgsFunction: a.complete(openIssues),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := orders.CheckID(args[0]); err != nil {
				return err
			}
			if until != "" {
				var err error
				if w.Until, err = a.moment(until); err != nil {
					return err
				}
			}
			return a.give(cmd.Context(), f.order(a), args[0], issue.Order(name), w)
		},
	}
	f.add(cmd)
	cmd.Flag("reason").Usage = "`why`; it stands in the issue's story"
	if name == string(issue.OrderPause) {
		cmd.Flags().StringVar(&until, "until", "", "`when` the pause ends by itself: "+momentHelp)
	}
	return cmd
}

const momentHelp = "2026-12-24, 2026-12-24T15:00:00Z (UTC where no zone is given), or a policy time such as 3d or 12h"

// moment reads a time ahead. A policy time is real time unless policy.day is shortened, as it is in the demo.
func (a *app) moment(s string) (time.Time, error) {
	at, err := a.readMoment(s)
	if err == nil && !at.After(a.now()) {
		err = badInput("%q lies in the past: it is %s", s, a.when(at))
	}
	return at, err
}

func (a *app) readMoment(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", "2006-01-02 15:04 UTC", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	d, err := config.ParsePolicyTime(s)
	if err != nil {
		return time.Time{}, badInput("%q is no time: write %s", s, momentHelp)
	}
	cfg, err := a.config()
	if err != nil {
		return time.Time{}, err
	}
	return a.now().Add(cfg.Policy.RealTime(d)).UTC(), nil
}

// oneOf checks the value of a flag that knows only some; without one, the flag asks for nothing.
func oneOf(flag, value string, known []string) error {
	if value != "" && !slices.Contains(known, value) {
		return badInput("%s must be one of %s, not %q", flag, strings.Join(known, ", "), value)
	}
	return nil
}

func issueTypes() []string {
	var types []string
	for _, t := range issue.Types() {
		types = append(types, t.Name)
	}
	return types
}
