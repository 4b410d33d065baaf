package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/probe"
	"github.com/planetlab/monitor/store"
)

// SetPenalty moves a site's penalty level by what policy allows: at most one step up, any number down. What it will change is
// written to the ledger first, then to PLC, and read back; a repeated call finds the work done. Only what Monitor changed is undone.
// A step that was begun is not decided again but brought to its end, or nobody would know what of it PLC has already.
func (a *Activities) SetPenalty(ctx context.Context, in PenaltyInput) (PenaltyResult, error) {
	res := PenaltyResult{Level: in.From, Applied: in.Applied}
	ref := siteRef(in.Site)
	reason := in.Reason
	begun, err := a.begun(ctx, in.Key)
	if err != nil {
		return res, err
	}
	if in.To > in.From && !begun {
		decision, err := a.mayRaise(ctx, in)
		if err != nil {
			return res, err
		}
		if !decision.Do {
			res.Reason, res.Until = decision.Reason, decision.Until
			return res, a.skip(ctx, in.Key+"/may", ref, decision.Reason)
		}
		reason = decision.Reason + "; " + in.Reason
	}
	if a.observes() && !begun {
		res.Reason = fmt.Sprintf("observe mode: the penalty level would go from %d to %d: %s", in.From, in.To, reason)
		return res, a.skip(ctx, in.Key+"/observe", ref, res.Reason)
	}
	_, _, err = a.Store.Intent(ctx, store.Action{
		Key: in.Key, Kind: "penalty", Issue: ref.ID, Site: in.Site, Reason: fmt.Sprintf("level %d to %d: %s", in.From, in.To, reason),
	})
	if err != nil {
		return res, err
	}
	applied := in.Applied
	if in.To > in.From {
		var missing Applied
		if missing, _, err = a.lacks(ctx, in.Site, in.To); err == nil {
			applied, err = a.apply(ctx, in, missing)
		}
	} else {
		applied, err = a.undo(ctx, in)
	}
	if err != nil {
		return res, err
	}
	res.Level, res.Applied, res.Reason = in.To, applied, reason
	if err := a.Store.SetPenaltyLevel(ctx, in.Site, in.To, a.now()); err != nil {
		return res, err
	}
	a.postEvent(notify.EventPenalty, in.Key, ref, in.To, fmt.Sprintf("level %d to %d: %s", in.From, in.To, reason))
	return res, a.Store.Outcome(ctx, in.Key, store.Done, fmt.Sprintf("level %d", in.To))
}

// CheckPenalty reads back from PLC whether the level that a site holds is in force. What somebody has lifted by hand is applied
// again, and the ledger and the admins are told. A site that has become exempt, or blacklisted, is let go meanwhile.
func (a *Activities) CheckPenalty(ctx context.Context, in PenaltyInput) (PenaltyResult, error) {
	res := PenaltyResult{Level: in.From, Applied: in.Applied}
	ref := siteRef(in.Site)
	if a.observes() {
		return res, nil
	}
	may, err := a.forbids(ctx, ref)
	if err != nil {
		return res, err
	}
	if d := policy.MayAct(may, a.now()); !d.Do {
		in.To, in.Reason = 0, d.Reason
		res, err := a.SetPenalty(ctx, in)
		res.Until = d.Until
		return res, err
	}
	missing, exempt, err := a.lacks(ctx, in.Site, in.From)
	if err != nil {
		return res, err
	}
	if in.Applied, err = a.release(ctx, in, exempt); err != nil {
		return res, err
	}
	res.Applied = in.Applied
	action, err := a.Store.Action(ctx, in.Key) // what an earlier try of this check began
	begun := err == nil
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return res, err
	case !begun && missing.empty():
		return res, nil
	case !begun:
		action.Reason = fmt.Sprintf("somebody lifted by hand what level %d holds: %s", in.From, missing)
		if _, _, err := a.Store.Intent(ctx, store.Action{Key: in.Key, Kind: "repair", Issue: ref.ID, Site: in.Site, Reason: action.Reason}); err != nil {
			return res, err
		}
	}
	res.Reason, in.To = action.Reason, in.From
	if res.Applied, err = a.apply(ctx, in, missing); err != nil || action.Outcome == store.Done {
		return res, err
	}
	if err := a.tellRepaired(ctx, in, res.Reason); err != nil {
		return res, err
	}
	return res, a.Store.Outcome(ctx, in.Key, store.Done, "applied again, and the admins are told")
}

func siteRef(site string) Ref { return Ref{ID: SiteType + "/" + site, Site: site} }

func (a *Activities) mayRaise(ctx context.Context, in PenaltyInput) (policy.Decision, error) {
	site, err := a.Store.Site(ctx, in.Site)
	if err != nil {
		return policy.Decision{}, err
	}
	if decision, err := a.mayAct(ctx, siteRef(in.Site)); err != nil || !decision.Do {
		return decision, err
	}
	may, err := a.forbids(ctx, siteRef(in.Site))
	if err != nil {
		return policy.Decision{}, err
	}
	up, down, err := a.nodesUp(ctx, in.Site)
	if err != nil {
		return policy.Decision{}, err
	}
	spent, err := a.spent(ctx, "penalty", in.Site)
	if err != nil {
		return policy.Decision{}, err
	}
	facts := policy.SiteFacts{MayActFacts: may, Up: up, Record: site.Record, Pending: site.Pending, Created: site.Created, LastRaise: in.LastRaise}
	if site.LastRaise.After(facts.LastRaise) { // by an earlier life of the site's workflow
		facts.LastRaise = site.LastRaise
	}
	if decision := policy.MayPenalize(a.Policy, facts, spent, a.now()); !decision.Do {
		return decision, nil
	}
	back := a.runningNow(ctx, down)
	facts.Up += len(back)
	decision := policy.MayPenalize(a.Policy, facts, spent, a.now())
	if len(back) > 0 {
		decision.Reason += "; back since the last sweep: " + strings.Join(back, ", ")
	}
	return decision, ctx.Err()
}

// runningNow looks at nodes and names those that run.
func (a *Activities) runningNow(ctx context.Context, nodes []store.Node) []string {
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

func (p Applied) empty() bool { return !p.Disabled && len(p.Slices) == 0 }

func (p Applied) String() string {
	var parts []string
	if p.Disabled {
		parts = append(parts, "the site may create slices")
	}
	if len(p.Slices) > 0 {
		parts = append(parts, "not suspended: "+strings.Join(p.Slices, ", "))
	}
	return strings.Join(parts, "; ")
}

// lacks reads from PLC what a level asks for and is not in force, and which slices are exempt: those are left alone.
func (a *Activities) lacks(ctx context.Context, site string, level int) (missing Applied, exempt []string, err error) {
	if level >= 1 {
		if missing.Disabled, err = a.PLC.SiteEnabled(ctx, a.plcSite(ctx, site)); err != nil {
			return missing, nil, err
		}
	}
	if level < 2 {
		return missing, nil, nil
	}
	list, err := a.PLC.SlicesOfSite(ctx, a.plcSite(ctx, site))
	for _, s := range list {
		switch {
		case s.ExemptUntil.After(a.now()):
			exempt = append(exempt, s.Name)
		case !s.Suspended:
			missing.Slices = append(missing.Slices, s.Name)
		}
	}
	return missing, exempt, err
}

// release lets slices run again that have become exempt since Monitor suspended them.
func (a *Activities) release(ctx context.Context, in PenaltyInput, exempt []string) (Applied, error) {
	ours := func(name string) bool { return slices.Contains(in.Applied.Slices, name) }
	free := slices.DeleteFunc(slices.Clone(exempt), func(name string) bool { return !ours(name) })
	if len(free) == 0 {
		return in.Applied, nil
	}
	key := in.Key + "/exempt"
	reason := "exempt in PLC by now: " + strings.Join(free, ", ")
	if _, _, err := a.Store.Intent(ctx, store.Action{Key: key, Kind: "release", Issue: SiteType + "/" + in.Site, Site: in.Site, Reason: reason}); err != nil {
		return in.Applied, err
	}
	if err := slicesDone(a.PLC.RestoreSlices(ctx, a.plcSite(ctx, in.Site), free)); err != nil {
		return in.Applied, err
	}
	left := in.Applied
	left.Slices = slices.DeleteFunc(slices.Clone(left.Slices), func(name string) bool { return slices.Contains(free, name) })
	return left, a.Store.Outcome(ctx, key, store.Done, "they run again")
}

// apply writes to the ledger what it is about to change, then changes it in PLC, where every write is read back. A retry does what
// the ledger says, so that what the first try had changed already is undone one day, too.
func (a *Activities) apply(ctx context.Context, in PenaltyInput, missing Applied) (Applied, error) {
	text, err := json.Marshal(missing)
	if err != nil {
		return in.Applied, err
	}
	key := in.Key + "/plan"
	plan, _, err := a.Store.Intent(ctx, store.Action{Key: key, Kind: "plan", Issue: SiteType + "/" + in.Site, Site: in.Site, Reason: string(text)})
	if err != nil {
		return in.Applied, err
	}
	var wanted Applied
	if err := json.Unmarshal([]byte(plan.Reason), &wanted); err != nil {
		return in.Applied, fmt.Errorf("ledger %s: %w", key, err)
	}
	if wanted.Disabled {
		if err := a.PLC.SetSiteEnabled(ctx, a.plcSite(ctx, in.Site), false); err != nil {
			return in.Applied, err
		}
	}
	if err := slicesDone(a.PLC.SuspendSlices(ctx, a.plcSite(ctx, in.Site), wanted.Slices)); err != nil {
		return in.Applied, err
	}
	applied := Applied{Disabled: in.Applied.Disabled || wanted.Disabled, Slices: slices.Concat(in.Applied.Slices, wanted.Slices)}
	slices.Sort(applied.Slices)
	applied.Slices = slices.Compact(applied.Slices)
	return applied, a.Store.Outcome(ctx, key, store.Done, "in force in PLC")
}

// undo takes back what was applied above the level asked for. What was so before Monitor came stays so.
func (a *Activities) undo(ctx context.Context, in PenaltyInput) (Applied, error) {
	left := in.Applied
	if in.To < 2 {
		if err := slicesDone(a.PLC.RestoreSlices(ctx, a.plcSite(ctx, in.Site), left.Slices)); err != nil {
			return in.Applied, err
		}
		left.Slices = nil
	}
	if in.To < 1 && left.Disabled {
		if err := a.PLC.SetSiteEnabled(ctx, a.plcSite(ctx, in.Site), true); err != nil {
			return in.Applied, err
		}
		left.Disabled = false
	}
	return left, nil
}

// tellRepaired writes to the admins that a penalty was lifted by hand and is in force again, and how it ends for good.
func (a *Activities) tellRepaired(ctx context.Context, in PenaltyInput, reason string) error {
	if len(a.Admins) == 0 {
		return nil
	}
	_, err := a.send(ctx, notify.Notice{
		Kind: notify.Repaired, Site: in.Site, Level: in.From, At: a.now().UTC(), To: a.Admins, MessageID: notify.MessageID(in.Key, a.Domain),
		Items: []notify.Item{{Evidence: []string{reason, in.Reason}}},
	}, nil)
	return err
}

// nodesUp counts the nodes of a site that are not down, and names the others; blacklisted ones count as up.
func (a *Activities) nodesUp(ctx context.Context, site string) (up int, down []store.Node, err error) {
	nodes, err := a.Store.NodesOfSite(ctx, site)
	if err != nil {
		return 0, nil, err
	}
	listed, err := a.blacklistedNodes(ctx, a.now())
	if err != nil {
		return 0, nil, err
	}
	for _, n := range nodes {
		if listed[n.Hostname] || n.Record.Status != policy.StatusDown {
			up++
		} else {
			down = append(down, n)
		}
	}
	return up, down, nil
}

// blacklistedNodes are the nodes on the blacklist now, not those of blacklisted sites.
func (a *Activities) blacklistedNodes(ctx context.Context, now time.Time) (map[string]bool, error) {
	entries, err := a.Store.Blacklist(ctx)
	listed := map[string]bool{}
	for _, e := range entries {
		if e.Kind == "node" && !e.Starts.After(now) && (e.Until.IsZero() || e.Until.After(now)) {
			listed[e.Target] = true
		}
	}
	return listed, err
}

// plcSite names a site to PLC: by its id, which a rename does not change.
func (a *Activities) plcSite(ctx context.Context, loginBase string) plc.SiteRef {
	s, err := a.Store.Site(ctx, loginBase)
	if err != nil {
		a.Log.Warn("PLC is asked for a site by its name", "site", loginBase, "error", err)
	}
	return plc.SiteRef{SiteID: s.SiteID, LoginBase: loginBase}
}

func slicesDone(results []plc.SliceResult, err error) error {
	return errors.Join(err, plc.SliceErrors(results))
}

// begun reports whether an earlier try, or a worker that died, has begun on an effect.
func (a *Activities) begun(ctx context.Context, key string) (bool, error) {
	_, err := a.Store.Action(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (a *Activities) spent(ctx context.Context, kind store.ActionKind, site string) (policy.Spent, error) {
	since := a.now().Add(-a.Policy.Hour())
	fleet, err := a.Store.CountActions(ctx, kind, "", since)
	if err != nil {
		return policy.Spent{}, err
	}
	local, err := a.Store.CountActions(ctx, kind, site, since)
	return policy.Spent{Fleet: fleet, Site: local}, err
}
