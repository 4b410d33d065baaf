package issue

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/planetlab/monitor/clean"
)

// Order names what an operator may ask of an issue. Each is a Signal, for plain command lines, and an Update of the
// same name, which checks the request and answers what became of it.
type Order string

// The orders of operators.
const (
	OrderPause  Order = "pause"
	OrderResume Order = "resume"
	OrderClose  Order = "close"
	OrderSkip   Order = "skip"
	OrderVeto   Order = "veto"
	OrderAllow  Order = "allow"
)

// QueryStatus is the name of the query that every issue, and every site, answers.
const QueryStatus = "status"

// Orders are all of them.
func Orders() []Order {
	return []Order{OrderPause, OrderResume, OrderClose, OrderSkip, OrderVeto, OrderAllow}
}

// About describes the order for the Web UI.
func (o Order) About() string {
	switch o {
	case OrderPause:
		return "Freeze the ladder, until resume or until a time: {\"reason\",\"by\",\"until\"}"
	case OrderResume:
		return "Go on where the pause began: {\"reason\",\"by\"}"
	case OrderClose:
		return "Close the issue now and release all it holds; its target is left alone until it was good once: " +
			"{\"reason\",\"by\"}"
	case OrderSkip:
		return "Pass over the next rung, also one that is under way and has not acted yet; the wait before it " +
			"stays: {\"reason\",\"by\"}"
	case OrderVeto:
		return "Pass over a step ahead when it is due: {\"step\",\"reason\",\"by\"}; the steps count from 1"
	case OrderAllow:
		return "Take a veto back: {\"step\",\"reason\",\"by\"}"
	}
	return ""
}

// Command is the input of every order.
type Command struct {
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Until ends a pause by itself; without it a pause lasts until resume.
	Until time.Time `json:"until,omitzero"`
	// Step is the rung that a veto is about, from 1.
	Step int `json:"step,omitempty"`
}

// Clean is the command with its texts bounded and free of what must not be kept.
func (c Command) Clean() Command {
	c.By, c.Reason = clean.Line(c.By), clean.Line(c.Reason)
	return c
}

// Check reports why an order cannot be carried out now, or nil.
func (s *State) Check(o Order, c Command, now time.Time) error {
	switch {
	case s.Status == Closed || s.End != nil:
		return fmt.Errorf("%s: the issue is closing", o)
	case len(c.Reason)+len(c.By) > clean.MaxText:
		return fmt.Errorf("%s: reason and by have %d bytes together, more than %d", o, len(c.Reason)+len(c.By),
			clean.MaxText)
	case o == OrderPause && !c.Until.IsZero() && !c.Until.After(now):
		return errors.New("pause: until lies in the past; give a time ahead, as 2026-12-24T12:00:00Z")
	case o == OrderResume && s.Pause == nil:
		return errors.New("resume: the issue is not paused")
	case o == OrderSkip && s.Rung >= s.last():
		return errors.New("skip: the last rung has nothing after it; close the issue instead")
	case o == OrderSkip && s.Skip:
		return errors.New("skip: the rung that is under way is being skipped already")
	case o == OrderVeto || o == OrderAllow:
		return s.checkVeto(o, c.Step)
	}
	return nil
}

// Obey carries out an order that Check has passed. The caller then cancels a rung that is under way if Forbids says so.
func (s *State) Obey(o Order, c Command, now time.Time) {
	c = c.Clean()
	e := Event{At: now, Kind: EventOrder, Order: o, By: c.By, Reason: c.Reason, Until: c.Until}
	switch o {
	case OrderPause:
		p := Pause{At: now, Until: c.Until, By: c.By, Reason: c.Reason}
		if s.Pause != nil { // a second pause changes how long, not since when
			p.At = s.Pause.At
		}
		s.Pause, s.Status = &p, Paused
	case OrderResume:
		s.endPause(now)
	case OrderClose:
		s.End = &End{Why: EndOperator, By: c.By, Reason: c.Reason}
	case OrderSkip:
		e.Rung = s.next().String()
		switch {
		case s.Running:
			s.Skip = true
		case s.Lost:
			s.advance(s.Due)
			s.record(e)
			e = Event{At: now, Kind: EventTooLate, Order: o, Rung: e.Rung,
				Reason: "it was begun, and its answer was lost: it may have happened, and is left as it is"}
		default:
			s.advance(s.Due)
		}
	case OrderVeto:
		e.Rung = s.Ladder.Rungs[c.Step-1].String()
		s.Vetoes = append(s.Vetoes, Veto{Step: c.Step, At: now, By: c.By, Reason: c.Reason})
	case OrderAllow:
		e.Rung = s.Ladder.Rungs[c.Step-1].String()
		i := s.vetoOf(c.Step)
		s.Vetoes = slices.Delete(s.Vetoes, i, i+1)
	}
	s.record(e)
	s.Stale = true
}

// Refuse records an order that could not be carried out and whose sender gets no answer.
func (s *State) Refuse(o Order, c Command, why string, now time.Time) {
	s.record(Event{At: now, Kind: EventRefused, Order: o, By: clean.Line(c.By), Reason: why})
}

// Forbids reports whether an order, or the target's recovery, says that the rung under way must not act.
func (s *State) Forbids() bool {
	return s.Running && (s.Skip || s.Pause != nil || s.End != nil || !s.RecoveredAt.IsZero())
}

func (s *State) endPause(now time.Time) {
	if s.Pause == nil {
		return
	}
	waited := now.Sub(s.Pause.At)
	if !s.Due.IsZero() && s.Due.After(s.Pause.At) {
		s.Due, s.ResumeAt = s.Due.Add(waited), s.ResumeAt.Add(waited)
	}
	s.Pause, s.Status = nil, Open
}

// pauseExpired ends a pause whose time is over. The next message to people says that it was waited for.
func (s *State) pauseExpired(now time.Time) {
	p := *s.Pause
	s.endPause(now)
	s.did(Deed{At: now, What: DeedWaited, Until: p.Until, By: p.By, How: p.Reason})
	s.record(Event{At: now, Kind: EventPauseOver, By: p.By, Reason: p.Reason})
	s.Stale = true
}
