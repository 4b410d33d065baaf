package issue

import (
	"fmt"
	"slices"
	"time"
)

// Veto is an order that a rung ahead is to be passed over when it is due.
type Veto struct {
	Step   int       `json:"step"` // which rung of the ladder, from 1
	At     time.Time `json:"at"`
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

// String is the veto's reason as operators read it.
func (v Veto) String() string {
	reason := v.Reason
	if reason == "" {
		reason = "no reason given"
	}
	if v.By == "" {
		return "vetoed: " + reason
	}
	return fmt.Sprintf("vetoed: %s (%s)", reason, v.By)
}

func (s *State) vetoOf(step int) int {
	return slices.IndexFunc(s.Vetoes, func(v Veto) bool { return v.Step == step })
}

// checkVeto reports why a veto cannot be taken, or taken back.
func (s *State) checkVeto(o Order, step int) error {
	switch steps := len(s.Ladder.Rungs); {
	case step < 1 || step > steps:
		return fmt.Errorf("%s: its ladder has the steps 1 to %d, not %d", o, steps, step)
	case o == OrderAllow && s.vetoOf(step) < 0:
		return fmt.Errorf("allow: step %d is not vetoed", step)
	case o == OrderAllow:
		return nil
	case step == steps:
		return fmt.Errorf("veto: the last step has nothing after it; close the issue instead")
	case s.Running && step == s.Rung+1:
		return fmt.Errorf("veto: step %d is under way; skip it instead", step)
	case s.Lost && step == s.Rung+1:
		return fmt.Errorf("veto: too late: step %d was begun, and its answer was lost; skip it to leave it as it is",
			step)
	case s.isBehind(step):
		return fmt.Errorf("veto: step %d is behind, and does not come again", step)
	case s.vetoOf(step) >= 0:
		return fmt.Errorf("veto: step %d is vetoed already", step)
	}
	return nil
}

// isBehind says that a step does not come any more. The power rungs may, when the PCU works again.
func (s *State) isBehind(step int) bool {
	ahead := step > s.Rung && (s.Back == 0 || step <= s.Ladder.powerRungs()) || s.Back > 0 && step > s.Back
	return !ahead && (step > s.Ladder.powerRungs() || s.Rebooted)
}

// passVetoed passes over the next rung if that is vetoed, and reports whether it was. The last rung never is.
func (s *State) passVetoed(now time.Time) bool {
	i := s.vetoOf(s.Rung + 1)
	if i < 0 || s.Rung == s.last() {
		return false
	}
	s.record(Event{At: now, Kind: EventRung, Rung: s.next().String(), Outcome: Passed, Reason: s.Vetoes[i].String()})
	s.advance(now)
	s.Stale = true
	return true
}
