package request

import (
	"fmt"
	"slices"
	"time"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/issue"
)

// State is all that a request remembers. It is JSON, and passes to activities.
type State struct {
	Story
	Found   Opening   `json:"found"`
	Way     int       `json:"way"`             // of ways, the one that is next
	Tries   int       `json:"tries,omitempty"` // how often it was tried
	Lost    int       `json:"lost,omitempty"`  // how often its answer was lost
	Tried   time.Time `json:"tried,omitzero"`  // when the last try began
	Due     time.Time `json:"due,omitzero"`    // when the next step is
	Looks   int       `json:"looks,omitempty"`
	Unsure  bool      `json:"unsure,omitempty"` // what was done may not have happened
	Silent  bool      `json:"silent,omitempty"` // it was seen silent since
	Running bool      `json:"running,omitempty"`
	Left    string    `json:"left,omitempty"` // it was cancelled while a try ran: nothing more is begun
	Last    Sight     `json:"last,omitzero"`
}

// Do is what the next step is.
type Do string

// The steps.
const (
	Try    Do = "try"
	Look   Do = "look"
	Sleep  Do = "sleep"
	Finish Do = "finish"
)

// Next is what a request does now, and until when it sleeps.
type Next struct {
	Do    Do
	Until time.Time
}

// Start is a request that has found its node.
func Start(id, run string, in Input, o Opening, now time.Time) State {
	s := State{Story: Story{ID: id, Run: run, Input: in, Site: o.Site, Started: now, Steps: []Step{}},
		Found: o, Due: now}
	s.Last = o.Before
	what := string(in.Act)
	if in.Act == BootState {
		what = "set the boot state to " + in.State
	}
	s.note(now, "", "ordered to "+what+" by "+in.Order.By, in.Order.Reason)
	if o.Before.Saw != "" {
		s.note(now, "", "looked at it", o.Before.Saw)
	}
	s.Silent = !o.Before.Alive
	return s
}

// mostSteps bounds a story; the first and the latest are kept.
const mostSteps = 60

func (s *State) note(now time.Time, way Way, what, why string) {
	why = clean.Line(why)
	if last := len(s.Steps) - 1; last >= 0 && s.Steps[last].What == what && s.Steps[last].Why == why {
		return // the same again is no news
	}
	s.Steps = append(s.Steps, Step{At: now, Way: way, What: what, Why: why})
	if len(s.Steps) > mostSteps {
		s.Steps = slices.Delete(s.Steps, mostSteps/2, mostSteps/2+1)
	}
}

func (s *State) end(now time.Time, e End, reason string) {
	s.End, s.Ended, s.Reason, s.Story.Next = e, now, clean.Line(reason), time.Time{}
	s.note(now, "", string(e), reason)
}

// ways are those that are tried.
func (s State) ways() []Way {
	if len(s.Input.Ways) > 0 {
		return s.Input.Ways
	}
	return waysOf(s.Input.Act)
}

// NextWay is the way that is tried next.
func (s State) NextWay() Way { return s.ways()[min(s.Way, len(s.ways())-1)] }

// Key names the effect of the next try in the ledger. It stays the same until its outcome is known.
func (s State) Key() string { return fmt.Sprintf("%s/%s/%d.%d", s.ID, s.Run, s.Way, s.Tries) }

// Next is the next step.
func (s *State) Next(now time.Time) Next {
	switch {
	case s.End != "":
		return Next{Do: Finish}
	case now.Before(s.Due):
		return Next{Do: Sleep, Until: s.Due}
	case !s.Acted.IsZero():
		return Next{Do: Look}
	}
	return Next{Do: Try}
}

// Began says that a try is under way.
func (s *State) Began(now time.Time) {
	s.Running = true
	if s.Lost == 0 {
		s.Tried = now
	}
}

// mostLost is how often it is asked what became of a try whose answer was lost.
const mostLost = 5

// Answered takes what became of a try.
func (s *State) Answered(now time.Time, r issue.Result) {
	s.Running = false
	way := s.NextWay()
	nothing := r.Outcome == issue.Passed || r.Outcome == issue.Wait
	switch {
	case r.Outcome == issue.Unknown:
		s.Lost++
		s.note(now, way, "the answer was lost", r.Reason)
		if s.Due = now.Add(s.Found.Times.Again); s.Lost >= mostLost {
			s.did(now, way, true, r.Reason)
		}
		return
	case r.Outcome == issue.Acted:
		s.acted(now, way, r)
	case nothing && s.Left != "":
		s.end(now, Cancelled, s.Left)
	case r.Outcome == issue.Passed:
		s.note(now, way, "did nothing", r.Reason)
		s.nextWay(now, r)
	case r.Outcome == issue.Wait:
		s.wait(now, way, r)
	case r.Outcome == issue.Stopped:
		s.end(now, Cancelled, r.Reason)
	case r.Outcome == issue.Gone:
		s.Check = "target"
		s.end(now, Refused, r.Reason)
	default:
		s.end(now, Failed, r.Reason)
	}
	s.Lost = 0
}

// acted takes that something was done, or may have been: from here on nothing more is.
func (s *State) acted(now time.Time, way Way, r issue.Result) {
	switch {
	case r.Power == issue.Asked:
		s.note(now, way, "people were asked", r.Reason)
		s.end(now, Asked, r.Reason)
	case way == ByPLC:
		s.note(now, way, "set in PLC", r.Reason)
		s.Acted = now
		s.end(now, Done, r.Reason)
	default:
		s.did(now, way, r.Power == issue.PowerLost || r.Power == issue.LeftOff, r.Reason)
	}
}

func (s *State) did(now time.Time, way Way, unsure bool, why string) {
	what := "done"
	if unsure {
		what = "may have been done, and is not repeated"
	}
	s.Acted, s.Unsure, s.Reason = now, unsure, clean.Line(why)
	s.note(now, way, what, why)
	s.Due = now.Add(s.Found.Times.Look)
}

// wait takes that a try could not be made now. The person waits for what ends within his patience; where the PCU itself
// is the reason, the next way is tried after that.
func (s *State) wait(now time.Time, way Way, r issue.Result) {
	until := now.Add(s.Found.Times.Again << min(s.Tries/4, 4)) // ever more rarely, the longer it waits
	if r.Until.After(now) && r.Until.Before(until) {
		until = r.Until
	}
	over := s.Started.Add(s.patience(r.Check))
	if passes(r.Check) && !until.After(over) && !r.Until.After(over) {
		s.note(now, way, "waits", r.Reason)
		s.Tries++
		s.Due, s.Check, s.Reason = until, r.Check, clean.Line(r.Reason)
		return
	}
	if r.Check == "" || r.Check == "pcu" {
		s.note(now, way, "cannot be done now", r.Reason)
		s.nextWay(now, r)
		return
	}
	s.Check = r.Check
	s.end(now, Refused, r.Reason)
}

// passes reports whether a no of the gate may end by itself within the time that a person waits. Nobody waits for the
// end of an exemption, or until an answering node falls silent.
func passes(check string) bool {
	return slices.Contains([]string{"", "budget", "switch", "pcu", "lease", "covered", "booting", "heartbeat"}, check)
}

// longestWait is how long an order waits for what is no queue, as for a PCU that is busy, however patient the person is.
const longestWait = 2 * time.Hour

// patience is how long an order waits for the end of what a check says.
func (s State) patience(check string) time.Duration {
	if check == "budget" || check == "switch" {
		return s.Input.Patience
	}
	return min(s.Input.Patience, longestWait)
}

// nextWay goes on where a way surely did nothing. A no of the gate holds for every way, but for that of the PCU.
func (s *State) nextWay(now time.Time, r issue.Result) {
	if r.Check != "" && r.Check != "pcu" {
		s.Check = r.Check
		s.end(now, Refused, r.Reason)
		return
	}
	if s.Way+1 >= len(s.ways()) {
		s.end(now, Failed, "no way is left: "+r.Reason)
		return
	}
	s.Way, s.Tries, s.Due, s.Check = s.Way+1, 0, now, ""
}

// Saw takes a look at the node after the act.
func (s *State) Saw(now time.Time, l Sight) {
	s.Looks++
	s.Last = l
	if !l.Alive {
		s.Silent = true
	}
	s.note(now, "", "looked at it", l.Saw)
	restarted := s.restarted(l)
	switch {
	case l.Up && restarted:
		s.end(now, Returned, fmt.Sprintf("it is back after %s: %s", now.Sub(s.Acted).Round(time.Second), l.Saw))
		return
	case now.Sub(s.Acted) < s.Found.Times.Return:
		s.Due = now.Add(s.lookIn())
		return
	}
	waited := s.Found.Times.Return.Round(time.Second)
	switch {
	case s.Unsure && !restarted && l.Alive:
		s.end(now, Unknown, fmt.Sprintf("it was not seen to restart within %s: %s", waited, l.Saw))
	case s.Unsure && !l.Alive:
		s.end(now, Unknown, fmt.Sprintf("it was not seen to come back within %s: %s", waited, l.Saw))
	default:
		s.end(now, NotBack, fmt.Sprintf("it was not seen to come back within %s: %s", waited, l.Saw))
	}
}

// NotSeen takes that the node could not be looked at.
func (s *State) NotSeen(now time.Time, why string) {
	s.Saw(now, Sight{At: now, Alive: s.Last.Alive && !s.Silent, Saw: "could not be looked at: " + why})
}

// bootSlack is how much a node's uptime, which comes in whole seconds, may be wrong.
const bootSlack = 2 * time.Second

// restarted reports whether the node was seen to have restarted since the act: by its uptime, or since it was silent
// and answers.
func (s State) restarted(l Sight) bool {
	if !l.Booted.IsZero() {
		return l.Booted.After(s.Tried.Add(-bootSlack))
	}
	return l.Alive && s.Silent
}

// lookIn is the time to the next look: ever longer, up to a tenth of what the node may take.
func (s State) lookIn() time.Duration {
	in := s.Found.Times.Look << min(s.Looks/3, 10)
	in = min(in, max(s.Found.Times.Look, s.Found.Times.Return/10))
	if left := s.Acted.Add(s.Found.Times.Return).Sub(s.Last.At); left > 0 && left < in {
		in = left
	}
	return in
}

// Leave takes an order to cancel, and says why it is too late for that; empty: it is cancelled. While a try runs, its
// activity is cancelled, and its answer decides.
func (s *State) Leave(now time.Time, c Cancel) string {
	why := clean.Line(c.Reason)
	if c.By != "" {
		why = clean.Line(c.By + " cancelled it: " + c.Reason)
	}
	switch {
	case s.End != "":
		return "it has ended: " + string(s.End)
	case !s.Acted.IsZero():
		return "it was done already, and only watches whether the node returns"
	case s.Running || s.Lost > 0:
		s.note(now, "", "to be cancelled", why)
		s.Left = why
		return ""
	}
	s.end(now, Cancelled, why)
	return ""
}

// Asked takes what a way would do, in a dry run: nothing is waited for.
func (s *State) Asked(now time.Time, r issue.Result) {
	way := s.NextWay()
	switch {
	case r.Outcome == issue.Acted:
		s.note(now, way, "would be done", r.Reason)
		s.end(now, WouldDo, r.Reason)
	case r.Outcome == issue.Passed || r.Outcome == issue.Wait && (r.Check == "" || r.Check == "pcu"):
		s.note(now, way, "would do nothing", r.Reason)
		s.nextWay(now, r)
	default:
		s.Check = r.Check
		s.end(now, Refused, r.Reason)
	}
}
