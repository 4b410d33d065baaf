package site

import (
	"fmt"
	"slices"
	"time"

	"github.com/planetlab/monitor/policy"
)

// Do is what a site's next step is.
type Do string

// The steps.
const (
	// what is denied, why, and whether the level might rise; what is half done is put right
	ReadBack     Do = "read back"
	Raise        Do = "raise" // by one
	Lower        Do = "lower" // to what is wanted
	Mail         Do = "mail"
	MailLate     Do = "mail the late"
	LookAtTicket Do = "look at the ticket"
	Note         Do = "note" // in the ticket, that an answer was heard
	Resolve      Do = "resolve the ticket"
	Sleep        Do = "sleep"    // until a time, or until something comes in
	Continue     Do = "continue" // as a new run, instead of a sleep
	Finish       Do = "finish"
)

// Step is the next thing a site does.
type Step struct {
	Do    Do
	Key   string    // of the effect in the ledger; the same again after an answer that was lost
	To    int       // of a Raise or Lower
	Until time.Time // of a Sleep; zero: until something comes in
	Late  *Late     // of a MailLate
}

// mostEndings is how often a cancelled site tries to lift what it holds before it leaves that to the sweep.
const mostEndings = 5

// Next is what the site does now. It is asked again after each step, and after whatever comes in. Long says that the
// run has become long.
func (s *State) Next(now time.Time, long bool) Step {
	if s.Pause != nil && !s.Pause.Until.IsZero() && !now.Before(s.Pause.Until) {
		s.endPause(now)
	}
	if w := s.Warned; w != nil && now.After(w.NotBefore.Add(2*s.Times.PenaltyStep)) { // too old a word for a step
		s.Warned = nil
	}
	if due(s.widenAt(), now) {
		s.NextWiden = now.Add(s.Times.Day / 2)
		s.queueNotice(now, Notice{Kind: Warn, Level: s.Warned.Level, Since: now})
	}
	late := s.late(now)
	switch {
	case s.Ending && s.Failures >= mostEndings:
		return Step{Do: Finish}
	case !s.Known || s.Unsure:
		return s.at(now, s.NextRead, Step{Do: ReadBack})
	case s.falls() && !now.Before(s.NextLower):
		return Step{Do: Lower, To: s.Wanted(), Key: s.key("level")}
	case s.Ending && s.falls():
		return Step{Do: Sleep, Until: s.NextLower}
	case s.Ending:
		return Step{Do: Finish}
	case due(s.readAt(), now):
		return Step{Do: ReadBack, Key: s.key("read")}
	case due(s.riseAt(), now):
		return s.rise(now)
	case late >= 0:
		l := s.Late[late]
		return Step{Do: MailLate, Key: l.Key, Late: &l}
	case due(s.mailAt(), now) && s.asksFirst(now):
		return Step{Do: LookAtTicket}
	case due(s.mailAt(), now):
		if s.Letter == nil {
			s.seal(now, s.key("mail"))
		}
		return Step{Do: Mail, Key: s.Letter.Key}
	case due(s.lookAt(), now):
		return Step{Do: LookAtTicket}
	case s.Note && s.Ticket.ID != 0:
		return Step{Do: Note}
	case s.idle() && s.Ticket.ID != 0 && !now.Before(s.NextResolve):
		return Step{Do: Resolve, Key: s.key("resolve")}
	case s.idle() && s.Ticket.ID == 0 && !s.Ordered():
		return Step{Do: Finish}
	case long:
		return Step{Do: Continue}
	}
	return Step{Do: Sleep, Until: s.wakeAt()}
}

// at sleeps until a time, and then does the step.
func (s *State) at(now, when time.Time, step Step) Step {
	if now.Before(when) {
		return Step{Do: Sleep, Until: when}
	}
	if step.Do == ReadBack {
		step.Key = s.key("read")
	}
	return step
}

// key names the next effect in the ledger. The number moves on when the effect has answered, so that after an answer
// that was lost the same one is asked for.
func (s *State) key(what string) string {
	return fmt.Sprintf("%s/%s/%s/%d", ID(s.Site), s.Life, what, s.Steps)
}

// Began says that a step is under way.
func (s *State) Began(do Do) { s.Running, s.Changed = do, false }

// ended says that the step under way has answered.
func (s *State) ended() {
	s.Steps++
	s.Running, s.Failures, s.Blocked = "", 0, ""
}

// Failed takes that a step gave no answer: its activity failed, ran out of time or was lost. Nothing else is done to
// the site's level before the store was read again.
func (s *State) Failed(now time.Time, do Do, why string) {
	s.Running = ""
	s.Failures++
	s.Blocked = why
	next := now.Add(doubling(s.Times.Day/96, s.Failures-1, s.Times.Day/4))
	switch do {
	case Raise, Lower:
		s.Unsure, s.NextRead = true, next
		s.NextLower = next
	case ReadBack:
		s.Unsure = s.Unsure || !s.Known
		s.NextRead = next
	case Mail:
		if s.Letter != nil {
			s.Letter.Sealed, s.Letter.Next = true, next
		}
	case MailLate:
		if i := s.late(now); i >= 0 {
			s.Late[i].Next = next
		}
	case LookAtTicket:
		s.Looking, s.NextTry = next, latest(s.NextTry, next)
	case Note: // a courtesy: the status says the same
		s.Note = false
	case Resolve:
		s.NextResolve = next
	}
}

// Cancelled takes that an order cancelled the step under way and its activity gave no answer: an earlier try of it may
// have acted, which is found out at once.
func (s *State) Cancelled(now time.Time, do Do) {
	s.Failed(now, do, "cancelled by what came in meanwhile")
	switch do {
	case Raise, Lower:
		s.NextRead, s.NextLower = now, now
	case Mail:
		if s.Letter != nil {
			s.Letter.Next = now
		}
	}
	s.Failures--
}

func (s State) falls() bool { return s.Wanted() < s.Level }

func (s State) rises() bool { return s.Wanted() > s.Level && s.Pause == nil }

// readAt is when what is denied is read back. A site that is denied nothing, and from which nothing more is asked, only
// makes sure now and then that its issues still ask: a request may come after its issue has ended.
func (s State) readAt() time.Time {
	switch {
	case s.Level > 0 || s.asked() || s.Spared != nil:
		return s.NextRead
	case len(s.Holds) > 0 && s.Rules > 1:
		return s.NextRead.Add(s.Times.PeopleStep)
	}
	return time.Time{}
}

// asked says that something denies, or would deny, the site something.
func (s State) asked() bool { return len(s.Holders(1)) > 0 }

// riseAt is when a step up is due: not before people were told of it, and not sooner than they were told. Where nobody
// was told yet, it is when to ask whether they should be. Zero is never.
func (s State) riseAt() time.Time {
	switch {
	case !s.rises() || s.Unsure:
		return time.Time{}
	case s.Warned != nil && !s.Warned.toAll(s.Rules): // those whom the step makes an audience hear of it first
		return time.Time{}
	case s.Warned != nil:
		return latest(s.NextTry, s.Warned.NotBefore, s.Looking)
	case s.Letter != nil || slices.ContainsFunc(s.Pending, func(n Notice) bool { return !good(n.Kind) && !n.Waits }):
		// what is about to be said says that, too
		return time.Time{}
	}
	return latest(s.NextTry, time.Unix(0, 0).UTC())
}

// toAll says that all whom the step would make an audience have had its word.
func (w Warning) toAll(rules int) bool { return rules == 0 || w.Reaches >= w.Level }

// lead is how long before a step those have its word who become an audience by it.
func (s State) lead() time.Duration { return s.Times.PeopleStep / 2 }

// widenFrom is when a word of the next step is gathered for them: so early that they have all of that time.
func (s State) widenFrom() time.Time { return s.Warned.NotBefore.Add(-s.lead() - s.Times.moment()) }

// widens says that it is time for those to hear of the next step who become an audience by it.
func (s State) widens(now time.Time) bool {
	w := s.Warned
	return w != nil && !w.toAll(s.Rules) && !now.Before(s.widenFrom())
}

// widenAt is when a word for them is to be gathered; zero is never.
func (s State) widenAt() time.Time {
	w := s.Warned
	if w == nil || w.toAll(s.Rules) || s.Pause != nil || s.Spared != nil || s.Ending || s.Letter != nil ||
		slices.ContainsFunc(s.Pending, func(n Notice) bool { return ahead(n.Kind) }) {
		return time.Time{}
	}
	return latest(s.widenFrom(), s.NextWiden)
}

// rise takes the step that is due: looks whether somebody has answered meanwhile, and then raises the level; or, where
// nobody was told of it, asks whether it would be taken.
func (s *State) rise(now time.Time) Step {
	switch {
	case s.Warned == nil:
		return Step{Do: ReadBack, Key: s.key("read")}
	case s.Ticket.ID != 0 && now.Sub(s.Looked) >= s.Times.hour():
		return Step{Do: LookAtTicket}
	}
	return Step{Do: Raise, To: s.Level + 1, Key: s.key("level")}
}

// stands says that a threat is still for the next step, and that somebody who was its reason still holds.
func (s State) stands(t Threat) bool {
	return t.Level == s.Level+1 && s.Pause == nil && s.Spared == nil &&
		slices.ContainsFunc(t.Issues, func(id string) bool {
			_, ok := s.Holds[id]
			return ok
		})
}

// forgetWarning drops a warning when nothing is left of its reason.
func (s *State) forgetWarning() {
	if w := s.Warned; w != nil && !s.stands(Threat{Level: w.Level, Issues: w.Issues}) {
		s.Warned = nil
	}
}

// Standing is what the store and PLC say of a site.
type Standing struct {
	Times     Times           `json:"times"`
	Level     int             `json:"level"`
	LastRaise time.Time       `json:"last_raise,omitzero"`
	Holds     map[string]Hold `json:"holds,omitempty"`
	Spared    *Spared         `json:"spared,omitempty"`
	// Rise is whether the level might rise by one step, were people told of it.
	Rise   policy.Decision `json:"rise"`
	Reason string          `json:"reason,omitempty"` // what was put right
}

// Stands takes what was read back. The store is right about holds and the level; only what came in since the step began
// is newer.
func (s *State) Stands(now, began time.Time, r Standing) {
	s.ended()
	first := !s.Known
	s.Known, s.Unsure = true, false
	if first {
		s.Times, s.Announced = r.Times, r.Level
	}
	if r.Reason != "" {
		s.Reason = r.Reason
	}
	s.holdAsStored(began, r.Holds, first)
	if s.Spared = r.Spared; s.Spared != nil {
		s.Warned = nil
		s.dropNotices(func(n Notice) bool { return ahead(n.Kind) })
	}
	s.LastRaise = latest(s.LastRaise, r.LastRaise)
	switch {
	case first:
		s.Level = r.Level
	case r.Level > s.Level:
		s.rose(now, r.Level, "")
	case r.Level < s.Level:
		s.fell(now, r.Level)
	}
	s.forgetWarning()
	s.NextRead = now.Add(s.Times.Day / 2)
	if s.Spared != nil && s.Spared.Until.After(now) && s.Spared.Until.Before(s.NextRead) {
		s.NextRead = s.Spared.Until
	}
	if s.Warned != nil || s.riseAt().IsZero() || now.Before(s.NextTry) {
		return
	}
	if r.Rise.Do { // it would rise: so people are told, and have their time
		s.NextTry = now.Add(s.Times.Day / 2)
		s.queueNotice(now, Notice{Kind: Warn, Level: s.Level + 1, Since: now})
		return
	}
	s.refused(now, r.Rise)
}

// holdAsStored takes the holds of the store for those that the site knew before the read began.
func (s *State) holdAsStored(began time.Time, stored map[string]Hold, first bool) {
	if s.Holds == nil {
		s.Holds = map[string]Hold{}
	}
	for _, id := range sorted(s.Holds) {
		h := s.Holds[id]
		if _, ok := stored[id]; !ok && h.At.Before(began) {
			delete(s.Holds, id)
			s.dropNotices(func(n Notice) bool { return n.Ref.ID == id && !good(n.Kind) })
		}
	}
	for _, id := range sorted(stored) {
		h := stored[id]
		was, ok := s.Holds[id]
		switch {
		case !ok && (first || h.At.Before(began)):
			h.Told = true // by an earlier life of the site, as far as anybody knows
			s.Holds[id] = h
		case ok && was.At.Before(began):
			was.Level = h.Level // a PCU that feeds nothing any more holds nothing
			s.Holds[id] = was
		}
	}
}

// StepOutcome is what became of a step of the level.
type StepOutcome string

// What becomes of a step.
const (
	StepDone    StepOutcome = "done"
	StepRefused StepOutcome = "refused" // nothing was done: ask again at Until
	StepStopped StepOutcome = "stopped" // by what came in meanwhile, before the point of no return
)

// StepResult says which level is in force after a step, and why.
type StepResult struct {
	Outcome StepOutcome `json:"outcome"`
	Level   int         `json:"level"`
	Reason  string      `json:"reason"`
	Until   time.Time   `json:"until,omitzero"`
	Applied *Applied    `json:"applied,omitempty"` // by a step up
}

// Moved takes what became of a step of the level.
func (s *State) Moved(now time.Time, do Do, r StepResult) {
	failures := s.Failures
	s.ended()
	switch {
	case r.Outcome == StepStopped:
	case r.Outcome == StepDone && r.Level > s.Level:
		s.rose(now, r.Level, r.Reason)
		if r.Applied != nil {
			s.Applied = append(s.Applied, *r.Applied)
		}
	case r.Outcome == StepDone && r.Level < s.Level:
		s.fell(now, r.Level)
		s.Reason = r.Reason
	case do == Raise:
		s.refused(now, policy.Decision{Until: r.Until, Reason: r.Reason})
	default:
		s.Failures = failures + 1
		s.Blocked = r.Reason
		if s.NextLower = r.Until; !s.NextLower.After(now) {
			s.NextLower = now.Add(s.Times.hour())
		}
	}
}

func (s *State) refused(now time.Time, d policy.Decision) {
	s.Blocked = d.Reason
	if s.NextTry = d.Until; !s.NextTry.After(now) {
		s.NextTry = now.Add(s.Times.Day / 2)
	}
}

// rose takes that the level is higher. Those who were told of this step are told that it was taken; the next one is
// another story.
func (s *State) rose(now time.Time, level int, reason string) {
	word := s.Warned
	s.Level, s.Warned, s.LastRaise = level, nil, latest(s.LastRaise, now)
	if reason != "" {
		s.Reason = reason
	}
	s.NextTry, s.NextRead = now.Add(s.Times.PenaltyStep), now.Add(s.Times.Day/2)
	s.dropNotices(func(n Notice) bool {
		return n.Kind == Cleared || n.Kind == Eased || ahead(n.Kind)
	})
	s.queueNotice(now, Notice{Kind: Penalty, Level: level, Since: now, Word: word})
}

// fell takes that the level is lower. Only who was told that it was raised needs to be told.
func (s *State) fell(now time.Time, level int) {
	s.Level, s.Warned, s.NextLower = level, nil, time.Time{}
	s.Applied = slices.DeleteFunc(s.Applied, func(a Applied) bool { return a.Level > level })
	s.dropNotices(func(n Notice) bool {
		return n.Kind == Penalty || n.Kind == Eased || ahead(n.Kind)
	})
	switch {
	case s.Announced <= level:
	case level == 0:
		n := Notice{Kind: Cleared, Level: s.Announced, Since: now}
		if s.Spared != nil {
			n.Why = s.Spared.Why
		}
		s.queueNotice(now, n)
	default:
		s.queueNotice(now, Notice{Kind: Eased, Level: s.Announced, Since: now})
	}
}

// TicketResult is what a look at the ticket brought.
type TicketResult struct {
	Ticket Ticket    `json:"ticket"`
	By     string    `json:"by,omitempty"` // who wrote last; empty: nobody
	At     time.Time `json:"at,omitzero"`
	// why the ticket could not be seen: nobody knows whether there is an answer
	Away string `json:"away,omitempty"`
	Gone bool   `json:"gone,omitempty"` // there is no such ticket any more
}

// Heard takes what a look at the ticket brought. While nobody knows, nothing rises.
func (s *State) Heard(now time.Time, r TicketResult) {
	s.ended()
	switch {
	case r.Away != "":
		s.Blocked = r.Away
		s.Looking = now.Add(s.Times.hour())
		return
	case r.Gone:
		s.Ticket = Ticket{}
		return
	}
	s.Ticket, s.Looked, s.Looking = r.Ticket, now, time.Time{}
	if r.By != "" {
		s.answered(now, r.By)
	}
}

// answered holds the level for a time, and what was answered is not said again while it holds: somebody at the site is
// at work on it. An operator's longer pause stays.
func (s *State) answered(now time.Time, by string) {
	until := now.Add(s.Times.ReplyPause)
	if s.Rules > 0 {
		s.dropNotices(func(n Notice) bool { return !good(n.Kind) && s.Holds[n.Ref.ID].Told })
	}
	if s.Ordered() && (s.Pause.Until.IsZero() || s.Pause.Until.After(until)) {
		return
	}
	s.pause(Pause{At: now, Until: until, By: by, Reason: fmt.Sprintf("%s answered ticket %d", by, s.Ticket.ID),
		Answer: true})
	s.Note = true
	s.change()
}

// Noted takes that the ticket says that an answer was heard.
func (s *State) Noted() {
	s.ended()
	s.Note = false
}

// Resolved takes that the ticket is resolved, or that it waits.
func (s *State) Resolved(now time.Time, r MailResult) {
	s.ended()
	if r.Outcome == MailWait {
		s.Blocked = r.Reason
		if s.NextResolve = r.Until; !s.NextResolve.After(now) {
			s.NextResolve = now.Add(s.Times.hour())
		}
		return
	}
	s.Ticket, s.Note = Ticket{}, false
}

// lookAt is when the ticket is next looked at; zero is never.
func (s State) lookAt() time.Time {
	if s.Ticket.ID == 0 || s.idle() {
		return time.Time{}
	}
	return latest(s.Looked.Add(s.Times.TicketLook), s.Looking)
}

// idle says that every issue has let go, nothing is denied and nothing is left to say.
func (s State) idle() bool {
	return len(s.Holds) == 0 && s.Level == 0 && len(s.Pending) == 0 && s.Letter == nil && len(s.Late) == 0
}

// wakeAt is when the site next has something to do by itself; zero: when something comes in.
func (s State) wakeAt() time.Time {
	at := sooner(sooner(s.mailAt(), s.lookAt()), sooner(s.readAt(), s.riseAt()))
	if s.falls() {
		at = sooner(at, s.NextLower)
	}
	if s.Pause != nil {
		at = sooner(at, s.Pause.Until)
	}
	for _, l := range s.Late {
		at = sooner(at, l.Next)
	}
	if s.idle() && s.Ticket.ID != 0 {
		at = sooner(at, s.NextResolve)
	}
	if w := s.Warned; w != nil {
		at = sooner(at, w.NotBefore.Add(2*s.Times.PenaltyStep+1))
	}
	at = sooner(at, s.widenAt())
	return at
}

func due(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

// sooner is the earlier of two times, of which a zero one is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func latest(times ...time.Time) time.Time {
	var last time.Time
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}
