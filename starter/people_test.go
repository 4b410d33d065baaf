package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/workflows"
)

// quickTimes let a site rise in a moment, once.
var quickTimes = site.Times{Day: 24 * time.Hour, GroupWait: 100 * time.Millisecond, PenaltyStep: 7 * 24 * time.Hour, PeopleStep: 300 * time.Millisecond,
	ThanksGrace: time.Hour, ReplyPause: 30 * 24 * time.Hour, TicketLook: time.Hour}

// siteServer is a Temporal server that knows the search attributes of sites.
func siteServer(ctx context.Context, t *testing.T) client.Client {
	t.Helper()
	tc := temporalServer(t)
	attributes := map[string]enums.IndexedValueType{}
	for _, k := range workflows.Attributes() {
		attributes[k.GetName()] = k.GetValueType()
	}
	if _, err := tc.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: "default", SearchAttributes: attributes}); err != nil {
		t.Fatal(err)
	}
	return tc
}

// holding answers the first look at a site whose issue holds level 1, and the mail that warns of it.
func holding(move func(context.Context, site.StepRequest) (site.StepResult, error)) map[string]any {
	ref := issue.Ref{ID: "nodedown/" + host, Type: issue.NodeDown, Node: host}
	var level atomic.Int32
	return map[string]any{
		"ReadSite": func(context.Context, site.ReadRequest) (site.Standing, error) {
			return site.Standing{Times: quickTimes, Level: int(level.Load()), Holds: map[string]site.Hold{ref.ID: {Ref: ref, Level: 1}}, Rise: policy.Yes("it would")}, nil
		},
		"MoveSite": func(ctx context.Context, in site.StepRequest) (site.StepResult, error) {
			res, err := move(ctx, in)
			if err == nil && res.Outcome == site.StepDone {
				level.Store(int32(in.To))
			}
			return res, err
		},
		"WriteToSite": func(_ context.Context, in site.MailRequest) (site.MailResult, error) {
			return site.MailResult{Outcome: site.MailSent, MessageID: "<a@b>", Reached: true, Threatened: in.Threat != nil}, nil
		},
	}
}

func TestAnOrderToASiteStopsTheStepThatIsUnderWayOnARealServer(t *testing.T) {
	for name, c := range map[string]struct {
		obeys   bool // the activity asks before its point of no return
		level   int
		tooLate string
	}{"before its point of no return": {true, 0, ""}, "after it": {false, 1, "raised already"}} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			tc := siteServer(ctx, t)
			begun, ordered := make(chan struct{}, 9), make(chan struct{})
			serve(t, tc, site.Type, workflows.Site, holding(func(ctx context.Context, in site.StepRequest) (site.StepResult, error) {
				begun <- struct{}{}
				select {
				case <-ordered:
				case <-ctx.Done():
					return site.StepResult{}, ctx.Err()
				}
				if !c.obeys {
					return site.StepResult{Outcome: site.StepDone, Level: in.To}, nil
				}
				var cancelled *temporal.CanceledError
				for !errors.As(tc.RecordActivityHeartbeat(ctx, activity.GetInfo(ctx).TaskToken), &cancelled) {
					select {
					case <-ctx.Done():
						return site.StepResult{}, ctx.Err()
					case <-time.After(10 * time.Millisecond):
					}
				}
				return site.StepResult{Outcome: site.StepStopped}, nil
			}))
			if _, err := tc.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: "site/princeton", TaskQueue: activities.TaskQueue}, site.Type, site.Input{Site: "princeton"}); err != nil {
				t.Fatal(err)
			}
			select {
			case <-begun:
			case <-ctx.Done():
				t.Fatal("no step begins")
			}
			h, err := tc.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{WorkflowID: "site/princeton", UpdateName: "pause", Args: []any{issue.Command{Reason: "stop"}}, WaitForStage: client.WorkflowUpdateStageAccepted})
			if err != nil {
				t.Fatal(err)
			}
			close(ordered)
			var answer workflows.SiteAnswer
			if err := h.Get(ctx, &answer); err != nil {
				t.Fatal(err)
			}
			if answer.Level != c.level || answer.Pause == nil || answer.Running != "" || !strings.Contains(answer.TooLate, c.tooLate) || (answer.TooLate == "") != (c.tooLate == "") {
				t.Errorf("the order was answered with level %d, paused %v, running %q, too late %q", answer.Level, answer.Pause, answer.Running, answer.TooLate)
			}
		})
	}
}

func TestASiteContinuesAsANewRunOfItsTypeOnARealServer(t *testing.T) {
	if testing.Short() {
		t.Skip("writes thousands of events")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	tc := siteServer(ctx, t)
	serve(t, tc, site.Type, workflows.Site, holding(func(_ context.Context, in site.StepRequest) (site.StepResult, error) {
		return site.StepResult{Outcome: site.StepDone, Level: in.To}, nil
	}))
	run, err := tc.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: "site/princeton", TaskQueue: activities.TaskQueue}, site.Type, site.Input{Site: "princeton"})
	if err != nil {
		t.Fatal(err)
	}
	await(t, func() error {
		s, err := answers.SiteState(ctx, tc, "princeton")
		if err == nil && s.Level != 1 {
			err = errors.New("it is not at level 1 yet")
		}
		return err
	})
	first := run.GetRunID()
	latest := func() *workflow.WorkflowExecutionInfo {
		d, err := tc.DescribeWorkflowExecution(ctx, "site/princeton", "")
		if err != nil {
			t.Fatal(err)
		}
		return d.WorkflowExecutionInfo
	}
	// the server suggests a new run after 2,048 events; no run ends in the moment in which a signal comes
	for info := latest(); info.Execution.RunId == first && info.HistoryLength < 2_500; info = latest() {
		for range 200 {
			if err := tc.SignalWorkflow(ctx, "site/princeton", "", site.SignalLook, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	await(t, func() error {
		info := latest()
		if info.Execution.RunId == first {
			return fmt.Errorf("its first run goes on, with %d events", info.HistoryLength)
		}
		if info.Type.Name != site.Type || info.Status != enums.WORKFLOW_EXECUTION_STATUS_RUNNING {
			t.Errorf("the new run has the type %q and is %s", info.Type.Name, info.Status)
		}
		return nil
	})
	await(t, func() error {
		s, err := answers.SiteState(ctx, tc, "princeton")
		if err == nil && (s.Level != 1 || s.Life != first) {
			t.Fatalf("the new run knows %+v", s)
		}
		return err
	})
}

func TestASiteIsPausedAndShownOnARealServer(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tc := siteServer(ctx, t)
	ticket := site.Ticket{ID: 12, Robot: "monitor"}
	level := 0
	serve(t, tc, site.Type, workflows.Site, map[string]any{
		"ReadSite": func(context.Context, site.ReadRequest) (site.Standing, error) {
			ref := issue.Ref{ID: "nodedown/" + host, Type: issue.NodeDown, Node: host}
			return site.Standing{Times: quickTimes, Level: level, Holds: map[string]site.Hold{ref.ID: {Ref: ref, Level: 2}}, Rise: policy.Yes("it would")}, nil
		},
		"MoveSite": func(_ context.Context, in site.StepRequest) (site.StepResult, error) {
			level = in.To
			return site.StepResult{Outcome: site.StepDone, Level: in.To, Reason: in.Reason}, nil
		},
		"WriteToSite": func(_ context.Context, in site.MailRequest) (site.MailResult, error) {
			return site.MailResult{Outcome: site.MailSent, Ticket: ticket, MessageID: "<a@b>", Reached: true, Threatened: in.Threat != nil}, nil
		},
		"LookAtTicket": func(_ context.Context, in site.TicketRequest) (site.TicketResult, error) {
			return site.TicketResult{Ticket: in.Ticket}, nil
		},
	})
	step := func(args string, code int, says ...string) answer {
		t.Helper()
		got := call(ctx, strings.Split(args, "|")...)
		wantCode(t, got, code)
		text := got.out
		if code != exitOK {
			text = got.err
		}
		wantIn(t, text, says...)
		return got
	}
	step("site|pause|princeton", exitNotFound, "no issue asks anything of site princeton, so there is nothing to pause", "`monitor exempt set site`")
	if got := step("site|show|princeton", exitOK, "princeton"); strings.Contains(got.out, "told and denied") || got.err != "" {
		t.Errorf("a site that nobody asks anything of shows %s%s", got.out, got.err)
	}

	_, err := tc.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: "site/princeton", TaskQueue: activities.TaskQueue}, site.Type, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	request := site.HoldRequest{Key: "k", Ref: issue.Ref{ID: "nodedown/" + host, Type: issue.NodeDown, Node: host}, Level: 2, Kind: "down"}
	h, err := tc.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{WorkflowID: "site/princeton", UpdateName: site.UpdateHold, Args: []any{request}, WaitForStage: client.WorkflowUpdateStageCompleted})
	if err == nil {
		err = h.Get(ctx, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	await(t, func() error {
		s, err := answers.SiteState(ctx, tc, "princeton")
		if err == nil && (s.Ticket.ID == 0 || s.Level == 0) {
			err = context.DeadlineExceeded
		}
		return err
	})
	step("site|resume|princeton", exitRefused, "site/princeton refuses: resume: the site is not paused")
	step("site|pause|princeton|--until|2020-01-01", exitUsage, "lies in the past")
	step("site|pause|princeton|--until|2026-12-24|--reason|new machine room", exitOK, "paused", "new machine room (alice), until 2026-12-24 00:00 UTC", "level 1", "12")
	step("site|show|princeton", exitOK, "What it is told and denied", "new machine room (alice), until 2026-12-24", "nodedown/"+host+" at level 2", "nodedown/"+host)
	v := wantStable(t, step("site|show|princeton|-o|json", exitOK).out).(map[string]any)["people"].(map[string]any)
	if v["paused"] != true || v["paused_until"] != "2026-12-24T00:00:00Z" || v["ticket"] != 12.0 || v["penalty_level"] != 1.0 {
		t.Errorf("as JSON it is %v", v)
	}
	step("site|resume|princeton|--by|bob", exitOK, "level 1")
	await(t, func() error { // once the site was told that it goes on
		if out := call(ctx, "site", "show", "princeton").out; !strings.Contains(out, "next step") {
			return fmt.Errorf("the site shows %s", out)
		}
		return nil
	})
}
