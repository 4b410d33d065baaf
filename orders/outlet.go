package orders

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
)

// Outlet does one operation on one outlet, and waits for what comes of it.
func Outlet(ctx context.Context, tc client.Client, who Who, reason string, waives []policy.Waiver,
	in request.Outlet) (answer request.OutletAnswer, err error) {
	in.From = who.From
	in.Order = policy.Order{By: signature(who), Role: policy.RoleOperator, Reason: reason, Waives: waives}
	if err := in.Check(); err != nil {
		return answer, err
	}
	run, err := tc.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:            fmt.Sprintf("%s/%s/%d/%d", request.OutletType, in.PCU, in.Outlet, time.Now().UnixNano()),
		TaskQueue:     activities.TaskQueue,
		StaticSummary: fmt.Sprintf("%s outlet %d of %s for %s", in.Operation, in.Outlet, in.PCU, in.Order.By),
	}, request.OutletType, in)
	if err == nil {
		err = run.Get(ctx, &answer)
	}
	return answer, err
}
