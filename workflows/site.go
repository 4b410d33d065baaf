package workflows

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
)

// SiteState is everything a site's workflow remembers. It must stay decodable: it is carried over continue-as-new.
type SiteState struct {
	Site      string               `json:"site"`
	Times     activities.SiteTimes `json:"times"`
	Level     int                  `json:"level"`
	LastRaise time.Time            `json:"last_raise,omitzero"`
	// Holds are the levels that open issues ask for, by issue id; 0 is an issue that only writes. The site's level is the
	// highest of them.
	Holds     map[string]int     `json:"holds"`
	Applied   activities.Applied `json:"applied"`
	NextTry   time.Time          `json:"next_try,omitzero"`   // a refused raise is asked for again then
	NextLower time.Time          `json:"next_lower,omitzero"` // and so is a refused fall
	NextCheck time.Time          `json:"next_check,omitzero"` // the level that holds is read back from PLC then
	Reason    string             `json:"reason"`              // why the level is what it is
	Steps     int                `json:"steps"`               // numbers the site's own effects

	// A pause holds the level where it is; it may still fall.
	Paused      bool      `json:"paused"`
	PausedUntil time.Time `json:"paused_until,omitzero"`
	PauseReason string    `json:"pause_reason,omitempty"`
	AnsweredAt  time.Time `json:"answered_at,omitzero"` // when somebody at the site answered and so began the pause

	Pending   []activities.Lean            `json:"pending"`
	Forecasts map[string][]activities.Step `json:"forecasts,omitempty"` // what each issue said that comes next
	Outbox    Outbox                       `json:"outbox,omitzero"`
	Thread    []string                     `json:"thread,omitempty"` // Message-IDs: the first and the latest
	Ticket    activities.Ticket            `json:"ticket,omitzero"`
	Looked    time.Time                    `json:"looked,omitzero"` // when the ticket was last looked at
	Waits     string                       `json:"waits,omitempty"` // what the site waits for, when something is away
}

type site struct {
	SiteState
	checks bool // whether this run reads its level back; runs that began before it could do not
	wake   workflow.Channel
	orders workflow.Selector
}

// Site is the entity site/<login_base>: it owns the penalty level, the ticket and the mail. It starts with the first issue that
// leans on the site and ends when every issue has let go, nothing is left to say, and no operator's pause is in force.
//
// Lean and Release are Updates and not Signals because the issue that calls needs the answer: which level it holds now.
func Site(ctx workflow.Context, state SiteState) (SiteState, error) {
	s := &site{SiteState: state, wake: workflow.NewBufferedChannel(ctx, 64)}
	if err := s.setup(ctx); err != nil {
		return s.SiteState, err
	}
	err := s.work(ctx)
	if err != nil && ctx.Err() != nil && s.Level > 0 { // a site that is cancelled must not be denied for ever what nobody remembers
		ctx, _ = workflow.NewDisconnectedContext(ctx)
		clear(s.Holds)
		err = s.step(ctx, 0)
	}
	return s.SiteState, err
}

// work does what is due, until nothing is left to do.
func (s *site) work(ctx workflow.Context) error {
	for {
		s.describe(ctx)
		now := workflow.Now(ctx)
		var err error
		switch {
		case s.Paused && !s.PausedUntil.IsZero() && !now.Before(s.PausedUntil):
			s.goOn(now)
		case s.falls() && !now.Before(s.NextLower):
			err = s.step(ctx, s.wanted())
		case s.rises() && !now.Before(s.NextTry):
			if s.Ticket.ID != 0 && now.Sub(s.Looked) >= s.hour() { // somebody may have answered a moment ago
				err = s.follow(ctx)
			} else {
				err = s.step(ctx, s.Level+1)
			}
		case due(s.checkAt(), now):
			err = s.readBack(ctx)
		case due(s.mailAt(), now):
			err = s.mail(ctx, now)
		case due(s.lookAt(), now):
			err = s.follow(ctx)
		case s.idle() && s.Ticket.ID != 0:
			err = s.resolve(ctx, now)
		case s.hear(ctx):
		case s.idle() && !s.ordered() && workflow.AllHandlersFinished(ctx):
			return nil
		case workflow.GetInfo(ctx).GetContinueAsNewSuggested() && workflow.AllHandlersFinished(ctx):
			return workflow.NewContinueAsNewError(ctx, Site, s.SiteState)
		default:
			err = s.sleep(ctx, s.wakeAt())
		}
		if err != nil {
			return err
		}
	}
}

func (s *site) setup(ctx workflow.Context) error {
	if s.Holds == nil {
		s.Holds = map[string]int{}
	}
	if s.Forecasts == nil {
		s.Forecasts = map[string][]activities.Step{}
	}
	if s.Site == "" {
		s.Site = strings.TrimPrefix(workflow.GetInfo(ctx).WorkflowExecution.ID, activities.SiteType+"/")
	}
	if err := s.listen(ctx); err != nil {
		return err
	}
	s.checks = workflow.GetVersion(ctx, "read penalties back", workflow.DefaultVersion, 1) >= 1
	var a *activities.Activities
	if s.Times.Day == 0 {
		if err := workflow.ExecuteActivity(quick(ctx, "read policy"), a.SitePolicy).Get(ctx, &s.Times); err != nil {
			return err
		}
	}
	return workflow.UpsertTypedSearchAttributes(ctx, AttrType.ValueSet(activities.SiteType), AttrSite.ValueSet(s.Site), AttrPenalty.ValueSet(int64(s.Level)))
}

func (s *site) wanted() int {
	level := 0
	for _, id := range workflow.DeterministicKeys(s.Holds) {
		level = max(level, s.Holds[id])
	}
	return level
}

func (s *site) falls() bool         { return s.wanted() < s.Level }
func (s *site) rises() bool         { return s.wanted() > s.Level && !s.Paused }
func (s *site) hour() time.Duration { return s.Times.Day / 24 }

// idle says that every issue has let go, nothing is denied and nothing is left to say.
func (s *site) idle() bool {
	return len(s.Holds) == 0 && s.Level == 0 && len(s.Pending) == 0 && len(s.Outbox.Notices) == 0
}

// ordered says that an operator's pause is in force. It outlives the issues that were open when it was given.
func (s *site) ordered() bool { return s.Paused && s.AnsweredAt.IsZero() }

func due(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

// sooner is the earlier of two times, of which a zero one is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// wakeAt is when the site next has something to do by itself.
func (s *site) wakeAt() time.Time {
	at := sooner(sooner(s.mailAt(), s.lookAt()), s.checkAt())
	if s.rises() {
		at = sooner(at, s.NextTry)
	}
	if s.falls() {
		at = sooner(at, s.NextLower)
	}
	if s.Paused {
		at = sooner(at, s.PausedUntil)
	}
	return at
}

// step asks for one step up, or for as many down as are no longer held.
func (s *site) step(ctx workflow.Context, to int) error {
	s.Steps++
	var a *activities.Activities
	var res activities.PenaltyResult
	err := workflow.ExecuteActivity(quick(ctx, fmt.Sprintf("penalty %d to %d", s.Level, to)), a.SetPenalty, activities.PenaltyInput{
		Site: s.Site, Key: s.key(ctx), From: s.Level, To: to, LastRaise: s.LastRaise, Applied: s.Applied, Reason: s.holders(),
	}).Get(ctx, &res)
	if err != nil {
		return err
	}
	return s.took(ctx, res, to)
}

// checkAt is when the level that holds is read back from PLC.
func (s *site) checkAt() time.Time {
	if !s.checks || s.Level == 0 {
		return time.Time{}
	}
	return s.NextCheck
}

// readBack looks once a day at what the level holds in PLC; what somebody lifted by hand is applied again there, and a site that is
// exempt by now is let go.
func (s *site) readBack(ctx workflow.Context) error {
	s.Steps++
	var a *activities.Activities
	var res activities.PenaltyResult
	err := workflow.ExecuteActivity(quick(ctx, fmt.Sprintf("read penalty %d back", s.Level)), a.CheckPenalty, activities.PenaltyInput{
		Site: s.Site, Key: s.key(ctx), From: s.Level, To: s.Level, Applied: s.Applied, Reason: s.holders(),
	}).Get(ctx, &res)
	if err != nil {
		return err
	}
	s.NextCheck = workflow.Now(ctx).Add(s.Times.Day)
	if res.Level < s.Level {
		return s.took(ctx, res, res.Level)
	}
	s.Applied = res.Applied
	if res.Reason != "" {
		s.Reason = res.Reason
	}
	return nil
}

// took takes over what became of the level, and gathers what there is to say about it.
func (s *site) took(ctx workflow.Context, res activities.PenaltyResult, to int) error {
	now, was := workflow.Now(ctx), s.Level
	s.Level, s.Applied, s.Reason = res.Level, res.Applied, res.Reason
	switch {
	case s.Level > was:
		s.LastRaise, s.NextTry, s.NextCheck = now, now.Add(s.Times.PenaltyStep), now.Add(s.Times.Day)
		s.gather(now, activities.Lean{Kind: "penalty", Level: s.Level, Evidence: []string{res.Reason}, Since: now})
	case s.Level < was && s.Level == 0:
		s.gather(now, activities.Lean{Kind: "cleared", Level: was, Evidence: []string{res.Reason}, Since: now})
	case s.Level == was:
		next := res.Until
		if !next.After(now) {
			next = now.Add(s.Times.Day / 2)
		}
		if to > was {
			s.NextTry = next
		} else {
			s.NextLower = next
		}
		return nil
	}
	return workflow.UpsertTypedSearchAttributes(ctx, AttrPenalty.ValueSet(int64(s.Level)))
}

// goOn ends a pause whose time is over, and has the site's people told where the level may still rise.
func (s *site) goOn(now time.Time) {
	if s.wanted() > 0 {
		s.gather(now, activities.Lean{Kind: "resumed", Level: s.Level, Evidence: []string{s.holders(), "held back until now: " + s.PauseReason}, Since: s.AnsweredAt})
	}
	s.unpause()
}

func (s *site) unpause() {
	s.Paused, s.PausedUntil, s.PauseReason, s.AnsweredAt = false, time.Time{}, "", time.Time{}
}

func (s *site) sleep(ctx workflow.Context, until time.Time) error {
	timerCtx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	sel := workflow.NewSelector(ctx)
	sel.AddReceive(s.wake, func(ch workflow.ReceiveChannel, _ bool) { ch.Receive(ctx, nil) })
	if !until.IsZero() {
		timer := workflow.NewTimerWithOptions(timerCtx, until.Sub(workflow.Now(ctx)), workflow.TimerOptions{Summary: "next mail, look at the ticket, or penalty step"})
		sel.AddFuture(timer, func(workflow.Future) {})
	}
	sel.AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) {})
	sel.Select(ctx)
	return ctx.Err()
}

func (s *site) key(ctx workflow.Context) string {
	e := workflow.GetInfo(ctx).WorkflowExecution
	return fmt.Sprintf("%s/%s/%d", e.ID, e.RunID, s.Steps)
}

func (s *site) holders() string {
	var ids []string
	for _, id := range workflow.DeterministicKeys(s.Holds) {
		if s.Holds[id] > 0 {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return "no open issue holds it any more"
	}
	return "held by " + strings.Join(ids, ", ")
}

func (s *site) describe(ctx workflow.Context) {
	text := fmt.Sprintf("**%s**: penalty level %d, %s", s.Site, s.Level, s.holders())
	if s.Reason != "" {
		text += "\n\n" + s.Reason
	}
	if s.Paused {
		text += "\n\nPaused: " + s.PauseReason
		if !s.PausedUntil.IsZero() {
			text += ", until " + s.PausedUntil.UTC().Format(time.RFC3339)
		}
	}
	if s.Ticket.ID != 0 {
		text += fmt.Sprintf("\n\nTicket %d", s.Ticket.ID)
	}
	if s.Waits != "" {
		text += "\n\nWaits: " + s.Waits
	}
	workflow.SetCurrentDetails(ctx, text)
}

// HoldersOf lists the open issues that have a word with a site, in order.
func HoldersOf(s SiteState) []string { return slices.Sorted(maps.Keys(s.Holds)) }
