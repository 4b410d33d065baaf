package rollout

import (
	"fmt"
	"time"
)

// State is all that a roll-out remembers beside its nodes, which stand in the store. It is JSON, and goes on in
// continued runs.
type State struct {
	Plan
	Status  Status    `json:"status"`
	Why     string    `json:"why,omitempty"`
	Started time.Time `json:"started"`
	Number  int       `json:"group_number"` // of the group that began last
	Due     time.Time `json:"due,omitzero"` // when the next group may begin
	Count   Counts    `json:"counts"`
	// Failures are those since the roll-out began or was resumed: so many more may fail after a resume.
	Failures int    `json:"failures"`
	Running  []Node `json:"under_way,omitempty"` // the nodes of the group that is under way
	Empty    bool   `json:"empty,omitempty"`     // no node is left that has not begun
	Noted    Status `json:"noted,omitempty"`     // what the store knows
	Groups   int    `json:"-"`                   // of this run
}

// Counts are the nodes that this roll-out has brought to an end.
type Counts struct {
	Done    int `json:"done"`
	Failed  int `json:"failed"`
	Skipped int `json:"skipped"`
	Unknown int `json:"unknown"`
}

func (c *Counts) add(s NodeState) {
	switch s {
	case Done:
		c.Done++
	case Failed:
		c.Failed++
	case Skipped:
		c.Skipped++
	case Unknown:
		c.Unknown++
	}
}

// Start is a roll-out that begins.
func Start(p Plan, now time.Time) State {
	return State{Plan: p, Status: Running, Started: now, Due: now}
}

// Do is what the next step is.
type Do string

// The steps.
const (
	Begin  Do = "begin"  // the next group
	Sleep  Do = "sleep"  // until a time, or an order
	Finish Do = "finish" // nothing more is begun
)

// Next is what a roll-out does now. A zero time sleeps until an order comes.
type Next struct {
	Do    Do
	Until time.Time
}

// Next is asked while no group is under way.
func (s *State) Next(now time.Time) Next {
	over := s.Started.Add(s.Limit)
	switch {
	case s.Status.Over():
		return Next{Do: Finish}
	case s.Empty:
		s.Status, s.Why = Ended, s.summary()
		return Next{Do: Finish}
	case s.Limit > 0 && !now.Before(over):
		s.Status, s.Why = TimeOver, fmt.Sprintf("its limit of %s has passed; %s", s.Limit, s.summary())
		return Next{Do: Finish}
	case s.Status == Paused || s.Status == Stopped:
		if s.Limit > 0 {
			return Next{Do: Sleep, Until: over}
		}
		return Next{Do: Sleep}
	case now.Before(s.Due):
		return Next{Do: Sleep, Until: s.Due}
	}
	return Next{Do: Begin}
}

func (s State) summary() string {
	return fmt.Sprintf("%d done, %d failed, %d skipped, %d unknown of %d", s.Count.Done, s.Count.Failed, s.Count.Skipped,
		s.Count.Unknown, s.Plan.Count)
}

// Began takes the next group: the nodes to begin with, and those that are skipped since the fleet has changed. None of
// either: the plan is at its end.
func (s *State) Began(begin, skipped []Node) {
	s.Number++
	s.Running = begin
	for range skipped {
		s.Count.add(Skipped)
	}
	s.Empty = len(begin)+len(skipped) == 0
}

// NodeEnded takes what became of a node of the group. What was cancelled before it began is planned still.
func (s *State) NodeEnded(now time.Time, seq int, state NodeState, reason string) {
	for i := range s.Running {
		n := &s.Running[i]
		if n.Seq != seq || n.State != Begun {
			continue
		}
		n.State, n.Reason, n.Ended = state, reason, now
		s.Count.add(state)
		if state == Failed || state == Unknown {
			s.failed()
		}
	}
}

func (s *State) failed() {
	s.Failures++
	if s.Failures > s.Most && (s.Status == Running || s.Status == Paused) {
		s.Status = Stopped
		s.Why = fmt.Sprintf("%d nodes have failed, and %d may", s.Failures, s.Most)
	}
}

// Missed takes that a node was done, and did not become what its group waits for.
func (s *State) Missed(seq int, reason string) {
	for i := range s.Running {
		if n := &s.Running[i]; n.Seq == seq && n.State == Done {
			n.State, n.Reason = Failed, reason
			s.Count.Done--
			s.Count.Failed++
			s.failed()
		}
	}
}

// GroupEnded takes that the group is written down; the next one begins after a rest.
func (s *State) GroupEnded(now time.Time) {
	s.Running = nil
	s.Groups++
	s.Due = now.Add(s.Rest)
}

// Pause lets no further group begin.
func (s *State) Pause(o Steer) error {
	if s.Status != Running {
		return fmt.Errorf("pause: it is %s", s.Status)
	}
	s.Status, s.Why = Paused, o.String()
	return nil
}

// Resume goes on. After too many failures as many more may fail.
func (s *State) Resume(o Steer) error {
	if s.Status != Paused && s.Status != Stopped {
		return fmt.Errorf("resume: it is %s", s.Status)
	}
	s.Status, s.Why, s.Failures = Running, "resumed: "+o.String(), 0
	return nil
}

// Cancel ends it: what is under way is left where nothing was done yet, and brought to its end where it was.
func (s *State) Cancel(o Steer) error {
	if s.Status.Over() {
		return fmt.Errorf("cancel: it is %s", s.Status)
	}
	s.Status, s.Why = Cancelled, o.String()
	return nil
}

// Input starts a roll-out, whose plan stands in the store.
type Input struct {
	Name string `json:"name"`
	// Group is the number of the last group of earlier runs, as of one whose failed nodes are tried again.
	Group int `json:"group,omitempty"`
	// State is where it goes on as a new run; nobody else sets it.
	State *State `json:"state,omitempty"`
}
