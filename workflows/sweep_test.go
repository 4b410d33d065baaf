package workflows_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/workflows"
)

func sweep(t *testing.T, probe func(activities.Batch) error) (res activities.SweepResult, judged bool, looked []int64, err error) {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.RegisterWorkflowWithOptions(workflows.Sweep, workflow.RegisterOptions{Name: activities.SweepType})
	env.RegisterActivity(&activities.Activities{})
	plan := activities.Plan{PLC: "ok", PCUs: []activities.Batch{{After: 0, Limit: 100}}}
	for i := range int64(12) {
		plan.Nodes = append(plan.Nodes, activities.Batch{After: i * 100, Limit: 100})
	}
	var mu sync.Mutex
	env.OnActivity("SyncPLC", mock.Anything).Return(plan, nil)
	env.OnActivity("ProbeNodes", mock.Anything, mock.Anything).Return(func(_ context.Context, b activities.Batch) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		looked = append(looked, b.After)
		return b.Limit, probe(b)
	})
	env.OnActivity("ProbePCUs", mock.Anything, mock.Anything).Return(7, nil)
	env.OnActivity("Judge", mock.Anything, mock.Anything).Return(func(_ context.Context, p activities.Plan) (activities.SweepResult, error) {
		judged = true
		return activities.SweepResult{Nodes: 1200, PCUs: 7}, nil
	})
	env.ExecuteWorkflow(activities.SweepType)
	if err = env.GetWorkflowError(); err == nil {
		err = env.GetWorkflowResult(&res)
	}
	return res, judged, looked, err
}

func TestASweepLooksAtEveryBatchOnceAndThenJudges(t *testing.T) {
	res, judged, looked, err := sweep(t, func(activities.Batch) error { return nil })
	slices.Sort(looked)
	if err != nil || !judged || res.Nodes != 1200 || len(looked) != 12 || len(slices.Compact(looked)) != 12 {
		t.Errorf("%+v, judged %v, looked %v, error %v", res, judged, looked, err)
	}
}

func TestAHalfSeenFleetIsNotJudged(t *testing.T) {
	_, judged, _, err := sweep(t, func(b activities.Batch) error {
		if b.After == 500 {
			return temporal.NewNonRetryableApplicationError("no socket left", "probe", nil)
		}
		return nil
	})
	if err == nil || judged {
		t.Errorf("judged %v, error %v", judged, err)
	}
}

func TestABatchThatFailsOnceIsLookedAtAgain(t *testing.T) {
	failed := false
	_, judged, looked, err := sweep(t, func(b activities.Batch) error {
		if b.After == 500 && !failed {
			failed = true
			return errors.New("postgres is away")
		}
		return nil
	})
	if err != nil || !judged || len(looked) != 13 {
		t.Errorf("judged %v after %d looks, error %v", judged, len(looked), err)
	}
}
