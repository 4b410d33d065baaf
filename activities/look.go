package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/probe"
	"github.com/planetlab/monitor/store"
)

// sight is what a fresh look at the target of an issue found.
type sight struct {
	looked bool // the look was taken
	good   bool
	reason string
	record policy.Record // as the last sweep left it
	facts  policy.NodeFacts
	silent []string // the nodes of a site that do not answer, and why
}

// observe takes a fresh look at the target of an issue.
func (a *Activities) observe(ctx context.Context, ref Ref) (sight, error) {
	switch ref.Type {
	case issue.PCUDown:
		p, err := a.Store.PCU(ctx, ref.PCUID)
		if err != nil {
			return sight{}, err
		}
		ok, reason, err := a.testPCU(ctx, p)
		return sight{good: ok, reason: reason, record: p.Record}, err
	case issue.SiteDown:
		return a.sightOfSite(ctx, ref.Site)
	}
	n, err := a.Store.Node(ctx, ref.Node)
	if err != nil {
		return sight{}, err
	}
	r := a.Prober.Node(ctx, probeTarget(n))
	s := sight{record: n.Record, facts: a.facts(n, r)}
	typ, _ := issue.Lookup(ref.Type)
	s.good, s.reason = typ.Recovered(issue.Facts{Node: s.facts})
	s.looked = true
	return s, nil
}

// sightOfSite looks at all nodes of a site. One that answers in any way ends the story of a dark site, and so does it when none
// is missed any more.
func (a *Activities) sightOfSite(ctx context.Context, site string) (sight, error) {
	nodes, err := a.Store.NodesOfSite(ctx, site)
	if err != nil {
		return sight{}, err
	}
	var targets []probe.Target
	s := sight{record: policy.Record{Status: policy.StatusDown}}
	for _, n := range nodes {
		if n.Record.Status == policy.StatusDisabled {
			continue
		}
		targets = append(targets, probeTarget(n))
		if n.Record.Changed.After(s.record.Changed) {
			s.record.Changed = n.Record.Changed
		}
		if n.Record.Status != policy.StatusDown {
			s.record.Status = n.Record.Status
		}
	}
	alive := 0
	a.Prober.Nodes(ctx, targets, func(r probe.NodeResult) {
		f := a.infer(r)
		if f.Alive() {
			alive++
		} else {
			s.silent = append(s.silent, r.Host+": "+f.Reason)
		}
	})
	slices.Sort(s.silent)
	s.good, s.reason = alive > 0, fmt.Sprintf("%d of its %d nodes answer", alive, len(targets))
	if len(targets) == 0 {
		s.good, s.reason = true, "PLC has all its nodes disabled: none is missed"
	}
	return s, ctx.Err()
}

// facts are what policy is told of a node after a look.
func (a *Activities) facts(n store.Node, r probe.NodeResult) policy.NodeFacts {
	f := a.infer(r)
	return policy.NodeFacts{
		Host: n.Hostname, Site: n.Site, BootState: n.BootState, Record: n.Record, Finding: f, HasPCU: n.PCUID != 0,
		Symptoms: policy.Symptoms(nodeLook(r), f, symptomsOf(n), r.At),
	}
}

func probeTarget(n store.Node) probe.Target { return probe.Target{Host: n.Hostname, IP: n.IP} }

// infer turns what a probe saw into what policy makes of it.
func (a *Activities) infer(r probe.NodeResult) policy.Finding {
	return policy.InferNode(a.Policy.Kernels, nodeLook(r))
}

func nodeLook(r probe.NodeResult) policy.NodeLook {
	return policy.NodeLook{
		SSH: r.SSH.OK, SSHFailure: r.SSH.Failure, Kernel: r.Inside.Kernel, BootManager: r.Inside.BootManager,
		BootCD: r.Inside.BootCD, Ports: r.Ports, Uptime: r.Inside.Uptime,
		Name: r.DNS, Resolves: r.Inside.DNS, BootServer: r.Inside.BootServer, ReadOnly: r.Inside.ReadOnly,
	}
}

// detail is what the store keeps of a look: all that the probe saw, and since when each trouble is there.
type detail struct {
	probe.NodeResult
	Symptoms map[string]policy.Symptom `json:"troubles,omitempty"`
}

// symptomsOf reads the troubles of the last look. A detail that does not read, as one of another release, has none.
func symptomsOf(n store.Node) map[string]policy.Symptom {
	var d detail
	if json.Unmarshal(n.Detail, &d) != nil {
		return nil
	}
	return d.Symptoms
}

func (a *Activities) storedLook(n store.Node, r probe.NodeResult) (store.NodeLook, error) {
	facts := a.facts(n, r)
	f := facts.Finding
	text, err := json.Marshal(detail{r, facts.Symptoms})
	return store.NodeLook{
		Host: r.Host, At: r.At, State: f.State, Category: f.Category, Firewall: f.Firewall, Reason: f.Reason, Uptime: f.Uptime, Detail: text,
	}, err
}

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
