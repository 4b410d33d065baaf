package activities

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// judgement is what one sweep makes of what it saw.
type judgement struct {
	now       time.Time
	vouched   time.Time // what was bad when an operator last vouched for the fleet is no news
	news      time.Time // else it is what became bad after this
	types     []issue.Type
	open      []store.Issue                   // issues that are not closed
	closed    map[string]store.OperatorClosed // those that operators closed
	exempt    map[string]time.Time            // "node/<host>" and "site/<login_base>"
	nodes     map[string]policy.NodeFacts     // of those that issues are about; a fleet is too large to be held
	gates     map[string]policy.NodeGate      // what the gate would ask about them, as far as a sweep knows
	wanted    map[string]bool                 // they
	leftAlone func(store.Node) bool           // those that count as up
	plcOK     bool                            // PLC answered this sweep
	pcus      map[string]issue.PCUFacts       // by name
	sites     map[string]*policy.SiteSeen
	rules     map[string]map[string]policy.Symptom // of the configuration, that hold of nodes that issues are about
	up        map[string]int                       // nodes of a site that count as up
	since     map[string]time.Time                 // since when a node, PCU or site is as it is, where that is bad

	changes, pcuChanges []store.Change
	calls               []call
	counts              counts
}

// counts are what a sweep found, in numbers.
type counts struct {
	nodes, pcus, sites     int // in the fleet
	up, unseenNodes        int
	unseenPCUs, newBadPCUs int
	unreadable             int
}

// call is an issue that what a sweep saw calls for.
type call struct {
	typ    issue.Type
	target string
	site   string
	why    string
	since  time.Time  // since when the target is as it is
	rules  []ruleCall // of the configuration, that call for it
}

func (c call) id() string { return c.typ.Name + "/" + c.target }

// Judge turns what a sweep saw into statuses, asks whether it is to be believed, then opens and clears issues. It may
// be tried again at any point: a sweep that was ended as believed is taken up where it was left.
func (a *Sweep) Judge(ctx context.Context, plan Plan) (SweepResult, error) {
	sweep, err := a.Store.Sweep(ctx, plan.Sweep)
	if err != nil {
		return SweepResult{}, err
	}
	if !sweep.Ended.IsZero() && !sweep.Believed {
		return SweepResult{Held: sweep.Reason}, nil
	}
	if sweep.Ended.IsZero() {
		var stop func()
		if ctx, stop, err = a.sweepBeat(ctx, plan.Sweep); err != nil {
			return SweepResult{}, err
		}
		defer stop()
	} else {
		defer heartbeat(ctx)()
	}
	release, err := a.Store.LockSweeps(ctx)
	if err != nil {
		return SweepResult{}, err
	}
	defer release()
	if err := a.askRules(ctx, plan); err != nil {
		return SweepResult{}, err
	}
	j, err := a.judgeFleet(ctx, plan)
	if err != nil {
		return SweepResult{}, err
	}
	res := SweepResult{Nodes: j.counts.nodes - j.counts.unseenNodes, PCUs: j.counts.pcus - j.counts.unseenPCUs,
		Up:     j.counts.up,
		Unseen: j.counts.unseenNodes + j.counts.unseenPCUs, Doubts: map[string]string{}}
	if sweep.Ended.IsZero() {
		if guard := policy.BelieveSweep(a.Policy, j.seen(plan)); !guard.Do {
			// Nothing of this sweep is believed, not even the statuses: the next sweep looks again. That something is
			// good passes.
			res.Held = guard.Reason
			a.clear(ctx, j, &res)
			return res, a.hold(ctx, plan, res)
		}
	}
	return res, a.believed(ctx, plan, j, &res)
}

// believed writes down what a believed sweep found, which is the lease to act, and acts on it.
func (a *Sweep) believed(ctx context.Context, plan Plan, j *judgement, res *SweepResult) error {
	vouched := plan.Believe != ""
	if vouched {
		if err := a.vouch(ctx, plan); err != nil {
			return err
		}
	}
	if d := policy.BelievePCUs(a.Policy, j.counts.newBadPCUs, j.counts.unseenPCUs, j.counts.pcus); !d.Do && !vouched {
		res.Doubts[issue.PCUDown] = d.Reason
		j.calls = slices.DeleteFunc(j.calls, func(c call) bool { return c.typ.Target == issue.OfPCU })
	} else {
		j.changes = append(j.changes, j.pcuChanges...)
	}
	if _, err := a.refusedRows(a.Store.SaveChanges(ctx, j.changes, j.now)); err != nil {
		return err
	}
	j.open = a.closeLost(ctx, j.open)
	fresh, err := a.fresh(ctx, plan, j, res)
	if err != nil {
		return err
	}
	if err := a.Store.EndSweep(ctx, store.Sweep{ID: plan.Sweep, Believed: true, Vouched: vouched, Doubts: res.Doubts,
		Counts: j.counts.stored()}); err != nil {
		return err
	}
	a.clear(ctx, j, res)
	if err := a.retry(ctx, j); err != nil {
		return err
	}
	for _, typ := range slices.Sorted(maps.Keys(res.Doubts)) {
		a.Log.Warn("issues of one type, or of one rule, are held back", "type", typ, "reason", res.Doubts[typ])
		if err := a.skipToday(ctx, typ, Ref{}, res.Doubts[typ], j.now); err != nil {
			return err
		}
		if err := a.tellDoubt(ctx, plan.Sweep, typ, res.Doubts[typ]); err != nil {
			return err
		}
	}
	for _, c := range fresh {
		if err := a.openOne(ctx, c, j.now, res); err != nil {
			a.Log.Warn("an issue could not be opened; the next sweep tries again", "issue", c.id(), "error", err)
		}
	}
	return nil
}

func (c counts) stored() map[string]int {
	return map[string]int{"nodes": c.nodes, "pcus": c.pcus, "up": c.up, "unseen": c.unseenNodes,
		"unseen_pcus": c.unseenPCUs, "unreadable": c.unreadable}
}

// vouch writes down that an operator takes a sweep's news for true.
func (a *Sweep) vouch(ctx context.Context, plan Plan) error {
	key := fmt.Sprintf("believe/%d", plan.Sweep)
	if _, _, err := a.Store.Intent(ctx,
		store.Action{Key: key, Kind: store.KindBelieve, Reason: plan.Believe}); err != nil {
		return err
	}
	return a.Store.Outcome(ctx, key, store.Done, "the fleet guard lets the sweep's news pass")
}

// seen is what decides whether the sweep is believed.
func (j *judgement) seen(plan Plan) policy.SweepSeen {
	s := policy.SweepSeen{Nodes: j.counts.nodes, Unseen: j.counts.unseenNodes, Vouched: plan.Believe != ""}
	if plan.PLC != PLCAnswers {
		s.PLC = plan.PLC
	}
	for _, site := range j.sites {
		if site.Nodes > 0 {
			s.Sites = append(s.Sites, *site)
		}
	}
	return s
}

// judgeFleet reads the fleet once and judges all of it; nothing is written yet.
func (a *Sweep) judgeFleet(ctx context.Context, plan Plan) (*judgement, error) {
	j, err := a.newJudgement(ctx)
	if err != nil {
		return nil, err
	}
	j.plcOK = plan.PLC == PLCAnswers
	fleet, err := a.Store.ReadFleet(ctx, plan.Started, func(n store.Node) { a.judgeNode(j, n) })
	if err != nil {
		return nil, err
	}
	a.warnUnreadable(fleet.Unreadable)
	j.counts.pcus, j.counts.sites, j.counts.unreadable = len(fleet.PCUs), len(fleet.Sites), len(fleet.Unreadable)
	for _, p := range fleet.PCUs {
		a.judgePCU(j, p)
	}
	for _, s := range fleet.Sites {
		a.judgeSite(j, s)
	}
	return j, nil
}

// newJudgement reads what a judgement needs beside the fleet.
func (a *Sweep) newJudgement(ctx context.Context) (*judgement, error) {
	now := a.now()
	j := &judgement{
		now: now, news: now.Add(-a.Policy.Guard.Window), types: issue.Types(), exempt: map[string]time.Time{},
		nodes:  map[string]policy.NodeFacts{},
		wanted: map[string]bool{}, gates: map[string]policy.NodeGate{}, pcus: map[string]issue.PCUFacts{},
		sites: map[string]*policy.SiteSeen{}, rules: map[string]map[string]policy.Symptom{},
		up: map[string]int{}, since: map[string]time.Time{},
	}
	var err error
	if j.vouched, err = a.Store.LastVouched(ctx); err != nil {
		return nil, err
	}
	if j.vouched.After(j.news) {
		j.news = j.vouched
	}
	if j.leftAlone, err = a.gate.leftAlone(ctx); err != nil {
		return nil, err
	}
	if j.open, err = a.Store.Issues(ctx, store.IssueFilter{Open: true, Limit: 1 << 30}); err != nil {
		return nil, err
	}
	if j.closed, err = a.Store.LeftClosed(ctx); err != nil {
		return nil, err
	}
	for _, i := range j.open {
		j.wanted[i.Node] = true
	}
	for id := range j.closed {
		j.wanted[refOf(id).Node] = true
	}
	return j, nil
}

func (a *Sweep) judgeNode(j *judgement, n store.Node) {
	j.counts.nodes++
	if n.ExemptUntil.After(j.now) {
		j.exempt["node/"+n.Hostname] = n.ExemptUntil
	}
	if n.SeenAt.IsZero() {
		j.counts.unseenNodes++
		return
	}
	saw := n.State + " " + policy.CleanBootState(n.BootState)
	record, reason := policy.NextNode(a.Policy, n.Record, policy.NodeSeen{
		State: n.State, BootState: n.BootState, Uptime: n.Uptime,
		NeverContacted: a.NoPLC == nil && n.LastContact.IsZero(),
		AsBefore:       n.Judged == saw,
	}, j.now)
	if record != n.Record || n.Judged != saw {
		j.changes = append(j.changes, store.Change{Kind: "node", Target: n.Hostname, Was: n.Record, Record: record,
			Judged: saw, Reason: reason})
	}
	facts := storedFacts(n)
	facts.Record = record
	if j.wanted[n.Hostname] {
		j.nodes[n.Hostname] = facts
		j.rules[n.Hostname] = n.Rules()
		j.gates[n.Hostname] = policy.NodeGate{Looked: true, Finding: facts.Finding,
			SilentFrom: n.SilentFrom(record.Changed), AskedPLC: j.plcOK, BootState: n.BootState,
			NoHeartbeats: a.NoPLC != nil}
	}
	bad := badSince(n.BadSince, record)
	for _, s := range facts.Symptoms {
		j.bad(n.Hostname, s.Since)
	}
	j.bad(n.Hostname, bad)
	if record.Status.Healthy() {
		j.counts.up++
	}
	if policy.CountsAsUp(record, facts.Finding, j.leftAlone(n)) {
		j.up[n.Site]++
	}
	j.see(n, facts, bad)
	for _, t := range j.types {
		if t.Call == nil || t.Target != issue.OfNode {
			continue
		}
		if why, open := t.Call(a.Policy, issue.Facts{Node: facts}, j.now); open {
			since := cmp.Or(facts.Symptoms[t.Name].Since, bad, record.Changed)
			c := call{typ: t, target: n.Hostname, site: n.Site, why: why, since: since}
			if t.Name == issue.NodeFact { // each rule for itself
				if c, open = byRules(a.Policy, c, rulesCalling(a.Policy, n.Rules(), j.now), j.now); !open {
					continue
				}
			}
			j.calls = append(j.calls, c)
		}
	}
}

// badSince is since when something is bad with the status it now has; zero: it is not.
func badSince(was time.Time, record policy.Record) time.Time {
	switch {
	case !record.Status.Faulty():
		return time.Time{}
	case was.IsZero():
		return record.Changed
	}
	return was
}

// bad keeps the latest time at which something of a target became bad.
func (j *judgement) bad(target string, since time.Time) {
	if since.After(j.since[target]) {
		j.since[target] = since
	}
}

// see counts a node into what the sweep saw of its site; one that should run, among those that may be missed.
func (j *judgement) see(n store.Node, now policy.NodeFacts, bad time.Time) {
	s := j.sites[n.Site]
	if s == nil {
		s = &policy.SiteSeen{Site: n.Site}
		j.sites[n.Site] = s
	}
	if now.Finding.Alive() {
		s.Alive++
	}
	if j.leftAlone(n) || now.Record.Status == policy.StatusDisabled {
		return
	}
	s.Nodes++
	if now.Record.Status.Unhealthy() && !now.Finding.Alive() {
		s.Missed = append(s.Missed, now.Record.Changed)
	}
	if bad.After(j.news) {
		s.NewlyBad++
	}
}

func (a *Sweep) judgePCU(j *judgement, p store.PCU) {
	if p.SeenAt.IsZero() {
		j.counts.unseenPCUs++
		return
	}
	record, reason := policy.NextPCU(a.Policy, p.Record, p.OK, j.now)
	if record != p.Record {
		j.pcuChanges = append(j.pcuChanges, store.Change{Kind: "pcu", Target: strconv.Itoa(p.PCUID), Was: p.Record,
			Record: record, Reason: reason})
	}
	facts := issue.PCUFacts{Name: p.Name, Site: p.Site, Record: record, Passes: p.OK, Reason: p.Reason}
	j.pcus[p.Name] = facts
	bad := badSince(p.BadSince, record)
	j.bad(p.Name, bad)
	if bad.After(j.news) {
		j.counts.newBadPCUs++
	}
	for _, t := range j.types {
		if t.Call == nil || t.Target != issue.OfPCU {
			continue
		}
		if why, open := t.Call(a.Policy, issue.Facts{PCU: facts}, j.now); open {
			j.calls = append(j.calls, call{typ: t, target: p.Name, site: p.Site, why: why,
				since: cmp.Or(bad, record.Changed)})
		}
	}
}

func (a *Sweep) judgeSite(j *judgement, s store.Site) {
	record, reason := policy.NextSite(a.Policy, s.Record, j.up[s.LoginBase], s.Created, j.now)
	if s.ExemptUntil.After(j.now) {
		j.exempt["site/"+s.LoginBase] = s.ExemptUntil
	}
	if record != s.Record {
		j.changes = append(j.changes, store.Change{Kind: "site", Target: s.LoginBase, Was: s.Record, Record: record,
			Reason: reason})
	}
	seen := j.sites[s.LoginBase]
	if seen == nil {
		return
	}
	for _, t := range j.types {
		if t.Call == nil || t.Target != issue.OfSite {
			continue
		}
		if why, open := t.Call(a.Policy, issue.Facts{Site: *seen}, j.now); open {
			since := slices.MaxFunc(seen.Missed, time.Time.Compare)
			j.bad(s.LoginBase, since)
			j.calls = append(j.calls, call{typ: t, target: s.LoginBase, site: s.LoginBase, why: why, since: since})
		}
	}
}

// hold writes down why nothing of a sweep is believed, and tells the admins when that begins.
func (a *Sweep) hold(ctx context.Context, plan Plan, res SweepResult) error {
	earlier, err := a.Store.Actions(ctx,
		store.ActionFilter{Kind: store.KindGuard, Since: plan.Started.Add(-3 * a.SweepEvery)})
	if err != nil {
		return err
	}
	key := fmt.Sprintf("guard/%d", plan.Sweep)
	// that no sweep was believed for hours is of the same kind, and says nothing of why
	earlier = slices.DeleteFunc(earlier, func(e store.Action) bool { return !strings.HasPrefix(e.Key, "guard/") })
	intended, _, err := a.Store.Intent(ctx, store.Action{Key: key, Kind: store.KindGuard, Reason: res.Held})
	if err != nil {
		return err
	}
	a.Log.Warn("the fleet guard holds everything back", "reason", res.Held)
	known := len(earlier) > 0 && earlier[0].Key != key && earlier[0].Outcome != ""
	if known || a.post.tellHeld(ctx, intended, store.Skipped, res.Held) {
		if err := a.Store.Outcome(ctx, key, store.Skipped, res.Held); err != nil {
			return err
		}
	}
	return a.Store.EndSweep(ctx, store.Sweep{ID: plan.Sweep, Reason: res.Held,
		Counts: map[string]int{"nodes": res.Nodes, "pcus": res.PCUs, "up": res.Up, "unseen": res.Unseen}})
}

// tellDoubt writes to the admins that issues of one type, or of one rule, are held back, once for as long as it lasts.
func (a *Sweep) tellDoubt(ctx context.Context, sweep int64, typ, why string) error {
	since, err := a.Store.LastWithoutDoubt(ctx, typ, sweep)
	if err != nil {
		return err
	}
	return a.post.tellDoubted(ctx, fmt.Sprintf("doubt/%s/%d", typ, since), typ, why)
}
