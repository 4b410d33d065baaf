package workflows_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/workflows"
)

const host = "planetlab1.princeton.example"

const day = 24 * time.Hour

func startOptions(id string) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{ID: id, TaskQueue: activities.TaskQueue}
}

// play runs an issue's workflow on a clock that skips, with activities that the test answers for.
type play struct {
	*testsuite.TestWorkflowEnvironment
	t      *testing.T
	rungs  []string      // what was asked for: "<action> <key's last part>"
	saved  []issue.State // what the store was told
	closes []activities.CloseRequest
	answer func(ctx context.Context, req issue.Request) (issue.Result, error)
	settle func(req issue.Request) (issue.Result, error)
	close  func(in activities.CloseRequest) (issue.Result, error)
}

func newPlay(t *testing.T, name string) *play {
	t.Helper()
	suite := testsuite.WorkflowTestSuite{}
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	p := &play{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), t: t}
	p.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: time.Minute}) // of a machine that is busy
	p.SetTestTimeout(time.Minute)
	for _, w := range workflows.Types() {
		p.RegisterWorkflowWithOptions(w.Func, workflow.RegisterOptions{Name: w.Name})
	}
	typ, _ := issue.Lookup(name)
	p.register("OpenIssue", func(_ context.Context, in activities.OpenRequest) (issue.State, error) {
		s := issue.Start(issue.Opening{Ref: in.Ref, Cause: "down since Saturday", Ladder: typ.Ladder,
			Times: issue.TimesOf(policy.Defaults(24 * time.Hour))}, p.Now())
		s.Ref.Site = "princeton"
		s.Keep(s.Seq)
		return s, nil
	})
	p.register("SaveIssue", func(_ context.Context, s issue.State) error {
		p.saved = append(p.saved, s)
		return nil
	})
	p.register("CloseIssue", func(_ context.Context, in activities.CloseRequest) (issue.Result, error) {
		p.closes = append(p.closes, in)
		if p.close != nil {
			return p.close(in)
		}
		return issue.Result{Outcome: issue.Acted}, nil
	})
	p.register("SettleRung", func(_ context.Context, req issue.Request) (issue.Result, error) {
		if p.settle != nil {
			return p.settle(req)
		}
		return issue.Result{Outcome: issue.Stopped}, nil
	})
	for _, a := range []issue.Action{issue.Reboot, issue.Reinstall, issue.OpenPCUDown, issue.Disable, issue.Email,
		issue.Flag, issue.Bootman} {
		p.register(string(a), func(ctx context.Context, req issue.Request) (issue.Result, error) {
			p.rungs = append(p.rungs, string(a)+" "+req.Key[strings.LastIndex(req.Key, "/")+1:])
			return p.answer(ctx, req)
		})
	}
	p.SetStartWorkflowOptions(startOptions(name + "/" + host))
	return p
}

func (p *play) register(name string, f any) {
	p.RegisterActivityWithOptions(f, activity.RegisterOptions{Name: name})
}

func (p *play) run(name string) workflows.Result {
	p.t.Helper()
	p.ExecuteWorkflow(name, issue.Input{Node: host})
	if err := p.GetWorkflowError(); err != nil {
		p.t.Fatal(err)
	}
	var res workflows.Result
	if err := p.GetWorkflowResult(&res); err != nil {
		p.t.Fatal(err)
	}
	return res
}

func (p *play) status() workflows.Status {
	p.t.Helper()
	v, err := p.QueryWorkflow(workflows.QueryStatus)
	var s workflows.Status
	if err == nil {
		err = v.Get(&s)
	}
	if err != nil {
		p.t.Error(err)
	}
	return s
}

// ordered is an order whose answer the test waits for.
type ordered struct {
	status  *workflows.Status
	refused error
}

func (p *play) order(o issue.Order, c issue.Command) *ordered {
	return p.orderInto(&ordered{}, o, c)
}

func (p *play) orderInto(a *ordered, o issue.Order, c issue.Command) *ordered {
	p.UpdateWorkflow(string(o), string(o)+p.Now().String(), &testsuite.TestUpdateCallback{
		OnAccept: func() {},
		OnReject: func(err error) { a.refused = err },
		OnComplete: func(v any, err error) {
			if err != nil {
				p.t.Error(err)
				return
			}
			s := v.(workflows.Status)
			a.status = &s
		},
	}, c)
	return a
}

func acted() (issue.Result, error) { return issue.Result{Outcome: issue.Acted, Reason: "done"}, nil }

// A node that nobody mends climbs the whole list of the note, in its order and with its yields, and stays open and
// quiet.
func TestIssue_ClimbsItsLadderAndStaysQuiet(t *testing.T) {
	p := newPlay(t, issue.NodeDown)
	start := p.Now()
	var at []time.Duration
	p.answer = func(_ context.Context, req issue.Request) (issue.Result, error) {
		at = append(at, p.Now().Sub(start).Round(time.Minute))
		return issue.Result{Outcome: issue.Acted, Power: issue.Cycled, Level: req.Rung.Level}, nil
	}
	var year int
	p.RegisterDelayedCallback(func() { year = len(p.rungs) }, 365*24*time.Hour)
	p.RegisterDelayedCallback(func() { p.SignalWorkflow(activities.SignalRecovered, nil) }, 366*24*time.Hour)
	p.run(issue.NodeDown)
	want := []string{"Reboot 0.0", "Reinstall 1.0", "OpenPCUDown 2.0", "Email 3.0", "Email 4.0", "Email 5.0",
		"Email 6.0", "Flag 7.0"}
	if len(p.rungs) < len(want) || !slices.Equal(p.rungs[:len(want)], want) {
		t.Errorf("climbed %q", p.rungs)
	}

	if want := []time.Duration{0, day, 2 * day, 2 * day, 9 * day, 16 * day, 23 * day,
		30 * day}; !slices.Equal(at[:8], want) {
		t.Errorf("at %v, want %v", at[:8], want)
	}
	if events := 11 * (year - 8); events > 500 {
		t.Errorf("%d looks in a year of waiting: about %d events", year-8, events)
	}
}

// An order that is answered while a rung is under way holds: the activity is cancelled before it acts, or the answer
// says that it was too late.
func TestIssue_OrdersHoldWhileARungIsUnderWay(t *testing.T) {
	for name, c := range map[string]struct {
		order    issue.Order
		tooLate  bool
		restarts bool // the same rung comes again
	}{
		"skip before it acts":   {issue.OrderSkip, false, false},
		"pause before it acts":  {issue.OrderPause, false, true},
		"close before it acts":  {issue.OrderClose, false, false},
		"skip after it acted":   {issue.OrderSkip, true, false},
		"pause after it acted":  {issue.OrderPause, true, false},
		"close after it acted":  {issue.OrderClose, true, false},
		"recovered meanwhile":   {"", false, false},
		"recovered, and acted ": {"", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlay(t, issue.NodeDown)
			answer, cancelled := &ordered{}, make(chan struct{})
			p.answer = func(ctx context.Context, req issue.Request) (issue.Result, error) {
				if len(p.rungs) > 1 {
					return acted()
				}
				if c.order == "" { // the order, or the news, comes while it looks
					p.SignalWorkflow(activities.SignalRecovered, nil)
				} else {
					p.orderInto(answer, c.order, issue.Command{By: "ann", Reason: "its disk has data"})
				}
				<-cancelled
				return issue.Result{}, errors.New("nobody hears this")
			}
			// The test's environment drops the answer of a cancelled activity, so the issue asks what became of it.
			p.settle = func(issue.Request) (issue.Result, error) {
				close(cancelled)
				if c.tooLate {
					return issue.Result{Outcome: issue.Acted, Power: issue.Cycled, Reason: "outlet cycled"}, nil
				}
				return issue.Result{Outcome: issue.Stopped, Reason: "nothing was begun"}, nil
			}
			p.RegisterDelayedCallback(func() {
				if c.order == issue.OrderPause {
					if s := p.status(); s.Status != issue.Paused {
						t.Errorf("status %s", s.Status)
					}
					p.order(issue.OrderResume, issue.Command{})
				}
			}, time.Hour)
			p.RegisterDelayedCallback(func() { p.SignalWorkflow(activities.SignalRecovered, nil) }, 30*time.Hour)
			res := p.run(issue.NodeDown)
			if c.order != "" {
				if answer.status == nil || answer.refused != nil {
					t.Fatalf("the order has no answer: %+v", answer)
				}
				told := slices.ContainsFunc(answer.status.Timeline, func(e issue.Event) bool {
					return e.Kind == issue.EventTooLate && e.Order == c.order
				})
				if told != c.tooLate {
					t.Errorf("too late is told: %v; the story is %v", told, answer.status.Timeline)
				}
			}
			reboots := 0
			for _, r := range p.rungs {
				if strings.HasPrefix(r, "Reboot") {
					reboots++
				}
			}
			if want := map[bool]int{true: 2, false: 1}[c.restarts]; reboots != want {
				t.Errorf("%d tries of the reboot, want %d: %q", reboots, want, p.rungs)
			}
			if len(p.closes) != 1 || res.Outcome == "" {
				t.Errorf("closed %d times: %+v", len(p.closes), res)
			}
		})
	}
}

// A rung whose activity fails is asked for again under the same key, after what became of it was looked up; orders are
// heard meanwhile.
func TestIssue_AFailedRungIsSettledAndTakesOrders(t *testing.T) {
	p := newPlay(t, issue.NodeDown)
	p.answer = func(_ context.Context, req issue.Request) (issue.Result, error) {
		if req.Rung.Do == issue.Reboot {
			return issue.Result{}, temporal.NewNonRetryableApplicationError("PLC is away", "", nil)
		}
		return acted()
	}
	settled := 0
	p.settle = func(issue.Request) (issue.Result, error) {
		if settled++; settled < 3 {
			return issue.Result{}, temporal.NewNonRetryableApplicationError("postgres is away", "", nil)
		}
		return issue.Result{Outcome: issue.Acted, Power: issue.Cycled, Reason: "it was done"}, nil
	}
	var paused *ordered
	p.RegisterDelayedCallback(func() {
		paused = p.order(issue.OrderPause, issue.Command{Reason: "let me look"})
	}, 10*time.Minute)
	p.RegisterDelayedCallback(func() { p.order(issue.OrderResume, issue.Command{}) }, 20*time.Minute)
	p.RegisterDelayedCallback(func() { p.SignalWorkflow(activities.SignalRecovered, nil) }, 12*time.Hour)
	p.run(issue.NodeDown)
	if want := []string{"Reboot 0.0", "Reboot 0.0", "Reboot 0.0"}; !slices.Equal(p.rungs, want) {
		t.Errorf("climbed %q, want %q", p.rungs, want)
	}
	if paused == nil || paused.status == nil || paused.status.Status != issue.Paused {
		t.Errorf("paused: %+v", paused)
	}
}

// An activity that answers has written its answer down; of one that was looked up afterwards the issue does it.
func TestIssue_WhatWasSettledReachesTheStore(t *testing.T) {
	for name, fails := range map[string]bool{"an answer is in the store already": false,
		"a failure that was looked up is not": true} {
		t.Run(name, func(t *testing.T) {
			p := newPlay(t, issue.NodeDown)
			p.answer = func(context.Context, issue.Request) (issue.Result, error) {
				if fails {
					return issue.Result{}, temporal.NewNonRetryableApplicationError("no answer in time", "", nil)
				}
				return issue.Result{Outcome: issue.Acted, Power: issue.Cycled, Reason: "outlet cycled"}, nil
			}
			p.settle = func(issue.Request) (issue.Result, error) {
				return issue.Result{Outcome: issue.Acted, Power: issue.Cycled, Reason: "outlet cycled"}, nil
			}
			var during int
			p.RegisterDelayedCallback(func() {
				for _, s := range p.saved {
					for _, e := range s.Unsaved() {
						if e.Kind == issue.EventRung && e.Outcome == issue.Acted {
							during++
						}
					}
				}
				p.SignalWorkflow(activities.SignalRecovered, nil)
			}, time.Hour)
			p.run(issue.NodeDown)
			if want := map[bool]int{true: 1, false: 0}[fails]; during != want {
				t.Errorf("the workflow wrote the rung %d times, want %d", during, want)
			}
		})
	}
}

// A store that was restored from an older backup is told all that the issue remembers, though nothing is due.
func TestIssue_WhatTheStoreForgotIsWrittenAgain(t *testing.T) {
	p := newPlay(t, issue.NodeDown)
	p.answer = func(context.Context, issue.Request) (issue.Result, error) { return acted() }
	before := 0
	p.RegisterDelayedCallback(func() {
		before = len(p.saved)
		p.SignalWorkflow(activities.SignalForgotten, nil)
	}, time.Hour)
	p.RegisterDelayedCallback(func() {
		if len(p.saved) != before+1 {
			t.Fatalf("it was written down %d times", len(p.saved)-before)
		}
		if all := p.saved[before].Unsaved(); len(all) < 2 || all[0].Kind != issue.EventOpened {
			t.Errorf("written down are %+v", all)
		}
		p.SignalWorkflow(activities.SignalRecovered, nil)
	}, 2*time.Hour)
	p.run(issue.NodeDown)
}

// While Postgres is away the issue goes on taking orders, and what the store did not get it gets later.
func TestIssue_TheStoreCatchesUp(t *testing.T) {
	p := newPlay(t, issue.NodeDown)
	p.answer = func(context.Context, issue.Request) (issue.Result, error) { return acted() }
	away := true
	p.OnActivity("SaveIssue", mock.Anything, mock.Anything).Return(func(_ context.Context, s issue.State) error {
		if away {
			return temporal.NewNonRetryableApplicationError("postgres is away", "", nil)
		}
		p.saved = append(p.saved, s)
		return nil
	})
	p.RegisterDelayedCallback(func() { p.order(issue.OrderPause, issue.Command{Reason: "one"}) }, time.Hour)
	p.RegisterDelayedCallback(func() { p.order(issue.OrderResume, issue.Command{Reason: "two"}) }, 3*time.Hour)
	p.RegisterDelayedCallback(func() { away = false }, 5*time.Hour)
	p.RegisterDelayedCallback(func() { p.SignalWorkflow(activities.SignalRecovered, nil) }, 6*time.Hour)
	p.run(issue.NodeDown)
	var reasons []string
	seen := map[int]bool{}
	for _, s := range p.saved {
		for _, e := range s.Unsaved() {
			if e.Kind == issue.EventOrder && !seen[e.Seq] {
				seen[e.Seq] = true
				reasons = append(reasons, e.Reason)
			}
		}
	}
	if !slices.Equal(reasons, []string{"one", "two"}) {
		t.Errorf("the store got orders %q", reasons)
	}
	if last := p.saved[len(p.saved)-1]; last.Status != issue.Closed {
		t.Errorf("the store last heard %s", last.Status)
	}
}

// An issue whose workflow is cancelled lets go of all it holds.
func TestIssue_CancelledLetsGo(t *testing.T) {
	p := newPlay(t, issue.NodeDown)
	p.answer = func(context.Context, issue.Request) (issue.Result, error) { return acted() }
	p.RegisterDelayedCallback(p.CancelWorkflow, 12*time.Hour)
	res := p.run(issue.NodeDown)
	if len(p.closes) != 1 || !p.closes[0].Force || res.Outcome != string(issue.EndCancelled) {
		t.Errorf("closes %+v, %+v", p.closes, res)
	}
	if last := p.saved[len(p.saved)-1]; last.Status != issue.Closed {
		t.Errorf("the store last heard %s", last.Status)
	}
}

// A target that is bad again at the last look goes on where it was.
func TestIssue_BadAgainGoesOn(t *testing.T) {
	p := newPlay(t, issue.NodeDown)
	p.answer = func(context.Context, issue.Request) (issue.Result, error) { return acted() }
	p.close = func(activities.CloseRequest) (issue.Result, error) {
		if len(p.closes) == 1 {
			return issue.Result{Outcome: issue.Wait, Reason: "silent again"}, nil
		}
		return issue.Result{Outcome: issue.Acted}, nil
	}
	p.RegisterDelayedCallback(func() { p.SignalWorkflow(activities.SignalRecovered, nil) }, 2*time.Hour)
	p.RegisterDelayedCallback(func() { p.SignalWorkflow(activities.SignalRecovered, nil) }, 40*time.Hour)
	p.run(issue.NodeDown)
	if want := []string{"Reboot 0.0", "Reinstall 1.0"}; !slices.Equal(p.rungs, want) || len(p.closes) != 2 {
		t.Errorf("climbed %q, %d closes", p.rungs, len(p.closes))
	}
}

// Signals that cannot be read, or that nobody may give, are told in the story and harm nothing.
func TestIssue_BadSignalsAreToldAndHarmNothing(t *testing.T) {
	p := newPlay(t, issue.NodeDown)
	p.answer = func(context.Context, issue.Request) (issue.Result, error) { return acted() }
	p.RegisterDelayedCallback(func() {
		p.SignalWorkflow("pause", "this is no object")
		p.SignalWorkflow("resume", issue.Command{By: "bob"})
		p.SignalWorkflow("pause", issue.Command{Reason: strings.Repeat("x", 100_000)})
		p.SignalWorkflow("skip", issue.Command{Reason: "a\x00b\x1b[31m"})
	}, time.Hour)
	var story []issue.Event
	p.RegisterDelayedCallback(func() { story = p.status().Timeline }, 2*time.Hour)
	p.RegisterDelayedCallback(func() { p.SignalWorkflow(activities.SignalRecovered, nil) }, 3*time.Hour)
	p.run(issue.NodeDown)
	var refused, skipped int
	for _, e := range story {
		if e.Kind == issue.EventRefused {
			refused++
		}
		if e.Order == issue.OrderSkip && e.Kind == issue.EventOrder {
			skipped++
			if strings.ContainsAny(e.Reason, "\x00\x1b") {
				t.Errorf("kept %q", e.Reason)
			}
		}
		if len(e.Reason) > 600 {
			t.Errorf("an event of %d bytes", len(e.Reason))
		}
	}
	if refused != 3 || skipped != 1 {
		t.Errorf("%d refused, %d skipped: %v", refused, skipped, story)
	}
}

// Whoever starts a workflow cannot hand it a state: only a continued run goes on from one.
func TestIssue_AStateFromOutsideIsIgnored(t *testing.T) {
	p := newPlay(t, issue.NodeDown)
	p.answer = func(context.Context, issue.Request) (issue.Result, error) {
		return issue.Result{Outcome: issue.Recovered, Reason: "up"}, nil
	}
	forged := issue.Start(issue.Opening{Ref: issue.Ref{ID: "nodedown/victim", Node: "victim",
		Site: "elsewhere"}}, p.Now())
	forged.Rung, forged.Rebooted = 1, true
	p.ExecuteWorkflow(issue.NodeDown, issue.Input{Node: host, State: &forged})
	if err := p.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.rungs, []string{"Reboot 0.0"}) || p.closes[0].State.Ref.Node != "" &&
		p.closes[0].State.Ref.Node != host {
		t.Errorf("climbed %q about %+v", p.rungs, p.closes[0].State.Ref)
	}
}

// An issue with a long history continues as a new run of the same type, and goes on where it was.
func TestIssue_ContinuesByItsName(t *testing.T) {
	p := newPlay(t, issue.NodeDown)
	p.answer = func(context.Context, issue.Request) (issue.Result, error) { return acted() }
	p.RegisterDelayedCallback(func() { p.SetContinueAsNewSuggested(true) }, 30*time.Hour)
	p.ExecuteWorkflow(issue.NodeDown, issue.Input{Node: host})
	var next *workflow.ContinueAsNewError
	if err := p.GetWorkflowError(); !errors.As(err, &next) {
		t.Fatalf("ended with %v", err)
	}
	var in issue.Input
	if err := converter.GetDefaultDataConverter().FromPayloads(next.Input, &in); err != nil {
		t.Fatal(err)
	}
	if next.WorkflowType.Name != issue.NodeDown || in.State == nil || in.State.Rung < 2 || in.Node != host {
		t.Errorf("continues as %s with %+v", next.WorkflowType.Name, in)
	}
}

func TestIssue_EveryTypeShowsItselfInTheWebUI(t *testing.T) {
	for _, typ := range issue.Types() {
		p := newPlay(t, typ.Name)
		shown := map[string]any{}
		p.OnUpsertTypedSearchAttributes(mock.Anything).Return(nil).Run(func(args mock.Arguments) {
			for k, v := range args.Get(0).(temporal.SearchAttributes).GetUntypedValues() {
				shown[k.GetName()] = v
			}
		})
		p.answer = func(context.Context, issue.Request) (issue.Result, error) {
			return issue.Result{Outcome: issue.Recovered, Reason: "up"}, nil
		}
		p.run(typ.Name)
		if shown["IssueType"] != typ.Name || shown["IssueStatus"] != "closed" {
			t.Errorf("%s shows %v", typ.Name, shown)
		}
	}
}
