package workflows

import (
	"fmt"
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
	// Holds are the levels that open issues ask for, by issue id. The site's level is the highest of them.
	Holds       map[string]int     `json:"holds"`
	Pending     []activities.Lean  `json:"pending"`
	Applied     activities.Applied `json:"applied"`
	NextTry     time.Time          `json:"next_try,omitzero"`   // a refused raise is asked for again then
	NextCheck   time.Time          `json:"next_check,omitzero"` // the level that holds is read back from PLC then
	Reason      string             `json:"reason"`              // why the level is what it is
	Steps       int                `json:"steps"`               // numbers the site's own effects
	Paused      bool               `json:"paused"`
	PausedUntil time.Time          `json:"paused_until,omitzero"`
}

type site struct {
	SiteState
	checks bool // whether this run reads its level back; runs that began before it could do not
	wake   workflow.Channel
}

// Site is the entity site/<login_base>: it owns the penalty level and writes the mail. It starts with the first issue that
// leans on the site and ends when nothing is held and nothing is left to say.
//
// Lean and Release are Updates and not Signals because the issue that calls needs the answer: which level it holds now.
func Site(ctx workflow.Context, state SiteState) (SiteState, error) {
	s := &site{SiteState: state, wake: workflow.NewBufferedChannel(ctx, 64)}
	if s.Holds == nil {
		s.Holds = map[string]int{}
	}
	if s.Site == "" {
		s.Site = strings.TrimPrefix(workflow.GetInfo(ctx).WorkflowExecution.ID, activities.SiteType+"/")
	}
	if err := s.listen(ctx); err != nil {
		return s.SiteState, err
	}
	s.checks = workflow.GetVersion(ctx, "read penalties back", workflow.DefaultVersion, 1) >= 1
	var a *activities.Activities
	if s.Times.Day == 0 {
		if err := workflow.ExecuteActivity(quick(ctx, "read policy"), a.SitePolicy).Get(ctx, &s.Times); err != nil {
			return s.SiteState, err
		}
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, AttrType.ValueSet(activities.SiteType), AttrSite.ValueSet(s.Site), AttrPenalty.ValueSet(int64(s.Level))); err != nil {
		return s.SiteState, err
	}
	for {
		s.describe(ctx)
		now := workflow.Now(ctx)
		want, at := s.wanted(), s.due()
		if s.Paused && !s.PausedUntil.IsZero() && !now.Before(s.PausedUntil) {
			s.Paused, s.PausedUntil = false, time.Time{}
		}
		var err error
		switch {
		case want < s.Level, want > s.Level && !s.Paused && !now.Before(s.NextTry):
			err = s.step(ctx, want)
		case s.checks && s.Level > 0 && !now.Before(s.NextCheck):
			err = s.readBack(ctx)
		case !at.IsZero() && !now.Before(at):
			err = s.mail(ctx, now)
		case want == 0 && s.Level == 0 && len(s.Pending) == 0 && len(s.Holds) == 0 && workflow.AllHandlersFinished(ctx):
			return s.SiteState, nil
		case workflow.GetInfo(ctx).GetContinueAsNewSuggested() && workflow.AllHandlersFinished(ctx):
			return s.SiteState, workflow.NewContinueAsNewError(ctx, Site, s.SiteState)
		default:
			err = s.sleep(ctx, s.wakeAt(want, at))
		}
		if err != nil {
			return s.SiteState, err
		}
	}
}

func (s *site) wanted() int {
	level := 0
	for _, id := range workflow.DeterministicKeys(s.Holds) {
		level = max(level, s.Holds[id])
	}
	return level
}

// due is when the next gathered message may go: group wait after its first notice.
func (s *site) due() time.Time {
	var at time.Time
	for _, n := range s.Pending {
		if at.IsZero() || n.NotBefore.Before(at) {
			at = n.NotBefore
		}
	}
	return at
}

func (s *site) wakeAt(want int, at time.Time) time.Time {
	until := at
	if want > s.Level && !s.Paused && (until.IsZero() || s.NextTry.Before(until)) {
		until = s.NextTry
	}
	if s.checks && s.Level > 0 && (until.IsZero() || s.NextCheck.Before(until)) {
		until = s.NextCheck
	}
	if s.Paused && !s.PausedUntil.IsZero() && (until.IsZero() || s.PausedUntil.Before(until)) {
		until = s.PausedUntil
	}
	return until
}

// step asks for one step up, or for as many down as are no longer held.
func (s *site) step(ctx workflow.Context, want int) error {
	to := want
	if to > s.Level {
		to = s.Level + 1
	}
	s.Steps++
	var a *activities.Activities
	var res activities.PenaltyResult
	err := workflow.ExecuteActivity(quick(ctx, fmt.Sprintf("penalty %d to %d", s.Level, to)), a.SetPenalty, activities.PenaltyInput{
		Site: s.Site, Key: s.key(ctx), From: s.Level, To: to, LastRaise: s.LastRaise, Applied: s.Applied, Reason: s.holders(),
	}).Get(ctx, &res)
	if err != nil {
		return err
	}
	return s.took(ctx, res)
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
		return s.took(ctx, res)
	}
	s.Applied = res.Applied
	if res.Reason != "" {
		s.Reason = res.Reason
	}
	return nil
}

// took takes over what became of the level, and what there is to say about it.
func (s *site) took(ctx workflow.Context, res activities.PenaltyResult) error {
	now, was := workflow.Now(ctx), s.Level
	s.Level, s.Applied, s.Reason = res.Level, res.Applied, res.Reason
	switch {
	case s.Level > was:
		s.LastRaise, s.NextTry, s.NextCheck = now, now.Add(s.Times.PenaltyStep), now.Add(s.Times.Day)
		s.say(activities.Lean{Kind: "penalty", Level: s.Level, Evidence: []string{res.Reason}, Since: now, NotBefore: now})
	case s.Level < was && s.Level == 0:
		s.say(activities.Lean{Kind: "cleared", Level: was, Evidence: []string{res.Reason}, Since: now, NotBefore: now})
	case s.Level == was:
		s.NextTry = res.Until
		if !s.NextTry.After(now) {
			s.NextTry = now.Add(s.Times.Day / 2)
		}
		return nil
	}
	return workflow.UpsertTypedSearchAttributes(ctx, AttrPenalty.ValueSet(int64(s.Level)))
}

// mail sends what has gathered: everything of one kind in one message.
func (s *site) mail(ctx workflow.Context, now time.Time) error {
	kinds := map[string][]activities.Lean{}
	var order []string
	var keep []activities.Lean
	for _, n := range s.Pending {
		if n.NotBefore.After(now) {
			keep = append(keep, n)
			continue
		}
		if kinds[n.Kind] == nil {
			order = append(order, n.Kind)
		}
		kinds[n.Kind] = append(kinds[n.Kind], n)
	}
	s.Pending = keep
	var a *activities.Activities
	for _, kind := range order {
		s.Steps++
		level := s.Level
		for _, n := range kinds[kind] { // good news reaches everybody who got the bad
			level = max(level, n.Level*btoi(kind == "cleared" || kind == "online"))
		}
		err := workflow.ExecuteActivity(quick(ctx, "mail "+kind), a.SendNotices, activities.MailInput{
			Site: s.Site, Key: s.key(ctx), Level: level, Kind: kind, Notices: kinds[kind],
		}).Get(ctx, nil)
		if err != nil {
			return err
		}
	}
	return nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (s *site) sleep(ctx workflow.Context, until time.Time) error {
	timerCtx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	sel := workflow.NewSelector(ctx)
	sel.AddReceive(s.wake, func(ch workflow.ReceiveChannel, _ bool) { ch.Receive(ctx, nil) })
	if !until.IsZero() {
		timer := workflow.NewTimerWithOptions(timerCtx, until.Sub(workflow.Now(ctx)), workflow.TimerOptions{Summary: "next mail or penalty step"})
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
	ids := workflow.DeterministicKeys(s.Holds)
	if len(ids) == 0 {
		return "no open issue holds it any more"
	}
	return "held by " + strings.Join(ids, ", ")
}

// say gathers a notice, once for each key.
func (s *site) say(n activities.Lean) {
	if n.Key != "" && slices.ContainsFunc(s.Pending, func(p activities.Lean) bool { return p.Key == n.Key }) {
		return
	}
	s.Pending = append(s.Pending, n)
}

func (s *site) listen(ctx workflow.Context) error {
	err := workflow.SetQueryHandlerWithOptions(ctx, QueryStatus, func() (SiteState, error) { return s.SiteState, nil },
		workflow.QueryHandlerOptions{Description: "The site's penalty level, who holds it, and what is about to be said"})
	if err != nil {
		return err
	}
	wake := func() { s.wake.SendAsync(struct{}{}) }
	err = workflow.SetUpdateHandlerWithOptions(ctx, activities.UpdateLean, func(ctx workflow.Context, l activities.Lean) (activities.SiteAnswer, error) {
		// A new site is asked before it knows its own times.
		if err := workflow.Await(ctx, func() bool { return s.Times.Day > 0 }); err != nil {
			return activities.SiteAnswer{}, err
		}
		if l.Level > 0 {
			s.Holds[l.Ref.ID] = max(l.Level, s.Holds[l.Ref.ID])
		}
		if l.NotBefore.IsZero() {
			l.NotBefore = workflow.Now(ctx).Add(s.Times.GroupWait)
		}
		if first := s.due(); !first.IsZero() && first.After(workflow.Now(ctx)) && first.Before(l.NotBefore) {
			l.NotBefore = first
		}
		s.say(l)
		defer wake()
		return activities.SiteAnswer{Level: s.Level, Reason: s.Reason}, nil
	}, workflow.UpdateHandlerOptions{Description: "An issue asks for mail and holds a penalty level"})
	if err != nil {
		return err
	}
	err = workflow.SetUpdateHandlerWithOptions(ctx, activities.UpdateRelease, func(ctx workflow.Context, r activities.Release) (activities.SiteAnswer, error) {
		if err := workflow.Await(ctx, func() bool { return s.Times.Day > 0 }); err != nil {
			return activities.SiteAnswer{}, err
		}
		delete(s.Holds, r.Ref.ID)
		// What was gathered about a problem that is over need not be said.
		s.Pending = slices.DeleteFunc(s.Pending, func(n activities.Lean) bool { return n.Ref.ID == r.Ref.ID && n.Kind != "online" })
		if r.Thanks {
			s.say(activities.Lean{Key: r.Key, Ref: r.Ref, Kind: "online", Level: s.Level, Since: r.Since, NotBefore: workflow.Now(ctx).Add(s.Times.ThanksGrace)})
		}
		defer wake()
		return activities.SiteAnswer{Level: s.Level, Reason: s.Reason}, nil
	}, workflow.UpdateHandlerOptions{Description: "An issue lets its hold go, and may ask for a thank-you"})
	if err != nil {
		return err
	}
	for _, name := range []string{CommandPause, CommandResume} {
		apply := func(c Command) {
			s.Paused = name == CommandPause
			s.PausedUntil = c.Until
			wake()
		}
		err := workflow.SetUpdateHandlerWithOptions(ctx, name, func(ctx workflow.Context, c Command) (SiteState, error) {
			apply(c)
			return s.SiteState, nil
		}, workflow.UpdateHandlerOptions{Description: "Hold the site's penalty level where it is, or let it rise again"})
		if err != nil {
			return err
		}
		ch := workflow.GetSignalChannel(ctx, name)
		workflow.GoNamed(ctx, name, func(ctx workflow.Context) {
			for ctx.Err() == nil {
				var c Command
				if !ch.Receive(ctx, &c) {
					return
				}
				apply(c)
			}
		})
	}
	return nil
}

func (s *site) describe(ctx workflow.Context) {
	text := fmt.Sprintf("**%s**: penalty level %d, %s", s.Site, s.Level, s.holders())
	if s.Reason != "" {
		text += "\n\n" + s.Reason
	}
	if s.Paused {
		text += "\n\nPaused"
	}
	workflow.SetCurrentDetails(ctx, text)
}
