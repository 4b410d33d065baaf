package answers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/workflows"
)

// ErrNoWorkflow says that Temporal has no workflow of that name that runs.
var ErrNoWorkflow = errors.New("temporal has no such workflow")

// patience is how long a workflow may take to answer: without a worker none does.
const patience = 5 * time.Second

// SiteState asks a site's workflow what it is told and denied. A site of which nothing is held and to which nothing is said has none.
func SiteState(ctx context.Context, tc client.Client, login string) (s site.State, err error) {
	if tc == nil {
		return s, errors.New("temporal is not connected")
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	id := site.ID(login)
	d, err := tc.DescribeWorkflowExecution(ctx, id, "")
	var none *serviceerror.NotFound
	if errors.As(err, &none) || err == nil && d.WorkflowExecutionInfo.CloseTime != nil {
		return s, ErrNoWorkflow
	}
	if err != nil {
		return s, fmt.Errorf("%s: %w", id, err)
	}
	value, err := tc.QueryWorkflow(ctx, id, "", workflows.QueryStatus)
	if err == nil {
		err = value.Get(&s)
	}
	if err != nil && Silent(err) {
		err = fmt.Errorf("%s does not answer: is monitor-worker running?", id)
	}
	return s, err
}

// Silent reports whether an error of Temporal's client says that nobody answered, which is not a refusal.
func Silent(err error) bool {
	var server *serviceerror.DeadlineExceeded
	var update *client.WorkflowUpdateServiceTimeoutOrCanceledError
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &server) || errors.As(err, &update)
}
