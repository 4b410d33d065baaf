// Package rollout says how one act is carried to many nodes, so many at a time, and when that stops. It is pure: the
// plan, what became of nodes, orders and the clock come in, the next step comes out. A workflow runs it on durable
// timers; each node is the work of a request of its own, see package request.
package rollout

import (
	"fmt"
	"time"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
)

// The names by which a roll-out is started, asked and steered.
const (
	Type         = "rollout" // of the workflow, and the first half of its id: rollout/<name>
	UpdatePause  = "pause"
	UpdateResume = "resume"
	UpdateCancel = "cancel"
)

// ID is the workflow of a roll-out.
func ID(name string) string { return Type + "/" + name }

// Plan is a roll-out as it was shown and confirmed. Its nodes stand beside it, by their ids in PLC: they are frozen, so
// that none is ever in it that was not shown.
type Plan struct {
	Name   string        `json:"name"`
	Act    request.Act   `json:"act"`
	State  string        `json:"state,omitempty"` // of the act bootstate
	Order  policy.Order  `json:"order"`
	From   string        `json:"from"`
	Ways   []request.Way `json:"ways,omitempty"`
	Count  int           `json:"count"`            // nodes
	Group  int           `json:"group"`            // so many at a time
	Wait   string        `json:"wait,omitempty"`   // what a node must be before its group is done, as a selection; empty: back
	Within time.Duration `json:"within,omitempty"` // how long a node may take to be so; zero: as policy says
	Rest   time.Duration `json:"rest,omitempty"`   // between two groups
	Most   int           `json:"most_failed"`      // it stops when more than so many have failed
	Limit  time.Duration `json:"limit,omitempty"`  // no group begins after this; zero: no limit
	Made   time.Time     `json:"made"`
}

// mostGroup bounds the nodes that are worked on at once.
const mostGroup = 200

// Check reports why a plan cannot be meant, or nil.
func (p Plan) Check() error {
	one := p.Request(Node{Host: "any"})
	if err := one.Check(); err != nil {
		return err
	}
	switch {
	case !nameable(p.Name):
		return fmt.Errorf("%q is no name for a roll-out: use letters, digits, dots and dashes", clean.Line(p.Name))
	case p.Count < 1:
		return fmt.Errorf("the plan has no nodes")
	case p.Group < 1 || p.Group > mostGroup:
		return fmt.Errorf("a group has 1 to %d nodes, not %d", mostGroup, p.Group)
	case p.Most < 0 || p.Within < 0 || p.Rest < 0 || p.Limit < 0:
		return fmt.Errorf("neither a number nor a time of a plan is negative")
	case !clean.Is(p.Wait, clean.MaxText):
		return fmt.Errorf("what a group waits for is too long, or holds what cannot be printed")
	}
	return nil
}

// nameable reports whether a name can stand in ids and on command lines.
func nameable(s string) bool {
	if s == "" || len(s) > 80 {
		return false
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' {
			return false
		}
	}
	return true
}

// Request is the order for one node of the plan.
func (p Plan) Request(n Node) request.Input {
	return request.Input{Node: n.Host, NodeID: n.NodeID, Act: p.Act, State: p.State, Order: p.Order, From: p.From,
		Ways: p.Ways, Return: p.Within, Patience: patience, Part: ID(p.Name),
		Key: fmt.Sprintf("%s/%d/%d", ID(p.Name), n.Seq, n.Tries)}
}

// patience is how long a node may wait for its turn in the budgets, or for the end of a stop: to wait is no failure, and
// nobody waits at a terminal.
const patience = 24 * time.Hour

// NodeState is where a node of a plan is.
type NodeState string

// The states of a node.
const (
	Planned NodeState = "planned" // not begun
	Begun   NodeState = "begun"   // its request may be under way
	Done    NodeState = "done"
	Failed  NodeState = "failed"
	Skipped NodeState = "skipped" // it left, moved, or is exempt by now
	Unknown NodeState = "unknown" // it may have been done: only a person may say that it is done again
)

// NodeStates are all of them.
func NodeStates() []NodeState { return []NodeState{Planned, Begun, Done, Failed, Skipped, Unknown} }

// Node is a node of a plan.
type Node struct {
	Seq    int       `json:"seq"`
	NodeID int       `json:"node_id"`
	Host   string    `json:"host"`
	Site   string    `json:"site"`
	Group  int       `json:"group,omitempty"` // the one with which it began last; 0: none
	Tries  int       `json:"tries,omitempty"`
	State  NodeState `json:"state"`
	Run    string    `json:"run,omitempty"` // of its request
	Reason string    `json:"reason,omitempty"`
	Began  time.Time `json:"began,omitzero"`
	Ended  time.Time `json:"ended,omitzero"`
}

// After is what a node is once its request has ended.
func After(s request.Story) (NodeState, string) {
	reason := string(s.End)
	if s.Reason != "" {
		reason += ": " + s.Reason
	}
	switch {
	case s.End.Good():
		return Done, reason
	case s.End == request.Unknown:
		return Unknown, reason
	case s.End == request.Cancelled:
		return Planned, reason
	case s.End == request.Refused && (s.Check == "exempt" || s.Check == "blacklist" || s.Check == "target"):
		return Skipped, reason
	}
	return Failed, reason
}

// Status is how a roll-out stands as a whole.
type Status string

// The statuses.
const (
	Running   Status = "running"
	Paused    Status = "paused"    // by an operator
	Stopped   Status = "stopped"   // too many nodes have failed: an operator resumes or cancels it
	Ended     Status = "ended"     // nothing is left to do
	Cancelled Status = "cancelled" // by an operator
	TimeOver  Status = "time over" // its limit has passed
)

// Over reports whether nothing more is begun, whatever is ordered.
func (s Status) Over() bool { return s == Ended || s == Cancelled || s == TimeOver }

// Steer is an operator's order to a roll-out.
type Steer struct {
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
}

func (s Steer) String() string {
	text := s.Reason
	if text == "" {
		text = "no reason given"
	}
	return clean.Line(text + " (" + s.By + ")")
}
