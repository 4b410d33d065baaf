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

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/rollout"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

// Rollout freezes a plan with its nodes, and starts it. The plan says who wants it by the order.
func (d Desk) Rollout(ctx context.Context, o Order, p rollout.Plan, nodes []rollout.Node) (Receipt, rollout.Plan, error) {
	p.Order.By, p.Order.Role, p.Order.Reason, p.From = o.by(), policy.RoleOperator, o.reason(), o.Who.From
	p.Count = len(nodes)
	if p.Made.IsZero() {
		p.Made = d.now().UTC().Truncate(time.Second)
	}
	if p.Order.Reason != "" {
		if err := p.Check(); err != nil {
			return Receipt{}, p, &Error{Invalid, err}
		}
	}
	a := aboutRollout(p.Name, fmt.Sprintf("%s %d nodes, %d at a time", p.Act, p.Count, p.Group))
	a.words = map[string]any{"act": p.Act, "nodes": p.Count, "group": p.Group}
	a.do = func(ctx context.Context, _ string) (string, error) {
		if err := d.connected(); err != nil { // a plan that nobody carries out is not kept
			return "", err
		}
		err := d.Store.SaveRollout(ctx, p, nodes)
		if errors.Is(err, store.ErrRolloutTwice) {
			return "", refused("%w", err)
		}
		if err == nil {
			err = d.runRollout(ctx, p, rollout.Input{Name: p.Name})
		}
		return "", err
	}
	r, err := d.give(ctx, o, a)
	return r, p, err
}

// PlanOf are nodes as a plan freezes them, in their order.
func PlanOf(chosen []selection.Node) (nodes []rollout.Node) {
	for i, n := range chosen {
		nodes = append(nodes, rollout.Node{Seq: i + 1, NodeID: n.NodeID, Host: n.Name, Site: n.Site, State: rollout.Planned,
			Reason: strings.TrimSpace(n.Status + ", " + n.State)})
	}
	return nodes
}

func aboutRollout(name, does string) act {
	return act{verb: access.FleetRollout, target: name, issue: rollout.ID(name), does: does, why: "the ledger keeps it"}
}

// RetryRollout begins again with the nodes that have failed, and those that were never begun, and answers how many.
// Where a node may have been acted on, and nobody knows, it is left out.
func (d Desk) RetryRollout(ctx context.Context, o Order, name string) (Receipt, int, error) {
	plan, err := d.Store.Rollout(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return Receipt{}, 0, notFound("there is no roll-out %s: see `monitor rollout list`", name)
	}
	if err != nil {
		return Receipt{}, 0, err
	}
	count := 0
	a := aboutRollout(name, "begin again with what has failed in roll-out "+name)
	a.do = func(ctx context.Context, _ string) (string, error) {
		if err := d.connected(); err != nil {
			return "", err
		}
		_, running, err := answers.Rollout(ctx, d.Temporal, name)
		if err != nil {
			return "", err
		}
		if running {
			return "", refused("it is under way")
		}
		var last int
		if count, last, err = d.Store.PlanAgain(ctx, name); err != nil {
			return "", err
		}
		if count == 0 {
			return "", refused("no node has failed, and none is left to begin")
		}
		return fmt.Sprintf("%d nodes are tried again", count),
			d.runRollout(ctx, plan.Plan, rollout.Input{Name: name, Group: last})
	}
	r, err := d.give(ctx, o, a)
	return r, count, err
}

func (d Desk) runRollout(ctx context.Context, p rollout.Plan, in rollout.Input) error {
	_, err := d.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: rollout.ID(p.Name), TaskQueue: activities.TaskQueue,
		WorkflowIDConflictPolicy:                 enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowIDReusePolicy:                    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		StaticSummary:                            fmt.Sprintf("%s of %d nodes, %d at a time, for %s", p.Act, p.Count, p.Group, p.Order.By),
	}, rollout.Type, in)
	var running *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &running) {
		return refused("it is under way")
	}
	return err
}

// SteerRollout pauses, resumes or cancels a roll-out that runs.
func (d Desk) SteerRollout(ctx context.Context, o Order, name, order string) (Receipt, rollout.State, error) {
	var s rollout.State
	a := aboutRollout(name, order+" roll-out "+name)
	a.words = map[string]any{"order": order}
	a.do = func(ctx context.Context, key string) (string, error) {
		id := rollout.ID(name)
		err := d.tell(ctx, id, order, key, rollout.Steer{By: o.by(), Reason: o.reason()}, &s)
		return "", answered(id, err, notFound("no roll-out %s runs: see `monitor rollout list`", name))
	}
	r, err := d.give(ctx, o, a)
	return r, s, err
}
