package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/inventory"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// Power are the rungs that cut a node's power: Reboot and Reinstall.
type Power struct {
	*ledger
	rungs      *rungs
	gate       *gate
	observer   *observer
	outlets    *outlets
	bootStates *bootStates
	post       *post
	Inventory  inventory.Keeper
}

// Reboot power-cycles the node of an issue through the PCUs that feed it.
func (a *Power) Reboot(ctx context.Context, req issue.Request) (issue.Result, error) {
	return a.powerRung(ctx, req, policy.ActReboot)
}

// Reinstall sets the node to reinstall in PLC, or without PLC has it boot from the network once, then power-cycles it.
// What was before is a claim: it is given back when the power cycle surely did not happen, or when the issue ends and the node did not take it up.
func (a *Power) Reinstall(ctx context.Context, req issue.Request) (issue.Result, error) {
	return a.powerRung(ctx, req, policy.ActReinstall)
}

// The way of a power command, in the order of the functions below:
//
//	powerRung     what an earlier try has begun is brought to its end, whatever anybody says by now; else
//	decidePower   the PCUs are locked, the node is looked at, and the gate is asked
//	beginPower    intent, claims and budget are written in one transaction; for a reinstall PLC is set
//	commandPower  the gate is asked once more, the point of no return is marked, and the command given, once
//	settlePower   what became of it is written down, with what is still owed

func (a *Power) powerRung(ctx context.Context, req issue.Request, act policy.Act) (issue.Result, error) {
	action, err := a.Store.Action(ctx, req.Key)
	if err == nil {
		defer heartbeat(ctx)()
		res, err := a.finishPower(ctx, task{Request: req}, action)
		if err != nil {
			return res, err
		}
		return res, a.rungs.save(ctx, req, res)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return issue.Result{}, err
	}
	return a.rungs.run(ctx, req, func(ctx context.Context, t task) (issue.Result, error) {
		return a.decidePower(ctx, t, act)
	})
}

// decidePower asks the gate under the locks of the PCUs: nobody else drives them from here on. The look that came
// before the locks is taken again, since one may have waited for them.
func (a *Power) decidePower(ctx context.Context, t task, act policy.Act) (issue.Result, error) {
	if why := t.State.Lacks(t.Rung); why != "" {
		return issue.Result{Outcome: issue.Passed, Reason: why}, nil
	}
	node, err := a.Store.Node(ctx, t.ref().Node)
	if err != nil {
		return issue.Result{}, err
	}
	waited := a.now()
	feeds, release, err := a.outlets.lock(ctx, feedsOf(node))
	switch {
	case ctx.Err() != nil:
		return issue.Result{}, ctx.Err()
	case errors.Is(err, store.ErrBusy):
		return issue.Result{Outcome: issue.Wait, Reason: err.Error(), Until: a.now().Add(a.Policy.Hour() / 4)}, nil
	case errors.Is(err, store.ErrNotFound):
		return issue.Result{Outcome: issue.Passed, Reason: a.from() + " does not have the PCU that it says feeds it"}, nil
	case err != nil:
		return issue.Result{}, err
	}
	defer release()
	if action, err := a.Store.Action(ctx, t.Key); err == nil { // another try was here while this one waited
		release()
		return a.finishPower(ctx, t, action)
	} else if !errors.Is(err, store.ErrNotFound) {
		return issue.Result{}, err
	}
	again, err := a.Store.Node(ctx, t.ref().Node)
	if err != nil {
		return issue.Result{}, err
	}
	if !slices.Equal(feedsOf(again), feedsOf(node)) { // the locks are those of other outlets
		return issue.Result{Outcome: issue.Wait, Reason: "its outlets have changed in " + a.from() + " meanwhile",
			Until: a.now().Add(a.Policy.Hour() / 4)}, nil
	}
	node = again
	if a.now().Sub(waited) > lookedLately {
		if t.seen, err = a.observer.observe(ctx, t.ref()); err != nil {
			return issue.Result{}, err
		}
	}
	facts, err := a.gate.facts(ctx, act, t.ref(), t.seen)
	if err != nil {
		return issue.Result{}, err
	}
	facts.Order = t.order
	if answer := policy.Ask(a.Policy, facts, a.now()); !answer.Do {
		if answer.Check == "attempts" && !t.order.Given() {
			if _, err := a.post.flagOnce(ctx, t, "hardware", answer.Reason,
				"Somebody has to look at the machine: "+answer.Reason+"."); err != nil {
				return issue.Result{}, err
			}
		}
		return a.rungs.refuse(ctx, t, answer)
	}
	for _, f := range feeds {
		if a.outlets.manual(f.pcu) {
			return a.requestManualCycle(ctx, t, act, node, f.pcu, f.outlet)
		}
	}
	return a.beginPower(ctx, t, facts, node, feeds)
}

// lookedLately is how old a look may be on which the gate is asked.
const lookedLately = 300 * time.Millisecond

// lookedBefore is how old a look may be when the command is given: between them lies what PLC took for its answers.
const lookedBefore = 5 * time.Second

// powerData is what a power command needs to be finished or undone.
type powerData struct {
	Feeds  []store.Feed `json:"feeds,omitempty"`
	ByHand bool         `json:"by_hand,omitempty"` // people are asked to do it: no budget and no window counts it
}

// beginPower writes down what is about to be done and what it takes. For a reinstall PLC is set; an answer that is lost
// there leaves the claim, so that it is set right one day.
func (a *Power) beginPower(ctx context.Context, t task, facts policy.GateFacts, node store.Node,
	feeds []feed) (issue.Result, error) {
	act := facts.Act
	kind, _ := budgetKind(act)
	var data powerData
	plan := store.Plan{Budget: a.gate.budget(act), Action: store.Action{
		Key: t.Key, Kind: kind, Issue: t.ref().ID, RunID: t.ref().Run, Node: node.Hostname, Site: node.Site,
		PCUID: feeds[0].pcu.PCUID,
		Reason: fmt.Sprintf("%s since %s: %s", node.Record.Status, node.Record.Changed.UTC().Format(time.RFC3339),
			t.seen.reason),
	}}
	if t.order.Given() {
		plan.Reason = clean.Line(fmt.Sprintf("%s orders it: %s; %s", t.order.By, t.order.Reason, plan.Reason))
	}
	for _, f := range feeds {
		one := store.Feed{PCUID: f.pcu.PCUID, Outlet: f.outlet}
		data.Feeds = append(data.Feeds, one)
		text, err := json.Marshal(one)
		if err != nil {
			return issue.Result{}, err
		}
		plan.Claims = append(plan.Claims,
			store.Claim{Kind: store.ClaimOutlet, Target: outletName(one.PCUID, one.Outlet), Was: "on",
				SetTo: "on", Data: text})
	}
	var err error
	if plan.Data, err = json.Marshal(data); err != nil {
		return issue.Result{}, err
	}
	// the gate says so, unless its outlets have changed since
	without := issue.Result{Outcome: issue.Wait, Reason: noInstaller, Until: a.now().Add(a.Policy.Hour() / 4)}
	reinstall, res, err := a.bootStates.begin(ctx, act, node, plan, without)
	if err != nil || res.Outcome != "" {
		return res, err
	}
	if reinstall != nil {
		if err := a.bootStates.prepare(ctx, *reinstall); err != nil {
			return a.abandonPower(ctx, t, "the boot state could not be set: "+err.Error(), issue.Wait)
		}
	}
	return a.commandPower(ctx, t, facts, feeds)
}

// commandPower gives the command once. What came while the intent was written and PLC was asked, as an order, a stop or
// a node that is back, stops it here at the latest.
func (a *Power) commandPower(ctx context.Context, t task, facts policy.GateFacts, feeds []feed) (issue.Result, error) {
	if order := a.rungs.workflows.ordered(ctx); order != "" {
		return a.abandonPower(ctx, t, order, issue.Stopped)
	}
	outlets, err := a.outlets.set(ctx, feeds)
	if err != nil {
		return a.abandonPower(ctx, t, err.Error(), issue.Wait)
	}
	if a.now().Sub(t.seen.at) > lookedBefore {
		if t.seen, err = a.observer.observe(ctx, t.ref()); err != nil {
			return a.abandonPower(ctx, t, "it could not be looked at again: "+err.Error(), issue.Wait)
		}
	}
	answer, err := a.gate.askAgain(ctx, t.ref(), t.seen, facts)
	if err != nil {
		return issue.Result{}, err
	}
	if !answer.Do {
		no := resultOf(answer)
		res, err := a.abandonPower(ctx, t, answer.Reason, no.Outcome)
		res.Check, res.Until = no.Check, no.Until
		return res, err
	}
	mine, err := a.Store.Commit(ctx, t.Key)
	if err != nil {
		return issue.Result{}, err
	}
	if !mine {
		return a.overtaken(ctx, t)
	}
	ctx = context.WithoutCancel(ctx) // from here on it is brought to its end
	outcome := outlets.cycle(ctx)
	return a.settlePower(ctx, t, facts.Act, outlets, outcome)
}

// overtaken is for a try that was held up for so long that another has given its intent up. What the late one has set
// in PLC since then is given back: no claim speaks of it any more.
func (a *Power) overtaken(ctx context.Context, t task) (issue.Result, error) {
	ctx = context.WithoutCancel(ctx)
	const why = "another try has given the same command up meanwhile"
	_, err := a.bootStates.release(ctx, store.ClaimFilter{Kind: store.ClaimBootState, Key: t.Key, Released: true}, why)
	return issue.Result{Outcome: issue.Unknown, Reason: why}, err
}

// abandonPower ends an intent whose command was not given: what was set for it is given back. A try that was held up,
// and without its locks, may give the command in the very moment in which another gives it up: then it is begun.
func (a *Power) abandonPower(ctx context.Context, t task, why string, outcome issue.Outcome) (issue.Result, error) {
	ctx = context.WithoutCancel(ctx)
	if begun, err := a.Store.GiveUp(ctx, t.Key, why, store.ClaimOutlet); err != nil || begun {
		return issue.Result{Outcome: issue.Unknown, Reason: "another try gives the same command just now"}, err
	}
	return a.undoPower(ctx, t, why, outcome)
}

// failedPower ends a command that was begun and surely did nothing: what was set for it is given back.
func (a *Power) failedPower(ctx context.Context, t task, why string, outcome issue.Outcome) (issue.Result, error) {
	ctx = context.WithoutCancel(ctx)
	if err := a.Store.Settle(ctx, t.Key, store.Failed, why, []store.ClaimKind{store.ClaimOutlet}); err != nil {
		return issue.Result{}, err
	}
	return a.undoPower(ctx, t, why, outcome)
}

// undoPower gives back what was set for a command that surely did nothing.
func (a *Power) undoPower(ctx context.Context, t task, why string, outcome issue.Outcome) (issue.Result, error) {
	res := issue.Result{Outcome: outcome, Reason: why, Until: a.now().Add(a.Policy.Hour())}
	if undone, err := a.bootStates.release(ctx, store.ClaimFilter{Kind: store.ClaimBootState, Key: t.Key},
		why); err != nil {
		// the claim stays, and every sweep tries again
		res.Reason += "; and its boot state is not given back yet: " + err.Error()
	} else if undone != "" {
		res.Reason += "; " + undone
	}
	return res, nil
}

// settlePower writes down what became of a power command. An outlet that is not read on stays owed.
func (a *Power) settlePower(ctx context.Context, t task, act policy.Act, outlets outletSet,
	c cycled) (issue.Result, error) {
	res := issue.Result{Outcome: issue.Acted, Reason: c.detail, Power: c.power}
	free := []store.ClaimKind{store.ClaimOutlet}
	var err error
	switch {
	case c.sent && c.power == issue.Cycled && c.verified:
		if err = a.Store.Settle(ctx, t.Key, store.Done, c.detail, free); err == nil {
			err = a.outlets.areBack(ctx, t.ref().ID, outlets, c.detail)
		}
	case c.sent && c.power == issue.Cycled:
		err = a.Store.Settle(ctx, t.Key, store.Sent, c.detail, free)
	case c.sent:
		if err := a.Store.Outcome(ctx, t.Key, store.Ambiguous, c.detail); err != nil {
			return res, err
		}
		return a.resolveAmbiguous(ctx, t, act, outlets)
	default:
		outcome := issue.Passed
		if c.retry && a.triedPower(ctx, t)+1 < powerTries {
			outcome = issue.Wait
		}
		res, err := a.failedPower(ctx, t, c.detail, outcome)
		if outcome == issue.Passed {
			res.Deeds = []issue.Deed{{At: a.now(), What: issue.DeedUnreachable, How: c.detail}}
		}
		return res, err
	}
	res.Deeds = []issue.Deed{{At: a.now(), What: deedOf(act), How: string(res.Power)}}
	return res, err
}

func deedOf(act policy.Act) issue.DeedKind {
	if act == policy.ActReinstall {
		return issue.DeedReinstall
	}
	return issue.DeedRebooted
}

// powerTries bounds how often one issue gives a power command in a day that comes to nothing, as to a device that is
// always busy.
const powerTries = 3

// triedPower counts the commands of an issue that reached for a device lately and surely did nothing.
func (a *Power) triedPower(ctx context.Context, t task) int {
	failed, err := a.Store.Actions(ctx, store.ActionFilter{Issue: t.ref().ID, Run: t.ref().Run, Outcome: store.Failed,
		Since: a.now().Add(-a.Policy.Day)})
	if err != nil { // it is asked again with the next try
		return 0
	}
	count := 0
	for _, f := range failed {
		if f.Begun() {
			count++
		}
	}
	return count
}

// finishPower is what a try does that finds its own intent. It never gives the command again.
func (a *Power) finishPower(ctx context.Context, t task, action store.Action) (issue.Result, error) {
	act := policy.ActReboot
	if action.Kind == store.KindReinstall {
		act = policy.ActReinstall
	}
	deeds := func(p issue.Power) []issue.Deed {
		return []issue.Deed{{At: action.At, What: deedOf(act), How: string(p)}}
	}
	switch action.Outcome {
	case store.Done, store.Sent:
		return issue.Result{Outcome: issue.Acted, Reason: action.Detail, Power: issue.Cycled,
			Deeds: deeds(issue.Cycled)}, nil
	case store.Asked:
		return issue.Result{Outcome: issue.Acted, Reason: action.Detail, Power: issue.Asked}, nil
	case store.Failed, store.Refused:
		return issue.Result{Outcome: issue.Wait, Reason: action.Detail, Until: a.now().Add(a.Policy.Hour() / 4)}, nil
	}
	var data powerData
	if len(action.Data) > 0 {
		if err := json.Unmarshal(action.Data, &data); err != nil {
			return issue.Result{}, fmt.Errorf("ledger %s: %w", action.Key, err)
		}
	}
	feeds, release, err := a.outlets.lock(ctx, data.Feeds)
	if errors.Is(err, store.ErrBusy) {
		return issue.Result{Outcome: issue.Unknown, Reason: err.Error()}, nil
	}
	if errors.Is(err, store.ErrNotFound) {
		return a.unusable(ctx, t, act, action, a.from()+" has its PCU no more")
	}
	if err != nil {
		return issue.Result{}, err
	}
	defer release()
	// the try before may have ended while this one waited for the PCU
	if action, err = a.Store.Action(ctx, action.Key); err != nil {
		return issue.Result{}, err
	}
	switch {
	case action.Outcome != "" && action.Outcome != store.Ambiguous:
		return a.finishPower(ctx, t, action)
	case !action.Begun() && data.ByHand:
		return a.abandonPower(ctx, t, "the admins could not be asked yet to switch it by hand", issue.Wait)
	case !action.Begun():
		return a.abandonPower(ctx, t, "its worker ended before the command was given", issue.Wait)
	case len(feeds) == 0: // people do it
		const asked = "the admins may have been asked to do it by hand: the worker ended before it knew"
		return issue.Result{Outcome: issue.Acted, Power: issue.Asked, Reason: asked},
			a.Store.Outcome(ctx, action.Key, store.Asked, asked)
	}
	outlets, err := a.outlets.set(ctx, feeds)
	if errors.Is(err, errEntry) || errors.Is(err, store.ErrSealed) {
		return a.unusable(ctx, t, act, action, err.Error())
	}
	if err != nil {
		return issue.Result{}, err
	}
	return a.resolveAmbiguous(ctx, t, act, outlets)
}

// unusable is for a command whose PCU cannot be asked, as its record stands, what became of it. The outlet stays owed.
func (a *Power) unusable(ctx context.Context, t task, act policy.Act, action store.Action,
	why string) (issue.Result, error) {
	if !action.Begun() {
		return a.abandonPower(ctx, t, "its worker ended before the command was given", issue.Wait)
	}
	res := issue.Result{Outcome: issue.Acted, Power: issue.LeftOff,
		Reason: "the answer to the power command was lost, and its PCU cannot be asked: " + why}
	res.Deeds = []issue.Deed{{At: action.At, What: deedOf(act), How: string(res.Power)}}
	return res, a.Store.Outcome(context.WithoutCancel(ctx), action.Key, store.Ambiguous, res.Reason)
}

// resolveAmbiguous looks at outlets that may or may not have been switched: what is off is turned on, what is on is
// left alone. An outlet that is found off was switched, so the node was power-cycled, if no other fed it meanwhile; one
// that is found on tells nothing.
func (a *Power) resolveAmbiguous(ctx context.Context, t task, act policy.Act,
	outlets outletSet) (issue.Result, error) {
	ctx = context.WithoutCancel(ctx)
	state := outlets.turnOn(ctx)
	res, outcome := issue.Result{Outcome: issue.Acted, Power: issue.PowerLost}, store.Ambiguous
	switch {
	case state.on && state.allOff:
		res.Power, outcome = issue.Cycled, store.Done
		res.Reason = "the outlet was found off after a lost answer and turned on"
	case state.on:
		res.Reason = "the answer to the power command was lost; the outlet is on, and the command is not repeated"
	case state.untold: // nothing can be read from this device, now or later
		res.Reason = "the answer to the power command was lost, and this PCU cannot say what its outlets do; not " +
			"repeated"
	default: // owed: the claim stays, and every sweep tries to turn it on
		res.Power = issue.LeftOff
		res.Reason = "the answer to the power command was lost, and the outlet may be off: " + state.why
	}
	if res.Power != issue.LeftOff { // also for a command before, which may have left it off
		if err := a.outlets.areBack(ctx, t.ref().ID, outlets, res.Reason); err != nil {
			return res, err
		}
	}
	res.Deeds = []issue.Deed{{At: a.now(), What: deedOf(act), How: string(res.Power)}}
	return res, a.Store.Outcome(ctx, t.Key, outcome, res.Reason)
}
