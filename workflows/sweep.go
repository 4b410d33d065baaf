package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
)

// How many probe activities one sweep has under way. Silent nodes take time and little else, so that many batches of
// nodes may wait for theirs; a batch of PCUs is as many conversations as one worker may have.
const (
	nodeBatchesAtOnce = 50
	pcuBatchesAtOnce  = 1
)

// An operator who vouches for the fleet waits for a sweep that is under way.
const (
	busyWait  = 15 * time.Second
	busyTries = 40
)

// Sweep looks at the whole fleet once. Its history grows with batches, not with nodes, and no observation passes
// through it: activities write what they see straight into the store. A batch that fails was not seen, and no more than
// that; the judgement decides whether too much was not.
func Sweep(ctx workflow.Context, in activities.SweepInput) (activities.SweepResult, error) {
	var sweep *activities.Sweep
	var reconciler *activities.Reconciler
	var plan activities.Plan
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           activities.TaskQueue,
		StartToCloseTimeout: 10 * time.Minute,
		HeartbeatTimeout:    heartbeat, // a sweep that waits long for a dead worker is no lease to act
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: time.Minute,
			MaximumAttempts: 5},
	})
	in.Last = lastSweep(ctx)
	for try := 1; ; try++ {
		plan = activities.Plan{}
		if err := workflow.ExecuteActivity(ctx, sweep.SyncPLC, in).Get(ctx, &plan); err != nil {
			return activities.SweepResult{}, err
		}
		if plan.Busy == "" {
			break
		}
		if in.Believe == "" || try == busyTries {
			return activities.SweepResult{Sweep: in.Last, Held: plan.Busy}, nil
		}
		if err := workflow.Sleep(ctx, busyWait); err != nil {
			return activities.SweepResult{}, err
		}
	}
	done := workflow.NewWaitGroup(ctx)
	look(ctx, done, nodeBatchesAtOnce, sweep.ProbeNodes, plan.Nodes)
	look(ctx, done, pcuBatchesAtOnce, sweep.ProbePCUs, plan.PCUs)
	done.Wait(ctx)
	plan.Nodes, plan.PCUs = nil, nil // the judgement needs none of them
	var result activities.SweepResult
	err := workflow.ExecuteActivity(ctx, sweep.Judge, plan).Get(ctx, &result)
	if err != nil {
		ended, _ := workflow.NewDisconnectedContext(ctx)
		_ = workflow.ExecuteActivity(ended, sweep.EndSweep,
			activities.SweepEnd{Sweep: plan.Sweep, Reason: "it could not be judged: " + err.Error()}).Get(ended, nil)
	}
	// What was left over is put right whether or not the sweep is believed.
	var repaired activities.Reconciled
	if failed := workflow.ExecuteActivity(ctx, reconciler.Reconcile).Get(ctx, &repaired); failed != nil {
		workflow.GetLogger(ctx).Warn("claims were not compared with what is open; the next sweep tries again",
			"error", failed)
	}
	result.Sweep = plan.Sweep
	return result, err
}

// lastSweep is the number of the last sweep of the schedule, which Temporal remembers also where the store has forgotten it; 0:
// this one is not the schedule's, or is its first.
func lastSweep(ctx workflow.Context) int64 {
	var last activities.SweepResult
	if !workflow.HasLastCompletionResult(ctx) || workflow.GetLastCompletionResult(ctx, &last) != nil {
		return 0
	}
	return last.Sweep
}

// look has batches looked at, so many at once.
func look(ctx workflow.Context, done workflow.WaitGroup, atOnce int64, activity any, batches []activities.Batch) {
	slots := workflow.NewSemaphore(ctx, atOnce)
	for _, b := range batches {
		done.Add(1)
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer done.Done()
			if err := slots.Acquire(ctx, 1); err != nil {
				return // the sweep was cancelled
			}
			defer slots.Release(1)
			if err := workflow.ExecuteActivity(ctx, activity, b).Get(ctx, nil); err != nil {
				workflow.GetLogger(ctx).Warn("a batch was not seen", "after", b.After, "upto", b.Upto, "error", err)
			}
		})
	}
}
