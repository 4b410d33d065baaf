package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/orders"
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
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				path, o := "/sweeps", orders.Order{}
				if cmd.Flags().Changed("believe") {
					path, o.Reason = "/sweeps/believed", believe
				}
				var given struct {
					ID  string `json:"id"`
					Run string `json:"run_id"`
				}
				if err := r.post(ctx, path, o, nil, &given); err != nil {
					return err
				}
				return a.show(given, func() { a.say("%s has begun: `monitor status` tells when it has ended", clean(given.ID)) })
			}); done {
				return err
			}
			start := a.sweepNow
			if cmd.Flags().Changed("believe") {
				if strings.TrimSpace(believe) == "" {
					return badInput("--believe needs a reason: the ledger keeps it")
				}
				start = a.believed(believe)
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

// sweepNow has the schedule start a sweep.
func (a *app) sweepNow(ctx context.Context, d orders.Desk) (orders.Run, error) {
	_, run, err := d.Sweep(ctx, orders.Order{Who: a.person("")}, func() {
		a.progress("a sweep is under way; the new one follows it")
	})
	return run, err
}

// believed starts a sweep on an operator's word.
func (a *app) believed(reason string) func(context.Context, orders.Desk) (orders.Run, error) {
	return func(ctx context.Context, d orders.Desk) (orders.Run, error) {
		_, run, err := d.Believe(ctx, orders.Order{Who: a.person(""), Reason: reason})
		return run, err
	}
}

// follow starts a sweep and sees it to its end, which may be long in coming: only --timeout bounds it.
func (a *app) follow(ctx context.Context, start func(context.Context, orders.Desk) (orders.Run, error)) (sweepView, error) {
	tc, err := a.openTemporal(ctx)
	if err != nil {
		return sweepView{}, err
	}
	defer tc.Close()
	db, err := a.openStore(ctx)
	if err != nil {
		return sweepView{}, err
	}
	defer db.Close()
	bounded := ctx
	if a.timeout > 0 {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeout(ctx, a.timeout)
		defer cancel()
	}
	var v sweepView
	w, err := start(bounded, orders.Desk{Store: db, Temporal: tc, Now: a.now})
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
func (a *app) watch(ctx context.Context, tc client.Client, w orders.Run) (sweepView, error) {
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
		return v, fmt.Errorf("%s failed: %s", v.ID, answers.ReasonOf(err))
	}
	return v, nil
}

// unattended says whether no worker has taken a task for longer than one that runs would let it wait.
func unattended(state enums.PendingWorkflowTaskState, waits time.Duration) bool {
	return state == enums.PENDING_WORKFLOW_TASK_STATE_SCHEDULED && waits > patience
}

// step is an activity of a sweep in an operator's words.
func step(activity string, attempt int32, failure string) string {
	words := map[string]string{"SyncPLC": "reading the inventory", "ProbeNodes": "looking at nodes", "ProbePCUs": "looking at PCUs", "Judge": "judging what was seen"}
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
