package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/store"
)

// OperateOutlet does what a person orders of an outlet, by Monitor's own records and credentials. What switches passes
// the gate, for the outlet and for each node that it feeds, and stands in the ledger; it is never repeated.
func (a *Requests) OperateOutlet(ctx context.Context, in request.Outlet) (request.OutletAnswer, error) {
	defer heartbeat(ctx)()
	answer := request.OutletAnswer{Outlet: in, Nodes: []string{}}
	if err := in.Check(); err != nil {
		return answer, badRequest("%v", err)
	}
	feeds, release, err := a.power.outlets.lock(ctx, []store.Feed{{PCUID: in.PCUID, Outlet: in.Outlet}})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return answer, noTarget("there is no PCU %d any more", in.PCUID)
	case errors.Is(err, store.ErrBusy):
		answer.Kind, answer.Error = string(pcucontrol.Busy), err.Error()
		return answer, nil
	case err != nil:
		return answer, err
	}
	defer release()
	pcu := feeds[0].pcu
	nodes, err := a.Store.NodesFedBy(ctx, store.Feed{PCUID: in.PCUID, Outlet: in.Outlet})
	if err != nil {
		return answer, err
	}
	for _, n := range nodes {
		answer.Nodes = append(answer.Nodes, n.Hostname)
	}
	o, err := a.power.outlets.outlet(ctx, pcu, in.Outlet)
	if err != nil {
		answer.Error = clean.Line(err.Error())
		return answer, nil
	}
	if !in.Operation.Switches() {
		do := a.power.outlets.PCUs.Status
		if in.Operation == request.Test {
			do = a.power.outlets.PCUs.Test
		}
		result, err := o.run(ctx, do)
		return outletTold(answer, result, err), nil
	}
	return a.switchOutlet(ctx, in, answer, o, nodes)
}

// outletID names the orders to an outlet in the ledger.
func outletID(pcu string, outlet int) string {
	return fmt.Sprintf("%s/%s/%d", request.OutletType, pcu, outlet)
}

func outletTold(answer request.OutletAnswer, r pcucontrol.Result, err error) request.OutletAnswer {
	answer.Before, answer.After, answer.Verified, answer.Note = string(r.Before), string(r.After), r.Verified, clean.Line(r.Note)
	if err != nil {
		answer.Kind, answer.Error = string(pcucontrol.KindOf(err)), clean.Line(err.Error())
	}
	return answer
}

// outletData is what the ledger keeps of an operation on an outlet.
type outletData struct {
	Feeds     []store.Feed      `json:"feeds"`
	Operation request.Operation `json:"operation"`
}

func (a *Requests) switchOutlet(ctx context.Context, in request.Outlet, answer request.OutletAnswer, o *outlet,
	nodes []store.Node) (request.OutletAnswer, error) {
	id, run := outletID(in.PCU, in.Outlet), ""
	if activity.IsActivity(ctx) {
		w := activity.GetInfo(ctx).WorkflowExecution
		id, run = w.ID, w.RunID
	}
	key := id + "/" + run
	before, err := a.Store.Action(ctx, key)
	switch {
	case err == nil:
		return a.settleOutlet(ctx, in, answer, o, before)
	case !errors.Is(err, store.ErrNotFound):
		return answer, err
	}
	no, err := a.forbidsOutlet(ctx, key, in, o.pcu, nodes)
	if err != nil || !no.Do {
		answer.Check, answer.Refused = no.Check, no.Reason
		return answer, err
	}
	plan, err := a.outletPlan(store.Action{Key: key, Kind: store.KindOutlet, Issue: id, RunID: run, Site: o.pcu.Site,
		PCUID: in.PCUID}, in, nodes)
	if err != nil {
		return answer, err
	}
	_, _, over, err := a.Store.Begin(ctx, plan)
	if err != nil {
		return answer, err
	}
	if over != nil {
		answer.Check, answer.Refused = "budget", fmt.Sprintf("the %s's budget of %d an hour is spent", over.Where, over.Limit)
		return answer, nil
	}
	if mine, err := a.Store.Commit(ctx, key); err != nil || !mine {
		answer.Error = "another try of the same order is under way"
		return answer, err
	}
	ctx = context.WithoutCancel(ctx)
	result, err := o.run(ctx, a.operation(in.Operation))
	answer = outletTold(answer, result, err)
	return a.endOutlet(ctx, key, in, answer, o, err)
}

// outletPlan is what is written down before an outlet is switched.
func (a *Requests) outletPlan(action store.Action, in request.Outlet, nodes []store.Node) (p store.Plan, err error) {
	fed := store.Feed{PCUID: in.PCUID, Outlet: in.Outlet}
	p.Action = action
	p.Reason = clean.Line(fmt.Sprintf("%s turns outlet %d of %s: %s: %s", in.Order.By, in.Outlet, in.PCU, in.Operation,
		in.Order.Reason))
	if p.Data, err = json.Marshal(outletData{[]store.Feed{fed}, in.Operation}); err != nil {
		return p, err
	}
	if in.Operation != request.On && len(nodes) > 0 { // it is a power cut of the node, and counts as one
		p.Kind, p.Node, p.Budget = store.KindReboot, nodes[0].Hostname, a.gate.budget(policy.ActReboot)
	}
	if in.Operation != request.Cycle {
		return p, nil
	}
	owed, err := json.Marshal(fed) // who wants it cycled wants it on in the end
	p.Claims = []store.Claim{{Kind: store.ClaimOutlet, Target: outletName(fed.PCUID, fed.Outlet), Was: "on", SetTo: "on",
		Data: owed}}
	return p, err
}

// endOutlet writes down what became of an operation.
func (a *Requests) endOutlet(ctx context.Context, key string, in request.Outlet, answer request.OutletAnswer, o *outlet,
	err error) (request.OutletAnswer, error) {
	outcome := store.Sent
	switch kind := pcucontrol.KindOf(err); {
	case err == nil && answer.Verified:
		outcome = store.Done
	case err != nil && (kind == pcucontrol.Ambiguous || kind == ""):
		return a.outletLost(ctx, key, answer, o, in.Operation, answer.Error)
	case err != nil:
		outcome = store.Failed
	}
	if outcome != store.Failed { // a person's word is newer than what a command before it left
		if err := a.Store.ReleaseOutlet(ctx, "", outletName(in.PCUID, in.Outlet), in.Operation != request.Off,
			clean.Line(fmt.Sprintf("%s ordered: %s", in.Order.By, in.Operation))); err != nil {
			return answer, err
		}
	}
	detail := fmt.Sprintf("%s, was %s", answer.After, answer.Before)
	if more := answer.Note + answer.Error; more != "" {
		detail += "; " + more
	}
	return answer, a.Store.Settle(ctx, key, outcome, clean.Line(detail), []store.ClaimKind{store.ClaimOutlet})
}

// outletLost writes down an operation of which nobody knows whether it was done. One that was to leave the outlet on
// turns it on now; where that cannot be said it stays owed, and every sweep tries again.
func (a *Requests) outletLost(ctx context.Context, key string, answer request.OutletAnswer, o *outlet,
	operation request.Operation, why string) (request.OutletAnswer, error) {
	answer.Kind, answer.Error = string(pcucontrol.Ambiguous), why
	if operation != request.Cycle {
		return answer, a.Store.Outcome(ctx, key, store.Ambiguous, clean.Line(why))
	}
	state := outletSet{o}.turnOn(ctx)
	switch {
	case state.on:
		answer.After, answer.Error = string(pcucontrol.On), why+"; the outlet is on now"
	case !state.untold:
		answer.After, answer.Error = string(pcucontrol.Unknown),
			why+"; the outlet may be off, and every sweep tries to turn it on: "+state.why
	}
	if state.on || state.untold {
		if err := a.power.outlets.areBack(ctx, outletID(answer.PCU, o.target.Outlet), outletSet{o},
			clean.Line(answer.Error)); err != nil {
			return answer, err
		}
	}
	return answer, a.Store.Outcome(ctx, key, store.Ambiguous, clean.Line(answer.Error))
}

func (a *Requests) operation(o request.Operation) func(context.Context, pcucontrol.Target) (pcucontrol.Result, error) {
	switch o {
	case request.On:
		return a.power.outlets.PCUs.TurnOn
	case request.Off:
		return a.power.outlets.PCUs.TurnOff
	}
	return a.power.outlets.PCUs.Cycle
}

// settleOutlet is what a try does that finds its own intent: it gives the command to nobody a second time, and only turns
// on what was to be on in the end.
func (a *Requests) settleOutlet(ctx context.Context, in request.Outlet, answer request.OutletAnswer, o *outlet,
	before store.Action) (request.OutletAnswer, error) {
	if before.Outcome == "" && !before.Begun() {
		const never = "its worker ended before it began"
		begun, err := a.Store.GiveUp(ctx, before.Key, never, store.ClaimOutlet)
		if answer.Error = never; begun {
			answer.Kind, answer.Error = string(pcucontrol.Ambiguous), "another try gives the same command just now"
		}
		return answer, err
	}
	result, err := o.run(ctx, a.power.outlets.PCUs.Status)
	answer = outletTold(answer, result, err)
	answer.Before, answer.Verified = "", before.Outcome == store.Done
	answer.Note = "an earlier try has been here, and it is not repeated: " + before.Detail
	if before.Outcome != "" {
		return answer, nil
	}
	return a.outletLost(context.WithoutCancel(ctx), before.Key, answer, o, in.Operation,
		"the worker ended before it knew whether this was done")
}

// forbidsOutlet asks the gate for the outlet, and for each node that would lose its power. To turn one on cuts nobody's.
func (a *Requests) forbidsOutlet(ctx context.Context, key string, in request.Outlet, p store.PCU,
	nodes []store.Node) (policy.Answer, error) {
	ref := Ref{ID: key, Type: issue.PCUDown, PCU: p.Name, PCUID: p.PCUID, Site: p.Site}
	facts, err := a.gate.facts(ctx, policy.ActOutlet, ref, observation{})
	if err != nil {
		return policy.Answer{}, err
	}
	facts.Order, facts.CoveredBy, facts.Target = in.Order, "", p.Name
	answer := policy.Ask(a.Policy, facts, a.now())
	if !answer.Do || in.Operation == request.On {
		return answer, nil
	}
	for _, n := range nodes {
		ref := Ref{ID: request.ID(n.Hostname), Type: request.Type, Node: n.Hostname, Site: n.Site, PCU: p.Name, PCUID: p.PCUID}
		if order, err := a.gate.requestOf(ctx, n.Hostname); err != nil || order != "" {
			return policy.Answer{Decision: policy.Decision{Reason: order}, Check: "covered"}, err
		}
		seen, err := a.observer.observe(ctx, ref)
		if err != nil {
			return policy.Answer{}, err
		}
		if facts, err = a.gate.facts(ctx, policy.ActReboot, ref, seen); err != nil {
			return policy.Answer{}, err
		}
		facts.Order, facts.Node.TurnedOn = in.Order, time.Time{} // an order to the outlet itself is newer
		if in.Operation == request.Off {                         // and this one wants the same as who turned it off
			facts.Node.HeldOff = ""
		}
		if answer = policy.Ask(a.Policy, facts, a.now()); !answer.Do {
			answer.Reason = n.Hostname + ": " + answer.Reason
			return answer, nil
		}
	}
	return answer, nil
}
