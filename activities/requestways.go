package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/inventory"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/store"
)

// sshData marks in the ledger that a node was restarted from inside, and through no outlet.
type sshData struct {
	Way request.Way `json:"way"`
}

// wouldCut says what Power would do, by the gate that it asks.
func (a *Requests) wouldCut(ctx context.Context, t task, s request.State) (res issue.Result, err error) {
	if t.seen, err = a.observer.observe(ctx, t.ref()); err != nil {
		return res, err
	}
	if no, err := a.forbids(ctx, powerAct(s.Input.Act), t, true); err != nil || no.Outcome != "" {
		return no, err
	}
	n, err := a.Store.Node(ctx, t.ref().Node)
	if err != nil {
		return res, err
	}
	var outlets []string
	for _, f := range feedsOf(n) {
		p, err := a.Store.PCU(ctx, f.PCUID)
		if err != nil {
			return res, err
		}
		if a.power.outlets.manual(p) {
			return issue.Result{Outcome: issue.Acted, Reason: "would ask the admins to switch " + p.Name + " by hand"}, nil
		}
		outlets = append(outlets, fmt.Sprintf("outlet %d of %s", f.Outlet, p.Name))
	}
	return issue.Result{Outcome: issue.Acted, Reason: "would cycle " + strings.Join(outlets, " and ")}, nil
}

// forbids is the gate's no to an order as it stands now; one without an outcome is a yes.
func (a *Requests) forbids(ctx context.Context, act policy.Act, t task, dry bool) (issue.Result, error) {
	facts, err := a.gate.facts(ctx, act, t.ref(), t.seen)
	if err != nil {
		return issue.Result{}, err
	}
	facts.Order = t.order
	answer := policy.Ask(a.Policy, facts, a.now())
	switch {
	case answer.Do:
		return issue.Result{}, nil
	case dry:
		return resultOf(answer), nil
	}
	return a.power.rungs.refuse(ctx, t, answer)
}

// restartOverSSH restarts a node from inside: a node that answers, and is meant to be restarted all the same, or that
// no PCU feeds. A BootManager that is at work on it is not disturbed.
func (a *Requests) restartOverSSH(ctx context.Context, t task, s request.State) (res issue.Result, err error) {
	passed := func(format string, args ...any) (issue.Result, error) {
		return issue.Result{Outcome: issue.Passed, Reason: clean.Line(fmt.Sprintf(format, args...))}, nil
	}
	if t.seen, err = a.observer.observe(ctx, t.ref()); err != nil {
		return res, err
	}
	if f := t.seen.facts.Finding; f.State != policy.StateBoot && f.State != policy.StateDebug && !f.Firewall {
		return passed("it cannot be entered: %s", f.Reason)
	}
	act := policy.ActRebootSSH
	if s.Input.Act == request.Reinstall {
		if a.NoPLC != nil {
			return passed("restarted from inside it would only boot as it is: no BootManager asks for its boot state")
		}
		act = policy.ActReinstallSSH
		proven, why, err := a.boot.HostKeys.Proven(ctx, t.ref().Node)
		if err != nil || !proven { // what somebody in its place would have of us
			return passed("it is not reinstalled from inside: %s %v", why, clean.Err(err))
		}
	}
	if no, err := a.forbids(ctx, act, t, s.Input.DryRun); err != nil || no.Outcome != "" {
		return no, err
	}
	node, err := a.Store.Node(ctx, t.ref().Node)
	if err != nil {
		return res, err
	}
	target := a.boot.Enter(node.Hostname, node.IP)
	target.HostKey = func(key ssh.PublicKey) error { return a.boot.HostKeys.Check(ctx, node.Hostname, key) }
	conn, err := bootman.Dial(ctx, target)
	if err != nil {
		return passed("it lets nobody in: %v", err)
	}
	defer conn.Close()
	r, err := a.boot.Boot.Read(ctx, conn)
	if err != nil {
		return passed("it could not be read: %v", err)
	}
	if r.Running {
		return issue.Result{Outcome: issue.Wait, Reason: "a BootManager is running on it", Until: a.now().Add(a.Policy.Hour())}, nil
	}
	if s.Input.DryRun {
		return issue.Result{Outcome: issue.Acted, Reason: "would restart it over ssh"}, nil
	}
	return a.commandSSH(ctx, t, act, node, conn)
}

// commandSSH writes the intent down, sets PLC for a reinstallation, marks the point of no return, and restarts the node,
// once.
func (a *Requests) commandSSH(ctx context.Context, t task, act policy.Act, node store.Node,
	conn *bootman.Conn) (issue.Result, error) {
	kind, _ := budgetKind(act)
	data, err := json.Marshal(sshData{request.BySSH})
	if err != nil {
		return issue.Result{}, err
	}
	plan := store.Plan{Budget: a.gate.budget(act), Action: store.Action{Key: t.Key, Kind: kind, Issue: t.ref().ID,
		RunID: t.ref().Run, Node: node.Hostname, Site: node.Site, Data: data,
		Reason: clean.Line(t.order.By + " orders it: " + t.order.Reason)}}
	without := issue.Result{Outcome: issue.Passed, Reason: noInstaller}
	reinstall, res, err := a.bootStates.begin(ctx, act, node, plan, without)
	if err != nil || res.Outcome != "" {
		return res, err
	}
	if reinstall != nil {
		if err := a.bootStates.prepare(ctx, *reinstall); err != nil {
			return a.power.abandonPower(ctx, t, "the boot state could not be set: "+err.Error(), issue.Wait)
		}
	}
	if order := a.workflows.ordered(ctx); order != "" {
		return a.power.abandonPower(ctx, t, order, issue.Stopped)
	}
	if mine, err := a.Store.Commit(ctx, t.Key); err != nil || !mine {
		return issue.Result{Outcome: issue.Unknown, Reason: "another try has given the same order up meanwhile"}, err
	}
	ctx = context.WithoutCancel(ctx) // from here on it is brought to its end
	err = bootman.RestartNode(ctx, conn, false)
	switch {
	case err == nil:
		const did = "restarted over ssh"
		return issue.Result{Outcome: issue.Acted, Power: issue.Cycled, Reason: did}, a.Store.Outcome(ctx, t.Key, store.Sent, did)
	case bootman.Uncertain(err):
		why := clean.Line(err.Error()) + ": it may have been done, and is not repeated"
		return issue.Result{Outcome: issue.Acted, Power: issue.PowerLost, Reason: why},
			a.Store.Outcome(ctx, t.Key, store.Ambiguous, why)
	}
	return a.power.failedPower(ctx, t, clean.Line(err.Error()), issue.Passed)
}

// finishSSH is what a try does that finds its own intent: it restarts nothing again.
func (a *Requests) finishSSH(ctx context.Context, t task, action store.Action) (issue.Result, error) {
	switch {
	case action.Outcome == store.Sent, action.Outcome == store.Done:
		return issue.Result{Outcome: issue.Acted, Power: issue.Cycled, Reason: action.Detail}, nil
	case action.Outcome == store.Ambiguous:
		return issue.Result{Outcome: issue.Acted, Power: issue.PowerLost, Reason: action.Detail}, nil
	case action.Outcome != "":
		return issue.Result{Outcome: issue.Wait, Reason: action.Detail}, nil
	case !action.Begun():
		return a.power.abandonPower(ctx, t, "its worker ended before it began", issue.Wait)
	}
	const why = "the worker ended before it knew whether the node was restarted; it is not repeated"
	return issue.Result{Outcome: issue.Acted, Power: issue.PowerLost, Reason: why},
		a.Store.Outcome(ctx, action.Key, store.Ambiguous, why)
}

// setBootState sets what a person wants in PLC, where it stays: it is the person's wish, and none of Monitor's to undo.
// What Monitor itself had set there is no longer to be given back.
func (a *Requests) setBootState(ctx context.Context, t task, s request.State) (issue.Result, error) {
	if no, err := a.forbids(ctx, policy.ActBootState, t, s.Input.DryRun); err != nil || no.Outcome != "" {
		return no, err
	}
	if a.NoPLC != nil && wanted(s) == "reinstall" {
		return issue.Result{Outcome: issue.Passed, Reason: "no BootManager asks for its boot state"}, nil
	}
	was, err := a.Inventory.Node(ctx, t.ref().Node)
	if err != nil {
		return issue.Result{Outcome: issue.Wait, Reason: "its boot state could not be read: " + clean.Line(err.Error())}, nil
	}
	to := wanted(s)
	if s.Input.DryRun {
		return issue.Result{Outcome: issue.Acted, Reason: fmt.Sprintf("would set it from %s to %s in %s", was.BootState, to, a.from())}, nil
	}
	_, _, _, err = a.Store.Begin(ctx, store.Plan{Action: store.Action{Key: t.Key, Kind: store.KindBootState,
		Issue: t.ref().ID, RunID: t.ref().Run, Node: t.ref().Node, Site: t.ref().Site,
		Reason: clean.Line(t.order.By + " orders it: " + t.order.Reason)}})
	if err != nil {
		return issue.Result{}, err
	}
	if order := a.workflows.ordered(ctx); order != "" {
		return a.giveUpBootState(ctx, t.Key, order, issue.Stopped)
	}
	if mine, err := a.Store.Commit(ctx, t.Key); err != nil || !mine {
		return issue.Result{Outcome: issue.Unknown, Reason: anotherSets}, err
	}
	return a.writeBootState(context.WithoutCancel(ctx), t, was.BootState, to)
}

const anotherSets = "another try of the same order is under way"

// giveUpBootState ends a write that was never begun, if no other try begins it just now.
func (a *Requests) giveUpBootState(ctx context.Context, key, why string, outcome issue.Outcome) (issue.Result, error) {
	if begun, err := a.Store.GiveUp(context.WithoutCancel(ctx), key, why); err != nil || begun {
		return issue.Result{Outcome: issue.Unknown, Reason: anotherSets}, err
	}
	return issue.Result{Outcome: outcome, Reason: why}, nil
}

// wanted is the boot state that an order asks for.
func wanted(s request.State) string {
	if s.Input.Act == request.Reinstall {
		return "reinstall"
	}
	return s.Input.State
}

func (a *Requests) writeBootState(ctx context.Context, t task, was, to string) (issue.Result, error) {
	if err := a.Inventory.SetBootState(ctx, t.ref().Node, to); err != nil {
		// it may have been done: the next try looks
		return issue.Result{Outcome: issue.Unknown, Reason: clean.Line(err.Error())}, nil
	}
	did := fmt.Sprintf("%s has it at %s, and had it at %s before", a.from(), to, was)
	if to == "reinstall" {
		did += "; it is reinstalled when it next boots"
	}
	if err := a.forgetBootStates(ctx, t); err != nil {
		return issue.Result{}, err
	}
	return issue.Result{Outcome: issue.Acted, Reason: did}, a.Store.Outcome(ctx, t.Key, store.Done, did)
}

// forgetBootStates ends what Monitor meant to give back: the person's word is newer.
func (a *Requests) forgetBootStates(ctx context.Context, t task) error {
	var all []error
	for _, kind := range []store.ClaimKind{store.ClaimBootState, store.ClaimNodeDisabled} {
		held, err := a.Store.Claims(ctx, store.ClaimFilter{Kind: kind, Target: t.ref().Node})
		all = append(all, err)
		for _, c := range held {
			if err := a.bootStates.tell(ctx, c, inventory.Undo); err != nil { // the claim stays, and every sweep tries
				a.Log.Warn("a node may still be installed when it boots", "node", c.Target, "error", err)
				continue
			}
			all = append(all, a.Store.Release(ctx, c.ID, t.order.By+" has ordered another boot state"))
		}
	}
	return errors.Join(all...)
}

// finishBootState finds out whether a write whose answer was lost took effect, and writes again where it did not: PLC
// takes the same value twice without harm.
func (a *Requests) finishBootState(ctx context.Context, t task, s request.State, action store.Action) (issue.Result, error) {
	switch {
	case action.Outcome == store.Done:
		return issue.Result{Outcome: issue.Acted, Reason: action.Detail}, nil
	case action.Outcome != "":
		return issue.Result{Outcome: issue.Wait, Reason: action.Detail}, nil
	case !action.Begun():
		return a.giveUpBootState(ctx, action.Key, "its worker ended before it began", issue.Wait)
	}
	if a.now().Sub(action.Committed) > time.Duration(lostWrite)*a.Inventory.Timeout() {
		why := a.from() + " did not answer, and what it has is not known"
		return issue.Result{Outcome: issue.Acted, Power: issue.PowerLost, Reason: why},
			a.Store.Outcome(ctx, action.Key, store.Ambiguous, why)
	}
	return a.writeBootState(ctx, t, "something else", wanted(s))
}
