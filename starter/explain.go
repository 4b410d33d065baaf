package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/store"
)

func (a *app) explain() *cobra.Command {
	return &cobra.Command{
		Use: "explain TARGET", Short: "Explain a node, a PCU, a site or an issue: what was seen, decided and done, and what comes", Args: takes("TARGET"),
		Long: `Explain a node, a PCU, a site or an issue: what was seen, what is decided and why, what was done, what is in the way, and
what comes next and when. A worker is asked what the gate would say to the next step; the target is looked at for that.`,
		Example: `  monitor explain planetlab1.example.edu
  monitor explain princeton
  monitor explain nodedown/planetlab1.example.edu -o json`,
		ValidArgsFunction: a.complete(explainable),
		RunE: func(cmd *cobra.Command, args []string) error {
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				var e answers.Explanation
				if err := r.get(ctx, "/explain", url.Values{"target": {args[0]}}, &e); err != nil {
					return err
				}
				return a.showExplained(e)
			}); done {
				return err
			}
			return a.asking(cmd.Context(), args[0], func(ctx context.Context, db *store.Store, tc client.Client, t answers.Target) error {
				e, err := answers.Explain(ctx, db, tc, t)
				if err != nil {
					return err
				}
				return a.showExplained(e)
			})
		},
	}
}

func (a *app) whyNot() *cobra.Command {
	var at string
	cmd := &cobra.Command{
		Use: "why-not TARGET ACT", Short: "Show why something is not done, check by check", Args: takes("TARGET", "ACT"),
		Long: `Show why something is not done, check by check: whether an issue would do it and when, and then every check of the gate
that an act must pass, with its answer and when that may change. A worker answers, by the code that acts, after a fresh
look. The acts are ` + strings.Join(answers.Acts(), ", ") + `.

With --at it tells how they would answer then, if nothing but the time changes. It exits with 0 either way.`,
		Example: `  monitor why-not planetlab1.example.edu reboot
  monitor why-not planetlab1.example.edu reinstall --at 3d
  monitor why-not dnserror/planetlab1.example.edu open
  monitor why-not princeton penalize -o json`,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return a.fixed(answers.Acts()...)(cmd, args, prefix)
			}
			return a.complete(explainable)(cmd, args, prefix)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var when time.Time
			if at != "" {
				var err error
				if when, err = a.moment(at); err != nil {
					return err
				}
			}
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				query := url.Values{"target": {args[0]}, "act": {args[1]}}
				if !when.IsZero() {
					query.Set("at", when.UTC().Format(time.RFC3339))
				}
				var v activities.WhyNotAnswer
				if err := r.get(ctx, "/why-not", query, &v); err != nil {
					return err
				}
				return a.show(v, func() { a.drawWhyNot(v) })
			}); done {
				return err
			}
			return a.asking(cmd.Context(), args[0], func(ctx context.Context, _ *store.Store, tc client.Client, t answers.Target) error {
				q, err := answers.Question(t, args[1], when)
				if err != nil {
					return badInput("%w", err)
				}
				if tc == nil {
					return fmt.Errorf("only a worker can answer, and Temporal cannot be reached: check temporal.address")
				}
				v, err := answers.WhyNot(ctx, tc, q)
				if err != nil {
					return err
				}
				return a.show(v, func() { a.drawWhyNot(v) })
			})
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "`when` it would be done: "+momentHelp)
	return cmd
}

// asking finds a target and connects to all who know of it. Temporal's absence is said; what the store knows can still be told.
func (a *app) asking(ctx context.Context, name string, do func(context.Context, *store.Store, client.Client, answers.Target) error) error {
	ctx, cancel := a.within(ctx, 2*patience) // a worker looks first
	defer cancel()
	db, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	t, err := answers.Find(ctx, db, name)
	if err != nil {
		return err
	}
	tc, err := a.openTemporalSoon(ctx)
	if err != nil {
		a.warn("%v", err)
		return do(ctx, db, nil, t)
	}
	defer tc.Close()
	return do(ctx, db, tc, t)
}

func explainable(ctx context.Context, db *store.Store) ([]string, error) {
	names, err := targetNames(ctx, db)
	if err != nil {
		return nil, err
	}
	open, err := openIssues(ctx, db)
	return append(names, open...), err
}

func (a *app) showExplained(e answers.Explanation) error {
	if e.Missing != "" {
		a.warn("%s", e.Missing)
	}
	return a.show(e, func() { a.drawExplained(e) })
}

func (a *app) drawExplained(e answers.Explanation) {
	a.say("%s", a.state(e.Name))
	var seen, done []row
	for _, s := range e.Seen {
		seen = append(seen, row{s.Name, a.state(string(s.Status)), s.Since, orDash(s.Saw), s.At})
	}
	a.heading("seen")
	a.table("never looked at", row{"TARGET", "STATUS", "SINCE", "SAW", "LOOKED"}, seen)
	a.heading("decided")
	if e.Controls.Stopped != "" || e.Controls.Why != "" {
		a.drawControls(e.Controls)
	}
	if w := e.Unopened; w != nil {
		a.say("no issue is open: %s", w.Reason)
	} else if len(e.Issues) == 0 {
		a.say("no issue is open")
	}
	for _, i := range e.Issues {
		a.explainIssue(i)
	}
	if w := e.Penalty; w != nil {
		a.say("its next penalty step: %s", a.verdict(*w))
	}
	for _, d := range e.Done {
		done = append(done, row{d.At, string(d.Kind), orDash(d.Outcome), orDash(d.Reason), orDash(d.Detail)})
	}
	a.heading("done")
	a.table("nothing yet", row{"WHEN", "WHAT", "OUTCOME", "WHY", "DETAIL"}, done)
}

func (a *app) explainIssue(i answers.Explained) {
	a.say("%s is %s since %s: %s", i.ID, a.state(i.Status), a.when(i.Opened), i.Cause)
	if i.WhyNot != nil && !i.WhyNot.Do {
		a.say("  in the way of its next step: %s", a.verdict(*i.WhyNot))
		for _, c := range i.WhyNot.Checks {
			if !c.Do && c.Name != i.WhyNot.Check {
				a.say("  and then %s: %s", c.Name, c.Reason)
			}
		}
	}
	var steps []row
	for _, s := range i.Coming {
		steps = append(steps, row{"  ", s.At, stepNumber(s.Step), s.What, orDash(s.Waits)})
	}
	if len(steps) > 0 {
		a.table("", row{"  ", "NOT BEFORE", "STEP", "COMES NEXT", "WAITS"}, steps)
	}
}

// verdict is the answer of the gate in a line.
func (a *app) verdict(w activities.WhyNotAnswer) string {
	switch {
	case w.Do:
		return "nothing is in its way"
	case w.Until.IsZero():
		return w.Check + ": " + w.Reason
	}
	return w.Check + ": " + w.Reason + "; not before " + a.when(w.Until)
}

func (a *app) drawWhyNot(w activities.WhyNotAnswer) {
	a.say("%s %s: %s", string(w.Act), w.Target, a.verdict(w))
	var rows []row
	for _, c := range w.Checks {
		answer := a.state("good")
		if !c.Do {
			answer = a.state("refused")
		}
		rows = append(rows, row{c.Name, answer, c.Reason, c.Until})
	}
	a.table("", row{"CHECK", "ANSWER", "WHY", "UNTIL"}, rows)
}
