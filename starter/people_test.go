package main

import (
	"context"
	"strings"
	"testing"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/workflows"
)

func TestASiteIsPausedAndShownOnARealServer(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	tc := temporalServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	attributes := map[string]enums.IndexedValueType{}
	for _, k := range []temporal.SearchAttributeKey{workflows.AttrType, workflows.AttrSite, workflows.AttrPenalty} {
		attributes[k.GetName()] = k.GetValueType()
	}
	if _, err := tc.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: "default", SearchAttributes: attributes}); err != nil {
		t.Fatal(err)
	}
	ticket := site.Ticket{ID: 12, Robot: "monitor"}
	day := 24 * time.Hour
	level := 0
	holds := map[string]site.Hold{}
	serve(t, tc, site.Type, workflows.Site, map[string]any{
		"ReadSite": func(context.Context, site.ReadRequest) (site.Standing, error) {
			return site.Standing{Level: level, Holds: holds, Rise: policy.Yes("it is down"), Times: site.Times{Day: day, GroupWait: 100 * time.Millisecond, PenaltyStep: 7 * day,
				ThanksGrace: time.Hour, ReplyPause: 30 * day, TicketLook: time.Hour}}, nil
		},
		"MoveSite": func(_ context.Context, in site.StepRequest) (site.StepResult, error) {
			level = in.To
			return site.StepResult{Outcome: site.StepDone, Level: in.To, Reason: in.Reason}, nil
		},
		"WriteToSite": func(context.Context, site.MailRequest) (site.MailResult, error) {
			return site.MailResult{Outcome: site.MailSent, Reached: true, Threatened: true, NotBefore: time.Now(), Ticket: ticket, MessageID: "<a@b>"}, nil
		},
		"LookAtTicket": func(context.Context, site.TicketRequest) (site.TicketResult, error) {
			return site.TicketResult{Ticket: ticket}, nil
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
	step("site|pause|princeton", exitNotFound, "no issue leans on site princeton, so there is nothing to pause", "`monitor blacklist add site`")
	if got := step("site|show|princeton", exitOK, "princeton"); strings.Contains(got.out, "told and denied") || got.err != "" {
		t.Errorf("a site that nobody leans on shows %s%s", got.out, got.err)
	}

	_, err := tc.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: "site/princeton", TaskQueue: activities.TaskQueue}, site.Type, site.Input{Site: "princeton"})
	if err != nil {
		t.Fatal(err)
	}
	ref := issue.Ref{ID: "nodedown/" + host, Type: issue.NodeDown, Node: host, Site: "princeton"}
	holds[ref.ID] = site.Hold{Ref: ref, Level: 2, Since: time.Now(), Told: true}
	request := site.HoldRequest{Key: "k", Ref: ref, Level: 2, Kind: "down"}
	h, err := tc.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{WorkflowID: "site/princeton", UpdateName: site.UpdateHold, Args: []any{request}, WaitForStage: client.WorkflowUpdateStageCompleted})
	if err == nil {
		err = h.Get(ctx, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	await(t, func() error {
		s, err := askSite(ctx, tc, "princeton")
		if err == nil && (s.Ticket.ID == 0 || s.Level == 0) {
			err = context.DeadlineExceeded
		}
		return err
	})
	step("site|resume|princeton", exitFailure, "site/princeton refuses: resume: the site is not paused")
	step("site|pause|princeton|--until|2020-01-01", exitUsage, "lies in the past")
	step("site|pause|princeton|--until|2026-12-24|--reason|new machine room", exitOK, "paused", "new machine room (alice), until 2026-12-24 00:00 UTC", "level 1", "12")
	step("site|show|princeton", exitOK, "What it is told and denied", "new machine room (alice), until 2026-12-24", "nodedown/"+host+" at level 2", "held by nodedown/"+host)
	v := wantStable(t, step("site|show|princeton|-o|json", exitOK).out).(map[string]any)["people"].(map[string]any)
	if v["paused"] != true || v["paused_until"] != "2026-12-24T00:00:00Z" || v["ticket"] != 12.0 || v["penalty_level"] != 1.0 {
		t.Errorf("as JSON it is %v", v)
	}
	step("site|resume|princeton|--by|bob", exitOK, "level 1", "next step")
}
