package orders

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed/pglocal"
)

func TestMain(m *testing.M) { os.Exit(pglocal.Main(m)) }

func noon() time.Time { return time.Date(2026, 11, 24, 14, 3, 0, 0, time.UTC) }

const host = "planetlab1.princeton.example"

// desk has two sites with a node each, and a PCU.
func desk(t *testing.T) Desk {
	t.Helper()
	return deskOn(t, pglocal.ForTest(t))
}

func deskOn(t *testing.T, url string) Desk {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{URL: url, Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = db.SaveSnapshot(t.Context(), plc.Snapshot{
		Taken: noon(),
		Sites: []plc.Site{{SiteID: 1, LoginBase: "princeton", Enabled: true}, {SiteID: 2, LoginBase: "epfl", Enabled: true}},
		Nodes: []plc.Node{
			{NodeID: 10, Hostname: host, SiteID: 1, BootState: "boot", PCUIDs: []int{5}, Ports: []int{3}},
			{NodeID: 12, Hostname: "planetlab1.epfl.example", SiteID: 2, BootState: "boot"},
		},
		PCUs: []plc.PCU{{PCUID: 5, SiteID: 1, Hostname: "pcu1.princeton.example", Model: "APCControl12p3"}},
	}, true)
	if err != nil {
		t.Fatal(err)
	}
	return Desk{Store: db, Now: noon}
}

func alice() access.Who {
	return access.Who{
		Name: "alice", Account: "laptop", Role: access.Operator, Sites: []string{access.AllSites}, From: "10.1.2.3",
		SignIn: access.ByToken,
	}
}

func tom() access.Who {
	return access.Who{Name: "tom", Account: "tom@princeton", Role: access.Site, Sites: []string{"princeton"}}
}

// ledger are the orders that stand in the ledger, the latest first.
func (d Desk) ledger(t *testing.T) []store.Action {
	t.Helper()
	list, err := d.Store.Actions(t.Context(), store.ActionFilter{Kind: store.KindOrder})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// all are one order of each kind that needs no workflow.
func all(d Desk) map[access.Verb]func(ctx context.Context, o Order) (Receipt, error) {
	return map[access.Verb]func(ctx context.Context, o Order) (Receipt, error){
		access.FleetStop:  d.Stop,
		access.FleetStart: d.Start,
		access.FleetMode: func(ctx context.Context, o Order) (Receipt, error) {
			return d.Mode(ctx, o, Part{Type: "pcudown"}, policy.ModeObserve)
		},
		access.SiteMode: func(ctx context.Context, o Order) (Receipt, error) {
			return d.Mode(ctx, o, Part{Site: "epfl"}, policy.ModeObserve)
		},
		access.TargetSilence: func(ctx context.Context, o Order) (Receipt, error) {
			r, _, err := d.Silence(ctx, o, "planetlab1.epfl.example", noon().Add(time.Hour))
			return r, err
		},
		access.TargetUnsilence: func(ctx context.Context, o Order) (Receipt, error) {
			return d.Unsilence(ctx, o, "node", "planetlab1.epfl.example")
		},
		access.PCUForget: func(ctx context.Context, o Order) (Receipt, error) {
			return d.ForgetPCU(ctx, o, "pcu1.princeton.example")
		},
	}
}

func TestAnOrderIsRefusedToWhoMayNotGiveIt(t *testing.T) {
	d := desk(t)
	for verb, give := range all(d) {
		for _, who := range []access.Who{{}, tom(), {Name: "vic", Role: access.Viewer, Sites: []string{access.AllSites}}} {
			r, err := give(t.Context(), Order{Who: who, Reason: "x"})
			if KindOf(err) != Forbidden || !errors.Is(err, access.ErrRefused) {
				t.Errorf("%s by %s: %+v, %v", verb, who, r, err)
			}
		}
	}
	if list := d.ledger(t); len(list) != 0 {
		t.Errorf("the ledger has %+v", list)
	}
}

func TestADryRunChangesNothing(t *testing.T) {
	d := desk(t)
	who := alice()
	who.Role = access.Admin
	for verb, give := range all(d) {
		if verb == access.TargetUnsilence {
			continue // of a target that is not on the blacklist
		}
		r, err := give(t.Context(), Order{Who: who, Reason: "x", DryRun: true})
		if err != nil || !r.DryRun || r.Does == "" || r.Key != "" {
			t.Errorf("%s: %+v, %v", verb, r, err)
		}
	}
	controls, err := d.Store.Controls(t.Context())
	list, errs := d.Store.Blacklist(t.Context())
	if err != nil || errs != nil || len(controls)+len(list)+len(d.ledger(t)) != 0 {
		t.Errorf("there are %v, %v and %v", controls, list, d.ledger(t))
	}
}

func TestTheLedgerSaysWhoFromWhereAndWhy(t *testing.T) {
	d := desk(t)
	r, err := d.Stop(t.Context(), Order{Who: alice(), Reason: " power\nworks "})
	if err != nil {
		t.Fatal(err)
	}
	line, err := d.Store.Action(t.Context(), r.Key)
	if err != nil {
		t.Fatal(err)
	}
	var data map[string]any
	if err := json.Unmarshal(line.Data, &data); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"verb": "fleet.stop", "by": "alice, as laptop", "account": "laptop", "role": "operator", "from": "10.1.2.3",
		"sign_in": "token", "name": "stop", "value": "stopped",
	} {
		if data[name] != want {
			t.Errorf("%s is %v", name, data[name])
		}
	}
	if line.Reason != "power works" || line.Outcome != store.Done || line.Kind != store.KindOrder {
		t.Errorf("the line is %+v", line)
	}
	controls, err := d.Store.Controls(t.Context())
	if err != nil || !strings.HasPrefix(controls.Stopped(), "power works (alice, as laptop") {
		t.Errorf("stopped: %q, %v", controls.Stopped(), err)
	}
}

func TestAReasonIsDemandedWhereOthersWillAsk(t *testing.T) {
	d := desk(t)
	if _, err := d.Stop(t.Context(), Order{Who: alice(), Reason: " \n"}); !errors.Is(err, ErrNoReason) || KindOf(err) != Invalid {
		t.Errorf("stop: %v", err)
	}
	_, _, err := d.Silence(t.Context(), Order{Who: alice()}, host, noon().Add(time.Hour))
	if !errors.Is(err, ErrNoReason) {
		t.Errorf("silence: %v", err)
	}
}

func TestAnOrderUnderOneKeyIsGivenOnce(t *testing.T) {
	d := desk(t)
	ctx := t.Context()
	stop := Order{Who: alice(), Reason: "power works", Key: "k1"}
	if r, err := d.Stop(ctx, stop); err != nil || r.Before || r.Key != "order/laptop/k1" {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := d.Start(ctx, Order{Who: alice(), Key: "k2"}); err != nil {
		t.Fatal(err)
	}
	if r, err := d.Stop(ctx, stop); err != nil || !r.Before {
		t.Errorf("again: %+v, %v", r, err)
	}
	if c, err := d.Store.Controls(ctx); err != nil || c.Stopped() != "" {
		t.Errorf("what came again was carried out again: %q, %v", c.Stopped(), err)
	}
	if list := d.ledger(t); len(list) != 2 {
		t.Errorf("the ledger has %d orders", len(list))
	}
	t.Run("the same key for another order is refused", func(t *testing.T) {
		_, err := d.Mode(ctx, Order{Who: alice(), Reason: "power works", Key: "k1"}, Part{Site: "epfl"}, policy.ModeObserve)
		if KindOf(err) != Reused {
			t.Errorf("another order: %v", err)
		}
		if _, err := d.Stop(ctx, Order{Who: alice(), Reason: "another reason", Key: "k1"}); KindOf(err) != Reused {
			t.Errorf("another reason: %v", err)
		}
	})
	t.Run("the same key of another account is another order", func(t *testing.T) {
		bob := alice()
		bob.Account = "desktop"
		if r, err := d.Stop(ctx, Order{Who: bob, Reason: "fire", Key: "k1"}); err != nil || r.Before {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// forgetful is a Temporal that begins a request and loses the answer. A second one must not be begun.
type forgetful struct {
	client.Client
	store *store.Store
	begun int
}

func (f *forgetful) ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, _ any, args ...any) (
	client.WorkflowRun, error) {
	f.begun++
	in := args[0].(request.Input)
	_, _, _, err := f.store.Begin(ctx, store.Plan{Action: store.Action{Key: in.Line(o.ID, "first"), Kind: store.KindOrder,
		Issue: o.ID, RunID: "first", Node: in.Node}})
	return nil, errors.Join(context.DeadlineExceeded, err)
}

func (f *forgetful) GetWorkflow(_ context.Context, id, run string) client.WorkflowRun {
	return ran{id: id, run: run}
}

type ran struct {
	client.WorkflowRun
	id, run string
}

func (r ran) GetRunID() string { return r.run }

func TestAnOrderWhoseAnswerWasLostIsNotBegunAgain(t *testing.T) {
	d := desk(t)
	lost := &forgetful{store: d.Store}
	d.Temporal = lost
	o := Order{Who: alice(), Reason: "it hangs", Key: "k1"}
	if _, err := d.Node(t.Context(), o, Node{Act: request.Reboot}, host); err == nil {
		t.Fatal("a lost answer is told as an order that was taken")
	}
	for range 2 {
		r, err := d.Node(t.Context(), o, Node{Act: request.Reboot}, host)
		if err != nil || !r.Before || lost.begun != 1 {
			t.Errorf("again: %+v, %v; begun %d times", r, err, lost.begun)
		}
	}
}

// A giver that was held up between its intent and the point of no return, as one whose machine slept, finds that the
// reconciler has given its order up: nobody carries out now what was wanted hours ago.
func TestAnOrderThatWasGivenUpMeanwhileIsNotCarriedOut(t *testing.T) {
	url := pglocal.ForTest(t)
	d := deskOn(t, url)
	ctx := t.Context()
	o := Order{Who: alice(), Reason: "it hangs", Key: "k1"}
	done := 0
	a := act{verb: access.FleetStop, target: "fleet",
		do: func(context.Context, string) (string, error) { done++; return "", nil }}
	line, err := d.line(o, a)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Store.Intent(ctx, line); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	tx, err := conn.Begin(ctx)
	if err == nil { // the giver reads the line as it is, and then waits for it
		_, err = tx.Exec(ctx, "select from action where key = $1 for update", line.Key)
	}
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := d.give(ctx, o, a)
		answered <- err
	}()
	for waits := false; !waits; {
		select {
		case err := <-answered:
			t.Fatalf("it is answered %v before its line is free", err)
		default:
		}
		if err := tx.QueryRow(ctx, `select exists (select from pg_locks where not granted)`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	_, err = tx.Exec(ctx, "update action set outcome = 'failed', detail = 'given up' where key = $1", line.Key)
	if err = errors.Join(err, tx.Commit(ctx)); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; KindOf(err) != Refused || err.Error() != "given up" || done != 0 {
		t.Errorf("it is answered %v, and was carried out %d times", err, done)
	}
}

func TestATargetIsLeftAloneAndNoLonger(t *testing.T) {
	d := desk(t)
	ctx := t.Context()
	o := Order{Who: alice(), Reason: "being moved"}
	for target, kind := range map[string]string{host: "node", "epfl": "site", "pcu1.princeton.example": "pcu"} {
		_, e, err := d.Silence(ctx, o, target, noon().Add(time.Hour))
		if err != nil || e.Kind != kind || e.Owner != "alice, as laptop" {
			t.Errorf("%s: %+v, %v", target, e, err)
		}
	}
	if _, _, err := d.Silence(ctx, o, "nobody.example", noon().Add(time.Hour)); KindOf(err) != NotFound {
		t.Errorf("an unknown target: %v", err)
	}
	if _, _, err := d.Silence(ctx, o, host, noon().Add(2*time.Hour)); KindOf(err) != Refused {
		t.Errorf("twice from one moment on: %v", err)
	}
	if _, err := d.Unsilence(ctx, o, "node", host); err != nil {
		t.Error(err)
	}
	if _, err := d.Unsilence(ctx, o, "node", host); KindOf(err) != NotFound {
		t.Errorf("twice: %v", err)
	}
	list, err := d.Store.Blacklist(ctx)
	if err != nil || len(list) != 2 {
		t.Errorf("left are %+v, %v", list, err)
	}
	if orders := d.ledger(t); len(orders) != 4 {
		t.Errorf("the ledger has %d orders: what failed must not stand in it", len(orders))
	}
}

func TestAModeIsOrderedForAPartThatThereIs(t *testing.T) {
	d := desk(t)
	o := Order{Who: alice(), Reason: "a new firewall"}
	o.Who.Role = access.Admin
	for _, c := range []struct {
		part Part
		mode policy.Mode
		kind Kind
	}{
		{Part{Site: "nowhere"}, policy.ModeObserve, NotFound},
		{Part{Type: "nosuch"}, policy.ModeObserve, Invalid},
		{Part{Site: "epfl", Type: "pcudown"}, policy.ModeObserve, Invalid},
		{Part{}, "off", Invalid},
		{Part{}, policy.ModeObserve, ""},
		{Part{Site: "epfl"}, policy.ModeObserve, ""},
		{Part{Site: "epfl"}, "", ""},
	} {
		if _, err := d.Mode(t.Context(), o, c.part, c.mode); KindOf(err) != c.kind {
			t.Errorf("%+v %q: %v", c.part, c.mode, err)
		}
	}
	controls, err := d.Store.Controls(t.Context())
	if _, ordered := controls[store.ControlMode]; err != nil || !ordered || len(controls) != 1 {
		t.Errorf("in force are %+v, %v", controls, err)
	}
}
