package answers

import (
	"context"
	"errors"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/rollout"
)

// Rollout asks a roll-out that runs how far it is; running is false for one that does not.
func Rollout(ctx context.Context, tc client.Client, name string) (s rollout.State, running bool, err error) {
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
