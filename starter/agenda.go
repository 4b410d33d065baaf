package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/store"
)

func (a *app) agenda() *cobra.Command {
	var login, ahead string
	cmd := &cobra.Command{
		Use: "agenda", Short: "List every coming act of the fleet, in order of time", Args: takes(),
		Long: `List every coming act of the fleet, in order of time: what each open issue does next and after that, and when sites are
penalised, if nothing changes. Each is asked of the gate again when its time has come: "monitor why-not" shows how that
would answer now. A step can be vetoed: "monitor issue veto ISSUE STEP".`,
		Example: `  monitor agenda
  monitor agenda --site princeton --for 56d
  monitor agenda -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			policyTime, err := config.ParsePolicyTime(ahead)
			if err != nil {
				return badInput("--for: %w", err)
			}
			cfg, err := a.config()
			if err != nil {
				return err
			}
			until := a.now().Add(cfg.Policy.RealTime(policyTime)).UTC()
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				var v answers.Agenda
				query := url.Values{"site": {login}, "until": {until.Format(time.RFC3339)}}
				if err := r.get(ctx, "/agenda", query, &v); err != nil {
					return err
				}
				return a.showAgenda(v)
			}); done {
				return err
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) error {
				if err := knownSite(ctx, db, login); err != nil {
					return err
				}
				tc, away := a.openTemporalSoon(ctx)
				if away == nil {
					defer tc.Close()
				}
				v, err := answers.ReadAgenda(ctx, db, tc, login, a.now(), until)
				if err != nil {
					return err
				}
				if away != nil {
					v.Missing = "coming penalties are not shown: " + away.Error()
				}
				return a.showAgenda(v)
			})
		},
	}
	cmd.Flags().StringVar(&login, "site", "", "only of the site with this `login_base`")
	cmd.Flags().StringVar(&ahead, "for", "28d", "how far to look `ahead`, in policy time such as 3d or 1d12h")
	_ = cmd.RegisterFlagCompletionFunc("site", a.complete(siteNames))
	return cmd
}

func (a *app) showAgenda(v answers.Agenda) error {
	if v.Missing != "" {
		a.warn("%s", v.Missing)
	}
	return a.show(v, func() { a.drawAgenda(v) })
}

func (a *app) drawAgenda(v answers.Agenda) {
	var rows, vetoed []row
	for _, s := range v.Steps {
		rows = append(rows, row{s.At, s.Site, orDash(s.Issue), stepNumber(s.Step), s.What, orDash(s.Waits)})
	}
	a.table("nothing comes until "+a.when(v.Until), row{"NOT BEFORE", "SITE", "ISSUE", "STEP", "WHAT", "WAITS"}, rows)
	for _, s := range append(slices.Clone(v.Vetoed), v.Paused...) {
		vetoed = append(vetoed, row{s.Site, s.Issue, stepNumber(s.Step), s.What, s.Reason})
	}
	if len(vetoed) > 0 {
		a.heading("vetoed, or paused until somebody resumes it")
		a.table("", row{"SITE", "ISSUE", "STEP", "WHAT", "WHY"}, vetoed)
	}
	if len(v.Unread) > 0 {
		a.warn("of %d open issues nobody knows yet what comes: %s", len(v.Unread), strings.Join(v.Unread, ", "))
	}
}

func stepNumber(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// issueVeto is for both a veto and its end, which take a step beside the issue.
func (a *app) issueVeto(name issue.Order, short, example string) *cobra.Command {
	var f reasonFlags
	var w orders.Words
	cmd := &cobra.Command{
		Use: string(name) + " ID STEP", Short: short, Example: example, Args: takes("ID", "STEP"), ValidArgsFunction: a.complete(openIssues),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := orders.CheckID(args[0]); err != nil {
				return err
			}
			var err error
			if w.Step, err = strconv.Atoi(args[1]); err != nil || w.Step < 1 {
				return badInput("%q is no step: write its number, as `monitor agenda` shows it", args[1])
			}
			return a.give(cmd.Context(), f.order(a), args[0], name, w)
		},
	}
	f.add(cmd)
	cmd.Flag("reason").Usage = "`why`; it stands in the issue's story"
	return cmd
}
