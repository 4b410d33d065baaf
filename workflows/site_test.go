package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/workflows"
)

// siteplay runs a site's workflow in Temporal's test environment, with PLC and the mail server scripted.
type siteplay struct {
	*testsuite.TestWorkflowEnvironment
	t      *testing.T
	start  time.Time
	levels []string // "<day> <from>-><to>" of every step asked for
	mails  []string // "<day> <kind> level <n>: targets"
	may    func(activities.PenaltyInput) (bool, time.Time)
	checks []string // "<day> level <n>" of every look at what holds
	// check, if set, answers instead of "all as it should be".
	check func(activities.PenaltyInput) activities.PenaltyResult
}

func newSite(t *testing.T) *siteplay {
	var suite testsuite.WorkflowTestSuite
	p := &siteplay{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), t: t}
	p.SetTestTimeout(time.Minute)
	p.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: time.Minute})
	p.RegisterWorkflowWithOptions(workflows.Site, workflow.RegisterOptions{Name: activities.SiteType})
	p.RegisterActivity(&activities.Activities{})
	p.SetStartWorkflowOptions(startOptions("site/huji"))
	p.OnActivity("SitePolicy", mock.Anything).Return(activities.SiteTimes{Day: day, GroupWait: 5 * time.Minute, PenaltyStep: 7 * day, ThanksGrace: day}, nil)
	p.OnActivity("SetPenalty", mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.PenaltyInput) (activities.PenaltyResult, error) {
		p.levels = append(p.levels, fmt.Sprintf("%.2f %d->%d", p.day(), in.From, in.To))
		if p.may != nil && in.To > in.From {
			if ok, until := p.may(in); !ok {
				return activities.PenaltyResult{Level: in.From, Applied: in.Applied, Reason: "the site has enough nodes", Until: until}, nil
			}
		}
		applied := in.Applied
		applied.Disabled = in.To > 0
		return activities.PenaltyResult{Level: in.To, Applied: applied, Reason: in.Reason}, nil
	})
	p.OnActivity("CheckPenalty", mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.PenaltyInput) (activities.PenaltyResult, error) {
		p.checks = append(p.checks, fmt.Sprintf("%.2f level %d", p.day(), in.From))
		if p.check != nil {
			return p.check(in), nil
		}
		return activities.PenaltyResult{Level: in.From, Applied: in.Applied}, nil
	})
	p.OnActivity("SendNotices", mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.MailInput) error {
		var about []string
		for _, n := range in.Notices {
			about = append(about, n.Ref.Target())
		}
		p.mails = append(p.mails, strings.TrimRight(fmt.Sprintf("%.2f %s level %d: %s", p.day(), in.Kind, in.Level, strings.Join(about, " ")), ": "))
		return nil
	})
	return p
}

func (p *siteplay) day() float64 { return p.Now().Sub(p.start).Hours() / 24 }

func node(n int) activities.Ref {
	host := fmt.Sprintf("planetlab%d.huji.example", n)
	return activities.Ref{ID: "nodedown/" + host, Run: "run", Type: activities.NodeDownType, Node: host, Site: "huji"}
}

func (p *siteplay) update(at float64, name string, arg any) {
	p.RegisterDelayedCallback(func() {
		p.UpdateWorkflow(name, fmt.Sprintf("%s at %.4f", name, at), &testsuite.TestUpdateCallback{
			OnReject: func(err error) { p.t.Errorf("%s at day %.2f was refused: %v", name, at, err) }, OnAccept: func() {},
			OnComplete: func(_ any, err error) {
				if err != nil {
					p.t.Errorf("%s at day %.2f: %v", name, at, err)
				}
			},
		}, arg)
	}, time.Duration(at*24*float64(time.Hour)))
}

func (p *siteplay) lean(at float64, n, level int) {
	p.update(at, activities.UpdateLean, activities.Lean{Key: fmt.Sprintf("%d at %.2f", n, at), Ref: node(n), Level: level, Kind: "down"})
}

func (p *siteplay) release(at float64, n int) {
	p.update(at, activities.UpdateRelease, activities.Release{Key: fmt.Sprintf("release %d", n), Ref: node(n), Thanks: true})
}

func (p *siteplay) run() workflows.SiteState {
	p.t.Helper()
	p.start = p.Now()
	p.ExecuteWorkflow(activities.SiteType, workflows.SiteState{})
	if err := p.GetWorkflowError(); !p.IsWorkflowCompleted() || err != nil {
		p.t.Fatalf("the site has not ended: %v", err)
	}
	var s workflows.SiteState
	if err := p.GetWorkflowResult(&s); err != nil {
		p.t.Fatal(err)
	}
	return s
}

func (p *siteplay) want(levels, mails []string) {
	p.t.Helper()
	if !slices.Equal(p.levels, levels) {
		p.t.Errorf("levels\n  %s\nwant\n  %s", strings.Join(p.levels, "\n  "), strings.Join(levels, "\n  "))
	}
	if !slices.Equal(p.mails, mails) {
		p.t.Errorf("mails\n  %s\nwant\n  %s", strings.Join(p.mails, "\n  "), strings.Join(mails, "\n  "))
	}
}

func TestNoticesOfAFewMinutesBecomeOneMessage(t *testing.T) {
	p := newSite(t)
	p.lean(0, 1, 0)
	p.lean(0.001, 2, 0)
	p.lean(0.002, 3, 0)
	p.run()
	p.want(nil, []string{"0.00 down level 0: planetlab1.huji.example planetlab2.huji.example planetlab3.huji.example"})
}

func TestALevelRisesOneStepInSevenDaysAndFallsAtOnce(t *testing.T) {
	p := newSite(t)
	p.lean(0, 1, 2)
	p.release(20, 1)
	s := p.run()
	p.want([]string{"0.00 0->1", "7.00 1->2", "20.00 2->0"}, []string{
		"0.00 penalty level 1", "0.00 down level 1: planetlab1.huji.example", "7.00 penalty level 2",
		"20.00 cleared level 2", "21.00 online level 2: planetlab1.huji.example",
	})
	if s.Applied.Disabled || s.Level != 0 {
		t.Errorf("ended as %+v", s)
	}
}

func TestTheHighestHoldRules(t *testing.T) {
	p := newSite(t)
	p.lean(0, 1, 1)
	p.lean(1, 2, 2)
	p.release(10, 2)
	p.release(12, 1)
	p.run()
	if want := []string{"0.00 0->1", "7.00 1->2", "10.00 2->1", "12.00 1->0"}; !slices.Equal(p.levels, want) {
		t.Errorf("levels %q, want %q", p.levels, want)
	}
}

func TestARefusedRaiseIsAskedForAgainWhenPolicySays(t *testing.T) {
	p := newSite(t)
	p.may = func(activities.PenaltyInput) (bool, time.Time) { return p.day() >= 3, p.start.Add(3 * day) }
	p.lean(0, 1, 1)
	p.release(5, 1)
	p.run()
	if want := []string{"0.00 0->1", "3.00 0->1", "5.00 1->0"}; !slices.Equal(p.levels, want) {
		t.Errorf("levels %q, want %q", p.levels, want)
	}
}

func TestAPauseHoldsTheLevelAndLetsItFall(t *testing.T) {
	p := newSite(t)
	p.lean(0, 1, 2)
	p.update(1, workflows.CommandPause, workflows.Command{Reason: "they answered"})
	p.RegisterDelayedCallback(func() { p.SignalWorkflow(workflows.CommandResume, workflows.Command{}) }, 12*day)
	p.update(13, workflows.CommandPause, workflows.Command{Reason: "they answered again"})
	p.release(14, 1)
	p.run()
	if want := []string{"0.00 0->1", "12.00 1->2", "14.00 2->0"}; !slices.Equal(p.levels, want) {
		t.Errorf("levels %q, want %q", p.levels, want)
	}
}

func TestAPauseOfASiteEndsByItself(t *testing.T) {
	p := newSite(t)
	p.lean(0, 1, 2)
	p.RegisterDelayedCallback(func() {
		p.SignalWorkflow(workflows.CommandPause, workflows.Command{Until: p.Now().Add(20 * day)})
	}, day)
	p.release(30, 1)
	p.run()
	if want := []string{"0.00 0->1", "21.00 1->2", "30.00 2->0"}; !slices.Equal(p.levels, want) {
		t.Errorf("levels %q, want %q", p.levels, want)
	}
}

func TestWhatIsOverBeforeItIsSaidIsNotSaid(t *testing.T) {
	p := newSite(t)
	p.lean(0, 1, 0)
	p.lean(0.001, 2, 0)
	p.update(0.002, activities.UpdateRelease, activities.Release{Key: "r", Ref: node(1)})
	p.run()
	p.want(nil, []string{"0.00 down level 0: planetlab2.huji.example"})
}

func TestALongLifeGoesOnInANewRunWithEverythingItKnew(t *testing.T) {
	p := newSite(t)
	p.lean(0, 1, 1)
	p.RegisterDelayedCallback(func() {
		p.SetContinueAsNewSuggested(true)
		p.SignalWorkflow(workflows.CommandResume, workflows.Command{})
	}, 2*day)
	p.ExecuteWorkflow(activities.SiteType, workflows.SiteState{})
	var again *workflow.ContinueAsNewError
	if err := p.GetWorkflowError(); !errors.As(err, &again) {
		t.Fatalf("ended with %v", err)
	}
	var state workflows.SiteState
	if err := converter.GetDefaultDataConverter().FromPayloads(again.Input, &state); err != nil {
		t.Fatal(err)
	}
	if state.Level != 1 || state.Holds[node(1).ID] != 1 || !state.Applied.Disabled || state.Site != "huji" {
		t.Errorf("carried over %+v", state)
	}
}

func TestAPenaltyIsReadBackEveryDayThatItHolds(t *testing.T) {
	p := newSite(t)
	p.lean(0, 1, 1)
	p.check = func(in activities.PenaltyInput) activities.PenaltyResult {
		res := activities.PenaltyResult{Level: in.From, Applied: in.Applied}
		if len(p.checks) == 2 {
			res.Applied.Slices, res.Reason = []string{"huji_new"}, "somebody lifted it by hand"
		}
		return res
	}
	p.release(3.5, 1)
	s := p.run()
	if want := []string{"1.00 level 1", "2.00 level 1", "3.00 level 1"}; !slices.Equal(p.checks, want) {
		t.Errorf("read back %q, want %q", p.checks, want)
	}
	if want := []string{"0.00 0->1", "3.50 1->0"}; !slices.Equal(p.levels, want) || !slices.Equal(s.Applied.Slices, []string{"huji_new"}) {
		t.Errorf("levels %q, and what was repaired is forgotten: %+v", p.levels, s.Applied)
	}
}

func TestASiteThatBecomesExemptIsLetGoAndAskedForAgainLater(t *testing.T) {
	p := newSite(t)
	p.lean(0, 1, 1)
	exempt := func() bool { return p.day() > 1.5 && p.day() < 20 }
	p.check = func(in activities.PenaltyInput) activities.PenaltyResult {
		if exempt() {
			return activities.PenaltyResult{Reason: "the site is exempt in PLC", Until: p.start.Add(20 * day)}
		}
		return activities.PenaltyResult{Level: in.From, Applied: in.Applied}
	}
	p.may = func(activities.PenaltyInput) (bool, time.Time) { return !exempt(), p.start.Add(20 * day) }
	p.release(22, 1)
	p.run()
	if want := []string{"0.00 0->1", "7.00 0->1", "20.00 0->1", "22.00 1->0"}; !slices.Equal(p.levels, want) {
		t.Errorf("levels %q, want %q", p.levels, want)
	}
	if len(p.mails) < 3 || p.mails[2] != "2.00 cleared level 1" {
		t.Errorf("mails %q", p.mails)
	}
}
