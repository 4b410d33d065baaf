package issue

import (
	"fmt"
	"slices"
	"time"

	"github.com/planetlab/monitor/clean"
)

// EventKind names what happened to an issue.
type EventKind string

// The kinds of events.
const (
	EventOpened    EventKind = "opened"
	EventRung      EventKind = "rung"     // a rung answered
	EventOrder     EventKind = "order"    // an operator's order was taken
	EventTooLate   EventKind = "too late" // an order came when the rung had acted already
	EventRefused   EventKind = "refused"  // an order could not be carried out
	EventPauseOver EventKind = "pause over"
	EventRecovered EventKind = "recovered" // the target is good again
	EventNotClosed EventKind = "not closed"
	EventBack      EventKind = "back to power" // the PCU works again, so the power rungs are due
	EventMoved     EventKind = "moved"         // the target belongs to another site now
	EventClosed    EventKind = "closed"
)

// Event is one line of an issue's timeline, as data.
type Event struct {
	Seq     int       `json:"seq"`
	At      time.Time `json:"at"`
	Kind    EventKind `json:"kind"`
	Rung    string    `json:"rung,omitempty"`
	Outcome Outcome   `json:"outcome,omitempty"`
	Order   Order     `json:"order,omitempty"`
	By      string    `json:"by,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Until   time.Time `json:"until,omitzero"`
	Times   int       `json:"times,omitempty"` // so often in a row, when more than once
}

// String is the event as operators read it.
func (e Event) String() string {
	text := string(e.Kind)
	switch e.Kind {
	case EventRung:
		text = fmt.Sprintf("%s: %s", e.Rung, e.Outcome)
	case EventOrder:
		text = string(e.Order)
		if e.Rung != "" {
			text += " " + e.Rung
		}
	case EventTooLate, EventRefused:
		text = fmt.Sprintf("%s, %s", e.Order, e.Kind)
	}
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	if e.By != "" {
		text += " (" + e.By + ")"
	}
	if !e.Until.IsZero() {
		text += ", until " + e.Until.UTC().Format("2006-01-02 15:04 MST")
	}
	if e.Times > 1 {
		text += fmt.Sprintf(" (%d times)", e.Times)
	}
	return text
}

// keptEvents is how many events a state carries; the store has all of them.
const keptEvents = 40

// record adds an event to the timeline. A rung that waits for the same reason again only counts up.
func (s *State) record(e Event) {
	e.Reason = clean.Line(e.Reason)
	if n := len(s.Events); n > 0 && e.Kind == EventRung && e.Outcome == Wait {
		if was := &s.Events[n-1]; was.Kind == EventRung && was.Outcome == Wait && was.Rung == e.Rung &&
			was.Reason == e.Reason {
			was.Times = max(was.Times, 1) + 1
			s.Saved = min(s.Saved, was.Seq-1) // the store counts up, too
			return
		}
	}
	s.Seq++
	e.Seq = s.Seq
	s.Events = append(s.Events, e)
	if len(s.Events) > keptEvents && s.Events[0].Seq <= s.Saved {
		s.Events = slices.Delete(s.Events, 0, 1)
	}
}

// unsaved are the events that the store does not have yet.
func (s *State) unsaved() []Event {
	i := slices.IndexFunc(s.Events, func(e Event) bool { return e.Seq > s.Saved })
	if i < 0 {
		return nil
	}
	return slices.Clone(s.Events[i:])
}

// Unsaved are the events that the store does not have yet.
func (s State) Unsaved() []Event { return s.unsaved() }

// Forgotten takes that the store was restored from an older backup: all that the issue remembers is written there again.
func (s *State) Forgotten() {
	s.Stale = true
	if len(s.Events) > 0 {
		s.Saved = min(s.Saved, s.Events[0].Seq-1)
	}
}

// Keep says that the store has all events up to seq.
func (s *State) Keep(seq int) { s.Saved = max(s.Saved, seq) }
