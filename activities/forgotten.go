package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// relearn claims again what an issue has changed that the store knows nothing of, though it is so still: the store was
// restored from a backup older than that, and the issue's workflow remembers. Without claims nobody would ever undo it.
func (a *claims) relearn(ctx context.Context, s issue.State) error {
	if a.NoPLC != nil { // what is set of a node is kept in the store itself
		return a.recallCycles(ctx, s)
	}
	if err := a.recallCycles(ctx, s); err != nil {
		return err
	}
	for _, d := range s.Deeds {
		kind, was, set := lasting(d)
		if kind == "" || a.now().Sub(d.At) > backupAge {
			continue
		}
		known, err := a.Store.Claims(ctx, store.ClaimFilter{Kind: kind, Issue: s.Ref.ID, Released: true})
		if err != nil {
			return err
		}
		if slices.ContainsFunc(known, func(c store.Claim) bool { return c.Released.IsZero() || c.Taken.After(s.Opened) }) {
			continue
		}
		list, err := a.forgotten(ctx, s.Ref, kind, was, set)
		if err == nil && len(list) > 0 {
			err = a.claimAgain(ctx, s.Ref, kind, list)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lasting is what a deed leaves until it is undone; an empty kind: nothing.
func lasting(d issue.Deed) (kind store.ClaimKind, was, set string) {
	switch {
	case d.What == issue.DeedDisabled:
		return store.ClaimNodeDisabled, d.How, "disabled"
	case d.How == string(issue.LeftOff):
		return store.ClaimOutlet, "on", "on"
	case d.What == issue.DeedReinstall, d.What == issue.DeedRepaired && d.How == string(bootman.RestartNodeRins):
		return store.ClaimBootState, "boot", "reinstall" // what it was before is forgotten, too
	}
	return "", "", ""
}

// forgotten are the claims that are missing: of outlets that may be off, and of a boot state that PLC still has and
// nobody else holds.
func (a *claims) forgotten(ctx context.Context, ref Ref, kind store.ClaimKind, was, set string) ([]store.Claim, error) {
	n, err := a.Store.Node(ctx, ref.Node)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if kind == store.ClaimOutlet {
		var list []store.Claim
		for _, f := range feedsOf(n) {
			text, err := json.Marshal(f)
			if err != nil {
				return nil, err
			}
			list = append(list, store.Claim{Kind: kind, Target: outletName(f.PCUID, f.Outlet), Was: was, SetTo: set, Data: text})
		}
		return list, nil
	}
	fresh, err := a.bootStates.Inventory.Node(ctx, ref.Node)
	if errors.Is(err, plc.ErrNotFound) || err == nil && policy.CleanBootState(fresh.BootState) != set {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	held, err := a.Store.Claims(ctx, store.ClaimFilter{Target: ref.Node})
	if err != nil || slices.ContainsFunc(held, func(c store.Claim) bool { return c.SetTo == set }) {
		return nil, err
	}
	return []store.Claim{{Kind: kind, Target: ref.Node, Was: was, SetTo: set}}, nil
}

// claimAgain writes down claims that were forgotten, and says so.
func (a *claims) claimAgain(ctx context.Context, ref Ref, kind store.ClaimKind, list []store.Claim) error {
	key := fmt.Sprintf("%s/forgotten/%s", ref.Episode(), kind)
	_, existed, _, err := a.Store.Begin(ctx, store.Plan{Claims: list, Action: store.Action{Key: key,
		Kind: store.KindReconcile, Issue: ref.ID, RunID: ref.Run, Node: ref.Node, Site: ref.Site,
		Reason: fmt.Sprintf("the store had forgotten a claim of the kind %q that is in force: it was restored from an older "+
			"backup", kind)}})
	if err != nil || existed {
		return err
	}
	if _, err := a.Store.Commit(ctx, key); err != nil {
		return err
	}
	a.Log.Warn("the store had forgotten a claim", "kind", string(kind), "issue", ref.ID)
	return a.Store.Outcome(ctx, key, store.Done, "claimed again")
}

// forgottenCycles are the power cycles that an issue remembers and the ledger does not know, as the latest ones do not
// stand in a store that was restored from an older backup.
func (a *ledger) forgottenCycles(ctx context.Context, s issue.State) ([]issue.Deed, error) {
	var remembered []issue.Deed
	for _, d := range s.Deeds {
		if (d.What == issue.DeedRebooted || d.What == issue.DeedReinstall) && d.How != string(issue.Asked) {
			remembered = append(remembered, d)
		}
	}
	known := 0
	for _, kind := range []store.ActionKind{store.KindReboot, store.KindReinstall} {
		if len(remembered) == 0 {
			return nil, nil
		}
		list, err := a.Store.Actions(ctx, store.ActionFilter{Kind: kind, Issue: s.Ref.ID, Run: s.Ref.Run})
		if err != nil {
			return nil, err
		}
		for _, l := range list {
			if l.Begun() && l.Outcome != store.Failed && l.Outcome != store.Asked {
				known++
			}
		}
	}
	return remembered[min(known, len(remembered)):], nil
}

// recallCycles writes power cycles into the ledger that it has forgotten: they count for whoever asks for the next one.
func (a *ledger) recallCycles(ctx context.Context, s issue.State) error {
	forgotten, err := a.forgottenCycles(ctx, s)
	for _, d := range forgotten {
		if a.now().Sub(d.At) > backupAge {
			continue
		}
		recalled := store.Action{Key: fmt.Sprintf("%s/recalled/%d", s.Ref.Episode(), d.At.UnixNano()), Kind: store.KindReboot,
			Issue: s.Ref.ID, RunID: s.Ref.Run, Node: s.Ref.Node, Site: s.Ref.Site, PCUID: s.Ref.PCUID, At: d.At,
			Outcome: store.Ambiguous, Detail: d.How,
			Reason: "the store had forgotten it, since it was restored from an older backup; its issue remembers"}
		if d.What == issue.DeedReinstall {
			recalled.Kind = store.KindReinstall
		}
		if d.How == string(issue.Cycled) {
			recalled.Outcome = store.Done
		}
		err = errors.Join(err, a.Store.Recall(ctx, recalled))
	}
	return err
}
