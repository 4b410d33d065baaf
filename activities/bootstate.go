package activities

import (
	"context"
	"errors"
	"fmt"

	"github.com/planetlab/monitor/inventory"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// bootStates reads boot states where the fleet is written down, sets them, and gives back those that Monitor has set.
type bootStates struct {
	*ledger
	outlets   *outlets
	underLock bool // whoever calls holds the locks of the node's PCUs
	Inventory inventory.Keeper
}

// own is what PLC has for a node, apart from what Monitor has set: that is not what is to be given back one day.
func (a *bootStates) own(ctx context.Context, host string) (string, error) {
	n, err := a.Inventory.Node(ctx, host)
	if err != nil {
		return "", err
	}
	state := policy.CleanBootState(n.BootState)
	if state == "disabled" || state == "safeboot" {
		return "", fmt.Errorf("%s has it at %s since a moment: it is in somebody's hands", a.from(), state)
	}
	claims, err := a.Store.Claims(ctx, store.ClaimFilter{Target: host})
	for _, c := range claims { // the oldest first
		if (c.Kind == store.ClaimBootState || c.Kind == store.ClaimNodeDisabled) && c.SetTo == state {
			return c.Was, err
		}
	}
	return state, err
}

// release gives nodes the boot state back that PLC had before Monitor set it, unless somebody has changed it since.
func (a *bootStates) release(ctx context.Context, f store.ClaimFilter, why string) (said string, err error) {
	claims, err := a.Store.Claims(ctx, f)
	for _, c := range claims {
		if said, err = a.restore(ctx, c, why); err != nil {
			return said, err
		}
	}
	return said, err
}

func (a *bootStates) restore(ctx context.Context, c store.Claim, why string) (string, error) {
	// Whatever is written down by now: nothing may install it any more. While it is, somebody still has to say so.
	if err := a.tell(ctx, c, inventory.Undo); err != nil {
		return "", err
	}
	n, err := a.Inventory.Node(ctx, c.Target)
	said := ""
	switch {
	case errors.Is(err, plc.ErrNotFound):
		said = a.from() + " has the node no more"
		if a.NoPLC != nil { // what is kept of it is ours
			if err := a.Inventory.SetBootState(ctx, c.Target, c.Was); err != nil {
				return "", err
			}
		}
	case err != nil:
		return "", err
	case policy.CleanBootState(n.BootState) == c.Was:
		if sure, err := a.wasAnswered(ctx, c); err != nil || !sure {
			return "",
				errors.Join(err,
					fmt.Errorf(
						"%s has it at %s, but may still carry out a write whose answer was lost: it is looked at "+
							"again", a.from(), c.Was))
		}
		said = "its boot state is " + c.Was + " already"
	case policy.CleanBootState(n.BootState) != c.SetTo:
		said = "left at " + n.BootState + " in " + a.from() + ", as somebody has set it meanwhile"
		if a.NoPLC != nil { // what its owner says stands beside what Monitor has set
			if err := a.Inventory.SetBootState(ctx, c.Target, c.Was); err != nil {
				return "", err
			}
		}
	default:
		if err := a.Inventory.SetBootState(ctx, c.Target, c.Was); err != nil {
			return "", err
		}
		said = "set back to " + c.Was + " in " + a.from()
	}
	return said, a.Store.Release(ctx, c.ID, why+": "+said)
}

// lostWrite is how long PLC may still carry out a write whose answer was lost, in times of what one call may take: ten
// minutes by default.
const lostWrite = 5

// wasAnswered says whether the write behind a claim has surely ended, so that nothing comes after what PLC says now.
func (a *bootStates) wasAnswered(ctx context.Context, c store.Claim) (bool, error) {
	action, err := a.Store.Action(ctx, c.Key)
	if errors.Is(err, store.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	ended := action.Outcome != "" && action.Outcome != store.Failed
	return ended || a.now().Sub(action.At) > lostWrite*a.Inventory.Timeout(), nil
}

// noInstaller is why a node cannot be reinstalled.
const noInstaller = "nothing can have it installed anew"

// begin writes an intent down with all that it takes, in one transaction. A reinstallation takes the boot state, too: its
// claim is answered, and yet to be prepared. A plain reboot first gives back what would wipe the node. A result with an
// outcome ends the try; without is that for a node that nothing can have installed anew.
func (a *bootStates) begin(ctx context.Context, act policy.Act, node store.Node, plan store.Plan,
	without issue.Result) (reinstall *store.Claim, _ issue.Result, _ error) {
	if act == policy.ActReinstall || act == policy.ActReinstallSSH {
		was, err := a.own(ctx, node.Hostname)
		if err != nil {
			return nil, issue.Result{Outcome: issue.Wait, Reason: "its boot state could not be read: " + err.Error()}, nil
		}
		by, name, err := a.installer(ctx, node)
		if err != nil || name == "" {
			return nil, without, err
		}
		reinstall = &store.Claim{Kind: store.ClaimBootState, Target: node.Hostname, Site: node.Site, Was: was,
			SetTo: "reinstall", Data: by.data()}
		plan.Claims = append(plan.Claims, *reinstall)
	} else if _, err := a.release(ctx, store.ClaimFilter{Kind: store.ClaimBootState, Target: node.Hostname},
		"a plain reboot must not wipe it"); err != nil {
		return nil, issue.Result{Outcome: issue.Wait,
			Reason: "its boot state could not be set back before a plain reboot: " + err.Error()}, nil
	}
	action, existed, over, err := a.Store.Begin(ctx, plan)
	switch {
	case err != nil:
		return nil, issue.Result{}, err
	case over != nil:
		return nil, issue.Result{Outcome: issue.Wait, Check: "budget", Until: over.Free.Add(a.Policy.Hour()),
			Reason: fmt.Sprintf("the %s's budget of %d an hour to %s is spent", over.Where, over.Limit, act)}, nil
	case existed: // under the locks that this try holds, only one that lost them can have written it
		return nil, issue.Result{Outcome: issue.Unknown,
			Reason: "another try of the same command is under way: " + action.Reason}, nil
	}
	return reinstall, issue.Result{}, nil
}
