package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed/rig"
)

// stage is what a scenario plays on.
type stage struct{ *rig.Rig }

func host(site string, n int) string { return fmt.Sprintf("planetlab%d.%s.example", n, site) }

func nodeDown(host string) string { return issue.NodeDown + "/" + host }

func pcuDown(site string) string { return issue.PCUDown + "/pcu." + site + ".example" }

// days waits a number of policy days.
func (s *stage) days(ctx context.Context, n float64) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(n * float64(s.Day))):
		return nil
	}
}

// until asks until the answer is yes. Days are how long that takes by policy where the machine has time for it; five
// times that is waited for, and whoever cares when something happened asks for that.
func (s *stage) until(ctx context.Context, what string, days float64, ask func() (bool, error)) error {
	deadline := time.Now().Add(time.Duration(5 * days * float64(s.Day)))
	for {
		ok, err := ask()
		if ok && err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("not within %.0f policy days: %s", days, what), err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *stage) status(ctx context.Context, id string, status issue.Status, days float64) error {
	err := s.until(ctx, id+" is "+string(status), days, func() (bool, error) {
		i, err := s.Store.Issue(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		return i.Status == string(status), err
	})
	if err != nil {
		err = fmt.Errorf("%w; %s", err, s.story(ctx, id))
	}
	return err
}

// story is what an issue last lived through, for who must find out why it does not go on.
func (s *stage) story(ctx context.Context, id string) string {
	ctx = context.WithoutCancel(ctx)
	i, err := s.Store.Issue(ctx, id)
	if err != nil {
		return err.Error()
	}
	events, err := s.Store.Timeline(ctx, id, i.RunID)
	text := fmt.Sprintf("at %s it is %s, next: %s, at %s", time.Now().Format(time.TimeOnly), i.Status, i.Next,
		i.NextAt.Local().Format(time.TimeOnly))
	for _, e := range events[max(0, len(events)-6):] {
		text += fmt.Sprintf("; %s %s", e.At.Local().Format(time.TimeOnly), e)
	}
	if err != nil {
		text += "; " + err.Error()
	}
	return text
}

// runs are an issue's, the latest first, as Temporal knows them. One that continues as new goes on.
func (s *stage) runs(ctx context.Context, id string) ([]*workflow.WorkflowExecutionInfo, error) {
	res, err := s.Temporal.ListWorkflow(ctx,
		&workflowservice.ListWorkflowExecutionsRequest{Query: fmt.Sprintf("WorkflowId = '%s' and ExecutionStatus != 'ContinuedAsNew'", id)})
	return res.GetExecutions(), err
}

// opened checks how often an issue was opened.
func (s *stage) opened(ctx context.Context, id string, want int) error {
	runs, err := s.runs(ctx, id)
	if err != nil || len(runs) == want {
		return err
	}
	text := fmt.Sprintf("%s was opened %d times, want %d", id, len(runs), want)
	for _, r := range runs {
		text += fmt.Sprintf("; %s %s from %s to %s", r.Execution.RunId, r.Status,
			r.StartTime.AsTime().Local().Format(time.StampMilli), r.CloseTime.AsTime().Local().Format(time.StampMilli))
	}
	episodes, err := s.Store.Episodes(ctx, id)
	for _, e := range episodes {
		text += fmt.Sprintf("; episode %s ended as %q", e.RunID, e.Outcome)
	}
	return errors.Join(errors.New(text), err)
}

func (s *stage) mailTo(site string) []string {
	var to []string
	for _, m := range s.Mail.Messages() {
		for _, r := range m.To {
			if strings.HasSuffix(r, "@"+site+".example") {
				to = append(to, strings.TrimSuffix(r, "@"+site+".example")+": "+m.Subject)
			}
		}
	}
	return to
}

func (s *stage) nobodyMailed(site string) error {
	if to := s.mailTo(site); len(to) > 0 {
		return fmt.Errorf("mail went out: %q", to)
	}
	return nil
}

// acts lists the ledger of a node: kinds with their outcomes, oldest first.
func (s *stage) acts(ctx context.Context, node string) ([]store.Action, error) {
	return s.Store.Actions(ctx, store.ActionFilter{Node: node, Limit: 1000})
}

func (s *stage) actsAre(ctx context.Context, node string, want ...string) error {
	return s.until(ctx, fmt.Sprintf("the ledger of %s says %q", node, want), 3, func() (bool,
		error) { // an outcome comes a moment after its effect
		list, err := s.acts(ctx, node)
		var got []string
		for _, a := range list {
			if a.Kind == store.KindNotice && a.Outcome == store.Failed { // the tracker is away in another scenario
				continue
			}
			got = append([]string{string(a.Kind) + " " + a.Outcome}, got...) // the ledger gives the newest first
		}
		return strings.Join(got, ", ") == strings.Join(want, ", "), err
	})
}

func (s *stage) cuts(node string, want int) error {
	got := s.PowerCuts(node)
	if got == want {
		return nil
	}
	list, err := s.Store.Actions(context.Background(), store.ActionFilter{Node: node})
	var lines strings.Builder
	for _, a := range list {
		fmt.Fprintf(&lines, "\n  %v %s %s: %s; %s", a.At, a.Kind, a.Outcome, a.Reason, a.Detail)
	}
	return errors.Join(fmt.Errorf("the power of %s was cut %d times (%v), want %d; the ledger has%s", node, got,
		s.CutTimes(node), want, &lines), err)
}

// command sends an operator's command as any client would: by names alone.
func (s *stage) command(ctx context.Context, id, name, reason string) error {
	return s.Temporal.SignalWorkflow(ctx, id, "", name, map[string]string{"reason": reason, "by": "smoke"})
}

// whyNot asks as an operator does why something is not done, and wants one check of the gate as the answer.
func (s *stage) whyNot(ctx context.Context, target, act, check string) error {
	t, err := answers.Find(ctx, s.Store, target)
	if err != nil {
		return err
	}
	question, err := answers.Question(t, act, time.Time{})
	if err != nil {
		return err
	}
	var answer activities.WhyNotAnswer
	for range 10 { // a busy machine's worker may take it up late
		if answer, err = answers.WhyNot(ctx, s.Temporal, question); !errors.Is(err, answers.ErrNobody) {
			break
		}
	}
	if err == nil && answer.Check != check {
		err = fmt.Errorf("why not %s %s: %s says %q, want it of %s", act, target, answer.Check, answer.Reason, check)
	}
	return err
}
