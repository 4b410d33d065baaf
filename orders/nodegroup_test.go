package orders

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/remote"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed/fakeplc"
)

// groups is a PLC with two groups, in one of which the node is.
func groups(t *testing.T) (*fakeplc.DB, *plc.Client) {
	t.Helper()
	db := fakeplc.NewDB("monitor@example", "s3cret")
	db.Add("Sites", fakeplc.Row{"site_id": 1, "login_base": "princeton", "enabled": true})
	db.Add("Nodes", fakeplc.Row{"node_id": 10, "hostname": host, "site_id": 1, "boot_state": "boot"})
	for _, name := range []string{"alpha", "beta"} {
		db.Add("NodeGroups", fakeplc.Row{"groupname": name, "tagname": "deployment", "value": name})
	}
	db.Add("NodeGroups", fakeplc.Row{"groupname": "old", "node_ids": []any{10}})
	db.Add("NodeTags", fakeplc.Row{"node_id": 10, "tagname": "deployment", "value": "beta"})
	server := httptest.NewServer(db)
	t.Cleanup(server.Close)
	c, err := plc.New(plc.Options{URL: server.URL + "/PLCAPI/", Username: "monitor@example", Password: "s3cret"})
	if err != nil {
		t.Fatal(err)
	}
	return db, c
}

func TestANodeEntersAGroupByAnOrderThatStandsInTheLedger(t *testing.T) {
	d := desk(t)
	ctx := t.Context()
	db, c := groups(t)
	nodes := []remote.Node{{Host: host, Site: "princeton"}, {Host: "nowhere.example", Site: "princeton"}}
	planned := func(leave bool) GroupOrder {
		t.Helper()
		plan, err := PlanGroup(ctx, c, "alpha", nodes, leave)
		if err != nil || len(plan.Nodes) != 2 || plan.Nodes[1].State != ChangeRefused {
			t.Fatalf("%+v, %v", plan, err)
		}
		n := plan.Nodes[0]
		return GroupOrder{Group: "alpha", Host: host, Site: "princeton", Leave: leave, Tag: plan.Group.Tag, Value: plan.Group.Value,
			Was: plc.NodeTag{TagID: n.TagID, Value: n.Was}}
	}
	g := planned(false)
	give := func(o Order) error { _, err := d.Group(ctx, o, c, g); return err }
	in := func(name string) bool {
		t.Helper()
		v, err := ShowGroup(ctx, c, name)
		if err != nil {
			t.Fatal(err)
		}
		return len(v.Hosts) == 1 && v.Hosts[0] == host
	}

	if err := give(Order{Who: alice(), Reason: "a new image"}); KindOf(err) != Refused || in("alpha") {
		t.Errorf("while nobody has said that Monitor may act: %v", err)
	}
	if err := d.Store.SayConfigured(ctx, policy.ModeAct, "worker"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		o    Order
		kind Kind
	}{
		"without a reason": {Order{Who: alice()}, Invalid},
		"a technician":     {Order{Who: tom(), Reason: "x"}, Forbidden},
		"only to see":      {Order{Who: alice(), Reason: "x", DryRun: true}, ""},
		"an operator of another site": {Order{Reason: "x", Who: access.Who{Account: "eve", Role: access.Operator,
			Sites: []string{"epfl"}}}, Forbidden},
	} {
		if err := give(c.o); KindOf(err) != c.kind || in("alpha") {
			t.Errorf("%s: %v", name, err)
		}
	}
	db.LoseAnswers("UpdateNodeTag", 1)
	order := Order{Who: alice(), Reason: "a new image", Key: "k1"}
	for range 2 { // the second time as one whose answer was lost
		if err := give(order); err != nil || !in("alpha") || in("beta") {
			t.Fatal(err)
		}
	}
	line := d.ledger(t)[0]
	if line.Outcome != store.Done || line.Node != host || line.Site != "princeton" || line.Reason != "a new image" ||
		line.Detail != `put `+host+` into the group alpha: deployment becomes "alpha", which was "beta"` {
		t.Errorf("the ledger says %+v", line)
	}

	t.Run("what was changed since it was planned is refused", func(t *testing.T) {
		other := g
		other.Was = plc.NodeTag{TagID: g.Was.TagID, Value: "gamma"}
		other.Group, other.Value = "beta", "beta"
		if _, err := d.Group(ctx, Order{Who: alice(), Reason: "x"}, c, other); KindOf(err) != Refused || !errors.Is(err, plc.ErrOtherwise) {
			t.Errorf("the node: %v", err)
		}
		if line := d.ledger(t)[0]; line.Outcome != store.Refused {
			t.Errorf("the ledger says %+v", line)
		}
		other = g
		other.Value = "gamma"
		if _, err := d.Group(ctx, Order{Who: alice(), Reason: "x"}, c, other); KindOf(err) != Refused || !strings.Contains(err.Error(), "not what was planned") {
			t.Errorf("the group: %v", err)
		}
		if !in("alpha") {
			t.Error("it was changed")
		}
	})
	t.Run("what cannot be meant", func(t *testing.T) {
		if _, err := PlanGroup(ctx, c, "gamma", nodes, false); KindOf(err) != NotFound {
			t.Errorf("a group that is not there: %v", err)
		}
		if _, err := PlanGroup(ctx, c, "old", nodes, false); KindOf(err) != Invalid || !errors.Is(err, plc.ErrUntagged) {
			t.Errorf("a group without a tag: %v", err)
		}
	})
	t.Run("what nobody has an answer of", func(t *testing.T) {
		leave := planned(true)
		release := db.Hang("DeleteNodeTag")
		impatient, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			for db.Calls("DeleteNodeTag") == 0 {
				time.Sleep(10 * time.Millisecond)
			}
			cancel()
		}()
		_, err := d.Group(impatient, Order{Who: alice(), Reason: "it is bad"}, c, leave)
		release()
		if line := d.ledger(t)[0]; !errors.Is(err, plc.ErrMayBeDone) || line.Outcome != store.Ambiguous || line.Reason != "it is bad" {
			t.Errorf("%v, and the ledger says %+v", err, line)
		}
		if _, err := d.Group(ctx, Order{Who: alice(), Reason: "it is bad"}, c, leave); err != nil || in("alpha") {
			t.Errorf("again: %v", err)
		}
	})

	if err := d.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "node", Target: host, Starts: noon().Add(-time.Hour), Reason: "being moved"}); err != nil {
		t.Fatal(err)
	}
	if err := give(Order{Who: alice(), Reason: "x"}); KindOf(err) != Refused || err.Error() != "exempt: being moved" {
		t.Errorf("an exempt node: %v", err)
	}
	if _, err := d.Stop(ctx, Order{Who: alice(), Reason: "power works"}); err != nil {
		t.Fatal(err)
	}
	if err := give(Order{Who: alice(), Reason: "x"}); KindOf(err) != Refused || in("alpha") {
		t.Errorf("while Monitor is stopped: %v", err)
	}
}
