package activities

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/issue"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
)

func (b *bench) reconcile() Reconciled {
	b.Helper()
	res, err := b.Reconciler.Reconcile(b.Context())
	b.must(err)
	return res
}

// A rung that settles its own claim while the reconciler waits for the PCU left nothing to repair.
func TestReconcile_AClaimThatIsSettledMeanwhileWasNotRepaired(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.Policy.OwedAfter = 0
	req := b.task(issue.NodeDown, "0", rebootRung)
	ref := req.State.Ref
	putIssue(b.T, b.url, store.Issue{ID: ref.ID, RunID: ref.Run, Type: ref.Type, Target: sick, Node: sick, Site: site,
		Status: "open", Opened: time.Now()}) // it asks itself what became of its rung
	b.intend(req)
	b.commit(req)
	release, err := b.Store.LockPCU(ctx, b.pcuID())
	b.must(err)
	type answer struct {
		Reconciled
		err error
	}
	done := make(chan answer, 1)
	go func() {
		res, err := b.Reconciler.Reconcile(ctx)
		done <- answer{res, err}
	}()
	b.waits()
	b.must(b.Store.Settle(ctx, req.Key, store.Done, "cycled and read back on", []store.ClaimKind{store.ClaimOutlet}))
	release()
	res := <-done
	if b.must(res.err); len(res.Repaired) > 0 || len(res.Left) > 0 {
		t.Errorf("repaired %q, left %q", res.Repaired, res.Left)
	}
	b.wantLedger(req.State.Ref.ID, "reboot done")
}

// What the reconciler found of an outlet that was owed is told as it was.
func TestReconcile_AnOwedOutletIsReadOn(t *testing.T) {
	b := newBench(t)
	b.Policy.OwedAfter = 0
	req := b.task(issue.NodeDown, "0", rebootRung)
	b.intend(req)
	b.commit(req)
	b.must(b.Store.Outcome(context.Background(), req.Key, store.Ambiguous, "the answer was lost"))
	res := b.reconcile()
	said := func(line string) bool {
		return strings.HasPrefix(line, "outlet ") && strings.HasSuffix(line, ": is on")
	}
	if !slices.ContainsFunc(res.Repaired, said) {
		t.Errorf("repaired %q, left %q", res.Repaired, res.Left)
	}
	b.wantClaims()
}

// A boot state that Monitor has set is given back while its issue is still open: when the node is up again, whether or
// not it was reinstalled, and when the command that it was set for was given up.
func TestReconcile_ABootStateIsGivenBackWhenTheNodeIsUp(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	up, silent := func(string) bool { return false }, func(host string) bool { return host == sick }
	for i, c := range []struct {
		name, outcome, inPLC string
		silent               func(string) bool
		held                 bool
		want                 string
	}{
		{"it is up, and a reboot would wipe it", store.Done, "reinstall", up, false, "boot"},
		{"it was reinstalled, and its BootManager has said so", store.Done, "boot", up, false, "boot"},
		{"somebody has set it meanwhile", store.Done, "safeboot", up, false, "safeboot"},
		{"it is silent yet", store.Done, "reinstall", silent, true, "reinstall"},
		{"the answer was lost, and it is silent", store.Ambiguous, "reinstall", silent, true, "reinstall"},
		{"the answer was lost, and it is up", store.Ambiguous, "reinstall", up, false, "boot"},
		{"the command was given up", store.Failed, "reinstall", silent, false, "boot"},
		{"the command is under way", "", "reinstall", up, true, "reinstall"},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := b.task(issue.NodeDown, strconv.Itoa(i), reinstallRung)
			ref := req.State.Ref
			putIssue(t, b.url, store.Issue{ID: ref.ID, RunID: ref.Run, Type: ref.Type, Target: sick, Node: sick,
				Site: site, Status: "open", Opened: time.Now()})
			b.intend(req)
			b.commit(req)
			if c.outcome != "" {
				b.must(b.Store.Settle(ctx, req.Key, c.outcome, "as the test has it",
					[]store.ClaimKind{store.ClaimOutlet}))
			}
			b.inPLC("boot_state", c.inPLC)
			plan := b.looks(c.silent)
			b.must(b.Sweep.EndSweep(ctx, SweepEnd{Sweep: plan.Sweep, Reason: "the test needs its looks only"}))
			b.reconcile()
			claims, err := b.Store.Claims(ctx, store.ClaimFilter{Kind: store.ClaimBootState})
			b.must(err)
			if (len(claims) > 0) != c.held {
				t.Errorf("held are %+v", claims)
			}
			if state := b.w.DB.Get("Nodes", "hostname", sick)["boot_state"]; state != c.want {
				t.Errorf("PLC has it at %v, want %s", state, c.want)
			}
			for _, left := range claims { // for the next case
				b.must(b.Store.Release(ctx, left.ID, "the test is over"))
			}
		})
	}
}

// What a worker had begun that died is ended in the ledger when nobody is left who asks what became of it.
func TestReconcile_WhatNobodyAsksForIsEnded(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.Policy.OwedAfter = 0
	const quiet = "cornell"
	b.tc.gone = []string{"site/" + quiet} // its workflow does not run
	ref := b.task(issue.NodeDown, "0", rebootRung).State.Ref
	putIssue(b.T, b.url, store.Issue{ID: ref.ID, RunID: ref.Run, Type: ref.Type, Target: sick, Node: sick, Site: site,
		Status: "open", Opened: time.Now()})
	for _, c := range []struct {
		action store.Action
		begun  bool
		want   string
	}{
		{store.Action{Key: "message", Kind: store.KindNotice, Issue: ref.ID, Site: quiet}, true, store.Ambiguous},
		{store.Action{Key: "message that never left", Kind: store.KindNotice, Issue: ref.ID, Site: quiet}, false,
			store.Failed},
		{store.Action{Key: "flag of another run", Kind: store.KindFlag, Issue: ref.ID, RunID: "before",
			Site: site}, false,
			store.Failed},
		{store.Action{Key: "flag", Kind: store.KindFlag, Issue: ref.ID, RunID: ref.Run, Site: site}, false, ""},
		{store.Action{Key: "guard", Kind: store.KindGuard}, true, ""},
	} {
		_, _, err := b.Store.Intent(ctx, c.action)
		b.must(err)
		if c.begun {
			_, err := b.Store.Commit(ctx, c.action.Key)
			b.must(err)
		}
		b.reconcile()
		if a, err := b.Store.Action(ctx, c.action.Key); err != nil || a.Outcome != c.want {
			t.Errorf("%s is %q, %v; want %q", c.action.Key, a.Outcome, err, c.want)
		}
	}
	step := store.Action{Key: "step", Kind: store.KindPenalty, Issue: "site/" + quiet, Site: quiet}
	_, _, err := b.Store.Intent(ctx, step)
	b.must(err)
	b.reconcile()
	if !slices.Contains(b.tc.signals, "site/"+quiet+" "+sites.SignalLook) {
		t.Errorf("nobody brings a step of the site's level to its end: %q", b.tc.signals)
	}
}

// A try that has lost its lock gives no command after the reconciler has let its outlet go: nobody would turn it on
// again.
func TestReconcile_AnOutletThatIsLetGoIsNotTurnedOffAfterwards(t *testing.T) {
	b := newBench(t)
	b.Policy.OwedAfter = 0
	req := b.task(issue.NodeDown, "0", rebootRung)
	b.intend(req)
	putIssue(b.T, b.url, store.Issue{ID: req.State.Ref.ID, RunID: req.State.Ref.Run, Type: issue.NodeDown, Target: sick,
		Node: sick, Site: site, Status: "open", Opened: time.Now()})
	b.reconcile()
	b.wantClaims()
	if mine, err := b.Store.Commit(b.Context(), req.Key); err != nil || mine {
		t.Errorf("its command may still be given: %t, %v", mine, err)
	}
}

// A line of the ledger that ends just when the reconciler would end it stops nothing else.
func TestReconcile_ALineThatEndsMeanwhileStopsNothing(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.Policy.OwedAfter = 0
	const quiet = "cornell"
	b.tc.gone = []string{"site/" + quiet}
	for _, key := range []string{"lost", "late"} { // the newest is ended first
		_, _, err := b.Store.Intent(ctx, store.Action{Key: key, Kind: store.KindNotice, Site: quiet})
		b.must(err)
	}
	b.tc.asked = func() {
		b.tc.asked = nil
		b.must(b.Store.Outcome(ctx, "late", store.Done, "just now"))
	}
	if res := b.reconcile(); len(res.Left) > 0 || len(res.Repaired) != 1 {
		t.Errorf("left %q, repaired %q", res.Left, res.Repaired)
	}
	if a, err := b.Store.Action(ctx, "lost"); err != nil || a.Outcome != store.Failed {
		t.Errorf("the other is %q, %v", a.Outcome, err)
	}
}

// PCUs that hang cost minutes each: they are asked beside one another, and hold up no other claim and no next sweep.
func TestReconcile_PCUsThatHangHoldNobodyUp(t *testing.T) {
	world := []testbed.Site{{Login: site, Nodes: 1}}
	for n := range 8 {
		world = append(world, testbed.Site{Login: fmt.Sprint("hung", n), Nodes: 1})
	}
	b := newBench(t, world...)
	b.Policy.OwedAfter, b.Power.outlets.PCUTimeout = 0, 2*time.Second
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing
	b.must(err)
	defer l.Close()
	for _, s := range world[1:] {
		p, err := b.Store.PCUByName(b.Context(), "pcu."+s.Login+".example")
		b.must(err)
		b.w.DB.Set("PCUs", p.PCUID, "ip", l.Addr().String())
		b.owe(s.Login, p.PCUID)
	}
	b.sync()
	b.owe(site, b.pcuID())
	ctx, cancel := context.WithTimeout(b.Context(), 12*time.Second)
	defer cancel()
	res, err := b.Reconciler.Reconcile(ctx)
	if b.must(err); len(res.Left) != 8 || len(res.Repaired) != 1 {
		t.Errorf("left %q, repaired %q", res.Left, res.Repaired)
	}
}

// owe has a command to outlet 1 of a PCU be lost, for an issue that is not open any more.
func (b *bench) owe(login string, pcuID int) {
	b.Helper()
	feed, err := json.Marshal(store.Feed{PCUID: pcuID, Outlet: 1})
	b.must(err)
	_, _, _, err = b.Store.Begin(b.Context(), store.Plan{
		Action: store.Action{Key: login + "/lost", Kind: store.KindReboot, Issue: "nodedown/" + login, Site: login},
		Claims: []store.Claim{{Kind: store.ClaimOutlet, Target: outletName(pcuID, 1), Was: "on", SetTo: "on",
			Data: feed}}})
	b.must(err)
	_, err = b.Store.Commit(b.Context(), login+"/lost")
	b.must(err)
	b.must(b.Store.Outcome(b.Context(), login+"/lost", store.Ambiguous, "the answer was lost"))
}

func TestReconcile_WhatItAnswersIsBounded(t *testing.T) {
	var res Reconciled
	for range 1000 {
		res.Repaired = append(res.Repaired, "hold of nodedown/x: let go")
	}
	res.Left = []string{"one"}
	got := res.bounded()
	if len(got.Repaired) != mostAnswered+1 || got.Repaired[mostAnswered] != "and 980 more" || len(got.Left) != 1 {
		t.Errorf("it answers %q and %q", got.Repaired, got.Left)
	}
}
