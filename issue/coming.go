package issue

import "time"

// Coming is a rung that comes if nothing changes.
type Coming struct {
	At    time.Time `json:"at"`   // not before
	Step  int       `json:"step"` // which rung of the ladder, from 1
	Do    Action    `json:"do"`
	Level int       `json:"level,omitempty"`
}

// Coming are the rungs ahead up to the end of the ladder, if nothing changes: it lets a copy of the machine live on,
// with every rung done when it is due, and every reboot, too. Each is passed over or waits if its conditions or the gate
// say so; one whose condition cannot hold any more is left out. Nothing comes of an issue that is ending, or that is
// paused until somebody resumes it.
func (s State) Coming() []Coming {
	if s.Status == Closed || s.End != nil || !s.RecoveredAt.IsZero() {
		return nil
	}
	s = s.clone()
	s.Running, s.Skip = false, false
	var steps []Coming
	for now := s.Opened; len(steps) < 2*len(s.Ladder.Rungs); { // power rungs may come twice
		switch step := s.Next(now); step.Do {
		case Save:
			s.Stale = false
		case Sleep:
			if step.Until.IsZero() {
				return steps
			}
			now = step.Until
		case RunRung:
			rung := s.next()
			if s.Lacks(rung) != "" {
				s.Ran(now, Result{Outcome: Passed})
				continue
			}
			steps = append(steps, Coming{At: later(now, s.Due), Step: s.Rung + 1, Do: rung.Do, Level: rung.Level})
			if s.Rung == s.last() {
				return steps
			}
			res := Result{Outcome: Acted, Level: rung.Level}
			if rung.Do == Reboot {
				res.Power = Cycled
			}
			s.Ran(now, res)
		default:
			return steps
		}
	}
	return steps
}
