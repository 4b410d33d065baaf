package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/workflows"
)

// ensureSearchAttributes creates those that the namespace lacks; several workers may do so at once.
func ensureSearchAttributes(ctx context.Context, tc client.Client, namespace string) error {
	want := map[string]enums.IndexedValueType{}
	for _, k := range workflows.Attributes() {
		want[k.GetName()] = k.GetValueType()
	}
	have, err := tc.OperatorService().ListSearchAttributes(ctx,
		&operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return fmt.Errorf("search attributes: %w", err)
	}
	for name, kind := range have.CustomAttributes {
		if want[name] != 0 && want[name] != kind {
			return fmt.Errorf(
				"search attribute %s exists as %s and must be %s: remove it with `temporal operator "+
					"search-attribute remove --name %s`", name, kind, want[name], name)
		}
		delete(want, name)
	}
	if len(want) == 0 {
		return nil
	}
	if _, err := tc.OperatorService().AddSearchAttributes(ctx,
		&operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: want}); err != nil {
		return fmt.Errorf("search attributes: %w", err)
	}
	return nil
}

// keepSchedule brings back what a namespace must have, when it has lost its schedule: nobody restarts the workers
// because Temporal came back without its data, and without a sweep nothing would ever open again what was lost with it.
func keepSchedule(ctx context.Context, tc client.Client, every time.Duration, log *slog.Logger, ensure func() error) {
	tick := time.NewTicker(min(every, time.Minute))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_, err := tc.ScheduleClient().GetHandle(ctx, activities.SweepType).Describe(ctx)
		var none *serviceerror.NotFound
		if !errors.As(err, &none) {
			continue
		}
		if err := ensure(); err != nil {
			log.Warn("Temporal has lost the schedule of the sweep, and does not take it back yet", "error", err)
			continue
		}
		log.Warn("Temporal had lost the schedule of the sweep: its data are gone, or somebody deleted it; to stop " +
			"sweeps, pause the schedule")
	}
}

// ensureSchedule creates the sweep's schedule, or brings its interval up to date. A schedule that somebody paused stays
// so.
func ensureSchedule(ctx context.Context, tc client.Client, every, jitter time.Duration) error {
	spec := client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: every}}, Jitter: jitter}
	_, err := tc.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: activities.SweepType, Spec: spec, Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP,
		CatchupWindow: max(every, 10*time.Second),
		Action: &client.ScheduleWorkflowAction{ID: activities.SweepType, Workflow: activities.SweepType,
			TaskQueue: activities.TaskQueue, StaticSummary: "look at the whole fleet"},
	})
	if !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return err
	}
	return tc.ScheduleClient().GetHandle(ctx, activities.SweepType).Update(ctx, client.ScheduleUpdateOptions{
		DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			s := in.Description.Schedule
			s.Spec = &spec
			return &client.ScheduleUpdate{Schedule: &s}, nil
		},
	})
}
