package activities

import (
	"context"
	"errors"
	"fmt"

	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/store"
)

// disabling is how the ledger says what is done, and what the node had before; it is read back by a retry.
const disabling = "it was %s in PLC before"

// Disable sets the node of an issue disabled in PLC, since nothing but a human at the machine helps it. What it had before
// goes into the ledger first, and back to PLC when the issue ends.
func (a *Activities) Disable(ctx context.Context, in RungInput) (RungResult, error) {
	return a.rung(ctx, in, a.disable)
}

func (a *Activities) disable(ctx context.Context, in RungInput) (RungResult, error) {
	node, err := a.PLC.Node(ctx, in.Ref.Node)
	if err != nil {
		return RungResult{}, err
	}
	if node.BootState == "disabled" {
		intended, err := a.Store.Actions(ctx, store.ActionFilter{Kind: "disable", Issue: in.Ref.ID, Since: in.Since, Limit: 1})
		if err != nil {
			return RungResult{}, err
		}
		if len(intended) == 0 { // somebody else did it, and will undo it
			return RungResult{Outcome: Passed, Reason: "it is disabled in PLC already"}, nil
		}
		in.Key = intended[0].Key // an earlier try of this issue did it, and its answer was lost
	}
	if a.observes() {
		reason := "observe mode: it would be set disabled in PLC"
		return RungResult{Outcome: Acted, Reason: reason}, a.skip(ctx, in.Key+"/observe", in.Ref, reason)
	}
	action, _, err := a.Store.Intent(ctx, store.Action{
		Key: in.Key, Kind: "disable", Issue: in.Ref.ID, Node: in.Ref.Node, Site: in.Ref.Site, Reason: fmt.Sprintf(disabling, node.BootState),
	})
	if err != nil {
		return RungResult{}, err
	}
	var was string
	if _, err := fmt.Sscanf(action.Reason, disabling, &was); err != nil {
		return RungResult{}, fmt.Errorf("ledger %s: %q: %w", in.Key, action.Reason, err)
	}
	if err := a.PLC.SetBootState(ctx, in.Ref.Node, "disabled"); err != nil {
		return RungResult{}, err
	}
	return RungResult{Outcome: Acted, Reason: action.Reason, BootState: was}, a.Store.Outcome(ctx, in.Key, store.Done, action.Reason)
}

// enable gives a node the boot state back that it had before Disable, unless somebody has changed it since.
func (a *Activities) enable(ctx context.Context, in LetGoInput) (string, error) {
	node, err := a.PLC.Node(ctx, in.Ref.Node)
	if errors.Is(err, plc.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	key, reason := in.Key+"/enable", "set back to "+in.BootState+" in PLC"
	if a.observes() {
		reason = "observe mode: it would be " + reason
		return reason, a.skip(ctx, key+"/observe", in.Ref, reason)
	}
	_, existed, err := a.Store.Intent(ctx, store.Action{
		Key: key, Kind: "enable", Issue: in.Ref.ID, Node: in.Ref.Node, Site: in.Ref.Site, Reason: reason + ": " + in.Outcome,
	})
	if err != nil {
		return "", err
	}
	if node.BootState != "disabled" && !(existed && node.BootState == in.BootState) {
		reason = "left at " + node.BootState + " in PLC, as somebody has set it meanwhile"
		return reason, a.Store.Outcome(ctx, key, store.Skipped, reason)
	}
	if err := a.PLC.SetBootState(ctx, in.Ref.Node, in.BootState); err != nil {
		return "", err
	}
	return reason, a.Store.Outcome(ctx, key, store.Done, reason)
}
