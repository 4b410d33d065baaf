package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/request"
)

// Outlet does one operation on one outlet for a person. It is a workflow so that the PCU's password stays with the
// workers, and so that what was begun is settled whoever dies.
func Outlet(ctx workflow.Context, in request.Outlet) (request.OutletAnswer, error) {
	var requests *activities.Requests
	ctx, _ = workflow.NewDisconnectedContext(ctx) // it lasts a minute, and what was begun is brought to its end
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: activities.MachineTaskQueue, StartToCloseTimeout: 10 * time.Minute,
		ScheduleToCloseTimeout: 20 * time.Minute, HeartbeatTimeout: heartbeat,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: time.Minute,
			NonRetryableErrorTypes: noRetry()},
	})
	var answer request.OutletAnswer
	err := workflow.ExecuteActivity(ctx, requests.OperateOutlet, in).Get(ctx, &answer)
	return answer, err
}
