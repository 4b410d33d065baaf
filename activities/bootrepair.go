package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// remedy is how a repair is done, and by which act the gate, the ledger and the budgets know it: what restarts or wipes
// a node counts among all reboots and reinstalls.
type remedy struct {
	act policy.Act
	do  func(context.Context, visit) (string, error)
}

func (a *Boot) repairs() map[bootman.Action]remedy {
	return map[bootman.Action]remedy{
		bootman.RestartBootManagerBoot: {policy.ActRepair, restartBootManager("boot")},
		bootman.RestartBootManagerRins: {policy.ActWipe, restartBootManager("reinstall")},
		bootman.RestartNodeBoot:        {policy.ActRestart, a.restartNode("boot")},
		bootman.RestartNodeRins:        {policy.ActWipe, a.restartNode("reinstall")},
		bootman.FsckRepair:             {policy.ActRepair, a.fsck},
		bootman.RepairNodeKeys:         {policy.ActRepair, a.repairKeys},
	}
}

// repair does one repair for one sequence, once: a sequence that is there again after it climbs.
func (a *Boot) repair(ctx context.Context, v visit, action bootman.Action, r remedy) (issue.Result, error) {
	at, err := a.tried(ctx, v, action)
	if err != nil {
		return issue.Result{}, err
	}
	if !at.IsZero() {
		reason := fmt.Sprintf("its boot ends as %s again, and %s was tried at %s", v.reading.Sequence, action,
			at.UTC().Format(time.RFC3339))
		if action == bootman.RepairNodeKeys {
			return a.openFollowUp(ctx, v, issue.NodeConfig, reason, append(a.networks(ctx, v.node), v.logTail()...))
		}
		return issue.Result{Outcome: issue.Passed, Reason: reason}, nil
	}
	if r.act == policy.ActWipe || action == bootman.RepairNodeKeys { // what an impostor would have of us
		proven, why, err := a.HostKeys.Proven(ctx, v.node.Hostname)
		if err != nil {
			return issue.Result{}, err
		}
		if !proven {
			return a.fruitless(ctx, v.task,
				fmt.Sprintf("its boot ends as %s, which calls for %s: %s", v.reading.Sequence, action, why))
		}
	}
	answer, err := a.gate.ask(ctx, r.act, v.ref(), v.seen)
	if err != nil {
		return issue.Result{}, err
	}
	if !answer.Do {
		return a.rungs.refuse(ctx, v.task, answer)
	}
	kind, counted := budgetKind(r.act)
	if !counted {
		kind = store.KindRepair
	}
	intent, existed, over, err := a.Store.Begin(ctx, store.Plan{Budget: a.gate.budget(r.act), Action: store.Action{
		Key: v.Key, Kind: kind, Issue: v.ref().ID, RunID: v.ref().Run, Node: v.node.Hostname, Site: v.node.Site,
		PCUID:  v.node.PCUID,
		Reason: fmt.Sprintf("%s: its boot ends as %s", action, v.reading.Sequence),
	}})
	switch {
	case err != nil:
		return issue.Result{}, err
	case over != nil:
		return issue.Result{Outcome: issue.Wait, Check: "budget", Until: over.Free.Add(a.Policy.Hour()),
			Reason: fmt.Sprintf("the %s's budget of %d an hour to %s is spent", over.Where, over.Limit, r.act)}, nil
	case existed:
		return a.finishRepair(ctx, v.task, intent)
	}
	if err := a.Store.AddBootRepair(ctx,
		store.BootRepair{Key: v.Key, Node: v.node.Hostname, Sequence: v.reading.Sequence, Action: string(action),
			At: a.now()}); err != nil {
		return issue.Result{}, err
	}
	if order := a.workflows.ordered(ctx); order != "" {
		return a.giveUpRepair(ctx, v.Key, issue.Result{Outcome: issue.Stopped, Reason: order})
	}
	if mine, err := a.Store.Commit(ctx, v.Key); err != nil || !mine {
		return issue.Result{Outcome: issue.Unknown, Reason: "another try of the same repair is under way"}, err
	}
	ctx = context.WithoutCancel(ctx) // from here on it is brought to its end, and how it ended is written down
	detail, err := r.do(ctx, v)
	return a.afterRepair(ctx, v, action, detail, err)
}

func (a *Boot) afterRepair(ctx context.Context, v visit, action bootman.Action, detail string,
	err error) (issue.Result, error) {
	res := issue.Result{Outcome: issue.Acted,
		Deeds: []issue.Deed{{At: a.now(), What: issue.DeedRepaired, How: string(action)}}}
	switch {
	case err == nil:
		res.Reason = fmt.Sprintf("%s: %s", action, detail)
		return res, a.Store.Outcome(ctx, v.Key, store.Sent, detail)
	case bootman.Uncertain(err):
		res.Deeds[0].What = issue.DeedTriedRepair
		res.Reason = clean.Line(err.Error()) + ": it may have been done, and is not repeated"
		return res, a.Store.Outcome(ctx, v.Key, store.Ambiguous, res.Reason)
	}
	if err := a.Store.Outcome(ctx, v.Key, store.Failed, clean.Line(err.Error())); err != nil {
		return res, err
	}
	switch {
	case errors.Is(err, bootman.ErrRunning):
		return issue.Result{Outcome: issue.Wait, Reason: err.Error(), Until: a.now().Add(a.Policy.Hour())}, nil
	case errors.Is(err, bootman.ErrNoKey):
		return a.openFollowUp(ctx, v, issue.NodeConfig, err.Error(), append(a.networks(ctx, v.node), v.logTail()...))
	}
	return issue.Result{Outcome: issue.Acted,
		Reason: fmt.Sprintf("%s failed: %s", action, clean.Line(err.Error()))}, nil
}

// finishRepair is what a try does that finds its own intent: it starts nothing again.
func (a *Boot) finishRepair(ctx context.Context, t task, intent store.Action) (issue.Result, error) {
	switch {
	case intent.Outcome == store.Failed:
		return issue.Result{Outcome: issue.Wait, Reason: intent.Detail, Until: a.now().Add(a.Policy.Hour())}, nil
	case intent.Outcome != "":
		return issue.Result{Outcome: issue.Acted, Reason: intent.Detail}, nil
	case !intent.Begun():
		return a.giveUpRepair(ctx, t.Key, issue.Result{Outcome: issue.Wait, Reason: "its worker ended before it began",
			Until: a.now().Add(a.Policy.Hour() / 4)})
	}
	const detail = "the worker ended before it knew whether this was done; it is not repeated"
	return issue.Result{Outcome: issue.Acted, Reason: detail}, a.Store.Outcome(ctx, t.Key, store.Ambiguous, detail)
}

// giveUpRepair ends a repair that was never begun, if no other try begins it just now.
func (a *Boot) giveUpRepair(ctx context.Context, key string, res issue.Result) (issue.Result, error) {
	if begun, err := a.Store.GiveUp(context.WithoutCancel(ctx), key, res.Reason); err != nil || begun {
		return issue.Result{Outcome: issue.Unknown, Reason: "another try repairs it just now"}, err
	}
	return res, nil
}

func restartBootManager(state string) func(context.Context, visit) (string, error) {
	return func(ctx context.Context, v visit) (string, error) {
		return "the BootManager was started to " + state, bootman.RestartBootManager(ctx, v.conn, state)
	}
}

// restartNode sets the boot state in PLC and restarts the node: cleanly, or hard when that was already tried within a
// day. A restart that surely did not happen takes the boot state back, so that no later one wipes the node by surprise.
func (a *Boot) restartNode(state string) func(context.Context, visit) (string, error) {
	return func(ctx context.Context, v visit) (string, error) {
		hard, err := a.restarted(ctx, v)
		if err != nil {
			return "", err
		}
		was, err := a.bootStates.own(ctx, v.node.Hostname)
		if err != nil {
			return "", err
		}
		set := a.Inventory.SetBootState
		if state == "reinstall" { // the claim gives back what PLC had, if the node does not take it up
			by, name, err := a.bootStates.installer(ctx, v.node)
			if err != nil || name == "" {
				return "", errors.Join(err, errors.New("nothing can have it installed anew"))
			}
			claim := store.Claim{Kind: store.ClaimBootState, Target: v.node.Hostname,
				Site: v.node.Site, Issue: v.ref().ID, RunID: v.ref().Run,
				Key: v.Key, Was: was, SetTo: state, Data: by.data()}
			if err := a.Store.Take(ctx, claim); err != nil {
				return "", err
			}
			set = func(ctx context.Context, _, _ string) error { return a.bootStates.prepare(ctx, claim) }
		}
		if err := set(ctx, v.node.Hostname, state); err != nil { // it may have been done
			_, undo := a.bootStates.release(ctx, store.ClaimFilter{Kind: store.ClaimBootState, Key: v.Key},
				"the node was not restarted")
			return "", errors.Join(err, undo)
		}
		err = bootman.RestartNode(ctx, v.conn, hard)
		if err != nil && !bootman.Uncertain(err) {
			_, undo := a.bootStates.release(ctx, store.ClaimFilter{Kind: store.ClaimBootState, Key: v.Key},
				"the node was not restarted")
			return "", errors.Join(err, undo)
		}
		how := "cleanly"
		if hard {
			how = "hard, since a clean restart within a day did not help"
		}
		return fmt.Sprintf("set to %s in %s and restarted %s", state, a.from(), how), err
	}
}

// restarted says whether bootman restarted the node within the last day.
func (a *Boot) restarted(ctx context.Context, v visit) (bool, error) {
	list, err := a.Store.BootRepairs(ctx, v.node.Hostname, a.now().Add(-a.Policy.Day))
	for _, r := range list {
		if r.Key == v.Key || r.Action != string(bootman.RestartNodeBoot) &&
			r.Action != string(bootman.RestartNodeRins) {
			continue
		}
		if did, err := a.mayHaveHappened(ctx, r.Key); err != nil || did {
			return did, err
		}
	}
	return false, err
}

func (a *Boot) bootState(ctx context.Context, v visit) (string, error) {
	n, err := a.Inventory.Node(ctx, v.node.Hostname)
	return policy.CleanBootState(n.BootState), err
}

func (a *Boot) fsck(ctx context.Context, v visit) (string, error) {
	state, err := a.bootState(ctx, v)
	if err != nil {
		return "", err
	}
	return "fsck of both volumes was started, then the BootManager to " + state, bootman.Fsck(ctx, v.conn, state)
}

// repairKeys makes PLC know the node by the key that it has.
func (a *Boot) repairKeys(ctx context.Context, v visit) (string, error) {
	has, err := bootman.NodeKey(ctx, v.conn)
	if err != nil {
		return "", err
	}
	known, err := a.Inventory.NodeKey(ctx, v.node.Hostname)
	if err != nil {
		return "", err
	}
	did := "its key is the one that " + a.from() + " has"
	if key := plc.Secret(has); key != known {
		if err := a.Inventory.SetNodeKey(ctx, v.node.Hostname, key); err != nil {
			return "", err
		}
		did = "its key was put into " + a.from() + ", which had another"
	}
	state, err := a.bootState(ctx, v)
	if err != nil {
		return "", err
	}
	return did + "; the BootManager was started to " + state, bootman.RestartBootManager(ctx, v.conn, state)
}

// tryOnceMore is all that can be done for a sequence that nobody knows.
func (a *Boot) tryOnceMore(ctx context.Context, v visit) (string, error) {
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
