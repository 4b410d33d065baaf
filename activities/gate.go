package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/planetlab/monitor/inventory"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/store"
)

// gate gathers the facts that package policy decides on. Whoever acts asks it directly before the point of no return,
// under the lock of what is acted on.
type gate struct {
	*ledger
	workflows  *workflows
	outlets    *outlets
	bootStates *bootStates
	Inventory  inventory.Keeper
	SweepEvery time.Duration
}

// ask gathers what the gate wants to know about an act and passes it through. Whoever acts asks directly before the
// point of no return, under the lock of what is acted on.
func (a *gate) ask(ctx context.Context, act policy.Act, ref Ref, seen observation) (policy.Answer, error) {
	facts, err := a.facts(ctx, act, ref, seen)
	if err != nil {
		return policy.Answer{}, err
	}
	return policy.Ask(a.Policy, facts, a.now()), nil
}

func (a *gate) facts(ctx context.Context, act policy.Act, ref Ref, seen observation) (policy.GateFacts, error) {
	f := policy.GateFacts{Act: act, Issue: ref.ID, Target: ref.Target(), From: a.from(), Exists: true,
		Ordered: a.workflows.ordered(ctx)}
	if seen.good {
		f.Recovered = seen.reason
	}
	return f, gather(ctx, ref, seen, &f, a.addControls, a.addLease, a.addCover, a.addExemptions, a.addNode, a.addInventory,
		a.addPCU, a.addBudget)
}

// askAgain passes an act through the gate once more after its intent is written: all is gathered afresh but what PLC
// alone knows. The act's own share of the budget is reserved by then.
func (a *gate) askAgain(ctx context.Context, ref Ref, seen observation, f policy.GateFacts) (policy.Answer, error) {
	f.Ordered, f.Recovered = a.workflows.ordered(ctx), ""
	f.PCU, f.Spent, f.Listed = policy.PCUGate{}, policy.Spent{}, policy.Listing{}
	if seen.good {
		f.Recovered = seen.reason
	}
	if err := gather(ctx, ref, seen, &f, a.addControls, a.addLease, a.addCover, a.addExemptions, a.addNode,
		a.addPCU); err != nil {
		return policy.Answer{}, err
	}
	return policy.Ask(a.Policy, f, a.now()), nil
}

func gather(ctx context.Context, ref Ref, seen observation, f *policy.GateFacts,
	parts ...func(context.Context, Ref, observation, *policy.GateFacts) error) error {
	for _, add := range parts {
		if err := add(ctx, ref, seen, f); err != nil {
			return err
		}
	}
	return nil
}

// mode is what Monitor may do now at a site for a type of issue, and where a narrower mode than act comes from.
func (a *gate) mode(controls store.Controls, ref Ref) (policy.Mode, string) {
	configured := policy.ModeAct
	if a.observes() {
		configured = policy.ModeObserve
	}
	return controls.Mode(configured, ref.Site, ref.Type)
}

func (a *gate) addControls(ctx context.Context, ref Ref, _ observation, f *policy.GateFacts) error {
	controls, err := a.Store.Controls(ctx)
	if err != nil {
		return err
	}
	f.Stopped = controls.Stopped()
	f.Mode, f.ModeWhy = a.mode(controls, ref)
	return nil
}

func (a *gate) addLease(ctx context.Context, _ Ref, _ observation, f *policy.GateFacts) (err error) {
	f.Lease, err = a.lease(ctx)
	return err
}

func (a *gate) addCover(ctx context.Context, ref Ref, _ observation, f *policy.GateFacts) (err error) {
	f.CoveredBy, err = a.coveredBy(ctx, ref)
	return err
}

// addExemptions gathers what PLC and the blacklist say against acting on a target.
func (a *gate) addExemptions(ctx context.Context, ref Ref, _ observation, f *policy.GateFacts) error {
	site, err := a.Store.Site(ctx, ref.Site)
	switch {
	case errors.Is(err, store.ErrNotFound):
		f.Exists = false
		return nil
	case err != nil:
		return err
	}
	f.SiteExemptUntil = site.ExemptUntil
	entry, listed, err := a.Store.Blacklisted(ctx, ref.Node, ref.Site, aboutPCU(ref), a.now())
	if err == nil && listed {
		f.Listed = policy.Listing{Listed: true, Until: entry.Until, Reason: entry.Reason, Downtime: entry.Downtime}
	}
	return err
}

// addNode says what the store knows of a node, and what the look at it found.
func (a *gate) addNode(ctx context.Context, ref Ref, seen observation, f *policy.GateFacts) error {
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
	f.Node.Looked, f.Node.Finding = seen.looked, seen.facts.Finding
	f.Node.SilentFrom = n.SilentFrom(n.Record.Changed)
	orders, err := a.Store.OutletOrders(ctx, feedsOf(n))
	if err != nil {
		return err
	}
	f.Node.HeldOff, f.Node.TurnedOn = a.byOrders(n, orders)
	if !onMachine(f.Act) {
		return nil
	}
	var outlets []string
	for _, feed := range feedsOf(n) {
		outlets = append(outlets, outletName(feed.PCUID, feed.Outlet))
	}
	if f.Node.PowerBack, err = a.Store.PowerBack(ctx, outlets); err != nil {
		return err
	}
	f.Node.FirewallIssue, err = a.openID(ctx, issue.Firewall, ref.Node)
	return err
}

// byOrders says who turned an outlet off that feeds a node, and why, and when somebody last turned one on. It is off no
// more when somebody has ordered otherwise, or the node has answered since: it was turned on by hand then, or has
// another feed. What was seen before the order, or in the first sweep after it, tells nothing.
func (a *gate) byOrders(n store.Node, orders map[store.Feed]store.OutletOrder) (off string, turnedOn time.Time) {
	for _, f := range feedsOf(n) {
		o, ordered := orders[f]
		if !ordered {
			continue
		}
		switch request.Operation(o.Operation) {
		case request.On:
			turnedOn = later(turnedOn, o.Committed)
		case request.Cycle: // which counts as a power cycle
		default: // what cannot be read may have been the one that matters
			answered := n.SilentFrom(a.now()).After(o.Committed.Add(2*a.SweepEvery + a.Policy.BootGrace))
			if !answered && off == "" {
				off = fmt.Sprintf("%s (at %s); it stays off until somebody turns it on", o.Reason,
					o.Committed.UTC().Format(time.RFC3339))
			}
		}
	}
	return off, turnedOn
}

// leftAlone says which nodes count as up when their site is judged, whatever is seen of them: those on the blacklist,
// not those of blacklisted sites, and those that a person has turned off.
func (a *gate) leftAlone(ctx context.Context) (func(store.Node) bool, error) {
	entries, err := a.Store.InForce(ctx, store.OfNode, a.now())
	if err != nil {
		return nil, err
	}
	listed := map[string]bool{}
	for _, e := range entries {
		listed[e.Target] = true
	}
	orders, err := a.Store.AllOutletOrders(ctx)
	return func(n store.Node) bool {
		off, _ := a.byOrders(n, orders)
		return off != "" || listed[n.Hostname]
	}, err
}

func onMachine(act policy.Act) bool {
	return act != policy.ActOpen && act != policy.ActNotify && act != policy.ActPenalize && act != policy.ActOutlet
}

// addInventory asks PLC, or what takes its place, about a node. What cannot be asked is not known, and forbids power.
func (a *gate) addInventory(ctx context.Context, ref Ref, _ observation, f *policy.GateFacts) error {
	if ref.Node == "" || !f.Exists || !onMachine(f.Act) {
		return nil
	}
	n, err := a.Store.Node(ctx, ref.Node)
	if err != nil {
		return err
	}
	fresh, err := a.Inventory.Node(ctx, ref.Node)
	f.Node.NoHeartbeats = a.NoPLC != nil
	switch {
	case errors.Is(err, plc.ErrNotFound):
		f.Exists = false
	case err != nil:
		a.Log.Warn("the inventory cannot be asked about a node", "in", a.from(), "node", ref.Node, "error", err)
	default:
		f.Node.AskedPLC, f.Node.BootState, f.Node.LastContact = true, fresh.BootState, fresh.LastContact
		f.Node.LastBoot, f.Node.Pressed = later(fresh.LastBoot, fresh.LastDownload), fresh.LastPCUReboot
		// somebody else's node may be on its outlet by now, or a second one feed it, so that a cycle of the first is none
		if feeds, _ := store.FeedsOf(fresh); !sameFeeds(feeds, feedsOf(n)) {
			f.PCU.Shaky, f.PCU.Again = a.from()+" has it on other outlets than the last sweep saw",
				a.now().Add(a.SweepEvery)
		}
	}
	return nil
}

// addPCU says whether the PCUs that feed a node can be used.
func (a *gate) addPCU(ctx context.Context, ref Ref, _ observation, f *policy.GateFacts) error {
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
	if f.Act == policy.ActReinstall {
		if _, f.PCU.Installer, err = a.bootStates.installer(ctx, n); err != nil {
			return err
		}
	}
	for _, feed := range feedsOf(n) {
		p, err := a.Store.PCU(ctx, feed.PCUID)
		if errors.Is(err, store.ErrNotFound) || err == nil && p.Gone {
			f.PCU.Broken = fmt.Sprintf("%s has its PCU %d no more", a.from(), feed.PCUID)
			continue
		}
		if err != nil {
			return err
		}
		f.PCU.Feeds++
		if err := a.addListedPCU(ctx, p, f); err != nil {
			return err
		}
		if a.outlets.manual(p) && f.PCU.Manual == "" {
			f.PCU.Manual = p.Name
		}
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

// aboutPCU is the PCU that an issue is about, if it is about one.
func aboutPCU(ref Ref) string {
	if ref.Type == issue.PCUDown {
		return ref.PCU
	}
	return ""
}

// addListedPCU keeps Monitor's hands off a PCU that an operator wants left alone: a command waits for the end of that,
// and is passed over where none is in sight. No sweep sees that the end has come early, so it is asked now and then.
func (a *gate) addListedPCU(ctx context.Context, p store.PCU, f *policy.GateFacts) error {
	entry, listed, err := a.Store.Blacklisted(ctx, "", "", p.Name, a.now())
	switch why := fmt.Sprintf("its PCU %s is exempt: %s", p.Name, entry.Reason); {
	case err != nil || !listed:
		return err
	case entry.Until.IsZero() && f.PCU.Broken == "":
		f.PCU.Broken = why
	case !entry.Until.IsZero() && f.PCU.Shaky == "":
		f.PCU.Shaky, f.PCU.Again = why, earlier(entry.Until, a.now().Add(a.Policy.Day/4))
	}
	return nil
}

// addBudget counts what was done lately.
func (a *gate) addBudget(ctx context.Context, ref Ref, _ observation, f *policy.GateFacts) (err error) {
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
	f.Spent, err = a.budgetUsed(ctx, kind, ref.Site)
	return err
}

// sameFeeds reports whether two lists have the same outlets, each of them once.
func sameFeeds(a, b []store.Feed) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(f store.Feed) bool { return !slices.Contains(b, f) })
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
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
	case policy.ActReboot, policy.ActRestart, policy.ActRebootSSH:
		return store.KindReboot, true
	case policy.ActReinstall, policy.ActWipe, policy.ActReinstallSSH:
		return store.KindReinstall, true
	case policy.ActPenalize:
		return store.KindPenalty, true
	}
	return "", false
}

// budget is the share of the hour's budget that an intent reserves.
func (a *gate) budget(act policy.Act) *store.Budget {
	kind, counted := budgetKind(act)
	if !counted {
		return nil
	}
	fleet, site := a.Policy.BudgetOf(act)
	return &store.Budget{Kind: kind, Since: a.now().Add(-a.Policy.Hour()), Fleet: fleet, Site: site}
}

// resultOf is what a rung answers when the gate says no.
func resultOf(no policy.Answer) issue.Result {
	res := issue.Result{Outcome: issue.Wait, Reason: no.Reason, Until: no.Until, Check: no.Check}
	switch no.Then {
	case policy.ThenEnd:
		res.Outcome = issue.Gone
	case policy.ThenRecover:
		res.Outcome = issue.Recovered
	case policy.ThenStop:
		res.Outcome = issue.Stopped
	case policy.ThenPass:
		res.Outcome = issue.Passed
	}
	return res
}

// budgetUsed counts what was done of a kind in the last policy hour.
func (a *gate) budgetUsed(ctx context.Context, kind store.ActionKind, site string) (s policy.Spent, err error) {
	since := a.now().Add(-a.Policy.Hour())
	if s.Fleet, err = a.Store.CountActions(ctx, kind, "", since); err != nil {
		return s, err
	}
	s.Site, err = a.Store.CountActions(ctx, kind, site, since)
	return s, err
}

// leastInterval is the shortest interval between sweeps that a lease counts by: where days are short, as in a demo, a
// sweep still takes as long as its slowest PCU.
const leastInterval = 30 * time.Second

// lease is how long ago the fleet was last looked at and what was seen believed.
func (a *gate) lease(ctx context.Context) (policy.Lease, error) {
	at, why, err := a.Store.LastBelieved(ctx)
	return policy.Lease{Believed: at, Every: max(a.SweepEvery, leastInterval), Doubt: why}, err
}
