package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// ask gathers what the gate wants to know about an act and passes it through. Whoever acts asks directly before the point of no return,
// under the lock of what is acted on.
func (a *Activities) ask(ctx context.Context, act policy.Act, ref Ref, seen sight) (policy.Answer, error) {
	facts, err := a.gateFacts(ctx, act, ref, seen)
	if err != nil {
		return policy.Answer{}, err
	}
	return policy.Ask(a.Policy, facts, a.now()), nil
}

func (a *Activities) gateFacts(ctx context.Context, act policy.Act, ref Ref, seen sight) (policy.GateFacts, error) {
	f := policy.GateFacts{Act: act, Issue: ref.ID, Target: ref.Target(), Exists: true, Ordered: a.ordered(ctx)}
	if seen.good {
		f.Recovered = seen.reason
	}
	for _, gather := range []func(context.Context, Ref, sight, *policy.GateFacts) error{
		a.gateControls, a.gateLease, a.gateCover, a.gateExemptions, a.gateNode, a.gatePCU, a.gateBudget,
	} {
		if err := gather(ctx, ref, seen, &f); err != nil {
			return f, err
		}
	}
	return f, nil
}

// ordered says whether an order against the activity has come meanwhile: its workflow then has cancelled it. It asks Temporal directly,
// since heartbeats are sent and answered only now and then.
func (a *Activities) ordered(ctx context.Context) string {
	if ctx.Err() != nil {
		return "an order came meanwhile"
	}
	if a.Temporal == nil || !activity.IsActivity(ctx) {
		return ""
	}
	err := a.Temporal.RecordActivityHeartbeat(ctx, activity.GetInfo(ctx).TaskToken)
	var cancelled *temporal.CanceledError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &cancelled):
		return "an order came meanwhile"
	}
	return "its workflow cannot be asked whether it still wants this: " + err.Error()
}

// mode is what Monitor may do now: the narrowest of the configuration and what an operator ordered.
func (a *Activities) mode(ctx context.Context) (policy.Mode, error) {
	controls, err := a.Store.Controls(ctx)
	if err != nil {
		return policy.ModeObserve, err
	}
	return a.modeUnder(controls), nil
}

func (a *Activities) modeUnder(controls map[string]store.Control) policy.Mode {
	modes := []policy.Mode{policy.ModeAct}
	if a.observes() {
		modes = append(modes, policy.ModeObserve)
	}
	if c, ordered := controls[store.ControlMode]; ordered {
		modes = append(modes, policy.Mode(c.Value))
	}
	return policy.Narrowest(modes...)
}

func (a *Activities) gateControls(ctx context.Context, _ Ref, _ sight, f *policy.GateFacts) error {
	controls, err := a.Store.Controls(ctx)
	if err != nil {
		return err
	}
	f.Mode = a.modeUnder(controls)
	if c, stopped := controls[store.ControlStop]; stopped {
		f.Stopped = fmt.Sprintf("%s (%s, since %s)", c.Reason, c.By, c.At.UTC().Format(time.RFC3339))
	}
	return nil
}

func (a *Activities) gateLease(ctx context.Context, _ Ref, _ sight, f *policy.GateFacts) (err error) {
	f.Lease, err = a.lease(ctx)
	return err
}

func (a *Activities) gateCover(ctx context.Context, ref Ref, _ sight, f *policy.GateFacts) (err error) {
	f.CoveredBy, err = a.coveredBy(ctx, ref)
	return err
}

// gateExemptions gathers what PLC and the blacklist say against acting on a target.
func (a *Activities) gateExemptions(ctx context.Context, ref Ref, _ sight, f *policy.GateFacts) error {
	site, err := a.Store.Site(ctx, ref.Site)
	switch {
	case errors.Is(err, store.ErrNotFound):
		f.Exists = false
		return nil
	case err != nil:
		return err
	}
	f.SiteExemptUntil = site.ExemptUntil
	entry, listed, err := a.Store.Blacklisted(ctx, ref.Node, ref.Site, a.now())
	if err == nil && listed {
		f.Listed = policy.Listing{Listed: true, Until: entry.Until, Reason: entry.Reason, Downtime: entry.Downtime}
	}
	return err
}

// gateNode asks the store and PLC about a node. What PLC cannot be asked is not known, and forbids power.
func (a *Activities) gateNode(ctx context.Context, ref Ref, seen sight, f *policy.GateFacts) error {
	if ref.Node == "" {
		return nil
	}
	n, err := a.Store.Node(ctx, ref.Node)
	if errors.Is(err, store.ErrNotFound) || err == nil && n.Gone {
		f.Exists = false
		return nil
	}
	if err != nil {
		return err
	}
	f.NodeExemptUntil = n.ExemptUntil
	f.Node = policy.NodeGate{Looked: seen.looked, Finding: seen.facts.Finding, SilentFrom: cmp.Or(n.FirstSilent, n.Record.Changed)}
	if f.Act == policy.ActOpen || f.Act == policy.ActNotify || f.Act == policy.ActPenalize {
		return nil
	}
	if f.Node.FirewallIssue, err = a.openID(ctx, issue.Firewall, ref.Node); err != nil {
		return err
	}
	fresh, err := a.PLC.Node(ctx, ref.Node)
	switch {
	case errors.Is(err, plc.ErrNotFound):
		f.Exists = false
	case err != nil:
		a.Log.Warn("PLC cannot be asked about a node", "node", ref.Node, "error", err)
	default:
		f.Node.AskedPLC, f.Node.BootState, f.Node.LastContact = true, fresh.BootState, fresh.LastContact
		f.Node.LastBoot, f.Node.Pressed = later(fresh.LastBoot, fresh.LastDownload), fresh.LastPCUReboot
		for _, feed := range feedsOf(n) {
			if !slices.Contains(feedsIn(fresh), feed) { // somebody else's node may be on that outlet by now
				f.PCU.Shaky, f.PCU.Again = "PLC has it on other outlets than the last sweep saw", a.now().Add(a.SweepEvery)
			}
		}
	}
	return nil
}

// gatePCU says whether the PCUs that feed a node can be used.
func (a *Activities) gatePCU(ctx context.Context, ref Ref, _ sight, f *policy.GateFacts) error {
	if f.Act != policy.ActReboot && f.Act != policy.ActReinstall {
		return nil
	}
	n, err := a.Store.Node(ctx, ref.Node)
	if errors.Is(err, store.ErrNotFound) { // which forbids by itself
		return nil
	}
	if err != nil {
		return err
	}
	for _, feed := range feedsOf(n) {
		p, err := a.Store.PCU(ctx, feed.PCUID)
		if errors.Is(err, store.ErrNotFound) || err == nil && p.Gone {
			f.PCU.Broken = fmt.Sprintf("PLC has its PCU %d no more", feed.PCUID)
			continue
		}
		if err != nil {
			return err
		}
		f.PCU.Feeds++
		f.PCU.Manual = f.PCU.Manual || a.manual(p)
		if id, err := a.openID(ctx, issue.PCUDown, p.Name); err != nil {
			return err
		} else if id != "" && f.PCU.Broken == "" {
			f.PCU.Broken = id + " is open"
		}
		switch {
		case p.Record.Status == policy.StatusDown && f.PCU.Broken == "":
			f.PCU.Broken = fmt.Sprintf("its PCU %s is down: %s", p.Name, p.Reason)
		case !p.Record.Status.Healthy() && f.PCU.Shaky == "":
			f.PCU.Shaky = fmt.Sprintf("its PCU %s is %s: %s", p.Name, p.Record.Status, p.Reason)
			f.PCU.Again = p.Record.Changed.Add(a.Policy.PCUOfflineToDown)
		}
	}
	return nil
}

// gateBudget counts what was done lately.
func (a *Activities) gateBudget(ctx context.Context, ref Ref, _ sight, f *policy.GateFacts) (err error) {
	kind, counted := budgetKind(f.Act)
	if !counted {
		return nil
	}
	if ref.Node != "" {
		if f.Cycles, err = a.Store.PowerCycles(ctx, ref.Node, a.now().Add(-a.Policy.RebootWindow)); err != nil {
			return err
		}
		if pressed := f.Node.Pressed; !pressed.IsZero() && !near(pressed, f.Cycles, a.Policy.BootGrace) {
			f.Cycles = append(f.Cycles, pressed)
		}
	}
	f.Spent, err = a.spent(ctx, kind, ref.Site)
	return err
}

// feedsIn are the outlets that PLC has for a node.
func feedsIn(n plc.Node) []store.Feed {
	var feeds []store.Feed
	for i := range min(len(n.PCUIDs), len(n.Ports)) {
		feeds = append(feeds, store.Feed{PCUID: n.PCUIDs[i], Outlet: n.Ports[i]})
	}
	return feeds
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func near(t time.Time, list []time.Time, within time.Duration) bool {
	for _, x := range list {
		if t.Sub(x).Abs() < within {
			return true
		}
	}
	return false
}

func budgetKind(act policy.Act) (store.ActionKind, bool) {
	switch act {
	case policy.ActReboot, policy.ActRestart:
		return store.KindReboot, true
	case policy.ActReinstall, policy.ActWipe:
		return store.KindReinstall, true
	case policy.ActPenalize:
		return store.KindPenalty, true
	}
	return "", false
}

// budget is the share of the hour's budget that an intent reserves.
func (a *Activities) budget(act policy.Act) *store.Budget {
	kind, counted := budgetKind(act)
	if !counted {
		return nil
	}
	fleet, site := a.Policy.BudgetOf(act)
	return &store.Budget{Kind: kind, Since: a.now().Add(-a.Policy.Hour()), Fleet: fleet, Site: site}
}

// resultOf is what a rung answers when the gate says no. What can be told to hold for good passes the rung over; all else is asked again.
func resultOf(no policy.Answer) issue.Result {
	res := issue.Result{Outcome: issue.Wait, Reason: no.Reason, Until: no.Until, Check: no.Check}
	switch no.Check {
	case "target":
		res.Outcome = issue.Gone
	case "recovered":
		res.Outcome = issue.Recovered
	case "order":
		res.Outcome = issue.Stopped
	case "firewall", "attempts":
		res.Outcome = issue.Passed
	case "pcu":
		if no.Until.IsZero() {
			res.Outcome = issue.Passed
		}
	}
	return res
}

// spent counts what was done of a kind in the last policy hour.
func (a *Activities) spent(ctx context.Context, kind store.ActionKind, site string) (s policy.Spent, err error) {
	since := a.now().Add(-a.Policy.Hour())
	if s.Fleet, err = a.Store.CountActions(ctx, kind, "", since); err != nil {
		return s, err
	}
	s.Site, err = a.Store.CountActions(ctx, kind, site, since)
	return s, err
}
