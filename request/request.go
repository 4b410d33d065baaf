// Package request says what a person's order to one node is, and what its next step is. It is pure: the order, answers
// of activities and the clock come in, the next step comes out. A workflow runs it on durable timers.
//
// An order has ways: to cut the power through the PCU, to restart the node over ssh, to tell PLC. They are tried in
// their order, and the next one only where the one before surely did nothing. Once something was done, nothing more is:
// the node is watched until it is seen to return, or until its time is over.
package request

import (
	"fmt"
	"slices"
	"time"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/policy"
)

// The names by which a request is started and asked.
const (
	Type         = "request" // of the workflow, and the first half of its id: request/<host>
	UpdateCancel = "cancel"
)

// ID is the workflow of the request to a node: there is one at a time.
func ID(host string) string { return Type + "/" + host }

// Act is what a person wants of a node.
type Act string

// The acts.
const (
	Reboot    Act = "reboot"
	Reinstall Act = "reinstall"
	BootState Act = "bootstate" // set it in PLC, and nothing else
)

// Acts are all of them.
func Acts() []Act { return []Act{Reboot, Reinstall, BootState} }

// Way is how an act is done.
type Way string

// The ways.
const (
	ByPCU Way = "pcu"
	BySSH Way = "ssh"
	ByPLC Way = "plc" // the boot state, which counts when the node next boots
)

// waysOf are the ways of an act, in the order in which they are tried.
func waysOf(a Act) []Way {
	switch a {
	case Reboot:
		return []Way{ByPCU, BySSH}
	case Reinstall:
		return []Way{ByPCU, BySSH, ByPLC}
	}
	return []Way{ByPLC}
}

// bootStates are what a person may set, and which of them the people of a site may.
var bootStates = map[string]bool{"boot": true, "reinstall": true, "safeboot": false, "disabled": false}

// BootStates are what a person in a role may set.
func BootStates(role policy.Role) []string {
	var list []string
	for _, s := range []string{"boot", "reinstall", "safeboot", "disabled"} {
		if role == policy.RoleOperator || bootStates[s] {
			list = append(list, s)
		}
	}
	return list
}

// Input is an order: what is to be done to which node, and who wants it, from where and why.
type Input struct {
	Node  string       `json:"node"` // hostname as in PLC
	Act   Act          `json:"act"`
	State string       `json:"state,omitempty"` // of the act bootstate
	Order policy.Order `json:"order"`
	From  string       `json:"from"`           // where the order was given: a command line, a page
	Ways  []Way        `json:"ways,omitempty"` // the only ones to try, in this order; empty: all
	// NodeID, where it is given, is the node that is meant: should PLC give its name to another one, nothing is done.
	NodeID int `json:"node_id,omitempty"`
	// Patience is how long the order waits for its turn: for a budget, a PCU that is busy. Zero: not at all.
	Patience time.Duration `json:"patience,omitempty"`
	// Return is how long the node may take to come back; zero: as policy says.
	Return time.Duration `json:"return,omitempty"`
	// DryRun asks what would be done, and does nothing.
	DryRun bool `json:"dry_run,omitempty"`
	// Key names the line of the ledger by which the order was given, where it has one.
	Key string `json:"key,omitempty"`
	// Part names what the order is a part of, as a roll-out.
	Part string `json:"part,omitempty"`
}

// Line names the line of the ledger that says which workflow took the order. An order with a key is taken once: another
// run, begun because the answer of the first was lost, finds it.
func (in Input) Line(id, run string) string {
	if in.Key != "" {
		return in.Key + "/taken"
	}
	return id + "/" + run + "/order"
}

// Check reports why an order cannot be meant, or nil.
func (in Input) Check() error {
	switch {
	case in.Node == "":
		return fmt.Errorf("name a node")
	case !slices.Contains(Acts(), in.Act):
		return fmt.Errorf("%q is no act: there are reboot, reinstall and bootstate", in.Act)
	case in.Order.Role != policy.RoleOperator && in.Order.Role != policy.RoleSite:
		return fmt.Errorf("%q is no role that may order something", in.Order.Role)
	case in.Order.By == "" || in.Order.Reason == "":
		return fmt.Errorf("an order says who gives it, and why")
	case in.Order.Role != policy.RoleOperator && len(in.Order.Waives) > 0:
		return fmt.Errorf("only operators may pass over checks of the gate")
	case in.Act == BootState && !slices.Contains(BootStates(in.Order.Role), in.State):
		return fmt.Errorf("%q is no boot state to set: there are %q", in.State, BootStates(in.Order.Role))
	case in.Act != BootState && in.State != "":
		return fmt.Errorf("only the act bootstate takes a boot state")
	case in.Patience < 0 || in.Return < 0:
		return fmt.Errorf("a time must not be negative")
	}
	for _, text := range []string{in.Node, in.Order.By, in.Order.Reason, in.From, in.Part, in.Key} {
		if !clean.Is(text, clean.MaxText) {
			return fmt.Errorf("%q is too long, or holds what cannot be printed", clean.Line(text))
		}
	}
	for _, w := range in.Order.Waives {
		if w != policy.EvenIfUp && w != policy.EvenIfTried {
			return fmt.Errorf("%q passes over no check", w)
		}
	}
	for _, w := range in.Ways {
		if !slices.Contains(waysOf(in.Act), w) {
			return fmt.Errorf("%s is no way to %s: there are %q", w, in.Act, waysOf(in.Act))
		}
	}
	return nil
}

// Times are the durations of a request, recorded when it starts.
type Times struct {
	Return time.Duration `json:"return"` // how long the node may take to come back
	Look   time.Duration `json:"look"`   // from the act to the first look; later ones are rarer
	Again  time.Duration `json:"again"`  // between two tries
}

// TimesOf takes from policy what a request needs.
func TimesOf(p policy.Policy, in Input) Times {
	t := Times{Return: in.Return, Look: p.BootGrace / 30, Again: p.BootGrace / 15}
	if t.Return == 0 {
		if t.Return = 2 * p.BootGrace; in.Act == Reinstall {
			t.Return = 8 * p.BootGrace
		}
	}
	return t
}

// Opening is what an activity says of a request that starts: the node as it was found.
type Opening struct {
	Site   string `json:"site"`
	NodeID int    `json:"node_id"`
	PCU    string `json:"pcu,omitempty"`
	PCUID  int    `json:"pcu_id,omitempty"`
	Times  Times  `json:"times"`
	Before Sight  `json:"before"`
}

// Sight is what a look at the node found.
type Sight struct {
	At     time.Time `json:"at"`
	Alive  bool      `json:"alive"` // anything answers
	Up     bool      `json:"up"`    // it runs, and is not in debug mode
	Booted time.Time `json:"booted,omitzero"`
	Saw    string    `json:"saw"`
}

// End is how a request ended.
type End string

// The ends.
const (
	Returned  End = "returned"  // it was done, and the node was seen to come back
	Done      End = "done"      // it was done, and there is nothing to wait for
	NotBack   End = "not back"  // it was done, and the node was not seen to come back in its time
	Asked     End = "asked"     // people were asked to do it by hand
	Unknown   End = "unknown"   // it may have been done, and the node was not seen to restart
	Refused   End = "refused"   // a check of the gate said no; nothing was done
	Failed    End = "failed"    // no way worked; nothing was done
	Cancelled End = "cancelled" // before anything was done
	WouldDo   End = "would do"  // of a dry run
)

// Good reports whether the person has what he wanted.
func (e End) Good() bool { return e == Returned || e == Done || e == Asked || e == WouldDo }

// Acted reports whether something was done to the node, or may have been.
func (e End) Acted() bool { return e == Returned || e == Done || e == NotBack || e == Unknown }

// Step is one thing that happened, as a person reads it.
type Step struct {
	At   time.Time `json:"at"`
	Way  Way       `json:"way,omitempty"`
	What string    `json:"what"`
	Why  string    `json:"why,omitempty"`
}

// Story is a request as it stands: it answers the query and every update, and is what a workflow ends with.
type Story struct {
	ID      string    `json:"id"`
	Run     string    `json:"run"`
	Input   Input     `json:"input"`
	Site    string    `json:"site"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	End     End       `json:"end,omitempty"` // empty: it is under way
	Check   string    `json:"check,omitempty"`
	Reason  string    `json:"reason"`
	Next    time.Time `json:"next,omitzero"` // when it goes on
	Acted   time.Time `json:"acted,omitzero"`
	Steps   []Step    `json:"steps"`
}

// Cancel is an order to leave it.
type Cancel struct {
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
}

// Answer answers a Cancel.
type Answer struct {
	Story
	TooLate string `json:"too_late,omitempty"` // why it is not cancelled
}
