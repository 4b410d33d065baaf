package orders

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/remote"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/rollout"
	"github.com/planetlab/monitor/store"
)

// Where Temporal is not connected, what a workflow has to carry out surely was not: the ledger says failed, and why.
func TestAnOrderThatNoWorkflowHearsHasFailed(t *testing.T) {
	d := desk(t)
	who := alice()
	who.Role = access.Admin
	pcu := request.Outlet{PCU: "pcu1.princeton.example", Outlet: 3, Operation: request.Cycle}
	plan := rollout.Plan{Name: "new-image", Act: request.Reboot, Group: 1}
	for name, give := range map[string]func(context.Context, Order) (Receipt, error){
		"an order to an issue": func(ctx context.Context, o Order) (Receipt, error) {
			r, _, err := d.Issue(ctx, o, issue.OrderSkip, "nodedown/"+host, Words{})
			return r, err
		},
		"a new issue": func(ctx context.Context, o Order) (Receipt, error) {
			r, _, err := d.Open(ctx, o, issue.NodeDown, host, "", nil)
			return r, err
		},
		"an order to a site": func(ctx context.Context, o Order) (Receipt, error) {
			r, _, err := d.Site(ctx, o, issue.OrderPause, "princeton", Words{})
			return r, err
		},
		"a reboot": func(ctx context.Context, o Order) (Receipt, error) {
			return d.Node(ctx, o, Node{Act: request.Reboot}, host)
		},
		"a cancelled reboot": func(ctx context.Context, o Order) (Receipt, error) {
			r, _, err := d.CancelNode(ctx, o, host)
			return r, err
		},
		"an outlet": func(ctx context.Context, o Order) (Receipt, error) {
			r, _, err := d.Outlet(ctx, o, pcu, nil)
			return r, err
		},
		"a roll-out": func(ctx context.Context, o Order) (Receipt, error) {
			r, _, err := d.Rollout(ctx, o, plan, []rollout.Node{{Seq: 1, NodeID: 10, Host: host, Site: "princeton",
				State: rollout.Planned}})
			return r, err
		},
		"a steered roll-out": func(ctx context.Context, o Order) (Receipt, error) {
			r, _, err := d.SteerRollout(ctx, o, "old-image", "pause")
			return r, err
		},
		"a sweep": func(ctx context.Context, o Order) (Receipt, error) {
			r, _, err := d.Sweep(ctx, o, nil)
			return r, err
		},
		"a sweep that is believed": func(ctx context.Context, o Order) (Receipt, error) {
			r, _, err := d.Believe(ctx, o)
			return r, err
		},
	} {
		r, err := give(t.Context(), Order{Who: who, Reason: "x"})
		if KindOf(err) != Silent || !errors.Is(err, errNoTemporal) || r.Key == "" {
			t.Errorf("%s: %+v, %v", name, r, err)
			continue
		}
		line, err := d.Store.Action(t.Context(), r.Key)
		if err != nil || line.Outcome != store.Failed || !strings.Contains(line.Detail, "nothing is done") {
			t.Errorf("%s: the ledger says %q, %q, %v", name, line.Outcome, line.Detail, err)
		}
	}
	if _, err := d.Store.Rollout(t.Context(), plan.Name); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a plan that nobody carries out is kept: %v", err)
	}
}

// A command over ssh runs where it is ordered, and asks no workflow.
func TestACommandOnNodesNeedsNoTemporal(t *testing.T) {
	d := desk(t)
	who := alice()
	who.Role = access.Admin
	if err := d.Store.SayConfigured(t.Context(), policy.ModeAct, "the test's worker"); err != nil {
		t.Fatal(err)
	}
	opts := remote.Options{Parallel: 1, PerSite: 1, Limit: time.Second, Keep: 100,
		Enter: func(context.Context, string, string) bootman.Target { return bootman.Target{Host: host} }}
	var ended []store.RunNode
	r, id, err := d.Run(t.Context(), Order{Who: who, Reason: "x"}, Job{Options: opts, Nodes: []remote.Node{{Host: host, Site: "princeton"}},
		Script: "true", Each: func(n store.RunNode) { ended = append(ended, n) }})
	if err != nil || len(ended) != 1 || ended[0].State != string(remote.Away) {
		t.Fatalf("run %s: %+v, %v", id, ended, err)
	}
	if line, err := d.Store.Action(t.Context(), r.Key); err != nil || line.Outcome != store.Done ||
		line.Detail != "done on 0 of 1 nodes" {
		t.Errorf("%+v, %v", line, err)
	}
}
