package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/workflows"
)

// ask fills in what Temporal knows of an issue: a running one is asked itself, one that is done left its result.
func ask(ctx context.Context, tc client.Client, v *issueView) error {
	d, err := tc.DescribeWorkflowExecution(ctx, v.ID, "")
	var none *serviceerror.NotFound
	if errors.As(err, &none) {
		return answers.ErrNoWorkflow
	}
	if err != nil {
		return err
	}
	info := d.WorkflowExecutionInfo
	v.RunID = info.Execution.RunId
	switch info.Status {
	case enums.WORKFLOW_EXECUTION_STATUS_RUNNING:
		return query(ctx, tc, v)
	case enums.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		var r workflows.Result
		if err := tc.GetWorkflow(ctx, v.ID, v.RunID).Get(ctx, &r); err != nil {
			return fmt.Errorf("result of %s: %w", v.ID, err)
		}
		v.Status, v.Outcome, v.Cause, v.Timeline = string(issue.Closed), r.Outcome, r.Cause, joined(v.Timeline, r.Timeline)
		v.Opened, v.Closed = r.Opened.UTC(), info.CloseTime.AsTime()
		v.Next, v.NextAt = "", time.Time{}
	default: // the store cannot know: the workflow did not end in its own way
		v.Status = strings.ToLower(info.Status.String())
		v.Closed, v.Next, v.NextAt = info.CloseTime.AsTime(), "", time.Time{}
		v.Outcome = "the workflow was " + v.Status
		if err := tc.GetWorkflow(ctx, v.ID, v.RunID).Get(ctx, nil); err != nil {
			v.Outcome = reasonOf(err)
		}
	}
	return nil
}

// query asks a running issue. A third of the time must do, so that who waits in vain can still turn to the store.
func query(ctx context.Context, tc client.Client, v *issueView) error {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/3)
		defer cancel()
	}
	answer, err := tc.QueryWorkflow(ctx, v.ID, v.RunID, workflows.QueryStatus)
	var s workflows.Status
	if err == nil {
		err = answer.Get(&s)
	}
	switch {
	case err == nil:
		v.answer(s)
		return nil
	case answers.Silent(err):
		return fmt.Errorf("%s does not answer: is monitor-worker running?", v.ID)
	}
	return fmt.Errorf("ask %s: %w", v.ID, err)
}

// reasonOf is the innermost message of a workflow's failure, without the SDK's wrapping.
func reasonOf(err error) string {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return app.Message()
	}
	return err.Error()
}

// give sends an order to an issue and prints its new status.
func (a *app) give(ctx context.Context, id, name string, c issue.Command) error {
	return a.withTemporal(ctx, func(ctx context.Context, tc client.Client) error {
		handle, err := tc.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
			WorkflowID: id, UpdateName: name, Args: []any{c}, WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		var s workflows.Status
		if err == nil {
			err = handle.Get(ctx, &s)
		}
		if err != nil {
			return orderError(id, err)
		}
		v := newView(id)
		v.answer(s)
		if name == string(issue.OrderClose) {
			a.awaitClosing(ctx, tc, &v, handle.RunID())
		}
		return a.show(v, func() { a.drawIssue(v) })
	})
}

// awaitClosing waits until a closed issue has let its site go, which needs PLC and may take longer than we do.
func (a *app) awaitClosing(ctx context.Context, tc client.Client, v *issueView, run string) {
	err := tc.GetWorkflow(ctx, v.ID, run).Get(ctx, nil)
	if err == nil {
		err = ask(ctx, tc, v)
	}
	if err != nil {
		a.warn("%s has the order and is not closed yet: look with `monitor issue show %s`", v.ID, v.ID)
	}
}

func orderError(id string, err error) error {
	var none *serviceerror.NotFound
	var refused *temporal.ApplicationError
	switch {
	case errors.As(err, &none):
		return notFound("no issue %s is open: see `monitor issue list --all`", id)
	case errors.As(err, &refused):
		return fmt.Errorf("%s refuses: %s", id, refused.Message())
	case answers.Silent(err):
		return fmt.Errorf("%s does not answer: is monitor-worker running? The order may yet be carried out: look with `monitor issue show %s`", id, id)
	}
	return fmt.Errorf("%s: %w", id, err)
}

func (a *app) issueOpen() *cobra.Command {
	var known issue.Input
	cmd := &cobra.Command{
		Use: "open TYPE TARGET", Short: "Open an issue by hand, as a sweep would", Args: takes("TYPE", "TARGET"), ValidArgsFunction: a.completeTarget(),
		Long: "Open an issue by hand, as a sweep would. An issue looks before it acts: one about a healthy target closes by itself.\nWhere one is open already, this says so and changes nothing.",
		Example: `  monitor issue open nodedown planetlab1.example.edu
  monitor issue open pcudown pcu1.example.edu
  monitor issue open badhardware planetlab1.example.edu --cause "the SMART test failed" --evidence "sda: 212 pending sectors"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkType(args[0]); err != nil {
				return err
			}
			return a.withTemporal(cmd.Context(), func(ctx context.Context, tc client.Client) error {
				return a.openIssue(ctx, tc, args[0], args[1], known)
			})
		},
	}
	cmd.Flags().StringVar(&known.Cause, "cause", "", "`why` it is open (default what the last sweep saw)")
	cmd.Flags().StringArrayVar(&known.Evidence, "evidence", nil, "a `line` for the people who are told; may be given again")
	return cmd
}

func (a *app) openIssue(ctx context.Context, tc client.Client, typ, target string, known issue.Input) error {
	v := newView(typ + "/" + target)
	known.State = nil
	t, _ := issue.Lookup(typ)
	in := t.Input(target)
	in.Cause, in.Evidence = known.Cause, known.Evidence
	_, err := tc.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: v.ID, TaskQueue: activities.TaskQueue,
		WorkflowIDReusePolicy:                    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowIDConflictPolicy:                 enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		StaticSummary:                            typ + " of " + target + ", opened by " + a.who(""),
	}, typ, in)
	var already *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &already) {
		a.warn("%s is open already; nothing was started", v.ID)
	} else if err != nil {
		return fmt.Errorf("open %s: %w", v.ID, err)
	}
	if err := a.awaitOpening(ctx, tc, &v); err != nil {
		return err
	}
	return a.show(v, func() { a.drawIssue(v) })
}

// awaitOpening follows an issue until it knows its target or has failed for want of it.
func (a *app) awaitOpening(ctx context.Context, tc client.Client, v *issueView) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := ask(ctx, tc, v); err != nil {
			v.Status = "started"
			a.warn("%s is started, but %v", v.ID, err)
			return nil
		}
		switch v.Status {
		case string(issue.Open), string(issue.Paused):
			if len(v.Timeline) > 0 { // its first line is written when the target is known
				return nil
			}
		case string(issue.Closed):
			return nil
		default:
			return notOpened(ctx, tc, v)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func notOpened(ctx context.Context, tc client.Client, v *issueView) error {
	var failure *temporal.ApplicationError
	if errors.As(tc.GetWorkflow(ctx, v.ID, v.RunID).Get(ctx, nil), &failure) && failure.Type() == activities.ErrNoSuchTarget {
		return notFound("%s did not open: %s", v.ID, failure.Message())
	}
	return fmt.Errorf("%s did not open: %s", v.ID, v.Outcome)
}
