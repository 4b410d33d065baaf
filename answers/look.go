package answers

import (
	"context"
	"errors"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/store"
)

// Look has a worker look at a node now. A node is looked at once at a time: who asks meanwhile is told the same.
func Look(ctx context.Context, tc client.Client, host string) (seen activities.Glance, err error) {
	run, err := tc.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: activities.LookType + "/" + host, TaskQueue: activities.TaskQueue, WorkflowExecutionTimeout: 90 * time.Second,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING, StaticSummary: "look at " + host + " now",
	}, activities.LookType, host)
	if err == nil {
		seen, err = await[activities.Glance](ctx, tc, run)
	}
	var no *temporal.ApplicationError
	if errors.As(err, &no) && no.Type() == activities.ErrNoSuchTarget {
		err = errors.Join(errors.New(no.Message()), store.ErrNotFound)
	}
	return seen, err
}
