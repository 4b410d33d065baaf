package orders

import (
	"context"
	"errors"
	"fmt"
	"strings"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/rollout"
	"github.com/planetlab/monitor/store"
)

// StartRollout freezes a plan with its nodes, and starts it.
func StartRollout(ctx context.Context, db *store.Store, tc client.Client, p rollout.Plan, nodes []rollout.Node) error {
	p.Count = len(nodes)
	if err := p.Check(); err != nil {
		return err
	}
	if err := db.SaveRollout(ctx, p, nodes); err != nil {
		return err
	}
	return runRollout(ctx, tc, p, rollout.Input{Name: p.Name})
}

// ErrRuns says that a roll-out is under way.
var ErrRuns = errors.New("it is under way")

// ErrNothingLeft says that no node of a roll-out is left to be tried.
var ErrNothingLeft = errors.New("no node has failed, and none is left to begin")

// RetryRollout begins again with the nodes that have failed, and those that were never begun. Where a node may have
// been acted on, and nobody knows, it is left out.
func RetryRollout(ctx context.Context, db *store.Store, tc client.Client, who Who, name, reason string) (int, error) {
	r, err := db.Rollout(ctx, name)
	if err != nil {
		return 0, err
	}
	d, err := tc.DescribeWorkflowExecution(ctx, rollout.ID(name), "")
	var none *serviceerror.NotFound
	switch {
	case err == nil && d.WorkflowExecutionInfo.Status == enums.WORKFLOW_EXECUTION_STATUS_RUNNING:
		return 0, ErrRuns
	case err != nil && !errors.As(err, &none):
		return 0, err
	}
	count, last, err := db.PlanAgain(ctx, name)
	if err != nil {
		return 0, err
	}
	if count == 0 {
		return 0, ErrNothingLeft
	}
	if err := note(ctx, db, who, rollout.Type, name, "", reason, fmt.Sprintf("%d nodes are tried again", count)); err != nil {
		return 0, err
	}
	return count, runRollout(ctx, tc, r.Plan, rollout.Input{Name: name, Group: last})
}

func runRollout(ctx context.Context, tc client.Client, p rollout.Plan, in rollout.Input) error {
	_, err := tc.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: rollout.ID(p.Name), TaskQueue: activities.TaskQueue,
		WorkflowIDConflictPolicy:                 enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowIDReusePolicy:                    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		StaticSummary: fmt.Sprintf("%s of %d nodes, %d at a time, for %s", p.Act, p.Count, p.Group,
			strings.TrimSpace(p.Order.By)),
	}, rollout.Type, in)
	var running *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &running) {
		return ErrRuns
	}
	return err
}

// RolloutState asks a roll-out that runs how far it is; running is false for one that does not.
func RolloutState(ctx context.Context, tc client.Client, name string) (s rollout.State, running bool, err error) {
	id := rollout.ID(name)
	d, err := tc.DescribeWorkflowExecution(ctx, id, "")
	var none *serviceerror.NotFound
	if errors.As(err, &none) || err == nil && d.WorkflowExecutionInfo.Status != enums.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	value, err := tc.QueryWorkflow(ctx, id, "", issue.QueryStatus)
	if err == nil {
		err = value.Get(&s)
	}
	return s, true, err
}

// SteerRollout pauses, resumes or cancels a roll-out.
func SteerRollout(ctx context.Context, tc client.Client, who Who, name, order, reason string) (s rollout.State, err error) {
	h, err := tc.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{WorkflowID: rollout.ID(name), UpdateName: order,
		WaitForStage: client.WorkflowUpdateStageCompleted,
		Args:         []any{rollout.Steer{By: signature(who), Reason: strings.TrimSpace(reason)}}})
	if err == nil {
		err = h.Get(ctx, &s)
	}
	return s, err
}
