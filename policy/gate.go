package policy

import (
	"slices"
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
	PowerBack     time.Time // when an outlet that Monitor had left off, or may have, was last on again
	TurnedOn      time.Time // when a person last turned an outlet of it on by an order
	HeldOff       string    // who turned its power off by an order and left it so, and why; empty: nobody
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
	Up        int // nodes that are not down; those that are left alone count as up
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
		{"booting", "the node did not just begin to boot, as after a power cycle", restarts(), ThenWait, false, askBooting},
		{"boot state",
			"the inventory, asked afresh, does not have the node at disabled or safeboot, where it is in somebody's hands",
			append(machineActs(), ActBootState), ThenWait, true, askBootState},
		{"exempt", "neither the node nor its site is exempt in the inventory", nil, ThenWait, true, askExempt},
		{"blacklist", "the target is on no blacklist and in no downtime", nil, ThenWait, true, askBlacklist},
		{"held off", "no person has turned an outlet of the node off, and left it so: somebody may be at work in it",
			append(machineActs(), ActDisable, ActNotify), ThenWait, false, askHeldOff},
		{"pcu", "a PCU feeds the node, and works", power(), ThenPassYet, false, askPCU},
		{"installer", "something has the node install itself when it boots: PLC, the boot device of its PCU, or a hook",
			[]Act{ActReinstall}, ThenPass, false, askInstaller},
		{"attempts", "the node was not power-cycled too often lately", counted(), ThenPass, false, askAttempts},
	}
}

// askedOfSites are the checks before a penalty rises, and the budget, which is asked last.
func askedOfSites() []Check {
	return []Check{
		{checkSite, "the site is neither pending nor new, is short of nodes, and has been down long enough",
			[]Act{ActPenalize}, ThenWait, false, askSite},
		{"told", "people were told of this step, and its time has come", []Act{ActPenalize}, ThenWait, false, askTold},
		{"step", "the last penalty step is long enough ago", []Act{ActPenalize}, ThenWait, false, askStep},
		{"budget", "the fleet's and the site's budgets of this hour are not spent",
			append(counted(), ActPenalize), ThenWait, false, askBudget},
	}
}

// checkSite is the check that says why a site is penalised.
const checkSite = "site"

// Answer is what the gate says of an act.
type Answer struct {
	Decision
	Check string // the first check that said no; empty: none did
	Then  Then   // what its no does; empty: there was none
}

// Ask passes an act through the gate: the first check that says no answers. A yes says what an act on a site is for.
func Ask(p Policy, f GateFacts, now time.Time) Answer {
	why := "every check of the gate passes"
	for _, c := range Gate() {
		if !c.concerns(f.Act) || f.Order.passes(c.Name, f.Act) {
			continue
		}
		d := c.Ask(p, f, now)
		if c.Name == checkSite {
			why = d.Reason
		}
		if !d.Do {
			then := c.Then
			if then == ThenPassYet {
				if then = ThenPass; !d.Until.IsZero() {
					then = ThenWait
				}
			}
			return Answer{Decision: d, Check: c.Name, Then: then}
		}
	}
	return Answer{Decision: Yes(why)}
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

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
