package workflows_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/workflows"
)

// swept is how a sweep of twelve batches of nodes and three of PCUs went.
type swept struct {
	res    activities.SweepResult
	err    error
	judged *activities.Plan
	ended  *activities.SweepEnd
	looked []int64
	synced int
	last   int64 // what was the number of the last sweep
}

// parts are the activities of a sweep that a test may make fail.
type parts struct {
	in    activities.SweepInput
	last  *activities.SweepResult // of the schedule; nil: there is none
	sync  func(try int) (busy string, err error)
	probe func(activities.Batch) error
	judge func() error
}

func sweep(t *testing.T, p parts) swept {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.RegisterWorkflowWithOptions(workflows.Sweep, workflow.RegisterOptions{Name: activities.SweepType})
	for _, group := range activities.New(activities.Options{}).Registered() {
		env.RegisterActivity(group)
	}
	env.OnActivity("Reconcile", mock.Anything).Return(activities.Reconciled{}, nil)
	var mu sync.Mutex
	var out swept
	env.OnActivity("SyncPLC", mock.Anything,
		mock.Anything).Return(func(_ context.Context, in activities.SweepInput) (activities.Plan, error) {
		out.last = in.Last
		plan := activities.Plan{Sweep: 7, PLC: activities.PLCAnswers}
		for i := range int64(12) {
			plan.Nodes = append(plan.Nodes, activities.Batch{After: i * 100, Upto: i*100 + 100})
		}
		for i := range int64(3) {
			plan.PCUs = append(plan.PCUs, activities.Batch{After: 2000 + i*32, Upto: 2000 + i*32 + 32})
		}
		out.synced++
		var err error
		if p.sync != nil {
			plan.Busy, err = p.sync(out.synced)
		}
		return plan, err
	})
	probe := func(_ context.Context, b activities.Batch) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		out.looked = append(out.looked, b.After)
		if p.probe != nil {
			return 0, p.probe(b)
		}
		return 0, nil
	}
	env.OnActivity("ProbeNodes", mock.Anything, mock.Anything).Return(probe)
	env.OnActivity("ProbePCUs", mock.Anything, mock.Anything).Return(probe)
	env.OnActivity("Judge", mock.Anything,
		mock.Anything).Return(func(_ context.Context, plan activities.Plan) (activities.SweepResult, error) {
		out.judged = &plan
		if p.judge != nil {
			return activities.SweepResult{}, p.judge()
		}
		return activities.SweepResult{Nodes: 1200, PCUs: 7}, nil
	})
	env.OnActivity("EndSweep", mock.Anything,
		mock.Anything).Return(func(_ context.Context, e activities.SweepEnd) error {
		out.ended = &e
		return nil
	})
	if p.last != nil {
		env.SetLastCompletionResult(*p.last)
	}
	env.ExecuteWorkflow(activities.SweepType, p.in)
	if out.err = env.GetWorkflowError(); out.err == nil {
		out.err = env.GetWorkflowResult(&out.res)
	}
	slices.Sort(out.looked)
	return out
}

func TestASweepLooksAtEveryBatchOnceAndThenJudges(t *testing.T) {
	s := sweep(t, parts{})
	if s.err != nil || s.judged == nil || s.res.Nodes != 1200 || len(s.looked) != 15 ||
		len(slices.Compact(s.looked)) != 15 || s.ended != nil {
		t.Errorf("%+v", s)
	}
	if len(s.judged.Nodes) > 0 || s.judged.Sweep != 7 {
		t.Errorf("the judgement is given %+v", s.judged)
	}
}

func TestABatchThatFailsWasNotSeenAndTheRestIsJudged(t *testing.T) {
	s := sweep(t, parts{probe: func(b activities.Batch) error {
		if b.After == 500 || b.After == 2032 {
			return temporal.NewNonRetryableApplicationError("no socket left", "probe", nil)
		}
		return nil
	}})
	if s.err != nil || s.judged == nil || len(slices.Compact(s.looked)) != 15 {
		t.Errorf("%+v", s)
	}
}

func TestABatchThatFailsOnceIsLookedAtAgain(t *testing.T) {
	failed := false
	s := sweep(t, parts{probe: func(b activities.Batch) error {
		if b.After == 500 && !failed {
			failed = true
			return errors.New("postgres is away")
		}
		return nil
	}})
	if s.err != nil || s.judged == nil || len(s.looked) != 16 {
		t.Errorf("%+v", s)
	}
}

// Temporal remembers the number of the last sweep, also for a store that was restored and has forgotten it.
func TestASweepKnowsTheNumberOfTheLastOne(t *testing.T) {
	if s := sweep(t, parts{}); s.last != 0 || s.res.Sweep != 7 {
		t.Errorf("the first one takes %d for the last, and says that it is %d", s.last, s.res.Sweep)
	}
	if s := sweep(t, parts{last: &activities.SweepResult{Sweep: 6}}); s.last != 6 || s.res.Sweep != 7 {
		t.Errorf("it takes %d for the last, and says that it is %d", s.last, s.res.Sweep)
	}
	busy := func(int) (string, error) { return "another sweep is under way: sweep/x", nil }
	if s := sweep(t, parts{last: &activities.SweepResult{Sweep: 6}, sync: busy}); s.res.Sweep != 6 {
		t.Errorf("one that does nothing says that the last is %d", s.res.Sweep)
	}
}

func TestASecondSweepSaysSoAndEnds(t *testing.T) {
	busy := func(int) (string, error) { return "another sweep is under way: sweep/x", nil }
	if s := sweep(t, parts{sync: busy}); s.err != nil || s.judged != nil ||
		s.res.Held != "another sweep is under way: sweep/x" || len(s.looked) > 0 {
		t.Errorf("%+v", s)
	}
	until := func(try int) (string, error) {
		if try < 4 {
			return busy(try)
		}
		return "", nil
	}
	if s := sweep(t, parts{in: activities.SweepInput{Believe: "the fibre is cut"}, sync: until}); s.err != nil ||
		s.judged == nil || s.judged.Believe != "" && s.synced != 4 {
		t.Errorf("an operator's word: %+v", s)
	}
	if s := sweep(t, parts{in: activities.SweepInput{Believe: "the fibre is cut"}, sync: busy}); s.err != nil ||
		s.judged != nil || s.res.Held == "" {
		t.Errorf("an operator's word, for ever: %+v", s)
	}
}

func TestASweepThatCannotBeJudgedIsEnded(t *testing.T) {
	s := sweep(t, parts{judge: func() error {
		return temporal.NewNonRetryableApplicationError("postgres is full", "judge", nil)
	}})
	if s.err == nil || s.ended == nil || s.ended.Sweep != 7 || !strings.Contains(s.ended.Reason, "postgres is full") {
		t.Errorf("%+v, ended %+v", s, s.ended)
	}
}
