package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Act is what Monitor is about to do to the world.
type Act string

// The acts. Undoing, recoveries and thanks are no acts: they always pass.
const (
	ActOpen      Act = "open an issue"
	ActReboot    Act = "reboot"
	ActReinstall Act = "reinstall"
	ActRepair    Act = "repair the boot"
	ActRestart   Act = "restart from inside"   // by bootman, over ssh
	ActWipe      Act = "reinstall from inside" // likewise
	ActDisable   Act = "disable in PLC"
	ActNotify    Act = "write to the site"
	ActPenalize  Act = "raise the penalty"

	// What only a person orders.
	ActRebootSSH    Act = "reboot over ssh"    // of a node that answers
	ActReinstallSSH Act = "reinstall over ssh" // likewise
	ActBootState    Act = "set the boot state"
	ActOutlet       Act = "switch an outlet"
)

// power are the acts that cut a node's power.
func power() []Act { return []Act{ActReboot, ActReinstall} }

// restarts are the acts that end whatever runs on a node.
func restarts() []Act { return append(power(), ActRebootSSH, ActReinstallSSH) }

// machine are the acts on a node, by its power or from inside.
func machineActs() []Act {
	return []Act{ActReboot, ActReinstall, ActRepair, ActRestart, ActWipe, ActRebootSSH, ActReinstallSSH}
}

// counted are the acts that have a budget and, on a node, count as power cycles.
func counted() []Act {
	return []Act{ActReboot, ActReinstall, ActRestart, ActWipe, ActRebootSSH, ActReinstallSSH}
}

// GateFacts are all that the gate asks. They are gathered afresh, under the lock of what is acted on, directly before
// the point of no return. A fact that is not known stands as its zero value, and forbids.
type GateFacts struct {
	Act    Act
	Order  Order  // of the person who wants it; the zero value: Monitor itself does
	Issue  string // id of the issue that asks; empty: none
	Target string

	From      string // where the fleet is written down, for people; empty: PLC
	Exists    bool   // the target is there
	Ordered   string // an operator's order against it, or the news that the target is good, came meanwhile
	Recovered string // why the target is good again; empty: it is not

	Stopped string // who stopped Monitor, and why; empty: nobody
	Mode    Mode
	ModeWhy string // where a narrower mode than act comes from
	Lease   Lease

	CoveredBy string // the open issue that speaks for this one, and why; empty: none

	Node NodeGate
	PCU  PCUGate
	Site SiteGate

	NodeExemptUntil, SiteExemptUntil time.Time
	Listed                           Listing

	Cycles []time.Time // power cycles of the node that did or may have happened, any order
	Spent  Spent
}

// from is how people are told where the fleet is written down.
func (f GateFacts) from() string {
	if f.From == "" {
		return "PLC"
	}
	return f.From
}

// Lease is how long ago the fleet was last looked at and what was seen believed. Acts are allowed only while that is
// fresh.
type Lease struct {
	Believed time.Time     // when the last believed sweep ended; zero: never
	Every    time.Duration // a sweep is due this often
	Doubt    string        // why a later sweep was not believed; empty: there was none
}

// NodeGate is what is known of a node by a look just taken, and by PLC just asked.
type NodeGate struct {
	Looked     bool // the look below was taken
	Finding    Finding
	SilentFrom time.Time // since when it does not answer

	AskedPLC      bool // PLC answered, or the inventory that takes its place was read
	BootState     string
	NoHeartbeats  bool      // no node reports to the inventory, so that it cannot be asked whether it hears one
	LastContact   time.Time // its heartbeat to PLC
	LastBoot      time.Time // when it, or its boot CD, last asked PLC to boot
	Pressed       time.Time // when somebody last pressed PLC's reboot button for it
	FirewallIssue string    // the open issue that says it is behind a firewall
}

// PCUGate is what is known of the PCUs that feed a node.
type PCUGate struct {
	Feeds int // outlets that feed the node
	// Installer is what has the node install itself when it boots, as PLC; empty: nothing can.
	Installer string
	Manual    string    // the PCU that people switch, when they are asked; empty: none
	Broken    string    // the PCU that is down or has an open issue, and why; empty: none
	Shaky     string    // the PCU whose last dry run failed, and why; empty: none
	Again     time.Time // when a shaky one is known to be down
}

// SiteGate is what is known of a site that may be penalised.
type SiteGate struct {
	Up        int // nodes that are not down; blacklisted ones count as up
	Record    Record
	Pending   bool
	Created   time.Time
	LastRaise time.Time
	Level     int
	To        int       // the level asked for
	Told      time.Time // when people were last told of what the step is about; zero: never
	NotBefore time.Time // the earliest time that they were told
}

// Listing is an entry of the blacklist, or a downtime.
type Listing struct {
	Listed, Downtime bool
	Until            time.Time // zero: never ends
	Reason           string
}

// Spent is what was already done in the last policy hour.
type Spent struct{ Fleet, Site int }

// Then is what a no of the gate does to the rung that asked.
type Then string

// What a no may do.
const (
	ThenEnd     Then = "ends its issue"
	ThenRecover Then = "ends its issue, if that lasts"
	ThenStop    Then = "stops"
	ThenWait    Then = "waits"
	ThenPass    Then = "is passed over"
	ThenPassYet Then = "is passed over, or waits while that may change by itself" // it waits if the answer has a time
)

// Check is one question of the gate.
type Check struct {
	Name  string
	Asks  string // what must hold, for the documentation
	For   []Act  // the acts it is asked for; empty: all
	Then  Then
	Swept bool // a sweep sees when it passes again, and wakes the rungs that wait for it
	Ask   func(Policy, GateFacts, time.Time) Decision
}

func (c Check) concerns(a Act) bool { return len(c.For) == 0 || slices.Contains(c.For, a) }

// Gate is the one list of checks that every act passes, in order.
func Gate() []Check {
	return slices.Concat(alwaysAsked(), askedOfNodes(), askedOfSites())
}

// alwaysAsked are the checks about Monitor itself and about the issue.
func alwaysAsked() []Check {
	return []Check{
		{"target", "the inventory (PLC, where there is one) still has the target", nil, ThenEnd, false, askTarget},
		{"order", "no operator ordered otherwise meanwhile", nil, ThenStop, false, askOrder},
		{"recovered", "the target is not good again", nil, ThenRecover, false, askRecovered},
		{"switch", "nobody has stopped Monitor", nil, ThenWait, true, askSwitch},
		{"mode", "the mode is act; in observe mode Monitor looks and says what it would do",
			append(machineActs(), ActDisable, ActNotify, ActPenalize, ActBootState, ActOutlet), ThenWait, true, askMode},
		{"lease", "the last believed sweep is younger than two intervals", nil, ThenWait, true, askLease},
		{"covered", "no other open issue speaks for this one", nil, ThenWait, true, askCovered},
	}
}

// askedOfNodes are the checks about a node and its power, with what PLC and operators say against any act.
func askedOfNodes() []Check {
	return []Check{
		{"firewall", "the node is not behind a firewall, which no reboot mends", restarts(), ThenPass, false, askFirewall},
		{"answers", "the node does not answer in any way: power is cut only from silent nodes", restarts(), ThenWait, true,
			askAnswers},
		{"heartbeat", "PLC has not heard from the node lately: else it is alive, and unreachable from here; nodes report " +
			"to no other inventory", restarts(), ThenWait, false, askHeartbeat},
		{"booting", "the node did not just begin to boot", restarts(), ThenWait, false, askBooting},
		{"boot state",
			"the inventory, asked afresh, does not have the node at disabled or safeboot, where it is in somebody's hands",
			append(machineActs(), ActBootState), ThenWait, true, askBootState},
		{"exempt", "neither the node nor its site is exempt in the inventory", nil, ThenWait, true, askExempt},
		{"blacklist", "the target is on no blacklist and in no downtime", nil, ThenWait, true, askBlacklist},
		{"pcu", "a PCU feeds the node, and works", power(), ThenPassYet, false, askPCU},
		{"installer", "something has the node install itself when it boots: PLC, the boot device of its PCU, or a hook",
			[]Act{ActReinstall}, ThenPass, false, askInstaller},
		{"attempts", "the node was not power-cycled too often lately", counted(), ThenPass, false, askAttempts},
	}
}

// askedOfSites are the checks before a penalty rises, and the budget, which is asked last.
func askedOfSites() []Check {
	return []Check{
		{"site", "the site is neither pending nor new, is short of nodes, and has been down long enough",
			[]Act{ActPenalize}, ThenWait, false, askSite},
		{"told", "people were told of this step, and its time has come", []Act{ActPenalize}, ThenWait, false, askTold},
		{"step", "the last penalty step is long enough ago", []Act{ActPenalize}, ThenWait, false, askStep},
		{"budget", "the fleet's and the site's budgets of this hour are not spent",
			append(counted(), ActPenalize), ThenWait, false, askBudget},
	}
}

// Answer is what the gate says of an act.
type Answer struct {
	Decision
	Check string // the first check that said no; empty: none did
	Then  Then   // what its no does; empty: there was none
}

// Ask passes an act through the gate: the first check that says no answers.
func Ask(p Policy, f GateFacts, now time.Time) Answer {
	for _, c := range Gate() {
		if !c.concerns(f.Act) || f.Order.passes(c.Name, f.Act) {
			continue
		}
		if d := c.Ask(p, f, now); !d.Do {
			then := c.Then
			if then == ThenPassYet {
				if then = ThenPass; !d.Until.IsZero() {
					then = ThenWait
				}
			}
			return Answer{Decision: d, Check: c.Name, Then: then}
		}
	}
	return Answer{Decision: Yes("every check of the gate passes")}
}

// CheckAnswer is what one check says, for those who ask why or why not.
type CheckAnswer struct {
	Name string `json:"name"`
	Decision
}

// Lifted reports whether a check that stood in the way passes by what a sweep has seen. One that no sweep can ask does
// not: who waits for it asks again by itself.
func Lifted(p Policy, check string, f GateFacts, now time.Time) bool {
	return slices.ContainsFunc(Gate(), func(c Check) bool { return c.Name == check && c.Swept && c.Ask(p, f, now).Do })
}

// AskAll asks every check that concerns the act, whatever the others say.
func AskAll(p Policy, f GateFacts, now time.Time) []CheckAnswer {
	var all []CheckAnswer
	for _, c := range Gate() {
		if c.concerns(f.Act) && !f.Order.passes(c.Name, f.Act) {
			all = append(all, CheckAnswer{c.Name, c.Ask(p, f, now)})
		}
	}
	return all
}

const gatePage = `# The gate

Written by ~make docs~ from policy/gate.go; do not edit.

Every act on the world passes these checks in this order, on facts gathered afresh, under the lock of what is acted on,
directly before the point of no return. The first that says no gives the reason, and the time when to ask again. A fact
that is not known forbids. Recoveries, thanks, and undoing what Monitor changed always pass.

| check | what must hold | asked before | after a no, the rung | the sweep wakes it |
|---|---|---|---|---|
%s
## Waiting, retry, and what is passed over

A rung that waits is asked for again at the time that the no gives, else after 6 h and then ever more rarely, up to
every 30 days. Where the last column says yes, the sweep that sees the reason gone sends the issue the signal ~retry~
before that. A penalty that waits is asked for again by its site.

~retry~ makes a rung that waits due now, and does nothing else. The gate is asked again from its first check, on fresh
facts: no attempt is forgotten, no budget passed, no yield shortened, and a pause holds. Anybody may send it
(~temporal workflow signal --name retry --workflow-id nodedown/<host>~). A rung whose answer was lost is not done
again by it: the ledger is asked what became of it.

A rung that is passed over is over, and ~retry~ does not bring it back. After *pcu* the signal ~pcuback~ does: when
the issue of its PCU closes, an issue whose node was not rebooted meanwhile goes back to its power rungs, and then
goes on where it was. After *firewall* and *attempts* nothing does in the same issue: no reboot mends a firewall, and
a node that was power-cycled too often needs a person; the admins are told so once. What people were asked to switch
by hand, and what surely did not happen, is no attempt.

## Orders of persons

What a person orders, as ~monitor node reboot~ does, passes the same checks in the same order. What is exempt or on the
blacklist is left alone whoever asks, nothing is done while Monitor is stopped, observes or has no lease, and budgets
count orders too. An operator may pass over these checks, and nobody else any:

| check | passed over by | why |
|---|---|---|
%s
A no of the gate refuses the order, unless it ends by itself within the time that the person waits for. Where *pcu* says
no, the next way is tried. For an order, *booting* also says no within policy.boot_grace of the last power cycle, whoever
gave that. While a person's order to a node is under way, the issues of that node wait (*covered*).
`

// listed are acts by their names, separated by commas.
func listed(acts []Act, none string) string {
	if len(acts) == 0 {
		return none
	}
	var names []string
	for _, a := range acts {
		names = append(names, string(a))
	}
	return strings.Join(names, ", ")
}

// GateMarkdown is a page about the gate.
func GateMarkdown() string {
	var rows strings.Builder
	for _, c := range Gate() {
		acts := listed(c.For, "every act")
		wakes := ""
		if c.Swept {
			wakes = "yes"
		}
		fmt.Fprintf(&rows, "| %s | %s | %s | %s | %s |\n", c.Name, c.Asks, acts, c.Then, wakes)
	}
	var waived strings.Builder
	for _, w := range Waivers() {
		by := "`--" + string(w.Asked) + "`"
		if w.Asked == "" {
			by = "every order of an operator to " + listed(w.For, "do it")
		}
		fmt.Fprintf(&waived, "| %s | %s | %s |\n", w.Check, by, w.Why)
	}
	return strings.ReplaceAll(fmt.Sprintf(gatePage, rows.String(), waived.String()), "~", "`")
}

func askTarget(_ Policy, f GateFacts, _ time.Time) Decision {
	if !f.Exists {
		return No(time.Time{}, "%s does not have %s any more", f.from(), f.Target)
	}
	return Yes("it is in " + f.from())
}

func askOrder(_ Policy, f GateFacts, _ time.Time) Decision {
	if f.Ordered != "" {
		return No(time.Time{}, "%s", f.Ordered)
	}
	return Yes("nobody ordered otherwise")
}

func askRecovered(_ Policy, f GateFacts, _ time.Time) Decision {
	if f.Recovered != "" {
		return No(time.Time{}, "it is good again: %s", f.Recovered)
	}
	return Yes("it is not good")
}

func askSwitch(_ Policy, f GateFacts, _ time.Time) Decision {
	if f.Stopped != "" {
		return No(time.Time{}, "Monitor is stopped: %s", f.Stopped)
	}
	return Yes("Monitor may act")
}

func askMode(_ Policy, f GateFacts, _ time.Time) Decision {
	if f.Mode != ModeAct {
		if f.ModeWhy != "" {
			return No(time.Time{}, "observe mode: would %s (%s)", f.Act, f.ModeWhy)
		}
		return No(time.Time{}, "observe mode: would %s", f.Act)
	}
	return Yes("the mode is act")
}

// leaseIntervals is how many intervals a believed sweep lasts: one may be late, two are a fault.
const leaseIntervals = 2

// Until is when the lease ends.
func (l Lease) Until() time.Time { return l.Believed.Add(leaseIntervals * l.Every) }

func askLease(_ Policy, f GateFacts, now time.Time) Decision {
	l := f.Lease
	again := now.Add(max(l.Every, time.Minute))
	switch {
	case l.Believed.IsZero() && l.Doubt == "":
		return No(again, "no sweep has ended yet")
	case l.Doubt != "":
		return No(again, "the last sweep is not believed: %s", l.Doubt)
	case now.After(l.Until()):
		return No(again, "the last believed sweep ended %s ago, and one is due every %s",
			now.Sub(l.Believed).Round(time.Second), l.Every)
	}
	return Yes("the last believed sweep is fresh")
}

func askCovered(_ Policy, f GateFacts, _ time.Time) Decision {
	if f.CoveredBy != "" {
		return No(time.Time{}, "%s", f.CoveredBy)
	}
	return Yes("no other issue speaks for it")
}

func askFirewall(_ Policy, f GateFacts, _ time.Time) Decision {
	switch {
	case f.Node.Finding.Firewall:
		return No(time.Time{}, "it is behind a firewall, which no reboot mends: %s", f.Node.Finding.Reason)
	case f.Node.FirewallIssue != "":
		return No(time.Time{}, "%s is open, and no reboot mends a firewall", f.Node.FirewallIssue)
	}
	return Yes("no firewall is seen")
}

func askAnswers(_ Policy, f GateFacts, _ time.Time) Decision {
	n := f.Node
	switch {
	case !n.Looked:
		return No(time.Time{}, "it could not be looked at")
	case n.Finding.Locked:
		return No(time.Time{}, "it is alive and lets nobody in, which no power command mends: %s", n.Finding.Reason)
	case n.Finding.Alive():
		return No(time.Time{}, "it answers: %s", n.Finding.Reason)
	}
	return Yes("it is silent: " + n.Finding.Reason)
}

func askHeartbeat(p Policy, f GateFacts, now time.Time) Decision {
	n := f.Node
	switch {
	case n.NoHeartbeats:
		return Yes("nodes do not report to " + f.from() + ": there is no heartbeat to ask for")
	case !n.AskedPLC:
		return No(time.Time{}, "PLC cannot be asked whether it hears the node")
	}
	if age := now.Sub(n.LastContact); age < p.HeartbeatFresh && n.LastContact.After(n.SilentFrom) {
		return No(n.LastContact.Add(p.HeartbeatFresh),
			"PLC heard from it %s ago: it is alive, and unreachable from here", age.Round(time.Second))
	}
	return Yes("PLC has not heard from it")
}

func askBooting(p Policy, f GateFacts, now time.Time) Decision {
	if age := now.Sub(f.Node.LastBoot); age < p.BootGrace {
		return No(f.Node.LastBoot.Add(p.BootGrace), "it began to boot %s ago", age.Round(time.Second))
	}
	if f.Order.Given() { // a ladder waits by itself after a power cycle
		for _, cycle := range f.Cycles {
			if age := now.Sub(cycle); age < p.BootGrace {
				return No(cycle.Add(p.BootGrace), "its power was cut %s ago: it may still be coming back",
					age.Round(time.Second))
			}
		}
	}
	return Yes("it is not booting")
}

func askBootState(_ Policy, f GateFacts, _ time.Time) Decision {
	if !f.Node.AskedPLC {
		return No(time.Time{}, "%s cannot be asked for its boot state", f.from())
	}
	if s := CleanBootState(f.Node.BootState); s == "disabled" || s == "safeboot" {
		return No(time.Time{}, "%s has it at %s: it is in somebody's hands", f.from(), s)
	}
	return Yes(f.from() + " has it at " + f.Node.BootState)
}

func askExempt(_ Policy, f GateFacts, now time.Time) Decision {
	switch {
	case f.NodeExemptUntil.After(now):
		return No(f.NodeExemptUntil, "the node is exempt in %s until %s", f.from(),
			f.NodeExemptUntil.UTC().Format(time.DateOnly))
	case f.SiteExemptUntil.After(now):
		return No(f.SiteExemptUntil, "the site is exempt in %s until %s", f.from(),
			f.SiteExemptUntil.UTC().Format(time.DateOnly))
	}
	return Yes("not exempt")
}

func askBlacklist(_ Policy, f GateFacts, _ time.Time) Decision {
	switch {
	case f.Listed.Listed && f.Listed.Downtime:
		return No(f.Listed.Until, "in a downtime: %s", f.Listed.Reason)
	case f.Listed.Listed:
		return No(f.Listed.Until, "blacklisted: %s", f.Listed.Reason)
	}
	return Yes("not on the blacklist")
}

func askPCU(p Policy, f GateFacts, now time.Time) Decision {
	switch {
	case f.PCU.Feeds == 0:
		return No(time.Time{}, "no PCU feeds it")
	case f.PCU.Broken != "":
		return No(time.Time{}, "%s", f.PCU.Broken)
	case f.PCU.Shaky != "": // one failed dry run does not cost a node its reboot
		return No(latest(f.PCU.Again, now.Add(p.Hour()/4)), "%s", f.PCU.Shaky)
	}
	return Yes("its PCU works")
}

func askInstaller(_ Policy, f GateFacts, _ time.Time) Decision {
	if f.PCU.Installer == "" {
		return No(time.Time{}, "nothing can have it installed anew: its PCU cannot choose what it boots from, and there "+
			"is no hook for that")
	}
	return Yes("it is installed anew by " + f.PCU.Installer)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func askAttempts(p Policy, f GateFacts, now time.Time) Decision {
	if hardware, why := LikelyHardware(p, f.Cycles, now); hardware {
		return No(time.Time{}, "%s", why)
	}
	return Yes("not power-cycled too often")
}

// LikelyHardware reports whether a node was power-cycled as often as may be and needs it again: no reboot will mend it.
func LikelyHardware(p Policy, cycles []time.Time, now time.Time) (bool, string) {
	count := 0
	for _, t := range cycles {
		if now.Sub(t) < p.RebootWindow {
			count++
		}
	}
	return count >= p.MaxReboots, fmt.Sprintf("power-cycled %d times within %s: likely hardware, not another reboot",
		count, p.Days(p.RebootWindow))
}

func askSite(p Policy, f GateFacts, now time.Time) Decision {
	s := f.Site
	down := now.Sub(s.Record.Changed)
	switch {
	case s.Pending:
		return No(time.Time{}, "a pending site is never penalised")
	case s.Record.Status == StatusNew || now.Sub(s.Created) < p.SiteNew:
		return No(latest(s.Created.Add(p.SiteNew), now.Add(p.SiteOfflineToDown)), "the site is new")
	case s.Up >= p.SiteMinUp:
		return No(time.Time{}, "%d nodes are up and %d are enough", s.Up, p.SiteMinUp)
	case s.Record.Status != StatusDown:
		return No(now.Add(p.SiteOfflineToDown), "the site is %s, not down", s.Record.Status)
	case down < p.SiteDownBeforePenalty:
		return No(s.Record.Changed.Add(p.SiteDownBeforePenalty), "the site is down for %s, less than %s", p.Days(down),
			p.Days(p.SiteDownBeforePenalty))
	}
	return Yes(fmt.Sprintf("the site is down for %s with %s up", p.Days(down), nodes(s.Up)))
}

func askTold(_ Policy, f GateFacts, now time.Time) Decision {
	switch {
	case f.Site.Told.IsZero():
		return No(time.Time{}, "nobody at the site has been told of it yet")
	case now.Before(f.Site.NotBefore):
		return No(f.Site.NotBefore, "its people were told that it comes not before %s",
			f.Site.NotBefore.UTC().Format(time.RFC3339))
	}
	return Yes("its people were told")
}

func askStep(p Policy, f GateFacts, now time.Time) Decision {
	if last := f.Site.LastRaise; !last.IsZero() && now.Sub(last) < p.PenaltyStep {
		return No(last.Add(p.PenaltyStep), "the last step was less than %s ago", p.Days(p.PenaltyStep))
	}
	return Yes("the last step is long enough ago")
}

// BudgetOf is how many of an act a policy hour allows, in the fleet and at one site.
func (p Policy) BudgetOf(a Act) (fleet, site int) {
	switch a {
	case ActReboot, ActRestart, ActRebootSSH:
		return p.Budget.RebootsFleet, p.Budget.RebootsSite
	case ActReinstall, ActWipe, ActReinstallSSH:
		return p.Budget.ReinstallsFleet, p.Budget.ReinstallsSite
	case ActPenalize:
		return p.Budget.PenaltiesFleet, p.Budget.PenaltiesSite
	}
	return 0, 0
}

func askBudget(p Policy, f GateFacts, now time.Time) Decision {
	fleet, site := p.BudgetOf(f.Act)
	switch {
	case f.Spent.Fleet >= fleet:
		return No(now.Add(p.Hour()), "the fleet's budget of %d an hour to %s is spent", fleet, f.Act)
	case f.Spent.Site >= site:
		return No(now.Add(p.Hour()), "the site's budget of %d an hour to %s is spent", site, f.Act)
	}
	return Yes("within the budget")
}
