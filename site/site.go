// Package site says what a site is told and denied. It is pure: holds of issues, answers of activities, orders and the
// clock come in, the next step comes out. Workflows run it on durable timers, tests on a clock of their own; both get
// the same answers.
//
// The rules are in machine.go: the level never rises before people were told of that very step and had the time that
// they were promised, and it falls as soon as nothing holds it. mail.go gathers what there is to say, forecast.go says
// what comes next.
package site

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
)

// The names by which a site is started and asked.
const (
	Type          = "site" // of the workflow, and the first half of its id: site/<login_base>
	UpdateHold    = "hold"
	UpdateRelease = "release"
	SignalLook    = "look" // something may have changed: read back now what the site is denied, and why
)

// OrderType is the first half of the id of a hold that no issue has: an operator's order to raise the level.
const OrderType = "order"

// OrderID is the hold of an operator's order.
func OrderID(login string) string { return OrderType + "/" + login }

// ID is the workflow of a site.
func ID(login string) string { return Type + "/" + login }

// Input starts a site: all that it is denied, and why, is read from the store.
type Input struct {
	Site  string `json:"site"`            // login_base
	State *State `json:"state,omitempty"` // where it goes on as a new run; nobody else sets it
}

// Times are the durations of a site, recorded when it starts.
type Times struct {
	Day         time.Duration `json:"day"`
	GroupWait   time.Duration `json:"group_wait"`
	PenaltyStep time.Duration `json:"penalty_step"` // between two steps up
	PeopleStep  time.Duration `json:"people_step"`  // between the word of a step and the step, at least
	ThanksGrace time.Duration `json:"thanks_grace"`
	ReplyPause  time.Duration `json:"reply_pause"`
	TicketLook  time.Duration `json:"ticket_look"`
}

// TimesOf takes from policy what a site needs.
func TimesOf(p policy.Policy) Times {
	return Times{Day: p.Day, GroupWait: p.GroupWait, PenaltyStep: p.PenaltyStep, PeopleStep: p.PeopleStep,
		ThanksGrace: p.ThanksGrace,
		ReplyPause:  p.ReplyPause, TicketLook: p.TicketLook}
}

// moment is the time inside which messages of one cause become one.
func (t Times) moment() time.Duration { return 2 * t.GroupWait }

func (t Times) hour() time.Duration { return t.Day / 24 }

// HoldRequest asks a site to write to its people about an issue, and to hold a penalty level for it; level 0 only
// writes.
type HoldRequest struct {
	Key      string         `json:"key"` // of the rung that asks: the same request again says nothing twice
	Ref      issue.Ref      `json:"ref"`
	Level    int            `json:"level"`
	Kind     string         `json:"kind"` // of the notice
	Since    time.Time      `json:"since"`
	Evidence []string       `json:"evidence,omitempty"`
	Deeds    []issue.Deed   `json:"deeds,omitempty"`
	Advice   string         `json:"advice,omitempty"` // a code that package notify knows; empty: that of the type
	Coming   []issue.Coming `json:"coming,omitempty"` // what the issue does next, if nothing changes
	// NotBefore holds the notice back.
	NotBefore time.Time `json:"not_before,omitzero"`
}

// Release lets an issue's hold go. Thanks asks for a thank-you to the people who were told; else Ended says how the
// issue ended, if that is to be told them.
type Release struct {
	Key    string        `json:"key"`
	Ref    issue.Ref     `json:"ref"`
	Thanks bool          `json:"thanks"`
	Ended  issue.EndKind `json:"ended,omitempty"`
	Since  time.Time     `json:"since"`
}

// word is what people are told of a release; empty: nothing.
func (r Release) word() string {
	switch {
	case r.Thanks:
		return Online
	case r.Ended == issue.EndGone:
		return Gone
	case r.Ended == issue.EndOperator:
		return Closed
	}
	return ""
}

// Answer says what the site is denied after a request.
type Answer struct {
	Level  int    `json:"level"`
	Reason string `json:"reason"`
}

// Hold is what an open issue asks of the site.
type Hold struct {
	Ref    issue.Ref      `json:"ref"`
	Level  int            `json:"level"`
	Kind   string         `json:"kind,omitempty"`
	Since  time.Time      `json:"since,omitzero"`
	Key    string         `json:"key,omitempty"`
	At     time.Time      `json:"at,omitzero"` // when it was asked for
	Told   bool           `json:"told,omitempty"`
	Coming []issue.Coming `json:"coming,omitempty"`
}

// reaches says from when on the hold asks for a level, if it does or will.
func (h Hold) reaches(level int) (time.Time, bool) {
	if h.Level >= level {
		return time.Time{}, true
	}
	for _, c := range h.Coming {
		if c.Level >= level {
			return c.At, true
		}
	}
	return time.Time{}, false
}

// Spared is why a site is denied nothing whatever its issues ask: it is good again, exempt, new, or gone.
type Spared struct {
	Why   SpareKind `json:"why"`
	Until time.Time `json:"until,omitzero"`
	About string    `json:"about,omitempty"`
}

// SpareKind names why a site is spared.
type SpareKind string

// Why a site is spared.
const (
	SparedGood    SpareKind = "good again"
	SparedExempt  SpareKind = "exempt"
	SparedListed  SpareKind = "blacklisted"
	SparedPending SpareKind = "pending"
	SparedNew     SpareKind = "new"
	SparedGone    SpareKind = "gone" // no longer in the inventory
	SparedOrdered SpareKind = "by an operator's order"
	SparedFree    SpareKind = "no penalties here"
)

func (s Spared) String() string {
	if s.About == "" {
		return string(s.Why)
	}
	return string(s.Why) + ": " + s.About
}

// Warning is the word that people were given of a step up. There is none without it.
type Warning struct {
	Level     int       `json:"level"`
	NotBefore time.Time `json:"not_before"`
	At        time.Time `json:"at"`     // when somebody had it
	Issues    []string  `json:"issues"` // which would be the reason
	// Reaches is the level whose people had it. A step that makes others an audience waits until they had it, too.
	Reaches int      `json:"reaches,omitempty"`
	Letters []string `json:"letters,omitempty"` // the keys of the messages that said so
}

// Pause holds the level where it is; it may still fall.
type Pause struct {
	At     time.Time `json:"at"`
	Until  time.Time `json:"until,omitzero"` // zero: until resume
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Answer bool      `json:"answer,omitempty"` // somebody at the site answered; else an operator ordered it
}

// Ticket is where a site's conversation in Request Tracker has got to; the zero value has none.
type Ticket struct {
	ID    int    `json:"id"`
	Robot string `json:"robot"` // who Monitor is there
	// the last transaction that is Monitor's own reply, or that was there before it
	Said int  `json:"said"`
	Seen int  `json:"seen"`           // replies of people up to here are known
	Test bool `json:"test,omitempty"` // made in test mode: nobody but the test address is on it
}

// Applied is what one step up has changed in PLC. The store has it as claims; one that was restored from an older
// backup learns of it from here.
type Applied struct {
	Key       string   `json:"key"` // of the step
	Level     int      `json:"level"`
	SiteID    int      `json:"site_id"`
	Disabled  bool     `json:"disabled,omitempty"`
	Suspended []string `json:"suspended,omitempty"`
}

// State is all that a site remembers. It is JSON: it passes to a continued run, and answers the query. What the world
// must not forget with it, its level, its holds and what was applied, stands in Postgres, and is read from there when a
// site starts.
type State struct {
	Site  string `json:"site"`
	Rules int    `json:"rules,omitempty"`
	Life  string `json:"life"` // names this life of the site, over all its runs, in the keys of its effects
	Times Times  `json:"times"`

	Known bool `json:"known"` // the store was read in this life
	// a step's answer was lost: the store must be read before another one
	Unsure    bool            `json:"unsure,omitempty"`
	Level     int             `json:"level"`     // what is in force in PLC
	Announced int             `json:"announced"` // the level that people were told of
	LastRaise time.Time       `json:"last_raise,omitzero"`
	Applied   []Applied       `json:"applied,omitempty"` // by the steps up to this level
	Holds     map[string]Hold `json:"holds,omitempty"`   // by issue id
	Spared    *Spared         `json:"spared,omitempty"`
	Warned    *Warning        `json:"warned,omitempty"`
	Reached   int             `json:"reached,omitempty"` // the level whose people were told of any trouble
	Reason    string          `json:"reason,omitempty"`  // why the level is what it is
	Blocked   string          `json:"blocked,omitempty"` // what the next step waits for

	NextTry     time.Time `json:"next_try,omitzero"`   // not before: a step up
	NextWiden   time.Time `json:"next_widen,omitzero"` // not before: the word of a step to those who have not had it
	NextLower   time.Time `json:"next_lower,omitzero"` // not before: a step down
	NextRead    time.Time `json:"next_read,omitzero"`  // what is denied is read back then
	NextResolve time.Time `json:"next_resolve,omitzero"`
	Failures    int       `json:"failures,omitempty"` // of activities, in a row

	Pause *Pause `json:"pause,omitempty"`

	Pending []Notice  `json:"pending,omitempty"`
	Letter  *Letter   `json:"letter,omitempty"` // the message that may be on its way
	Held    *Held     `json:"held,omitempty"`   // why the next message waits
	Late    []Late    `json:"late,omitempty"`   // who has not got a message that others have
	Thread  []string  `json:"thread,omitempty"` // Message-IDs: the first and the latest
	Ticket  Ticket    `json:"ticket,omitzero"`
	Looked  time.Time `json:"looked,omitzero"` // when the ticket was last seen
	Looking time.Time `json:"looking,omitzero"`
	Note    bool      `json:"note,omitempty"` // the ticket is to say that an answer was heard

	Steps   int  `json:"steps"` // numbers the site's own effects
	Running Do   `json:"running,omitempty"`
	Changed bool `json:"changed,omitempty"` // something came in that the step under way does not know
	Ending  bool `json:"ending,omitempty"`  // the workflow is cancelled
}

// Rules numbers the rules of this machine. A run keeps those with which it began, so that what it did is done again in
// the same order when it is replayed. From 1 on the ticket is looked at before people are asked again, an answer
// silences what it answers, the end of an operator's pause is told, and whoever becomes an audience by a step hears of
// it before. From 2 on a site that is only to write makes sure that somebody still asks.
const Rules = 2

// Start is the state of a site of which nothing is known yet.
func Start(login, life string) State {
	return State{Site: login, Rules: Rules, Life: life, Holds: map[string]Hold{}}
}

// Holders are the issues that hold a level of at least n, by id.
func (s State) Holders(n int) []string {
	ids := sorted(s.Holds)
	return slices.DeleteFunc(ids, func(id string) bool { return s.Holds[id].Level < n })
}

// sorted are the ids of holds in order, so that a workflow that is replayed does the same again.
//
//workflowcheck:ignore
func sorted(holds map[string]Hold) []string { return slices.Sorted(maps.Keys(holds)) }

// holds in a stable order.
func (s State) holds() []Hold {
	list := make([]Hold, 0, len(s.Holds))
	for _, id := range s.Holders(0) {
		list = append(list, s.Holds[id])
	}
	return list
}

// Wanted is the level that the site is to have: the highest that an issue holds, and none where it is spared.
func (s State) Wanted() int {
	level := 0
	if s.Spared != nil || s.Ending {
		return level
	}
	for _, h := range s.holds() {
		level = max(level, h.Level)
	}
	return min(level, policy.Top)
}

// Why is the reason for the level that is wanted.
func (s State) Why() string {
	ids := s.Holders(1)
	switch {
	case s.Ending:
		return "the site's workflow was cancelled"
	case s.Spared != nil:
		return s.Spared.String()
	case len(ids) == 0:
		return "no open issue holds it any more"
	case len(ids) > 5:
		return clean.Line(fmt.Sprintf("held by %s and %d more", ids[0], len(ids)-1))
	}
	text := "held by"
	for i, id := range ids {
		if i > 0 {
			text += ","
		}
		text += " " + id
	}
	return clean.Line(text)
}

// Hold takes an issue's request. The same one again changes nothing.
func (s *State) Hold(now time.Time, r HoldRequest) Answer {
	was, held := s.Holds[r.Ref.ID]
	again := held && was.Key == r.Key && r.Key != ""
	h := Hold{Ref: r.Ref, Level: min(max(r.Level, was.Level, 0), policy.Top), Kind: r.Kind, Since: r.Since, Key: r.Key,
		At: now, Told: was.Told, Coming: r.Coming}
	if s.Holds == nil {
		s.Holds = map[string]Hold{}
	}
	s.Holds[r.Ref.ID] = h
	s.change()
	// Who answered knows of it, and is not asked the same again while the answer holds.
	answered := s.Pause != nil && s.Pause.Answer && held && was.Told
	if !again && !answered {
		s.queueNotice(now, Notice{Kind: r.Kind, Ref: r.Ref, Level: h.Level, Since: r.Since,
			Evidence: issue.Evidence(r.Evidence), Deeds: r.Deeds,
			Advice: r.Advice, NotBefore: r.NotBefore})
		s.dropNotices(func(n Notice) bool { return n.Kind == Warn }) // what this message says as well
	}
	return s.answer()
}

// Release takes that an issue has let go.
func (s *State) Release(now time.Time, r Release) Answer {
	was, held := s.Holds[r.Ref.ID]
	delete(s.Holds, r.Ref.ID)
	s.dropNotices(func(n Notice) bool { return n.Ref.ID == r.Ref.ID && !Ends(n.Kind) })
	s.forgetWarning()
	s.change()
	told := was.Told || r.Thanks && !held
	if word := r.word(); word != "" && told && !s.knownBad(r.Ref) {
		s.setNotice(Notice{Kind: word, Ref: r.Ref, Level: s.Announced, Since: r.Since,
			NotBefore: now.Add(s.Times.ThanksGrace)})
	}
	return s.answer()
}

// knownBad says that people know of other trouble with the same machine, so that there is nothing to thank for yet.
func (s State) knownBad(ref issue.Ref) bool {
	for _, h := range s.holds() {
		if h.Ref.Target() == ref.Target() {
			return true
		}
	}
	return false
}

func (s State) answer() Answer {
	reason := s.Reason
	if s.Blocked != "" {
		reason = s.Blocked
	}
	return Answer{Level: s.Level, Reason: reason}
}

// Look asks that what is denied be read back at once.
func (s *State) Look(now time.Time) {
	if s.Known {
		s.NextRead = now
	}
}

// Cancel ends a site whose workflow is cancelled: nobody must be denied for ever what nobody looks after. Holds stay in
// the store, and what is still open asks for them again.
func (s *State) Cancel() {
	s.Ending, s.Holds, s.Pending, s.Letter, s.Late, s.Warned, s.Note = true, map[string]Hold{}, nil, nil,
		nil, nil, false
	s.Failures, s.NextLower, s.NextRead = 0, time.Time{}, time.Time{}
	s.Running = ""
}

func (s *State) change() { s.Changed = true }
