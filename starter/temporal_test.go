package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/testbed/temporallocal"
	"github.com/planetlab/monitor/workflows"
)

// temporalServer starts a Temporal server for one test and leads monitor to it.
func temporalServer(t *testing.T) client.Client {
	t.Helper()
	address := temporallocal.ForTest(t, "..")
	t.Setenv("MONITOR_TEMPORAL_ADDRESS", address)
	tc, err := connect.Temporal(t.Context(), config.Temporal{Address: address, Namespace: "default"}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tc.Close)
	return tc
}

// await asks until there is no error, for half a minute at most.
func await(t *testing.T, ask func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = ask(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// serve runs a worker with one workflow until the test ends or stop is called.
func serve(t *testing.T, tc client.Client, name string, fn any, acts map[string]any) (stop func()) {
	t.Helper()
	w := worker.New(tc, activities.TaskQueue, worker.Options{DisableRegistrationAliasing: true})
	w.RegisterWorkflowWithOptions(fn, workflow.RegisterOptions{Name: name})
	for name, f := range acts {
		w.RegisterActivityWithOptions(f, activity.RegisterOptions{Name: name})
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(w.Stop)
	t.Cleanup(stop)
	return stop
}

// smallIssue answers to the names that every issue answers to, and has no ladder.
func smallIssue(ctx workflow.Context, in issue.Input) (workflows.Result, error) {
	opened, closed := workflow.Now(ctx), false
	s := workflows.Status{ID: workflow.GetInfo(ctx).WorkflowExecution.ID, Type: "nodedown", Target: in.Node, Site: "princeton", Status: issue.Open,
		Cause: "the workflow says so", Next: "reboot", NextAt: opened.Add(time.Hour), Level: 2}
	if err := workflow.SetQueryHandler(ctx, workflows.QueryStatus, func() (workflows.Status, error) { return s, nil }); err != nil {
		return workflows.Result{}, err
	}
	if in.Node == "nobody.example" {
		return workflows.Result{}, temporal.NewNonRetryableApplicationError("PLC has no node nobody.example", activities.ErrNoSuchTarget, nil)
	}
	s.Timeline = append(s.Timeline, issue.Event{Seq: 1, At: opened, Kind: issue.EventOpened, Reason: "the workflow says so"})
	for _, name := range []string{string(issue.OrderPause), string(issue.OrderResume), string(issue.OrderClose), string(issue.OrderSkip),
		string(issue.OrderVeto), string(issue.OrderAllow)} {
		err := workflow.SetUpdateHandlerWithOptions(ctx, name, func(ctx workflow.Context, c issue.Command) (workflows.Status, error) {
			s.Timeline = append(s.Timeline, issue.Event{Seq: len(s.Timeline) + 1, At: workflow.Now(ctx), Kind: issue.EventOrder, Order: issue.Order(name), Reason: c.Reason, By: c.By})
			switch name {
			case string(issue.OrderPause):
				s.Status, s.NextAt, s.Blocked = issue.Paused, c.Until, "paused: "+c.Reason
			case string(issue.OrderResume):
				s.Status, s.Blocked = issue.Open, ""
			case string(issue.OrderClose):
				closed = true
			}
			return s, nil
		}, workflow.UpdateHandlerOptions{Validator: func(workflow.Context, issue.Command) error {
			if name == string(issue.OrderResume) && s.Status != issue.Paused {
				return errors.New("resume: the issue is not paused")
			}
			return nil
		}})
		if err != nil {
			return workflows.Result{}, err
		}
	}
	err := workflow.Await(ctx, func() bool { return closed && in.Node != "slow.example" && workflow.AllHandlersFinished(ctx) })
	return workflows.Result{Outcome: "closed by an operator", Cause: s.Cause, Opened: opened, Timeline: s.Timeline}, err
}

func TestIssuesAreSteeredOnARealServer(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	tc := temporalServer(t)
	ctx := t.Context()
	const id = "nodedown/" + host
	stop := serve(t, tc, issue.NodeDown, smallIssue, nil)

	// step runs a command whose answer must hold some words, on standard output where it does well, else on standard error.
	step := func(args string, code int, says ...string) answer {
		t.Helper()
		got := call(ctx, strings.Split(args, "|")...)
		wantCode(t, got, code)
		text := got.out
		if code != exitOK {
			text = got.err
		}
		wantIn(t, text, says...)
		return got
	}

	step("issue|pause|"+id, exitNotFound, "no issue "+id+" is open: see `monitor issue list --all`")
	step("issue|show|nodedown/planetlab9.example", exitNotFound, "there is no issue nodedown/planetlab9.example: see `monitor issue list --all`")
	got := step("issue|show|"+id, exitOK, "down since Saturday")
	wantIn(t, got.err, "the store says open, but Temporal has no such workflow")

	step("issue|open|nodedown|"+host, exitOK, id, "status   open", "opened: the workflow says so")
	first := started(t, tc, id)
	if first.input != `{"node":"`+host+`"}` || first.queue != "monitor" || first.kind != "nodedown" {
		t.Errorf("it was started as %+v", first)
	}
	got = step("issue|open|nodedown|"+host, exitOK, "opened: the workflow says so")
	wantIn(t, got.err, "warning: "+id+" is open already; nothing was started")
	if again := started(t, tc, id); again.run != first.run {
		t.Error("a second run was started")
	}
	step("issue|open|nodedown|nobody.example", exitNotFound, "nodedown/nobody.example did not open: PLC has no node nobody.example")

	step("issue|pause|"+id+"|--until|2026-12-24|--reason|new disk ordered", exitOK,
		"status   paused", "2026-12-24 00:00 UTC (4 weeks from now)", "paused: new disk ordered")
	got = step("issue|show|"+id, exitOK, "status   paused", "the workflow says so", "level 2", "reboot", "outlet 3 went off and on", "pause: new disk ordered (alice)")
	if got.err != "" {
		t.Errorf("show complains: %s", got.err)
	}
	v := wantStable(t, step("issue|show|"+id+"|-o|json", exitOK).out).(map[string]any)
	if v["status"] != "paused" || v["run_id"] != first.run || len(v["story"].([]any)) != 2 || len(v["actions"].([]any)) != 7 || v["next_at"] != "2026-12-24T00:00:00Z" {
		t.Errorf("as JSON it is %v", v)
	}
	step("issue|resume|"+id+"|--by|bob", exitOK, "status   open", "resume (bob, as alice)")
	step("issue|resume|"+id, exitRefused, id+" refuses: resume: the issue is not paused\n")
	v = wantStable(t, step("issue|skip|"+id+"|--reason|its disk has data|-o|json", exitOK).out).(map[string]any)
	if v["status"] != "open" || v["id"] != id {
		t.Errorf("skip answers %v", v)
	}
	got = step("issue|close|"+id+"|--reason|mended", exitOK, "status   closed", "closed by an operator", "close: mended (alice)")
	if got.err != "" {
		t.Errorf("close complains: %s", got.err)
	}
	step("issue|close|"+id, exitNotFound, "no issue "+id+" is open")
	step("issue|show|"+id, exitOK, "status   closed", "closed by an operator", "close: mended (alice)", "outlet 3 went off and on")

	t.Run("a close that takes long is not waited for", func(t *testing.T) {
		step("issue|open|nodedown|slow.example", exitOK)
		got := step("issue|close|nodedown/slow.example|--timeout|1s", exitOK, "close (alice)")
		wantIn(t, got.err, "nodedown/slow.example has the order and is not closed yet: look with `monitor issue show nodedown/slow.example`")
	})
	t.Run("a run that did not end by itself is shown as what it is", func(t *testing.T) {
		step("issue|open|nodedown|"+host, exitOK)
		if err := tc.TerminateWorkflow(ctx, id, "", "by hand"); err != nil {
			t.Fatal(err)
		}
		step("issue|show|"+id, exitOK, "status   terminated", "closed")
	})
	t.Run("without a worker every command says so", func(t *testing.T) {
		stop()
		got := step("issue|open|nodedown|"+host+"|--timeout|3s", exitOK, "status  started")
		wantIn(t, got.err, id+" does not answer: is monitor-worker running?")
		step("issue|pause|"+id+"|--timeout|1s", exitFailure, "does not answer: is monitor-worker running?", "may yet be carried out")
		got = step("issue|show|"+id+"|--timeout|3s", exitOK, "down since Saturday")
		wantIn(t, got.err, "this is what the store last knew: "+id+" does not answer")
	})
}

// start is how a workflow was started.
type start struct{ run, kind, queue, input string }

func started(t *testing.T, tc client.Client, id string) start {
	t.Helper()
	events := tc.GetWorkflowHistory(t.Context(), id, "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	e, err := events.Next()
	if err != nil {
		t.Fatal(err)
	}
	a := e.GetWorkflowExecutionStartedEventAttributes()
	return start{a.OriginalExecutionRunId, a.WorkflowType.Name, a.TaskQueue.Name, string(a.Input.Payloads[0].Data)}
}

// watcher is an output on which something happens when a text first comes by.
type watcher struct {
	mu   sync.Mutex
	text strings.Builder
	on   map[string]func()
}

func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	for text, act := range w.on {
		if strings.Contains(w.text.String(), text) {
			delete(w.on, text)
			act()
		}
	}
	return len(p), nil
}

func TestASweepIsFollowedToItsEnd(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	tc := temporalServer(t)
	ctx := t.Context()
	got := call(ctx, "sweep")
	wantCode(t, got, exitNotFound)
	wantIn(t, got.err, `there is no schedule "sweep"`, "monitor-worker makes it")

	held := make(chan chan struct{}, 1) // each probe waits for its turn
	fails := make(chan bool, 1)
	sweep := func(ctx workflow.Context) (activities.SweepResult, error) {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1}})
		err := workflow.ExecuteActivity(ctx, "ProbeNodes").Get(ctx, nil)
		return activities.SweepResult{Nodes: 40, PCUs: 11, Up: 37, Opened: 2, Cleared: 1, Held: "half the fleet is gone"}, err
	}
	probe := func(ctx context.Context) error {
		select {
		case <-<-held:
		case <-ctx.Done():
		}
		if <-fails {
			return errors.New("PLC is away")
		}
		return nil
	}
	serve(t, tc, activities.SweepType, sweep, map[string]any{"ProbeNodes": probe})
	schedule, err := tc.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: activities.SweepType, Spec: client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: 1000 * time.Hour}}}, Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP,
		Action: &client.ScheduleWorkflowAction{ID: activities.SweepType, Workflow: activities.SweepType, TaskQueue: activities.TaskQueue},
	})
	if err != nil {
		t.Fatal(err)
	}
	// run sweeps; when progress shows a text, what waits for it happens.
	run := func(ctx context.Context, on map[string]func(), args ...string) answer {
		var out bytes.Buffer
		progress := &watcher{on: on}
		a := &app{in: strings.NewReader(""), out: &out, err: progress, now: noon, account: "alice"}
		code := a.execute(ctx, append([]string{"sweep"}, args...))
		return answer{code, out.String(), progress.text.String()}
	}
	finish := func(turn chan struct{}, failing bool) func() {
		return func() { fails <- failing; close(turn) }
	}

	turn := make(chan struct{})
	held <- turn
	got = run(ctx, map[string]func(){"looking at nodes": finish(turn, false)})
	wantCode(t, got, exitOK)
	wantIn(t, got.err, "14:03:00 sweep-", "has begun", "looking at nodes")
	wantIn(t, got.out, "looked at 40 nodes (37 up) and 11 PCUs in ", ": 2 issues opened, 1 cleared", "held back by the fleet guard: half the fleet is gone")

	t.Run("one under way is left to end, and ours follows", func(t *testing.T) {
		if err := schedule.Trigger(ctx, client.ScheduleTriggerOptions{}); err != nil {
			t.Fatal(err)
		}
		var running string
		await(t, func() error {
			d, err := schedule.Describe(ctx)
			if err != nil || len(d.Info.RunningWorkflows) == 0 {
				return errors.Join(err, errors.New("no sweep runs"))
			}
			running = d.Info.RunningWorkflows[0].FirstExecutionRunID
			return nil
		})
		one, two := make(chan struct{}), make(chan struct{})
		held <- one
		got := run(ctx, map[string]func(){
			"a sweep is under way; the new one follows it": func() { go func() { finish(one, false)(); held <- two }() },
			"looking at nodes": finish(two, false),
		}, "-o", "json")
		wantCode(t, got, exitOK)
		v := wantStable(t, got.out).(map[string]any)
		if v["run_id"] == running || v["nodes"] != 40.0 || v["held"] != "half the fleet is gone" {
			t.Errorf("the answer is %v, the one under way was %s", v, running)
		}
	})
	t.Run("a sweep that fails says why", func(t *testing.T) {
		turn := make(chan struct{})
		held <- turn
		got := run(ctx, map[string]func(){"looking at nodes": finish(turn, true)})
		wantCode(t, got, exitFailure)
		wantIn(t, got.err, "failed: PLC is away")
	})
	t.Run("--timeout stops the watching and not the sweep", func(t *testing.T) {
		turn := make(chan struct{})
		held <- turn
		got := run(ctx, nil, "--timeout", "2s")
		wantCode(t, got, exitFailure)
		wantIn(t, got.err, "no sweep has ended within 2s: is monitor-worker running?")
		finish(turn, false)()
		await(t, func() error {
			d, err := schedule.Describe(ctx)
			if err == nil && len(d.Info.RunningWorkflows) > 0 {
				err = errors.New("it runs")
			}
			return err
		})
	})
	t.Run("Ctrl-C stops the watching and not the sweep", func(t *testing.T) {
		ctx, interrupt := context.WithCancel(ctx)
		turn := make(chan struct{})
		held <- turn
		got := run(ctx, map[string]func(){"looking at nodes": interrupt})
		wantCode(t, got, exitFailure)
		wantIn(t, got.err, "monitor: interrupted")
		d, err := schedule.Describe(t.Context())
		if err != nil || len(d.Info.RunningWorkflows) != 1 {
			t.Fatalf("the schedule says %+v, %v", d.Info, err)
		}
		w := d.Info.RunningWorkflows[0]
		finish(turn, false)()
		if err := tc.GetWorkflow(t.Context(), w.WorkflowID, w.FirstExecutionRunID).Get(t.Context(), nil); err != nil {
			t.Errorf("the sweep ended with %v", err)
		}
	})
}

func TestATaskThatNobodyTakesTellsThatNoWorkerRuns(t *testing.T) {
	seen := func(list ...answers.Sweep) error {
		a := &app{now: noon, out: io.Discard, err: io.Discard}
		_, err := a.watch(t.Context(), func(context.Context) (answers.Sweep, error) {
			s := list[0]
			if len(list) > 1 {
				list = list[1:]
			}
			return s, nil
		})
		return err
	}
	if err := seen(answers.Sweep{Running: true, Untaken: 1}, answers.Sweep{Running: true}, answers.Sweep{}); err != nil {
		t.Errorf("a worker is missed that is there: %v", err)
	}
	if err := seen(answers.Sweep{ID: "sweep", Running: true, Untaken: patience.Seconds() + 1}); err == nil ||
		!strings.Contains(err.Error(), "nobody has taken up sweep") {
		t.Errorf("nobody misses the worker: %v", err)
	}
}

func TestTheSDKIsSilent(t *testing.T) {
	alone(t)
	t.Setenv("MONITOR_TEMPORAL_ADDRESS", "127.0.0.1:1")
	got := call(t.Context(), "sweep", "--timeout", "1s")
	wantCode(t, got, exitFailure)
	wantIn(t, got.err, "temporal at 127.0.0.1:1, namespace default")
	if strings.Count(got.err, "\n") != 1 || got.out != "" {
		t.Errorf("more than one line: %s%s", got.out, got.err)
	}
}
