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

// Batch is a range of targets for one probe activity: ids above After, at most Limit.
type Batch struct {
	After int64 `json:"after"`
	Limit int   `json:"limit"`
}

// SweepInput starts a sweep; the schedule gives none.
type SweepInput struct {
	// Believe is an operator's word that the fleet really is as it looks, and why. The fleet guard then lets the sweep's news pass.
	Believe string `json:"believe,omitempty"`
}

// Plan is what a sweep will look at.
type Plan struct {
	Believe string    `json:"believe,omitempty"`
	Started time.Time `json:"started"`
	Nodes   []Batch   `json:"nodes"`
	PCUs    []Batch   `json:"pcus"`
	// PLC says whether PLC answered; when it did not, the sweep looks but nothing is opened.
	PLC string `json:"plc"`
}

// SweepResult counts what a sweep saw and did.
type SweepResult struct {
	Nodes   int    `json:"nodes"`
	PCUs    int    `json:"pcus"`
	Up      int    `json:"up"`
	Opened  int    `json:"opened"`
	Cleared int    `json:"cleared"`
	Held    string `json:"held,omitempty"` // why the fleet guard held everything back
}
