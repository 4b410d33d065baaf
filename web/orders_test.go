package web

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"
	temporallog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/testbed/temporallocal"
	"github.com/planetlab/monitor/workflows"
)

// obedient is an issue that takes orders, and says how many. A paused one cannot be paused.
func obedient(ctx workflow.Context, in issue.Input) (taken int, err error) {
	closed := false
	s := workflows.Status{ID: workflow.GetInfo(ctx).WorkflowExecution.ID, Status: issue.Open}
	for _, name := range issue.Orders() {
		err := workflow.SetUpdateHandlerWithOptions(ctx, string(name), func(_ workflow.Context, c issue.Command) (workflows.Status, error) {
			taken++
			if name == issue.OrderPause {
				s.Status = issue.Paused
			}
			closed = name == issue.OrderClose
			s.Timeline = append(s.Timeline, issue.Event{Kind: issue.EventOrder, Order: name, By: c.By, Reason: c.Reason})
			return s, nil
		}, workflow.UpdateHandlerOptions{Validator: func(workflow.Context, issue.Command) error {
			if name == issue.OrderPause && s.Status == issue.Paused {
				return errors.New("pause: it is paused already")
			}
			return nil
		}})
		if err != nil {
			return 0, err
		}
	}
	err = workflow.Await(ctx, func() bool { return closed && workflow.AllHandlersFinished(ctx) })
	return taken, err
}

func TestIssuesTakeTheOrdersOfPages(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Temporal server")
	}
	tc, err := client.DialContext(t.Context(), client.Options{HostPort: temporallocal.ForTest(t, ".."), Logger: temporallog.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tc.Close)
	w := worker.New(tc, activities.TaskQueue, worker.Options{})
	w.RegisterWorkflowWithOptions(obedient, workflow.RegisterOptions{Name: issue.NodeDown})
	w.RegisterWorkflowWithOptions(forbids, workflow.RegisterOptions{Name: activities.WhyNotType})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	f := newFixture(t, func(o *Options) { o.Temporal = tc })
	runs := map[string]client.WorkflowRun{}
	for _, id := range []string{"nodedown/planetlab1.huji.example", "nodedown/planetlab2.huji.example"} {
		run, err := tc.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: activities.TaskQueue}, issue.NodeDown, issue.Input{})
		f.must(t, err)
		runs[id] = run
	}
	v := f.as(t, anOperator)
	theGateIsAsked(t, v)
	give := func(verb string, ids ...string) string {
		t.Helper()
		id, _ := v.looksAt(url.Values{"do": {verb}, "of": {"issues"}, "id": ids})
		form := url.Values{"plan": {id}, "reason": {"a fire drill"}}
		v.post("/act", form)
		code, body := v.post("/act", form) // sent twice
		if code != http.StatusOK {
			t.Fatalf("%d %s", code, body)
		}
		return body
	}
	// two are there, and the third is known to the store alone: each has its own answer
	body := give("issue.pause", "nodedown/planetlab1.huji.example", "nodedown/planetlab2.huji.example", "nodedown/planetlab2.tokyo.example")
	if !strings.Contains(body, "2 of 3 done") || !strings.Contains(body, "no issue nodedown/planetlab2.tokyo.example is open") || !strings.Contains(body, "Try those 1 again") {
		t.Errorf("%s", body)
	}
	if body := give("issue.pause", "nodedown/planetlab1.huji.example"); !strings.Contains(body, "it is paused already") {
		t.Errorf("%s", body)
	}
	give("issue.close", "nodedown/planetlab1.huji.example", "nodedown/planetlab2.huji.example")
	for id, run := range runs {
		var taken int
		if err := run.Get(t.Context(), &taken); err != nil || taken != 2 {
			t.Errorf("%s took %d orders, though each was given once: %v", id, taken, err)
		}
	}
	orders, err := f.Orders(t.Context(), 100)
	f.must(t, err)
	if len(orders) == 0 || !strings.Contains(orders[0].By, anOperator) {
		t.Errorf("%+v", orders)
	}
	if _, body := v.get("/audit"); !strings.Contains(body, "a fire drill") || !strings.Contains(body, anOperator) {
		t.Error("the audit does not tell it")
	}
}
