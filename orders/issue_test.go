package orders

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed/temporallocal"
	"github.com/planetlab/monitor/workflows"
)

// counter answers to the names of orders, and counts those that it took.
func counter(ctx workflow.Context, in issue.Input) error {
	s := workflows.Status{ID: workflow.GetInfo(ctx).WorkflowExecution.ID, Status: issue.Open}
	closed := false
	for _, name := range issue.Orders() {
		err := workflow.SetUpdateHandlerWithOptions(ctx, string(name),
			func(_ workflow.Context, c issue.Command) (workflows.Status, error) {
				s.Rung++
				s.Timeline = append(s.Timeline, issue.Event{Kind: issue.EventOrder, Order: name, By: c.By, Reason: c.Reason})
				closed = name == issue.OrderClose
				return s, nil
			}, workflow.UpdateHandlerOptions{Validator: func(workflow.Context, issue.Command) error {
				if name == issue.OrderResume {
					return errors.New("resume: the issue is not paused")
				}
				return nil
			}})
		if err != nil {
			return err
		}
	}
	return workflow.Await(ctx, func() bool { return closed && workflow.AllHandlersFinished(ctx) })
}

// serve runs a worker.
func serve(t *testing.T, tc client.Client) worker.Worker {
	t.Helper()
	w := worker.New(tc, activities.TaskQueue, worker.Options{})
	w.RegisterWorkflowWithOptions(counter, workflow.RegisterOptions{Name: issue.NodeDown})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestIssuesTakeOrdersOnARealServer(t *testing.T) {
	d := desk(t)
	address := temporallocal.ForTest(t, "..")
	tc, err := connect.Temporal(t.Context(), config.Temporal{Address: address, Namespace: "default"},
		slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tc.Close)
	d.Temporal = tc
	d.Now = time.Now
	const id = "nodedown/" + host
	w := serve(t, tc)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	t.Run("an issue that is not open is not found", func(t *testing.T) {
		if _, _, err := d.Issue(ctx, Order{Who: alice()}, issue.OrderPause, id, Words{}); KindOf(err) != NotFound {
			t.Errorf("%v", err)
		}
	})
	t.Run("one is opened once", func(t *testing.T) {
		r, opened, err := d.Open(ctx, Order{Who: alice(), Reason: "it rattles"}, issue.NodeDown, host, "", nil)
		if err != nil || opened.Before || opened.Run == "" || r.Site != "princeton" {
			t.Fatalf("%+v, %+v, %v", r, opened, err)
		}
		r, again, err := d.Open(ctx, Order{Who: alice()}, issue.NodeDown, host, "", nil)
		if err != nil || !again.Before || !strings.Contains(r.Note, "is open already") {
			t.Errorf("%+v, %+v, %v", r, again, err)
		}
	})
	t.Run("people of other sites, and those who only look, are refused", func(t *testing.T) {
		for _, who := range []access.Who{{}, tom(), {Name: "op", Role: access.Operator, Sites: []string{"epfl"}}} {
			if _, _, err := d.Issue(ctx, Order{Who: who}, issue.OrderSkip, id, Words{}); KindOf(err) != Forbidden {
				t.Errorf("%s: %v", who, err)
			}
		}
	})
	t.Run("an order names who gave it", func(t *testing.T) {
		_, s, err := d.Issue(ctx, Order{Who: alice(), Reason: "its disk has data", Key: "a"}, issue.OrderSkip, id, Words{})
		if err != nil || s.Rung != 1 || s.Timeline[0].By != "alice, as laptop" || s.Timeline[0].Reason != "its disk has data" {
			t.Errorf("%+v, %v", s, err)
		}
	})
	t.Run("the same key is not asked again", func(t *testing.T) {
		r, _, err := d.Issue(ctx, Order{Who: alice(), Reason: "its disk has data", Key: "a"}, issue.OrderSkip, id, Words{})
		if err != nil || !r.Before {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("a refusal of the issue is one, and stands in the ledger", func(t *testing.T) {
		o := Order{Who: alice(), Key: "b"}
		_, _, err := d.Issue(ctx, o, issue.OrderResume, id, Words{})
		if KindOf(err) != Refused || !strings.Contains(err.Error(), "refuses: resume: the issue is not paused") {
			t.Errorf("%v", err)
		}
		line, err := d.Store.Action(ctx, "order/laptop/b")
		if err != nil || line.Outcome != store.Refused || line.Issue != id || line.Node != host || line.Site != "princeton" {
			t.Errorf("%+v, %v", line, err)
		}
		if _, _, err := d.Issue(ctx, o, issue.OrderResume, id, Words{}); KindOf(err) != Refused {
			t.Errorf("again: %v", err)
		}
	})
	t.Run("a person of the site pledges, within bounds", func(t *testing.T) {
		o := Order{Who: tom(), Reason: "a new disk is ordered"}
		for _, until := range []time.Time{{}, time.Now().Add(-time.Hour), time.Now().Add(40 * 24 * time.Hour)} {
			if _, _, err := d.Pledge(ctx, o, id, until); KindOf(err) != Invalid {
				t.Errorf("until %s: %v", until, err)
			}
		}
		_, s, err := d.Pledge(ctx, o, id, time.Now().Add(72*time.Hour))
		if err != nil || s.Rung != 2 || s.Timeline[1].Order != issue.OrderPause {
			t.Errorf("%+v, %v", s, err)
		}
		if _, _, err := d.Pledge(ctx, o, "nodedown/planetlab1.epfl.example", time.Now().Add(time.Hour)); KindOf(err) != Forbidden {
			t.Errorf("a foreign one: %v", err)
		}
	})
	t.Run("an order whose answer was lost is asked for, and carried out once", func(t *testing.T) {
		w.Stop()
		o := Order{Who: alice(), Reason: "hurry", Key: "c"}
		short, stop := context.WithTimeout(ctx, 2*time.Second)
		defer stop()
		_, _, err := d.Issue(short, o, issue.OrderSkip, id, Words{})
		if KindOf(err) != Silent {
			t.Fatalf("without a worker: %v", err)
		}
		if line, err := d.Store.Action(ctx, "order/laptop/c"); err != nil || line.Outcome != store.Ambiguous {
			t.Errorf("%+v, %v", line, err)
		}
		w = serve(t, tc)
		_, s, err := d.Issue(ctx, o, issue.OrderSkip, id, Words{})
		if err != nil || s.Rung != 3 {
			t.Errorf("it was taken as the order number %d, %v", s.Rung, err)
		}
		if line, err := d.Store.Action(ctx, "order/laptop/c"); err != nil || line.Outcome != store.Done {
			t.Errorf("%+v, %v", line, err)
		}
	})
	defer func() { w.Stop() }()
	t.Run("it is closed", func(t *testing.T) {
		_, s, err := d.Issue(ctx, Order{Who: alice(), Reason: "mended"}, issue.OrderClose, id, Words{})
		if err != nil || s.Rung != 4 {
			t.Errorf("%+v, %v", s, err)
		}
	})
}
