// Package activities is everything Monitor can do to the world: look, reboot, reinstall, lean on a site, write to its
// people, keep the record. An activity gets names and numbers, looks secrets up itself, looks again before it acts, and
// answers with an outcome and the reason for it.
package activities

import (
	"time"

	"github.com/planetlab/monitor/issue"
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

	SignalRecovered = "cleared"
	SignalPCUBack   = "pcuback"
	SignalRetry     = "retry"
	UpdateLean      = "lean"
	UpdateRelease   = "release"
)

// Failures that no retry can mend; the names stand in workflow histories.
const (
	ErrNoSuchTarget = "no such target"
	ErrBadInput     = "bad input"
)

// OpenRequest asks for a new issue: which workflow asks, and what its opener knew.
type OpenRequest struct {
	Ref   Ref         `json:"ref"`
	Input issue.Input `json:"input"`
}

// CloseRequest ends an issue. Unless Force, a fresh look must find its target good.
type CloseRequest struct {
	State issue.State `json:"state"`
	Force bool        `json:"force,omitempty"`
}

// Ref names an open issue and what it is about.
type Ref = issue.Ref

// Step is one coming rung as people are told of it.
type Step struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
}

// Lean asks a site's workflow to write to its people and to hold a penalty level for an issue.
type Lean struct {
	Key      string         `json:"key"`
	Ref      Ref            `json:"ref"`
	Level    int            `json:"level"`
	Kind     string         `json:"kind"`
	Since    time.Time      `json:"since"`
	Evidence []string       `json:"evidence,omitempty"`
	Tried    []string       `json:"tried,omitempty"`
	Fix      string         `json:"fix,omitempty"`
	Forecast []Step         `json:"forecast,omitempty"`
	Deeds    []issue.Deed   `json:"deeds,omitempty"`
	Coming   []issue.Coming `json:"coming,omitempty"`
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
