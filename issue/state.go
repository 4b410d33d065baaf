package issue

import (
	"fmt"
	"slices"
	"time"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/policy"
)

// Status is where an issue is in its life.
type Status string

// The statuses of an issue.
const (
	Open   Status = "open"
	Paused Status = "paused"
	Closed Status = "closed"
)

// Opening is what an issue knows when it opens: what it is about, why, and the rules by which it will live.
type Opening struct {
	Ref      Ref         `json:"ref"`
	Cause    string      `json:"cause"`
	Evidence []string    `json:"evidence,omitempty"`
	Times    Times       `json:"times"`
	Ladder   Ladder      `json:"ladder"`
	Mode     policy.Mode `json:"mode"`
}

// State is all that an issue remembers. It is JSON: it passes to activities, to a continued run, and into the store.
type State struct {
	Opening
	Opened time.Time `json:"opened"`
	Status Status    `json:"status"`

	Rung    int       `json:"rung"`             // index of the next rung
	Tries   int       `json:"tries,omitempty"`  // how often the next rung has answered Wait
	Rounds  int       `json:"rounds,omitempty"` // how often the power rungs were gone back to
	Idle    int       `json:"idle,omitempty"`   // how often the last rung was done, which then waits ever longer
	Due     time.Time `json:"due"`              // when the next rung is
	Blocked *Block    `json:"blocked,omitempty"`
	Running bool      `json:"running,omitempty"` // the rung is under way
	Skip    bool      `json:"skip,omitempty"`    // an order to skip the rung that is under way
	Lost    bool      `json:"lost,omitempty"`    // the next rung was begun, and its answer was lost

	Vetoes []Veto `json:"vetoes,omitempty"` // rungs ahead that an operator will not have

	Pause       *Pause    `json:"pause,omitempty"`
	RecoveredAt time.Time `json:"recovered_at,omitzero"`
	End         *End      `json:"end,omitempty"` // why the issue ends

	PCUBack  string    `json:"pcu_back,omitempty"` // why the power rungs are due again
	Back     int       `json:"back,omitempty"`     // the rung to go on with after them; 0: none
	ResumeAt time.Time `json:"resume_at,omitzero"` // and when
	Rebooted bool      `json:"rebooted,omitempty"` // a rung surely power-cycled the target
	Credited Credit    `json:"credited,omitempty"` // what was done last that may mend the target

	Told  bool   `json:"told,omitempty"`          // its site's people know of it
	Level int    `json:"penalty_level,omitempty"` // what it asks of its site
	Deeds []Deed `json:"deeds,omitempty"`

	Seq    int     `json:"seq"`              // of the last event
	Events []Event `json:"events,omitempty"` // the latest; the store has all of them
	Saved  int     `json:"saved"`            // events up to here are in the store
	Stale  bool    `json:"stale,omitempty"`  // the store does not know yet where the issue stands
}

// Block is why the next rung waits.
type Block struct {
	Check  string `json:"check,omitempty"` // of the gate
	Reason string `json:"reason"`
}

// Pause is an order to wait, until a time or until resume.
type Pause struct {
	At     time.Time `json:"at"`
	Until  time.Time `json:"until,omitzero"`
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

// String is the pause's reason as operators read it.
func (p Pause) String() string {
	s := p.Reason
	if s == "" {
		s = "no reason given"
	}
	if p.By != "" {
		s += " (" + p.By + ")"
	}
	return s
}

// End is why an issue ends.
type End struct {
	Why    EndKind `json:"why"`
	By     string  `json:"by,omitempty"`
	Reason string  `json:"reason,omitempty"`
}

// EndKind names a way to end.
type EndKind string

// The ways an issue ends.
const (
	EndRecovered EndKind = "good again"
	EndGone      EndKind = "gone"                  // its target is no longer in PLC
	EndOperator  EndKind = "closed by an operator" // the sweep leaves its target alone until it was good once
	EndCancelled EndKind = "cancelled"             // the workflow was cancelled
	EndLost      EndKind = "lost"                  // the workflow was terminated or its namespace is gone
)

// String is the end as operators read it.
func (e End) String() string {
	s := string(e.Why)
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	if e.By != "" {
		s += " (" + e.By + ")"
	}
	return s
}

// Start is the state of an issue that has just opened.
func Start(o Opening, now time.Time) State {
	s := State{Opening: o, Opened: now, Status: Open, Due: now}
	s.Evidence, s.Cause = Evidence(o.Evidence), clean.Line(o.Cause)
	s.record(Event{At: now, Kind: EventOpened, Reason: s.Cause})
	return s
}

// Next rung, which always is one: the last one repeats.
func (s *State) next() Rung { return s.Ladder.Rungs[min(s.Rung, s.last())] }

func (s *State) last() int { return len(s.Ladder.Rungs) - 1 }

// NextRung is the rung that comes next.
func (s State) NextRung() Rung { return s.next() }

// Key names the effect of the next rung in the ledger. A rung that is done once more on purpose has another one.
func (s *State) Key() string {
	key := fmt.Sprintf("%s/%d.%d", s.Ref.Episode(), s.Rung, s.Tries)
	if s.Rounds > 0 || s.Idle > 0 {
		key += fmt.Sprintf(".%d.%d", s.Rounds, s.Idle)
	}
	return key
}

// Request is the next rung as its activity gets it: with what it needs to know of the issue.
func (s State) Request() Request {
	c := s.clone()
	c.Events = c.unsaved()
	return Request{State: c, Rung: s.next(), Key: s.Key()}
}

func (s State) clone() State {
	s.Deeds, s.Events, s.Vetoes = slices.Clone(s.Deeds), slices.Clone(s.Events), slices.Clone(s.Vetoes)
	for _, p := range []**Pause{&s.Pause} {
		if *p != nil {
			c := **p
			*p = &c
		}
	}
	return s
}

// mostDeeds is what people are told of all that was done: the first and the latest of it.
const mostDeeds = 20

func (s *State) did(deeds ...Deed) {
	for _, d := range deeds {
		s.Deeds = append(s.Deeds, d)
		if len(s.Deeds) > mostDeeds {
			s.Deeds = slices.Delete(s.Deeds, mostDeeds/2, mostDeeds/2+1)
		}
	}
}
