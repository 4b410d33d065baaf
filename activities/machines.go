package activities

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// Reboot power-cycles the node of an issue through its PCU.
func (a *Activities) Reboot(ctx context.Context, in RungInput) (RungResult, error) {
	return a.rung(ctx, in, func(ctx context.Context, in RungInput) (RungResult, error) { return a.power(ctx, in, "reboot") })
}

// Reinstall sets the node to reinstall in PLC, then power-cycles it. A power cycle that surely did not happen takes the
// boot state back, so that no later reboot by hand wipes the node by surprise.
func (a *Activities) Reinstall(ctx context.Context, in RungInput) (RungResult, error) {
	return a.rung(ctx, in, func(ctx context.Context, in RungInput) (RungResult, error) { return a.power(ctx, in, "reinstall") })
}

func (a *Activities) power(ctx context.Context, in RungInput, kind string) (RungResult, error) {
	node, err := a.Store.Node(ctx, in.Ref.Node)
	if err != nil {
		return RungResult{}, err
	}
	if reason, err := a.firewalled(ctx, in); err != nil || reason != "" {
		return RungResult{Outcome: Passed, Reason: reason}, err
	}
	for _, condition := range in.When {
		ok, reason, err := a.holds(ctx, condition, in, node)
		if err != nil || !ok {
			return RungResult{Outcome: Passed, Reason: reason}, err
		}
	}
	pcu, err := a.Store.PCU(ctx, node.PCUID)
	if err != nil {
		return RungResult{}, err
	}
	release, err := a.Store.LockPCU(ctx, pcu.PCUID)
	if err != nil {
		return RungResult{}, err
	}
	defer release()
	// An earlier try's intent is found before budgets are asked, in which it counts itself.
	if begun, err := a.begun(ctx, in.Ref.ID, kind, in.Key); err != nil || begun.Key != "" {
		target, targetErr := a.pcuTarget(ctx, pcu, node.Outlet)
		if err = errors.Join(err, targetErr); err != nil {
			return RungResult{}, err
		}
		return a.resume(ctx, begun, target)
	}
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
	target, err := a.pcuTarget(ctx, pcu, node.Outlet)
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
		return a.resume(ctx, action, target)
	}
	if kind == "reinstall" {
		if err := a.PLC.SetBootState(ctx, node.Hostname, "reinstall"); err != nil {
			reason := "the boot state could not be set: " + err.Error()
			return RungResult{Outcome: Wait, Reason: reason}, a.Store.Outcome(ctx, in.Key, store.Failed, reason)
		}
	}
	res, err := a.cycle(ctx, in.Key, target)
	if err == nil && kind == "reinstall" && res.Outcome != Acted {
		if undo := a.PLC.SetBootState(ctx, node.Hostname, node.BootState); undo != nil {
			res.Reason += "; and PLC still has it set to reinstall: " + undo.Error()
		}
	}
	return res, err
}

// cycle gives the power command once and writes down how it ended.
func (a *Activities) cycle(ctx context.Context, key string, target pcucontrol.Target) (RungResult, error) {
	powerCtx, cancel := context.WithTimeout(ctx, a.PCUTimeout)
	defer cancel()
	result, err := pcucontrol.Cycle(powerCtx, target)
	// The answer is written down even if the activity is being cancelled.
	ctx = context.WithoutCancel(ctx)
	switch kind := pcucontrol.KindOf(err); {
	case err == nil && result.Verified:
		return RungResult{Outcome: Acted, Reason: "outlet cycled and read back on"}, a.Store.Outcome(ctx, key, store.Done, "outlet cycled and read back on")
	case err == nil:
		return RungResult{Outcome: Acted, Reason: result.Note}, a.Store.Outcome(ctx, key, store.Sent, result.Note)
	case kind == pcucontrol.Ambiguous:
		if err := a.Store.Outcome(ctx, key, store.Ambiguous, err.Error()); err != nil {
			return RungResult{}, err
		}
		return a.afterAmbiguity(ctx, key, target)
	case kind == pcucontrol.Busy:
		return RungResult{Outcome: Wait, Reason: err.Error()}, a.Store.Outcome(ctx, key, store.Failed, err.Error())
	case kind == "":
		return RungResult{}, err
	default:
		return RungResult{Outcome: Passed, Reason: err.Error()}, a.Store.Outcome(ctx, key, store.Failed, err.Error())
	}
}

// resume is what a retry does that finds its own intent: it never gives the command again.
func (a *Activities) resume(ctx context.Context, action store.Action, target pcucontrol.Target) (RungResult, error) {
	switch action.Outcome {
	case store.Done, store.Sent:
		return RungResult{Outcome: Acted, Reason: action.Detail}, nil
	case store.Failed:
		return RungResult{Outcome: Passed, Reason: action.Detail}, nil
	}
	return a.afterAmbiguity(ctx, action.Key, target)
}

// afterAmbiguity looks at an outlet that may or may not have been switched: one that is off is turned on, one that is on
// is left alone.
func (a *Activities) afterAmbiguity(ctx context.Context, key string, target pcucontrol.Target) (RungResult, error) {
	ctx, cancel := context.WithTimeout(ctx, a.PCUTimeout)
	defer cancel()
	status, err := pcucontrol.Status(ctx, target)
	if err == nil && status.After == pcucontrol.Off {
		if _, err = pcucontrol.TurnOn(ctx, target); err == nil {
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
		if !pcu.Record.Status.Fine() {
			return false, fmt.Sprintf("its PCU %s is %s: %s", pcu.Name, pcu.Record.Status, pcu.Reason), nil
		}
		reason, err := a.broken(ctx, pcu)
		return reason == "", reason, err
	case RebootFailed:
		return in.Rebooted, "it was not rebooted", nil
	}
	return false, "", fmt.Errorf("no condition is called %q", condition)
}

func (a *Activities) mayPower(ctx context.Context, kind string, node store.Node) (policy.Decision, error) {
	recent, err := a.powerCycles(ctx, node.Hostname)
	if err != nil {
		return policy.Decision{}, err
	}
	spent, err := a.spent(ctx, kind, node.Site)
	if err != nil {
		return policy.Decision{}, err
	}
	if kind == "reinstall" {
		return policy.MayReinstall(a.Numbers, recent, spent, a.now()), nil
	}
	return policy.MayReboot(a.Numbers, recent, spent, a.now()), nil
}

// powerCycles are the times at which a node was, or may have been, power-cycled lately.
func (a *Activities) powerCycles(ctx context.Context, node string) ([]time.Time, error) {
	var recent []time.Time
	for _, k := range []string{"reboot", "reinstall"} {
		done, err := a.Store.Actions(ctx, store.ActionFilter{Kind: k, Node: node, Since: a.now().Add(-a.Numbers.RebootWindow)})
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
	hardware, why := policy.LikelyHardware(a.Numbers, recent, a.now())
	return hardware, why, nil
}

func (a *Activities) spent(ctx context.Context, kind, site string) (policy.Spent, error) {
	since := a.now().Add(-a.Numbers.Hour())
	fleet, err := a.Store.CountActions(ctx, kind, "", since)
	if err != nil {
		return policy.Spent{}, err
	}
	local, err := a.Store.CountActions(ctx, kind, site, since)
	return policy.Spent{Fleet: fleet, Site: local}, err
}

// pcuTarget looks a PCU's secret up; it goes no further than the driver. PLC's ip may carry a port, as 10.0.0.5:2323.
func (a *Activities) pcuTarget(ctx context.Context, p store.PCU, outlet int) (pcucontrol.Target, error) {
	password, err := a.Store.PCUPassword(ctx, p.PCUID)
	if err != nil {
		return pcucontrol.Target{}, err
	}
	t := pcucontrol.Target{Model: p.Model, Host: p.Hostname, User: p.Username, Password: password.Reveal(), Outlet: outlet}
	if p.IP != "" {
		t.Host = p.IP
	}
	if host, port, err := net.SplitHostPort(t.Host); err == nil {
		t.Host = host
		if t.Port, err = strconv.Atoi(port); err != nil {
			return t, fmt.Errorf("pcu %s: %q is no port", p.Name, port)
		}
	}
	return t, nil
}

// testPCU is the dry run: log in, find an outlet, switch nothing.
func (a *Activities) testPCU(ctx context.Context, p store.PCU) (bool, string) {
	if p.Hostname == "" && p.IP == "" {
		return false, "its PLC entry has neither hostname nor ip"
	}
	t, err := a.pcuTarget(ctx, p, 0)
	if err != nil {
		return false, err.Error()
	}
	release, err := a.Store.LockPCU(ctx, p.PCUID)
	if err != nil {
		return false, err.Error()
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, a.PCUTimeout)
	defer cancel()
	result, err := pcucontrol.Test(ctx, t)
	if err != nil {
		return false, err.Error()
	}
	return true, result.Note
}
