package main

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/rollout"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/workflows"
)

// actor answers in the place of the activities that act, which package activities tests: here it is what commands make
// of the answers that is tested. What it does to a node is decided by the reason of the order.
type actor struct {
	mu    sync.Mutex
	tries map[string]int // by roll-out and host
	acts  map[string]int // by host
	slow  chan struct{}  // an outlet has begun to be switched, slowly
}

func newActor() *actor {
	return &actor{tries: map[string]int{}, acts: map[string]int{}, slow: make(chan struct{}, 100)}
}

// short is how long a node of the examples takes, at most.
const short = 50 * time.Millisecond

func (a *actor) OpenRequest(_ context.Context, in activities.RequestStart) (request.Opening, error) {
	return request.Opening{Site: "princeton", NodeID: in.Input.NodeID,
		Times:  request.Times{Return: 4 * short, Look: short / 4, Again: short / 4},
		Before: request.Sight{At: time.Now(), Saw: "no ssh: timeout"}}, nil
}

func (a *actor) TryRequest(_ context.Context, s request.State) (issue.Result, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := s.Input.Part + " " + s.Input.Node
	a.tries[key]++
	reason := s.Input.Order.Reason
	switch {
	case s.Input.DryRun:
		return issue.Result{Outcome: issue.Acted, Reason: "would cycle outlet 3 of pcu1.example.edu"}, nil
	case strings.Contains(reason, "refused"):
		return issue.Result{Outcome: issue.Wait, Check: "answers", Reason: "it answers: boot"}, nil
	case strings.Contains(reason, "fails"), strings.Contains(reason, "some fail") && strings.HasPrefix(s.Input.Node, "n7."):
		return issue.Result{Outcome: issue.Passed, Reason: "the device is away"}, nil
	case strings.Contains(reason, "slow") && (s.Input.Part == "" || a.tries[key] < 12):
		return issue.Result{Outcome: issue.Wait, Check: "budget", Reason: "the fleet's budget of 30 an hour is spent"}, nil
	}
	a.acts[s.Input.Node]++
	return issue.Result{Outcome: issue.Acted, Power: issue.Cycled, Reason: "outlet cycled and read back on"}, nil
}

func (a *actor) SettleRequest(context.Context, request.State) (issue.Result, error) {
	return issue.Result{Outcome: issue.Stopped, Reason: "nothing was begun"}, nil
}

func (a *actor) LookAtRequest(_ context.Context, s request.State) (request.Sight, error) {
	if strings.Contains(s.Input.Order.Reason, "stays away") {
		return request.Sight{At: time.Now(), Saw: "no ssh: timeout"}, nil
	}
	return request.Sight{At: time.Now(), Alive: true, Up: true, Saw: "boot, kernel 6.1"}, nil
}

func (a *actor) EndRequest(context.Context, request.State) error { return nil }

func (a *actor) OperateOutlet(_ context.Context, in request.Outlet) (request.OutletAnswer, error) {
	v := request.OutletAnswer{Outlet: in, Nodes: []string{"planetlab1.example.edu"}, Before: "on", After: "on", Verified: true}
	if strings.Contains(in.Order.Reason, "slow") {
		a.slow <- struct{}{}
		time.Sleep(time.Second)
	}
	a.mu.Lock()
	a.acts[in.PCU]++
	a.mu.Unlock()
	switch {
	case strings.Contains(in.Order.Reason, "refused"):
		v.Check, v.Refused, v.After = "answers", "planetlab1.example.edu: it answers: boot", ""
	case in.Operation == request.Off:
		v.After = "off"
	}
	return v, nil
}

// plans are the roll-outs in the store; whatever a group waits for is so.
type plans struct{ *activities.Rollouts }

func (plans) RolloutReached(context.Context, activities.RolloutWait) ([]string, error) {
	return nil, nil
}

// actAs runs the workflows of persons' orders, with an actor in the place of what acts.
func actAs(t *testing.T, tc client.Client, a *actor, db *store.Store) (stop func()) {
	t.Helper()
	w := worker.New(tc, activities.TaskQueue, worker.Options{DisableRegistrationAliasing: true, WorkerStopTimeout: time.Second})
	registerActs(w, a, db)
	machines := worker.New(tc, activities.MachineTaskQueue, worker.Options{DisableWorkflowWorker: true, WorkerStopTimeout: time.Second})
	machines.RegisterActivity(a)
	for _, w := range []worker.Worker{w, machines} {
		if err := w.Start(); err != nil {
			t.Fatal(err)
		}
	}
	stop = sync.OnceFunc(func() { w.Stop(); machines.Stop() })
	t.Cleanup(stop)
	return stop
}

func registerActs(w worker.Worker, a *actor, db *store.Store) {
	registerOrders(w, db)
	w.RegisterActivity(a)
}

// registerOrders has a worker run the workflows of persons' orders, with the plans of roll-outs from a store.
func registerOrders(w worker.Worker, db *store.Store) {
	for _, k := range []workflows.Type{{Name: request.Type, Func: workflows.Request}, {Name: request.OutletType, Func: workflows.Outlet},
		{Name: rollout.Type, Func: workflows.Rollout}} {
		w.RegisterWorkflowWithOptions(k.Func, workflow.RegisterOptions{Name: k.Name})
	}
	p := plans{activities.New(activities.Options{Store: db, Policy: policy.Defaults(24 * time.Hour)}).Rollouts}
	for name, f := range map[string]any{"OpenRollout": p.OpenRollout, "BeginRolloutGroup": p.BeginRolloutGroup,
		"EndRolloutGroup": p.EndRolloutGroup, "NoteRollout": p.NoteRollout, "RolloutReached": p.RolloutReached} {
		w.RegisterActivityWithOptions(f, activity.RegisterOptions{Name: name})
	}
}

// An order whose answer was lost comes again under its key: it is told what became of it, and nothing is switched twice.
func TestAnOutletIsSwitchedOnceUnderOneKey(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	tc := temporalServer(t)
	acts := newActor()
	actAs(t, tc, acts, db)
	desk := orders.Desk{Store: db, Temporal: tc}
	const pcu = "pcu1.princeton.example"
	order := func(ctx context.Context) (orders.Receipt, request.OutletAnswer, error) {
		return desk.Outlet(ctx, orders.Order{Who: access.Who{Account: "alice", Role: access.Admin, Sites: []string{access.AllSites}},
			Reason: "a slow fan", Key: "fan"}, request.Outlet{PCU: pcu, Outlet: 3, Operation: request.Off}, nil)
	}
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-acts.slow
		leave()
	}()
	if r, answer, err := order(ctx); err == nil {
		t.Fatalf("nobody waits for its answer, and it is %+v, %+v", r, answer)
	}
	for _, before := range []string{"its outcome was not known", "it is done"} {
		r, answer, err := order(t.Context())
		if err != nil || answer.After != "off" || !r.Before {
			t.Errorf("%s: %+v, %+v, %v", before, r, answer, err)
		}
	}
	acts.mu.Lock()
	defer acts.mu.Unlock()
	if n := acts.acts[pcu]; n != 1 {
		t.Errorf("the outlet was switched %d times", n)
	}
}
