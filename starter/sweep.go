package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/activities"
)

// sweepView is how a sweep went.
type sweepView struct {
	ID      string  `json:"id"`
	RunID   string  `json:"run_id"`
	Seconds float64 `json:"seconds"`
	activities.SweepResult
}

func (a *app) sweep() *cobra.Command {
	var believe string
	cmd := &cobra.Command{
		Use: "sweep", Short: "Look at the whole fleet now, and wait for what comes of it", Args: takes(),
		Long: "Start a sweep now by the schedule that the worker keeps, show how far it is, and print its result.\n" +
			"A sweep under way is not disturbed: the new one follows it. Ctrl-C stops the watching, not the sweep.",
		Example: "  monitor sweep\n  monitor sweep -o json\n  monitor sweep --believe \"the fibre to the east is cut\"",
		RunE: func(cmd *cobra.Command, _ []string) error {
			start := starter(a.trigger)
			if cmd.Flags().Changed("believe") {
				start = believed(believe)
			}
			v, err := a.follow(cmd.Context(), start)
			if err != nil {
				return err
			}
			return a.show(v, func() { a.drawSweep(v) })
		},
	}
	cmd.Flags().StringVar(&believe, "believe", "", "take for true what the fleet guard doubts; the `reason` goes into the ledger")
	return cmd
}

// starter is a way to start a sweep.
type starter func(context.Context, client.Client) (client.ScheduleWorkflowExecution, error)

// believed starts a sweep beside the schedule, on an operator's word.
func believed(reason string) starter {
	return func(ctx context.Context, tc client.Client) (none client.ScheduleWorkflowExecution, err error) {
		if strings.TrimSpace(reason) == "" {
			return none, badInput("--believe needs a reason: the ledger keeps it")
		}
		run, err := tc.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
			ID: activities.SweepType + "-believed", TaskQueue: activities.TaskQueue, StaticSummary: "look at the whole fleet, and believe it: " + reason,
		}, activities.SweepType, activities.SweepInput{Believe: reason})
		if err != nil {
			return none, fmt.Errorf("start a sweep: %w", err)
		}
		return client.ScheduleWorkflowExecution{WorkflowID: run.GetID(), FirstExecutionRunID: run.GetRunID()}, nil
	}
}

// follow starts a sweep and sees it to its end, which may be long in coming: only --timeout bounds it.
func (a *app) follow(ctx context.Context, start starter) (sweepView, error) {
	tc, err := a.openTemporal(ctx)
	if err != nil {
		return sweepView{}, err
	}
	defer tc.Close()
	bounded := ctx
	if a.timeout > 0 {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeout(ctx, a.timeout)
		defer cancel()
	}
	var v sweepView
	w, err := start(bounded, tc)
	if err == nil {
		v, err = a.watch(bounded, tc, w)
	}
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return v, fmt.Errorf("no sweep has ended within %s: is monitor-worker running? The one that was asked for is not called off", a.timeout)
	}
	return v, err
}

func (a *app) progress(format string, args ...any) {
	fmt.Fprintf(a.err, "%s %s\n", a.now().UTC().Format(time.TimeOnly), clean(fmt.Sprintf(format, args...)))
}

// trigger asks the schedule for a sweep and waits until that has begun. Any sweep that begins after the request is as good
// as ours, since it looks at the fleet as it is now.
func (a *app) trigger(ctx context.Context, tc client.Client) (client.ScheduleWorkflowExecution, error) {
	var none client.ScheduleWorkflowExecution
	schedule := tc.ScheduleClient().GetHandle(ctx, activities.SweepType)
	before, err := schedule.Describe(ctx)
	var missing *serviceerror.NotFound
	if errors.As(err, &missing) {
		return none, notFound("there is no schedule %q in this namespace: monitor-worker makes it when it starts; check temporal.address and temporal.namespace", activities.SweepType)
	}
	if err != nil {
		return none, fmt.Errorf("schedule %s: %w", activities.SweepType, err)
	}
	known := map[string]bool{}
	for _, x := range begun(before) {
		known[x.FirstExecutionRunID] = true
	}
	if err := schedule.Trigger(ctx, client.ScheduleTriggerOptions{Overlap: enums.SCHEDULE_OVERLAP_POLICY_BUFFER_ONE}); err != nil {
		return none, fmt.Errorf("trigger schedule %s: %w", activities.SweepType, err)
	}
	if len(before.Info.RunningWorkflows) > 0 {
		a.progress("a sweep is under way; the new one follows it")
	}
	var found client.ScheduleWorkflowExecution
	err = poll(ctx, func() (bool, error) {
		d, err := schedule.Describe(ctx)
		if err != nil {
			return false, fmt.Errorf("schedule %s: %w", activities.SweepType, err)
		}
		for _, x := range begun(d) {
			if !known[x.FirstExecutionRunID] {
				found = x
				return true, nil
			}
		}
		return false, nil
	})
	return found, err
}

// begun are the sweeps that a schedule remembers to have started.
func begun(d *client.ScheduleDescription) []client.ScheduleWorkflowExecution {
	list := slices.Clone(d.Info.RunningWorkflows)
	for _, r := range d.Info.RecentActions {
		if r.StartWorkflowResult != nil {
			list = append(list, *r.StartWorkflowResult)
		}
	}
	return list
}

func poll(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// watch tells what a sweep is doing until it has ended.
func (a *app) watch(ctx context.Context, tc client.Client, w client.ScheduleWorkflowExecution) (sweepView, error) {
	v := sweepView{ID: w.WorkflowID, RunID: w.FirstExecutionRunID}
	a.progress("%s has begun", v.ID)
	last := ""
	err := poll(ctx, func() (bool, error) {
		d, err := tc.DescribeWorkflowExecution(ctx, v.ID, v.RunID)
		if err != nil {
			return false, fmt.Errorf("%s: %w", v.ID, err)
		}
		if info := d.WorkflowExecutionInfo; info.Status != enums.WORKFLOW_EXECUTION_STATUS_RUNNING {
			v.Seconds = info.CloseTime.AsTime().Sub(info.StartTime.AsTime()).Round(time.Millisecond).Seconds()
			return true, nil
		}
		if t := d.PendingWorkflowTask; unattended(t.GetState(), time.Since(t.GetScheduledTime().AsTime())) {
			return false, fmt.Errorf("nobody has taken up %s for %s: is monitor-worker running? One that starts goes on with it", v.ID, patience)
		}
		under := map[string]bool{}
		for _, p := range d.PendingActivities {
			under[step(p.ActivityType.Name, p.Attempt, p.LastFailure.GetMessage())] = true
		}
		if now := strings.Join(slices.Sorted(maps.Keys(under)), ", "); now != last && now != "" {
			last = now
			a.progress("%s", now)
		}
		return false, nil
	})
	if err != nil {
		return v, err
	}
	if err := tc.GetWorkflow(ctx, v.ID, v.RunID).Get(ctx, &v.SweepResult); err != nil {
		return v, fmt.Errorf("%s failed: %s", v.ID, reasonOf(err))
	}
	return v, nil
}

// unattended says whether no worker has taken a task for longer than one that runs would let it wait.
func unattended(state enums.PendingWorkflowTaskState, waits time.Duration) bool {
	return state == enums.PENDING_WORKFLOW_TASK_STATE_SCHEDULED && waits > patience
}

// step is an activity of a sweep in an operator's words.
func step(activity string, attempt int32, failure string) string {
	words := map[string]string{"SyncPLC": "reading PLC", "ProbeNodes": "looking at nodes", "ProbePCUs": "looking at PCUs", "Judge": "judging what was seen"}
	s := cmp.Or(words[activity], activity)
	if attempt > 1 {
		s += fmt.Sprintf(" (attempt %d: %s)", attempt, failure)
	}
	return s
}

func (a *app) drawSweep(v sweepView) {
	a.say("%s looked at %d nodes (%d up) and %d PCUs in %s: %d issues opened, %d cleared", v.ID, v.Nodes, v.Up, v.PCUs,
		time.Duration(v.Seconds*float64(time.Second)).Round(time.Millisecond), v.Opened, v.Cleared)
	if v.Held != "" {
		a.say("held back by the fleet guard: %s", clean(v.Held))
	}
}
