package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/workflows"
)

const (
	benchTimer = 10 * time.Millisecond
	bareType   = "bare"
)

// benchLadder compares nodedown, climbed to its end with activities that do nothing, to a workflow that does nothing but call as many of
// them and wait as often.
func benchLadder(ctx context.Context, out io.Writer, tc client.Client, issues int) error {
	for _, queue := range []string{activities.TaskQueue, activities.MachineTaskQueue} {
		w := worker.New(tc, queue, worker.Options{})
		for _, t := range workflows.Types() {
			if t.Name == issue.NodeDown {
				w.RegisterWorkflowWithOptions(t.Func, workflow.RegisterOptions{Name: t.Name})
			}
		}
		w.RegisterWorkflowWithOptions(bare, workflow.RegisterOptions{Name: bareType})
		registerIdle(w)
		if err := w.Start(); err != nil {
			return err
		}
		defer w.Stop()
	}
	ladder := func(i int) (string, any) {
		return issue.NodeDown, issue.Input{Node: fmt.Sprintf("bench%d.example", i)}
	}
	first, err := climbMany(ctx, tc, 1, "first", ladder) // counts what one issue does
	if err != nil {
		return err
	}
	plain := func(int) (string, any) { return bareType, first.work }
	fmt.Fprintf(out, "\nclimbing nodedown's ladder with %d issues, and as many bare workflows of %d activities and %d timers, twice ...\n", issues, first.work.Activities, first.work.Timers)
	nodeDown, _ := issue.Lookup(issue.NodeDown)
	var ours, floor time.Duration
	var events int
	for i := range 2 { // by turns, so that a slow moment of the machine hits both
		a, err := climbMany(ctx, tc, issues, fmt.Sprint("ladder", i), ladder)
		if err != nil {
			return err
		}
		b, err := climbMany(ctx, tc, issues, fmt.Sprint("bare", i), plain)
		if err != nil {
			return err
		}
		ours, floor, events = ours+a.took, floor+b.took, b.events
	}
	rungs := float64(len(nodeDown.Ladder.Rungs))
	rate := func(d time.Duration) float64 { return 2 * float64(issues) / d.Seconds() }
	fmt.Fprintf(out, "\nnodedown: %6.1f workflows/s, %d events, %.1f a rung\nbare:     %6.1f workflows/s, %d events, %.1f a rung\nratio:    %6.2f of the bare rate, %.2f of the bare events\n",
		rate(ours), first.events, float64(first.events)/rungs, rate(floor), events, float64(events)/rungs, floor.Seconds()/ours.Seconds(), float64(first.events)/float64(events))
	return nil
}

// work is what a workflow asks of the server.
type work struct {
	Activities int `json:"activities"`
	Timers     int `json:"timers"`
}

// bare calls an idle activity and waits on a timer, by turns.
func bare(ctx workflow.Context, w work) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	for i := range w.Activities {
		if err := workflow.ExecuteActivity(ctx, bareType).Get(ctx, nil); err != nil {
			return err
		}
		if i < w.Timers {
			if err := workflow.Sleep(ctx, benchTimer); err != nil {
				return err
			}
		}
	}
	return nil
}

// registerIdle gives every activity of a ladder an answer that lets it climb at once; the last rung says that the target is good again.
func registerIdle(w worker.Worker) {
	as := func(f any, name string) { w.RegisterActivityWithOptions(f, activity.RegisterOptions{Name: name}) }
	as(func(context.Context) error { return nil }, bareType)
	as(func(_ context.Context, in activities.OpenRequest) (issue.State, error) {
		nodeDown, _ := issue.Lookup(in.Ref.Type)
		times := issue.Times{Day: benchTimer, MachineStep: benchTimer, PeopleStep: benchTimer, AdminStep: benchTimer, HealthyDelay: benchTimer}
		return issue.Start(issue.Opening{Ref: in.Ref, Times: times, Cause: "bench", Ladder: nodeDown.Ladder}, time.Now()), nil
	}, "OpenIssue")
	as(func(context.Context, issue.State) error { return nil }, "SaveIssue")
	as(func(context.Context, activities.CloseRequest) (issue.Result, error) {
		return issue.Result{Outcome: issue.Acted}, nil
	}, "CloseIssue")
	nodeDown, _ := issue.Lookup(issue.NodeDown)
	known := map[issue.Action]bool{}
	for _, r := range nodeDown.Ladder.Rungs {
		if known[r.Do] {
			continue
		}
		known[r.Do] = true
		res := issue.Result{Outcome: issue.Acted, Reason: "bench"}
		if r.Do == issue.Flag {
			res.Outcome = issue.Recovered
		}
		as(func(context.Context, issue.Request) (issue.Result, error) { return res, nil }, string(r.Do))
	}
}

type climbed struct {
	took   time.Duration
	events int // of the first one
	work   work
}

// climbMany runs many workflows at once to their end.
func climbMany(ctx context.Context, tc client.Client, n int, name string, next func(int) (string, any)) (climbed, error) {
	start := time.Now()
	var runs []client.WorkflowRun
	for i := range n {
		kind, in := next(i)
		id := fmt.Sprintf("bench/%s/%d", name, i)
		if in, ok := in.(issue.Input); ok {
			id = kind + "/" + in.Node
		}
		run, err := tc.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: activities.TaskQueue}, kind, in)
		if err != nil {
			return climbed{}, err
		}
		runs = append(runs, run)
	}
	for _, run := range runs {
		if err := run.Get(ctx, nil); err != nil {
			return climbed{}, fmt.Errorf("%s: %w", run.GetID(), err)
		}
	}
	c := climbed{took: time.Since(start)}
	history := tc.GetWorkflowHistory(ctx, runs[0].GetID(), runs[0].GetRunID(), false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for history.HasNext() {
		e, err := history.Next()
		if err != nil {
			return climbed{}, err
		}
		c.events++
		switch e.EventType {
		case enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
			c.work.Activities++
		case enums.EVENT_TYPE_TIMER_STARTED:
			c.work.Timers++
		}
	}
	if c.events == 0 {
		return c, errors.New("a workflow without a history")
	}
	return c, nil
}
