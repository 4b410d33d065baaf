package activities

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/probe"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/simnode"
)

// hung makes the sick node hang, as the last sweeps saw it, with a PCU that works.
func (b *bench) hung() {
	b.Helper()
	b.must(b.w.Break(sick, testbed.Ailment{State: simnode.Hung, Healer: testbed.Nobody}))
	b.was("node", sick, policy.StatusDown, 3)
	b.pcuIs(policy.StatusGood)
}

func (b *bench) pcuIs(s policy.Status) {
	b.Helper()
	b.was("pcu", strconv.Itoa(b.pcuID()), s, 3)
}

// locked makes every node deny Monitor's key.
func (b *bench) locked() {
	b.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	b.must(err)
	key, err := ssh.NewSignerFromKey(private)
	b.must(err)
	b.Prober = probe.New(probe.Options{SSHKey: key, PortMap: testbed.PortMap(), Timeout: 600 * time.Millisecond, Tries: 1, Resolver: b.w.Resolver})
}

func TestANodeThatLetsNobodyInIsAlive(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Postgres and a small world")
	}
	for _, failure := range []string{probe.NoRoute, probe.Refused, probe.Timeout, probe.KeyDenied, probe.HostKeyChanged, probe.Hang, probe.Broken} {
		f := policy.InferNode(policy.Kernels{}, nodeLook(probe.NodeResult{SSH: probe.SSHResult{Failure: failure}}))
		if down := slices.Contains([]string{probe.NoRoute, probe.Refused, probe.Timeout}, failure); f.Locked == down {
			t.Errorf("%s: %+v", failure, f)
		}
	}
	b := newBench(t, testbed.Site{Login: site, Nodes: 3}, testbed.Site{Login: "uba", Nodes: 1, NoPCU: true})
	ctx := b.Context()
	b.locked()
	b.pcuIs(policy.StatusGood)
	for n := range 3 {
		b.was("node", fmt.Sprintf("planetlab%d.huji.example", n+1), policy.StatusDown, 3)
	}
	for name, rung := range map[string]func(context.Context, RungInput) (RungResult, error){"reboot": b.Reboot, "reinstall": b.Reinstall, "email": b.Email} {
		in := b.ask(NodeDownType, name)
		in.Rebooted = true
		res, err := rung(ctx, in)
		b.want(res, err, Wait, "lets nobody in, which no power command mends: no ssh: key denied")
	}
	b.was("node", "planetlab1.uba.example", policy.StatusDown, 3)
	res, err := b.Email(ctx, RungInput{Ref: Ref{ID: "pcumissing/planetlab1.uba.example", Run: "run", Type: PCUMissingType, Node: "planetlab1.uba.example", Site: "uba"}, Key: "p"})
	b.want(res, err, Wait, "lets nobody in")
	b.wantCuts(0)
	if len(b.tc.updates) > 0 {
		t.Errorf("the site is leant on: %v", b.tc.updates)
	}
	dark := Ref{ID: "sitedown/huji", Run: "run", Type: SiteDownType, Site: site}
	res, err = b.Email(ctx, RungInput{Ref: dark, Key: "sitedown/huji/run/0"})
	b.want(res, err, Good, "3 of its 3 nodes answer")

	b.Policy.Guard.AtLeast = 2 // or one site is too small to doubt
	plan, err := b.SyncPLC(ctx)
	b.must(err)
	_, err = b.ProbeNodes(ctx, Batch{Limit: 100})
	b.must(err)
	swept, err := b.Judge(ctx, plan)
	b.must(err)
	if len(b.tc.started) > 0 || swept.Held != "" {
		t.Errorf("started %q, held %q", b.tc.started, swept.Held)
	}
	b.Policy.TroubleAfter = 0
	_, err = b.Judge(ctx, plan)
	b.must(err)
	if len(b.tc.started) != 0 {
		t.Errorf("all nodes of the fleet are locked, and %q open: the fault may be ours", b.tc.started)
	}
	b.Policy.Guard.AtLeast = 10
	_, err = b.Judge(ctx, plan)
	b.must(err)
	if len(b.tc.started) != 4 || !strings.HasPrefix(b.tc.started[0], "nodeconfig/planetlab1.huji.example for 0 d: no ssh: key denied") {
		t.Errorf("started %q", b.tc.started)
	}
	res, err = b.Email(ctx, b.ask(NodeConfigType, "email"))
	b.want(res, err, Acted, "handed to site huji")
	if l := b.tc.updates[0].(sites.HoldRequest); l.Evidence[0] != "no ssh: key denied" || l.Advice != notify.AdviceLocked {
		t.Errorf("leant %+v", l)
	}
}

func TestANodeThatFallsSilentInDebugModeIsDownAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Postgres and a small world")
	}
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	b.open(FailbootType+"/"+sick, FailbootType, sick)
	b.must(b.Store.AddBootRepair(ctx, store.BootRepair{Key: "r", Node: sick, Sequence: "s", Action: "RestartNodeRins", At: time.Now().Add(-time.Hour)}))
	res, err := b.Reboot(ctx, b.ask(NodeDownType, "0", PCUOK))
	b.want(res, err, Wait, "speaks for it") // it may be installing itself
	b.wantCuts(0)
	b.Policy.MachineStep = time.Minute
	res, err = b.Reboot(ctx, b.ask(NodeDownType, "1", PCUOK))
	b.want(res, err, Acted, "outlet cycled")
	b.wantCuts(1)
}

func TestANodeIsPowerCycledOnceAndOnlyForGoodReason(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Postgres and a small world")
	}
	b := newBench(t)
	ctx := b.Context()
	issue := NodeDownType + "/" + sick
	b.pcuIs(policy.StatusGood)

	res, err := b.Reboot(ctx, b.ask(NodeDownType, "0", PCUOK))
	b.want(res, err, Good, "up")
	b.wantCuts(0)
	b.wantLedger(issue)

	b.hung()
	b.open(SiteDownType+"/"+site, SiteDownType, "")
	res, err = b.Reboot(ctx, b.ask(NodeDownType, "site", PCUOK))
	b.want(res, err, Wait, "sitedown/huji speaks for it")
	b.closed(SiteDownType + "/" + site)
	b.open(PCUDownType+"/"+pcu, PCUDownType, "")
	res, err = b.Reboot(ctx, b.ask(NodeDownType, "1", PCUOK))
	b.want(res, err, Passed, "pcudown/pcu.huji.example is open")
	b.closed(PCUDownType + "/" + pcu)
	b.open(FirewallType+"/"+sick, FirewallType, sick)
	res, err = b.Reboot(ctx, b.ask(NodeDownType, "2", PCUOK))
	b.want(res, err, Passed, "no reboot mends a firewall")
	b.closed(FirewallType + "/" + sick)
	b.pcuIs(policy.StatusOffline)
	res, err = b.Reboot(ctx, b.ask(NodeDownType, "3", PCUOK))
	b.want(res, err, Passed, "is offline")
	b.pcuIs(policy.StatusGood)
	b.wantCuts(0)

	in := b.ask(NodeDownType, "4", PCUOK)
	for range 3 { // the first, and two retries that lost the answer
		res, err = b.Reboot(ctx, in)
		b.want(res, err, Acted, "read back on")
	}
	b.wantCuts(1)
	time.Sleep(500 * time.Millisecond)
	res, err = b.Reinstall(ctx, b.ask(NodeDownType, "5", PCUOK))
	b.want(res, err, Acted, "read back on")
	if state := b.w.DB.Get("Nodes", "hostname", sick)["boot_state"]; state != "reinstall" && state != "boot" {
		t.Errorf("PLC has it at %v", state)
	}
	b.wantCuts(2)
	for _, key := range []string{"6", "7"} { // no third in a week, and the admins hear of it once
		res, err = b.Reboot(ctx, b.ask(NodeDownType, key, PCUOK))
		b.want(res, err, Passed, "power-cycled 2 times within 7 d: likely hardware")
	}
	b.wantCuts(2)
	b.wantLedger(issue, "reboot done", "reinstall done", "flag done", "skip skipped", "skip skipped")
	if got := b.subjects(); len(got) != 1 {
		t.Errorf("mail is %q, want one to the admins", got)
	}
}

func TestAPowerCommandWhoseAnswerWasLostIsNotRepeated(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Postgres and a small world")
	}
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	intend := func(in RungInput) {
		_, _, err := b.Store.Intent(ctx, store.Action{Key: in.Key, Kind: "reboot", Issue: in.Ref.ID, Node: sick, Site: site, PCU: b.pcuID()})
		b.must(err)
	}

	in := b.ask(NodeDownType, "0", PCUOK) // a worker died after it gave the command, and the outlet is on
	intend(in)
	res, err := b.Reboot(ctx, in)
	b.want(res, err, Acted, "not repeated")
	b.wantCuts(0)
	b.wantLedger(in.Ref.ID, "reboot ambiguous")

	in = b.ask(NodeDownType, "1", PCUOK) // another died between off and on
	intend(in)
	p, err := b.Store.PCU(ctx, b.pcuID())
	b.must(err)
	outlet, err := b.drive(ctx, p, 1)
	b.must(err)
	_, err = outlet.do(ctx, b.PCUs.TurnOff)
	b.must(err)
	b.must(b.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "node", Target: sick, Reason: "meanwhile"})) // which must not leave it off
	res, err = b.Reboot(ctx, in)
	b.want(res, err, Acted, "found off after a lost answer and turned on")
	b.wantCuts(1)
	if status, err := outlet.do(ctx, b.PCUs.Status); err != nil || status.After != pcucontrol.On {
		t.Errorf("the outlet is left %+v, %v", status, err)
	}
	b.wantLedger(in.Ref.ID, "reboot ambiguous", "reboot done")
}

func TestAFirewallIsNotMendedByPower(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Postgres and a small world")
	}
	b := newBench(t)
	b.must(b.w.Break(sick, testbed.Ailment{State: simnode.Firewalled, Healer: testbed.Nobody}))
	b.was("node", sick, policy.StatusDown, 3)
	b.pcuIs(policy.StatusGood)
	res, err := b.Reboot(b.Context(), b.ask(NodeDownType, "0", PCUOK))
	b.want(res, err, Passed, "behind a firewall")
	b.wantCuts(0)
}

func TestWhatForbidsActingIsLookedAtBeforeEveryRung(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Postgres and a small world")
	}
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	rungs := map[string]func(RungInput) (RungResult, error){
		"reboot":    func(in RungInput) (RungResult, error) { return b.Reboot(ctx, in) },
		"reinstall": func(in RungInput) (RungResult, error) { return b.Reinstall(ctx, in) },
		"email":     func(in RungInput) (RungResult, error) { return b.Email(ctx, in) },
		"flag":      func(in RungInput) (RungResult, error) { return b.Flag(ctx, in) },
		"pcudown":   func(in RungInput) (RungResult, error) { return b.OpenPCUDown(ctx, in) },
	}
	forbidden := func(because, says string) {
		for name, rung := range rungs {
			res, err := rung(b.ask(NodeDownType, because+" "+name, PCUOK))
			b.want(res, err, Wait, says)
		}
	}
	b.must(b.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "node", Target: sick, Reason: "new board"}))
	forbidden("listed node", "blacklisted: new board")
	b.must(b.Store.RemoveBlacklist(ctx, "node", sick))
	b.must(b.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "site", Target: site, Reason: "moving", Until: time.Now().Add(time.Hour), Downtime: true}))
	forbidden("downtime", "in a downtime: moving")
	b.must(b.Store.RemoveBlacklist(ctx, "site", site))
	_, _, err := b.Store.Intent(ctx, store.Action{Key: "guard/1", Kind: "guard", Reason: "half the fleet is gone"})
	b.must(err)
	forbidden("guard", "half the fleet is gone")
	b.SweepEvery = 0 // the hold is over
	b.w.Exempt(site, time.Now().AddDate(0, 1, 0))
	b.sync()
	forbidden("exempt", "the site is exempt in PLC")
	b.wantCuts(0)
	if got := b.subjects(); len(got) > 0 || len(b.tc.started) > 0 || len(b.tc.updates) > 0 {
		t.Errorf("mailed %q, started %q, leant %v", got, b.tc.started, b.tc.updates)
	}
}

func TestAFaultOfOursIsNotBlamedOnAPCU(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Postgres and a small world")
	}
	b := newBench(t)
	ctx := b.Context()
	other, err := store.Open(ctx, store.Options{URL: b.url, Key: bytes.Repeat([]byte{8}, 32)}) // a worker with another key
	b.must(err)
	t.Cleanup(other.Close)
	b.Activities.Store = other
	b.pcuIs(policy.StatusGood)
	n, err := b.ProbePCUs(ctx, Batch{Limit: 100})
	p, stored := other.PCU(ctx, b.pcuID())
	b.must(stored)
	if err != nil || n != 0 || !p.SeenAt.IsZero() {
		t.Errorf("%d looks, %v, and the store says %+v", n, err, p)
	}
}
