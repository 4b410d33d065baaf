package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
)

// Outbox is the message that is on its way. While nobody can have got it, its notices go back to those that gather and only
// the key stays; once somebody may have, it stays as it is until it is surely out.
type Outbox struct {
	Key     string            `json:"key,omitempty"`
	Notices []activities.Lean `json:"notices,omitempty"`
	Next    time.Time         `json:"next,omitzero"` // not before this time
}

// mostThread is how many Message-IDs a mail refers to: the first, and the latest.
const mostThread = 10

// say gathers a notice, once for each key.
func (s *site) say(n activities.Lean) {
	same := func(p activities.Lean) bool { return p.Key == n.Key }
	if n.Key != "" && (slices.ContainsFunc(s.Pending, same) || slices.ContainsFunc(s.Outbox.Notices, same)) {
		return
	}
	s.Pending = append(s.Pending, n)
}

// gather keeps a notice for the next message: the one that waits already, or one that waits for more.
func (s *site) gather(now time.Time, n activities.Lean) {
	n.NotBefore = now.Add(s.Times.GroupWait)
	if first := s.mailAt(); first.After(now) && first.Before(n.NotBefore) {
		n.NotBefore = first
	}
	s.say(n)
}

// mailAt is when the next message may go: group wait after its first notice, and not while what carries it is away.
func (s *site) mailAt() time.Time {
	if len(s.Outbox.Notices) > 0 {
		return s.Outbox.Next
	}
	var at time.Time
	for _, n := range s.Pending {
		at = sooner(at, n.NotBefore)
	}
	if !at.IsZero() && at.Before(s.Outbox.Next) {
		return s.Outbox.Next
	}
	return at
}

// mail sends all that is due in one message.
func (s *site) mail(ctx workflow.Context, now time.Time) error {
	out := &s.Outbox
	sealed := len(out.Notices) > 0
	if !sealed {
		var keep []activities.Lean
		for _, n := range s.Pending {
			if n.NotBefore.After(now) {
				keep = append(keep, n)
			} else {
				out.Notices = append(out.Notices, n)
			}
		}
		s.Pending = keep
	}
	if out.Key == "" {
		s.Steps++
		out.Key = s.key(ctx)
	}
	level := s.Level
	for _, n := range out.Notices { // good news reaches everybody who got the bad
		if n.Kind == "cleared" || n.Kind == "online" {
			level = max(level, n.Level)
		}
	}
	var a *activities.Activities
	var res activities.MailResult
	err := workflow.ExecuteActivity(quick(ctx, fmt.Sprintf("write to %s: %d notices", s.Site, len(out.Notices))), a.SendNotices, activities.MailInput{
		Site: s.Site, Key: out.Key, Level: level, Notices: out.Notices, Forecast: s.forecast(now),
		Ticket: s.Ticket, Thread: s.Thread, ReplyPause: s.Times.ReplyPause,
	}).Get(ctx, &res)
	if err != nil {
		return err
	}
	if s.Ticket.ID == 0 && res.Ticket.ID != 0 {
		s.Looked = workflow.Now(ctx)
	}
	s.Ticket = res.Ticket
	if res.Outcome == activities.MailWait {
		out.Next, s.Waits = s.later(ctx, res.Until), res.Reason
		if res.Unsent && !sealed {
			s.Pending, out.Notices = append(out.Notices, s.Pending...), nil
		}
		return nil
	}
	*out, s.Waits = Outbox{}, ""
	if res.MessageID != "" {
		s.Thread = append(s.Thread, res.MessageID)
		if len(s.Thread) > mostThread {
			s.Thread = slices.Delete(s.Thread, 1, 2)
		}
	}
	return nil
}

// later is a time ahead: what was asked for, or an hour.
func (s *site) later(ctx workflow.Context, at time.Time) time.Time {
	if now := workflow.Now(ctx); !at.After(now) {
		return now.Add(s.hour())
	}
	return at
}

// forecast is what comes next for the site if nothing changes: what its issues said, and what its level does.
func (s *site) forecast(now time.Time) []activities.Step {
	var steps []activities.Step
	for _, id := range workflow.DeterministicKeys(s.Forecasts) {
		for _, f := range s.Forecasts[id] {
			if f.At.After(now) {
				steps = append(steps, f)
			}
		}
	}
	switch {
	case s.wanted() == 0:
	case s.Paused && !s.PausedUntil.IsZero():
		steps = slices.DeleteFunc(steps, func(f activities.Step) bool { return f.At.Before(s.PausedUntil) })
		steps = append(steps, activities.Step{At: s.PausedUntil, What: "the time that was asked for is over; until then no further limit is set"})
	case s.rises():
		what := "apply penalty"
		if s.Level > 0 {
			what = "apply second penalty"
		}
		steps = append(steps, activities.Step{At: s.NextTry, What: what})
	}
	return steps
}

// lookAt is when the ticket is next looked at; zero is never.
func (s *site) lookAt() time.Time {
	if s.Ticket.ID == 0 || s.idle() {
		return time.Time{}
	}
	every := s.Times.TicketLook
	if every <= 0 { // a site from before there were tickets
		every = s.Times.Day / 2
	}
	return s.Looked.Add(every)
}

// follow looks whether somebody at the site has answered. While the tracker is away nobody knows, and so the level does not
// rise.
func (s *site) follow(ctx workflow.Context) error {
	var a *activities.Activities
	var res activities.FollowResult
	err := workflow.ExecuteActivity(quick(ctx, fmt.Sprintf("look at ticket %d", s.Ticket.ID)), a.FollowTicket, activities.FollowInput{Site: s.Site, Ticket: s.Ticket}).Get(ctx, &res)
	if err != nil {
		return err
	}
	now := workflow.Now(ctx)
	s.Looked = now
	if res.Away != "" {
		s.Waits = res.Away
		if next := now.Add(s.hour()); s.NextTry.Before(next) {
			s.NextTry = next
		}
		return nil
	}
	if len(s.Outbox.Notices) == 0 && s.Outbox.Key == "" {
		s.Waits = ""
	}
	s.Ticket = res.Ticket
	if res.By == "" {
		return nil
	}
	return s.answered(ctx, res.By, now)
}

// answered holds the penalties for a time: somebody at the site is at work on it. An operator's longer pause stays.
func (s *site) answered(ctx workflow.Context, by string, now time.Time) error {
	pause := s.Times.ReplyPause
	if pause <= 0 {
		pause = 30 * s.Times.Day
	}
	until := now.Add(pause)
	if s.ordered() && (s.PausedUntil.IsZero() || s.PausedUntil.After(until)) {
		return nil
	}
	s.Paused, s.PausedUntil, s.AnsweredAt = true, until, now
	s.PauseReason = fmt.Sprintf("%s answered ticket %d", by, s.Ticket.ID)
	note := workflow.WithRetryPolicy(quick(ctx, "note the pause"), temporal.RetryPolicy{MaximumAttempts: 3})
	var a *activities.Activities
	err := workflow.ExecuteActivity(note, a.NoteTicket, activities.NoteInput{Ticket: s.Ticket, After: s.Ticket.Seen, Text: fmt.Sprintf(
		"Monitor keeps %s at penalty level %d until %s, since %s answered.\n\nTo let it go on earlier: monitor site resume %s\nTo hold it longer: monitor site pause %s --until DATE\n",
		s.Site, s.Level, until.UTC().Format(time.RFC3339), by, s.Site, s.Site)}).Get(ctx, nil)
	if err != nil && ctx.Err() == nil {
		workflow.GetLogger(ctx).Warn("the ticket has no note of the pause", "site", s.Site, "error", err)
	}
	return ctx.Err()
}

// resolve ends the ticket: every issue has let go, and thanks are said.
func (s *site) resolve(ctx workflow.Context, now time.Time) error {
	if s.Outbox.Next.After(now) {
		return s.sleep(ctx, s.Outbox.Next)
	}
	if s.Outbox.Key == "" {
		s.Steps++
		s.Outbox.Key = s.key(ctx)
	}
	var a *activities.Activities
	var res activities.MailResult
	err := workflow.ExecuteActivity(quick(ctx, fmt.Sprintf("resolve ticket %d", s.Ticket.ID)), a.ResolveTicket,
		activities.ResolveInput{Site: s.Site, Key: s.Outbox.Key + "/resolve", Ticket: s.Ticket}).Get(ctx, &res)
	if err != nil {
		return err
	}
	if res.Outcome == activities.MailWait {
		s.Outbox.Next, s.Waits = s.later(ctx, res.Until), res.Reason
		return nil
	}
	s.Ticket, s.Outbox, s.Waits = activities.Ticket{}, Outbox{}, ""
	return nil
}
