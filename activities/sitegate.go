package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/planetlab/monitor/policy"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// siteFacts gathers what the gate asks about a site as a whole.
func (a *gate) siteFacts(ctx context.Context, act policy.Act, login string) (policy.GateFacts, error) {
	f := policy.GateFacts{Act: act, Target: "site " + login, From: a.from()}
	row, gone, err := a.siteRow(ctx, login)
	if err != nil {
		return f, err
	}
	f.Exists, f.SiteExemptUntil, f.Ordered = !gone, row.ExemptUntil, a.workflows.ordered(ctx)
	f.Site = policy.SiteGate{Record: row.Record, Pending: row.Pending, Created: row.Created, LastRaise: row.LastRaise,
		Level: row.PenaltyLevel}
	entry, listed, err := a.Store.Blacklisted(ctx, "", login, "", a.now())
	if err != nil {
		return f, err
	}
	if listed {
		f.Listed = policy.Listing{Listed: true, Downtime: entry.Downtime, Until: entry.Until, Reason: entry.Reason}
	}
	if err := a.addControls(ctx, siteRef(login), observation{}, &f); err != nil {
		return f, err
	}
	if f.Lease, err = a.lease(ctx); err != nil {
		return f, err
	}
	return f, a.addBudget(ctx, siteRef(login), observation{}, &f)
}

// spared says why a site is to be denied nothing, whatever its issues ask.
func (a *gate) spared(ctx context.Context, row store.Site, gone bool) (*sites.Spared, error) {
	now := a.now()
	if gone {
		return &sites.Spared{Why: sites.SparedGone, About: a.from() + " does not have it any more under this name"}, nil
	}
	entry, listed, err := a.Store.Blacklisted(ctx, "", row.LoginBase, "", now)
	if err != nil {
		return nil, err
	}
	byOrder, raised, err := a.sparedByOrder(ctx, row.LoginBase)
	switch {
	case err != nil:
		return nil, err
	case row.ExemptUntil.After(now):
		why := sites.SparedExempt
		if a.NoPLC != nil { // else people would read that PlanetLab Central has exempted them
			why = sites.SparedListed
		}
		return &sites.Spared{Why: why, Until: row.ExemptUntil,
			About: "in " + a.from() + " until " + row.ExemptUntil.UTC().Format(time.DateOnly)}, nil
	case a.NoPLC != nil && !a.NoPLC.Penalties:
		return &sites.Spared{Why: sites.SparedFree, About: "there is neither PLC nor a hook that would apply one"}, nil
	case listed:
		return &sites.Spared{Why: sites.SparedListed, Until: entry.Until, About: entry.Reason}, nil
	case byOrder != nil:
		return byOrder, nil
	case row.Pending:
		return &sites.Spared{Why: sites.SparedPending}, nil
	case now.Sub(row.Created) < a.Policy.SiteNew:
		return &sites.Spared{Why: sites.SparedNew, Until: row.Created.Add(a.Policy.SiteNew)}, nil
	case row.Record.Status == policy.StatusGood && !raised:
		return &sites.Spared{Why: sites.SparedGood,
			About: fmt.Sprintf("enough of its nodes work since %s",
				row.Record.Changed.UTC().Format("2006-01-02 15:04 MST"))}, nil
	}
	return nil, nil
}

// onlyLooked says why Monitor only looks at a type of issue at a site where it acts otherwise; empty: that is not so.
func (a *gate) onlyLooked(controls store.Controls, login, typ string) string {
	if mode, _ := a.mode(controls, siteRef(login)); mode != policy.ModeAct {
		return "" // of all that is at the site
	}
	mode, why := a.mode(controls, Ref{Site: login, Type: typ})
	if mode == policy.ModeAct {
		return ""
	}
	return "observe mode: " + why
}

// acting are those of a site's issues, by their ids, of whose types Monitor does not only look.
func (a *gate) acting(ctx context.Context, login string, ids []string) (list []string, why string, err error) {
	controls, err := a.Store.Controls(ctx)
	for _, id := range ids {
		if no := a.onlyLooked(controls, login, refOf(id).Type); no != "" {
			why = no
		} else {
			list = append(list, id)
		}
	}
	return list, why, err
}

// allHeldOff says who turned the nodes off that these issues are about; empty: one of them is not off by an order.
func (a *gate) allHeldOff(ctx context.Context, ids []string) (off string, err error) {
	for _, id := range ids {
		n, err := a.Store.Node(ctx, refOf(id).Node)
		if errors.Is(err, store.ErrNotFound) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		orders, err := a.Store.OutletOrders(ctx, feedsOf(n))
		if err != nil {
			return "", err
		}
		if off, _ = a.byOrders(n, orders); off == "" {
			return "", nil
		}
	}
	return off, nil
}

// nodesUp counts the nodes of a site that are not down, and names the others; those that are left alone count as up.
func (a *gate) nodesUp(ctx context.Context, login string) (up int, down []store.Node, err error) {
	nodes, err := a.Store.NodesOfSite(ctx, login)
	if err != nil {
		return 0, nil, err
	}
	leftAlone, err := a.leftAlone(ctx)
	if err != nil {
		return 0, nil, err
	}
	for _, n := range nodes {
		if policy.CountsAsUp(n.Record, storedFacts(n).Finding, leftAlone(n)) {
			up++
		} else {
			down = append(down, n)
		}
	}
	return up, down, nil
}
