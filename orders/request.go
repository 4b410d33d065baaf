package orders

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
)

// Request is what somebody orders of nodes.
type Request struct {
	Act      request.Act
	State    string // of the act bootstate
	Role     policy.Role
	Reason   string
	Waives   []policy.Waiver
	Ways     []request.Way
	Patience time.Duration
	Return   time.Duration
	DryRun   bool
}

// Input is the order as it is given for one node.
func (r Request) Input(who Who, host string, nodeID int) request.Input {
	return request.Input{Node: host, NodeID: nodeID, Act: r.Act, State: r.State, From: who.From, Ways: r.Ways,
		Order:    policy.Order{By: signature(who), Role: r.Role, Reason: strings.TrimSpace(r.Reason), Waives: r.Waives},
		Patience: r.Patience, Return: r.Return, DryRun: r.DryRun}
}

// signature is the name under which an order stands: the account's, and beside it the one that somebody asks to be
// called by.
func signature(w Who) string {
	if w.Name == "" || w.Name == w.Account {
		return w.Account
	}
	return w.Name + ", as " + w.Account
}

// ErrUnderWay says that another order to the same node is under way.
var ErrUnderWay = errors.New("another order to this node is under way")

// StartRequest gives an order to one node, and answers the run that carries it out. The node takes one at a time.
func StartRequest(ctx context.Context, tc client.Client, in request.Input) (client.WorkflowRun, error) {
	if err := in.Check(); err != nil {
		return nil, err
	}
	o := client.StartWorkflowOptions{
		ID: request.ID(in.Node), TaskQueue: activities.TaskQueue,
		WorkflowIDConflictPolicy:                 enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowIDReusePolicy:                    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		StaticSummary:                            fmt.Sprintf("%s of %s for %s", in.Act, in.Node, in.Order.By),
	}
	if in.DryRun { // it disturbs nobody
		o.ID = fmt.Sprintf("%s/would/%d", request.ID(in.Node), time.Now().UnixNano())
	}
	run, err := tc.ExecuteWorkflow(ctx, o, request.Type, in)
	var running *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &running) {
		return nil, fmt.Errorf("%w: see `monitor node request %s`", ErrUnderWay, in.Node)
	}
	if err != nil {
		return nil, fmt.Errorf("order a %s of %s: %w", in.Act, in.Node, err)
	}
	return run, nil
}

// RequestStory is where the latest order to a node stands; run may be empty. A request that has ended tells it as its
// result.
func RequestStory(ctx context.Context, tc client.Client, host, run string) (s request.Story, err error) {
	id := request.ID(host)
	d, err := tc.DescribeWorkflowExecution(ctx, id, run)
	if err != nil {
		return s, err
	}
	info := d.WorkflowExecutionInfo
	switch info.Status {
	case enums.WORKFLOW_EXECUTION_STATUS_RUNNING:
		value, err := tc.QueryWorkflow(ctx, id, info.Execution.RunId, issue.QueryStatus)
		if err != nil {
			return s, err
		}
		return s, value.Get(&s)
	}
	return s, tc.GetWorkflow(ctx, id, info.Execution.RunId).Get(ctx, &s)
}

// CancelRequest leaves the order to a node, if nothing was done yet; the answer says so.
func CancelRequest(ctx context.Context, tc client.Client, who Who, host, reason string) (a request.Answer, err error) {
	h, err := tc.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{WorkflowID: request.ID(host),
		UpdateName: request.UpdateCancel, WaitForStage: client.WorkflowUpdateStageCompleted,
		Args: []any{request.Cancel{By: signature(who), Reason: reason}}})
	if err == nil {
		err = h.Get(ctx, &a)
	}
	return a, err
}
