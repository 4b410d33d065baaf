package orders

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

func TestANodeEntersAGroupByAnOrderThatStandsInTheLedger(t *testing.T) {
	d := desk(t)
	ctx := t.Context()
	g := GroupOrder{Group: "alpha", Host: host, Site: "princeton", Tag: "deployment", Was: "beta", Value: "alpha"}
	done := 0
	do := func(context.Context) error { done++; return nil }
	give := func(o Order) error { _, err := d.Group(ctx, o, g, do); return err }

	if err := give(Order{Who: alice(), Reason: "a new image"}); KindOf(err) != Refused || done != 0 {
		t.Errorf("while nobody has said that Monitor may act: %v, done %d times", err, done)
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
		"an operator of another site": {Order{Reason: "x", Who: access.Who{Account: "eve", Role: access.Operator,
			Sites: []string{"epfl"}}}, Forbidden},
	} {
		if err := give(c.o); KindOf(err) != c.kind || done != 0 {
			t.Errorf("%s: %v, done %d times", name, err, done)
		}
	}
	if err := give(Order{Who: alice(), Reason: "a new image"}); err != nil || done != 1 {
		t.Fatalf("%v, done %d times", err, done)
	}
	line := d.ledger(t)[0]
	if line.Outcome != store.Done || line.Node != host || line.Site != "princeton" || line.Reason != "a new image" ||
		line.Detail != `put `+host+` into the group alpha: deployment becomes "alpha", which was "beta"` {
		t.Errorf("the ledger says %+v", line)
	}

	for name, c := range map[string]struct {
		err     error
		outcome string
	}{
		"what PLC refuses":             {&Error{Refused, errors.New("fault 102")}, store.Refused},
		"what nobody has an answer of": {errors.New("it may have been done"), store.Ambiguous},
	} {
		_, err := d.Group(ctx, Order{Who: alice(), Reason: name}, g, func(context.Context) error { return c.err })
		if line := d.ledger(t)[0]; !errors.Is(err, c.err) || line.Outcome != c.outcome || line.Reason != name {
			t.Errorf("%s: %v, and the ledger says %+v", name, err, line)
		}
	}

	if err := d.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "node", Target: host, Starts: noon().Add(-time.Hour), Reason: "being moved"}); err != nil {
		t.Fatal(err)
	}
	if err := give(Order{Who: alice(), Reason: "x"}); KindOf(err) != Refused || err.Error() != "exempt: being moved" || done != 1 {
		t.Errorf("an exempt node: %v, done %d times", err, done)
	}
	if _, err := d.Stop(ctx, Order{Who: alice(), Reason: "power works"}); err != nil {
		t.Fatal(err)
	}
	if err := give(Order{Who: alice(), Reason: "x"}); KindOf(err) != Refused || done != 1 {
		t.Errorf("while Monitor is stopped: %v, done %d times", err, done)
	}
}
