package answers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/store"
)

// Sweep is how one look at the fleet goes.
type Sweep struct {
	ID      string   `json:"id"`
	RunID   string   `json:"run_id"`
	Running bool     `json:"running"`
	Doing   []string `json:"doing,omitempty"`           // what it does now
	Untaken float64  `json:"untaken_seconds,omitempty"` // for how long no worker has taken it up
	Failed  string   `json:"failed,omitempty"`          // why it has no result
	Seconds float64  `json:"seconds"`                   // that it took
	activities.SweepResult
}

// ReadSweep asks Temporal how a sweep goes; store.ErrNotFound where there is none.
func ReadSweep(ctx context.Context, tc client.Client, id, run string) (Sweep, error) {
	s := Sweep{ID: id, RunID: run}
	if tc == nil {
		return s, ErrNobody
	}
	d, err := tc.DescribeWorkflowExecution(ctx, id, run)
	var none *serviceerror.NotFound
	var bad *serviceerror.InvalidArgument
	if errors.As(err, &none) || errors.As(err, &bad) || err == nil && d.WorkflowExecutionInfo.Type.GetName() != activities.SweepType {
		return s, fmt.Errorf("sweep %s: %w", run, store.ErrNotFound)
	}
	if err != nil {
		return s, fmt.Errorf("%s: %w", id, err)
	}
	info := d.WorkflowExecutionInfo
	if s.Running = info.Status == enums.WORKFLOW_EXECUTION_STATUS_RUNNING; s.Running {
		if t := d.PendingWorkflowTask; t.GetState() == enums.PENDING_WORKFLOW_TASK_STATE_SCHEDULED {
			s.Untaken = time.Since(t.GetScheduledTime().AsTime()).Seconds()
		}
		for _, p := range d.PendingActivities {
			s.Doing = append(s.Doing, step(p.ActivityType.Name, p.Attempt, p.LastFailure.GetMessage()))
		}
		slices.Sort(s.Doing)
		s.Doing = slices.Compact(s.Doing)
		return s, nil
	}
	s.Seconds = info.CloseTime.AsTime().Sub(info.StartTime.AsTime()).Round(time.Millisecond).Seconds()
	if err := tc.GetWorkflow(ctx, id, run).Get(ctx, &s.SweepResult); err != nil {
		s.Failed = ReasonOf(err)
	}
	return s, ctx.Err()
}

// step is an activity of a sweep in an operator's words.
func step(activity string, attempt int32, failure string) string {
	words := map[string]string{"SyncPLC": "reading the inventory", "ProbeNodes": "looking at nodes",
		"ProbePCUs": "looking at PCUs", "Judge": "judging what was seen"}
	s, known := words[activity]
	if !known {
		s = activity
	}
	if attempt > 1 {
		s += fmt.Sprintf(" (attempt %d: %s)", attempt, failure)
	}
	return s
}
