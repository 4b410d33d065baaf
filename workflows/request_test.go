package workflows_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/workflows"
)

// asked runs a request's workflow on a clock that skips, with activities that the test answers for.
type asked struct {
	*testsuite.TestWorkflowEnvironment
	t     *testing.T
	try   func(ctx context.Context, s request.State) (issue.Result, error)
	tries []string // keys
	up    bool     // the node answers when it is looked at after the act
	ended []request.State
}

var cut = issue.Result{Outcome: issue.Acted, Power: issue.Cycled, Reason: "outlet cycled and read back on"}

func newAsked(t *testing.T) *asked {
	t.Helper()
	suite := testsuite.WorkflowTestSuite{}
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	p := &asked{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), t: t, up: true}
	p.SetTestTimeout(time.Minute)
	p.RegisterWorkflowWithOptions(workflows.Request, workflow.RegisterOptions{Name: request.Type})
	for name, f := range map[string]any{
		"OpenRequest": func(_ context.Context, in activities.RequestStart) (request.Opening, error) {
			return request.Opening{Site: "princeton", NodeID: 1,
				Times: request.TimesOf(policy.Defaults(day), in.Input), Before: request.Sight{Saw: "no ssh"}}, nil
		},
		"TryRequest": func(ctx context.Context, s request.State) (issue.Result, error) {
			p.tries = append(p.tries, s.Key()[strings.LastIndex(s.Key(), "/")+1:])
			return p.try(ctx, s)
		},
		"SettleRequest": func(ctx context.Context, s request.State) (issue.Result, error) { return p.try(ctx, s) },
		"LookAtRequest": func(context.Context, request.State) (request.Sight, error) {
			return request.Sight{At: p.Now(), Alive: p.up, Up: p.up, Saw: "looked"}, nil
		},
		"EndRequest": func(_ context.Context, s request.State) error {
			p.ended = append(p.ended, s)
			return nil
		},
	} {
		p.RegisterActivityWithOptions(f, activity.RegisterOptions{Name: name})
	}
	p.SetStartWorkflowOptions(startOptions(request.ID(host)))
	return p
}

func (p *asked) run() request.Story {
	p.t.Helper()
	p.ExecuteWorkflow(request.Type, request.Input{Node: host, Act: request.Reboot, Patience: 10 * time.Minute,
		Order: policy.Order{By: "alice", Role: policy.RoleOperator, Reason: "it hangs"}})
	if err := p.GetWorkflowError(); err != nil {
		p.t.Fatal(err)
	}
	var s request.Story
	if err := p.GetWorkflowResult(&s); err != nil {
		p.t.Fatal(err)
	}
	if len(p.ended) != 1 || p.ended[0].End != s.End {
		p.t.Errorf("it ends as %s, and written down are %d ends", s.End, len(p.ended))
	}
	return s
}

// cancelAt sends the update after a time; its answer comes when the test has run.
func (p *asked) cancelAt(in time.Duration) *request.Answer {
	answer := &request.Answer{}
	p.RegisterDelayedCallback(func() {
		p.UpdateWorkflow(request.UpdateCancel, "c", &heard{p.t, answer}, request.Cancel{By: "bob", Reason: "the wrong node"})
	}, in)
	return answer
}

// heard takes the answer to a cancel.
type heard struct {
	t  *testing.T
	to *request.Answer
}

func (heard) Accept() {}
func (h heard) Reject(err error) {
	h.t.Errorf("it is rejected: %v", err)
}
func (h heard) Complete(v any, err error) {
	if err != nil {
		h.t.Errorf("it fails: %v", err)
		return
	}
	*h.to = v.(request.Answer)
}

func TestRequest_IsCancelledBeforeThePointOfNoReturnAndNotAfter(t *testing.T) {
	t.Run("while it waits for its turn", func(t *testing.T) {
		p := newAsked(t)
		p.try = func(context.Context, request.State) (issue.Result, error) {
			return issue.Result{Outcome: issue.Wait, Check: "budget", Reason: "spent"}, nil
		}
		answer := p.cancelAt(3 * time.Minute)
		if s := p.run(); s.End != request.Cancelled || answer.TooLate != "" || !strings.Contains(s.Reason, "the wrong node") {
			t.Errorf("it ends as %s: %s; the answer is %+v", s.End, s.Reason, answer)
		}
	})
	t.Run("while it watches", func(t *testing.T) {
		p := newAsked(t)
		p.up = false
		p.try = func(context.Context, request.State) (issue.Result, error) { return cut, nil }
		answer := p.cancelAt(5 * time.Minute)
		if s := p.run(); s.End != request.NotBack || !strings.Contains(answer.TooLate, "done already") {
			t.Errorf("it ends as %s: %s; the answer is %+v", s.End, s.Reason, answer)
		}
	})
	t.Run("as a workflow, while it waits", func(t *testing.T) {
		p := newAsked(t)
		p.try = func(context.Context, request.State) (issue.Result, error) {
			return issue.Result{Outcome: issue.Wait, Check: "budget", Reason: "spent"}, nil
		}
		p.RegisterDelayedCallback(p.CancelWorkflow, 3*time.Minute)
		if s := p.run(); s.End != request.Cancelled {
			t.Errorf("it ends as %s: %s", s.End, s.Reason)
		}
	})
	t.Run("as a workflow, while it watches", func(t *testing.T) {
		p := newAsked(t)
		p.up = false
		p.try = func(context.Context, request.State) (issue.Result, error) { return cut, nil }
		p.RegisterDelayedCallback(p.CancelWorkflow, 5*time.Minute)
		p.RegisterDelayedCallback(func() { p.up = true }, 8*time.Minute)
		if s := p.run(); s.End != request.Returned {
			t.Errorf("it ends as %s: %s", s.End, s.Reason)
		}
	})
}

// An activity whose answer was lost is asked about under the same key, and nothing is done a second time.
func TestRequest_ALostAnswerIsAskedForAndNothingIsDoneTwice(t *testing.T) {
	p := newAsked(t)
	calls := 0
	p.try = func(context.Context, request.State) (issue.Result, error) {
		if calls++; calls == 1 {
			return issue.Result{Outcome: issue.Unknown, Reason: "another try is under way"}, nil
		}
		return cut, nil
	}
	if s := p.run(); s.End != request.Returned || len(p.tries) != 2 || p.tries[0] != p.tries[1] {
		t.Errorf("it ends as %s after the tries %q", s.End, p.tries)
	}
}

func TestRequest_AFailingActivityIsSettled(t *testing.T) {
	p := newAsked(t)
	calls := 0
	p.try = func(context.Context, request.State) (issue.Result, error) {
		calls++
		if len(p.tries) < 20 && calls < 20 {
			return issue.Result{}, errors.New("Postgres is away")
		}
		return cut, nil
	}
	if s := p.run(); s.End != request.Returned {
		t.Errorf("it ends as %s: %s", s.End, s.Reason)
	}
}

func TestRequest_ADryRunAsksEachWayAndEndsNothing(t *testing.T) {
	p := newAsked(t)
	p.try = func(_ context.Context, s request.State) (issue.Result, error) {
		if s.NextWay() == request.ByPCU {
			return issue.Result{Outcome: issue.Passed, Check: "pcu", Reason: "no PCU feeds it"}, nil
		}
		return issue.Result{Outcome: issue.Acted, Reason: "would restart it over ssh"}, nil
	}
	p.ExecuteWorkflow(request.Type, request.Input{Node: host, Act: request.Reboot, DryRun: true,
		Order: policy.Order{By: "alice", Role: policy.RoleOperator, Reason: "it hangs"}})
	var s request.Story
	if err := p.GetWorkflowResult(&s); err != nil || s.End != request.WouldDo || len(p.ended) != 0 {
		t.Errorf("it ends as %+v, %v", s, err)
	}
}
