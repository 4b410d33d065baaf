package main

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/issue"
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
				e, err := answers.Explain(ctx, db, tc, t, a.now())
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
	var seen, held, done []row
	for _, s := range e.Seen {
		seen = append(seen, row{s.Name, a.state(string(s.Status)), s.Since, orDash(s.Saw), s.At})
	}
	a.heading("seen")
	a.table("never looked at", row{"TARGET", "STATUS", "SINCE", "SAW", "LOOKED"}, seen)
	a.heading("decided")
	a.drawTrust(e)
	for _, x := range e.Left {
		a.leftAlone(x)
	}
	if w := e.Unopened; w != nil && w.Do {
		a.say("no issue is open; by what was last seen the next sweep opens %s/%s", w.Type, w.Target)
	} else if w != nil {
		a.say("no issue is open: %s", strings.TrimPrefix(a.verdict(*w), w.Check+": "))
	} else if len(e.Issues) == 0 {
		a.say("no issue is open")
	}
	for _, i := range e.Issues {
		a.explainIssue(i)
	}
	for _, x := range e.Ended {
		a.say("%s", a.endedWords(x))
	}
	if e.People != nil {
		a.say("what the site is told and denied:")
		a.drawPeople(*e.People)
	}
	if w := e.Penalty; w != nil && w.Do {
		a.say("nothing is in the way of its next penalty step")
	} else if w != nil {
		a.say("in the way of its next penalty step: %s", a.verdict(*w))
	}
	for _, h := range e.Held {
		held = append(held, row{h.What, h.Since, orDash(h.For)})
	}
	if len(held) > 0 {
		a.heading("held")
		a.table("", row{"WHAT", "SINCE", "FOR"}, held)
	}
	for _, d := range e.Done {
		done = append(done, row{d.At, string(d.Kind), a.outcome(d), orDash(d.Reason), orDash(d.Detail)})
	}
	a.heading("done")
	a.table("nothing yet", row{"WHEN", "WHAT", "OUTCOME", "WHY", "DETAIL"}, done)
}

// outcome is how an act of the ledger ended, so far.
func (a *app) outcome(d store.Action) any {
	switch {
	case d.Outcome != "":
		return a.state(d.Outcome)
	case d.Begun():
		return a.state("begun")
	}
	return a.state("intended")
}

// drawTrust says what keeps Monitor as a whole from acting, or from believing what it saw of such a target.
func (a *app) drawTrust(e answers.Explanation) {
	if e.Controls.Stopped != "" || e.Controls.Why != "" || len(e.Controls.Orders) > 0 {
		a.drawControls(e.Controls)
	}
	s := e.Sweep
	switch {
	case s == nil:
		a.say("no sweep has ended yet, and nothing is done before one has: is monitor-worker running?")
		return
	case s.Doubt != "":
		a.say("the last sweep, which ended %s, is not believed, so nothing is done: %s", a.when(s.Ended), clean(s.Doubt))
	}
	for _, what := range slices.Sorted(maps.Keys(s.Doubts)) {
		a.say("no new issue of %s is opened: %s", what, clean(s.Doubts[what]))
	}
}

func (a *app) leftAlone(x answers.Exemption) {
	if x.Kind == "issue" {
		a.say("%s was closed by %s, and is not opened again before its target was good: %s", x.Target, orDash(x.By), orDash(x.Reason))
		return
	}
	from, until := "", ", with no end"
	if x.Now == "to come" {
		from = " from " + a.when(x.Starts)
	}
	if !x.Until.IsZero() {
		until = " until " + a.when(x.Until)
	}
	what := "is exempt"
	if x.What == "downtime" {
		what = "has a downtime"
	}
	a.say("%s %s %s%s%s: %s (%s)", x.Kind, x.Target, what, from, until, orDash(x.Reason), orDash(x.By))
}

// endedWords tell of an issue that is closed.
func (a *app) endedWords(x answers.Ended) string {
	s := x.ID + " was closed " + a.when(x.Closed) + ": " + x.Outcome
	switch x.Credit {
	case "":
	case issue.CreditItself:
		s += ", by itself"
	case issue.CreditPeople:
		s += ", after people were told of it"
	default:
		s += ", after a " + string(x.Credit)
	}
	return s
}

func (a *app) explainIssue(i answers.Explained) {
	opened := " since "
	if i.Status != string(issue.Open) {
		opened = "; it was opened "
	}
	a.say("%s is %s%s%s: %s", i.ID, a.state(i.Status), opened, a.when(i.Opened), i.Cause)
	if i.Before != nil {
		a.say("  it is not for the first time: %s", a.endedWords(*i.Before))
	}
	if p := i.Pause; p != nil {
		until := "until somebody resumes it"
		if !p.Until.IsZero() {
			until = "until " + a.when(p.Until)
		}
		a.say("  paused %s, %s: %s", a.when(p.At), until, p.String())
	}
	if !i.Good.IsZero() {
		a.say("  its target is good since %s", a.when(i.Good))
	}
	if i.Lost {
		a.say("  its step was begun and the answer was lost: it asks what became of it, and does not do it twice")
	}
	if l := i.Last; l != nil {
		a.say("  the latest of it, %s: %s", a.when(l.At), l.String())
	}
	if i.Level > 0 {
		a.say("  it asks for penalty level %d of its site", i.Level)
	}
	if i.Flags > 0 {
		a.say("  it is at the end of its list, and the admins were told: a person has to see to it")
	}
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
	} else {
		a.say("  %s", nothingComes(i))
	}
	for _, v := range i.Vetoed {
		a.say("  step %s (%s) is %s", stepNumber(v.Step), v.What, v.Reason)
	}
}

func nothingComes(i answers.Explained) string {
	switch {
	case i.Pause != nil:
		return "nothing comes of it while it is paused"
	case i.Next == "":
		return "its workflow has not said yet what comes of it"
	}
	return "next: " + i.Next
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
