package orders

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/activities"
)

// Run is a workflow that was started.
type Run = client.ScheduleWorkflowExecution

// Sweep has the whole fleet looked at now, by the schedule that the worker keeps, and waits until that has begun. One
// that is under way is not disturbed: the new one follows it, and under is called.
func (d Desk) Sweep(ctx context.Context, o Order, under func()) (Receipt, Run, error) {
	var run Run
	r, err := d.give(ctx, o, act{
		verb: access.FleetSweep, does: "look at the whole fleet now",
		do: func(ctx context.Context, _ string) (note string, err error) {
			if err := d.connected(); err != nil {
				return "", err
			}
			run, err = d.trigger(ctx, under)
			return "", err
		},
	})
	return r, run, err
}

// Believe starts a sweep beside the schedule that takes for true what the fleet guard doubts, on somebody's word.
func (d Desk) Believe(ctx context.Context, o Order) (Receipt, Run, error) {
	var run Run
	r, err := d.give(ctx, o, act{
		verb: access.FleetBelieve, does: "look at the whole fleet now, and believe what is seen",
		why: "the ledger keeps why what the guard doubts is true",
		do: func(ctx context.Context, _ string) (string, error) {
			if err := d.connected(); err != nil {
				return "", err
			}
			w, err := d.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
				ID: activities.SweepType + "-believed", TaskQueue: activities.TaskQueue,
				StaticSummary: "look at the whole fleet, and believe it: " + o.reason(),
			}, activities.SweepType, activities.SweepInput{Believe: o.reason()})
			if err != nil {
				return "", fmt.Errorf("start a sweep: %w", err)
			}
			run = Run{WorkflowID: w.GetID(), FirstExecutionRunID: w.GetRunID()}
			return "", nil
		},
	})
	return r, run, err
}

// trigger asks the schedule for a sweep and waits until that has begun. Any sweep that begins after the request is as
// good as ours, since it looks at the fleet as it is now.
func (d Desk) trigger(ctx context.Context, under func()) (found Run, err error) {
	schedule := d.Temporal.ScheduleClient().GetHandle(ctx, activities.SweepType)
	before, err := schedule.Describe(ctx)
	var missing *serviceerror.NotFound
	if errors.As(err, &missing) {
		return found, notFound("there is no schedule %q in this namespace: monitor-worker makes it when it starts; check "+
			"temporal.address and temporal.namespace", activities.SweepType)
	}
	if err != nil {
		return found, fmt.Errorf("schedule %s: %w", activities.SweepType, err)
	}
	known := begun(before)
	if err := schedule.Trigger(ctx, client.ScheduleTriggerOptions{
		Overlap: enums.SCHEDULE_OVERLAP_POLICY_BUFFER_ONE,
	}); err != nil {
		return found, fmt.Errorf("trigger schedule %s: %w", activities.SweepType, err)
	}
	if len(before.Info.RunningWorkflows) > 0 && under != nil {
		under()
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		after, err := schedule.Describe(ctx)
		if err != nil {
			return found, fmt.Errorf("schedule %s: %w", activities.SweepType, err)
		}
		for _, run := range begun(after) {
			if !slices.Contains(known, run) {
				return run, nil
			}
		}
		select {
		case <-ctx.Done():
			return found, fmt.Errorf("a sweep is asked for, which is not taken back: it begins when the one that is under way has ended: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// begun are the sweeps that a schedule remembers to have started.
func begun(d *client.ScheduleDescription) []Run {
	list := slices.Clone(d.Info.RunningWorkflows)
	for _, r := range d.Info.RecentActions {
		if r.StartWorkflowResult != nil {
			list = append(list, *r.StartWorkflowResult)
		}
	}
	return list
}
