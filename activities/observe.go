package activities

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/probe"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/store"
)

// observer takes fresh looks.
type observer struct {
	*ledger
	outlets *outlets
	Prober  *probe.Prober
	Open    []int // ports that must be open on a node that runs; nil: those of PlanetLab
}

// observation is what a fresh look at the target of an issue found.
type observation struct {
	looked bool // the rest was seen just now
	at     time.Time
	good   bool
	reason string
	// forSite is the reason as a site's people are told it, where it is another one.
	forSite string
	record  policy.Record // as the last sweep left it
	facts   policy.NodeFacts
	silent  []string // the nodes of a site that do not answer, and why
}

// observe takes a fresh look at the target of an issue.
func (a *observer) observe(ctx context.Context, ref Ref) (observation, error) {
	at := a.now()
	seen, err := a.look(ctx, ref)
	seen.at = at
	return seen, err
}

func (a *observer) look(ctx context.Context, ref Ref) (observation, error) {
	switch ref.Type {
	case issue.PCUDown:
		p, err := a.Store.PCU(ctx, ref.PCUID)
		if err != nil {
			return observation{}, err
		}
		r, err := a.outlets.dryRun(ctx, p)
		return observation{looked: err == nil, good: r.ok, reason: r.reason, forSite: r.forSite, record: p.Record}, err
	case issue.SiteDown:
		return a.observeSite(ctx, ref.Site)
	}
	n, err := a.Store.Node(ctx, ref.Node)
	if err != nil {
		return observation{}, err
	}
	r := a.Prober.Node(ctx, probeTarget(n))
	if r.Fault != "" {
		return observation{}, fmt.Errorf("look at %s: %s", n.Hostname, r.Fault)
	}
	s := observation{looked: true, record: n.Record, facts: a.factsOf(n, r)}
	s.facts.Symptoms = withRule(n, s.facts.Symptoms)
	if ref.Type == request.Type { // no look makes good what a person wants
		s.reason = s.facts.Finding.Reason
		return s, nil
	}
	t, known := issue.Lookup(ref.Type)
	if !known {
		return s, fmt.Errorf("no issue type %q", ref.Type)
	}
	s.good, s.reason = t.Recovered(issue.Facts{Node: s.facts})
	return s, nil
}

// observeSite looks at all nodes of a site. One that answers in any way ends the story of a dark site, and so does it
// when none is missed any more.
func (a *observer) observeSite(ctx context.Context, site string) (observation, error) {
	nodes, err := a.Store.NodesOfSite(ctx, site)
	if err != nil {
		return observation{}, err
	}
	var targets []probe.Target
	s := observation{looked: true, record: policy.Record{Status: policy.StatusDown}}
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
	alive, fault := 0, ""
	a.Prober.Nodes(ctx, targets, func(r probe.NodeResult) {
		f := a.infer(r)
		switch {
		case r.Fault != "":
			fault = r.Fault
		case f.Alive():
			alive++
		default:
			s.silent = append(s.silent, r.Host+": "+f.Reason)
		}
	})
	slices.Sort(s.silent)
	s.good, s.reason = alive > 0, fmt.Sprintf("%d of its %d nodes answer", alive, len(targets))
	if len(targets) == 0 {
		s.good, s.reason = true, a.from()+" has all its nodes disabled: none is missed"
	}
	if fault != "" && !s.good {
		return s, fmt.Errorf("look at %s: %s", site, fault)
	}
	return s, ctx.Err()
}

// factsOf are what policy is told of a node after a look.
func (a *observer) factsOf(n store.Node, r probe.NodeResult) policy.NodeFacts {
	f := a.infer(r)
	return policy.NodeFacts{
		Host: n.Hostname, Site: n.Site, BootState: n.BootState, Record: n.Record, Finding: f, HasPCU: n.PCUID != 0,
		Symptoms: policy.Symptoms(nodeLook(r), f, symptomsOf(n), r.At),
	}
}

// storedFacts are what the store knows of a node from its last look.
func storedFacts(n store.Node) policy.NodeFacts {
	f := policy.NodeFacts{
		Host: n.Hostname, Site: n.Site, BootState: n.BootState, Record: n.Record, HasPCU: n.PCUID != 0,
		Symptoms: withRule(n, symptomsOf(n)),
		Finding: policy.Finding{State: n.State, Category: n.Category, Firewall: n.Firewall, Uptime: n.Uptime,
			Reason: n.Reason},
	}
	_, f.Finding.Locked = f.Symptoms[policy.SymptomNodeConfig]
	return f
}

func probeTarget(n store.Node) probe.Target {
	return probe.Target{Host: n.Hostname, IP: n.IP, Site: n.Site, Silent: !n.FirstSilent.IsZero()}
}

// infer turns what a probe saw into what policy makes of it.
func (a *observer) infer(r probe.NodeResult) policy.Finding {
	look := nodeLook(r)
	look.MustBeOpen = a.Open
	return policy.InferNode(a.Policy.Kernels, look)
}

func nodeLook(r probe.NodeResult) policy.NodeLook {
	return policy.NodeLook{
		SSH: r.SSH.OK, SSHFailure: r.SSH.Failure, Kernel: r.Inside.Kernel, BootManager: r.Inside.BootManager,
		BootCD: r.Inside.BootCD, Ports: r.Ports, Uptime: r.Inside.Uptime,
		Name: r.DNS, Resolves: r.Inside.DNS, BootServer: r.Inside.Asked, ReadOnly: r.Inside.Unwritable(),
	}
}

// symptomsOf reads the symptoms of the last look. Those that do not read, as of another release, are none.
func symptomsOf(n store.Node) map[string]policy.Symptom {
	var out map[string]policy.Symptom
	if len(n.Symptoms) == 0 || json.Unmarshal(n.Symptoms, &out) != nil {
		return nil
	}
	return out
}

// withRule are symptoms, with what the rules of the configuration made of the node at the last sweep.
func withRule(n store.Node, symptoms map[string]policy.Symptom) map[string]policy.Symptom {
	s, holds := n.Rule()
	if !holds {
		return symptoms
	}
	if symptoms == nil {
		symptoms = map[string]policy.Symptom{}
	}
	symptoms[policy.SymptomNodeFact] = s
	return symptoms
}

// storedLook is what the store keeps of a look. What differs from look to look though nothing has changed, as the time
// and the uptime, is not part of its detail: a look that is as the last one is then not written.
func (a *observer) storedLook(n store.Node, r probe.NodeResult) (store.NodeLook, error) {
	facts := a.factsOf(n, r)
	f := facts.Finding
	l := store.NodeLook{
		Host: r.Host, At: r.At, State: f.State, Category: f.Category, Firewall: f.Firewall, Silent: !f.Alive(),
		Reason: f.Reason, Uptime: f.Uptime,
	}
	if !r.Inside.Booted.IsZero() {
		l.Uptime = r.At.Sub(r.Inside.Booted) // the answer may be seconds younger than the look
	}
	r.At, r.Inside.Uptime = time.Time{}, 0
	var err error
	if l.Detail, err = json.Marshal(r); err != nil || len(facts.Symptoms) == 0 {
		return l, err
	}
	l.Symptoms, err = json.Marshal(facts.Symptoms)
	return l, err
}

// runningNow looks at nodes and names those that run.
func (a *observer) runningNow(ctx context.Context, nodes []store.Node) []string {
	var targets []probe.Target
	for _, n := range nodes {
		targets = append(targets, probeTarget(n))
	}
	var running []string
	a.Prober.Nodes(ctx, targets, func(r probe.NodeResult) {
		if a.infer(r).State == policy.StateBoot {
			running = append(running, r.Host)
		}
	})
	slices.Sort(running)
	return running
}
