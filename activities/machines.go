package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// Reboot power-cycles the node of an issue through its PCU.
func (a *Activities) Reboot(ctx context.Context, in RungInput) (RungResult, error) {
	return a.machine(ctx, in, "reboot")
}

// Reinstall sets the node to reinstall in PLC, then power-cycles it. A power cycle that surely did not happen takes the
// boot state back, so that no later reboot by hand wipes the node by surprise.
func (a *Activities) Reinstall(ctx context.Context, in RungInput) (RungResult, error) {
	return a.machine(ctx, in, "reinstall")
}

// machine ends what an earlier try has begun before it asks anything: the outlet may be off, whatever the look, the guard or the
// blacklist say by now.
func (a *Activities) machine(ctx context.Context, in RungInput, kind store.ActionKind) (RungResult, error) {
	begun, err := a.begun(ctx, in.Key)
	if err != nil {
		return RungResult{}, err
	}
	if !begun {
		return a.rung(ctx, in, func(ctx context.Context, in RungInput) (RungResult, error) { return a.power(ctx, in, kind) })
	}
	res, err := a.resume(ctx, in, kind)
	if err != nil {
		return res, err
	}
	return res, a.Record(ctx, in.progress(res, a.now()))
}

func (a *Activities) power(ctx context.Context, in RungInput, kind store.ActionKind) (RungResult, error) {
	node, err := a.Store.Node(ctx, in.Ref.Node)
	if err != nil {
		return RungResult{}, err
	}
	if reason, err := a.firewalled(ctx, in); err != nil || reason != "" {
		return RungResult{Outcome: Passed, Reason: reason}, err
	}
	for _, condition := range in.When {
		if ok, reason, err := a.holds(ctx, condition, in, node); err != nil || !ok {
			return RungResult{Outcome: Passed, Reason: reason}, err
		}
	}
	pcu, release, err := a.holdPCU(ctx, node.PCUID)
	if err != nil {
		return RungResult{}, err
	}
	defer release()
	decision, err := a.mayPower(ctx, kind, node)
	if err != nil {
		return RungResult{}, err
	}
	if !decision.Do {
		res := RungResult{Outcome: Passed, Reason: decision.Reason}
		if !decision.Until.IsZero() {
			res.Outcome, res.Until = Wait, decision.Until
		} else if _, err := a.flagOnce(ctx, in, "hardware", decision.Reason, "Somebody has to look at the machine: "+decision.Reason+"."); err != nil {
			return RungResult{}, err
		}
		return res, a.skip(ctx, in.Key+"/may", in.Ref, decision.Reason)
	}
	if a.observes() {
		reason := "observe mode: " + string(kind) + " through " + pcu.Name + " would be done"
		return RungResult{Outcome: Acted, Reason: reason}, a.skip(ctx, in.Key+"/observe", in.Ref, reason)
	}
	if a.manual(pcu) {
		return a.ask(ctx, in, kind, node, pcu)
	}
	return a.give(ctx, in, kind, node, pcu)
}

// holdPCU reads a PCU and keeps everybody else from operating it until it is released.
func (a *Activities) holdPCU(ctx context.Context, id int) (pcu store.PCU, release func(), err error) {
	if pcu, err = a.Store.PCU(ctx, id); err == nil {
		release, err = a.Store.LockPCU(ctx, id)
	}
	return pcu, release, err
}

// give writes down what is intended and does it; what was intended before is not done again.
func (a *Activities) give(ctx context.Context, in RungInput, kind store.ActionKind, node store.Node, pcu store.PCU) (RungResult, error) {
	drive, err := a.drive(ctx, pcu, node.Outlet)
	if err != nil {
		return RungResult{}, err
	}
	action, existed, err := a.Store.Intent(ctx, store.Action{
		Key: in.Key, Kind: kind, Issue: in.Ref.ID, Node: node.Hostname, Site: node.Site, PCU: pcu.PCUID,
		Reason: fmt.Sprintf("%s since %s: %s", node.Record.Status, node.Record.Changed.UTC().Format(time.RFC3339), node.Reason),
	})
	if err != nil {
		return RungResult{}, err
	}
	if existed {
		return a.settle(ctx, action, drive)
	}
	if kind == "reinstall" {
		if err := a.PLC.SetBootState(ctx, node.Hostname, "reinstall"); err != nil {
			reason := "the boot state could not be set: " + err.Error()
			return RungResult{Outcome: Wait, Reason: reason}, a.Store.Outcome(ctx, in.Key, store.Failed, reason)
		}
	}
	res, err := a.cycle(ctx, in, kind, drive)
	if err == nil && kind == "reinstall" && res.Outcome != Acted {
		if undo := a.PLC.SetBootState(ctx, node.Hostname, node.BootState); undo != nil {
			res.Reason += "; and PLC still has it set to reinstall: " + undo.Error()
		}
	}
	return res, err
}

// cycle gives the power command once and writes down how it ended.
func (a *Activities) cycle(ctx context.Context, in RungInput, kind store.ActionKind, pcu *drive) (RungResult, error) {
	result, err := pcu.do(ctx, a.PCUs.Cycle)
	// The answer is written down even if the activity is being cancelled.
	ctx = context.WithoutCancel(ctx)
	var known *pcucontrol.Error
	switch {
	case err == nil && result.Verified:
		return RungResult{Outcome: Acted, Reason: "outlet cycled and read back on"}, a.Store.Outcome(ctx, in.Key, store.Done, "outlet cycled and read back on")
	case err == nil:
		return RungResult{Outcome: Acted, Reason: result.Note}, a.Store.Outcome(ctx, in.Key, store.Sent, result.Note)
	case !errors.As(err, &known):
		return RungResult{}, err
	case known.Kind == pcucontrol.Ambiguous:
		if err := a.Store.Outcome(ctx, in.Key, store.Ambiguous, err.Error()); err != nil {
			return RungResult{}, err
		}
		return a.afterAmbiguity(ctx, in.Key, pcu)
	}
	if out := a.Store.Outcome(ctx, in.Key, store.Failed, err.Error()); out != nil || !known.RetrySafe() {
		return RungResult{Outcome: Passed, Reason: err.Error()}, out
	}
	return a.again(ctx, in, kind, err)
}

// powerTries bounds how often one issue gives a power command that comes to nothing, as to a device that is always busy.
const powerTries = 3

// again lets a rung whose command surely did nothing wait for a better moment, a few times.
func (a *Activities) again(ctx context.Context, in RungInput, kind store.ActionKind, why error) (RungResult, error) {
	done, err := a.Store.Actions(ctx, store.ActionFilter{Kind: kind, Issue: in.Ref.ID, Since: in.Since})
	if err != nil {
		return RungResult{}, err
	}
	failed := 0
	for _, action := range done {
		if action.Outcome == store.Failed {
			failed++
		}
	}
	if failed >= powerTries {
		return RungResult{Outcome: Passed, Reason: fmt.Sprintf("given up after %d tries: %v", failed, why)}, nil
	}
	return RungResult{Outcome: Wait, Reason: why.Error()}, nil
}

// resume is what a retry does that finds its own intent. It never gives the command again.
func (a *Activities) resume(ctx context.Context, in RungInput, kind store.ActionKind) (RungResult, error) {
	node, err := a.Store.Node(ctx, in.Ref.Node)
	if err != nil {
		return RungResult{}, err
	}
	action, err := a.Store.Action(ctx, in.Key)
	if err != nil {
		return RungResult{}, err
	}
	pcu, release, err := a.holdPCU(ctx, action.PCU)
	if err != nil {
		return RungResult{}, err
	}
	defer release()
	if a.manual(pcu) {
		return a.ask(ctx, in, kind, node, pcu)
	}
	drive, err := a.drive(ctx, pcu, node.Outlet)
	if err != nil {
		return RungResult{}, err
	}
	if action, err = a.Store.Action(ctx, in.Key); err != nil { // the try before may have come to its end while this one waited for the PCU
		return RungResult{}, err
	}
	return a.settle(ctx, action, drive)
}

// settle answers what became of a command that was intended, by the ledger or else by the outlet.
func (a *Activities) settle(ctx context.Context, action store.Action, pcu *drive) (RungResult, error) {
	switch action.Outcome {
	case store.Done, store.Sent:
		return RungResult{Outcome: Acted, Reason: action.Detail}, nil
	case store.Asked:
		return RungResult{Outcome: Acted, Asked: true, Reason: action.Detail}, nil
	case store.Failed:
		return RungResult{Outcome: Passed, Reason: action.Detail}, nil
	}
	return a.afterAmbiguity(ctx, action.Key, pcu)
}

// afterAmbiguity looks at an outlet that may or may not have been switched: one that is off is turned on, one that is on
// is left alone.
func (a *Activities) afterAmbiguity(ctx context.Context, key string, pcu *drive) (RungResult, error) {
	status, err := pcu.do(ctx, a.PCUs.Status)
	if err == nil && status.After == pcucontrol.Off {
		if _, err = pcu.do(ctx, a.PCUs.TurnOn); err == nil {
			const detail = "the outlet was found off after a lost answer and turned on"
			return RungResult{Outcome: Acted, Reason: detail}, a.Store.Outcome(context.WithoutCancel(ctx), key, store.Done, detail)
		}
	}
	detail := "the answer to the power command was lost; the outlet is " + string(status.After)
	if err != nil {
		detail = "the answer to the power command was lost: " + err.Error()
	}
	return RungResult{Outcome: Acted, Reason: detail + ", not repeated"}, a.Store.Outcome(context.WithoutCancel(ctx), key, store.Ambiguous, detail)
}

// holds answers one condition of a rung.
func (a *Activities) holds(ctx context.Context, condition string, in RungInput, node store.Node) (bool, string, error) {
	switch condition {
	case PCUOK:
		if node.PCUID == 0 {
			return false, "no PCU feeds it", nil
		}
		pcu, err := a.Store.PCU(ctx, node.PCUID)
		if err != nil {
			return false, "", err
		}
		if !pcu.Record.Status.Healthy() {
			return false, fmt.Sprintf("its PCU %s is %s: %s", pcu.Name, pcu.Record.Status, pcu.Reason), nil
		}
		reason, err := a.broken(ctx, pcu)
		return reason == "", reason, err
	case RebootFailed:
		return in.Rebooted, "it was not rebooted", nil
	}
	return false, "", fmt.Errorf("no condition is called %q", condition)
}

func (a *Activities) mayPower(ctx context.Context, kind store.ActionKind, node store.Node) (policy.Decision, error) {
	recent, err := a.powerCycles(ctx, node.Hostname)
	if err != nil {
		return policy.Decision{}, err
	}
	spent, err := a.spent(ctx, kind, node.Site)
	if err != nil {
		return policy.Decision{}, err
	}
	if kind == "reinstall" {
		return policy.MayReinstall(a.Policy, recent, spent, a.now()), nil
	}
	return policy.MayReboot(a.Policy, recent, spent, a.now()), nil
}

// powerCycles are the times at which a node was, or may have been, power-cycled lately.
func (a *Activities) powerCycles(ctx context.Context, node string) ([]time.Time, error) {
	var recent []time.Time
	for _, k := range []store.ActionKind{store.KindReboot, store.KindReinstall} {
		done, err := a.Store.Actions(ctx, store.ActionFilter{Kind: k, Node: node, Since: a.now().Add(-a.Policy.RebootWindow)})
		if err != nil {
			return nil, err
		}
		for _, action := range done {
			if action.Outcome != store.Failed && action.Outcome != store.Refused {
				recent = append(recent, action.At)
			}
		}
	}
	return recent, nil
}

func (a *Activities) likelyHardware(ctx context.Context, node string) (bool, string, error) {
	recent, err := a.powerCycles(ctx, node)
	if err != nil {
		return false, "", err
	}
	hardware, why := policy.LikelyHardware(a.Policy, recent, a.now())
	return hardware, why, nil
}

func (a *Activities) spent(ctx context.Context, kind store.ActionKind, site string) (policy.Spent, error) {
	since := a.now().Add(-a.Policy.Hour())
	fleet, err := a.Store.CountActions(ctx, kind, "", since)
	if err != nil {
		return policy.Spent{}, err
	}
	local, err := a.Store.CountActions(ctx, kind, site, since)
	return policy.Spent{Fleet: fleet, Site: local}, err
}
