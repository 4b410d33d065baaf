package workflows

import (
	"errors"

	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/site"
)

// SiteAnswer answers an operator's order to a site: where it stands now, and what the order came too late for.
type SiteAnswer struct {
	site.State
	TooLate string `json:"too_late,omitempty"`
}

// listen sets up what issues, sweeps and operators may ask of a site.
func (r *siteRun) listen(ctx workflow.Context) error {
	err := workflow.SetQueryHandlerWithOptions(ctx, QueryStatus, func() (site.State, error) { return r.State, nil },
		workflow.QueryHandlerOptions{
			Description: "What the site is denied, who holds it, its ticket, and what is about to be said",
		})
	if err != nil {
		return err
	}
	err = workflow.SetUpdateHandlerWithOptions(ctx, site.UpdateHold,
		func(ctx workflow.Context, h site.HoldRequest) (site.Answer, error) {
			return r.asked(ctx, func() site.Answer { return r.Hold(workflow.Now(ctx), h) })
		}, workflow.UpdateHandlerOptions{
			Description: "An issue asks for a message, and holds a penalty level",
			Validator:   func(h site.HoldRequest) error { return h.Check() },
		})
	if err != nil {
		return err
	}
	err = workflow.SetUpdateHandlerWithOptions(ctx, site.UpdateRelease,
		func(ctx workflow.Context, l site.Release) (site.Answer, error) {
			return r.asked(ctx, func() site.Answer { return r.Release(workflow.Now(ctx), l) })
		}, workflow.UpdateHandlerOptions{
			Description: "An issue lets its hold go, and may ask for a thank-you",
			Validator:   func(l site.Release) error { return l.Check() },
		})
	if err != nil {
		return err
	}
	r.orders = workflow.NewSelector(ctx)
	look := workflow.GetSignalChannelWithOptions(ctx, site.SignalLook,
		workflow.SignalChannelOptions{Description: "Read back now what the site is denied, and why"})
	r.orders.AddReceive(look, func(ch workflow.ReceiveChannel, _ bool) {
		ch.ReceiveAsync(nil)
		r.Look(workflow.Now(ctx))
		r.wake()
	})
	for _, o := range site.Orders() {
		if err := r.takeOrder(ctx, o); err != nil {
			return err
		}
	}
	workflow.GoNamed(ctx, "orders", func(ctx workflow.Context) {
		for ctx.Err() == nil {
			r.orders.Select(ctx)
		}
	})
	return nil
}

func (r *siteRun) wake() { r.news.SendAsync(struct{}{}) }

// asked answers an issue. A site that has just started reads the store first.
func (r *siteRun) asked(ctx workflow.Context, do func() site.Answer) (site.Answer, error) {
	if err := workflow.Await(ctx, func() bool { return r.Known || r.Ending }); err != nil {
		return site.Answer{}, err
	}
	if r.Ending {
		return site.Answer{}, errors.New("the site's workflow is cancelled: ask again, and a new one starts")
	}
	a := do()
	r.changed()
	return a, nil
}

// changed cancels a step under way that must not act any more, and wakes the site.
func (r *siteRun) changed() {
	if r.cancel != nil && r.Forbids() {
		r.cancel()
	}
	r.wake()
}

// takeOrder takes an operator's order as a Signal, for plain command lines, and as an Update, which checks and answers
// what became of it.
func (r *siteRun) takeOrder(ctx workflow.Context, o issue.Order) error {
	err := workflow.SetUpdateHandlerWithOptions(ctx, string(o),
		func(ctx workflow.Context, c issue.Command) (SiteAnswer, error) {
			was := r.Level
			r.Obey(o, c, workflow.Now(ctx))
			forbidden := r.Running == site.Raise && r.Forbids()
			r.changed()
			if forbidden { // the step may be past its point of no return: the answer says what became of it
				settled := func() bool { return r.Running != site.Raise && (!r.Unsure || r.Failures > 0) }
				if err := workflow.Await(ctx, settled); err != nil {
					return SiteAnswer{}, err
				}
			}
			a := SiteAnswer{State: r.State}
			switch {
			case forbidden && r.Level > was:
				a.TooLate = "the level had been raised already"
			case forbidden && r.Unsure:
				a.TooLate = "whether the level was raised is not known yet: " + r.Blocked
			}
			return a, nil
		}, workflow.UpdateHandlerOptions{
			Description: site.About(o),
			Validator:   func(ctx workflow.Context, c issue.Command) error { return r.Check(o, c, workflow.Now(ctx)) },
		})
	if err != nil {
		return err
	}
	r.orders.AddReceive(workflow.GetSignalChannelWithOptions(ctx, string(o),
		workflow.SignalChannelOptions{Description: site.About(o)}), func(ch workflow.ReceiveChannel, _ bool) {
		var c issue.Command
		if ch.ReceiveAsync(&c) && r.Check(o, c, workflow.Now(ctx)) == nil { // the SDK drops what it cannot decode
			r.Obey(o, c, workflow.Now(ctx))
		}
		r.changed()
	})
	return nil
}

// drainCommands takes the orders that have come and says whether there were any: none may be lost where a run ends or
// begins anew.
func (r *siteRun) drainCommands(ctx workflow.Context) bool {
	heard := false
	for r.orders.HasPending() {
		r.orders.Select(ctx)
		heard = true
	}
	return heard
}
