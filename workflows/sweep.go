package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
)

// batchesAtOnce bounds how many probe activities one sweep has under way; each holds many probes, and dead nodes of one batch should not
// keep the next waiting.
const batchesAtOnce = 8

// Sweep looks at the whole fleet once. Its history grows with batches, not with nodes, and no observation passes
// through it: activities write what they see straight into the store.
func Sweep(ctx workflow.Context, in activities.SweepInput) (activities.SweepResult, error) {
	var a *activities.Activities
	var plan activities.Plan
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           activities.TaskQueue,
		StartToCloseTimeout: 10 * time.Minute,
		HeartbeatTimeout:    time.Minute,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: time.Minute, MaximumAttempts: 5},
	})
	if err := workflow.ExecuteActivity(ctx, a.SyncPLC).Get(ctx, &plan); err != nil {
		return activities.SweepResult{}, err
	}
	plan.Believe = in.Believe
	type look struct {
		activity any
		batch    activities.Batch
	}
	var looks []look
	for _, b := range plan.Nodes {
		looks = append(looks, look{a.ProbeNodes, b})
	}
	for _, b := range plan.PCUs {
		looks = append(looks, look{a.ProbePCUs, b})
	}
	slots := workflow.NewSemaphore(ctx, batchesAtOnce)
	done := workflow.NewWaitGroup(ctx)
	var failed error
	for _, l := range looks {
		if err := slots.Acquire(ctx, 1); err != nil {
			return activities.SweepResult{}, err
		}
		done.Add(1)
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer done.Done()
			defer slots.Release(1)
			if err := workflow.ExecuteActivity(ctx, l.activity, l.batch).Get(ctx, nil); err != nil {
				failed = err
			}
		})
	}
	done.Wait(ctx)
	if failed != nil {
		return activities.SweepResult{}, failed // a half-seen fleet is not judged
	}
	var result activities.SweepResult
	err := workflow.ExecuteActivity(ctx, a.Judge, plan).Get(ctx, &result)
	return result, err
}
