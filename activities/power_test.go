package activities

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
)

// The power rungs of nodedown.
var (
	rebootRung    = issue.Rung{When: []issue.Condition{issue.PCUOK}, Do: issue.Reboot}
	reinstallRung = issue.Rung{When: []issue.Condition{issue.PCUOK, issue.RebootFailed}, Do: issue.Reinstall}
)

// hung makes the sick node hang for days, as the last sweeps saw it and as PLC hears it, with a PCU that works.
func (b *bench) hung() {
	b.Helper()
	b.must(b.w.Break(sick, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Nobody}))
	b.was("node", sick, policy.StatusDown, 3)
	b.pcuIs(policy.StatusGood)
	b.inPLC("last_contact", int(time.Now().Add(-72*time.Hour).Unix()))
}

func (b *bench) pcuIs(s policy.Status) {
	b.Helper()
	b.was("pcu", strconv.Itoa(b.pcuID()), s, 3)
}

// inPLC sets a column of the sick node in PLC.
func (b *bench) inPLC(column string, value any) {
	b.w.DB.Set("Nodes", b.w.DB.Get("Nodes", "hostname", sick)["node_id"].(int), column, value)
}

func (b *bench) wantState(want string) {
	b.Helper()
	if state := b.w.DB.Get("Nodes", "hostname", sick)["boot_state"]; state != want {
		b.Errorf("PLC has it at %v, want %s", state, want)
	}
}

// wantClaims lists "<kind> <target>" of what is held, oldest first.
func (b *bench) wantClaims(want ...string) {
	b.Helper()
	list, err := b.Store.Claims(b.Context(), store.ClaimFilter{})
	b.must(err)
	var got []string
	for _, c := range list {
		got = append(got, string(c.Kind))
	}
	if !slices.Equal(got, want) {
		b.Errorf("held are %q, want %q", got, want)
	}
}

// outlet is the outlet that feeds the sick node.
func (b *bench) outlet() *outlet {
	b.Helper()
	p, err := b.Store.PCU(b.Context(), b.pcuID())
	b.must(err)
	o, err := b.Power.outlets.outlet(b.Context(), p, 1)
	b.must(err)
	return o
}

func (b *bench) wantOutlet(want pcucontrol.State) {
	b.Helper()
	if read, err := b.outlet().run(b.Context(), b.Power.outlets.PCUs.Status); err != nil || read.After != want {
		b.Errorf("the outlet is %s, %v; want %s", read.After, err, want)
	}
}

// rebooted is a task whose issue knows that a reboot did not help. A boot that is under way has ended: it would take up
// what PLC is told next.
func (b *bench) rebooted(key string) issue.Request {
	b.Helper()
	b.until("no boot is under way", func() bool { return b.w.State(sick) != fakenode.Booting })
	req := b.task(issue.NodeDown, key, reinstallRung)
	req.State.Rebooted = true
	return req
}

// intend writes what a try writes before it acts, as if its worker had died then.
func (b *bench) intend(req issue.Request) {
	b.Helper()
	feed, err := json.Marshal(store.Feed{PCUID: b.pcuID(), Outlet: 1})
	b.must(err)
	plan := store.Plan{
		Action: store.Action{Key: req.Key, Kind: store.KindReboot, Issue: req.State.Ref.ID, RunID: req.State.Ref.Run,
			Node: sick, Site: site, PCUID: b.pcuID(),
			Data: fmt.Appendf(nil, `{"feeds":[%s]}`, feed)},
		Claims: []store.Claim{{Kind: store.ClaimOutlet, Target: outletName(b.pcuID(), 1), Was: "on",
			SetTo: "on", Data: feed}},
	}
	if req.Rung.Do == issue.Reinstall {
		plan.Kind = store.KindReinstall
		plan.Claims = append(plan.Claims, store.Claim{Kind: store.ClaimBootState, Target: sick, Was: "boot",
			SetTo: "reinstall"})
	}
	_, existed, over, err := b.Store.Begin(b.Context(), plan)
	if b.must(err); existed || over != nil {
		b.Fatalf("%s was there before, or is over %+v", req.Key, over)
	}
}

func (b *bench) commit(req issue.Request) {
	b.Helper()
	mine, err := b.Store.Commit(b.Context(), req.Key)
	if b.must(err); !mine {
		b.Fatalf("%s is committed already", req.Key)
	}
}

// asActivity runs a rung as a worker does, so that orders reach it.
func (b *bench) asActivity(rung func(context.Context, issue.Request) (issue.Result, error),
	req issue.Request) (issue.Result, error) {
	b.Helper()
	return asActivity(rung, req)
}

func asActivity[In, Out any](do func(context.Context, In) (Out, error), in In) (out Out, err error) {
	env := (&testsuite.WorkflowTestSuite{}).NewTestActivityEnvironment()
	env.RegisterActivity(do)
	value, err := env.ExecuteActivity(do, in)
	if err == nil {
		err = value.Get(&out)
	}
	return out, err
}

// until waits for a condition.
func (b *bench) until(what string, holds func() bool) {
	b.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatal("it does not come to this: " + what)
		}
	}
}

func TestPower_OnceAndOnlyForGoodReason(t *testing.T) {
	b := newBench(t)
	b.Policy.BootGrace = 0 // as where days pass between the commands
	ctx := b.Context()
	id := issue.NodeDown + "/" + sick
	b.pcuIs(policy.StatusGood)
	reboot := func(key string) (issue.Result, error) {
		return b.Power.Reboot(ctx, b.task(issue.NodeDown, key, rebootRung))
	}

	res, err := reboot("up")
	b.want(res, err, issue.Recovered, "up")
	b.hung()
	b.open(issue.SiteDown+"/"+site, issue.SiteDown, "")
	res, err = reboot("site")
	b.want(res, err, issue.Wait, "sitedown/huji speaks for it")
	b.closed(issue.SiteDown + "/" + site)
	b.open(issue.PCUDown+"/"+pcu, issue.PCUDown, "")
	res, err = reboot("pcudown")
	b.want(res, err, issue.Passed, "pcudown/pcu.huji.example is open")
	b.closed(issue.PCUDown + "/" + pcu)
	b.open(issue.Firewall+"/"+sick, issue.Firewall, sick)
	res, err = reboot("firewall")
	b.want(res, err, issue.Passed, "no reboot mends a firewall")
	b.closed(issue.Firewall + "/" + sick)
	// one dry run has failed: that costs no node its reboot
	b.was("pcu", strconv.Itoa(b.pcuID()), policy.StatusOffline, 0.5)
	res, err = reboot("offline")
	b.want(res, err, issue.Wait, "is offline")
	if in := time.Until(res.Until); in < 35*time.Hour || in > 37*time.Hour {
		t.Errorf("it is asked again in %s, not when the PCU is known to be down", in)
	}
	b.was("pcu", strconv.Itoa(b.pcuID()), policy.StatusDown, 3)
	res, err = reboot("down")
	b.want(res, err, issue.Passed, "is down")
	b.pcuIs(policy.StatusGood)
	b.wantCuts(0)
	b.wantClaims()

	for range 3 { // the first, and two retries that lost the answer
		res, err = reboot("0")
		b.want(res, err, issue.Acted, "read back on")
		if res.Power != issue.Cycled {
			t.Errorf("it is said to be %q", res.Power)
		}
	}
	b.wantCuts(1)
	b.wantClaims()
	res, err = b.Power.Reinstall(ctx, b.rebooted("1"))
	b.want(res, err, issue.Acted, "read back on")
	b.wantCuts(2)
	b.wantClaims("boot state") // what PLC had is given back if the node does not take it up
	for _, key := range []string{"2", "3"} {
		res, err = reboot(key)
		b.want(res, err, issue.Passed, "power-cycled 2 times within 7 d: likely hardware")
	}
	b.wantCuts(2)
	b.digested()
	if got := b.subjects(); len(got) != 1 {
		t.Errorf("mail is %q, want one to the admins", got)
	}
	if n := len(b.lines(id)); n > 10 {
		t.Errorf("the ledger has %d lines: %q", n, b.lines(id))
	}
}

// A worker may die between any two steps. The next try under the same key knows from the rows where it stands: it
// finishes or undoes, and never gives the command again.
func TestPower_ADeadWorkersTryIsFinishedAndNeverRepeated(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	off := func() {
		_, err := b.outlet().run(ctx, b.Power.outlets.PCUs.TurnOff)
		b.must(err)
	}
	for _, c := range []struct {
		name      string
		reinstall bool
		died      func(issue.Request)
		outcome   issue.Outcome
		says      string
		power     issue.Power
		cuts      int      // all in all, by the dead worker
		state     string   // in PLC
		claims    []string // held
	}{
		{"after its intent", false, b.intend, issue.Wait, "before the command was given", "", 0, "boot", nil},
		{"after its intent to reinstall", true, b.intend, issue.Wait, "it is looked at again", "", 0, "boot",
			[]string{"boot state"}},
		{"after the write to PLC", true, func(req issue.Request) {
			b.intend(req)
			b.must(b.Power.Inventory.SetBootState(ctx, sick, "reinstall"))
		}, issue.Wait, "set back to boot", "", 0, "boot", nil},
		{"after the point of no return", false, func(req issue.Request) {
			b.intend(req)
			b.commit(req)
		}, issue.Acted, "the outlet is on, and the command is not repeated", issue.PowerLost, 0, "boot", nil},
		{"after the point of no return of a reinstall", true, func(req issue.Request) {
			b.intend(req)
			b.must(b.Power.Inventory.SetBootState(ctx, sick, "reinstall"))
			b.commit(req)
		}, issue.Acted, "not repeated", issue.PowerLost, 0, "reinstall", []string{"boot state"}},
		{"between off and on", false, func(req issue.Request) {
			b.intend(req)
			b.commit(req)
			off()
		}, issue.Acted, "found off after a lost answer and turned on", issue.Cycled, 1, "boot", nil},
		{"between off and on, and the node is blacklisted since", false, func(req issue.Request) {
			b.intend(req)
			b.commit(req)
			off()
			b.must(b.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "node", Target: sick, Reason: "meanwhile"}))
		}, issue.Acted, "turned on", issue.Cycled, 1, "boot", nil},
		{"between off and on, and Monitor is stopped since", false, func(req issue.Request) {
			b.intend(req)
			b.commit(req)
			off()
			b.must(b.Store.SetControl(ctx,
				store.Control{Name: store.ControlStop, Value: "stopped", Reason: "meanwhile"}))
		}, issue.Acted, "turned on", issue.Cycled, 1, "boot", nil},
		{"after the command, before its outcome", false, func(req issue.Request) {
			b.intend(req)
			b.commit(req)
			_, err := b.outlet().run(ctx, b.Power.outlets.PCUs.Cycle)
			b.must(err)
		}, issue.Acted, "not repeated", issue.PowerLost, 1, "boot", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &bench{T: t, Groups: b.Groups, ledger: b.ledger, w: b.w, tc: b.tc, url: b.url}
			before := b.w.PowerCuts(sick)
			req := b.task(issue.NodeDown, c.name, rebootRung)
			rung := b.Power.Reboot
			if c.reinstall {
				req, rung = b.rebooted(c.name), b.Power.Reinstall
			}
			c.died(req)
			for range 2 { // the next try, and one more
				res, err := rung(ctx, req)
				// the second is told what the first found
				if c.outcome == issue.Wait && err == nil && res.Outcome == issue.Wait {
					res.Reason += c.says
				}
				b.want(res, err, c.outcome, c.says)
				if res.Power != c.power && !(res.Power == issue.PowerLost && c.power == issue.PowerLost) {
					t.Errorf("it is said to be %q, want %q", res.Power, c.power)
				}
			}
			b.wantCuts(before + c.cuts)
			b.wantOutlet(pcucontrol.On)
			b.wantState(c.state)
			b.wantClaims(c.claims...)
			// What is left is undone with the issue.
			_ = b.Store.RemoveBlacklist(ctx, "node", sick) // where a case has put it
			b.must(b.Store.SetControl(ctx, store.Control{Name: store.ControlStop}))
			_, err := b.Sweep.claims.releaseAll(ctx, req.State.Ref, "the issue is closed")
			b.must(err)
			b.wantState("boot")
			held, err := b.Store.Claims(ctx, store.ClaimFilter{})
			b.must(err)
			for _, h := range held {
				b.must(b.Store.Release(ctx, h.ID, "the case is over"))
			}
		})
	}
}

// waits tells when somebody waits for the lock of a PCU.
func (b *bench) waits() {
	b.Helper()
	db, err := pgx.Connect(b.Context(), b.url)
	b.must(err)
	defer db.Close(context.Background())
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var n int
		b.must(db.QueryRow(b.Context(), `select count(*) from pg_locks where locktype = 'advisory' and not granted
			and database = (select oid from pg_database where datname = current_database())`).Scan(&n))
		if n > 0 {
			return
		}
		if time.Now().After(deadline) {
			b.Fatal("nobody waits for the PCU")
		}
	}
}

// What happens while a rung waits for its PCU's lock counts: nothing is decided before.
func TestPower_WhatHappensWhileARungWaitsForThePCU(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	orders := func() error { return temporal.NewCanceledError() }
	now := func() int { return int(time.Now().Unix()) }
	old := int(time.Now().Add(-72 * time.Hour).Unix())
	for _, c := range []struct {
		name          string
		happens, undo func()
		outcome       issue.Outcome
		says          string
	}{
		{"the node is blacklisted", func() {
			b.must(b.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "node", Target: sick, Reason: "new board"}))
		}, func() { b.must(b.Store.RemoveBlacklist(ctx, "node", sick)) }, issue.Wait, "exempt: new board"},
		{"its PCU is left alone for a time", func() {
			b.must(b.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "pcu", Target: pcu,
				Reason: "new firmware", Until: time.Now().Add(time.Hour)}))
		}, func() {
			b.must(b.Store.RemoveBlacklist(ctx, "pcu", pcu))
		}, issue.Wait, "exempt: new firmware"},
		{"its PCU is left alone for good", func() {
			b.must(b.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "pcu", Target: pcu,
				Reason: "it bites"}))
		}, func() {
			b.must(b.Store.RemoveBlacklist(ctx, "pcu", pcu))
		}, issue.Passed, "exempt: it bites"},
		{"its site gets a downtime", func() {
			b.must(b.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "site", Target: site, Reason: "moving",
				Until: time.Now().Add(time.Hour), Downtime: true}))
		}, func() { b.must(b.Store.RemoveBlacklist(ctx, "site", site)) }, issue.Wait, "in a downtime: moving"},
		{"its owner sets it to safeboot", func() {
			b.inPLC("boot_state", "safeboot")
		}, func() { b.inPLC("boot_state", "boot") }, issue.Wait, "somebody's hands"},
		{"its owner disables it", func() {
			b.inPLC("boot_state", "disabled")
		}, func() { b.inPLC("boot_state", "boot") }, issue.Wait, "somebody's hands"},
		{"PLC hears it", func() {
			b.inPLC("last_contact", now())
		}, func() { b.inPLC("last_contact", old) }, issue.Wait, "unreachable from here"},
		{"it begins to boot", func() {
			b.inPLC("last_boot", now())
		}, func() { b.inPLC("last_boot", old) }, issue.Wait, "it began to boot"},
		{"it fetches a boot image", func() {
			b.inPLC("last_download", now())
		}, func() { b.inPLC("last_download", old) }, issue.Wait, "it began to boot"},
		{"it gets another outlet", func() {
			b.inPLC("ports", []any{2})
		}, func() { b.inPLC("ports", []any{1}) }, issue.Wait, "on other outlets"},
		{"it gets a second outlet", func() {
			b.inPLC("pcu_ids", []any{b.pcuID(), b.pcuID()})
			b.inPLC("ports", []any{1, 2})
		}, func() {
			b.inPLC("pcu_ids", []any{b.pcuID()})
			b.inPLC("ports", []any{1})
		}, issue.Wait, "on other outlets"},
		{"a sweep is not believed", func() {
			b.sweepEnds(store.Sweep{Reason: "half the fleet is gone"})
		}, func() {
			b.sweepEnds(store.Sweep{Believed: true, Counts: map[string]int{"nodes": 100, "pcus": 100}})
		}, issue.Wait, "half the fleet is gone"},
		{"its whole site goes dark", func() {
			b.open(issue.SiteDown+"/"+site, issue.SiteDown, "")
		}, func() { b.closed(issue.SiteDown + "/" + site) }, issue.Wait, "speaks for it"},
		{"Monitor is stopped", func() {
			b.must(b.Store.SetControl(ctx, store.Control{Name: store.ControlStop, Value: "stopped", By: "ann",
				Reason: "a fire"}))
		}, func() {
			b.must(b.Store.SetControl(ctx, store.Control{Name: store.ControlStop}))
		}, issue.Wait, "Monitor is stopped: a fire"},
		{"somebody wants Monitor to observe", func() {
			b.must(b.Store.SetControl(ctx, store.Control{Name: store.ControlMode, Value: "observe", By: "ann",
				Reason: "a test"}))
		}, func() {
			b.must(b.Store.SetControl(ctx, store.Control{Name: store.ControlMode}))
		}, issue.Wait, "would reboot"},
		{"PLC goes away", func() {
			b.w.DB.LoseAnswers("GetNodes", 1000)
		}, func() { b.w.DB.LoseAnswers("GetNodes", 0) }, issue.Wait, "PLC cannot be asked"},
		{"somebody presses PLC's button twice", func() {
			for i := range 2 { // one is ours to see in the ledger, one PLC's to tell
				_, _, err := b.Store.Intent(ctx, store.Action{Key: fmt.Sprint("other", i), Kind: store.KindReboot,
					Node: sick, Site: "elsewhere"})
				b.must(err)
				_, err = b.Store.Commit(ctx, fmt.Sprint("other", i))
				b.must(err)
			}
		}, func() {
			for i := range 2 {
				b.must(b.Store.Outcome(ctx, fmt.Sprint("other", i), store.Failed, "it was not"))
			}
		}, issue.Wait, "its power was cut"},
		{"an operator orders otherwise", func() {
			b.tc.beat = orders
		}, func() { b.tc.beat = nil }, issue.Stopped, "an order came meanwhile"},
		{"it leaves PLC", func() { b.inPLC("hostname", "other.huji.example") },
			func() {
				b.w.DB.Set("Nodes", b.w.DB.Get("Nodes", "hostname", "other.huji.example")["node_id"].(int),
					"hostname", sick)
			}, issue.Gone, "PLC does not have"},
		{"it comes back", func() { b.must(b.w.Heal(sick)) }, func() { b.hung() }, issue.Recovered, "good again"},
		{"it comes up in debug mode", func() {
			b.must(b.w.Break(sick, testbed.Fault{State: fakenode.Debug, FixedBy: testbed.Nobody}))
		}, func() { b.hung() }, issue.Wait, "alive"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &bench{T: t, Groups: b.Groups, ledger: b.ledger, w: b.w, tc: b.tc, url: b.url}
			release, err := b.Store.LockPCU(ctx, b.pcuID())
			b.must(err)
			type answer struct {
				res issue.Result
				err error
			}
			answered := make(chan answer, 1)
			go func() {
				res, err := b.asActivity(b.Power.Reboot, b.task(issue.NodeDown, c.name, rebootRung))
				answered <- answer{res, err}
			}()
			b.waits()
			from := time.Now()
			c.happens()
			for time.Since(from) <= lookedLately { // a look that is no older stands
				time.Sleep(time.Millisecond)
			}
			release()
			got := <-answered
			if c.outcome != issue.Stopped { // an order is given to one activity, and nobody else sees it
				b.wantWhyNot(policy.ActReboot, issue.NodeDown, got.res)
			}
			c.undo()
			b.want(got.res, got.err, c.outcome, c.says)
			b.wantCuts(0)
			b.wantClaims()
			if list, err := b.Store.Actions(ctx, store.ActionFilter{Kind: store.KindReboot, Site: site}); err != nil ||
				len(list) > 0 {
				t.Errorf("intended was %+v, %v", list, err)
			}
		})
	}
	b.wantWhyNot(policy.ActReboot, issue.NodeDown, issue.Result{})
	res, err := b.Power.Reboot(ctx, b.task(issue.NodeDown, "in the end", rebootRung))
	b.want(res, err, issue.Acted, "read back on")
	b.wantCuts(1)
}

func TestPower_AnOrderBetweenIntentAndCommandUndoesTheIntent(t *testing.T) {
	b := newBench(t)
	b.hung()
	asked := 0
	b.tc.beat = func() error {
		if asked++; asked > 1 { // the gate hears nothing yet; the last question does
			return temporal.NewCanceledError()
		}
		return nil
	}
	req := b.rebooted("0")
	res, err := b.asActivity(b.Power.Reinstall, req)
	b.want(res, err, issue.Stopped, "set back to boot in PLC")
	b.wantCuts(0)
	b.wantState("boot")
	b.wantClaims()
	b.wantLedger(req.State.Ref.ID, "reinstall failed")
	b.tc.beat = nil
	res, err = b.Issues.SettleRung(b.Context(), req)
	b.want(res, err, issue.Stopped, "")
	res, err = b.Power.Reinstall(b.Context(), req) // the order is taken back
	b.want(res, err, issue.Wait, "an order came meanwhile")
	res, err = b.Power.Reinstall(b.Context(), b.rebooted("1"))
	b.want(res, err, issue.Acted, "read back on")
	b.wantCuts(1)
}

func TestPower_TwoTriesAtOnceCutPowerOnce(t *testing.T) {
	b := newBench(t)
	b.hung()
	release, err := b.Store.LockPCU(b.Context(), b.pcuID())
	b.must(err)
	req := b.task(issue.NodeDown, "0", rebootRung)
	type answer struct {
		res issue.Result
		err error
	}
	answers := make(chan answer, 2)
	for range 2 {
		go func() {
			res, err := b.Power.Reboot(b.Context(), req)
			answers <- answer{res, err}
		}()
	}
	b.waits()
	release()
	for range 2 {
		got := <-answers
		b.want(got.res, got.err, issue.Acted, "read back on")
	}
	b.wantCuts(1)
	b.wantClaims()
	b.wantLedger(req.State.Ref.ID, "reboot done")
}

// PLC did the write and its answer was lost, or it does the write long after everybody has stopped waiting: a reboot
// must not wipe the node.
func TestPower_ALostAnswerOfPLCLeavesNoReinstallBehind(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	req := b.rebooted("1")
	late := b.w.DB.Hang("UpdateNode")
	before := b.w.DB.Calls("UpdateNode")
	short, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = b.Power.Reinstall(short, req) // nobody hears its answer
	}()
	b.until("PLC is asked", func() bool { return b.w.DB.Calls("UpdateNode") > before })
	cancel()
	<-done
	b.wantState("boot")
	b.wantClaims("boot state") // PLC may do it yet
	late()                     // and does
	b.until("PLC has done it", func() bool {
		return b.w.DB.Get("Nodes", "hostname", sick)["boot_state"] == "reinstall"
	})
	res, err := b.Power.Reboot(ctx, b.task(issue.NodeDown, "2", rebootRung))
	b.want(res, err, issue.Acted, "read back on")
	b.wantState("boot")
	b.wantCuts(1)
	_, err = b.Sweep.claims.releaseAll(ctx, req.State.Ref, "the issue is closed")
	b.must(err)
	b.wantState("boot")
}

// How long PLC may still do a write is told by how long a call may take: no ten minutes where PLC answers within
// seconds.
func TestPower_AWriteThatPLCMayStillDoIsWaitedForAsLongAsItsCallsTake(t *testing.T) {
	b := newBench(t)
	b.hung()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	b.must(os.WriteFile(ca, b.w.PLCCA, 0o600))
	quick, err := plc.New(plc.Options{URL: b.w.PLC, Username: testbed.PLCUser,
		Password: testbed.PLCPassword, CAFile: ca,
		Timeout: 500 * time.Millisecond})
	b.must(err)
	b.Power.bootStates.Inventory, b.Boot.bootStates.Inventory = quick, quick
	b.intend(b.rebooted("0")) // its worker died before, or after, it asked PLC
	b.until("nothing is held any more", func() bool {
		b.reconcile()
		list, err := b.Store.Claims(b.Context(), store.ClaimFilter{Kind: store.ClaimBootState})
		b.must(err)
		return len(list) == 0
	})
	b.wantState("boot")
}

func TestPower_ATryThatWasHeldUpTakesItsWriteToPLCBack(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	req := b.rebooted("0")
	b.intend(req)
	res, err := b.Power.Reinstall(ctx, req) // another try gives it up
	b.want(res, err, issue.Wait, "before the command was given")
	b.must(b.Power.Inventory.SetBootState(ctx, sick, "reinstall")) // and only now the first one goes on
	n, err := b.Store.Node(ctx, sick)
	b.must(err)
	feeds, release, err := b.Power.outlets.lock(ctx, feedsOf(n))
	b.must(err)
	defer release()
	late := b.looked(req)
	facts, err := b.Power.gate.facts(ctx, policy.ActReinstall, req.State.Ref, late.seen)
	b.must(err)
	res, err = b.Power.commandPower(ctx, late, facts, feeds)
	b.want(res, err, issue.Unknown, "given the same command up")
	b.wantState("boot")
	b.wantCuts(0)
}

// looked is a rung after its look.
func (b *bench) looked(req issue.Request) task {
	b.Helper()
	seen, err := b.Power.observer.observe(b.Context(), req.State.Ref)
	b.must(err)
	return task{Request: req, seen: seen}
}

// What comes between the gate and the command, while PLC takes its time, is seen before the command is given.
func TestPower_WhatComesWhilePLCTakesItsTimeStopsTheCommand(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	for _, c := range []struct {
		name          string
		happens, undo func()
		says          string
	}{
		{"Monitor is stopped", func() {
			b.must(b.Store.SetControl(ctx, store.Control{Name: store.ControlStop, Value: "stopped", Reason: "a fire"}))
		}, func() { b.must(b.Store.SetControl(ctx, store.Control{Name: store.ControlStop})) }, "stopped: a fire"},
		{"the node is blacklisted", func() {
			b.must(b.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "node", Target: sick, Reason: "new board"}))
		}, func() { b.must(b.Store.RemoveBlacklist(ctx, "node", sick)) }, "exempt: new board"},
		{"its PCU is blacklisted", func() {
			b.must(b.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "pcu", Target: pcu, Reason: "it bites",
				Until: time.Now().Add(time.Hour)}))
		}, func() { b.must(b.Store.RemoveBlacklist(ctx, "pcu", pcu)) }, "exempt: it bites"},
		{"its site is exempt", func() {
			b.w.Exempt(site, time.Now().AddDate(0, 1, 0))
			b.sync()
		}, func() {}, "exempt in PLC"}, // the last of them
	} {
		before, release := b.w.DB.Calls("UpdateNode"), b.w.DB.Hang("UpdateNode")
		type answer struct {
			res issue.Result
			err error
		}
		done := make(chan answer, 1)
		go func() {
			res, err := b.Power.Reinstall(ctx, b.rebooted(c.name))
			done <- answer{res, err}
		}()
		b.until("PLC is asked to set it to reinstall", func() bool { return b.w.DB.Calls("UpdateNode") > before })
		c.happens()
		release()
		got := <-done
		b.want(got.res, got.err, issue.Wait, c.says)
		b.want(got.res, got.err, issue.Wait, "set back to boot in PLC")
		c.undo()
		b.wantCuts(0)
		b.wantState("boot")
		b.wantClaims()
	}
}

func TestPower_ANodeThatIsBackBeforeTheCommandKeepsItsPower(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	req := b.task(issue.NodeDown, "0", rebootRung)
	late := b.looked(req)
	facts, err := b.Power.gate.facts(ctx, policy.ActReboot, req.State.Ref, late.seen)
	b.must(err)
	n, err := b.Store.Node(ctx, sick)
	b.must(err)
	feeds, release, err := b.Power.outlets.lock(ctx, feedsOf(n))
	b.must(err)
	defer release()
	b.must(b.w.Heal(sick))
	late.seen.at = late.seen.at.Add(-time.Minute) // as long as PLC took
	res, err := b.Power.beginPower(ctx, late, facts, n, feeds)
	b.want(res, err, issue.Recovered, "good again")
	b.wantCuts(0)
	b.wantClaims()
	b.wantLedger(req.State.Ref.ID, "reboot failed")
}

func TestPower_WhatWasNotDoneDoesNotCount(t *testing.T) {
	b := newBench(t)
	b.Policy.BootGrace, b.Policy.MachineStep = 0, 0 // as where days pass between the commands
	ctx := b.Context()
	b.hung()
	for i := range 3 { // three workers that died before their commands
		req := b.task(issue.NodeDown, fmt.Sprint(i), rebootRung)
		b.intend(req)
		res, err := b.Power.Reboot(ctx, req)
		b.want(res, err, issue.Wait, "before the command was given")
		if after := req.After(time.Now(), res); after.Rebooted {
			t.Error("an intent counts as a reboot")
		}
	}
	lost := b.task(issue.NodeDown, "lost", rebootRung)
	b.intend(lost)
	b.commit(lost)
	res, err := b.Power.Reboot(ctx, lost)
	b.want(res, err, issue.Acted, "not repeated")
	after := lost.After(time.Now(), res)
	if after.Rebooted {
		t.Error("a reboot whose answer was lost unlocks the reinstall")
	}
	res, err = b.Power.Reinstall(ctx, issue.Request{State: after, Rung: reinstallRung, Key: "r"})
	b.want(res, err, issue.Passed, "surely not rebooted")
	b.wantState("boot")
	b.wantCuts(0)
	res, err = b.Power.Reboot(ctx, b.task(issue.NodeDown, "after", rebootRung))
	// the lost one counts as one of two in the window, the intents as none
	b.want(res, err, issue.Acted, "read back on")
	res, err = b.Power.Reboot(ctx, b.task(issue.NodeDown, "third", rebootRung))
	b.want(res, err, issue.Passed, "power-cycled 2 times")
	b.wantCuts(1)
}

// What an issue remembers of its power cycles counts though a store that was restored from an older backup has forgotten
// it, and once.
func TestPower_AThirdCycleDoesNotComeOfARestoredStore(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.Policy.BootGrace = 0 // as where days pass between the commands
	b.hung()
	first := b.task(issue.NodeDown, "0", rebootRung)
	res, err := b.Power.Reboot(ctx, first)
	b.want(res, err, issue.Acted, "read back on")
	state := first.After(time.Now(), res)
	again := func(key string) (issue.Result, error) {
		return b.Power.Reboot(ctx, issue.Request{State: state, Rung: rebootRung, Key: state.Ref.Episode() + "/" + key})
	}
	res, err = again("1") // what the ledger knows counts once
	b.want(res, err, issue.Acted, "read back on")
	state = issue.Request{State: state}.After(time.Now(), res)
	b.sql("delete from action where key like '%/1'") // a backup from between the two is restored
	res, err = again("2")
	b.want(res, err, issue.Passed, "power-cycled 2 times")
	b.wantCuts(2)
	b.must(b.Issues.SaveIssue(ctx, state)) // and also for whoever else asks, once, at their times
	cycles, err := b.Store.PowerCycles(ctx, sick, time.Now().Add(-time.Hour))
	if err != nil || len(cycles) != 2 || !cycles[1].Equal(state.Deeds[1].At.Truncate(time.Microsecond)) {
		t.Errorf("the ledger has them at %s, %v; want the second at %s", cycles, err, state.Deeds[1].At)
	}
}

// An outlet that the device would not turn on again is owed: it stays a claim, nobody at the site is written to for it,
// and it is paid when the device obeys.
func TestPower_AnOutletLeftOffIsOwed(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	b.w.BreakPCU(site, "stays off")
	req := b.task(issue.NodeDown, "0", rebootRung)
	res, err := b.Power.Reboot(ctx, req)
	b.want(res, err, issue.Acted, "the outlet may be off")
	if res.Power != issue.LeftOff || req.After(time.Now(), res).Rebooted {
		t.Errorf("it is said to be %q, and counts as a reboot: %v", res.Power, req.After(time.Now(), res).Rebooted)
	}
	b.wantCuts(1)
	b.wantClaims("outlet")
	for name, rung := range map[string]func(context.Context, issue.Request) (issue.Result, error){
		"email": b.People.Email, "flag": b.People.Flag, "reboot": b.Power.Reboot,
	} {
		got, err := rung(ctx, b.task(issue.NodeDown, name, issue.Rung{Do: issue.Email}))
		b.want(got, err, issue.Wait, "Monitor itself may have left outlet")
	}
	if len(b.tc.updates) > 0 || len(b.subjects()) > 0 {
		t.Errorf("the site is asked: %v, mailed %q", b.tc.updates, b.subjects())
	}
	held, err := b.Store.Claims(ctx, store.ClaimFilter{})
	b.must(err)
	if _, err := b.Power.outlets.pay(ctx, held[0]); err == nil {
		t.Error("it is said to be paid while the device does not obey")
	}
	b.wantClaims("outlet")
	b.w.BreakPCU(site, "")
	b.must(b.Store.SetControl(ctx,
		store.Control{Name: store.ControlStop, Value: "stopped", Reason: "which must not keep it off"}))
	said, err := b.Power.outlets.pay(ctx, held[0])
	if b.must(err); !strings.Contains(said.said, "is on again") {
		t.Errorf("said %q", said.said)
	}
	b.wantClaims()
	b.wantOutlet(pcucontrol.On)
	b.wantCuts(1)
	b.must(b.Store.SetControl(ctx, store.Control{Name: store.ControlStop}))
	back, err := b.Power.Reboot(ctx, b.task(issue.NodeDown, "back", rebootRung)) // as where its PCU is back as well
	b.want(back, err, issue.Wait, "its power came back")
	if step := b.Policy.MachineStep; time.Until(back.Until) < step-time.Minute || time.Until(back.Until) > step {
		t.Errorf("it is given until %s, and a power cycle %s", back.Until, step)
	}
	b.wantCuts(1)
	got, err := b.People.Email(ctx, b.task(issue.NodeDown, "later", issue.Rung{Do: issue.Email}))
	b.want(got, err, issue.Acted, "handed to site huji")
}

// A worker that dies after it has turned an outlet on, and before it could write that down, leaves one that is read on:
// the node has its power back all the same, and is given its time.
func TestPower_WhatADeadWorkerTurnedOnIsGivenItsTime(t *testing.T) {
	for name, pay := range map[string]func(*bench, issue.Request) error{
		"a sweep pays": func(b *bench, _ issue.Request) error {
			held, err := b.Store.Claims(b.Context(), store.ClaimFilter{})
			b.must(err)
			_, err = b.Power.outlets.pay(b.Context(), held[0])
			return err
		},
		"the next try of the rung": func(b *bench, req issue.Request) error {
			_, err := b.Power.Reboot(b.Context(), req)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			ctx := b.Context()
			b.hung()
			b.w.BreakPCU(site, "stays off")
			req := b.task(issue.NodeDown, "0", rebootRung)
			res, err := b.Power.Reboot(ctx, req)
			b.want(res, err, issue.Acted, "the outlet may be off")
			b.sql("update action set committed = committed - interval '1 hour'") // the power is off for longer than a boot takes
			b.w.BreakPCU(site, "")
			if state := (outletSet{b.outlet()}).turnOn(ctx); !state.on || !state.wasOff {
				t.Fatalf("it is %+v", state)
			}
			b.must(pay(b, req))
			b.wantClaims()
			res, err = b.Power.Reboot(ctx, b.task(issue.NodeDown, "back", rebootRung))
			b.want(res, err, issue.Wait, "its power came back")
			b.wantCuts(1)
		})
	}
}

// An outlet that one command has left off stays owed when a later one surely does nothing, and is let go by one that
// reads it on.
func TestPower_AnOutletLeftOffIsOwedAlsoAfterALaterCommand(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	b.Policy.PCUOfflineToDown = 0 // its PCU stays away for longer than anybody waits
	b.Policy.BootGrace = 0        // and days pass between the commands
	b.w.BreakPCU(site, "stays off")
	res, err := b.Power.Reboot(ctx, b.task(issue.NodeDown, "0", rebootRung))
	b.want(res, err, issue.Acted, "the outlet may be off")
	later := b.task(issue.NodeDown, "1", rebootRung)
	b.intend(later) // and its worker dies
	res, err = b.Power.Reboot(ctx, later)
	b.want(res, err, issue.Wait, "before the command was given")
	b.wantClaims("outlet")
	b.w.BreakPCU(site, "")
	res, err = b.Power.Reboot(ctx, b.task(issue.NodeDown, "2", rebootRung))
	b.want(res, err, issue.Acted, "read back on")
	b.wantClaims()
	b.wantOutlet(pcucontrol.On)
}

// A PCU whose record cannot be used any more after the command tells nobody what became of it: the rung ends all the
// same, and the outlet is owed until the record is right.
func TestPower_APCUWhoseRecordIsUnusableEndsTheRung(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	p := b.pcu()
	for name, c := range map[string]struct{ sql, undo string }{
		"no port":          {"update pcu set ip = '10.0.0.5:none'", "update pcu set ip = '" + p.IP + "'"},
		"moved, not swept": {"update pcu set username = 'other'", "update pcu set username = '" + p.Username + "'"},
	} {
		req := b.task(issue.NodeDown, name, rebootRung)
		b.intend(req)
		b.commit(req)
		b.sql(c.sql)
		for range 2 {
			res, err := b.Power.Reboot(ctx, req)
			if b.want(res, err, issue.Acted, "its PCU cannot be asked"); res.Power != issue.LeftOff {
				t.Errorf("it is said to be %q", res.Power)
			}
		}
		b.wantClaims("outlet")
		b.sql(c.undo)
		_, err := b.Sweep.claims.releaseAll(ctx, req.State.Ref, "closed")
		b.must(err)
		b.wantClaims()
	}
	gone := b.task(issue.NodeDown, "gone", rebootRung)
	b.intend(gone)
	b.commit(gone)
	b.sql("delete from pcu")
	res, err := b.Power.Reboot(ctx, gone)
	b.want(res, err, issue.Acted, "its PCU cannot be asked: PLC has its PCU no more")
	b.wantLedger(issue.NodeDown+"/"+sick, "reboot ambiguous", "reboot ambiguous", "reboot ambiguous")
}

// A try that has lost its locks may mark the point of no return in the very moment in which another gives its intent up:
// then nothing is given up, and the outlet stays owed.
func TestPower_WhatIsBegunIsNotGivenUp(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	req := b.task(issue.NodeDown, "0", rebootRung)
	b.intend(req)
	b.commit(req)
	res, err := b.Power.abandonPower(ctx, task{Request: req}, "its worker ended before the command was given", issue.Wait)
	b.want(res, err, issue.Unknown, "another try gives the same command just now")
	b.wantClaims("outlet")
	b.wantLedger(req.State.Ref.ID, "reboot")
	cycles, err := b.Store.PowerCycles(ctx, sick, time.Now().Add(-time.Hour))
	if err != nil || len(cycles) != 1 {
		t.Errorf("it counts as %d power cycles, %v", len(cycles), err)
	}
}

func TestPower_BudgetsAreNotOverspentByRungsAtOnce(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.Policy.Budget.RebootsFleet, b.Policy.Budget.RebootsSite = 3, 3
	overs := make(chan *store.Over, 20)
	for i := range 20 {
		go func() {
			_, _, over, err := b.Store.Begin(ctx, store.Plan{Budget: b.Power.gate.budget(policy.ActReboot),
				Action: store.Action{Key: fmt.Sprint("k", i), Kind: store.KindReboot,
					Node: fmt.Sprint("n", i), Site: site}})
			if err != nil {
				t.Error(err)
			}
			overs <- over
		}()
	}
	reserved := 0
	for range 20 {
		if <-overs == nil {
			reserved++
		}
	}
	if reserved != 3 {
		t.Errorf("%d of a budget of 3 were reserved", reserved)
	}
	b.hung()
	res, err := b.Power.Reboot(ctx, b.task(issue.NodeDown, "0", rebootRung))
	b.want(res, err, issue.Wait, "budget of 3")
	b.wantCuts(0)
}

// In observe mode the ladder stands at its first rung, says once what it would do, and does nothing.
func TestPower_ObserveModeWritesOneLineAndWaits(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	b.must(b.Store.SetControl(ctx, store.Control{Name: store.ControlMode, Value: "observe", By: "ann",
		Reason: "the first weeks"}))
	req := b.task(issue.NodeDown, "0", rebootRung)
	state := req.State
	for try := range 20 {
		next := state.Request()
		res, err := b.Power.Reboot(ctx, next)
		b.want(res, err, issue.Wait, "observe mode: would reboot")
		state.Began()
		state.Ran(time.Now(), res)
		if state.Rung != 0 {
			t.Fatalf("after %d tries it has climbed to rung %d", try, state.Rung)
		}
	}
	for _, rung := range []issue.Rung{{Do: issue.Email}, {Do: issue.Email, Level: 1}, {Do: issue.Flag},
		{Do: issue.Disable}} {
		do := map[issue.Action]func(context.Context, issue.Request) (issue.Result, error){issue.Email: b.People.Email,
			issue.Flag: b.People.Flag, issue.Disable: b.Boot.Disable}[rung.Do]
		res, err := do(ctx, b.task(issue.NodeDown, "0", rung))
		b.want(res, err, issue.Wait, "observe mode: would")
	}
	b.wantCuts(0)
	b.wantClaims()
	b.wantState("boot")
	if n := b.w.DB.Calls("UpdateNode"); n > 0 || len(b.tc.updates) > 0 || len(b.subjects()) > 0 {
		t.Errorf("PLC was written %d times, the site asked with %v, mailed %q", n, b.tc.updates, b.subjects())
	}
	b.wantLedger(req.State.Ref.ID, "skip skipped")
	b.must(b.Store.SetControl(ctx, store.Control{Name: store.ControlMode}))
	state.Retry(time.Now()) // as the sweep tells it
	res, err := b.Power.Reboot(ctx, state.Request())
	b.want(res, err, issue.Acted, "read back on")
	b.wantCuts(1)
}

func TestPower_StopForbidsEverythingButUndoing(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	b.must(b.Power.Inventory.SetBootState(ctx, sick, "reinstall"))
	req := b.rebooted("before")
	b.intend(req)
	b.must(b.Store.SetControl(ctx, store.Control{Name: store.ControlStop, Value: "stopped", By: "ann",
		Reason: "a fire"}))
	for name, rung := range map[string]func(context.Context, issue.Request) (issue.Result, error){
		"reboot": b.Power.Reboot, "reinstall": b.Power.Reinstall, "email": b.People.Email, "flag": b.People.Flag,
		"pcu": b.Issues.OpenPCUDown, "disable": b.Boot.Disable} {
		res, err := rung(ctx, b.rebooted(name))
		b.want(res, err, issue.Wait, "Monitor is stopped: a fire (ann")
	}
	res, err := b.Power.Reinstall(ctx, req)
	b.want(res, err, issue.Wait, "set back to boot")
	b.wantState("boot")
	b.wantClaims()
	b.wantCuts(0)
	if len(b.tc.updates) > 0 || len(b.subjects()) > 0 || len(b.tc.started) > 0 {
		t.Errorf("asked %v, mailed %q, opened %q", b.tc.updates, b.subjects(), b.tc.started)
	}
}

func TestPower_AFirewallIsNotMendedByPower(t *testing.T) {
	b := newBench(t)
	b.hung()
	b.must(b.w.Break(sick, testbed.Fault{State: fakenode.Firewalled, FixedBy: testbed.Nobody}))
	res, err := b.Power.Reboot(b.Context(), b.task(issue.NodeDown, "0", rebootRung))
	b.want(res, err, issue.Passed, "behind a firewall")
	b.wantCuts(0)
}

func TestPower_ANodeThatFallsSilentInDebugModeIsDownAgain(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	b.open(issue.Failboot+"/"+sick, issue.Failboot, sick)
	b.must(b.Store.AddBootRepair(ctx, store.BootRepair{Key: "r", Node: sick, Sequence: "s", Action: "RestartNodeRins",
		At: time.Now().Add(-time.Hour)}))
	res, err := b.Power.Reboot(ctx, b.task(issue.NodeDown, "0", rebootRung))
	b.want(res, err, issue.Wait, "speaks for it") // it may be installing itself
	b.wantCuts(0)
	b.Policy.MachineStep = time.Minute
	res, err = b.Power.Reboot(ctx, b.task(issue.NodeDown, "1", rebootRung))
	b.want(res, err, issue.Acted, "outlet cycled")
	b.wantCuts(1)
}
