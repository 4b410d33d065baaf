package activities

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/probe"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
)

var (
	emailRung = issue.Rung{Do: issue.Email}
	flagRung  = issue.Rung{Do: issue.Flag}
)

// locked makes every node deny Monitor's key.
func (b *bench) locked() {
	b.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	b.must(err)
	key, err := ssh.NewSignerFromKey(private)
	b.must(err)
	b.Power.observer.Prober = probe.New(probe.Options{SSHKey: key, PortMap: testbed.PortMap(),
		Timeout: 600 * time.Millisecond, Tries: 1, Resolver: b.w.Resolver})
}

func TestRung_ANodeThatLetsNobodyInIsAlive(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.locked()
	b.pcuIs(policy.StatusGood)
	b.was("node", sick, policy.StatusDown, 3)
	b.inPLC("last_contact", int(time.Now().Add(-72*time.Hour).Unix()))
	for name, rung := range map[string]func(context.Context, issue.Request) (issue.Result, error){
		"reboot": b.Power.Reboot, "reinstall": b.Power.Reinstall,
	} {
		res, err := rung(ctx, b.rebooted(name))
		b.want(res, err, issue.Wait, "lets nobody in, which no power command mends: no ssh: key denied")
	}
	b.wantCuts(0)
	b.wantState("boot")
	dark := b.task(issue.NodeDown, "dark", emailRung)
	dark.State.Ref = Ref{ID: "sitedown/huji", Run: "run", Type: issue.SiteDown, Site: site}
	res, err := b.People.Email(ctx, dark)
	b.want(res, err, issue.Recovered, "2 of its 2 nodes answer")
	b.closed(dark.State.Ref.ID)
	res, err = b.People.Email(ctx, b.task(issue.NodeConfig, "email", emailRung))
	b.want(res, err, issue.Acted, "handed to site huji")
	if l := b.tc.updates[0].(sites.HoldRequest); l.Evidence[0] != "no ssh: key denied" ||
		l.Advice != notify.AdviceLocked {
		t.Errorf("asked %+v", l)
	}
}

func TestRung_WhatWritesToPeople(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()

	t.Run("a site is not written to before its node is down", func(t *testing.T) {
		b.was("node", sick, policy.StatusOffline, 1.5)
		res, err := b.People.Email(ctx, b.task(issue.NodeDown, "0", emailRung))
		b.want(res, err, issue.Wait, "nobody is written to before it is down")
		if in := time.Until(res.Until); in < 11*time.Hour || in > 13*time.Hour || len(b.tc.updates) > 0 {
			t.Errorf("it waits for %s, and asked %v", in, b.tc.updates)
		}
	})
	t.Run("what was seen and what the issue was opened with is its evidence", func(t *testing.T) {
		b.was("node", sick, policy.StatusDown, 3)
		req := b.task(issue.NodeDown, "1", issue.Rung{Do: issue.Email, Level: 1})
		req.State.Evidence = []string{"the switch port is dark"}
		res, err := b.People.Email(ctx, req)
		b.want(res, err, issue.Acted, "handed to site huji")
		if len(b.tc.updates) != 1 {
			t.Fatalf("asked %v", b.tc.updates)
		}
		l := b.tc.updates[0].(sites.HoldRequest)
		if l.Kind != "down" || l.Level != 1 || len(l.Evidence) != 2 || !strings.Contains(l.Evidence[0], "no ssh") ||
			l.Evidence[1] != "the switch port is dark" {
			t.Errorf("asked %+v", l)
		}
		if !res.Told || res.Level != 1 {
			t.Errorf("answered %+v", res)
		}
		b.wantClaims("hold")
		// an order came while the site was asked: nobody knows whether it heard
		res, err = b.Issues.SettleRung(ctx, req)
		b.want(res, err, issue.Unknown, "may have been handed to its site")
	})
	t.Run("what its boot fails at is told as that, and nothing is denied for an error of PLC", func(t *testing.T) {
		b.was("node", sick, policy.StatusDown, 3)
		for n, c := range []struct {
			sequence, advice string
			level            int
			pushed           bool
		}{
			{"bminit-cfg-auth-authfail2-nonode-debug-done", notify.AdviceNotKnown, 1, false},
			{"bminit-cfg-auth-authfail-debug-done", notify.AdviceNotKnown, 1, true}, // anybody may have pushed it
			{"bminit-cfg-auth-getplc-exception-protoerror-update-debug-done", notify.AdvicePLCFails, 0, false},
			{"bminit-cfg-auth-authfail-debug-done", notify.AdviceNodeKey, 1, false},
			{"bminit-cfg-auth-getplc-update-debug-done", "", 1, false},
		} {
			b.must(b.Store.SaveBootLog(ctx, store.BootLog{Node: sick, At: time.Now(), Sequence: c.sequence, Pushed: c.pushed,
				Log: []byte("log")}))
			b.tc.updates = nil
			req := b.task(issue.Failboot, fmt.Sprint("boot", n), issue.Rung{Do: issue.Email, Level: 1})
			res, err := b.People.Email(ctx, req)
			b.want(res, err, issue.Acted, "handed to site huji")
			l := b.tc.updates[0].(sites.HoldRequest)
			ahead := slices.ContainsFunc(l.Coming, func(c issue.Coming) bool { return c.Level > 0 })
			if l.Advice != c.advice || l.Level != c.level || res.Level != c.level || ahead != (c.level > 0) {
				t.Errorf("%s: asked %+v, answered %+v", c.sequence, l, res)
			}
		}
		b.must(b.Store.SaveBootLog(ctx, store.BootLog{Node: sick, At: time.Now().Add(-5 * 24 * time.Hour),
			Sequence: "bminit-cfg-auth-authfail-debug-done", Log: []byte("log")}))
		b.tc.updates = nil
		res, err := b.People.Email(ctx, b.task(issue.Failboot, "boot old", emailRung))
		b.want(res, err, issue.Acted, "handed to site huji")
		if l := b.tc.updates[0].(sites.HoldRequest); l.Advice != "" {
			t.Errorf("a log from before it went down counts: %+v", l)
		}
		s := b.task(issue.Failboot, "", emailRung).State
		s.End = &issue.End{Why: issue.EndLost}
		res, err = b.Issues.CloseIssue(ctx, CloseRequest{State: s, Force: true})
		b.want(res, err, issue.Acted, "")
		b.closed(s.Ref.ID)
	})
	t.Run("a forced end lets the hold go, without thanks", func(t *testing.T) {
		b.tc.updates = nil
		s := b.task(issue.NodeDown, "1", emailRung).State
		s.Told, s.End = true, &issue.End{Why: issue.EndOperator, By: "ann"}
		for range 2 {
			res, err := b.Issues.CloseIssue(ctx, CloseRequest{State: s, Force: true})
			b.want(res, err, issue.Acted, "")
		}
		if len(b.tc.updates) != 1 || b.tc.updates[0].(sites.Release).Thanks ||
			b.tc.updates[0].(sites.Release).Ended != issue.EndOperator {
			t.Errorf("asked of the site: %+v", b.tc.updates)
		}
		b.wantClaims()
	})
	t.Run("the admins are told once an issue, whatever the tries", func(t *testing.T) {
		for _, key := range []string{"2", "2", "3"} {
			res, err := b.People.Flag(ctx, b.task(issue.UnknownSequence, key, flagRung))
			b.want(res, err, issue.Acted, "")
		}
		b.digested()
		if got := b.subjects(); len(got) != 1 || !strings.Contains(got[0], "needs an admin") {
			t.Errorf("mail is %q", got)
		}
	})
	t.Run("a node that is up is written about to nobody", func(t *testing.T) {
		b.must(b.w.Heal(sick))
		res, err := b.People.Email(ctx, b.task(issue.NodeDown, "4", emailRung))
		b.want(res, err, issue.Recovered, "up")
	})
	t.Run("a node that has left PLC is gone", func(t *testing.T) {
		req := b.task(issue.NodeDown, "k", emailRung)
		req.State.Ref = Ref{ID: "nodedown/nobody.example", Run: "r", Type: issue.NodeDown,
			Node: "nobody.example", Site: site}
		res, err := b.People.Email(ctx, req)
		b.want(res, err, issue.Gone, "no longer in PLC")
	})
}

func TestRung_WhatForbidsActingIsAskedBeforeEveryRung(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	rungs := map[string]func(context.Context, issue.Request) (issue.Result, error){
		"reboot": b.Power.Reboot, "reinstall": b.Power.Reinstall, "email": b.People.Email, "flag": b.People.Flag,
		"pcudown": b.Issues.OpenPCUDown}
	forbidden := func(because, says string) {
		t.Helper()
		for name, rung := range rungs {
			res, err := rung(ctx, b.rebooted(because+" "+name))
			b.want(res, err, issue.Wait, says)
		}
	}
	b.must(b.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "node", Target: sick, Reason: "new board"}))
	forbidden("listed node", "exempt: new board")
	b.must(b.Store.RemoveBlacklist(ctx, "node", sick))
	b.sweepEnds(store.Sweep{Reason: "half the fleet is gone"})
	forbidden("guard", "half the fleet is gone")
	b.sweepEnds(store.Sweep{Believed: true, Counts: map[string]int{"nodes": 100, "pcus": 100}})
	b.w.Exempt(site, time.Now().AddDate(0, 1, 0))
	b.sync()
	forbidden("exempt", "the site is exempt in PLC")
	b.wantCuts(0)
	b.wantClaims()
	if got := b.subjects(); len(got) > 0 || len(b.tc.started) > 0 || len(b.tc.updates) > 0 {
		t.Errorf("mailed %q, started %q, asked %v", got, b.tc.started, b.tc.updates)
	}
}

func TestDisable_ANodeOnAnOldBootCDGetsItsBootStateBack(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.must(b.w.Break(sick, testbed.Fault{State: fakenode.Debug, FixedBy: testbed.Nobody}))
	b.was("node", sick, policy.StatusFailboot, 1)
	b.Policy.Kernels.OldBootCD = []string{` 4\.19\.`} // what the testbed's nodes run
	task := func(key string) issue.Request {
		return b.task(issue.OldBootCD, key, issue.Rung{Do: issue.Disable})
	}
	b.inPLC("boot_state", "safeboot")
	res, err := b.Boot.Disable(ctx, task("owned"))
	b.want(res, err, issue.Wait, "somebody's hands")
	b.must(b.Power.Inventory.SetBootState(ctx, sick, "reinstall")) // as its admin wants it

	b.tc.beat = func() error { return temporal.NewCanceledError() }
	res, err = b.asActivity(b.Boot.Disable, task("0"))
	b.want(res, err, issue.Stopped, "an order came meanwhile")
	b.tc.beat = nil
	b.wantState("reinstall")
	b.wantClaims()

	for range 2 { // and a retry that finds it disabled by the first try
		res, err := b.Boot.Disable(ctx, task("1"))
		b.want(res, err, issue.Acted, "it was reinstall in PLC before")
		b.wantState("disabled")
	}
	res, err = b.Boot.Disable(ctx, task("2")) // the answer was lost, and then the rung had to wait
	b.want(res, err, issue.Acted, "it was reinstall in PLC before")
	b.wantClaims("node disabled")
	state := task("3").State
	said, err := b.Sweep.claims.releaseAll(ctx, state.Ref, "good again")
	if err != nil || !strings.Contains(said, "set back to reinstall in PLC") {
		t.Errorf("said %q, %v", said, err)
	}
	b.wantState("reinstall")
	b.wantClaims()

	b.must(b.Power.Inventory.SetBootState(ctx, sick, "disabled")) // by its owner, who will undo it
	res, err = b.Boot.Disable(ctx, task("4"))
	b.want(res, err, issue.Passed, "disabled in PLC already")
	b.must(b.Power.Inventory.SetBootState(ctx, sick, "boot"))
	res, err = b.Boot.Disable(ctx, task("5"))
	b.want(res, err, issue.Acted, "it was boot in PLC before")
	b.must(b.Power.Inventory.SetBootState(ctx, sick, "safeboot")) // its owner wants to look at it
	said, err = b.Sweep.claims.releaseAll(ctx, state.Ref, "good again")
	if err != nil || !strings.Contains(said, "left at safeboot in PLC") {
		t.Errorf("said %q, %v", said, err)
	}
	b.wantState("safeboot")
	b.wantClaims()
}

// What Monitor itself has set for a while is not what PLC gets back.
func TestDisable_AReinstallOfOursIsNotGivenBack(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	res, err := b.Power.Reinstall(ctx, b.rebooted("0"))
	b.want(res, err, issue.Acted, "read back on")
	b.inPLC("boot_state", "reinstall") // it never took it up
	b.must(b.w.Break(sick, testbed.Fault{State: fakenode.Debug, FixedBy: testbed.Nobody}))
	b.Policy.Kernels.OldBootCD = []string{` 4\.19\.`}
	req := b.task(issue.OldBootCD, "1", issue.Rung{Do: issue.Disable})
	res, err = b.Boot.disable(ctx, task{Request: req})
	b.want(res, err, issue.Acted, "it was boot in PLC before")
	_, err = b.Sweep.claims.releaseAll(ctx, req.State.Ref, "closed")
	b.must(err)
	_, err = b.Sweep.claims.releaseAll(ctx, b.rebooted("0").State.Ref, "closed")
	b.must(err)
	b.wantState("boot")
	b.wantClaims()
}

func TestIssue_TheyKnowEachOther(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.was("node", sick, policy.StatusDown, 3)

	t.Run("a PCU whose issue closes is given back to the nodes it feeds", func(t *testing.T) {
		b.open("nodedown/"+sick, issue.NodeDown, sick)
		putIssue(b.T, b.url, store.Issue{ID: "nodedown/other", RunID: "r", Type: issue.NodeDown,
			Target: "other", Node: "other", Site: site, PCUID: 77, Status: "open", Opened: time.Now()})
		ref := Ref{ID: "pcudown/" + pcu, Run: "r", Type: issue.PCUDown, PCU: pcu, PCUID: b.pcuID(), Site: site}
		typ, _ := issue.Lookup(issue.PCUDown)
		s := issue.Start(issue.Opening{Ref: ref, Times: issue.TimesOf(b.Policy), Ladder: typ.Ladder}, time.Now())
		b.must(b.Issues.SaveIssue(ctx, s))
		if len(b.tc.signals) > 0 {
			t.Errorf("an open one gives back: %q", b.tc.signals)
		}
		s.Cancel()
		s.Ended(time.Now(), issue.Result{Outcome: issue.Acted})
		b.tc.away = errors.New("Temporal is away")
		if err := b.Issues.SaveIssue(ctx, s); err == nil {
			t.Error("an issue could not be told, and nobody tries again")
		}
		b.tc.away = nil
		b.must(b.Issues.SaveIssue(ctx, s))
		if want := []string{"nodedown/" + sick + " pcuback"}; !slices.Equal(b.tc.signals, want) {
			t.Errorf("told %q, want %q", b.tc.signals, want)
		}
	})
	t.Run("and so it is when the workflow of its issue is lost", func(t *testing.T) {
		id := "pcudown/" + pcu
		b.open(id, issue.PCUDown, "")
		b.tc.gone, b.tc.signals = []string{id}, nil
		i, err := b.Store.Issue(ctx, id)
		b.must(err)
		if lost, err := b.Sweep.closeOrphan(ctx, i); err != nil || !lost {
			t.Errorf("it is lost: %v, %v", lost, err)
		}
		if want := []string{"nodedown/" + sick + " pcuback"}; !slices.Equal(b.tc.signals, want) {
			t.Errorf("told %q, want %q", b.tc.signals, want)
		}
		b.tc.gone = nil
	})
	t.Run("a new issue knows how the last one ended, and that reboots are used up", func(t *testing.T) {
		putIssue(b.T, b.url, store.Issue{ID: "nodedown/" + sick, RunID: "last", Type: issue.NodeDown,
			Target: sick, Node: sick, Site: site, Status: "closed",
			Opened: time.Now().Add(time.Minute), Closed: time.Now().Add(2 * time.Minute), Outcome: "good again"})
		for _, key := range []string{"a", "b"} {
			_, _, err := b.Store.Intent(ctx, store.Action{Key: key, Kind: "reboot", Node: sick, Site: site})
			b.must(err)
			_, err = b.Store.Commit(ctx, key)
			b.must(err)
		}
		s, err := b.Issues.OpenIssue(ctx,
			OpenRequest{Ref: Ref{ID: "nodedown/" + sick, Run: "new", Type: issue.NodeDown, Node: sick},
				Input: issue.Input{Node: sick, Evidence: []string{"an alert fired"}}})
		if err != nil || len(s.Evidence) != 3 || s.Evidence[0] != "an alert fired" ||
			!strings.Contains(s.Evidence[1], "it was here before") ||
			!strings.Contains(s.Evidence[2], "power-cycled 2 times within 7 d") || s.Ref.Site != site ||
			s.Ref.PCU != pcu {
			t.Errorf("opened %+v, %v", s.Opening, err)
		}
	})
	t.Run("an issue without a target it knows says what to do", func(t *testing.T) {
		for want, in := range map[string]OpenRequest{
			`no node "x.example"`: {Ref: Ref{ID: "firewall/x.example", Type: issue.Firewall, Node: "x.example"},
				Input: issue.Input{Node: "x.example"}},
			`no site "x"`: {Ref: Ref{ID: "sitedown/x", Type: issue.SiteDown, Site: "x"},
				Input: issue.Input{Site: "x"}},
			`no PCU "x"`: {Ref: Ref{ID: "pcudown/x", Type: issue.PCUDown, PCU: "x"},
				Input: issue.Input{PCU: "x"}},
			`its input makes it`: {Ref: Ref{ID: "firewall/y", Type: issue.Firewall, Node: "x"},
				Input: issue.Input{Node: "x"}},
			`no issue type`: {Ref: Ref{ID: "haunted/y", Type: "haunted", Node: "y"}, Input: issue.Input{Node: "y"}},
		} {
			if _, err := b.Issues.OpenIssue(ctx, in); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v", in, err)
			}
		}
	})
	t.Run("an issue about nothing is not opened", func(t *testing.T) {
		if err := b.Boot.workflows.openIssue(ctx, issue.BadHardware, Ref{Site: site}, "", nil); err == nil {
			t.Error("it was")
		}
	})
}

// PLC may do a write whose answer was lost long after it was read to have done nothing.
func TestDisable_AWriteThatPLCMayStillDoIsNotGivenUp(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	req := b.task(issue.OldBootCD, "0", issue.Rung{Do: issue.Disable})
	ref := req.State.Ref
	_, _, _, err := b.Store.Begin(ctx, store.Plan{
		Action: store.Action{Key: req.Key, Kind: store.KindDisable, Issue: ref.ID, RunID: ref.Run, Node: sick, Site: site},
		Claims: []store.Claim{{Kind: store.ClaimNodeDisabled, Target: sick, Was: "boot", SetTo: "disabled"}}})
	b.must(err)
	b.commit(req)
	res, err := b.Issues.SettleRung(ctx, req)
	b.want(res, err, issue.Unknown, "may still carry out a write")
	b.wantClaims("node disabled")
	b.sql("update action set at = at - interval '1 hour'")
	res, err = b.Issues.SettleRung(ctx, req)
	b.want(res, err, issue.Wait, "PLC did not take it")
	b.wantClaims()
}

// A try that was held up finds that another has given its intent up: it writes nothing, or gives back what it has
// written by then, since no claim speaks of it any more.
func TestDisable_ATryThatWasHeldUpLeavesNothingBehind(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	for key, begun := range map[string]bool{"before the point of no return": false, "after it": true} {
		req := b.task(issue.OldBootCD, key, issue.Rung{Do: issue.Disable})
		ref := req.State.Ref
		_, _, _, err := b.Store.Begin(ctx, store.Plan{
			Action: store.Action{Key: req.Key, Kind: store.KindDisable, Issue: ref.ID, RunID: ref.Run, Node: sick, Site: site},
			Claims: []store.Claim{{Kind: store.ClaimNodeDisabled, Target: sick, Was: "boot", SetTo: "disabled"}}})
		b.must(err)
		if begun {
			b.commit(req)
		}
		action, err := b.Store.Action(ctx, req.Key)
		b.must(err)
		b.sql("update action set at = at - interval '1 hour'")
		res, err := b.Issues.SettleRung(ctx, req)
		b.want(res, err, map[bool]issue.Outcome{false: issue.Stopped, true: issue.Wait}[begun], "PLC did not take it")
		res, err = b.Boot.commandDisable(ctx, task{Request: req}, action, "boot") // and only now the first one goes on
		b.want(res, err, issue.Unknown, "given it up")
		b.wantState("boot")
		b.wantClaims()
	}
}

// A PCU that is to be left alone gets no issue, and its node's issue goes on without it.
func TestIssue_APCUThatIsLeftAloneGetsNoIssue(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	b.sql("update pcu set hostname = '', ip = ''") // it cannot be tried
	b.must(b.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "pcu", Target: pcu, Reason: "it bites"}))
	rung := issue.Rung{Do: issue.OpenPCUDown}
	res, err := b.Issues.OpenPCUDown(ctx, b.task(issue.NodeDown, "0", rung))
	b.want(res, err, issue.Passed, "is left alone: exempt: it bites")
	if len(b.tc.started) > 0 {
		t.Errorf("opened %q", b.tc.started)
	}
	b.must(b.Store.RemoveBlacklist(ctx, "pcu", pcu))
	res, err = b.Issues.OpenPCUDown(ctx, b.task(issue.NodeDown, "1", rung))
	b.want(res, err, issue.Acted, "opened pcudown/"+pcu)
	want := "pcudown/" + pcu + " a dry run for nodedown/" + sick + " fails"
	if !slices.Equal(b.tc.started, []string{want}) {
		t.Errorf("opened %q, want %q", b.tc.started, want)
	}
}

// What an operator has closed stays closed whoever would open it, and a type that a sweep doubts is opened by nobody.
func TestIssue_NobodyOpensWhatIsClosedOrDoubted(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	b.sql("update pcu set hostname = '', ip = ''") // it cannot be tried
	found := func(key string) (issue.Result, error) {
		n, err := b.Store.Node(ctx, sick)
		b.must(err)
		v := visit{task: task{Request: b.task(issue.Failboot, key, issue.Rung{Do: issue.Bootman})}, node: n}
		return b.Boot.openFollowUp(ctx, v, issue.BadHardware, "its kernel reports failing media", nil)
	}
	pcuFails := func(key string) (issue.Result, error) {
		return b.Issues.OpenPCUDown(ctx, b.task(issue.NodeDown, key, issue.Rung{Do: issue.OpenPCUDown}))
	}
	for _, id := range []string{"pcudown/" + pcu, "badhardware/" + sick} {
		b.must(b.Store.LeaveClosed(ctx, store.OperatorClosed{Issue: id, By: "ann", Reason: "a new one is on its way"}))
	}
	res, err := pcuFails("0")
	b.want(res, err, issue.Passed, "ann closed it, and its target was not good since: a new one is on its way")
	res, err = found("0")
	b.want(res, err, issue.Passed, "ann closed it")
	for _, id := range []string{"pcudown/" + pcu, "badhardware/" + sick} {
		b.must(b.Store.MayReopen(ctx, id))
	}
	b.sweepEnds(store.Sweep{Believed: true, Counts: map[string]int{"nodes": 100, "pcus": 100},
		Doubts: map[string]string{issue.PCUDown: "50 of 100 PCUs became bad", issue.BadHardware: "too many"}})
	res, err = pcuFails("1")
	b.want(res, err, issue.Passed, "the last sweep believes nothing of pcudown: 50 of 100 PCUs became bad")
	res, err = found("1")
	b.want(res, err, issue.Wait, "the last sweep believes nothing of badhardware")
	if len(b.tc.started) > 0 {
		t.Errorf("opened %q", b.tc.started)
	}
	b.sweepEnds(store.Sweep{Believed: true, Counts: map[string]int{"nodes": 100, "pcus": 100}})
	res, err = pcuFails("2")
	b.want(res, err, issue.Acted, "opened pcudown/"+pcu)
	res, err = found("2")
	b.want(res, err, issue.Wait, "badhardware/"+sick+" is open")
}

// An issue does not wait with its end for a PCU that hangs, or that somebody else holds: its site is let go, and what is
// owed is left to the sweeps.
func TestIssue_ItsEndWaitsForNoPCU(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithTimeout(b.Context(), 20*time.Second)
	defer cancel()
	b.Issues.claims.within = 300 * time.Millisecond
	req := b.task(issue.NodeDown, "0", rebootRung)
	b.intend(req)
	b.commit(req)
	b.holds(site, 1)
	release, err := b.Store.LockPCU(ctx, b.pcuID())
	b.must(err)
	res, err := b.Issues.CloseIssue(ctx, CloseRequest{State: req.State, Force: true})
	b.want(res, err, issue.Acted, "not undone yet")
	b.wantClaims("outlet")
	release()
	b.Policy.OwedAfter = 0
	b.reconcile()
	b.wantClaims()
}

// A store that was restored from a backup older than what an issue has set learns of it again from the issue, and gives it
// back in the end; what is not so any more is left alone.
func TestIssue_WhatARestoredStoreForgotIsClaimedAgain(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	for _, c := range []struct {
		name, typ, inPLC string
		deed             issue.Deed
		knows            bool // the store knows of it, and gave it back before
		ago              time.Duration
		want             string
		claimed          string
	}{
		{"a reinstallation that was not taken up", issue.NodeDown, "reinstall",
			issue.Deed{What: issue.DeedReinstall, How: string(issue.Cycled)}, false, time.Hour, "boot", "boot state"},
		{"one that was", issue.NodeDown, "boot", issue.Deed{What: issue.DeedReinstall, How: string(issue.Cycled)}, false,
			time.Hour, "boot", ""},
		{"a node that was disabled", issue.OldBootCD, "disabled", issue.Deed{What: issue.DeedDisabled, How: "failboot"},
			false, time.Hour, "failboot", "node disabled"},
		{"one that was given back, and that somebody has disabled since", issue.OldBootCD, "disabled",
			issue.Deed{What: issue.DeedDisabled, How: "boot"}, true, time.Hour, "disabled", ""},
		{"one of long ago", issue.OldBootCD, "disabled", issue.Deed{What: issue.DeedDisabled, How: "boot"}, false,
			60 * 24 * time.Hour, "disabled", ""},
		{"an outlet that was left off", issue.NodeDown, "boot",
			issue.Deed{What: issue.DeedRebooted, How: string(issue.LeftOff)}, false, time.Hour, "boot", "outlet"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.inPLC("boot_state", c.inPLC)
			req := b.task(c.typ, "0", issue.Rung{Do: issue.Email})
			req.State.Ref.Run = c.name
			c.deed.At = time.Now().Add(-c.ago)
			req.State.Deeds = []issue.Deed{c.deed}
			if c.knows {
				kind, was, set := lasting(c.deed)
				b.must(b.Store.Take(ctx, store.Claim{Kind: kind, Target: sick, Was: was, SetTo: set,
					Issue: req.State.Ref.ID, RunID: c.name, Key: "k"}))
				b.sql("update claim set released = now()")
			}
			for range 2 {
				b.must(b.Issues.SaveIssue(ctx, req.State))
			}
			list, err := b.Store.Claims(ctx, store.ClaimFilter{})
			b.must(err)
			if (len(list) == 1) != (c.claimed != "") || len(list) > 1 || len(list) == 1 && string(list[0].Kind) != c.claimed {
				t.Errorf("claimed are %+v, want %q", list, c.claimed)
			}
			if c.claimed == string(store.ClaimOutlet) {
				got, err := b.People.Email(ctx, b.task(issue.NodeDown, "email", issue.Rung{Do: issue.Email}))
				b.want(got, err, issue.Wait, "Monitor itself may have left outlet")
			}
			res, err := b.Issues.CloseIssue(ctx, CloseRequest{State: req.State, Force: true})
			b.want(res, err, issue.Acted, "")
			if state := b.w.DB.Get("Nodes", "hostname", sick)["boot_state"]; state != c.want {
				t.Errorf("PLC has it at %v, want %s", state, c.want)
			}
			left, err := b.Store.Claims(ctx, store.ClaimFilter{})
			b.must(err)
			if len(left) > 0 {
				t.Errorf("held are %+v", left)
			}
			b.sql("delete from claim")
		})
	}
}
