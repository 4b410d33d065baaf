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
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/workflows"
)

const (
	benchTimer = 10 * time.Millisecond
	bareType   = "bare"
)

// What a ladder may cost.
const (
	mostEventsARung = 11.0 // and its yield; opening and closing come once an issue
	leastOfBare     = 0.9  // of the rate of a bare workflow
	mostEventsAYear = 500  // of an issue that waits
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
	waiting, err := climbMany(ctx, tc, 1, "waiting", func(int) (string, any) { return issue.NodeDown, issue.Input{Node: quietNode} })
	if err != nil {
		return err
	}
	aLook := float64(waiting.events-first.events) / (quietLooks - 1)
	looks := max(looksOfAYear(nodeDown, issue.Acted), looksOfAYear(nodeDown, issue.Wait))
	aYear := float64(first.events) + aLook*float64(looks)
	rungs := float64(len(nodeDown.Ladder.Rungs))
	ratio := floor.Seconds() / ours.Seconds()
	rate := func(d time.Duration) float64 { return 2 * float64(issues) / d.Seconds() }
	fmt.Fprintf(out, "\nnodedown: %6.1f workflows/s, %d events, %.1f a rung\nbare:     %6.1f workflows/s, %d events, %.1f a rung\nratio:    %6.2f of the bare rate, %.2f of the bare events\n",
		rate(ours), first.events, float64(first.events)/rungs, rate(floor), events, float64(events)/rungs, ratio, float64(first.events)/float64(events))
	fmt.Fprintf(out, "one rung more, with its yield: %.1f events\nwaiting:  %6.0f events a year, with %d looks\n", aLook, aYear, looks)
	switch {
	case aLook > mostEventsARung:
		return fmt.Errorf("a rung takes %.1f events, more than %.0f", aLook, mostEventsARung)
	case ratio < leastOfBare:
		return fmt.Errorf("nodedown climbs at %.2f of the rate of a bare workflow, less than %.2f", ratio, leastOfBare)
	case aYear > mostEventsAYear:
		return fmt.Errorf("a waiting issue takes %.0f events a year, more than %d", aYear, mostEventsAYear)
	}
	return nil
}

// An issue that stays open and quiet is looked at so often before its target is good.
const (
	quietNode  = "quiet.example"
	quietLooks = 9
)

// looksOfAYear is how often the machine asks for a rung in a year in which every one answers the same.
func looksOfAYear(t issue.Type, answer issue.Outcome) int {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := issue.Start(issue.Opening{Times: issue.TimesOf(policy.Defaults(24 * time.Hour)), Ladder: t.Ladder}, start)
	looks := 0
	for now := start; now.Before(start.AddDate(1, 0, 0)); {
		switch step := s.Next(now); step.Do {
		case issue.RunRung:
			looks++
			s.Began()
			s.Ran(now, issue.Result{Outcome: answer})
		case issue.Save:
			s.Keep(s.Seq)
			s.Stale = false
		default:
			now = step.Until
		}
	}
	return looks
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
		as(func(_ context.Context, req issue.Request) (issue.Result, error) {
			res := issue.Result{Outcome: issue.Acted, Reason: "bench"}
			if req.Rung.Do == issue.Flag && (req.State.Ref.Node != quietNode || req.State.Idle+1 >= quietLooks) {
				res.Outcome = issue.Recovered
			}
			return res, nil
		}, string(r.Do))
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
