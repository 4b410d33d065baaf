package site

import (
	"slices"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
)

// Threat is the next step up, as people are told of it. It comes true only if it was.
type Threat struct {
	Level     int       `json:"level"`
	NotBefore time.Time `json:"not_before"`
	Issues    []string  `json:"issues"`  // which are its reason
	Targets   []string  `json:"targets"` // what they are about
}

// ComingKind names what comes.
type ComingKind string

// What may come.
const (
	ComesStep   ComingKind = "step"   // the level rises to Level
	ComesWord   ComingKind = "word"   // another message
	ComesAdmins ComingKind = "admins" // the operators are asked to look at it
	ComesResume ComingKind = "resume" // a pause ends
)

// Coming is one thing that comes if nothing changes, not before At; zero: the time is open.
type Coming struct {
	At      time.Time  `json:"at,omitzero"`
	What    ComingKind `json:"what"`
	Level   int        `json:"level,omitempty"`
	Targets []string   `json:"targets,omitempty"`
}

// threat is the next step up, if one may come: not in a pause, since another word comes after it, and not where the
// site is spared. What people were promised once stands.
func (s State) threat(now time.Time) *Threat {
	if s.Pause != nil || s.Spared != nil || s.Ending || s.Level >= policy.Top {
		return nil
	}
	t := Threat{Level: s.Level + 1}
	var at time.Time
	for _, h := range s.holds() {
		if from, ok := h.reaches(t.Level); ok {
			if len(t.Issues) == 0 || from.Before(at) {
				at = from
			}
			t.Issues = append(t.Issues, h.Ref.ID)
			if !slices.Contains(t.Targets, h.Ref.Target()) {
				t.Targets = append(t.Targets, h.Ref.Target())
			}
		}
	}
	if len(t.Issues) == 0 {
		return nil
	}
	if w := s.Warned; w != nil && w.Level == t.Level {
		t.NotBefore = w.NotBefore
		if !w.toAll(s.Rules) { // those who have not heard of it yet have their time from now
			t.NotBefore = latest(t.NotBefore, now.Add(s.lead()))
		}
		return &t
	}
	t.NotBefore = latest(at, now.Add(s.Times.PeopleStep))
	if !s.LastRaise.IsZero() {
		t.NotBefore = latest(t.NotBefore, s.LastRaise.Add(s.Times.PenaltyStep))
	}
	return &t
}

// foreseen is the next step up, as far as it can be seen: in a pause it is what comes after it, at the earliest. Nobody
// is threatened with that: another word comes before it. After a pause without an end nothing can be foreseen.
func (s State) foreseen(now time.Time) *Threat {
	if s.Pause == nil {
		return s.threat(now)
	}
	until := s.Pause.Until
	if until.IsZero() {
		return nil
	}
	s.Pause = nil
	return s.threat(latest(now, until))
}

// Coming is what comes for the site if nothing changes, by time.
func (s State) Coming(now time.Time) []Coming {
	var list []Coming
	if s.Pause != nil {
		list = append(list, Coming{At: s.Pause.Until, What: ComesResume})
	}
	if t := s.foreseen(now); t != nil {
		list = append(list, Coming{At: t.NotBefore, What: ComesStep, Level: t.Level, Targets: t.Targets})
		if next, ok := s.after(*t); ok {
			list = append(list, next)
		}
	}
	for _, next := range []struct {
		do   issue.Action
		what ComingKind
	}{{issue.Email, ComesWord}, {issue.Flag, ComesAdmins}} {
		if at := s.first(now, next.do); !at.IsZero() {
			list = append(list, Coming{At: at, What: next.what})
		}
	}
	slices.SortStableFunc(list, func(a, b Coming) int {
		if a.At.IsZero() != b.At.IsZero() {
			if a.At.IsZero() {
				return 1
			}
			return -1
		}
		return a.At.Compare(b.At)
	})
	return list
}

// after is the step after the next one.
func (s State) after(t Threat) (Coming, bool) {
	next := Coming{What: ComesStep, Level: t.Level + 1}
	if next.Level > policy.Top {
		return next, false
	}
	var at time.Time
	for _, h := range s.holds() {
		if from, ok := h.reaches(next.Level); ok {
			if len(next.Targets) == 0 || from.Before(at) {
				at = from
			}
			if !slices.Contains(next.Targets, h.Ref.Target()) {
				next.Targets = append(next.Targets, h.Ref.Target())
			}
		}
	}
	next.At = latest(at, t.NotBefore.Add(s.Times.PeopleStep), t.NotBefore.Add(s.Times.PenaltyStep))
	return next, len(next.Targets) > 0
}

// first is when an issue next does something, by what it said. Another word about what somebody has answered is none
// while the answer holds.
func (s State) first(now time.Time, do issue.Action) time.Time {
	var at time.Time
	for _, h := range s.holds() {
		for _, c := range h.Coming {
			if c.Do == do && c.At.After(now) && (do != issue.Email || !s.silent(h, c.At)) {
				at = sooner(at, c.At)
			}
		}
	}
	return at
}

// silent says that nothing is said of a hold at a time, since somebody has answered who knows of it by then.
func (s State) silent(h Hold, at time.Time) bool {
	if s.Pause == nil || !s.Pause.Answer || !at.Before(s.Pause.Until) {
		return false
	}
	return h.Told || s.Letter != nil &&
		slices.ContainsFunc(s.Letter.Notices, func(n Notice) bool { return n.Ref.ID == h.Ref.ID })
}
