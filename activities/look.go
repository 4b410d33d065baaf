package activities

import (
	"context"
	"errors"
	"fmt"

	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// rung does one rung of a ladder: it looks, asks whether it may, does it, and records where the issue stands then.
func (a *Activities) rung(ctx context.Context, in RungInput, do func(context.Context, RungInput) (RungResult, error)) (RungResult, error) {
	res, err := a.before(ctx, &in)
	if err == nil && res.Outcome == "" {
		res, err = do(ctx, in)
	}
	if err != nil || res.Outcome == Good || res.Outcome == Gone { // the workflow has more to say about these
		return res, err
	}
	return res, a.Record(ctx, in.progress(res, a.now()))
}

// before is what every rung asks first: does the target exist, is it good by now, does another issue speak for it, and may
// it be acted on. A result with an outcome ends the rung; else the input holds what was seen.
func (a *Activities) before(ctx context.Context, in *RungInput) (RungResult, error) {
	if gone, err := a.gone(ctx, in.Ref); err != nil || gone {
		return RungResult{Outcome: Gone, Reason: in.Ref.Target() + " is no longer in PLC"}, err
	}
	var err error
	if in.seen, err = a.observe(ctx, in.Ref); err != nil {
		return RungResult{}, err
	}
	if in.seen.good {
		return RungResult{Outcome: Good, Reason: in.seen.reason}, nil
	}
	if reason, err := a.spokenFor(ctx, in.Ref); err != nil || reason != "" {
		return RungResult{Outcome: Wait, Reason: reason}, err
	}
	if (in.Ref.Type == NodeDownType || in.Ref.Type == PCUMissingType) && in.seen.facts.Finding.Locked {
		return RungResult{Outcome: Wait, Reason: "it is alive and lets nobody in, which no power command mends: " + in.seen.reason}, nil
	}
	if reason, err := a.inDebugMode(ctx, *in); err != nil || reason != "" {
		return RungResult{Outcome: Wait, Reason: reason}, err
	}
	decision, err := a.mayAct(ctx, in.Ref)
	if err != nil {
		return RungResult{}, err
	}
	if !decision.Do {
		res := RungResult{Outcome: Wait, Reason: decision.Reason, Until: decision.Until}
		return res, a.skip(ctx, in.Key+"/look", in.Ref, decision.Reason)
	}
	return RungResult{}, nil
}

func (a *Activities) gone(ctx context.Context, ref Ref) (bool, error) {
	var gone bool
	var err error
	switch ref.Type {
	case PCUDownType:
		var p store.PCU
		p, err = a.Store.PCU(ctx, ref.PCUID)
		gone = p.Gone
	case SiteDownType:
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

// guarded says whether the fleet guard lets anything be done: it holds until two sweeps have believed what they saw.
func (a *Activities) guarded(ctx context.Context) (policy.Decision, error) {
	now := a.now()
	held, err := a.Store.Actions(ctx, store.ActionFilter{Kind: "guard", Since: now.Add(-2 * a.SweepEvery), Limit: 1})
	if err != nil || len(held) == 0 {
		return policy.Decision{Do: err == nil}, err
	}
	return policy.Decision{Until: now.Add(2 * a.SweepEvery), Reason: "the fleet guard holds everything: " + held[0].Reason}, nil
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
