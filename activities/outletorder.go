package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

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
	nodes, err := a.fedBy(ctx, pcu, in.Outlet)
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

// fedBy are the nodes that an outlet feeds.
func (a *Requests) fedBy(ctx context.Context, p store.PCU, outlet int) ([]store.Node, error) {
	nodes, err := a.Store.NodesOfSite(ctx, p.Site)
	return slices.DeleteFunc(nodes, func(n store.Node) bool {
		return n.Gone || !slices.Contains(feedsOf(n), store.Feed{PCUID: p.PCUID, Outlet: outlet})
	}), err
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
	id, run := fmt.Sprintf("%s/%s/%d", request.OutletType, in.PCU, in.Outlet), ""
	if activity.IsActivity(ctx) {
		w := activity.GetInfo(ctx).WorkflowExecution
		id, run = w.ID, w.RunID
	}
	key := id + "/" + run
	before, err := a.Store.Action(ctx, key)
	switch {
	case err == nil:
		return a.settleOutlet(ctx, answer, o, before)
	case !errors.Is(err, store.ErrNotFound):
		return answer, err
	}
	no, err := a.forbidsOutlet(ctx, key, in, o.pcu, nodes)
	if err != nil || !no.Do {
		answer.Check, answer.Refused = no.Check, no.Reason
		return answer, err
	}
	data, err := json.Marshal(outletData{[]store.Feed{{PCUID: in.PCUID, Outlet: in.Outlet}}, in.Operation})
	if err != nil {
		return answer, err
	}
	plan := store.Plan{Action: store.Action{Key: key, Kind: store.KindOutlet, Issue: id, RunID: run, Site: o.pcu.Site,
		PCUID: in.PCUID, Data: data, Reason: clean.Line(fmt.Sprintf("%s turns outlet %d of %s: %s: %s", in.Order.By, in.Outlet, in.PCU,
			in.Operation, in.Order.Reason))}}
	if in.Operation != request.On && len(nodes) > 0 { // it is a power cut of the node, and counts as one
		plan.Kind, plan.Node, plan.Budget = store.KindReboot, nodes[0].Hostname, a.gate.budget(policy.ActReboot)
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
	outcome := store.Sent
	switch {
	case err == nil && result.Verified:
		outcome = store.Done
	case err != nil && pcucontrol.KindOf(err) == pcucontrol.Ambiguous || err != nil && pcucontrol.KindOf(err) == "":
		outcome = store.Ambiguous
	case err != nil:
		outcome = store.Failed
	}
	detail := fmt.Sprintf("%s, was %s; %s%s", answer.After, answer.Before, answer.Note, answer.Error)
	return answer, a.Store.Outcome(ctx, key, outcome, clean.Line(detail))
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

// settleOutlet is what a try does that finds its own intent: it reads, and switches nothing.
func (a *Requests) settleOutlet(ctx context.Context, answer request.OutletAnswer, o *outlet,
	before store.Action) (request.OutletAnswer, error) {
	result, err := o.run(ctx, a.power.outlets.PCUs.Status)
	answer = outletTold(answer, result, err)
	answer.Before, answer.Verified = "", before.Outcome == store.Done
	answer.Note = "an earlier try has been here, and it is not repeated: " + before.Detail
	switch {
	case before.Outcome != "":
		return answer, nil
	case !before.Begun():
		answer.Error = "its worker ended before it began"
		return answer, a.Store.Outcome(ctx, before.Key, store.Failed, answer.Error)
	}
	answer.Kind, answer.Error = string(pcucontrol.Ambiguous), "the worker ended before it knew whether this was done"
	return answer, a.Store.Outcome(ctx, before.Key, store.Ambiguous, answer.Error)
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
		facts.Order = in.Order
		if answer = policy.Ask(a.Policy, facts, a.now()); !answer.Do {
			answer.Reason = n.Hostname + ": " + answer.Reason
			return answer, nil
		}
	}
	return answer, nil
}
