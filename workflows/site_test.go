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
	sdkpb "go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/workflows"
)

// siteplay runs a site's workflow in Temporal's test environment, with the store, PLC, the mail server and the tracker
// scripted.
type siteplay struct {
	*testsuite.TestWorkflowEnvironment
	t      *testing.T
	start  time.Time
	levels []string // "<day> <from>-><to>" of every step asked for
	mails  []string // "<day> level <n>: <kind> targets; <kind> targets" of every message that got out
	tries  []site.MailRequest

	level   int
	stored  map[string]site.Hold // claims
	spared  map[float64]*site.Spared
	enough  [2]float64 // days between which the site has enough nodes, and nothing is threatened
	refused bool       // every server refuses what is sent
	broken  [2]float64 // days between which no activity answers
	tracker bool       // there is a Request Tracker
	away    [2]float64 // days between which it, or the mail server, does not answer
	out     map[string]bool
	lost    int       // so many messages get out and their answer is lost
	answers []float64 // days on which a human answers

	resolved []string
	updates  int
}

func newSite(t *testing.T) *siteplay {
	var suite testsuite.WorkflowTestSuite
	p := &siteplay{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), t: t, out: map[string]bool{},
		stored: map[string]site.Hold{}}
	p.SetTestTimeout(time.Minute)
	p.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: time.Minute})
	p.RegisterWorkflowWithOptions(workflows.Site, workflow.RegisterOptions{Name: site.Type})
	for _, group := range activities.New(activities.Options{}).Registered() {
		p.RegisterActivity(group)
	}
	p.SetStartWorkflowOptions(startOptions("site/huji"))
	p.OnActivity("ReadSite", mock.Anything, mock.Anything).Return(p.read)
	p.OnActivity("MoveSite", mock.Anything,
		mock.Anything).Return(func(_ context.Context, in site.StepRequest) (site.StepResult, error) {
		p.levels = append(p.levels, fmt.Sprintf("%.2f %d->%d", p.day(), in.From, in.To))
		if p.within(p.broken) {
			return site.StepResult{}, errors.New("PLC is away")
		}
		p.level = in.To
		return site.StepResult{Outcome: site.StepDone, Level: in.To, Reason: in.Reason}, nil
	})
	p.OnActivity("WriteToSite", mock.Anything, mock.Anything).Return(p.send)
	p.OnActivity("LookAtTicket", mock.Anything, mock.Anything).Return(p.follow)
	p.OnActivity("NoteTicket", mock.Anything, mock.Anything).Return(nil)
	p.OnActivity("ResolveTicket", mock.Anything,
		mock.Anything).Return(func(_ context.Context, in site.TicketRequest) (site.MailResult, error) {
		if p.within(p.away) {
			return site.MailResult{Outcome: site.MailWait, Reason: "away"}, nil
		}
		p.resolved = append(p.resolved, fmt.Sprintf("%.1f", p.day()))
		return site.MailResult{Outcome: site.MailSent}, nil
	})
	return p
}

func (p *siteplay) within(days [2]float64) bool { return p.day() >= days[0] && p.day() < days[1] }

func (p *siteplay) read(context.Context, site.ReadRequest) (site.Standing, error) {
	if p.within(p.broken) {
		return site.Standing{}, errors.New("the store is away")
	}
	holds := map[string]site.Hold{}
	for id, h := range p.stored {
		holds[id] = h
	}
	times := site.TimesOf(policy.Defaults(day))
	times.GroupWait, times.TicketLook = 5*time.Minute, day/4
	st := site.Standing{Times: times, Level: p.level, Holds: holds,
		Rise: policy.Decision{Do: !p.within(p.enough), Reason: "the site has enough nodes"}}
	for at, s := range p.spared {
		if p.day() >= at {
			st.Spared = s
		}
	}
	return st, nil
}

func (p *siteplay) send(_ context.Context, in site.MailRequest) (site.MailResult, error) {
	p.tries = append(p.tries, in)
	if p.within(p.away) {
		return site.MailResult{Outcome: site.MailWait, Reason: "the tracker is away", Ticket: in.Ticket}, nil
	}
	if p.refused {
		return site.MailResult{Outcome: site.MailRefused, Reason: "550 no such user"}, nil
	}
	if !p.out[in.Key] { // the tracker and the Message-ID know a repeated message
		p.out[in.Key] = true
		p.mails = append(p.mails, p.worded(in))
	}
	if p.tracker && in.Ticket.ID == 0 {
		in.Ticket = site.Ticket{ID: 7, Robot: "monitor"}
	}
	if p.lost > 0 {
		p.lost--
		return site.MailResult{Outcome: site.MailLost, Reason: "the answer was lost", Ticket: in.Ticket}, nil
	}
	return site.MailResult{Outcome: site.MailSent, Ticket: in.Ticket, MessageID: "<" + in.Key + "@x>", Reached: true,
		Threatened: in.Threat != nil && !p.within(p.enough)}, nil
}

func (p *siteplay) worded(in site.MailRequest) string {
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
	return fmt.Sprintf("%.2f level %d: %s", p.day(), in.Reaches, strings.Join(kinds, "; "))
}

// follow answers with the human's replies, each once.
func (p *siteplay) follow(_ context.Context, in site.TicketRequest) (site.TicketResult, error) {
	res := site.TicketResult{Ticket: in.Ticket}
	if p.within(p.away) {
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

func node(n int) issue.Ref {
	host := fmt.Sprintf("planetlab%d.huji.example", n)
	return issue.Ref{ID: "nodedown/" + host, Run: "run", Type: issue.NodeDown, Node: host, Site: "huji"}
}

func (p *siteplay) at(days float64, do func()) {
	p.RegisterDelayedCallback(do, time.Duration(days*24*float64(time.Hour)))
}

func (p *siteplay) update(at float64, name string, arg any) {
	p.updates++
	id := fmt.Sprintf("%s %d", name, p.updates)
	p.at(at, func() {
		p.UpdateWorkflow(name, id, &testsuite.TestUpdateCallback{
			OnReject: func(err error) {
				p.t.Errorf("%s at day %.2f was refused: %v", name, at, err)
			}, OnAccept: func() {},
			OnComplete: func(_ any, err error) {
				if err != nil {
					p.t.Errorf("%s at day %.2f: %v", name, at, err)
				}
			},
		}, arg)
	})
}

// hold asks as an issue does: the claim first, then the request.
func (p *siteplay) hold(at float64, n, level int) {
	r := site.HoldRequest{Key: fmt.Sprintf("%d at %.2f", n, at), Ref: node(n), Level: level, Kind: "down"}
	p.at(at, func() { p.stored[r.Ref.ID] = site.Hold{Ref: r.Ref, Level: level, At: p.Now()} })
	p.update(at, site.UpdateHold, r)
}

func (p *siteplay) release(at float64, n int) {
	p.at(at, func() { delete(p.stored, node(n).ID) })
	p.update(at, site.UpdateRelease, site.Release{Key: fmt.Sprintf("release %d", n), Ref: node(n), Thanks: true})
}

func (p *siteplay) run() site.State {
	p.t.Helper()
	p.start = p.Now()
	p.ExecuteWorkflow(site.Type, site.Input{Site: "huji"})
	if err := p.GetWorkflowError(); !p.IsWorkflowCompleted() || err != nil {
		p.t.Fatalf("the site has not ended: %v", err)
	}
	var s site.State
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

func TestALevelRisesOneStepInSevenDaysAfterItsWordAndFallsAtOnce(t *testing.T) {
	p := newSite(t)
	p.hold(0, 1, 2)
	p.release(20, 1)
	s := p.run()
	p.want([]string{"7.00 0->1", "14.01 1->2", "20.00 2->0"}, []string{
		"0.00 level 0: down planetlab1", "3.50 level 1: warning", "7.01 level 1: penalty", "10.50 level 2: warning",
		"14.01 level 2: penalty", "20.00 level 2: cleared",
		"21.00 level 2: online planetlab1",
	})
	if s.Level != 0 || len(s.Holds) != 0 {
		t.Errorf("ended as %+v", s)
	}
}

func TestNobodyIsPenalisedWhomEveryServerRefuses(t *testing.T) {
	p := newSite(t)
	p.refused = true
	p.hold(0, 1, 2)
	p.release(40, 1)
	p.run()
	if len(p.levels) > 0 || len(p.tries) < 3 {
		t.Errorf("levels %q after %d tries to tell them", p.levels, len(p.tries))
	}
}

func TestASiteWithEnoughNodesIsNeitherThreatenedNorRaised(t *testing.T) {
	p := newSite(t)
	p.enough = [2]float64{0, 10}
	p.hold(0, 1, 1)
	p.release(25, 1)
	p.run()
	// At day 10 the next look finds it short of nodes: it is told so, and has its week.
	if len(p.levels) != 2 || p.levels[0] < "17" || len(p.mails) < 2 || !strings.Contains(p.mails[1], "warning") {
		t.Errorf("levels %q, mails %q", p.levels, p.mails)
	}
}

func TestNoticesOfAFewMinutesBecomeOneMessage(t *testing.T) {
	p := newSite(t)
	p.hold(0, 1, 0)
	p.hold(0.001, 2, 0)
	p.update(0.002, site.UpdateHold,
		site.HoldRequest{Key: "pcu", Ref: issue.Ref{ID: "pcudown/pcu", Type: "pcudown", PCU: "pcu"}, Kind: "pcudown"})
	for i, id := range []string{node(1).ID, node(2).ID, "pcudown/pcu"} {
		p.update(1+float64(i)/100, site.UpdateRelease, site.Release{Key: id, Ref: issue.Ref{ID: id}})
	}
	p.run()
	p.want(nil, []string{"0.00 level 0: down planetlab1 planetlab2; pcudown pcu"})
}

func TestAPauseHoldsTheLevelAndAnotherWordComesAfterIt(t *testing.T) {
	p := newSite(t)
	p.hold(0, 1, 2)
	p.update(6, "pause", issue.Command{Reason: "they answered"})
	p.at(12, func() { p.SignalWorkflow("resume", issue.Command{}) })
	p.release(25, 1)
	p.run()
	p.want([]string{"19.00 0->1", "25.00 1->0"}, []string{
		"0.00 level 0: down planetlab1", "3.50 level 1: warning", "12.00 level 1: continued", "19.01 level 1: penalty",
		"22.50 level 2: warning", "25.00 level 2: cleared",
		"26.00 level 2: online planetlab1",
	})
}

func TestAPauseOfASiteEndsByItself(t *testing.T) {
	p := newSite(t)
	p.hold(0, 1, 1)
	p.at(1, func() { p.SignalWorkflow("pause", issue.Command{Until: p.Now().Add(20 * day)}) })
	p.release(40, 1)
	p.run()
	if want := []string{"28.00 0->1", "40.00 1->0"}; !slices.Equal(p.levels, want) {
		t.Errorf("levels %q, want %q", p.levels, want)
	}
}

func TestASignalThatCannotBeReadStopsNothingAtASite(t *testing.T) {
	p := newSite(t)
	p.hold(0, 1, 1)
	p.at(1, func() { p.SignalWorkflow("pause", "until Friday") })
	p.release(30, 1)
	p.run()
	if want := []string{"7.00 0->1", "30.00 1->0"}; !slices.Equal(p.levels, want) {
		t.Errorf("levels %q, want %q", p.levels, want)
	}
}

func TestASiteThatIsGoodAgainIsDeniedNothingThoughAMachineIsStillDead(t *testing.T) {
	p := newSite(t)
	p.spared = map[float64]*site.Spared{10: {Why: site.SparedGood}}
	p.hold(0, 1, 2)
	p.release(60, 1)
	p.run()
	if len(p.levels) != 2 || p.levels[0] != "7.00 0->1" || p.levels[1] > "11.00" {
		t.Errorf("levels %q", p.levels)
	}
}

// A site that was terminated starts again from what the store knows.
func TestASiteStartsFromTheStore(t *testing.T) {
	p := newSite(t)
	p.level = 2
	p.run() // nobody holds it any more
	p.want([]string{"0.00 2->0"}, []string{"0.00 level 2: cleared"})

	p = newSite(t)
	p.level = 1
	p.stored["nodedown/planetlab1.huji.example"] = site.Hold{Ref: node(1), Level: 1}
	p.release(3, 1)
	p.run()
	if want := []string{"3.00 1->0"}; !slices.Equal(p.levels, want) {
		t.Errorf("levels %q, want %q", p.levels, want)
	}
}

func TestWhileNothingAnswersASiteWaitsAndTakesOrders(t *testing.T) {
	p := newSite(t)
	p.hold(0, 1, 2)
	p.broken = [2]float64{6.9, 9}
	p.update(8, "pause", issue.Command{Reason: "new room"})
	p.update(8.1, "resume", issue.Command{})
	p.release(40, 1)
	p.run()
	if slices.Contains(p.levels, "8.00 0->1") || p.levels[len(p.levels)-1] != "40.00 2->0" {
		t.Errorf("levels %q", p.levels)
	}
}

func TestALongLifeGoesOnInANewRunByItsRegisteredNameWithEverythingItKnew(t *testing.T) {
	p := newSite(t)
	p.hold(0, 1, 1)
	p.at(9, func() {
		p.SetContinueAsNewSuggested(true)
		p.SignalWorkflow(site.SignalLook, nil)
	})
	p.start = p.Now()
	p.ExecuteWorkflow(site.Type, site.Input{Site: "huji"})
	var again *workflow.ContinueAsNewError
	if err := p.GetWorkflowError(); !errors.As(err, &again) {
		t.Fatalf("ended with %v", err)
	}
	if again.WorkflowType.Name != site.Type {
		t.Errorf("goes on as %q, which no worker knows", again.WorkflowType.Name)
	}
	var in site.Input
	if err := converter.GetDefaultDataConverter().FromPayloads(again.Input, &in); err != nil {
		t.Fatal(err)
	}
	if s := in.State; s == nil || s.Level != 1 || s.Holds[node(1).ID].Level != 1 || s.Site != "huji" ||
		s.Life == "" || !s.Known {
		t.Errorf("carried over %+v", in.State)
	}
}

func TestACancelledSiteIsDeniedNothing(t *testing.T) {
	p := newSite(t)
	p.hold(0, 1, 1)
	p.at(8, p.CancelWorkflow)
	p.start = p.Now()
	p.ExecuteWorkflow(site.Type, site.Input{Site: "huji"})
	if want := []string{"7.00 0->1", "8.00 1->0"}; !slices.Equal(p.levels, want) || !p.IsWorkflowCompleted() {
		t.Errorf("levels %q, want %q", p.levels, want)
	}
}

// What the Web UI shows of a site names what is open there, also while nobody asks for a penalty.
func TestTheWebUIShowsWhatIsOpenAtASite(t *testing.T) {
	p := newSite(t)
	shown := map[float64]string{}
	for _, days := range []float64{1, 8} {
		p.at(days, func() {
			value, err := p.QueryWorkflow("__temporal_workflow_metadata")
			var m sdkpb.WorkflowMetadata
			if err == nil {
				err = value.Get(&m)
			}
			if err != nil {
				t.Error(err)
			}
			shown[days] = m.GetCurrentDetails()
		})
	}
	p.hold(0, 1, 0)
	p.hold(0.1, 2, 0)
	p.release(7, 1)
	p.release(9, 2)
	p.run()
	for days, want := range map[float64]string{1: "2 open here: " + node(1).ID + ", " + node(2).ID, 8: "1 open here: " + node(2).ID} {
		if !strings.Contains(shown[days], want) || strings.Contains(shown[days], "no open issue") {
			t.Errorf("on day %.0f it shows %q, want %q", days, shown[days], want)
		}
	}
}
