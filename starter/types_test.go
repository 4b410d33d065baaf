package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/workflows"
)

// everyType runs a worker with all workflows of the product, over a world in which every target stays bad and every rung waits.
func everyType(t *testing.T, tc client.Client) {
	t.Helper()
	w := worker.New(tc, activities.TaskQueue, worker.Options{DisableRegistrationAliasing: true})
	for _, k := range workflows.Types() {
		w.RegisterWorkflowWithOptions(k.Func, workflow.RegisterOptions{Name: k.Name})
	}
	machines := worker.New(tc, activities.MachineTaskQueue, worker.Options{DisableWorkflowWorker: true})
	waits := func(context.Context, issue.Request) (issue.Result, error) {
		return issue.Result{Outcome: issue.Wait, Reason: "the test has it wait", Until: time.Now().Add(time.Hour)}, nil
	}
	seen := map[string]bool{}
	for _, l := range issue.Types() {
		for _, r := range l.Ladder.Rungs {
			if name := string(r.Do); !seen[name] {
				seen[name] = true
				w.RegisterActivityWithOptions(waits, activity.RegisterOptions{Name: name})
				machines.RegisterActivityWithOptions(waits, activity.RegisterOptions{Name: name})
			}
		}
	}
	day := 24 * time.Hour
	w.RegisterActivityWithOptions(func(_ context.Context, in activities.OpenRequest) (issue.State, error) {
		typ, _ := issue.Lookup(in.Ref.Type)
		times := issue.Times{Day: day, MachineStep: day, PeopleStep: 7 * day, AdminStep: day, HealthyDelay: time.Hour}
		return issue.Start(issue.Opening{Ref: in.Ref, Times: times, Ladder: typ.Ladder, Cause: in.Input.Cause, Evidence: in.Input.Evidence}, time.Now()), nil
	}, activity.RegisterOptions{Name: "OpenIssue"})
	w.RegisterActivityWithOptions(func(context.Context, issue.State) error { return nil }, activity.RegisterOptions{Name: "SaveIssue"})
	w.RegisterActivityWithOptions(func(context.Context, activities.CloseRequest) (issue.Result, error) {
		return issue.Result{Outcome: issue.Acted}, nil
	}, activity.RegisterOptions{Name: "CloseIssue"})
	for _, w := range []worker.Worker{w, machines} {
		if err := w.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.Stop)
	}
}

// small is a JSON object as a plain client writes it.
type small = map[string]any

// Every type is started, asked, ordered about and closed by names and small JSON alone, as the temporal command line would do it.
func TestEveryTypeIsRunByAPlainClient(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a Temporal server")
	}
	alone(t)
	tc := temporalServer(t)
	addSearchAttributes(t, tc)
	everyType(t, tc)
	for _, l := range issue.Types() {
		t.Run(l.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			field, target := "node", "planetlab1.princeton.example"
			switch l.Name {
			case "pcudown":
				field, target = "pcu", "pcu.princeton.example"
			case "sitedown":
				field, target = "site", "princeton"
			}
			id := l.Name + "/" + target
			run, err := tc.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: "monitor"}, l.Name,
				small{field: target, "cause": "an alert fired", "evidence": []string{"one", "two"}})
			if err != nil {
				t.Fatal(err)
			}
			// until asks for the status until it holds some values.
			until := func(want small) {
				t.Helper()
				await(t, func() error {
					v, err := tc.QueryWorkflow(ctx, id, "", "status")
					if err != nil {
						return err
					}
					var s small
					if err := v.Get(&s); err != nil {
						return err
					}
					return differs(s, want)
				})
			}
			order := func(name string, in, want small) {
				t.Helper()
				h, err := tc.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{WorkflowID: id, UpdateName: name, Args: []any{in}, WaitForStage: client.WorkflowUpdateStageCompleted})
				if err != nil {
					t.Fatal(err)
				}
				var s small
				if err := h.Get(ctx, &s); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if err := differs(s, want); err != nil {
					t.Errorf("%s answers %v", name, err)
				}
			}
			until(small{"status": "open", "type": l.Name, "target": target, "cause": "an alert fired", "evidence": []any{"one", "two"}, "blocked": "the test has it wait", "rung": 0.0})
			order("pause", small{"reason": "we know", "by": "ada"}, small{"status": "paused", "blocked": "paused: we know (ada)"})
			order("resume", small{}, small{"status": "open"})
			if len(l.Ladder.Rungs) > 1 {
				order("skip", small{"reason": "not this one"}, small{"rung": 1.0, "next": l.Ladder.Rungs[1].String()})
			}
			if err := tc.SignalWorkflow(ctx, id, "", "pause", small{"until": time.Now().Add(time.Hour).Format(time.RFC3339)}); err != nil {
				t.Fatal(err)
			}
			until(small{"status": "paused"})
			if err := tc.SignalWorkflow(ctx, id, "", "close", small{"reason": "enough", "by": "ada"}); err != nil {
				t.Fatal(err)
			}
			var res small
			if err := run.Get(ctx, &res); err != nil || res["outcome"] != "closed by an operator: enough (ada)" || res["cause"] != "an alert fired" {
				t.Errorf("ended as %v, %v", res, err)
			}
		})
	}
}

func differs(got, want small) error {
	for k, v := range want {
		if !reflect.DeepEqual(got[k], v) {
			return fmt.Errorf("%s is %v, want %v", k, got[k], v)
		}
	}
	return nil
}

// addSearchAttributes makes the ones that issues set, as monitor-worker does when it starts.
func addSearchAttributes(t *testing.T, tc client.Client) {
	t.Helper()
	want := map[string]enums.IndexedValueType{}
	for _, k := range workflows.Attributes() {
		want[k.GetName()] = k.GetValueType()
	}
	_, err := tc.OperatorService().AddSearchAttributes(t.Context(), &operatorservice.AddSearchAttributesRequest{Namespace: "default", SearchAttributes: want})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheLaddersPageIsWhatTheLaddersAre(t *testing.T) {
	alone(t)
	got := call(t.Context(), "ladders", "--markdown")
	wantCode(t, got, exitOK)
	page, err := os.ReadFile(filepath.Join("..", "docs", "ladders.md"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(got.out) != strings.TrimSpace(string(page)) {
		t.Error("docs/ladders.md is not what the ladders are: run `make docs`")
	}
}
