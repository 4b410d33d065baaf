package issue

import (
	"time"

	"github.com/planetlab/monitor/clean"
)

// Do is what an issue's next step is.
type Do string

// The steps.
const (
	RunRung Do = "run rung"
	Save    Do = "save"  // the store does not know yet where the issue stands
	Sleep   Do = "sleep" // until a time, or until something comes in
	Close   Do = "close" // unless Force, only if a fresh look finds the target good
	Finish  Do = "finish"
)

// Step is the next thing an issue does.
type Step struct {
	Do    Do
	Until time.Time // of a Sleep; zero: until something comes in
	Why   string    // of a Sleep
	Force bool      // of a Close
}

// Recovering is what an issue says it does next while its target is good and it waits whether that lasts.
const Recovering = "close if it stays good"

// Next is what the issue does now. It is asked again after each step, and after whatever comes in.
func (s *State) Next(now time.Time) Step {
	if s.PCUBack != "" && !s.Running {
		s.retryPowerRungs(now)
	}
	if s.Pause != nil && !s.Pause.Until.IsZero() && !now.Before(s.Pause.Until) {
		s.pauseExpired(now)
	}
	switch {
	case s.Status == Closed && s.Stale:
		return Step{Do: Save}
	case s.Status == Closed:
		return Step{Do: Finish}
	case s.End != nil:
		return Step{Do: Close, Force: true}
	case !s.RecoveredAt.IsZero(): // a pause stops what hurts, not what ends well
		if healthy := s.RecoveredAt.Add(s.Times.HealthyDelay); now.Before(healthy) {
			return s.orSave(Step{Do: Sleep, Until: healthy, Why: "good again: closes if it stays so"})
		}
		return Step{Do: Close}
	case s.Pause != nil:
		return s.orSave(Step{Do: Sleep, Until: s.Pause.Until, Why: "paused"})
	case now.Before(s.Due):
		why := "yield: next " + s.next().String()
		if s.Blocked != nil {
			why = "waits: " + s.Blocked.Reason
		}
		return s.orSave(Step{Do: Sleep, Until: s.Due, Why: why})
	case !s.Running && s.passVetoed(now):
		return s.Next(now)
	}
	return Step{Do: RunRung}
}

func (s *State) orSave(step Step) Step {
	if s.Stale {
		return Step{Do: Save}
	}
	return step
}

// Began says that the next rung is under way: orders from now on may come too late for it.
func (s *State) Began() { s.Running = true }

// Ran takes what became of the rung that was under way.
func (s *State) Ran(now time.Time, r Result) {
	rung := s.next()
	skipped := s.Skip
	r.Reason = clean.Line(r.Reason) // it stands in what blocks the issue and why it ends, too
	s.Running, s.Skip, s.Lost, s.Blocked = false, false, false, nil
	s.record(Event{At: now, Kind: EventRung, Rung: rung.String(), Outcome: r.Outcome, Reason: r.Reason, Until: r.Until})
	s.Told = s.Told || r.Told
	s.did(r.Deeds...)
	if r.Site != "" && r.Site != s.Ref.Site {
		s.record(Event{At: now, Kind: EventMoved, Reason: s.Ref.Site + " to " + r.Site})
		s.Ref.Site = r.Site
	}
	if rung.Level > 0 && r.Outcome == Acted {
		s.Level = r.Level
	}
	switch r.Outcome {
	case Acted:
		s.Rebooted = s.Rebooted || r.Power == Cycled
		s.credit(rung.Do, r.Power)
		if skipped || s.Pause != nil || s.End != nil {
			s.record(Event{At: now, Kind: EventTooLate, Order: s.lastOrder(skipped),
				Reason: "the rung had acted already: " + r.Reason})
		}
		s.advance(now.Add(s.yield(rung)))
	case Passed:
		s.advance(now)
	case Recovered:
		stale := s.Stale // whoever did the rung writes its answer down, and that it was good
		s.recover(now, r.Reason)
		s.Stale = stale
	case Gone:
		s.End = &End{Why: EndGone, Reason: r.Reason}
	case Stopped:
		if skipped {
			s.advance(now)
		}
	case Unknown: // the same key once more: what was begun is found in the ledger
		if skipped { // once more could be for the first time: what was begun is left to the claims
			s.tooLateFor(now, rung)
			s.advance(now)
			break
		}
		s.Lost, s.Blocked = true, &Block{Reason: r.Reason}
		s.Due = now.Add(s.Times.Day / 48)
	default: // Wait
		s.Tries++
		s.Blocked = &Block{Check: r.Check, Reason: r.Reason}
		if s.Due = r.Until; s.Due.Before(now.Add(s.Times.Day / 480)) {
			s.Due = now.Add(s.patience())
		}
		if skipped {
			s.advance(now)
		}
	}
	s.Stale = s.Stale || r.Outcome == Stopped || r.Outcome == Unknown || skipped
}

// tooLateFor says that a rung which was skipped may have happened.
func (s *State) tooLateFor(now time.Time, rung Rung) {
	s.record(Event{At: now, Kind: EventTooLate, Order: OrderSkip, Rung: rung.String(),
		Reason: "it was begun, and its answer was lost: it may have happened, and is left as it is"})
}

func (s *State) lastOrder(skipped bool) Order {
	switch {
	case skipped:
		return OrderSkip
	case s.End != nil:
		return OrderClose
	}
	return OrderPause
}

// patience is how long an issue waits whose rung cannot say when to ask again: a quarter of a day at first, then twice
// as long each time, at most 30 days. What it waits for wakes it, when that is seen.
func (s *State) patience() time.Duration {
	return doubling(s.Times.Day/4, s.Tries-1, s.Times)
}

func doubling(first time.Duration, times int, t Times) time.Duration {
	d := first
	for range min(max(times, 0), 16) {
		d *= 2
	}
	return min(d, 30*t.Day)
}

// yield is how long the rung that has just acted is given. The last one waits ever longer: an issue that nobody mends
// stays open and quiet.
func (s *State) yield(rung Rung) time.Duration {
	d := rung.Yield.of(s.Times)
	if s.Rung < s.last() {
		return d
	}
	return doubling(d, s.Idle, s.Times)
}

// advance goes on to the next rung, which is due at a time.
func (s *State) advance(due time.Time) {
	s.Tries, s.Lost, s.Blocked = 0, false, nil
	s.Due = later(s.Due, due)
	if s.Rung == s.last() {
		s.Idle++
		return
	}
	s.Rung++
	if s.Back > 0 && s.Rung >= s.Ladder.powerRungs() {
		s.Rung, s.Back, s.Due = s.Back, 0, later(s.Due, s.ResumeAt)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// retryPowerRungs returns to the power rungs of an issue that had to pass them for want of its PCU. What it had reached
// with people goes on after them, and not sooner than it was due.
func (s *State) retryPowerRungs(now time.Time) {
	why := s.PCUBack
	s.PCUBack = ""
	if n := s.Ladder.powerRungs(); n == 0 || s.Rung < n || s.Rebooted || s.Status == Closed {
		return
	}
	s.record(Event{At: now, Kind: EventBack, Rung: s.Ladder.Rungs[0].String(), Reason: why})
	s.Back, s.ResumeAt, s.Rung, s.Tries = s.Rung, s.Due, 0, 0
	s.Rounds++
	s.Due, s.Lost, s.Blocked, s.Stale = now, false, nil, true
	if s.Pause != nil { // a resume moves what is due by the length of the pause
		s.Due = s.Pause.At
	}
}

// Recover takes that the target was seen good: the issue closes if that lasts.
func (s *State) Recover(now time.Time, why string) {
	if s.RecoveredAt.IsZero() && s.Status != Closed {
		s.recover(now, why)
	}
}

func (s *State) recover(now time.Time, why string) {
	s.RecoveredAt, s.Stale = now, true
	s.record(Event{At: now, Kind: EventRecovered, Reason: why})
}

// PCUReturned takes that the PCU works again: what had to do without it is due now.
func (s *State) PCUReturned(why string) { s.PCUBack = why }

// Retry takes that what the next rung waited for may be over: it is due now.
func (s *State) Retry(now time.Time) {
	if s.Blocked != nil && s.Due.After(now) {
		s.Due, s.Stale = now, true
	}
}

// Ended takes the answer to a Close: the target is bad again after all and the issue goes on, or it is closed.
func (s *State) Ended(now time.Time, r Result) {
	if r.Outcome != Acted {
		s.RecoveredAt, s.Stale = time.Time{}, true
		s.record(Event{At: now, Kind: EventNotClosed, Reason: r.Reason})
		return
	}
	if s.End == nil {
		s.End = &End{Why: EndRecovered}
	}
	s.Status, s.Level, s.Pause, s.Stale = Closed, 0, nil, true
	s.record(Event{At: now, Kind: EventClosed, Reason: s.End.String(), By: s.End.By})
}

// Cancel ends an issue whose workflow is cancelled: it lets go of all it holds.
func (s *State) Cancel() {
	if s.End == nil {
		s.End = &End{Why: EndCancelled}
	}
	s.Running = false
}

// NextAt is what comes next, in a few words, and when.
func (s State) NextAt() (what string, at time.Time) {
	switch {
	case s.Status == Closed:
		return "", time.Time{}
	case s.End != nil:
		return "close", time.Time{}
	case !s.RecoveredAt.IsZero():
		return Recovering, s.RecoveredAt.Add(s.Times.HealthyDelay)
	case s.Pause != nil:
		return "paused: " + s.Pause.String(), s.Pause.Until
	case s.Blocked != nil:
		return s.next().String() + " (waits: " + s.Blocked.Reason + ")", s.Due
	}
	return s.next().String(), s.Due
}
