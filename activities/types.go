// Package activities is everything Monitor can do to the world: look, reboot, reinstall, lean on a site, write to its
// people, keep the record. An activity gets names and numbers, looks secrets up itself, looks again before it acts, and
// answers with an outcome and the reason for it.
package activities

import (
	"time"

	"github.com/planetlab/monitor/policy"
)

// Task queues: machines are driven on a queue of their own, so that slow PCUs never hold up mail or records.
const (
	TaskQueue        = "monitor"
	MachineTaskQueue = "monitor-machines"
)

// Workflow types and ids that activities start or talk to by name.
const (
	SiteType  = "site"
	SweepType = "sweep"

	SignalCleared = "cleared"
	SignalPCUBack = "pcuback"
	UpdateLean    = "lean"
	UpdateRelease = "release"
)

// Failures that no retry can mend; the names stand in workflow histories.
const (
	ErrNoSuchTarget = "no such target"
	ErrBadInput     = "bad input"
)

// Times are the durations of the ladder, recorded when the issue opens so that a change of policy never changes a
// running issue.
type Times struct {
	Day          time.Duration `json:"day"`
	MachineStep  time.Duration `json:"machine_step"`
	PeopleStep   time.Duration `json:"people_step"`
	AdminStep    time.Duration `json:"admin_step"`
	HealthyDelay time.Duration `json:"healthy_delay"`
}

// TimesOf takes from policy what a ladder needs.
func TimesOf(n policy.Policy) Times {
	return Times{Day: n.Day, MachineStep: n.MachineStep, PeopleStep: n.PeopleStep, AdminStep: n.AdminStep, HealthyDelay: n.HealthyDelay}
}

// Opened answers the first activity of an issue.
type Opened struct {
	Ref      Ref      `json:"ref"`
	Times    Times    `json:"times"`
	Cause    string   `json:"cause"`              // why the issue is open, for people
	Evidence []string `json:"evidence,omitempty"` // what it was opened with, and what the last issue of this kind leaves behind
}

// Conditions a rung may ask for.
const (
	PCUOK        = "pcu ok"
	RebootFailed = "reboot failed"
)

// RungInput asks for one rung of a ladder. Key names the effect in the ledger and stays the same over retries.
type RungInput struct {
	Ref      Ref       `json:"ref"`
	Key      string    `json:"key"`
	When     []string  `json:"when,omitempty"`
	Rebooted bool      `json:"rebooted,omitempty"` // an earlier rung did power-cycle the node
	Level    int       `json:"level,omitempty"`    // penalty level the rung asks for
	Since    time.Time `json:"since"`              // when the issue was opened
	Tried    []string  `json:"tried,omitempty"`
	Evidence []string  `json:"evidence,omitempty"` // what the issue was opened with
	Forecast []Step    `json:"forecast,omitempty"`

	// What the store is to say of the issue afterwards.
	Rung  string        `json:"rung"`           // this rung
	Then  string        `json:"then"`           // the next one
	Yield time.Duration `json:"yield"`          // how long after this one has acted
	Held  int           `json:"held,omitempty"` // penalty level held so far
	Cause string        `json:"cause"`

	seen sight // what the look before the rung found
}

// progress is where the issue stands after a rung has answered.
func (in RungInput) progress(res RungResult, now time.Time) Progress {
	p := Progress{Ref: in.Ref, Status: "open", Rung: in.Then, Next: in.Then, NextAt: now, Level: max(in.Held, res.Level), Opened: in.Since, Cause: in.Cause}
	switch res.Outcome {
	case Acted:
		p.NextAt = now.Add(in.Yield)
	case Wait:
		p.Rung, p.Next, p.NextAt = in.Rung, in.Rung+" (waits: "+res.Reason+")", res.Until
	}
	return p
}

// Step is one coming rung as people are told of it.
type Step struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
}

// Recovering is what an issue says it does next while its target is good and it waits whether that lasts.
const Recovering = "close if it stays good"

// What became of a rung.
const (
	Acted  = "acted"  // done, or sent and not verified: the ladder yields
	Passed = "passed" // its condition does not hold or it may not: the next rung is due at once
	Wait   = "wait"   // the same rung again at Until
	Good   = "good"   // the target is back: nothing was done
	Gone   = "gone"   // the target is no longer in PLC
)

// RungResult is the outcome of a rung and its reason for people.
type RungResult struct {
	Outcome string    `json:"outcome"`
	Reason  string    `json:"reason"`
	Until   time.Time `json:"until,omitzero"`
	// Asked says that people were asked to switch the power: whether they do is not known, so it is no reboot.
	Asked bool `json:"asked,omitempty"`
	// Told says that the site's people were, or are about to be, written to.
	Told bool `json:"told,omitempty"`
	// Leaned says that an earlier try, whose answer was lost, may have leant on the site.
	Leaned bool `json:"leaned,omitempty"`
	// Level is the penalty level that the site holds for this issue from now on.
	Level int `json:"level,omitempty"`
	// BootState is what PLC had before the rung set the node disabled, and what it gets back when the issue ends.
	BootState string `json:"boot_state,omitempty"`
}

// LetGoInput ends an issue whose target looks good.
type LetGoInput struct {
	Ref  Ref    `json:"ref"`
	Key  string `json:"key"`
	Told bool   `json:"told,omitempty"`
	// Leaned: the site may hold something for the issue though nobody was told.
	Leaned bool `json:"leaned,omitempty"`
	// Force releases without a look: an operator closed the issue, or its target is gone.
	Force   bool      `json:"force,omitempty"`
	Outcome string    `json:"outcome"`
	Since   time.Time `json:"since"`
	// BootState is given back to a node that the issue had set disabled.
	BootState string `json:"boot_state,omitempty"`
}

// Progress is what the store keeps of an issue for the command line and the pages.
type Progress struct {
	Ref    Ref       `json:"ref"`
	Status string    `json:"status"`
	Rung   string    `json:"rung"`
	Level  int       `json:"level"`
	Opened time.Time `json:"opened"`
	Closed time.Time `json:"closed,omitzero"`
	Next   string    `json:"next,omitempty"`
	NextAt time.Time `json:"next_at,omitzero"`
	Result string    `json:"result,omitempty"`
	Cause  string    `json:"cause,omitempty"`
}

// Lean asks a site's workflow to write to its people and to hold a penalty level for an issue.
type Lean struct {
	Key      string    `json:"key"`
	Ref      Ref       `json:"ref"`
	Level    int       `json:"level"`
	Kind     string    `json:"kind"`
	Since    time.Time `json:"since"`
	Evidence []string  `json:"evidence,omitempty"`
	Tried    []string  `json:"tried,omitempty"`
	Fix      string    `json:"fix,omitempty"`
	Forecast []Step    `json:"forecast,omitempty"`
	// NotBefore holds a notice back, as the thank-you that waits for a day's grace.
	NotBefore time.Time `json:"not_before,omitzero"`
}

// Release lets an issue's hold on its site go. Thanks asks for a thank-you to the people who were told.
type Release struct {
	Key    string    `json:"key"`
	Ref    Ref       `json:"ref"`
	Thanks bool      `json:"thanks"`
	Since  time.Time `json:"since"`
}

// SiteAnswer says what the site holds after a Lean or a Release.
type SiteAnswer struct {
	Level  int    `json:"level"`
	Reason string `json:"reason"`
}

// SiteTimes are the site's durations, recorded when it starts.
type SiteTimes struct {
	Day         time.Duration `json:"day"`
	GroupWait   time.Duration `json:"group_wait"`
	PenaltyStep time.Duration `json:"penalty_step"`
	ThanksGrace time.Duration `json:"thanks_grace"`
	ReplyPause  time.Duration `json:"reply_pause,omitempty"`
	TicketLook  time.Duration `json:"ticket_look,omitempty"`
}

// PenaltyInput asks for a site's penalty level to become To.
type PenaltyInput struct {
	Site      string    `json:"site"`
	Key       string    `json:"key"`
	From      int       `json:"from"`
	To        int       `json:"to"`
	LastRaise time.Time `json:"last_raise,omitzero"`
	Reason    string    `json:"reason"`
	Applied   Applied   `json:"applied"`
}

// Applied is what Monitor changed in PLC for a penalty, and so what it will undo.
type Applied struct {
	Disabled bool     `json:"disabled,omitempty"` // enabled was true before we turned it off
	Slices   []string `json:"slices,omitempty"`   // slices we suspended
}

// PenaltyResult says which level holds now and why; Until is when a refused raise may be asked for again.
type PenaltyResult struct {
	Level   int       `json:"level"`
	Applied Applied   `json:"applied"`
	Reason  string    `json:"reason"`
	Until   time.Time `json:"until,omitzero"`
}

// MailInput sends the notices that a site's workflow has gathered, all in one message.
type MailInput struct {
	Site     string   `json:"site"`
	Key      string   `json:"key"` // the same until the message is out
	Level    int      `json:"level"`
	Notices  []Lean   `json:"notices"`
	Forecast []Step   `json:"forecast,omitempty"`
	Ticket   Ticket   `json:"ticket,omitzero"`
	Thread   []string `json:"thread,omitempty"` // Message-IDs of earlier mail, the first and the latest
	// ReplyPause is how long an answer holds the penalties.
	ReplyPause time.Duration `json:"reply_pause,omitempty"`
}

// What became of a message.
const (
	MailSent = "sent"
	MailNone = "none" // there was nothing, or nobody, to say it to
	MailWait = "wait" // the same again at Until
)

// MailResult says what became of a message.
type MailResult struct {
	Outcome string    `json:"outcome"`
	Reason  string    `json:"reason,omitempty"`
	Until   time.Time `json:"until,omitzero"`
	// Unsent: nobody can have got it, so what it says may still change. Else a second try must say the same.
	Unsent    bool   `json:"unsent,omitempty"`
	Ticket    Ticket `json:"ticket,omitzero"`
	MessageID string `json:"message_id,omitempty"`
}

// Ticket is where a site's conversation in Request Tracker has got to; the zero value has none.
type Ticket struct {
	ID    int    `json:"id"`
	Robot string `json:"robot"`          // who Monitor is there
	Said  int    `json:"said"`           // the last transaction that is Monitor's own reply, or that was there before it
	Seen  int    `json:"seen"`           // replies of people up to here are known
	Test  bool   `json:"test,omitempty"` // made in test mode: nobody but the test address is on it
}

// FollowInput looks at a site's ticket.
type FollowInput struct {
	Site   string `json:"site"`
	Ticket Ticket `json:"ticket"`
}

// FollowResult is what people wrote to a ticket since Monitor last looked.
type FollowResult struct {
	Ticket Ticket    `json:"ticket"`
	By     string    `json:"by,omitempty"` // who wrote last; empty: nobody
	At     time.Time `json:"at,omitzero"`
	Away   string    `json:"away,omitempty"` // why the ticket could not be seen
	Gone   bool      `json:"gone,omitempty"` // there is no such ticket any more
}

// NoteInput leaves a note in a site's ticket, unless Monitor has left one since the transaction After.
type NoteInput struct {
	Ticket Ticket `json:"ticket"`
	After  int    `json:"after"`
	Text   string `json:"text"`
}

// ResolveInput ends a site's ticket. Key names the note that goes with it.
type ResolveInput struct {
	Site   string `json:"site"`
	Key    string `json:"key"`
	Ticket Ticket `json:"ticket"`
}
