package activities

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
)

// ordered is a request about the sick node that has opened.
func (b *bench) ordered(run string, act request.Act, waives ...policy.Waiver) request.State {
	b.Helper()
	in := request.Input{Node: sick, Act: act, From: "the test",
		Order: policy.Order{By: "alice", Role: policy.RoleOperator, Reason: "it hangs", Waives: waives}}
	if act == request.BootState {
		in.State = "boot"
	}
	return b.opened(run, in)
}

func (b *bench) opened(run string, in request.Input) request.State {
	b.Helper()
	o, err := b.Requests.OpenRequest(b.Context(), RequestStart{ID: request.ID(in.Node), Run: run, Input: in})
	b.must(err)
	return request.Start(request.ID(in.Node), run, in, o, time.Now())
}

// try makes one try, as the workflow does, and lets the machine hear of it.
func (b *bench) try(s *request.State) issue.Result {
	b.Helper()
	s.Began(time.Now())
	res, err := b.Requests.TryRequest(b.Context(), *s)
	b.must(err)
	s.Answered(time.Now(), res)
	return res
}

// done ends a request.
func (b *bench) done(s request.State, end request.End) {
	b.Helper()
	if s.End == "" {
		s.End, s.Reason, s.Ended = end, "as the test has it", time.Now()
	}
	if s.End != end {
		b.Errorf("it ends as %s (%s), want %s", s.End, s.Reason, end)
	}
	b.must(b.Requests.EndRequest(b.Context(), s))
}

func TestRequest_PowerIsCutOnceForAPersonAndTheStoryIsInTheLedger(t *testing.T) {
	b := newBench(t)
	b.hung()
	s := b.ordered("run", request.Reboot)
	for range 3 { // the first, and two retries that lost the answer
		res, err := b.Requests.TryRequest(b.Context(), s)
		b.want(res, err, issue.Acted, "read back on")
	}
	b.wantCuts(1)
	b.wantClaims("request")
	res, err := b.Requests.SettleRequest(b.Context(), s)
	b.want(res, err, issue.Acted, "read back on")
	s.Began(time.Now())
	s.Answered(time.Now(), res)
	b.done(s, request.Returned)
	b.wantClaims()
	b.wantLedger(request.ID(sick), "order done", "reboot done")
	action, err := b.Store.Action(b.Context(), s.Key())
	if b.must(err); !strings.Contains(action.Reason, "alice orders it: it hangs") || action.Node != sick {
		t.Errorf("the ledger says %+v", action)
	}
	// another order a moment later finds that the node may still be coming back
	s = b.ordered("again", request.Reboot, policy.EvenIfUp)
	if res := b.try(&s); res.Check != "booting" || s.End != request.Refused {
		t.Errorf("a second order is answered %+v, and ends as %s", res, s.End)
	}
	b.wantCuts(1)
}

// An order whose first answer was lost may come again when all that it asked for is over.
func TestRequest_AnOrderIsTakenByOneRun(t *testing.T) {
	b := newBench(t)
	in := request.Input{Node: sick, Act: request.Reboot, From: "the test", Key: "order/alice/k1",
		Order: policy.Order{By: "alice", Role: policy.RoleOperator, Reason: "it hangs"}}
	b.opened("first", in)
	s := b.opened("first", in) // the same run, whose activity was tried again
	b.done(s, request.Returned)
	_, err := b.Requests.OpenRequest(b.Context(), RequestStart{ID: request.ID(sick), Run: "second", Input: in})
	if err == nil || !strings.Contains(err.Error(), "taken before, by run first") {
		t.Errorf("a second run: %v", err)
	}
	b.wantClaims()
	b.wantLedger(request.ID(sick), "order done")
}

// What forbids an act of Monitor forbids a person's, too, but for what the operator says to pass over.
func TestRequest_TheGateHoldsForPersons(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.pcuIs(policy.StatusGood)
	run := 0
	refused := func(name, check string, waives ...policy.Waiver) {
		t.Helper()
		run++
		s := b.ordered(strconv.Itoa(run), request.Reboot, waives...)
		s.Input.Ways = []request.Way{request.ByPCU}
		if res := b.try(&s); res.Check != check || s.End != request.Refused {
			t.Errorf("%s: answered %+v, ends as %s", name, res, s.End)
		}
		b.done(s, request.Refused)
	}
	refused("a node that is up", "answers")
	b.hung()
	b.must(b.Store.SetControl(ctx, store.Control{Name: store.ControlStop, Value: "stopped", Reason: "works"}))
	refused("while Monitor is stopped", "switch", policy.EvenIfUp, policy.EvenIfTried)
	b.must(b.Store.SetControl(ctx, store.Control{Name: store.ControlStop}))
	b.must(b.Store.SetControl(ctx, store.Control{Name: store.ControlMode, Value: "observe"}))
	refused("in observe mode", "mode", policy.EvenIfUp, policy.EvenIfTried)
	b.must(b.Store.SetControl(ctx, store.Control{Name: store.ControlMode}))
	b.must(b.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "node", Target: sick, Reason: "moved", Starts: time.Now().Add(-time.Hour)}))
	refused("on the blacklist", "blacklist", policy.EvenIfUp, policy.EvenIfTried)
	b.must(b.Store.RemoveBlacklist(ctx, "node", sick))
	b.inPLC("boot_state", "safeboot")
	refused("in somebody's hands", "boot state", policy.EvenIfUp, policy.EvenIfTried)
	b.inPLC("boot_state", "boot")
	b.sweepEnds(store.Sweep{Reason: "half the fleet is gone"})
	refused("without a lease", "lease", policy.EvenIfUp, policy.EvenIfTried)
	b.sweepEnds(store.Sweep{Believed: true, Counts: map[string]int{"nodes": 100, "pcus": 100}})
	b.wantCuts(0)
	b.wantClaims()

	s := b.ordered("at last", request.Reboot)
	if res := b.try(&s); res.Outcome != issue.Acted {
		t.Errorf("nothing forbids it, and it is answered %+v", res)
	}
	b.wantCuts(1)
}

func TestRequest_AnOpenIssueWaitsForThePersonsOrder(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	b.open(issue.NodeDown+"/"+sick, issue.NodeDown, sick)
	s := b.ordered("run", request.Reboot)
	res, err := b.Power.Reboot(ctx, b.task(issue.NodeDown, "0", rebootRung))
	b.want(res, err, issue.Wait, "a person's order is under way")
	if res.Check != "covered" {
		t.Errorf("it waits for %q", res.Check)
	}
	b.wantCuts(0)
	s.End, s.Ended = request.Cancelled, time.Now()
	b.done(s, request.Cancelled)
	if !slices.Contains(b.tc.signals, issue.NodeDown+"/"+sick+" "+SignalRetry) {
		t.Errorf("the issue is not told that it may go on: %q", b.tc.signals)
	}
	res, err = b.Power.Reboot(ctx, b.task(issue.NodeDown, "0", rebootRung))
	b.want(res, err, issue.Acted, "read back on")
	b.wantCuts(1)
}

// A request whose workflow is gone holds nothing: the sweep lets its claim go, and gives the boot state back.
func TestRequest_WhatALostOneHeldIsGivenBack(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	s := b.ordered("run", request.Reinstall)
	if res := b.try(&s); res.Outcome != issue.Acted {
		t.Fatalf("answered %+v", res)
	}
	b.wantClaims("request", "boot state")
	_, err := b.Reconciler.Reconcile(ctx)
	b.must(err)
	b.wantClaims("request", "boot state") // it runs
	b.tc.gone = []string{request.ID(sick)}
	_, err = b.Reconciler.Reconcile(ctx)
	b.must(err)
	b.wantClaims()
	b.wantState("boot")
}

func TestRequest_AReinstallationIsSetInPLCAndGivenBackIfTheNodeStaysAway(t *testing.T) {
	b := newBench(t)
	b.hung()
	s := b.ordered("run", request.Reinstall)
	if res := b.try(&s); res.Outcome != issue.Acted {
		t.Fatalf("answered %+v", res)
	}
	b.wantCuts(1)
	b.wantClaims("request", "boot state") // PLC itself forgets it as soon as the node has booted
	b.done(s, request.NotBack)
	b.wantState("boot")
	b.wantClaims()
}

// Where nothing cuts the power and nobody gets in, a reinstallation is left to the next boot, and stays what the person
// wants.
func TestRequest_WithoutAnyOtherWayPLCIsTold(t *testing.T) {
	b := newBench(t)
	b.hung()
	b.noPCU()
	s := b.ordered("run", request.Reinstall)
	var says []string
	for s.End == "" {
		says = append(says, string(s.NextWay())+": "+b.try(&s).Reason)
	}
	b.wantState("reinstall")
	b.wantCuts(0)
	b.done(s, request.Done)
	b.wantState("reinstall")
	if len(says) != 3 || !strings.Contains(says[0], "no PCU feeds it") || !strings.Contains(says[1], "cannot be entered") ||
		!strings.Contains(says[2], "it is reinstalled when it next boots") {
		t.Errorf("its ways say %q", says)
	}
}

// noPCU takes over that PLC has no PCU for the sick node.
func (b *bench) noPCU() {
	b.Helper()
	id := b.pcuID()
	b.w.DB.Set("PCUs", id, "node_ids", []any{})
	b.w.DB.Set("PCUs", id, "ports", []any{})
	b.inPLC("pcu_ids", []any{})
	b.inPLC("ports", []any{})
	b.sync()
}

func TestRequest_ANodeThatAnswersIsRestartedOverSSH(t *testing.T) {
	b := newBench(t)
	b.noPCU()
	b.must(b.w.Break(sick, testbed.Fault{State: fakenode.Debug, FixedBy: testbed.Nobody}))
	b.w.TellHostKey(sick)
	s := b.ordered("run", request.Reboot)
	if res := b.try(&s); res.Check != "answers" || s.End != request.Refused {
		t.Fatalf("without --even-if-up it is answered %+v", res)
	}
	s = b.ordered("run2", request.Reboot, policy.EvenIfUp)
	if res := b.try(&s); res.Outcome != issue.Passed || !strings.Contains(res.Reason, "no PCU feeds it") {
		t.Fatalf("the first way answers %+v", res)
	}
	for range 2 {
		res, err := b.Requests.TryRequest(b.Context(), s)
		b.want(res, err, issue.Acted, "restarted over ssh")
	}
	b.until("the node restarts", func() bool { return len(b.w.Told(sick)) > 0 })
	if told := b.w.Told(sick); !slices.Equal(told, []string{"shutdown -r now"}) {
		t.Errorf("it was told %q", told)
	}
	b.wantCuts(0)
	b.wantLedger(request.ID(sick), "order", "skip skipped", "order", "skip skipped", "reboot sent")
}

// A restart that a node surely did not take is none: what was set for it is given back, and the next way is tried.
func TestRequest_ARestartThatSurelyDidNotHappenIsNone(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.noPCU()
	s := b.ordered("run", request.Reinstall, policy.EvenIfUp)
	n, err := b.Store.Node(ctx, sick)
	b.must(err)
	target := b.Boot.Enter(n.Hostname, n.IP)
	target.HostKey = func(ssh.PublicKey) error { return nil }
	conn, err := bootman.Dial(ctx, target)
	b.must(err)
	defer conn.Close()
	res, err := b.Requests.commandSSH(ctx, taskOf(s), policy.ActReinstallSSH, n, conn)
	b.want(res, err, issue.Passed, "restart the node") // a node of the testbed that runs knows no such command
	b.wantState("boot")
	b.wantClaims("request")
	b.wantLedger(request.ID(sick), "order", "reinstall failed")
}

func TestRequest_ABootStateIsSetAndMonitorGivesNothingBack(t *testing.T) {
	b := newBench(t)
	b.inPLC("boot_state", "disabled")
	b.must(b.Store.Take(b.Context(), store.Claim{Kind: store.ClaimNodeDisabled, Target: sick, Site: site, Was: "safeboot", SetTo: "disabled",
		Issue: issue.OldBootCD + "/" + sick, Key: "k"}))
	s := b.ordered("run", request.BootState)
	if res := b.try(&s); res.Outcome != issue.Acted || s.End != request.Done {
		t.Fatalf("answered %+v, ends as %s", res, s.End)
	}
	b.wantState("boot")
	b.done(s, request.Done)
	b.wantClaims()
}

// A dry run asks the same gate, and leaves nothing behind.
func TestRequest_ADryRunDoesNothing(t *testing.T) {
	b := newBench(t)
	b.hung()
	in := request.Input{Node: sick, Act: request.Reboot, DryRun: true,
		Order: policy.Order{By: "alice", Role: policy.RoleOperator, Reason: "it hangs"}}
	before := b.count()
	s := b.opened("dry", in)
	res, err := b.Requests.TryRequest(b.Context(), s)
	b.want(res, err, issue.Acted, "would cycle outlet 1 of "+pcu)
	b.must(b.Store.AddBlacklist(b.Context(), store.BlacklistEntry{Kind: "site", Target: site, Reason: "moved", Starts: time.Now().Add(-time.Hour)}))
	res, err = b.Requests.TryRequest(b.Context(), s)
	b.want(res, err, issue.Wait, "exempt: moved")
	b.wantCuts(0)
	b.wantClaims()
	if after := b.count(); after != before {
		t.Errorf("the ledger has %d lines more", after-before)
	}
}

// count is how many lines the ledger has.
func (b *bench) count() int {
	b.Helper()
	list, err := b.Store.Actions(b.Context(), store.ActionFilter{Limit: 10_000})
	b.must(err)
	return len(list)
}

// A person of the site may do what Monitor may, and passes over nothing.
func TestRequest_PeopleOfASiteNeverPassOverACheck(t *testing.T) {
	b := newBench(t)
	for _, in := range []request.Input{
		{Act: request.Reboot, Order: policy.Order{Waives: []policy.Waiver{policy.EvenIfUp}}},
		{Act: request.BootState, State: "disabled"},
	} {
		in.Node, in.Order.By, in.Order.Role, in.Order.Reason = sick, "bob", policy.RoleSite, "please"
		if _, err := b.Requests.OpenRequest(b.Context(), RequestStart{ID: request.ID(sick), Run: "r", Input: in}); err == nil {
			t.Errorf("%+v is taken", in)
		}
	}
	b.hung()
	s := b.opened("run", request.Input{Node: sick, Act: request.Reboot,
		Order: policy.Order{By: "bob", Role: policy.RoleSite, Reason: "please"}})
	if res := b.try(&s); res.Outcome != issue.Acted {
		t.Errorf("a silent node of his own is answered %+v", res)
	}
	b.wantCuts(1)
}

// A worker may die between any two steps of a restart over ssh: the next try knows, and restarts nothing again.
func TestRequest_ADeadWorkersTryOverSSHIsNeverRepeated(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	for _, c := range []struct {
		name    string
		commit  bool
		outcome issue.Outcome
	}{{"before its point of no return", false, issue.Wait}, {"after it", true, issue.Acted}} {
		s := b.ordered(strings.ReplaceAll(c.name, " ", "-"), request.Reboot, policy.EvenIfUp)
		s.Input.Ways = []request.Way{request.BySSH}
		data, err := json.Marshal(sshData{request.BySSH})
		b.must(err)
		_, _, err = b.Store.Intent(ctx, store.Action{Key: s.Key(), Kind: store.KindReboot, Issue: s.ID, RunID: s.Run, Node: sick,
			Site: site, Data: data})
		b.must(err)
		if c.commit {
			_, err = b.Store.Commit(ctx, s.Key())
			b.must(err)
		}
		for range 2 {
			res, err := b.Requests.TryRequest(ctx, s)
			b.want(res, err, c.outcome, "")
		}
		if told := b.w.Told(sick); len(told) > 0 {
			t.Errorf("%s: it was told %q", c.name, told)
		}
	}
}

func TestOutlet_ByNameUnderGateLockAndLedger(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	do := func(op request.Operation, outlet int, waives ...policy.Waiver) request.OutletAnswer {
		t.Helper()
		answer, err := b.Requests.OperateOutlet(ctx, request.Outlet{PCU: pcu, PCUID: b.pcuID(), Outlet: outlet, Operation: op,
			Order: policy.Order{By: fmt.Sprintf("alice%d", time.Now().UnixNano()), Role: policy.RoleOperator, Reason: "works", Waives: waives}})
		b.must(err)
		return answer
	}
	if a := do(request.Test, 0); a.Error != "" {
		t.Errorf("test: %+v", a)
	}
	if a := do(request.Status, 1); a.After != "on" || !slices.Equal(a.Nodes, []string{sick}) {
		t.Errorf("status: %+v", a)
	}
	b.pcuIs(policy.StatusGood)
	if a := do(request.Off, 1); a.Check != "answers" {
		t.Errorf("off, though the node is up: %+v", a)
	}
	b.wantOutlet(pcucontrol.On)
	b.must(b.w.Break(sick, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Nobody}))
	b.hung()
	b.must(b.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "pcu", Target: pcu, Reason: "new firmware", Starts: time.Now().Add(-time.Hour)}))
	if a := do(request.On, 1); a.Check != "blacklist" {
		t.Errorf("a PCU on the blacklist: %+v", a)
	}
	b.must(b.Store.RemoveBlacklist(ctx, "pcu", pcu))
	if a := do(request.Off, 1); a.After != "off" || a.Error != "" || a.Refused != "" {
		t.Errorf("off: %+v", a)
	}
	b.wantOutlet(pcucontrol.Off)
	id := request.OutletType + "/" + pcu + "/1"
	b.wantLedger(id, "reboot done")
	if a := do(request.On, 1); !strings.Contains(a.Note, "is not repeated") { // out of an activity every order has the same key
		t.Errorf("the same key once more: %+v", a)
	}
	b.wantOutlet(pcucontrol.Off)
}

// An outlet that a person had cycled and whose device left it off is owed on, as one that Monitor itself cycles, until
// somebody orders otherwise. Every node on it is asked for, at whatever site it is.
func TestOutlet_OneThatACycleLeavesOffIsOwed(t *testing.T) {
	b := newBench(t, testbed.Site{Login: site, Nodes: 1}, testbed.Site{Login: "oslo", Nodes: 1})
	ctx := b.Context()
	b.Policy.OwedAfter, b.Policy.BootGrace = 0, 0
	b.hung()
	operate := func(op request.Operation) request.OutletAnswer {
		t.Helper()
		answer, err := b.Requests.OperateOutlet(ctx, request.Outlet{PCU: pcu, PCUID: b.pcuID(), Outlet: 1, Operation: op,
			Order: policy.Order{By: "alice", Role: policy.RoleOperator, Reason: "works"}})
		b.must(err)
		return answer
	}
	b.sql(fmt.Sprintf(`update node set feeds = '[{"pcu_id":%d,"outlet":1}]' where site = 'oslo'`, b.pcuID()))
	if a := operate(request.Cycle); a.Check != "answers" || !strings.Contains(a.Refused, "planetlab1.oslo.example") {
		t.Errorf("a node of another site is on the same outlet, and runs: %+v", a)
	}
	b.sql(`update node set feeds = '[]' where site = 'oslo'`)
	b.w.BreakPCU(site, "stays off")
	for range 2 { // the second finds what the first has left
		if a := operate(request.Cycle); !strings.Contains(a.Error+a.Note, "every sweep tries to turn it on") {
			t.Errorf("the device leaves it off, and the answer is %+v", a)
		}
	}
	b.wantClaims("outlet")
	b.w.BreakPCU(site, "")
	b.reconcile()
	b.wantClaims()
	b.wantOutlet(pcucontrol.On)
	b.wantCuts(1)

	b.sql("delete from action where kind = 'reboot'") // so that the next order has a key of its own
	b.owe(site, b.pcuID())
	b.Policy.PCUOfflineToDown = 0 // for so long nobody could turn it on
	if a := operate(request.Off); a.After != "off" {
		t.Errorf("off: %+v", a)
	}
	b.wantClaims()
	b.reconcile()
	b.wantOutlet(pcucontrol.Off)
}

// operates has a person switch the outlet of the sick node, with an order of its own.
func (b *bench) operates(by string, op request.Operation) request.OutletAnswer {
	b.Helper()
	b.sql("update action set key = key || '-' || id")
	answer, err := b.Requests.OperateOutlet(b.Context(), request.Outlet{PCU: pcu, PCUID: b.pcuID(), Outlet: 1,
		Operation: op, Order: policy.Order{By: by, Role: policy.RoleOperator, Reason: "its fan is replaced",
			Waives: []policy.Waiver{policy.EvenIfTried}}})
	b.must(err)
	return answer
}

func (b *bench) operate(op request.Operation) {
	b.Helper()
	if answer := b.operates("alice", op); answer.Refused != "" || answer.Error != "" {
		b.Fatalf("%s: %+v", op, answer)
	}
}

// refused wants a check of the gate to refuse another person's reboot of the sick node.
func (b *bench) refused(check string) {
	b.Helper()
	s := b.ordered(check, request.Reboot)
	if res := b.try(&s); res.Check != check {
		b.Errorf("another person's order is answered %+v", res)
	}
	b.must(b.Requests.EndRequest(b.Context(), s))
}

// Somebody may have his hands in a machine whose power was turned off by an order: nothing turns it on, and nobody is
// blamed for it, until a person says so or it has answered since.
func TestOutlet_WhatAPersonTurnsOffStaysOff(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	b.operate(request.Off)
	b.sql("update action set committed = committed - interval '1 hour'")
	b.sql("update node set first_silent = now() - interval '30 minutes'") // the first sweep after the order
	b.fed = "renamed.example"
	b.sql("update pcu set name = 'renamed.example'")
	for name, rung := range map[string]func(context.Context, issue.Request) (issue.Result, error){
		"reboot": b.Power.Reboot, "email": b.People.Email, "flag": b.People.Flag} {
		res, err := rung(ctx, b.task(issue.NodeDown, name, rebootRung))
		b.want(res, err, issue.Wait, "alice turns outlet 1 of "+pcu+": off: its fan is replaced")
	}
	b.refused("held off")
	if a := b.operates("bob", request.Cycle); a.Check != "held off" || !strings.Contains(a.Refused, "alice turns outlet 1") {
		t.Errorf("another person's cycle of it is answered %+v", a)
	}
	b.sql("update action set data = data - 'operation'") // what is not known may be that
	res, err := b.Power.Reboot(ctx, b.task(issue.NodeDown, "unreadable", rebootRung))
	b.want(res, err, issue.Wait, "alice turns outlet 1 of ")
	b.wantOutlet(pcucontrol.Off)
	b.wantCuts(1)
}

func TestOutlet_WhatAPersonTurnsOnIsGivenItsTime(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	b.operate(request.Off)
	b.sql("update action set committed = committed - interval '1 hour'")
	b.operate(request.On)
	b.refused("booting")
	b.operate(request.Off) // of the same outlet, which is newer
	b.wantOutlet(pcucontrol.Off)
	b.sql("update action set committed = committed - interval '8 days', at = at - interval '8 days'")
	b.operate(request.On)
	res, err := b.Power.Reboot(ctx, b.task(issue.NodeDown, "just on", rebootRung))
	b.want(res, err, issue.Wait, "a person turned it on")
	if step := b.Policy.MachineStep; time.Until(res.Until) < step-time.Minute || time.Until(res.Until) > step {
		t.Errorf("it is given until %s, and a power cycle %s", res.Until, step)
	}
	b.wantCuts(2)
	b.sql("update action set committed = committed - interval '25 hours'")
	res, err = b.Power.Reboot(ctx, b.task(issue.NodeDown, "on", rebootRung))
	b.want(res, err, issue.Acted, "read back on")
	b.wantCuts(3)
}

// A node that has answered since a person turned it off was turned on by hand, or has another feed.
func TestOutlet_WhatHasAnsweredSinceIsNotOff(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	b.operate(request.Off)
	alone := func() bool {
		t.Helper()
		leftAlone, err := b.Power.gate.leftAlone(ctx)
		b.must(err)
		n, err := b.Store.Node(ctx, sick)
		b.must(err)
		return leftAlone(n)
	}
	b.sql("update action set committed = now() - interval '1 day'")
	b.sql("update node set first_silent = now() - interval '2 days'")
	if !alone() {
		t.Error("a node that a person turned off counts against its site")
	}
	b.sql("update node set first_silent = null") // as one that runs on its other feed
	if alone() {
		t.Error("a node that runs is held off")
	}
	b.sql("update node set first_silent = now() - interval '2 days'")
	b.sql("update action set committed = now() - interval '60 days'")
	res, err := b.Power.Reboot(ctx, b.task(issue.NodeDown, "since", rebootRung))
	b.want(res, err, issue.Acted, "read back on")
	b.wantOutlet(pcucontrol.On)
}
