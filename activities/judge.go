package activities

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.temporal.io/api/serviceerror"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/policy"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// judgement is what one sweep makes of what it saw.
type judgement struct {
	changes  []store.Change
	verdicts []policy.Verdict
	nodes    map[string]policy.NodeFacts
	pcus     map[string]bool // name -> its dry run passes
	sites    map[string]*policy.SiteSeen
	up       map[string]int // nodes of a site that are not down, for its status
}

// Judge turns what a sweep saw into statuses, asks the fleet guard, then opens and clears issues.
func (a *Activities) Judge(ctx context.Context, plan Plan) (SweepResult, error) {
	defer beat(ctx)()
	now := a.now()
	var res SweepResult
	j := judgement{
		nodes: map[string]policy.NodeFacts{}, pcus: map[string]bool{}, sites: map[string]*policy.SiteSeen{}, up: map[string]int{},
	}
	if err := a.judgeNodes(ctx, plan, now, &j, &res); err != nil {
		return res, err
	}
	if err := a.judgePCUs(ctx, plan, now, &j, &res); err != nil {
		return res, err
	}
	var seen []policy.SiteSeen
	for _, s := range j.sites {
		if s.Nodes > 0 {
			seen = append(seen, *s)
		}
	}
	if plan.Believe != "" {
		seen = nil
		if err := a.believe(ctx, plan); err != nil {
			return res, err
		}
	}
	if guard := policy.FleetGuard(a.Policy, seen, plan.PLC == "ok"); !guard.Do {
		// Nothing of this sweep is believed, not even the statuses: the next sweep looks again.
		res.Held = guard.Reason
		return res, a.hold(ctx, plan, guard.Reason)
	}
	sites, err := a.Store.Sites(ctx)
	if err != nil {
		return res, err
	}
	for _, s := range sites {
		record, reason := policy.NextSite(a.Policy, s.Record, j.up[s.LoginBase], s.Created, now)
		if record != s.Record {
			j.changes = append(j.changes, store.Change{Kind: "site", Target: s.LoginBase, Was: s.Record, Record: record, Reason: reason})
		}
	}
	if err := a.Store.SaveChanges(ctx, j.changes, now); err != nil {
		return res, err
	}
	return res, a.openAndClear(ctx, plan, j, now, &res)
}

// believe writes down that an operator takes a sweep's news for true.
func (a *Activities) believe(ctx context.Context, plan Plan) error {
	key := "believe/" + plan.Started.UTC().Format(time.RFC3339Nano)
	if _, _, err := a.Store.Intent(ctx, store.Action{Key: key, Kind: "believe", Reason: plan.Believe}); err != nil {
		return err
	}
	return a.Store.Outcome(ctx, key, store.Done, "the fleet guard lets the sweep's news pass")
}

func (a *Activities) judgeNodes(ctx context.Context, plan Plan, now time.Time, j *judgement, res *SweepResult) error {
	nodes, err := a.Store.Nodes(ctx, 0, 1<<30)
	if err != nil {
		return err
	}
	listed, err := a.blacklistedNodes(ctx, now)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if n.SeenAt.Before(plan.Started) {
			continue // not looked at in this sweep, as a node that PLC has just gained
		}
		seen := policy.NodeSeen{State: n.State, BootState: n.BootState, Uptime: n.Uptime, NeverContacted: n.LastContact.IsZero()}
		record, reason := policy.NextNode(a.Policy, n.Record, seen, now)
		if record != n.Record {
			j.changes = append(j.changes, store.Change{Kind: "node", Target: n.Hostname, Was: n.Record, Record: record, Reason: reason})
		}
		facts := policy.NodeFacts{
			Host: n.Hostname, Site: n.Site, Record: record, HasPCU: n.PCUID != 0, Symptoms: symptomsOf(n),
			Finding: policy.Finding{State: n.State, Category: n.Category, Firewall: n.Firewall, Uptime: n.Uptime, Reason: n.Reason},
		}
		_, facts.Finding.Locked = facts.Symptoms[NodeConfigType]
		j.nodes[n.Hostname] = facts
		j.verdicts = append(j.verdicts, policy.NodeVerdicts(a.Policy, facts, now)...)
		if record.Status.Healthy() {
			res.Up++
		}
		if listed[n.Hostname] || record.Status != policy.StatusDown {
			j.up[n.Site]++
		}
		j.see(n, facts, !listed[n.Hostname] && record.Status != policy.StatusDisabled)
		res.Nodes++
	}
	return nil
}

// see counts a node into what the sweep saw of its site; one that should run, among those that may be missed.
func (j *judgement) see(n store.Node, now policy.NodeFacts, should bool) {
	s := j.sites[n.Site]
	if s == nil {
		s = &policy.SiteSeen{Site: n.Site}
		j.sites[n.Site] = s
	}
	if now.Finding.Alive() {
		s.Alive++
	}
	if !should {
		return
	}
	s.Nodes++
	if now.Record.Status.Unhealthy() && !now.Finding.Alive() {
		s.Missed = append(s.Missed, now.Record.Changed)
	}
	if n.Record.Status.Healthy() && now.Record.Status == policy.StatusOffline {
		s.NewlyDown++
	}
}

func (a *Activities) judgePCUs(ctx context.Context, plan Plan, now time.Time, j *judgement, res *SweepResult) error {
	pcus, err := a.Store.PCUs(ctx, 0, 1<<30)
	if err != nil {
		return err
	}
	for _, p := range pcus {
		if p.SeenAt.Before(plan.Started) {
			continue
		}
		record, reason := policy.NextPCU(a.Policy, p.Record, p.OK, now)
		if record != p.Record {
			j.changes = append(j.changes, store.Change{Kind: "pcu", Target: strconv.Itoa(p.PCUID), Was: p.Record, Record: record, Reason: reason})
		}
		j.pcus[p.Name] = record.Status.Healthy()
		if v, open := policy.PCUVerdict(a.Policy, p.Name, p.Site, record, p.Reason, now); open {
			j.verdicts = append(j.verdicts, v)
		}
		res.PCUs++
	}
	return nil
}

// hold writes down that the fleet guard believes nothing of a sweep, and tells the admins when it begins to.
func (a *Activities) hold(ctx context.Context, plan Plan, reason string) error {
	earlier, err := a.Store.Actions(ctx, store.ActionFilter{Kind: "guard", Since: plan.Started.Add(-3 * a.SweepEvery), Limit: 1})
	if err != nil {
		return err
	}
	key := "guard/" + plan.Started.UTC().Format(time.RFC3339Nano)
	if _, _, err := a.Store.Intent(ctx, store.Action{Key: key, Kind: "guard", Reason: reason}); err != nil {
		return err
	}
	a.Log.Warn("the fleet guard holds everything back", "reason", reason)
	if len(a.Admins) > 0 && (len(earlier) == 0 || earlier[0].Key == key) {
		_, err := a.send(ctx, notify.Notice{
			Kind: notify.Held, Site: "fleet", At: a.now().UTC(), To: a.Admins, MessageID: notify.MessageID(key, a.Domain),
			Items: []notify.Item{{Issue: "guard", Type: "fleet", Target: "the fleet", Evidence: []string{reason}}},
		}, nil)
		if err != nil {
			a.Log.Warn("the admins could not be told that the fleet guard holds", "error", err)
		}
	}
	return a.Store.Outcome(ctx, key, store.Skipped, reason)
}

// openAndClear starts what is not open yet and tells open issues whose target has become good.
func (a *Activities) openAndClear(ctx context.Context, plan Plan, j judgement, now time.Time, res *SweepResult) error {
	open, err := a.Store.Issues(ctx, store.IssueFilter{Open: true, Limit: 1 << 30})
	if err != nil {
		return err
	}
	isOpen, overdue := map[string]bool{}, map[string]bool{}
	for _, i := range open {
		isOpen[i.ID], overdue[i.ID] = true, a.overdue(i, now)
		if !j.mended(i) || i.Next == Recovering && !overdue[i.ID] {
			continue
		}
		var none *serviceerror.NotFound
		switch err := a.Temporal.SignalWorkflow(ctx, i.ID, "", SignalCleared, nil); {
		case errors.As(err, &none):
			if err := a.bury(ctx, i); err != nil {
				return err
			}
		case err != nil:
			a.Log.Warn("an issue could not be told that its target is good", "issue", i.ID, "error", err)
		default:
			res.Cleared++
		}
	}
	fresh := map[string][]policy.Verdict{}
	var types []string
	for _, v := range a.oneStory(j, isOpen, now) {
		if id := v.Type + "/" + v.Target; isOpen[id] && !overdue[id] {
			continue
		}
		if fresh[v.Type] == nil {
			types = append(types, v.Type)
		}
		fresh[v.Type] = append(fresh[v.Type], v)
	}
	for _, typ := range types {
		if d := policy.MayOpenMany(a.Policy, typ, len(fresh[typ]), res.Nodes); !d.Do && plan.Believe == "" {
			a.Log.Warn("issues of one type are held back", "reason", d.Reason)
			if err := a.skipToday(ctx, typ, Ref{}, d.Reason, now); err != nil {
				return err
			}
			continue
		}
		for _, v := range fresh[typ] {
			if err := a.openOne(ctx, v, now, res); err != nil {
				return err
			}
		}
	}
	return nil
}

// leastLate is how late an issue may be where days are short.
const leastLate = 10 * time.Minute

// overdue says whether an issue should have done something a day ago. Its workflow may be gone, as one that somebody terminated: it is
// opened again if there is reason to, which changes nothing where it lives.
func (a *Activities) overdue(i store.Issue, now time.Time) bool {
	return i.Status == "open" && !i.NextAt.IsZero() && now.Sub(i.NextAt) > max(a.Policy.Day, leastLate)
}

// bury ends an issue in the store whose workflow is gone, and what it holds of its site.
func (a *Activities) bury(ctx context.Context, i store.Issue) error {
	ref := Ref{ID: i.ID, Run: i.RunID, Type: i.Type, Node: i.Node, Site: i.Site, PCUID: i.PCUID}
	key := i.ID + "/" + i.RunID + "/gone"
	if _, err := a.releaseSite(ctx, sites.Release{Key: key, Ref: issue.Ref(ref)}); err != nil {
		return err
	}
	i.Status, i.Closed, i.Level, i.Next, i.NextAt = "closed", a.now(), 0, "", time.Time{}
	i.Outcome = "its workflow was terminated, and its target is good"
	return a.Store.UpdateIssue(ctx, i)
}

// mended says whether the sweep saw the target of an issue good.
func (j judgement) mended(i store.Issue) bool {
	switch i.Type {
	case PCUDownType:
		return j.pcus[i.Target]
	case SiteDownType:
		s := j.sites[i.Target]
		return s != nil && s.Alive > 0
	}
	facts, seen := j.nodes[i.Node]
	if !seen {
		return false
	}
	good, _ := policy.Recovered(i.Type, facts)
	return good
}

// oneStory replaces what is wrong at a site that went down as a whole by that one story, and holds the rest of it back.
func (a *Activities) oneStory(j judgement, isOpen map[string]bool, now time.Time) []policy.Verdict {
	dark := map[string]bool{}
	var out []policy.Verdict
	for name, s := range j.sites {
		v, outage, open := policy.SiteOutage(a.Policy, *s, now)
		if dark[name] = outage || isOpen[SiteDownType+"/"+name]; open {
			out = append(out, v)
		}
	}
	for _, v := range j.verdicts {
		if !dark[v.Site] {
			out = append(out, v)
		}
	}
	return out
}

func (a *Activities) openOne(ctx context.Context, v policy.Verdict, now time.Time, res *SweepResult) error {
	ref := Ref{ID: v.Type + "/" + v.Target, Type: v.Type, Node: v.Node, Site: v.Site, PCU: v.PCU}
	decision, err := a.mayAct(ctx, ref)
	if err != nil {
		return err
	}
	if !decision.Do {
		return a.skipToday(ctx, ref.ID, ref, "not opened: "+decision.Reason, now)
	}
	if err := a.openIssue(ctx, v.Type, ref, v.Reason, nil); err != nil {
		return err
	}
	res.Opened++
	return nil
}

// skipToday says once a policy day why something is not done.
func (a *Activities) skipToday(ctx context.Context, what string, ref Ref, reason string, now time.Time) error {
	return a.skip(ctx, fmt.Sprintf("skip/%s/%s", what, now.Truncate(a.Policy.Day).UTC().Format(time.RFC3339)), ref, reason)
}
