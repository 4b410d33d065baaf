package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// remedy is how a repair is done, and under which kind the ledger and the budgets know it: what restarts or wipes a node counts
// among all reboots and reinstalls.
type remedy struct {
	kind store.ActionKind
	do   func(context.Context, visit) (string, error)
}

func (a *Activities) repairs() map[bootman.Action]remedy {
	return map[bootman.Action]remedy{
		bootman.RestartBootManagerBoot: {"bootman", restartBootManager("boot")},
		bootman.RestartBootManagerRins: {"reinstall", restartBootManager("reinstall")},
		bootman.RestartNodeBoot:        {"reboot", a.restartNode("boot")},
		bootman.RestartNodeRins:        {"reinstall", a.restartNode("reinstall")},
		bootman.FsckRepair:             {"bootman", a.fsck},
		bootman.RepairNodeKeys:         {"bootman", a.repairKeys},
	}
}

// repair does one repair for one sequence, once: a sequence that is there again after it climbs.
func (a *Activities) repair(ctx context.Context, v visit, action bootman.Action, r remedy) (RungResult, error) {
	in, node := v.in, v.node
	at, err := a.tried(ctx, v, action)
	if err != nil {
		return RungResult{}, err
	}
	if !at.IsZero() {
		reason := fmt.Sprintf("its boot ends as %s again, and %s was tried at %s", v.reading.Sequence, action, at.UTC().Format(time.RFC3339))
		if action == bootman.RepairNodeKeys {
			return a.handOver(ctx, v, NodeConfigType, reason, append(a.networks(ctx, node), v.logTail()...))
		}
		return RungResult{Outcome: Passed, Reason: reason}, a.skip(ctx, in.Key+"/visit", in.Ref, reason)
	}
	if r.kind != "bootman" {
		decision, err := a.mayPower(ctx, r.kind, node)
		if err != nil {
			return RungResult{}, err
		}
		if !decision.Do {
			res := RungResult{Outcome: Passed, Reason: decision.Reason}
			if !decision.Until.IsZero() {
				res.Outcome, res.Until = Wait, decision.Until
			}
			return res, a.skip(ctx, in.Key+"/may", in.Ref, decision.Reason)
		}
	}
	if a.observes() {
		reason := fmt.Sprintf("observe mode: its boot ends as %s, and %s would be done", v.reading.Sequence, action)
		return RungResult{Outcome: Acted, Reason: reason}, a.skip(ctx, in.Key+"/observe", in.Ref, reason)
	}
	intent, existed, err := a.Store.Intent(ctx, store.Action{
		Key: in.Key, Kind: r.kind, Issue: in.Ref.ID, Node: node.Hostname, Site: node.Site, PCU: node.PCUID,
		Reason: fmt.Sprintf("%s: its boot ends as %s", action, v.reading.Sequence),
	})
	if err != nil {
		return RungResult{}, err
	}
	if existed {
		return a.resumeRepair(ctx, v, intent)
	}
	if err := a.Store.AddBootRepair(ctx, store.BootRepair{Key: in.Key, Node: node.Hostname, Sequence: v.reading.Sequence, Action: string(action), At: a.now()}); err != nil {
		return RungResult{}, err
	}
	detail, err := r.do(ctx, v)
	return a.afterRepair(context.WithoutCancel(ctx), v, action, detail, err) // how it ended is written down even if the activity is being cancelled
}

func (a *Activities) afterRepair(ctx context.Context, v visit, action bootman.Action, detail string, err error) (RungResult, error) {
	key := v.in.Key
	switch {
	case err == nil:
		return RungResult{Outcome: Acted, Reason: fmt.Sprintf("%s: %s", action, detail)}, a.Store.Outcome(ctx, key, store.Sent, detail)
	case bootman.Uncertain(err):
		reason := err.Error() + ": it may have been done, and is not repeated"
		return RungResult{Outcome: Acted, Reason: reason}, a.Store.Outcome(ctx, key, store.Ambiguous, reason)
	}
	if err := a.Store.Outcome(ctx, key, store.Failed, err.Error()); err != nil {
		return RungResult{}, err
	}
	switch {
	case errors.Is(err, bootman.ErrRunning):
		return RungResult{Outcome: Wait, Reason: err.Error(), Until: a.now().Add(a.Policy.Hour())}, nil
	case errors.Is(err, bootman.ErrNoKey):
		return a.handOver(ctx, v, NodeConfigType, err.Error(), append(a.networks(ctx, v.node), v.logTail()...))
	}
	return RungResult{Outcome: Acted, Reason: fmt.Sprintf("%s failed: %s", action, err)}, nil
}

// resumeRepair is what a retry does that finds its own intent: it looks, and starts nothing again.
func (a *Activities) resumeRepair(ctx context.Context, v visit, intent store.Action) (RungResult, error) {
	if intent.Outcome != "" {
		return RungResult{Outcome: Acted, Reason: intent.Detail}, nil
	}
	const detail = "the worker ended before it knew whether this was done; it is not repeated"
	return RungResult{Outcome: Acted, Reason: detail}, a.Store.Outcome(ctx, v.in.Key, store.Ambiguous, detail)
}

func restartBootManager(state string) func(context.Context, visit) (string, error) {
	return func(ctx context.Context, v visit) (string, error) {
		return "the BootManager was started to " + state, bootman.RestartBootManager(ctx, v.conn, state)
	}
}

// restartNode sets the boot state in PLC and restarts the node: cleanly, or hard when that was already tried within a day. A
// restart that surely did not happen takes the boot state back, so that no later one wipes the node by surprise.
func (a *Activities) restartNode(state string) func(context.Context, visit) (string, error) {
	return func(ctx context.Context, v visit) (string, error) {
		hard, err := a.restarted(ctx, v)
		if err != nil {
			return "", err
		}
		was, err := a.bootState(ctx, v)
		if err != nil {
			return "", err
		}
		if err := a.PLC.SetBootState(ctx, v.node.Hostname, state); err != nil {
			return "", err
		}
		err = bootman.RestartNode(ctx, v.conn, hard)
		if err != nil && !bootman.Uncertain(err) {
			return "", errors.Join(err, a.PLC.SetBootState(ctx, v.node.Hostname, was))
		}
		how := "cleanly"
		if hard {
			how = "hard, since a clean restart within a day did not help"
		}
		return fmt.Sprintf("set to %s in PLC and restarted %s", state, how), err
	}
}

// restarted says whether bootman restarted the node within the last day.
func (a *Activities) restarted(ctx context.Context, v visit) (bool, error) {
	list, err := a.Store.BootRepairs(ctx, v.node.Hostname, a.now().Add(-a.Policy.Day))
	for _, r := range list {
		if r.Key != v.in.Key && (r.Action == string(bootman.RestartNodeBoot) || r.Action == string(bootman.RestartNodeRins)) {
			return true, err
		}
	}
	return false, err
}

func (a *Activities) bootState(ctx context.Context, v visit) (string, error) {
	n, err := a.PLC.Node(ctx, v.node.Hostname)
	return policy.CleanBootState(n.BootState), err
}

func (a *Activities) fsck(ctx context.Context, v visit) (string, error) {
	state, err := a.bootState(ctx, v)
	if err != nil {
		return "", err
	}
	return "fsck of both volumes was started, then the BootManager to " + state, bootman.Fsck(ctx, v.conn, state)
}

// repairKeys makes PLC know the node by the key that it has.
func (a *Activities) repairKeys(ctx context.Context, v visit) (string, error) {
	has, err := bootman.NodeKey(ctx, v.conn)
	if err != nil {
		return "", err
	}
	known, err := a.PLC.NodeKey(ctx, v.node.Hostname)
	if err != nil {
		return "", err
	}
	did := "its key is the one that PLC has"
	if key := plc.Secret(has); key != known {
		if err := a.PLC.SetNodeKey(ctx, v.node.Hostname, key); err != nil {
			return "", err
		}
		did = "its key was put into PLC, which had another"
	}
	state, err := a.bootState(ctx, v)
	if err != nil {
		return "", err
	}
	return did + "; the BootManager was started to " + state, bootman.RestartBootManager(ctx, v.conn, state)
}

// tryOnceMore is all that can be done for a sequence that nobody knows.
func (a *Activities) tryOnceMore(ctx context.Context, v visit) (string, error) {
	var did string
	if bootman.NoSpace(v.reading.Sequence) {
		said, err := bootman.ClearSpace(ctx, v.conn)
		if err != nil {
			return "", err
		}
		did = said + "; "
	}
	state, err := a.bootState(ctx, v)
	if err != nil {
		return "", err
	}
	return did + "the BootManager was started to " + state, bootman.RestartBootManager(ctx, v.conn, state)
}
