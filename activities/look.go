package activities

import (
	"context"
	"errors"
	"fmt"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// gone reports whether PLC has the target no more.
func (a *Activities) gone(ctx context.Context, ref Ref) (bool, error) {
	var gone bool
	var err error
	switch ref.Type {
	case issue.PCUDown:
		var p store.PCU
		p, err = a.Store.PCU(ctx, ref.PCUID)
		gone = p.Gone
	case issue.SiteDown:
		var s store.Site
		if s, err = a.Store.Site(ctx, ref.Site); err == nil && !s.Gone {
			var nodes []store.Node
			nodes, err = a.Store.NodesOfSite(ctx, ref.Site)
			s.Gone = len(nodes) == 0
		}
		gone = s.Gone
	default:
		var n store.Node
		n, err = a.Store.Node(ctx, ref.Node)
		gone = n.Gone
	}
	if errors.Is(err, store.ErrNotFound) {
		return true, nil
	}
	return gone, err
}

// mayAct looks at the fleet guard, exemptions, the blacklist and downtimes.
func (a *Activities) mayAct(ctx context.Context, ref Ref) (policy.Decision, error) {
	if d, err := a.guarded(ctx); err != nil || !d.Do {
		return d, err
	}
	may, err := a.forbids(ctx, ref)
	return policy.MayAct(may, a.now()), err
}

// guarded says whether the last believed sweep is fresh enough for anything to be done.
func (a *Activities) guarded(ctx context.Context) (policy.Decision, error) {
	l, err := a.lease(ctx)
	if err != nil || l.Doubt == "" && a.now().Before(l.Until()) {
		return policy.Decision{Do: err == nil}, err
	}
	return policy.Decision{Until: a.now().Add(2 * a.SweepEvery), Reason: "the last sweep is not believed: " + l.Doubt}, nil
}

// forbids gathers what PLC and the blacklist say against acting on a target.
func (a *Activities) forbids(ctx context.Context, ref Ref) (policy.MayActFacts, error) {
	site, err := a.Store.Site(ctx, ref.Site)
	if err != nil {
		return policy.MayActFacts{}, fmt.Errorf("site %s of %s: %w", ref.Site, ref.Target(), err)
	}
	may := policy.MayActFacts{SiteExemptUntil: site.ExemptUntil}
	if ref.Node != "" {
		n, err := a.Store.Node(ctx, ref.Node)
		if err != nil {
			return may, err
		}
		may.NodeExemptUntil = n.ExemptUntil
	}
	entry, listed, err := a.Store.Blacklisted(ctx, ref.Node, ref.Site, a.now())
	if err == nil && listed {
		may.Blacklisted, may.BlacklistUntil, may.BlacklistReason, may.Downtime = true, entry.Until, entry.Reason, entry.Downtime
	}
	return may, err
}
