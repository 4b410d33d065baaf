package rig

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/rollout"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
)

// An operator of the running product reboots a hung node by its name, reads an outlet, and rolls a reboot out: the power
// of each is cut once, and each is seen to return.
func TestAPersonsOrdersOnTheRunningProduct(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole product")
	}
	t.Parallel()
	r, err := Start(t.Context(), Options{Bin: programs(t), Day: 30 * time.Second, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx := t.Context()
	desk := orders.Desk{Store: r.Store, Temporal: r.Temporal}
	order := orders.Order{Who: access.Who{Account: "alice", Role: access.Operator, Sites: []string{access.AllSites}, From: "a test"},
		Reason: "it hangs"}
	var fed []string // nodes that a PCU feeds, once the first sweep has read PLC
	for deadline := time.Now().Add(time.Minute); len(fed) < 3; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("only %q have a PCU\n%s", fed, r.tail("worker1.log"))
		}
		fed = nil
		for _, host := range r.Hosts() {
			if n, err := r.Store.Node(ctx, host); err == nil && len(n.Feeds) == 1 {
				fed = append(fed, host)
			}
		}
	}
	hung := fed[0]
	if err := r.Break(hung, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Reboot}); err != nil {
		t.Fatal(err)
	}
	// ask gives an order until the gate lets it pass: at first there is no believed sweep.
	ask := func(n orders.Node, host string) (s request.Story) {
		t.Helper()
		for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(300 * time.Millisecond) {
			receipt, err := desk.Node(ctx, order, n, host)
			if err == nil {
				err = r.Temporal.GetWorkflow(ctx, request.ID(host), receipt.Run).Get(ctx, &s)
			}
			if err != nil && !errors.Is(err, orders.ErrUnderWay) {
				t.Fatalf("%v\n%s", err, r.tail("worker1.log"))
			}
			if err == nil && s.End != request.Refused || time.Now().After(deadline) {
				return s
			}
		}
	}
	if s := ask(orders.Node{Act: request.Reboot, Waives: []policy.Waiver{policy.EvenIfUp}, Return: time.Minute}, hung); s.End != request.Returned {
		t.Errorf("it ends as %s: %s\n%+v", s.End, s.Reason, s.Steps)
	}
	if n := r.PowerCuts(hung); n != 1 {
		t.Errorf("its power was cut %d times", n)
	}
	node, err := r.Store.Node(ctx, fed[1])
	if err != nil {
		t.Fatal(err)
	}
	p, err := r.Store.PCU(ctx, node.PCUID)
	if err != nil {
		t.Fatal(err)
	}
	if _, a, err := desk.Outlet(ctx, order, request.Outlet{PCU: p.Name, Outlet: node.Outlet, Operation: request.Status}, nil); err != nil || a.After != "on" {
		t.Errorf("the outlet is %+v, %v", a, err)
	}
	if s := ask(orders.Node{Act: request.Reboot}, fed[1]); s.Check != "answers" && s.Check != "heartbeat" {
		t.Errorf("a node that is up is rebooted without --even-if-up: %s %s", s.End, s.Reason)
	}

	admin := order
	admin.Who.Role = access.Admin
	var plan []rollout.Node
	for i, host := range fed[1:3] {
		n, err := r.Store.Node(ctx, host)
		if err != nil {
			t.Fatal(err)
		}
		plan = append(plan, rollout.Node{Seq: i + 1, NodeID: n.NodeID, Host: host, Site: n.Site})
	}
	what := rollout.Plan{Name: "both", Act: request.Reboot, Group: 1, Wait: "state=boot", Within: time.Minute}
	what.Order.Waives = []policy.Waiver{policy.EvenIfUp, policy.EvenIfTried}
	if _, _, err := desk.Rollout(ctx, admin, what, plan); err != nil {
		t.Fatal(err)
	}
	var s rollout.State
	if err := r.Temporal.GetWorkflow(ctx, rollout.ID("both"), "").Get(ctx, &s); err != nil || s.Status != rollout.Ended || s.Count.Done != 2 {
		nodes, _ := r.Store.RolloutNodes(ctx, "both")
		t.Errorf("it ends as %+v, %v\n%+v", s, err, nodes)
	}
	for _, host := range fed[1:3] {
		if n := r.PowerCuts(host); n != 1 {
			t.Errorf("the power of %s was cut %d times", host, n)
		}
	}
	story, err := answers.Request(ctx, r.Temporal, fed[1], "")
	if err != nil || story.Input.Part != rollout.ID("both") || !strings.Contains(story.Input.Order.By, "alice") {
		t.Errorf("its story is %+v, %v", story, err)
	}
}
