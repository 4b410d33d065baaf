package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/store"
)

// coveredBy names what speaks for an issue, so that it waits: the whole site's issue, since forty notices about one
// power cut help nobody; the repair of a node's boot, under which its power is not cut and about which nobody is told
// twice; a person's order that is under way; or what Monitor itself still owes.
func (a *gate) coveredBy(ctx context.Context, ref Ref) (string, error) {
	if ref.Type == "" || ref.Type == issue.SiteDown || ref.Site == "" {
		return "", nil
	}
	if ref.Type == request.Type { // a person knows what else is wrong; what Monitor owes comes first all the same
		return a.owedOutlet(ctx, ref)
	}
	if ref.Node != "" {
		if order, err := a.requestOf(ctx, ref.Node); err != nil || order != "" {
			return order, err
		}
	}
	id, err := a.openID(ctx, issue.SiteDown, ref.Site)
	if err != nil || id != "" {
		return covers(id, "the whole site is down: %s speaks for it"), err
	}
	if ref.Node == "" {
		return "", nil
	}
	if owed, err := a.owedOutlet(ctx, ref); err != nil || owed != "" {
		return owed, err
	}
	if ref.Type != issue.NodeDown && ref.Type != issue.PCUMissing {
		return "", nil
	}
	return a.coveredByRepair(ctx, ref)
}

func covers(id, format string) string {
	if id == "" {
		return ""
	}
	return fmt.Sprintf(format, id)
}

// coveredByRepair: a node that has fallen silent again, and was not just repaired, is down again: bootman cannot enter
// it.
func (a *gate) coveredByRepair(ctx context.Context, ref Ref) (string, error) {
	id, err := a.openID(ctx, issue.Failboot, ref.Node)
	if err != nil || id == "" {
		return "", err
	}
	n, err := a.Store.Node(ctx, ref.Node)
	if err != nil {
		return "", err
	}
	if n.Record.Status.Unhealthy() {
		repairs, err := a.Store.BootRepairs(ctx, ref.Node, a.now().Add(-a.Policy.MachineStep))
		if err != nil || len(repairs) == 0 {
			return "", err
		}
	}
	return covers(id, "it is in debug mode: %s speaks for it"), nil
}

// owedOutlet says whether the node may be off because Monitor could not turn it on again. Nobody else is blamed for
// that while its PCU may still answer; one that stays away is an issue of its own.
func (a *gate) owedOutlet(ctx context.Context, ref Ref) (string, error) {
	n, err := a.Store.Node(ctx, ref.Node)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	for _, f := range feedsOf(n) {
		claims, err := a.Store.Claims(ctx,
			store.ClaimFilter{Kind: store.ClaimOutlet, Target: outletName(f.PCUID, f.Outlet)})
		if err != nil {
			return "", err
		}
		for _, c := range claims {
			action, err := a.Store.Action(ctx, c.Key)
			if err != nil {
				return "", err
			}
			owed := action.Begun() && (action.Outcome == store.Ambiguous || action.Outcome == "" ||
				action.Kind == store.KindReconcile) // what a restored store had forgotten, and its issue remembers
			if age := a.now().Sub(c.Taken); owed && age < a.Policy.PCUOfflineToDown {
				return fmt.Sprintf("Monitor itself may have left outlet %s off at %s, and tries to turn it on",
					c.Target, c.Taken.UTC().Format(time.RFC3339)), nil
			}
		}
	}
	return "", nil
}
