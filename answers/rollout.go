package answers

import (
	"context"
	"errors"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/rollout"
	"github.com/planetlab/monitor/store"
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

// WholeRollout is a roll-out with its nodes, and what its workflow says where it runs.
type WholeRollout struct {
	store.Rollout
	Runs    bool           `json:"runs"`
	Group   int            `json:"group"` // that began last
	List    []rollout.Node `json:"node_list"`
	Missing string         `json:"missing,omitempty"` // why its workflow was not asked; empty: it was
}

// ReadRollout gathers what the store knows, with the newer word of the workflow about the group that is under way.
func ReadRollout(ctx context.Context, db *store.Store, tc client.Client, name string) (v WholeRollout, err error) {
	if v.Rollout, err = db.Rollout(ctx, name); err != nil {
		return v, err
	}
	if v.List, err = db.RolloutNodes(ctx, name); err != nil {
		return v, err
	}
	err = ErrNobody
	if tc != nil {
		var s rollout.State
		if s, v.Runs, err = Rollout(ctx, tc, name); err == nil && v.Runs && s.Status != "" {
			v.Status, v.Why, v.Ended = string(s.Status), s.Why, time.Time{}
			for _, n := range s.Running {
				if i := n.Seq - 1; i >= 0 && i < len(v.List) && v.List[i].State == rollout.Begun {
					v.List[i].State, v.List[i].Reason, v.List[i].Ended = n.State, n.Reason, n.Ended
				}
			}
		}
	}
	if err != nil {
		v.Missing = ReasonOf(err)
	}
	v.Nodes = map[rollout.NodeState]int{}
	for i := range v.List {
		n := &v.List[i]
		n.Began, n.Ended = n.Began.UTC(), n.Ended.UTC()
		v.Nodes[n.State]++
		v.Group = max(v.Group, n.Group)
	}
	v.Made, v.Ended = v.Made.UTC(), v.Ended.UTC()
	return v, nil
}
