package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/probe"
	"github.com/planetlab/monitor/store"
)

// lookAgain answers whether the target of an issue is good right now, by a fresh look.
func (a *Activities) lookAgain(ctx context.Context, ref Ref) (good bool, reason string, err error) {
	if ref.Type == PCUDownType {
		p, err := a.Store.PCU(ctx, ref.PCUID)
		if err != nil {
			return false, "", err
		}
		ok, reason := a.testPCU(ctx, p)
		return ok, reason, nil
	}
	n, err := a.Store.Node(ctx, ref.Node)
	if err != nil {
		return false, "", err
	}
	f := a.infer(a.Prober.Node(ctx, probeTarget(n)))
	good, reason = policy.NodeUp(n.Record, f)
	return good, reason, nil
}

func probeTarget(n store.Node) probe.Target { return probe.Target{Host: n.Hostname, IP: n.IP} }

// infer turns what a probe saw into what policy makes of it.
func (a *Activities) infer(r probe.NodeResult) policy.Finding {
	return policy.InferNode(a.Numbers.Kernels, nodeLook(r))
}

func nodeLook(r probe.NodeResult) policy.NodeLook {
	return policy.NodeLook{
		SSH: r.SSH.OK, SSHFailure: r.SSH.Failure, Kernel: r.Inside.Kernel, BootManager: r.Inside.BootManager,
		BootCD: r.Inside.BootCD, Ports: r.Ports, Uptime: r.Inside.Uptime,
	}
}

func storedLook(r probe.NodeResult, f policy.Finding) (store.NodeLook, error) {
	detail, err := json.Marshal(r)
	return store.NodeLook{Host: r.Host, At: r.At, State: f.State, Category: f.Category, Firewall: f.Firewall, Reason: f.Reason, Uptime: f.Uptime, Detail: detail}, err
}

// rung does one rung of a ladder: it looks, asks whether it may, does it, and records where the issue stands then.
func (a *Activities) rung(ctx context.Context, in RungInput, do func(context.Context, RungInput) (RungResult, error)) (RungResult, error) {
	res, err := a.before(ctx, in)
	if err == nil && res.Outcome == "" {
		res, err = do(ctx, in)
	}
	if err != nil || res.Outcome == Good || res.Outcome == Gone { // the workflow has more to say about these
		return res, err
	}
	return res, a.Record(ctx, in.progress(res, a.now()))
}

// before is what every rung asks first: does the target exist, is it good by now, and may it be acted on.
// A result with an outcome ends the rung.
func (a *Activities) before(ctx context.Context, in RungInput) (RungResult, error) {
	if gone, err := a.gone(ctx, in.Ref); err != nil || gone {
		return RungResult{Outcome: Gone, Reason: in.Ref.Target() + " is no longer in PLC"}, err
	}
	good, reason, err := a.lookAgain(ctx, in.Ref)
	if err != nil {
		return RungResult{}, err
	}
	if good {
		return RungResult{Outcome: Good, Reason: reason}, nil
	}
	if reason, err := a.inDebugMode(ctx, in.Ref); err != nil || reason != "" {
		return RungResult{Outcome: Wait, Reason: reason}, err
	}
	decision, err := a.mayAct(ctx, in.Ref)
	if err != nil {
		return RungResult{}, err
	}
	if !decision.Do {
		res := RungResult{Outcome: Wait, Reason: decision.Reason, Until: decision.Until}
		return res, a.skip(ctx, in.Key, in.Ref, decision.Reason)
	}
	return RungResult{}, nil
}

func (a *Activities) gone(ctx context.Context, ref Ref) (bool, error) {
	var gone bool
	var err error
	if ref.Type == PCUDownType {
		var p store.PCU
		p, err = a.Store.PCU(ctx, ref.PCUID)
		gone = p.Gone
	} else {
		var n store.Node
		n, err = a.Store.Node(ctx, ref.Node)
		gone = n.Gone
	}
	if errors.Is(err, store.ErrNotFound) {
		return true, nil
	}
	return gone, err
}

// mayAct looks at exemptions, the blacklist, downtimes and the fleet guard.
func (a *Activities) mayAct(ctx context.Context, ref Ref) (policy.Decision, error) {
	now := a.now()
	held, err := a.Store.Actions(ctx, store.ActionFilter{Kind: "guard", Since: now.Add(-2 * a.SweepEvery), Limit: 1})
	if err != nil {
		return policy.Decision{}, err
	}
	if len(held) > 0 {
		return policy.Decision{Until: now.Add(2 * a.SweepEvery), Reason: "the fleet guard holds everything: " + held[0].Reason}, nil
	}
	site, err := a.Store.Site(ctx, ref.Site)
	if err != nil {
		return policy.Decision{}, fmt.Errorf("site %s of %s: %w", ref.Site, ref.Target(), err)
	}
	may := policy.MayActFacts{SiteExemptUntil: site.ExemptUntil}
	if ref.Node != "" {
		n, err := a.Store.Node(ctx, ref.Node)
		if err != nil {
			return policy.Decision{}, err
		}
		may.NodeExemptUntil = n.ExemptUntil
	}
	entry, listed, err := a.Store.Blacklisted(ctx, ref.Node, ref.Site, now)
	if err != nil {
		return policy.Decision{}, err
	}
	if listed {
		may.Blacklisted, may.BlacklistUntil, may.BlacklistReason = true, entry.Until, entry.Reason
		may.Downtime = entry.Downtime
	}
	return policy.MayAct(may, now), nil
}
