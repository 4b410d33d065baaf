package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
)

// WhyNot answers whether an act would be done, and what stands in its way. It is a workflow so that any Temporal client
// can ask, with no more than a name and small JSON; it changes nothing.
func WhyNot(ctx workflow.Context, in activities.WhyNotRequest) (activities.WhyNotAnswer, error) {
	var explainer *activities.Explainer
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: activities.TaskQueue, StartToCloseTimeout: time.Minute, ScheduleToCloseTimeout: 2 * time.Minute,
		HeartbeatTimeout: heartbeat, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 2},
	})
	var answer activities.WhyNotAnswer
	err := workflow.ExecuteActivity(ctx, explainer.WhyNot, in).Get(ctx, &answer)
	return answer, err
}

// Look looks at one node now and answers what it sees. It is a workflow for the same reason, and because nobody is looked
// at twice at once: whoever asks meanwhile is told the same.
func Look(ctx workflow.Context, host string) (activities.Glance, error) {
	var explainer *activities.Explainer
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: activities.TaskQueue, StartToCloseTimeout: time.Minute, ScheduleToCloseTimeout: time.Minute,
		HeartbeatTimeout: heartbeat, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
	})
	var seen activities.Glance
	err := workflow.ExecuteActivity(ctx, explainer.LookAtNode, host).Get(ctx, &seen)
	return seen, err
}
