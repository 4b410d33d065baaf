package answers

import (
	"context"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/request"
)

// Request is where the latest order to a node stands; run may be empty. One that has ended tells it as its result.
func Request(ctx context.Context, tc client.Client, host, run string) (s request.Story, err error) {
	id := request.ID(host)
	d, err := tc.DescribeWorkflowExecution(ctx, id, run)
	if err != nil {
		return s, err
	}
	run = d.WorkflowExecutionInfo.Execution.RunId
	if d.WorkflowExecutionInfo.Status != enums.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return s, tc.GetWorkflow(ctx, id, run).Get(ctx, &s)
	}
	value, err := tc.QueryWorkflow(ctx, id, run, issue.QueryStatus)
	if err == nil {
		err = value.Get(&s)
	}
	return s, err
}
