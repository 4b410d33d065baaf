package site

import (
	"slices"
	"time"

	"github.com/planetlab/monitor/issue"
)

// The kinds of notices that a site says by itself; the others are those of its issues.
const (
	Penalty = "penalty" // the level was raised
	Warn    = "warning" // the level would be raised, and nobody was told yet
	Eased   = "eased"   // the level fell, and not to the ground
	Cleared = "cleared" // the level fell to 0
	Resumed = "resumed" // the time that an answer of the site had gained is over
	// Continued is the end of a pause that the operators had ordered.
	Continued = "continued"
	Online    = "online" // what people were told of is good again: thanks
	Gone      = "gone"   // what they were told of is no longer in PLC
	Closed    = "closed" // the operators have ended what they were told of
)

// ahead says that a kind of notice speaks of the next step alone.
func ahead(kind string) bool { return kind == Warn || kind == Resumed || kind == Continued }

// good says that a kind of notice is good news.
func good(kind string) bool { return kind == Cleared || kind == Eased || Ends(kind) }

// Ends says that a kind of notice is the last word about a machine.
func Ends(kind string) bool { return kind == Online || kind == Gone || kind == Closed }

// Notice is one thing to say, as data. What is said of it, and whether it still holds, is decided when the message goes
// out.
type Notice struct {
	Kind      string       `json:"kind"`
	Ref       issue.Ref    `json:"ref,omitzero"`
	Level     int          `json:"level,omitempty"`
	Since     time.Time    `json:"since,omitzero"`
	Evidence  []string     `json:"evidence,omitempty"`
	Deeds     []issue.Deed `json:"deeds,omitempty"`
	Advice    string       `json:"advice,omitempty"`
	NotBefore time.Time    `json:"not_before,omitzero"`
	By        string       `json:"by,omitempty"`   // of a pause that is over: who asked for it
	Why       SpareKind    `json:"why,omitempty"`  // of a level that fell: why the site is spared
	Word      *Warning     `json:"word,omitempty"` // of a level that rose: what people were told before
	// Waits says that an operator has Monitor only observe what it is about. Other notices go out without it.
	Waits bool `json:"waits,omitempty"`
}

// Name tells the notices of a site apart.
func (n Notice) Name() string { return n.Kind + " " + n.Ref.ID }

// Letter is the message that is under way, or may be. While nobody can have got it, its notices go back to those that
// gather; once somebody may have, it is sealed: the same again under the same key, a few times.
type Letter struct {
	Key     string    `json:"key"`
	Notices []Notice  `json:"notices"`
	Threat  *Threat   `json:"threat,omitempty"`
	Reaches int       `json:"reaches,omitempty"` // the level whose people get it
	Sealed  bool      `json:"sealed,omitempty"`
	Tries   int       `json:"tries,omitempty"`
	Next    time.Time `json:"next,omitzero"`
	At      time.Time `json:"at"` // when it was first tried
}

// Held is why the next message waits, and until when.
type Held struct {
	Reason string    `json:"reason"`
	Until  time.Time `json:"until"`
	Tries  int       `json:"tries"`
}

// Late are people whose mail server has deferred a message that others have got.
type Late struct {
	Key   string    `json:"key"` // of the message
	To    []string  `json:"to"`
	Tries int       `json:"tries"`
	Next  time.Time `json:"next"`
	Since time.Time `json:"since"`
}

// Bounds of what is kept.
const (
	mostThread = 10  // Message-IDs: the first, and the latest
	mostLate   = 10  // messages of which somebody is late
	mostTo     = 100 // people of one who are
	mostLost   = 5   // tries of a message whose answer is lost each time
)

// lateFor is how long people are tried whose server defers them (RFC 5321, 4.5.4.1, asks for 4 to 5 days), in policy
// days.
const lateFor = 5

// setNotice keeps a notice for the next message: one for each issue and kind, the latest.
func (s *State) setNotice(n Notice) {
	s.dropNotices(func(p Notice) bool {
		return p.Ref.ID == n.Ref.ID && (p.Kind == n.Kind || n.Ref.ID != "" && !good(n.Kind))
	})
	s.Pending = append(s.Pending, n)
}

func (s *State) dropNotices(what func(Notice) bool) { s.Pending = slices.DeleteFunc(s.Pending, what) }

// queueNotice keeps a notice that waits a little for more to come, or goes with what waits already.
func (s *State) queueNotice(now time.Time, n Notice) {
	at := now.Add(s.Times.GroupWait)
	for _, p := range s.Pending {
		if p.NotBefore.Before(at) {
			at = p.NotBefore
		}
	}
	if n.NotBefore.Before(at) {
		n.NotBefore = at
	}
	s.setNotice(n)
}

// mailAt is when the next message may go; zero is never. It waits for a step that is due within the same moment, so
// that both are one.
func (s State) mailAt() time.Time {
	if s.Letter != nil {
		return s.Letter.Next
	}
	var at time.Time
	for _, n := range s.Pending {
		at = sooner(at, n.NotBefore)
	}
	if at.IsZero() {
		return at
	}
	if rise := s.riseAt(); rise.After(at) && rise.Sub(at) <= s.Times.moment() {
		at = rise
	}
	if s.Held != nil {
		at = latest(at, s.Held.Until)
	}
	if s.Ticket.ID != 0 && s.Rules > 0 { // while nobody knows whether somebody has answered, nothing is said
		at = latest(at, s.Looking)
	}
	return at
}

// seal makes a letter of all that is due within the moment.
func (s *State) seal(now time.Time, key string) {
	until := now.Add(s.Times.moment())
	l := &Letter{Key: key, At: now, Threat: s.threat(now), Reaches: s.Level}
	var keep []Notice
	for _, n := range s.Pending {
		if n.NotBefore.After(until) {
			keep = append(keep, n)
		} else {
			l.Notices = append(l.Notices, n)
		}
	}
	if l.Threat != nil && (s.widens(now) || slices.ContainsFunc(l.Notices, func(n Notice) bool {
		return ahead(n.Kind)
	})) {
		l.Reaches = l.Threat.Level
	}
	for _, n := range l.Notices { // good news reaches everybody who got the bad
		if good(n.Kind) {
			l.Reaches = max(l.Reaches, n.Level, s.Reached)
		}
	}
	s.Pending, s.Letter = keep, l
}

// asksFirst says that the ticket is looked at before the next message goes: whoever has answered is not asked again.
func (s State) asksFirst(now time.Time) bool {
	return s.Rules > 0 && s.Ticket.ID != 0 && s.Letter == nil && now.Sub(s.Looked) >= s.Times.hour() &&
		slices.ContainsFunc(s.Pending, func(n Notice) bool { return !good(n.Kind) && !n.NotBefore.After(now) })
}

// unseal puts what nobody can have got back to what gathers, but for what was said or let go of meanwhile.
func (s *State) unseal() {
	back := s.Letter.Notices
	s.Letter = nil
	for _, p := range s.Pending {
		back = slices.DeleteFunc(back, func(n Notice) bool { return n.Ref.ID == p.Ref.ID && n.Kind == p.Kind })
	}
	back = slices.DeleteFunc(back, func(n Notice) bool {
		_, held := s.Holds[n.Ref.ID]
		switch {
		case ahead(n.Kind):
			return s.Pause != nil || s.Spared != nil
		case n.Kind == Penalty:
			return s.Level == 0
		case good(n.Kind):
			return n.Kind == Cleared && s.Level > 0
		}
		return !held
	})
	s.Pending = append(back, s.Pending...)
}

// MailOutcome is what became of a message.
type MailOutcome string

// What becomes of a message.
const (
	MailSent    MailOutcome = "sent"
	MailNothing MailOutcome = "nothing" // none of it is to be said any more
	MailRefused MailOutcome = "refused" // by every server: nobody has it, and no later try would do better
	MailNobody  MailOutcome = "nobody"  // there is nobody to write to
	MailWait    MailOutcome = "wait"    // nobody has it: composed anew and tried at Until
	MailLost    MailOutcome = "lost"    // somebody may have it: the same again
	MailHeld    MailOutcome = "held"    // somebody may have it, and nothing may be said for now: the same again later
	MailStopped MailOutcome = "stopped" // what came in meanwhile changes it: nobody has it
)

// MailResult says what became of a message.
type MailResult struct {
	Outcome MailOutcome `json:"outcome"`
	Reason  string      `json:"reason,omitempty"`
	Until   time.Time   `json:"until,omitzero"`
	// Reached: a server took it for somebody at the site. That of a test does not count.
	Reached bool `json:"reached,omitempty"`
	// Threatened: the step that comes next was announced in it, not before a time.
	Threatened bool `json:"threatened,omitempty"`
	// Covers is a level all of whose people got it, if that is more than were meant.
	Covers    int       `json:"covers,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
	Deferred  []string  `json:"deferred,omitempty"` // people to be tried again
	// Missed is the lowest level whose own people, those that no lower one has, were all deferred; 0: there is none.
	Missed int `json:"missed,omitempty"`
	// Waits names the notices that were left out for now: they go with a later message.
	Waits     []string `json:"waits,omitempty"`
	Ticket    Ticket   `json:"ticket,omitzero"`
	MessageID string   `json:"message_id,omitempty"`
}

// Mailed takes what became of the message.
func (s *State) Mailed(now time.Time, r MailResult) {
	s.ended()
	if s.Letter == nil { // cancelled meanwhile
		return
	}
	if r.Ticket != (Ticket{}) {
		if s.Ticket.ID != r.Ticket.ID {
			s.Looked = now
		}
		s.Ticket = r.Ticket
	}
	l := s.Letter
	switch r.Outcome {
	case MailStopped:
		s.unseal()
		return
	case MailHeld:
		if l.Sealed = true; now.Sub(l.At) < lateFor*s.Times.Day {
			s.Blocked = r.Reason
			if l.Next = r.Until; !l.Next.After(now) {
				l.Next = now.Add(s.Times.hour())
			}
			return
		}
	case MailWait:
		tries := 1
		if s.Held != nil {
			tries = s.Held.Tries + 1
		}
		until := r.Until
		if !until.After(now) {
			until = now.Add(doubling(s.Times.hour()/4, tries-1, s.Times.Day/4))
		}
		s.unseal()
		s.Held = &Held{Reason: r.Reason, Until: until, Tries: tries}
		s.Blocked = r.Reason
		return
	case MailLost:
		if l.Sealed, l.Tries = true, l.Tries+1; l.Tries < mostLost {
			l.Next = now.Add(doubling(s.Times.hour()/2, l.Tries-1, s.Times.Day))
			return
		}
	}
	left := s.leave(r.Waits)
	if r.Outcome == MailSent {
		s.sent(now, r)
	}
	s.Letter, s.Held = nil, nil
	s.wait(now, left)
	// without a word that reached somebody nothing rises; who can be reached may change
	if s.Warned == nil && s.rises() {
		s.NextTry = latest(s.NextTry, now.Add(s.Times.Day))
		s.Blocked = "nobody was told of the next step yet"
		if r.Reason != "" {
			s.Blocked += ": " + r.Reason
		}
	}
}

// leave takes from the message what was left out of it.
func (s *State) leave(names []string) (left []Notice) {
	var said []Notice
	for _, n := range s.Letter.Notices {
		if slices.Contains(names, n.Name()) {
			left = append(left, n)
		} else {
			said = append(said, n)
		}
	}
	s.Letter.Notices = said
	return left
}

// wait gathers again what was left out of a message, if it still holds and nothing newer says it.
func (s *State) wait(now time.Time, left []Notice) {
	for _, n := range left {
		_, held := s.Holds[n.Ref.ID]
		if !held && !good(n.Kind) || slices.ContainsFunc(s.Pending, func(p Notice) bool { return p.Ref.ID == n.Ref.ID }) {
			continue
		}
		n.Waits, n.NotBefore = true, now.Add(s.Times.Day/4)
		s.Pending = append(s.Pending, n)
	}
}

func (s *State) sent(now time.Time, r MailResult) {
	l := s.Letter
	if r.MessageID != "" {
		if s.Thread = append(s.Thread, r.MessageID); len(s.Thread) > mostThread {
			s.Thread = slices.Delete(s.Thread, 1, 2)
		}
	}
	if r.Reached {
		for _, n := range l.Notices {
			if !good(n.Kind) {
				s.Reached = max(s.Reached, l.Reaches)
			}
			if h, ok := s.Holds[n.Ref.ID]; ok {
				h.Told = true
				s.Holds[n.Ref.ID] = h
			}
			switch n.Kind {
			case Penalty:
				s.Announced = max(s.Announced, n.Level)
			case Cleared, Eased:
				s.Announced = s.Level
			}
		}
		if r.Threatened && l.Threat != nil && s.stands(*l.Threat) {
			s.warn(now, *l, r)
		}
	}
	if to := r.Deferred; len(to) > 0 {
		s.Late = append(s.Late, Late{Key: l.Key, To: to[:min(len(to), mostTo)], Since: now,
			Next: now.Add(s.Times.hour() / 4)})
		if len(s.Late) > mostLate {
			s.Late = slices.Delete(s.Late, 0, 1)
		}
	}
}

// warn keeps what a message has said of the next step. What it repeats from an earlier one holds if that still does;
// else people have their time from this one.
func (s *State) warn(now time.Time, l Letter, r MailResult) {
	w := Warning{Level: l.Threat.Level, NotBefore: latest(l.Threat.NotBefore, r.NotBefore), At: now,
		Issues: l.Threat.Issues, Reaches: max(l.Reaches, r.Covers), Letters: []string{l.Key}}
	if r.Missed > 0 { // nobody of those has had it, who are yet to be told
		w.Reaches = min(w.Reaches, r.Missed-1)
	}
	if was := s.Warned; was != nil && was.Level == w.Level {
		w.Reaches = max(w.Reaches, was.Reaches)
		w.Letters = append(slices.Clone(was.Letters), l.Key)
		w.Letters = w.Letters[max(0, len(w.Letters)-mostThread):]
	}
	if s.Warned == nil {
		w.NotBefore = latest(w.NotBefore, l.At.Add(s.Times.PeopleStep))
		s.NextTry = time.Time{}
	}
	if !s.LastRaise.IsZero() {
		w.NotBefore = latest(w.NotBefore, s.LastRaise.Add(s.Times.PenaltyStep))
	}
	s.Warned = &w
}

// late is the first message that is due for those who have not got it; -1: none.
func (s State) late(now time.Time) int {
	return slices.IndexFunc(s.Late, func(l Late) bool { return !l.Next.After(now) })
}

// Caught takes who is still without the message of a key, after one more try for each of them alone.
func (s *State) Caught(now time.Time, key string, left []string) {
	s.ended()
	i := slices.IndexFunc(s.Late, func(l Late) bool { return l.Key == key })
	if i < 0 {
		return
	}
	l := &s.Late[i]
	if l.To = left; len(left) == 0 || now.Sub(l.Since) > lateFor*s.Times.Day {
		s.Late = slices.Delete(s.Late, i, i+1)
		return
	}
	l.Tries++
	l.Next = now.Add(doubling(s.Times.hour()/4, l.Tries, s.Times.Day/2))
}

// doubling is a distance that doubles with each try, up to a bound.
func doubling(first time.Duration, times int, most time.Duration) time.Duration {
	d := first
	for range min(max(times, 0), 16) {
		d *= 2
	}
	return max(min(d, most), time.Millisecond)
}
