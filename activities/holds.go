package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/planetlab/monitor/issue"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// holdsOn reads who holds a level of a site. A PCU that feeds no node holds nothing, and what belongs to another site
// by now is its story.
func (a *Penalties) holdsOn(ctx context.Context, login string, gone bool) (map[string]sites.Hold, error) {
	claims, err := a.Store.Claims(ctx, store.ClaimFilter{Kind: store.ClaimHold, Site: login})
	if err != nil {
		return nil, err
	}
	holds := map[string]sites.Hold{}
	for _, c := range claims {
		i, err := a.Store.Issue(ctx, c.Issue)
		switch {
		case errors.Is(err, store.ErrNotFound):
			continue
		case err != nil:
			return nil, err
		case i.Status == string(issue.Closed) && (c.RunID == "" || c.RunID == i.RunID):
			if err := a.Store.Release(ctx, c.ID, "its issue is closed"); err != nil {
				return nil, err
			}
			continue
		}
		moved, err := a.movedFrom(ctx, login, i)
		if err != nil {
			return nil, err
		}
		if moved != "" {
			if err := a.moveHold(ctx, c, moved); err != nil {
				return nil, err
			}
			continue
		}
		if gone {
			continue
		}
		h, err := a.holdOf(ctx, c, i)
		if err != nil {
			return nil, err
		}
		holds[c.Issue] = h
	}
	if gone {
		return holds, nil
	}
	return holds, a.obeyOrder(ctx, login, holds)
}

func (a *Penalties) holdOf(ctx context.Context, c store.Claim, i store.Issue) (sites.Hold, error) {
	level, err := strconv.Atoi(c.SetTo)
	if err != nil {
		return sites.Hold{}, fmt.Errorf("hold of %s: level %q: %w", c.Issue, c.SetTo, err)
	}
	h := sites.Hold{Ref: issue.Ref{ID: i.ID, Run: i.RunID, Type: i.Type, Node: i.Node, Site: c.Site, PCUID: i.PCUID},
		Level: level, Kind: i.Type, Since: i.Opened, At: c.Taken}
	typ, known := issue.Lookup(i.Type)
	if known {
		h.Kind = typ.NoticeKind()
	}
	if s, err := i.Memory(); err == nil && s.Ref.ID == i.ID {
		h.Coming = s.Coming()
	}
	if !known || typ.Target != issue.OfPCU {
		return h, nil
	}
	h.Ref.PCU = i.Target
	nodes, err := a.Store.NodesOfSite(ctx, c.Site)
	if !slices.ContainsFunc(nodes, func(n store.Node) bool { return n.PCUID == i.PCUID }) {
		h.Level = 0
	}
	return h, err
}

// movedFrom is the site where the target of an issue belongs now, if that is not the one that it holds.
func (a *Penalties) movedFrom(ctx context.Context, login string, i store.Issue) (string, error) {
	now := login
	switch typ, _ := issue.Lookup(i.Type); typ.Target {
	case issue.OfNode:
		n, err := a.Store.Node(ctx, i.Node)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return "", err
		}
		if err == nil && !n.Gone {
			now = n.Site
		}
	case issue.OfPCU:
		p, err := a.Store.PCU(ctx, i.PCUID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return "", err
		}
		if err == nil && !p.Gone {
			now = p.Site
		}
	}
	if now == login || now == "" {
		return "", nil
	}
	return now, nil
}

// moveHold takes a hold to another site, which then reads it.
func (a *Penalties) moveHold(ctx context.Context, c store.Claim, to string) error {
	c.Site = to
	if err := a.Store.Take(ctx, c); err != nil {
		return err
	}
	return a.workflows.lookAtSite(ctx, to)
}
