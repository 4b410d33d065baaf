package activities

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// asksAtOnce bounds the questions to Temporal under way.
const asksAtOnce = 16

// closeLost asks Temporal for the workflow of each open issue, once a sweep, and closes in the store those that have
// none any more: they were terminated, or their namespace was lost. What they were about may then be opened again. It
// answers those that live.
func (a *Sweep) closeLost(ctx context.Context, open []store.Issue) []store.Issue {
	lost := make([]bool, len(open))
	slots := make(chan struct{}, asksAtOnce)
	var wg sync.WaitGroup
	for n, i := range open {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			alive, err := a.workflows.running(ctx, i.ID, "")
			if err == nil && !alive {
				lost[n], err = a.closeOrphan(ctx, i)
			}
			if err != nil {
				a.Log.Warn("an issue could not be asked for its workflow", "issue", i.ID, "error", err)
			}
		})
	}
	wg.Wait()
	var living []store.Issue
	for n, i := range open {
		if !lost[n] {
			living = append(living, i)
		}
	}
	return living
}

// closeOrphan ends an issue in the store whose workflow is gone, with all that it holds, unless it came to its end just
// now.
func (a *Sweep) closeOrphan(ctx context.Context, i store.Issue) (bool, error) {
	last, err := a.Store.Issue(ctx, i.ID)
	if err != nil || last.RunID != i.RunID || last.Status == string(issue.Closed) {
		return err == nil, err
	}
	ref := Ref{ID: i.ID, Run: i.RunID, Type: i.Type, Node: i.Node, Site: i.Site, PCUID: i.PCUID}
	const why = "its workflow was terminated, or lost with its namespace"
	if _, err := a.claims.releaseAll(ctx, ref, why); err != nil {
		return false, err
	}
	if err := a.workflows.releaseHold(ctx, ref, "", i.Opened, why); err != nil {
		return false, err
	}
	if i.Type == issue.PCUDown {
		if err := a.workflows.notifyPCURecovered(ctx, ref, "has lost its workflow"); err != nil {
			return false, err
		}
	}
	a.Log.Warn("the workflow of an open issue is gone: the issue is closed, and opened again if there is reason",
		"issue", i.ID, "run", i.RunID)
	key := "reconcile/" + ref.Episode()
	if _, _, err := a.Store.Intent(ctx, store.Action{Key: key, Kind: store.KindReconcile, Issue: i.ID, RunID: i.RunID,
		Node: i.Node, Site: i.Site, Reason: why}); err != nil {
		return false, err
	}
	if err := a.Store.Outcome(ctx, key, store.Done, "closed, and all that it held is let go"); err != nil {
		return false, err
	}
	return true, a.Store.CloseLost(ctx, i, why, a.now())
}

// clear tells open issues whose target the sweep saw good. Each looks for itself before it closes.
func (a *Sweep) clear(ctx context.Context, j *judgement, res *SweepResult) {
	for _, i := range j.open {
		if !j.recovered(i) || waitsToClose(i) {
			continue
		}
		if err := a.workflows.signal(ctx, i, SignalRecovered); err == nil {
			res.Cleared++
		}
	}
}

// waitsToClose says whether an issue knows that its target is good.
func waitsToClose(i store.Issue) bool {
	if memory, err := i.Memory(); err == nil && !memory.RecoveredAt.IsZero() {
		return true
	}
	return i.Next == issue.Recovering
}

// retry wakes issues whose next rung waits for something that this sweep saw end: an exemption or an entry of the
// blacklist that was lifted early, a site's story that is over, a switch that was set back, a boot state that somebody
// gave back.
func (a *Sweep) retry(ctx context.Context, j *judgement) error {
	controls, err := a.Store.Controls(ctx)
	if err != nil {
		return err
	}
	entries, err := a.Store.Blacklist(ctx)
	if err != nil {
		return err
	}
	lease, err := a.gate.lease(ctx)
	if err != nil {
		return err
	}
	for _, i := range j.open {
		memory, err := i.Memory()
		if err != nil || memory.Status != issue.Open || memory.Blocked == nil || memory.Blocked.Check == "" {
			continue
		}
		f := policy.GateFacts{Stopped: controls.Stopped(), Lease: lease, Node: j.gates[i.Node],
			NodeExemptUntil: j.exempt["node/"+i.Node], SiteExemptUntil: j.exempt["site/"+i.Site],
			Listed: listing(entries, i, j.now)}
		f.Mode, f.ModeWhy = a.gate.mode(controls, memory.Ref)
		if memory.Blocked.Check == "covered" { // the one check that has to be asked of the store
			if f.CoveredBy, err = a.gate.coveredBy(ctx, memory.Ref); err != nil {
				a.Log.Warn("it is not known what speaks for an issue", "issue", i.ID, "error", err)
				continue
			}
		}
		if policy.Lifted(a.Policy, memory.Blocked.Check, f, j.now) {
			_ = a.workflows.signal(ctx, i, SignalRetry)
		}
	}
	return nil
}

// listing finds what the blacklist says of an issue's target.
func listing(entries []store.BlacklistEntry, i store.Issue, now time.Time) policy.Listing {
	for _, e := range entries {
		about := e.Kind == "node" && e.Target == i.Node || e.Kind == "site" && e.Target == i.Site ||
			e.Kind == "pcu" && i.Type == issue.PCUDown && e.Target == i.Target
		if about && !e.Starts.After(now) && (e.Until.IsZero() || e.Until.After(now)) {
			return policy.Listing{Listed: true, Until: e.Until, Reason: e.Reason, Downtime: e.Downtime}
		}
	}
	return policy.Listing{}
}

// recovered says whether the sweep saw the target of an issue good.
func (j *judgement) recovered(i store.Issue) bool {
	t, known := issue.Lookup(i.Type)
	if !known {
		return false
	}
	var f issue.Facts
	var seen bool
	switch t.Target {
	case issue.OfPCU:
		f.PCU, seen = j.pcus[i.Target]
	case issue.OfSite:
		var s *policy.SiteSeen
		if s, seen = j.sites[i.Target]; seen {
			f.Site = *s
		}
	default:
		f.Node, seen = j.nodes[i.Node]
	}
	if !seen {
		return false
	}
	good, _ := t.Recovered(f)
	return good
}

// foldSiteOutages leaves out what is wrong at a site that went down as a whole, which is one story.
func (a *Sweep) foldSiteOutages(j *judgement, isOpen map[string]bool) []call {
	dark := map[string]bool{}
	for name, s := range j.sites {
		_, outage, _ := policy.SiteOutage(a.Policy, *s, j.now)
		dark[name] = outage || isOpen[issue.SiteDown+"/"+name]
	}
	return slices.DeleteFunc(slices.Clone(j.calls), func(c call) bool {
		return dark[c.site] && c.typ.Target != issue.OfSite
	})
}

// fresh are the issues that are to be opened: those that are not open, that no operator closed, that did not close
// while the sweep looked, since its look may be the older one, and whose type is believed.
func (a *Sweep) fresh(ctx context.Context, plan Plan, j *judgement, res *SweepResult) ([]call, error) {
	vouched, isOpen, news := plan.Believe != "", map[string]bool{}, map[string]int{}
	for _, i := range j.open {
		isOpen[i.ID] = true
		if i.Opened.After(j.news) && j.since[i.Target].After(j.vouched) {
			news[i.Type]++
		}
	}
	closed, err := a.leftClosed(ctx, j)
	if err != nil {
		return nil, err
	}
	recovered, err := a.Store.RecoveredSince(ctx, plan.Started)
	if err != nil {
		return nil, err
	}
	var out []call
	for _, c := range a.foldSiteOutages(j, isOpen) {
		if isOpen[c.id()] || closed[c.id()] || recovered[c.id()] {
			continue
		}
		out = append(out, c)
		if c.since.After(j.vouched) { // what an operator vouched for is no news
			news[c.typ.Name]++
		}
	}
	of := map[issue.TargetKind]int{issue.OfNode: j.counts.nodes, issue.OfPCU: j.counts.pcus,
		issue.OfSite: j.counts.sites}
	out = a.doubtRules(j, out, vouched, res)
	for _, t := range j.types {
		if t.Name == issue.NodeFact { // which is doubted by rules
			continue
		}
		if d := policy.BelieveMany(a.Policy, t.Name, news[t.Name], of[t.Target]); !d.Do && !vouched &&
			res.Doubts[t.Name] == "" {
			res.Doubts[t.Name] = d.Reason
		}
	}
	return slices.DeleteFunc(out, func(c call) bool { return res.Doubts[c.typ.Name] != "" }), nil
}

// leftClosed are the issues that operators closed. A target that is good again may have issues again.
func (a *Sweep) leftClosed(ctx context.Context, j *judgement) (map[string]bool, error) {
	still := map[string]bool{}
	for id := range j.closed {
		ref := refOf(id)
		if j.recovered(store.Issue{ID: id, Type: ref.Type, Target: ref.Target(), Node: ref.Node}) {
			if err := a.Store.MayReopen(ctx, id); err != nil {
				return nil, err
			}
			continue
		}
		still[id] = true
	}
	return still, nil
}

// refOf takes an issue's id apart.
func refOf(id string) Ref {
	name, target, _ := strings.Cut(id, "/")
	ref := Ref{ID: id, Type: name}
	if t, known := issue.Lookup(name); known {
		in := t.Input(target)
		ref.Node, ref.PCU, ref.Site = in.Node, in.PCU, in.Site
	}
	return ref
}

func (a *Sweep) openOne(ctx context.Context, c call, now time.Time, res *SweepResult) error {
	ref := refOf(c.id())
	ref.Site = c.site
	answer, err := a.gate.ask(ctx, policy.ActOpen, ref, observation{})
	if err != nil {
		return err
	}
	if !answer.Do {
		return a.skipToday(ctx, ref.ID, ref, "not opened: "+answer.Reason, now)
	}
	if err := a.workflows.openIssue(ctx, c.typ.Name, ref, c.why, nil); err != nil {
		return err
	}
	res.Opened++
	return nil
}

// skipToday says once a policy day why something is not done.
func (a *Sweep) skipToday(ctx context.Context, what string, ref Ref, reason string, now time.Time) error {
	return a.skip(ctx, fmt.Sprintf("skip/%s/%s", what,
		now.Truncate(a.Policy.Day).UTC().Format(time.RFC3339)), ref, reason)
}
