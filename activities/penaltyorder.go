package activities

import (
	"context"
	"fmt"
	"strings"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// obeyOrder makes the holds on a site what an operator ordered: no hold goes above the level, and the order itself
// holds it. So the level falls to it at once, and rises to it as any level does: after people were told, and through
// the gate.
func (a *Penalties) obeyOrder(ctx context.Context, login string, holds map[string]sites.Hold) error {
	o, ordered, err := a.Store.PenaltyOrder(ctx, login, a.now())
	if err != nil || !ordered {
		return err
	}
	for id, h := range holds {
		h.Level = min(h.Level, o.Level)
		holds[id] = h
	}
	if o.Level > 0 {
		id := sites.OrderID(login)
		holds[id] = sites.Hold{Ref: issue.Ref{ID: id, Type: sites.OrderType, Site: login}, Level: o.Level,
			Kind: sites.OrderType, Since: o.At, At: o.At}
	}
	return nil
}

// sparedByOrder says that an operator wants the site denied nothing; raised, that he wants it denied something though
// it is good.
func (a *gate) sparedByOrder(ctx context.Context, login string) (spared *sites.Spared, raised bool, err error) {
	o, ordered, err := a.Store.PenaltyOrder(ctx, login, a.now())
	if err != nil || !ordered {
		return nil, false, err
	}
	if o.Level > 0 {
		return nil, true, nil
	}
	return &sites.Spared{Why: sites.SparedOrdered, Until: o.Until, About: orderLine(o)}, false, nil
}

func orderLine(o store.PenaltyOrder) string { return fmt.Sprintf("%s (%s)", o.Reason, o.By) }

// orderOf is the operator's order that wants a site raised to a level, as the gate asks for it.
func (a *gate) orderOf(ctx context.Context, login string, to int) (policy.Order, error) {
	o, ordered, err := a.Store.PenaltyOrder(ctx, login, a.now())
	if err != nil || !ordered || o.Level < to {
		return policy.Order{}, err
	}
	return policy.Order{By: o.By, Role: policy.RoleOperator, Reason: o.Reason}, nil
}

// wouldDeny says what a level would change at a site, in words for operators: what it denies, or what it gives back.
func (a *Penalties) wouldDeny(ctx context.Context, login string, from, to int) ([]string, error) {
	if to < from {
		return a.wouldLift(ctx, login, to)
	}
	plan, err := a.missingPenalty(ctx, login, from, to)
	if err != nil {
		return nil, err
	}
	var lines []string
	if plan.Disable {
		lines = append(lines, "the site can create no slices any more")
	}
	for _, name := range plan.Suspend {
		lines = append(lines, "suspended: "+name)
	}
	return lines, nil
}

func (a *Penalties) wouldLift(ctx context.Context, login string, to int) ([]string, error) {
	claims, err := a.appliedTo(ctx, login)
	var lines []string
	for _, c := range claims {
		switch {
		case c.Kind == store.ClaimSliceSuspended && to < policy.Top:
			lines = append(lines, "runs again: "+c.Target)
		case c.Kind == store.ClaimSiteDisabled && to < 1:
			lines = append(lines, "the site may create slices again")
		}
	}
	return lines, err
}

// ordered are the sites that an operator wants raised: no issue of theirs would start their workflows.
func (a *Reconciler) ordered(ctx context.Context) ([]string, error) {
	controls, err := a.Store.Controls(ctx)
	var logins []string
	for name, c := range controls {
		login, is := strings.CutPrefix(name, store.PenaltyControl(""))
		if is && !c.Over(a.now()) && c.Value != "0" {
			logins = append(logins, login)
		}
	}
	return logins, err
}
