package workflows_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/rollout"
	"github.com/planetlab/monitor/workflows"
)

// An operator who pauses a roll-out that he has just started, or just let go on, is not told to say it again, and no
// group begins after his word.
func TestRollout_APauseHoldsWhateverIsUnderWay(t *testing.T) {
	for name, slow := range map[string]string{"while the plan is read": "OpenRollout", "while its status is written": "NoteRollout"} {
		t.Run(name, func(t *testing.T) {
			suite := testsuite.WorkflowTestSuite{}
			suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
			p := suite.NewTestWorkflowEnvironment()
			p.SetTestTimeout(time.Minute)
			p.RegisterWorkflow(workflows.Rollout)
			begun, order := 0, func(update string) {
				p.UpdateWorkflow(update, update, &testsuite.TestUpdateCallback{
					OnAccept: func() {},
					OnReject: func(err error) { t.Errorf("%s is refused: %v", update, err) },
					OnComplete: func(_ any, err error) {
						if err != nil {
							t.Errorf("%s: %v", update, err)
						}
					},
				}, rollout.Steer{By: "ann", Reason: "lunch"})
			}
			ordered := false
			during := func(activity string) {
				if activity == slow && !ordered {
					ordered = true
					order(rollout.UpdatePause)
				}
			}
			for name, f := range map[string]any{
				"OpenRollout": func(context.Context, string) (rollout.Plan, error) {
					during("OpenRollout")
					return rollout.Plan{Name: "big", Act: request.Reboot, Count: 2, Group: 1}, nil
				},
				"NoteRollout": func(context.Context, activities.RolloutNote) error {
					during("NoteRollout")
					return nil
				},
				"BeginRolloutGroup": func(context.Context, activities.RolloutGroup) (activities.RolloutBegun, error) {
					begun++
					return activities.RolloutBegun{}, nil
				},
			} {
				p.RegisterActivityWithOptions(f, activity.RegisterOptions{Name: name})
			}
			p.RegisterDelayedCallback(func() { order(rollout.UpdateCancel) }, time.Hour)
			p.ExecuteWorkflow(workflows.Rollout, rollout.Input{Name: "big"})
			var end rollout.State
			if err := p.GetWorkflowResult(&end); err != nil || end.Status != rollout.Cancelled || begun > 0 {
				t.Errorf("it ends as %+v, %v, and %d groups were begun", end, err, begun)
			}
		})
	}
}
