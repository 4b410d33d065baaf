package workflows_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	sdk "go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/workflows"
)

const day = 24 * time.Hour

var times = activities.Times{Day: day, MachineStep: day, PeopleStep: 7 * day, AdminStep: day, HealthyDelay: 6 * time.Hour}

// play runs one issue in Temporal's test environment, where weeks pass at once. The world's answers are scripted: a rung
// that is not named acts.
type play struct {
	*testsuite.TestWorkflowEnvironment
	t      *testing.T
	ladder workflows.Ladder
	opened time.Time
	did    []string // "<day> <rung>" of every rung asked for
	inputs []activities.RungInput
	letGo  []activities.LetGoInput
	record []activities.Progress
	// answer, if set, replaces the answer to the n-th rung asked for, counted from 0.
	answer func(n int, in activities.RungInput) activities.RungResult
	// stillBad makes this many looks at the end find the target bad after all.
	stillBad int
}

func newPlay(t *testing.T, l workflows.Ladder) *play {
	var suite testsuite.WorkflowTestSuite
	p := &play{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), t: t, ladder: l}
	p.SetTestTimeout(time.Minute)
	p.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: time.Minute}) // a busy machine is no deadlock
	for _, w := range workflows.Types() {
		p.RegisterWorkflowWithOptions(w.Func, workflow.RegisterOptions{Name: w.Name})
	}
	p.RegisterActivity(&activities.Activities{})
	p.OnActivity("Open", mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.Opening) (activities.Opened, error) {
		p.opened = p.Now()
		ref := in.Ref
		ref.Site = "princeton"
		return activities.Opened{Ref: ref, Times: times, Cause: cmp.Or(in.Cause, "offline since yesterday"), Evidence: in.Evidence}, nil
	})
	for _, do := range []workflows.Action{workflows.Reboot, workflows.Reinstall, workflows.OpenPCUDown, workflows.Disable, workflows.Email, workflows.Flag, workflows.Bootman} {
		p.OnActivity(string(do), mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.RungInput) (activities.RungResult, error) {
			n := len(p.did)
			p.did = append(p.did, fmt.Sprintf("%.2f %s", p.day(), in.Rung))
			p.inputs = append(p.inputs, in)
			res := activities.RungResult{Outcome: activities.Acted, Reason: "done", Level: in.Level, Told: do == workflows.Email}
			if p.answer != nil {
				if r := p.answer(n, in); r.Outcome != "" {
					res = r
				}
			}
			return res, nil
		})
	}
	p.OnActivity("LetGo", mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.LetGoInput) (activities.RungResult, error) {
		p.letGo = append(p.letGo, in)
		if p.stillBad > 0 {
			p.stillBad--
			return activities.RungResult{Outcome: activities.Wait, Reason: "it is bad after all"}, nil
		}
		return activities.RungResult{Outcome: activities.Acted}, nil
	})
	p.OnActivity("Record", mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.Progress) error {
		p.record = append(p.record, in)
		return nil
	})
	p.SetStartWorkflowOptions(startOptions(l.Type + "/" + targetOf(l.Type)))
	return p
}

func targetOf(typ string) string {
	switch typ {
	case activities.PCUDownType:
		return "pcu.princeton.example"
	case activities.SiteDownType:
		return "princeton"
	}
	return "planetlab1.princeton.example"
}

func (p *play) day() float64 { return p.Now().Sub(p.opened).Hours() / 24 }

// on does something on a day of the issue.
func (p *play) on(day float64, do func()) {
	p.RegisterDelayedCallback(do, time.Duration(day*24*float64(time.Hour)))
}

func (p *play) signal(day float64, name string, c workflows.Command) {
	p.on(day, func() { p.SignalWorkflow(name, c) })
}

// run plays the issue to its end.
func (p *play) run() workflows.Result {
	p.t.Helper()
	return p.runWith(activities.InputFor(p.ladder.Type, targetOf(p.ladder.Type)))
}

func (p *play) runWith(in activities.IssueInput) workflows.Result {
	p.t.Helper()
	p.ExecuteWorkflow(p.ladder.Type, in)
	if !p.IsWorkflowCompleted() {
		p.t.Fatal("the issue has not ended")
	}
	var res workflows.Result
	if err := p.GetWorkflowError(); err != nil {
		p.t.Fatal(err)
	}
	if err := p.GetWorkflowResult(&res); err != nil {
		p.t.Fatal(err)
	}
	return res
}

func (p *play) status() workflows.Status {
	p.t.Helper()
	v, err := p.QueryWorkflow(workflows.QueryStatus)
	if err != nil {
		p.t.Fatal(err)
	}
	var s workflows.Status
	if err := v.Get(&s); err != nil {
		p.t.Fatal(err)
	}
	return s
}

func (p *play) wantDid(want ...string) {
	p.t.Helper()
	if !slices.Equal(p.did, want) {
		p.t.Errorf("did\n  %s\nwant\n  %s", strings.Join(p.did, "\n  "), strings.Join(want, "\n  "))
	}
}

// stepOf is how many days a rung yields.
func stepOf(r workflows.Rung) float64 {
	return map[workflows.Yield]float64{workflows.HalfStep: 0.5, workflows.MachineStep: 1, workflows.PeopleStep: 7, workflows.AdminStep: 1}[r.Yield]
}

// plan is when each rung of a ladder is due, if every one acts and none helps.
func plan(l workflows.Ladder) []float64 {
	at, out := 0.0, []float64{}
	for _, r := range l.Rungs {
		out = append(out, at)
		at += stepOf(r)
	}
	return out
}

func TestNodeDownClimbsTheListOfTheNote(t *testing.T) {
	p := newPlay(t, workflows.NodeDown())
	p.signal(33.5, activities.SignalCleared, workflows.Command{})
	res := p.run()
	p.wantDid(
		"0.00 if pcu ok: reboot",
		"1.00 if pcu ok and reboot failed: set rins, reboot",
		"2.00 create_issue pcudown",
		"2.00 send email",
		"9.00 send email, apply penalty",
		"16.00 send email, apply second penalty",
		"23.00 send email",
		"30.00 flag for admin",
		"31.00 flag for admin",
		"32.00 flag for admin",
		"33.00 flag for admin",
	)
	if res.Outcome != "good again" || res.Lasted != time.Duration(33.75*float64(day)) || res.Cause != "offline since yesterday" {
		t.Errorf("ended as %q after %s, cause %q", res.Outcome, res.Lasted, res.Cause)
	}
	if len(p.letGo) != 1 || p.letGo[0].Force || !p.letGo[0].Told {
		t.Errorf("let go as %+v", p.letGo)
	}
	if last := p.record[len(p.record)-1]; last.Status != workflows.StatusClosed || last.Level != 0 || last.Closed.IsZero() {
		t.Errorf("last recorded as %+v", last)
	}
}

func TestPCUDownClimbsTheListOfTheNote(t *testing.T) {
	p := newPlay(t, workflows.PCUDown())
	p.signal(29.5, activities.SignalCleared, workflows.Command{})
	p.run()
	p.wantDid(
		"0.00 send email",
		"7.00 send email, apply penalty",
		"14.00 send email, apply second penalty",
		"21.00 send email",
		"28.00 flag for admin",
		"29.00 flag for admin",
	)
}

func TestAnEffectIsNamedByIssueRunAndRung(t *testing.T) {
	p := newPlay(t, workflows.NodeDown())
	p.signal(32.5, activities.SignalCleared, workflows.Command{})
	p.run()
	seen := map[string]bool{}
	for i, in := range p.inputs {
		if i >= len(p.ladder.Rungs) { // the last rung looks again and again under one key: it flags only once
			break
		}
		if !strings.HasPrefix(in.Key, "nodedown/planetlab1.princeton.example/"+in.Ref.Run+"/") || seen[in.Key] {
			t.Errorf("key %q of rung %d", in.Key, i)
		}
		seen[in.Key] = true
	}
}

// Every rung of every ladder, whatever it answers and whatever an operator says before it.
func TestEveryRung(t *testing.T) {
	for _, l := range workflows.Ladders() {
		due := plan(l)
		for i := range l.Rungs {
			at := func(name string) string { return fmt.Sprintf("%s rung %d %s", l.Type, i, name) }
			var before, early float64 // late and early in the yield before the rung; only where its predecessor yields
			yields := i > 0 && l.Rungs[i-1].Yield != workflows.NoYield
			if yields {
				before, early = due[i]-stepOf(l.Rungs[i-1])/4, due[i]-stepOf(l.Rungs[i-1])*3/4
			}
			nth := func(r activities.RungResult) func(int, activities.RungInput) activities.RungResult {
				return func(n int, _ activities.RungInput) activities.RungResult {
					if n == i {
						return r
					}
					return activities.RungResult{}
				}
			}

			t.Run(at("that finds the target good ends the issue"), func(t *testing.T) {
				p := newPlay(t, l)
				p.answer = nth(activities.RungResult{Outcome: activities.Good, Reason: "ssh answers"})
				if res := p.run(); res.Outcome != "good again" || len(p.did) != i+1 {
					t.Errorf("ended as %q after %q", res.Outcome, p.did)
				}
			})
			t.Run(at("whose target has left PLC ends the issue without a look"), func(t *testing.T) {
				p := newPlay(t, l)
				p.answer = nth(activities.RungResult{Outcome: activities.Gone, Reason: "it is no longer in PLC"})
				if res := p.run(); !strings.HasPrefix(res.Outcome, "gone") || len(p.letGo) != 1 || !p.letGo[0].Force {
					t.Errorf("ended as %q, let go %+v", res.Outcome, p.letGo)
				}
			})
			t.Run(at("that must wait is asked for again when it may"), func(t *testing.T) {
				p := newPlay(t, l)
				p.answer = func(n int, _ activities.RungInput) activities.RungResult {
					switch n {
					case i:
						return activities.RungResult{Outcome: activities.Wait, Reason: "blacklisted", Until: p.Now().Add(3 * day)}
					case i + 1:
						return activities.RungResult{Outcome: activities.Good, Reason: "ssh answers"}
					}
					return activities.RungResult{}
				}
				p.on(due[i]+1, func() {
					if s := p.status(); s.Blocked != "blacklisted" || !s.NextAt.Equal(p.opened.Add(time.Duration((due[i]+3)*float64(day)))) {
						t.Errorf("the status does not say why and until when it waits: %+v", s)
					}
				})
				p.run()
				if want := fmt.Sprintf("%.2f %s", due[i]+3, l.Rungs[i]); len(p.did) != i+2 || p.did[i+1] != want {
					t.Errorf("did %q, want %q last", p.did, want)
				}
				if p.inputs[i].Key == p.inputs[i+1].Key {
					t.Errorf("both tries have the key %q: the second would find the first one's skip", p.inputs[i].Key)
				}
			})
			t.Run(at("that is passed over makes the next one due at once"), func(t *testing.T) {
				p := newPlay(t, l)
				p.answer = func(n int, _ activities.RungInput) activities.RungResult {
					switch n {
					case i:
						return activities.RungResult{Outcome: activities.Passed, Reason: "no PCU feeds it"}
					case i + 1:
						return activities.RungResult{Outcome: activities.Good, Reason: "ssh answers"}
					}
					return activities.RungResult{}
				}
				p.run()
				next := l.Rungs[min(i+1, len(l.Rungs)-1)]
				if want := fmt.Sprintf("%.2f %s", due[i], next); len(p.did) != i+2 || p.did[i+1] != want {
					t.Errorf("did %q, want %q last", p.did, want)
				}
			})
			if !yields {
				continue
			}
			t.Run(at("is held by a pause and resumed where it was"), func(t *testing.T) {
				p := newPlay(t, l)
				p.answer = nth(activities.RungResult{Outcome: activities.Good})
				p.signal(before, workflows.CommandPause, workflows.Command{Reason: "we know", By: "ada"})
				p.on(before+5, func() {
					if s := p.status(); s.Status != workflows.StatusPaused || !strings.Contains(s.Blocked, "we know (ada)") {
						t.Errorf("paused as %+v", s)
					}
				})
				p.signal(before+10, workflows.CommandResume, workflows.Command{By: "ada"})
				p.run()
				if want := fmt.Sprintf("%.2f %s", due[i]+10, l.Rungs[i]); p.did[i] != want {
					t.Errorf("did %q, want %q last", p.did, want)
				}
			})
			t.Run(at("is held by a pause that ends by itself"), func(t *testing.T) {
				p := newPlay(t, l)
				p.answer = nth(activities.RungResult{Outcome: activities.Good})
				p.on(before, func() {
					p.SignalWorkflow(workflows.CommandPause, workflows.Command{Reason: "fixed by Friday", Until: p.Now().Add(4 * day)})
				})
				p.run()
				if want := fmt.Sprintf("%.2f %s", due[i]+4, l.Rungs[i]); p.did[i] != want {
					t.Errorf("did %q, want %q last", p.did, want)
				}
			})
			t.Run(at("is never reached when an operator closes before it"), func(t *testing.T) {
				p := newPlay(t, l)
				p.signal(before, workflows.CommandClose, workflows.Command{Reason: "scrapped", By: "ada"})
				res := p.run()
				if res.Outcome != "closed by an operator: scrapped (ada)" || len(p.did) != i || !p.letGo[0].Force {
					t.Errorf("ended as %q after %q, let go %+v", res.Outcome, p.did, p.letGo)
				}
			})
			t.Run(at("is never reached when the target is good again before it"), func(t *testing.T) {
				p := newPlay(t, l)
				p.signal(early, activities.SignalCleared, workflows.Command{})
				if res := p.run(); res.Outcome != "good again" || len(p.did) != i {
					t.Errorf("ended as %q after %q", res.Outcome, p.did)
				}
			})
			t.Run(at("is reached in time when a recovery did not last"), func(t *testing.T) {
				p := newPlay(t, l)
				p.stillBad = 1
				p.answer = nth(activities.RungResult{Outcome: activities.Good})
				p.signal(early, activities.SignalCleared, workflows.Command{})
				p.run()
				if want := fmt.Sprintf("%.2f %s", due[i], l.Rungs[i]); p.did[i] != want || len(p.letGo) != 2 {
					t.Errorf("did %q, want %q last; let go %d times", p.did, want, len(p.letGo))
				}
			})
			if i == len(l.Rungs)-1 {
				continue
			}
			t.Run(at("is passed over by a skip, and the wait stays"), func(t *testing.T) {
				p := newPlay(t, l)
				p.answer = nth(activities.RungResult{Outcome: activities.Good})
				p.signal(before, workflows.CommandSkip, workflows.Command{Reason: "its disk holds data"})
				p.run()
				if want := fmt.Sprintf("%.2f %s", due[i], l.Rungs[i+1]); p.did[i] != want {
					t.Errorf("did %q, want %q last", p.did, want)
				}
			})
		}
	}
}

func TestARebootThatPeopleWereAskedForIsNoReboot(t *testing.T) {
	for asked, want := range map[bool]bool{true: false, false: true} {
		p := newPlay(t, workflows.NodeDown())
		p.answer = func(_ int, in activities.RungInput) activities.RungResult {
			return activities.RungResult{Outcome: activities.Acted, Reason: "asked", Asked: asked}
		}
		p.signal(1.5, workflows.CommandClose, workflows.Command{Reason: "enough"})
		p.run()
		if p.inputs[1].Rebooted != want {
			t.Errorf("asked %v: the reinstall is told that a reboot was done: %v", asked, p.inputs[1].Rebooted)
		}
	}
}

func TestAPausedIssueWhoseTargetIsGoodCloses(t *testing.T) {
	p := newPlay(t, workflows.NodeDown())
	p.signal(0.5, workflows.CommandPause, workflows.Command{Reason: "the technician is on the way"})
	p.signal(5, activities.SignalCleared, workflows.Command{})
	if res := p.run(); res.Outcome != "good again" || res.Lasted != time.Duration(5.25*float64(day)) {
		t.Errorf("ended as %q after %s", res.Outcome, res.Lasted)
	}
}

func TestUpdatesAreRefusedWithAReasonAndAnswerWithTheStatus(t *testing.T) {
	p := newPlay(t, workflows.NodeDown())
	refused := map[string]string{}
	update := func(at float64, name string, c workflows.Command) {
		p.on(at, func() {
			key := fmt.Sprintf("%.1f %s", at, name)
			p.UpdateWorkflow(name, key, &testsuite.TestUpdateCallback{
				OnReject:   func(err error) { refused[key] = err.Error() },
				OnAccept:   func() {},
				OnComplete: func(v any, err error) { refused[key] = v.(workflows.Status).Status },
			}, c)
		})
	}
	update(0.1, workflows.CommandResume, workflows.Command{})
	update(0.2, workflows.CommandPause, workflows.Command{Until: time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)})
	update(0.3, workflows.CommandPause, workflows.Command{})
	update(0.4, workflows.CommandResume, workflows.Command{})
	update(31, workflows.CommandSkip, workflows.Command{})
	update(31.2, workflows.CommandClose, workflows.Command{})
	p.run()
	for key, want := range map[string]string{
		"0.1 resume": "resume: the issue is not paused",
		"0.2 pause":  "pause: until lies in the past; give a time ahead, as 2026-12-24T12:00:00Z",
		"0.3 pause":  "paused",
		"0.4 resume": "open",
		"31.0 skip":  "skip: the last rung has nothing after it; close the issue instead",
		"31.2 close": "open",
	} {
		if refused[key] != want {
			t.Errorf("%s answered %q, want %q", key, refused[key], want)
		}
	}
}

func TestARefusedSignalIsToldInTheStory(t *testing.T) {
	p := newPlay(t, workflows.NodeDown())
	p.signal(0.1, workflows.CommandResume, workflows.Command{})
	p.signal(0.2, workflows.CommandClose, workflows.Command{})
	res := p.run()
	if !slices.ContainsFunc(res.Story, func(h workflows.Happening) bool { return h.What == "refused resume: the issue is not paused" }) {
		t.Errorf("the story is %+v", res.Story)
	}
}

func TestASignalThatCannotBeReadIsToldInTheStoryAndStopsNothing(t *testing.T) {
	p := newPlay(t, workflows.NodeDown())
	p.on(0.1, func() { p.SignalWorkflow(workflows.CommandPause, "until Friday") })
	p.signal(0.2, workflows.CommandClose, workflows.Command{Reason: "scrapped", By: "ada"})
	res := p.run()
	if text := fmt.Sprint(res.Story); res.Outcome != "closed by an operator: scrapped (ada)" || !strings.Contains(text, "refused pause: its input cannot be read") {
		t.Errorf("ended as %q with the story %s", res.Outcome, text)
	}
}

func TestAYearOfLooksDoesNotGrowTheStory(t *testing.T) {
	p := newPlay(t, workflows.NodeDown())
	p.signal(400, workflows.CommandClose, workflows.Command{Reason: "given up"})
	res := p.run()
	if len(res.Story) > 202 || !strings.HasPrefix(res.Story[0].What, "opened: ") || len(p.did) < 370 {
		t.Errorf("%d lines after %d rungs, the first %q", len(res.Story), len(p.did), res.Story[0].What)
	}
	if tried := p.inputs[len(p.inputs)-1].Tried; len(tried) > 20 || strings.Contains(strings.Join(tried, "\n"), "flag for admin") {
		t.Errorf("after a year it says that it tried %q", tried)
	}
}

func TestARungThatWaitsForMonthsLooksOnceADay(t *testing.T) {
	p := newPlay(t, workflows.NodeDown())
	p.answer = func(int, activities.RungInput) activities.RungResult {
		return activities.RungResult{Outcome: activities.Wait, Reason: "it lets nobody in"}
	}
	p.signal(107, workflows.CommandClose, workflows.Command{Reason: "given up"})
	p.run()
	if len(p.did) != 29+100 { // a week in quarters of a day, then the days
		t.Errorf("it looked %d times, last at %s", len(p.did), p.did[len(p.did)-1])
	}
}

func TestACancelledIssueLetsGo(t *testing.T) {
	for when, day := range map[string]float64{"in a yield": 20, "before it did anything": 0.5} {
		p := newPlay(t, workflows.PCUDown())
		p.on(day, p.CancelWorkflow)
		res := p.run()
		if len(p.letGo) != 1 || !p.letGo[0].Force || !p.letGo[0].Told || res.Outcome != "cancelled by an operator" {
			t.Errorf("%s: %+v, let go %+v", when, res, p.letGo)
		}
		if last := p.record[len(p.record)-1]; last.Status != workflows.StatusClosed {
			t.Errorf("%s: the store says %+v", when, last)
		}
	}
}

func TestWhatALostAnswerMayHaveLeantIsLetGo(t *testing.T) {
	p := newPlay(t, workflows.PCUDown())
	p.answer = func(int, activities.RungInput) activities.RungResult {
		return activities.RungResult{Outcome: activities.Good, Reason: "up", Leaned: true}
	}
	p.run()
	if len(p.letGo) != 1 || p.letGo[0].Told || !p.letGo[0].Leaned {
		t.Errorf("let go %+v", p.letGo)
	}
}

func TestTheForecastNamesWhatPeopleWillSee(t *testing.T) {
	p := newPlay(t, workflows.NodeDown())
	p.signal(10, workflows.CommandClose, workflows.Command{})
	p.run()
	first := p.inputs[3] // the first mail
	var got []string
	for _, s := range first.Forecast {
		got = append(got, fmt.Sprintf("%.0f %s", s.At.Sub(p.opened).Hours()/24, s.What))
	}
	want := []string{"9 send email, apply penalty", "16 send email, apply second penalty", "23 send email", "30 flag for admin"}
	if !slices.Equal(got, want) {
		t.Errorf("the forecast is %q, want %q", got, want)
	}
	if len(first.Tried) != 3 {
		t.Errorf("the mail says we tried %q", first.Tried)
	}
}

func TestAnOpenThatFailsForGoodFailsTheIssue(t *testing.T) {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.RegisterWorkflowWithOptions(workflows.NodeDownIssue, workflow.RegisterOptions{Name: "nodedown"})
	env.RegisterActivity(&activities.Activities{})
	env.SetStartWorkflowOptions(startOptions("nodedown/other"))
	env.ExecuteWorkflow("nodedown", activities.IssueInput{Node: "host"})
	err := env.GetWorkflowError()
	if err == nil || !strings.Contains(err.Error(), `the id of this workflow is "nodedown/other" but its input makes it "nodedown/host"`) {
		t.Errorf("failed as %v", err)
	}
}

func startOptions(id string) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{ID: id, TaskQueue: activities.TaskQueue}
}

func TestEveryTypeSaysInTheWebUIWhatGoesOn(t *testing.T) {
	for _, l := range workflows.Ladders() {
		p := newPlay(t, l)
		shown := map[string]any{}
		p.OnUpsertTypedSearchAttributes(mock.Anything).Return(nil).Run(func(args mock.Arguments) {
			for k, v := range args.Get(0).(temporal.SearchAttributes).GetUntypedValues() {
				shown[k.GetName()] = v
			}
		})
		p.on(0.1, func() {
			v, err := p.QueryWorkflow("__temporal_workflow_metadata")
			if err != nil {
				t.Error(err)
				return
			}
			var m sdk.WorkflowMetadata
			if err := v.Get(&m); err != nil || !strings.Contains(m.CurrentDetails, "**"+l.Type+"** of "+targetOf(l.Type)+" at princeton: open") || !strings.Contains(m.CurrentDetails, "Next: ") {
				t.Errorf("%s shows %q, %v", l.Type, m.CurrentDetails, err)
			}
			if shown["IssueType"] != l.Type || shown["IssueStatus"] != "open" || shown["Site"] != "princeton" || shown["Rung"] == "" || shown["PenaltyLevel"] != int64(0) {
				t.Errorf("%s is found by %v", l.Type, shown)
			}
		})
		p.signal(0.2, workflows.CommandClose, workflows.Command{Reason: "enough"})
		p.run()
		if shown["IssueStatus"] != "closed" {
			t.Errorf("%s ends as %v", l.Type, shown)
		}
	}
}
