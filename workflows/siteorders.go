package workflows

import (
	"errors"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
)

// listen sets up what issues and operators may ask of a site.
func (s *site) listen(ctx workflow.Context) error {
	err := workflow.SetQueryHandlerWithOptions(ctx, QueryStatus, func() (SiteState, error) { return s.SiteState, nil },
		workflow.QueryHandlerOptions{Description: "The site's penalty level, who holds it, its ticket, and what is about to be said"})
	if err != nil {
		return err
	}
	err = workflow.SetUpdateHandlerWithOptions(ctx, activities.UpdateLean, func(ctx workflow.Context, l activities.Lean) (activities.SiteAnswer, error) {
		// A new site is asked before it knows its own times.
		if err := workflow.Await(ctx, func() bool { return s.Times.Day > 0 }); err != nil {
			return activities.SiteAnswer{}, err
		}
		s.lean(workflow.Now(ctx), l)
		return activities.SiteAnswer{Level: s.Level, Reason: s.Reason}, nil
	}, workflow.UpdateHandlerOptions{Description: "An issue asks for mail and holds a penalty level"})
	if err != nil {
		return err
	}
	err = workflow.SetUpdateHandlerWithOptions(ctx, activities.UpdateRelease, func(ctx workflow.Context, r activities.Release) (activities.SiteAnswer, error) {
		if err := workflow.Await(ctx, func() bool { return s.Times.Day > 0 }); err != nil {
			return activities.SiteAnswer{}, err
		}
		s.release(workflow.Now(ctx), r)
		return activities.SiteAnswer{Level: s.Level, Reason: s.Reason}, nil
	}, workflow.UpdateHandlerOptions{Description: "An issue lets its hold go, and may ask for a thank-you"})
	if err != nil {
		return err
	}
	s.orders = workflow.NewSelector(ctx)
	for _, name := range []string{string(issue.OrderPause), string(issue.OrderResume)} {
		if err := s.obey(ctx, name); err != nil {
			return err
		}
	}
	workflow.GoNamed(ctx, "orders", func(ctx workflow.Context) {
		for ctx.Err() == nil {
			s.orders.Select(ctx)
		}
	})
	return nil
}

func (s *site) rouse() { s.wake.SendAsync(struct{}{}) }

func (s *site) lean(now time.Time, l activities.Lean) {
	s.Holds[l.Ref.ID] = max(l.Level, s.Holds[l.Ref.ID])
	s.Forecasts[l.Ref.ID] = l.Forecast
	l.Forecast = nil
	s.gather(now, l)
	s.rouse()
}

func (s *site) release(now time.Time, r activities.Release) {
	delete(s.Holds, r.Ref.ID)
	delete(s.Forecasts, r.Ref.ID)
	// What was gathered about a problem that is over need not be said.
	s.Pending = slices.DeleteFunc(s.Pending, func(n activities.Lean) bool { return n.Ref.ID == r.Ref.ID && n.Kind != "online" })
	if r.Thanks {
		s.say(activities.Lean{Key: r.Key, Ref: r.Ref, Kind: "online", Level: s.Level, Since: r.Since, NotBefore: now.Add(s.Times.ThanksGrace)})
	}
	s.rouse()
}

// obey takes an operator's order as a Signal, for plain command lines, and as an Update, which checks and answers.
func (s *site) obey(ctx workflow.Context, name string) error {
	const about = "Hold the site's penalty level where it is, or let it rise again: {\"reason\",\"by\",\"until\"}"
	err := workflow.SetUpdateHandlerWithOptions(ctx, name, func(_ workflow.Context, c issue.Command) (SiteState, error) {
		s.apply(name, c)
		return s.SiteState, nil
	}, workflow.UpdateHandlerOptions{
		Description: about,
		Validator:   func(ctx workflow.Context, c issue.Command) error { return s.check(name, c, workflow.Now(ctx)) },
	})
	if err != nil {
		return err
	}
	s.orders.AddReceive(workflow.GetSignalChannelWithOptions(ctx, name, workflow.SignalChannelOptions{Description: about}), func(ch workflow.ReceiveChannel, _ bool) {
		var c issue.Command
		if ch.ReceiveAsync(&c) && s.check(name, c, workflow.Now(ctx)) == nil { // the SDK drops what it cannot decode
			s.apply(name, c)
		}
		s.rouse()
	})
	return nil
}

// hear takes the orders that have come and says whether there were any: none may be lost where a run ends or begins anew.
func (s *site) hear(ctx workflow.Context) bool {
	heard := false
	for s.orders.HasPending() {
		s.orders.Select(ctx)
		heard = true
	}
	return heard
}

func (s *site) check(name string, c issue.Command, now time.Time) error {
	switch {
	case name == string(issue.OrderPause) && !c.Until.IsZero() && !c.Until.After(now):
		return errors.New("pause: until lies in the past; give a time ahead, as 2026-12-24T12:00:00Z")
	case name == string(issue.OrderResume) && !s.Paused:
		return errors.New("resume: the site is not paused")
	}
	return nil
}

func (s *site) apply(name string, c issue.Command) {
	s.unpause()
	if name == string(issue.OrderPause) {
		s.Paused, s.PausedUntil, s.PauseReason = true, c.Until, orderText(c)
	}
	s.rouse()
}

func orderText(c issue.Command) string {
	s := c.Reason
	if s == "" {
		s = "no reason given"
	}
	if c.By != "" {
		s += " (" + c.By + ")"
	}
	return s
}

// quick is for activities that ask and tell; they are tried until they get through, however long Postgres or PLC is away.
func quick(ctx workflow.Context, summary string) workflow.Context { return patient(ctx, summary) }
