package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
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
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/workflows"
)

// siteplay runs a site's workflow in Temporal's test environment, with PLC, the mail server and the tracker scripted.
type siteplay struct {
	*testsuite.TestWorkflowEnvironment
	t      *testing.T
	start  time.Time
	levels []string // "<day> <from>-><to>" of every step asked for
	mails  []string // "<day> level <n>: <kind> targets; <kind> targets" of every message that got out
	tries  []activities.MailInput
	may    func(activities.PenaltyInput) (bool, time.Time)

	checks []string // "<day> level <n>" of every look at what holds
	// check, if set, answers instead of "all as it should be".
	check func(activities.PenaltyInput) activities.PenaltyResult

	tracker   bool            // there is a Request Tracker
	away      [2]float64      // days between which it, or the mail server, does not answer
	out       map[string]bool // keys of messages that got out
	lost      int             // so many messages get out and their answer is lost
	answers   []float64       // days on which a human answers
	resolved  []string
	updates   int
	forecasts []string
}

func newSite(t *testing.T) *siteplay {
	var suite testsuite.WorkflowTestSuite
	p := &siteplay{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), t: t, out: map[string]bool{}}
	p.SetTestTimeout(time.Minute)
	p.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: time.Minute})
	p.RegisterWorkflowWithOptions(workflows.Site, workflow.RegisterOptions{Name: activities.SiteType})
	p.RegisterActivity(&activities.Activities{})
	p.SetStartWorkflowOptions(startOptions("site/huji"))
	p.OnActivity("SitePolicy", mock.Anything).Return(activities.SiteTimes{Day: day, GroupWait: 5 * time.Minute, PenaltyStep: 7 * day, ThanksGrace: day, ReplyPause: 30 * day, TicketLook: day / 4}, nil)
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
	p.OnActivity("SendNotices", mock.Anything, mock.Anything).Return(p.send)
	p.OnActivity("FollowTicket", mock.Anything, mock.Anything).Return(p.follow)
	p.OnActivity("NoteTicket", mock.Anything, mock.Anything).Return(nil)
	p.OnActivity("ResolveTicket", mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.ResolveInput) (activities.MailResult, error) {
		if p.isAway() {
			return activities.MailResult{Outcome: activities.MailWait, Reason: "away"}, nil
		}
		p.resolved = append(p.resolved, fmt.Sprintf("%.1f", p.day()))
		return activities.MailResult{Outcome: activities.MailSent}, nil
	})
	return p
}

func (p *siteplay) isAway() bool { return p.day() >= p.away[0] && p.day() < p.away[1] }

func (p *siteplay) send(_ context.Context, in activities.MailInput) (activities.MailResult, error) {
	p.tries = append(p.tries, in)
	if p.isAway() {
		return activities.MailResult{Outcome: activities.MailWait, Reason: "the tracker is away", Unsent: true, Ticket: in.Ticket}, nil
	}
	if !p.out[in.Key] { // the tracker and the Message-ID know a repeated message
		p.out[in.Key] = true
		p.mails = append(p.mails, p.worded(in))
	}
	if p.tracker && in.Ticket.ID == 0 {
		in.Ticket = activities.Ticket{ID: 7, Robot: "monitor"}
	}
	for _, f := range in.Forecast {
		p.forecasts = append(p.forecasts, fmt.Sprintf("%.0f %.0f %s", p.day(), f.At.Sub(p.start).Hours()/24, f.What))
	}
	if p.lost > 0 {
		p.lost--
		return activities.MailResult{Outcome: activities.MailWait, Reason: "the answer was lost", Ticket: in.Ticket}, nil
	}
	return activities.MailResult{Outcome: activities.MailSent, Ticket: in.Ticket, MessageID: "<" + in.Key + "@x>"}, nil
}

func (p *siteplay) worded(in activities.MailInput) string {
	var kinds []string
	about := map[string]string{}
	for _, n := range in.Notices {
		if _, ok := about[n.Kind]; !ok {
			kinds = append(kinds, n.Kind)
		}
		about[n.Kind] += " " + strings.TrimSuffix(n.Ref.Target(), ".huji.example")
	}
	for i, k := range kinds {
		kinds[i] = strings.TrimSpace(k + about[k])
	}
	return fmt.Sprintf("%.2f level %d: %s", p.day(), in.Level, strings.Join(kinds, "; "))
}

// follow answers with the human's replies, each once.
func (p *siteplay) follow(_ context.Context, in activities.FollowInput) (activities.FollowResult, error) {
	res := activities.FollowResult{Ticket: in.Ticket}
	if p.isAway() {
		res.Away = "the tracker is away"
		return res, nil
	}
	for i, at := range p.answers {
		if at <= p.day() && in.Ticket.Seen <= i {
			res.Ticket.Seen, res.By = i+1, "alice"
		}
	}
	return res, nil
}

func (p *siteplay) day() float64 { return p.Now().Sub(p.start).Hours() / 24 }

func node(n int) activities.Ref {
	host := fmt.Sprintf("planetlab%d.huji.example", n)
	return activities.Ref{ID: "nodedown/" + host, Run: "run", Type: issue.NodeDown, Node: host, Site: "huji"}
}

func (p *siteplay) update(at float64, name string, arg any) {
	p.updates++
	id := fmt.Sprintf("%s %d", name, p.updates)
	p.RegisterDelayedCallback(func() {
		p.UpdateWorkflow(name, id, &testsuite.TestUpdateCallback{
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
	p.update(0.002, activities.UpdateLean, activities.Lean{Key: "pcu", Ref: activities.Ref{ID: "pcudown/pcu", Type: issue.PCUDown, PCU: "pcu"}, Kind: "pcudown"})
	for i, id := range []string{node(1).ID, node(2).ID, "pcudown/pcu"} {
		p.update(1+float64(i)/100, activities.UpdateRelease, activities.Release{Key: id, Ref: activities.Ref{ID: id}})
	}
	p.run()
	p.want(nil, []string{"0.00 level 0: down planetlab1 planetlab2; pcudown pcu"})
}

func TestALevelRisesOneStepInSevenDaysAndFallsAtOnce(t *testing.T) {
	p := newSite(t)
	p.lean(0, 1, 2)
	p.release(20, 1)
	s := p.run()
	p.want([]string{"0.00 0->1", "7.00 1->2", "20.00 2->0"}, []string{
		"0.00 level 1: down planetlab1; penalty", "7.00 level 2: penalty", "20.00 level 2: cleared", "21.00 level 2: online planetlab1",
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
	p.update(1, string(issue.OrderPause), issue.Command{Reason: "they answered"})
	p.RegisterDelayedCallback(func() { p.SignalWorkflow(string(issue.OrderResume), issue.Command{}) }, 12*day)
	p.update(13, string(issue.OrderPause), issue.Command{Reason: "they answered again", Until: p.Now().Add(19*day + day/2)})
	p.release(14, 1)
	p.lean(16, 2, 1) // the pause outlives the issue
	p.release(20, 2)
	p.run()
	if want := []string{"0.00 0->1", "12.00 1->2", "14.00 2->0", "19.50 0->1", "20.00 1->0"}; !slices.Equal(p.levels, want) {
		t.Errorf("levels %q, want %q", p.levels, want)
	}
}

func TestAPauseOfASiteEndsByItself(t *testing.T) {
	p := newSite(t)
	p.lean(0, 1, 2)
	p.RegisterDelayedCallback(func() {
		p.SignalWorkflow(string(issue.OrderPause), issue.Command{Until: p.Now().Add(20 * day)})
	}, day)
	p.release(30, 1)
	p.run()
	if want := []string{"0.00 0->1", "21.00 1->2", "30.00 2->0"}; !slices.Equal(p.levels, want) {
		t.Errorf("levels %q, want %q", p.levels, want)
	}
}

func TestASignalThatCannotBeReadStopsNothingAtASite(t *testing.T) {
	p := newSite(t)
	p.lean(0, 1, 2)
	p.RegisterDelayedCallback(func() { p.SignalWorkflow(string(issue.OrderPause), "until Friday") }, day)
	p.release(30, 1)
	p.run()
	if want := []string{"0.00 0->1", "7.00 1->2", "30.00 2->0"}; !slices.Equal(p.levels, want) {
		t.Errorf("levels %q, want %q", p.levels, want)
	}
}

func TestWhatIsOverBeforeItIsSaidIsNotSaid(t *testing.T) {
	p := newSite(t)
	p.lean(0, 1, 0)
	p.lean(0.001, 2, 0)
	p.update(0.002, activities.UpdateRelease, activities.Release{Key: "r", Ref: node(1)})
	p.update(1, activities.UpdateRelease, activities.Release{Key: "r2", Ref: node(2)})
	p.run()
	p.want(nil, []string{"0.00 level 0: down planetlab2"})
}

func TestALongLifeGoesOnInANewRunWithEverythingItKnew(t *testing.T) {
	p := newSite(t)
	p.lean(0, 1, 1)
	p.RegisterDelayedCallback(func() {
		p.SetContinueAsNewSuggested(true)
		p.SignalWorkflow(string(issue.OrderResume), issue.Command{})
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
	v, err := p.QueryWorkflow(workflows.QueryStatus)
	if err != nil {
		t.Fatal(err)
	}
	var knew workflows.SiteState
	if err := v.Get(&knew); err != nil || !reflect.DeepEqual(state, knew) {
		t.Errorf("it knew\n%+v, and carried over\n%+v (%v)", knew, state, err)
	}
}

func TestACancelledSiteIsDeniedNothing(t *testing.T) {
	p := newSite(t)
	p.lean(0, 1, 1)
	p.RegisterDelayedCallback(p.CancelWorkflow, 2*day)
	p.start = p.Now()
	p.ExecuteWorkflow(activities.SiteType, workflows.SiteState{})
	if want := []string{"0.00 0->1", "2.00 1->0"}; !slices.Equal(p.levels, want) {
		t.Errorf("levels %q, want %q", p.levels, want)
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
	if len(p.mails) < 2 || p.mails[1] != "2.00 level 1: cleared" {
		t.Errorf("mails %q", p.mails)
	}
}
