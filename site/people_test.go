package site

import (
	"slices"
	"testing"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
)

// knows is a site whose people were told of an issue, in ticket 7.
func knows(level int) State {
	s := told(level)
	s.seal(begin, "first")
	s.Mailed(begin, MailResult{Outcome: MailSent, Reached: true, Ticket: Ticket{ID: 7, Robot: "monitor"}})
	return s
}

func kinds(list []Notice) []string {
	var out []string
	for _, n := range list {
		out = append(out, n.Kind)
	}
	return out
}

func TestAnswer_SilencesWhatItAnswersAndNothingNew(t *testing.T) {
	s, now := knows(0), begin.Add(8*24*time.Hour)
	s.Hold(now, HoldRequest{Key: "again", Ref: ref(1), Kind: "down"})
	s.Hold(now, HoldRequest{Key: "new", Ref: ref(2), Kind: "down"})
	s.Heard(now, TicketResult{Ticket: s.Ticket, By: "tech@huji.example", At: now})
	if len(s.Pending) != 1 || s.Pending[0].Ref.ID != ref(2).ID {
		t.Errorf("after an answer there is to be said %+v", s.Pending)
	}
	s.Hold(now.Add(time.Hour), HoldRequest{Key: "third", Ref: ref(1), Kind: "down"})
	if len(s.Pending) != 1 {
		t.Errorf("what was answered is said again: %+v", s.Pending)
	}
}

func TestMail_LooksForAnAnswerBeforeItAsksAgain(t *testing.T) {
	s, now := knows(0), begin.Add(8*24*time.Hour)
	s.Looked, s.NextRead = now.Add(-2*time.Hour), now
	s.Hold(now, HoldRequest{Key: "again", Ref: ref(1), Kind: "down"})
	now = now.Add(s.Times.GroupWait)
	if step := s.Next(now, false); step.Do != LookAtTicket {
		t.Fatalf("before the message it does %+v", step)
	}
	s.Heard(now, TicketResult{Ticket: s.Ticket, Away: "403"})
	if step := s.Next(now, false); step.Do != Sleep || !step.Until.After(now) {
		t.Errorf("while nobody knows whether there is an answer it does %+v", step)
	}
	now = s.Looking
	if step := s.Next(now, false); step.Do != LookAtTicket {
		t.Fatalf("then it does %+v", step)
	}
	s.Heard(now, TicketResult{Ticket: s.Ticket})
	if step := s.Next(now, false); step.Do != Mail {
		t.Errorf("when nobody has answered it does %+v", step)
	}
}

func TestPause_ItsEndIsToldAsWhatItWas(t *testing.T) {
	s, now := knows(1), begin.Add(time.Hour)
	s.Obey(issue.OrderPause, issue.Command{By: "noc", Reason: "they move", Until: now.Add(24 * time.Hour)}, now)
	if step := s.Next(now.Add(24*time.Hour), false); step.Do == Raise {
		t.Fatal("it rises before anybody hears that the time is over")
	}
	if got := kinds(s.Pending); !slices.Equal(got, []string{Continued}) || !s.Pending[0].Since.Equal(now) {
		t.Errorf("the end of an operator's pause is told as %+v", s.Pending)
	}
	s = knows(1)
	s.Obey(issue.OrderPause, issue.Command{By: "noc", Reason: "they move", Until: now.Add(24 * time.Hour)}, now)
	answered := now.Add(12 * time.Hour)
	s.Heard(answered, TicketResult{Ticket: s.Ticket, By: "tech@huji.example"})
	s.Next(answered.Add(s.Times.ReplyPause), false)
	if got := kinds(s.Pending); !slices.Equal(got, []string{Resumed}) || !s.Pending[0].Since.Equal(answered) ||
		s.Pending[0].By != "tech@huji.example" {
		t.Errorf("the end of an answer's time is told as %+v", s.Pending)
	}
	s = told(1) // nobody knows of anything yet
	s.dropNotices(func(Notice) bool { return true })
	s.Obey(issue.OrderPause, issue.Command{By: "noc", Until: now.Add(time.Hour)}, now)
	s.Next(now.Add(time.Hour), false)
	if slices.Contains(kinds(s.Pending), Continued) {
		t.Errorf("people are told of the end of what they never heard of: %+v", s.Pending)
	}
}

func TestRise_WhomItMakesAnAudienceHearsOfItBefore(t *testing.T) {
	s, now := told(1), begin.Add(time.Hour)
	s.seal(now, "first")
	l := *s.Letter
	if l.Reaches != 0 || l.Threat == nil {
		t.Fatalf("the first word is %+v", l)
	}
	s.Mailed(now, MailResult{Outcome: MailSent, Reached: true, Threatened: true, NotBefore: l.Threat.NotBefore})
	at := l.Threat.NotBefore
	step := s.Next(now, false)
	for ; step.Do == Sleep || step.Do == ReadBack; step = s.Next(now, false) {
		if now = latest(now, step.Until); step.Do == ReadBack {
			s.Stands(now, now, Standing{Times: s.Times, Holds: s.Holds})
		}
	}
	if step.Do != Mail || s.Letter.Reaches != 1 || !slices.Equal(kinds(s.Letter.Notices), []string{Warn}) {
		t.Fatalf("at %s it does %+v with %+v", now, step, s.Letter)
	}
	if !s.Letter.Threat.NotBefore.Equal(at) || at.Sub(now) < s.lead() {
		t.Errorf("those who hear of it last have from %s to %s; %s was said at first", now,
			s.Letter.Threat.NotBefore, at)
	}
	s.Mailed(now, MailResult{Outcome: MailSent, Reached: true, Threatened: true, NotBefore: at})
	if w := s.Warned; w.Reaches != 1 || len(w.Letters) != 2 || !s.riseAt().Equal(at) {
		t.Errorf("then the word is %+v, and the step comes at %s", w, s.riseAt())
	}
	if s.rose(at, 1, "why"); s.Pending[0].Word == nil || len(s.Pending[0].Word.Letters) != 2 {
		t.Errorf("the step is told as %+v", s.Pending)
	}
}

// A word that everybody has got but those who become an audience by the step is no word to them: they hear it again, and
// the step waits for that.
func TestRise_WaitsForAnAudienceWhoseServersDeferTheWord(t *testing.T) {
	s, now := told(1), begin.Add(time.Hour)
	s.seal(now, "first")
	at := s.Letter.Threat.NotBefore
	word := MailResult{Outcome: MailSent, Reached: true, Threatened: true, NotBefore: at, Covers: 1, Missed: 1,
		Deferred: []string{"pi@b"}}
	s.Mailed(now, word)
	if s.Warned == nil || s.Warned.Reaches != 0 || !s.riseAt().IsZero() {
		t.Fatalf("the word is %+v, and the step comes at %s", s.Warned, s.riseAt())
	}
	if again := s.widenAt(); again.IsZero() || !again.Before(at) {
		t.Errorf("it is said again at %s, and the step was told for %s", again, at)
	}
	s.Letter = &Letter{Key: "again", Reaches: 1, At: now, Threat: s.threat(now),
		Notices: []Notice{{Kind: Warn, Level: 1}}}
	word.Missed, word.Deferred = 0, nil
	if s.Mailed(now, word); s.Warned.Reaches != 1 || s.riseAt().IsZero() {
		t.Errorf("when they have it the word is %+v, and the step comes at %s", s.Warned, s.riseAt())
	}
}

// What is only looked at for now waits, and is neither lost nor in the way of what others ask for.
func TestMailed_WhatIsLeftOutGoesLater(t *testing.T) {
	s, now := told(1), begin.Add(time.Hour)
	s.Hold(begin, HoldRequest{Key: "other", Ref: ref(2), Level: 1, Kind: "down"})
	s.seal(now, "first")
	left := s.Letter.Notices[0]
	s.Mailed(now, MailResult{Outcome: MailSent, Reached: true, Waits: []string{left.Name()}})
	if len(s.Pending) != 1 || s.Pending[0].Name() != left.Name() || !s.mailAt().After(now) {
		t.Fatalf("what was left out is %+v, due at %s", s.Pending, s.mailAt())
	}
	if s.Holds[left.Ref.ID].Told || !s.Holds[ref(2).ID].Told {
		t.Errorf("as told count %+v", s.Holds)
	}
	if s.riseAt().IsZero() {
		t.Error("what waits keeps the level from rising for others")
	}
	s.seal(s.mailAt(), "second")
	s.Mailed(s.Letter.At, MailResult{Outcome: MailNothing, Waits: []string{left.Name()}})
	if len(s.Pending) != 1 {
		t.Errorf("in the end there is %+v", s.Pending)
	}
	s.seal(s.mailAt(), "third")
	s.Release(begin, Release{Ref: left.Ref})
	if s.Mailed(s.Letter.At, MailResult{Outcome: MailNothing, Waits: []string{left.Name()}}); len(s.Pending) > 0 {
		t.Errorf("of what has let go is said %+v", s.Pending)
	}
}

// While nothing may be said, what somebody may have already is kept as it is, and costs no try.
func TestMailed_WhatIsHeldGoesAgainUnderItsKey(t *testing.T) {
	s, now := told(1), begin.Add(time.Hour)
	s.seal(now, "first")
	for range 2 * mostLost {
		s.Mailed(now, MailResult{Outcome: MailHeld, Reason: "Monitor is stopped"})
		if s.Letter == nil || s.Letter.Key != "first" || !s.Letter.Next.After(now) || s.Letter.Tries != 0 {
			t.Fatalf("at %s there is %+v", now, s.Letter)
		}
		now = s.Letter.Next
	}
	if s.Mailed(begin.Add((lateFor+1)*s.Times.Day), MailResult{Outcome: MailHeld}); s.Letter != nil {
		t.Errorf("it is kept for ever: %+v", s.Letter)
	}
}

func TestThanks_DoNotCloseWhileOthersAreToCome(t *testing.T) {
	s := knows(0)
	s.Hold(begin, HoldRequest{Key: "two", Ref: ref(2), Kind: "down"})
	s.seal(begin, "second")
	s.Mailed(begin, MailResult{Outcome: MailSent, Reached: true})
	s.Release(begin, Release{Ref: ref(1), Thanks: true})
	s.Release(begin.Add(6*time.Hour), Release{Ref: ref(2), Thanks: true})
	now := s.Pending[0].NotBefore
	s.seal(now, "thanks")
	if r := s.Write(now); len(r.Notices) != 1 || r.Open != 1 {
		t.Errorf("the first thanks go out with %d notices and %d open", len(r.Notices), r.Open)
	}
	s.Mailed(now, MailResult{Outcome: MailSent, Reached: true})
	s.seal(s.Pending[0].NotBefore, "last")
	if r := s.Write(now); len(r.Notices) != 1 || r.Open != 0 {
		t.Errorf("the last thanks go out with %d notices and %d open", len(r.Notices), r.Open)
	}
}

func TestCleared_SaysWhyTheSiteIsSpared(t *testing.T) {
	for _, spared := range []*Spared{nil, {Why: SparedExempt}} {
		s := knows(1)
		s.Level, s.Announced, s.Spared = 1, 1, spared
		s.fell(begin, 0)
		n := s.Pending[len(s.Pending)-1]
		if n.Kind != Cleared || n.Level != 1 || (spared == nil) != (n.Why == "") {
			t.Errorf("spared %v: %+v", spared, n)
		}
	}
}

// A worker that was frozen may bring a request when its issue has ended long since, and nobody lets that hold go.
func TestReadBack_AHoldThatNobodyAsksForAnyMoreIsLetGo(t *testing.T) {
	s, now := knows(0), begin
	for range 100 {
		step := s.Next(now, false)
		switch step.Do {
		case Sleep:
			if !step.Until.After(now) {
				t.Fatalf("it sleeps for ever: %+v", s)
			}
			now = step.Until
		case LookAtTicket:
			s.Heard(now, TicketResult{Ticket: s.Ticket})
		case ReadBack:
			now = now.Add(time.Second)
			s.Stands(now, now, Standing{Times: s.Times})
		case Resolve:
			s.Resolved(now, MailResult{Outcome: MailSent})
		case Finish:
			if asked := now.Sub(begin); asked < s.Times.PeopleStep {
				t.Errorf("it asks after %s already", asked)
			}
			return
		default:
			t.Fatalf("it does %+v", step)
		}
	}
	t.Errorf("it does not come to its end by %s: %+v", now, s)
}

func TestRelease_WhoWasToldHearsHowItEnded(t *testing.T) {
	for _, c := range []struct {
		ended issue.EndKind
		told  bool
		want  []string
	}{
		{issue.EndGone, true, []string{Gone}}, {issue.EndOperator, true, []string{Closed}},
		{issue.EndLost, true, nil}, {issue.EndCancelled, true, nil}, {"", true, nil}, {issue.EndGone, false, nil},
	} {
		s, now := knows(0), begin.Add(24*time.Hour)
		s.Pending = nil
		id := ref(1)
		if !c.told {
			id = ref(2)
			s.Hold(now, HoldRequest{Key: "new", Ref: id, Kind: "down"})
		}
		s.Release(now, Release{Key: "r", Ref: id, Ended: c.ended})
		if got := kinds(s.Pending); !slices.Equal(got, c.want) {
			t.Errorf("%q, told %v: there is to be said %q, want %q", c.ended, c.told, got, c.want)
		}
	}
	s := knows(0)
	s.Pending = nil
	s.Release(begin, Release{Key: "r", Ref: ref(1), Ended: issue.EndGone})
	if s.idle() {
		t.Error("it ends before it is said")
	}
	s.Hold(begin, HoldRequest{Key: "again", Ref: ref(1), Kind: "down"})
	if got := kinds(s.Pending); !slices.Equal(got, []string{"down"}) {
		t.Errorf("when it is back and bad, there is to be said %q", got)
	}
}

// During a pause the forecast says what comes after it, and it comes no sooner.
func TestComing_DuringAPauseSaysWhatComesAfterIt(t *testing.T) {
	s, now := knows(1), begin.Add(time.Hour)
	s.Heard(now, TicketResult{Ticket: s.Ticket, By: "tech@huji.example"})
	until := s.Pause.Until
	var step Coming
	for _, c := range s.Coming(now) {
		if c.What == ComesStep && step.Level == 0 {
			step = c
		}
	}
	if step.Level != 1 || step.At.Before(until.Add(s.Times.PeopleStep)) || s.threat(now) != nil {
		t.Fatalf("a pause until %s, and %+v comes; people are threatened with %+v", until, step, s.threat(now))
	}
	s.Obey(issue.OrderPause, issue.Command{By: "noc", Reason: "for ever"}, now)
	if c := s.Coming(now); slices.ContainsFunc(c, func(c Coming) bool { return c.What == ComesStep }) {
		t.Errorf("after a pause without an end %+v comes", c)
	}
	s.Heard(now, TicketResult{Ticket: s.Ticket})
	s.Pause.Until, s.Pause.Answer = until, true
	for now = until; ; {
		switch next := s.Next(now, false); next.Do {
		case Sleep:
			now = latest(now, next.Until)
		case ReadBack:
			s.Stands(now, now, Standing{Times: s.Times, Holds: s.Holds})
		case LookAtTicket:
			s.Heard(now, TicketResult{Ticket: s.Ticket})
		case Note:
			s.Noted()
		case Mail:
			r := MailResult{Outcome: MailSent, Reached: true, Covers: policy.Top}
			if s.Letter.Threat != nil {
				r.Threatened, r.NotBefore = true, s.Letter.Threat.NotBefore
			}
			s.Mailed(now, r)
		case Raise:
			if late := now.Sub(step.At); late < 0 || late > time.Hour {
				t.Errorf("it rises at %s, and %s was said", now, step.At)
			}
			return
		default:
			t.Fatalf("it does %+v", next)
		}
	}
}
