package site

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/issue"
)

// Orders are what an operator may ask of a site. They are named as those to an issue are, and take the same input.
func Orders() []issue.Order { return []issue.Order{issue.OrderPause, issue.OrderResume} }

// About describes an order for the Web UI.
func About(o issue.Order) string {
	if o == issue.OrderPause {
		return "Hold the site's penalty level where it is, until resume or until a time; it may still fall: " +
			"{\"reason\",\"by\",\"until\"}"
	}
	return "Let the level rise again, after people were told so: {\"reason\",\"by\"}"
}

// Check reports why an order cannot be carried out now, or nil.
func (s *State) Check(o issue.Order, c issue.Command, now time.Time) error {
	switch {
	case s.Ending:
		return fmt.Errorf("%s: the site's workflow is ending", o)
	case len(c.Reason)+len(c.By) > clean.MaxText:
		return fmt.Errorf("%s: reason and by have %d bytes together, more than %d", o, len(c.Reason)+len(c.By),
			clean.MaxText)
	case o == issue.OrderPause && !c.Until.IsZero() && !c.Until.After(now):
		return errors.New("pause: until lies in the past; give a time ahead, as 2026-12-24T12:00:00Z")
	case o == issue.OrderResume && s.Pause == nil:
		return errors.New("resume: the site is not paused")
	case o != issue.OrderPause && o != issue.OrderResume:
		return fmt.Errorf("%s: a site takes pause and resume", o)
	}
	return nil
}

// Obey carries out an order that Check has passed. The caller then cancels a step that is under way if Forbids says so.
func (s *State) Obey(o issue.Order, c issue.Command, now time.Time) {
	c = c.Clean()
	switch o {
	case issue.OrderPause:
		s.pause(Pause{At: now, Until: c.Until, By: c.By, Reason: c.Reason})
	case issue.OrderResume:
		s.endPause(now)
	}
	s.change()
}

// pause holds the level. What was said of the next step is no longer so, and has to be said again afterwards.
func (s *State) pause(p Pause) {
	if s.Pause != nil && !s.Pause.Answer && !p.Answer { // an order that prolongs another; of answers, the last counts
		p.At = s.Pause.At
	}
	s.Pause, s.Warned = &p, nil
	s.dropNotices(func(n Notice) bool { return ahead(n.Kind) })
}

// endPause lets the level rise again. Those who know of the trouble are told first that the time is over: the time that
// somebody's answer had gained, or that the operators had given.
func (s *State) endPause(now time.Time) {
	p := s.Pause
	s.Pause = nil
	s.change()
	if p == nil || s.Spared != nil || len(s.Holds) == 0 {
		return
	}
	told := slices.ContainsFunc(s.holds(), func(h Hold) bool { return h.Told })
	switch {
	case p.Answer:
		s.queueNotice(now, Notice{Kind: Resumed, Level: s.Level, Since: p.At, By: p.By})
	case told && s.Rules > 0:
		s.queueNotice(now, Notice{Kind: Continued, Level: s.Level, Since: p.At})
	}
}

// Ordered says that an operator's pause is in force. It outlives the issues that were open when it was given.
func (s State) Ordered() bool { return s.Pause != nil && !s.Pause.Answer }

// Forbids reports whether what came in meanwhile says that the step under way must not act.
func (s State) Forbids() bool {
	switch s.Running {
	case Raise:
		return s.Pause != nil || s.Wanted() <= s.Level || s.Ending
	case Mail:
		return s.Changed && (s.Letter == nil || !s.Letter.Sealed) || s.Ending
	case "":
		return false
	}
	return s.Ending
}
