package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
)

// Status answers the query and every update.
type Status struct {
	ID       string         `json:"id"`
	Type     string         `json:"type"`
	Target   string         `json:"target"`
	Site     string         `json:"site"`
	Status   issue.Status   `json:"status"`
	Cause    string         `json:"cause"`
	Evidence []string       `json:"evidence,omitempty"`
	Rung     int            `json:"rung"`
	Next     string         `json:"next"`
	NextAt   time.Time      `json:"next_at,omitzero"`
	Blocked  string         `json:"blocked,omitempty"` // why the next rung waits
	Check    string         `json:"check,omitempty"`   // the check of the gate that said so
	Level    int            `json:"penalty_level"`     // asked of the site
	Told     bool           `json:"told"`
	Coming   []issue.Coming `json:"coming,omitempty"`
	Deeds    []issue.Deed   `json:"deeds,omitempty"`
	Timeline []issue.Event  `json:"story"`
}

func (r *run) report() Status {
	s := Status{
		ID: r.Ref.ID, Type: r.typ.Name, Target: r.Ref.Target(), Site: r.Ref.Site, Status: r.State.Status,
		Cause: r.Cause, Evidence: r.Evidence,
		Rung: r.Rung, Level: r.Level, Told: r.Told, Deeds: r.Deeds, Timeline: r.Events,
	}
	switch {
	case r.Pause != nil:
		s.Blocked = "paused: " + r.Pause.String()
	case r.State.Blocked != nil:
		s.Blocked, s.Check = r.State.Blocked.Reason, r.State.Blocked.Check
	}
	if r.started {
		s.Next, s.NextAt = r.NextAt()
		s.Coming = r.Coming()
	}
	return s
}

// check refuses orders to an issue that has not been written down yet, besides those that the machine refuses.
func (r *run) check(ctx workflow.Context, o issue.Order, c issue.Command) error {
	if !r.started {
		return errors.New(string(o) + ": the issue is still opening; say it again in a moment")
	}
	return r.Check(o, c, workflow.Now(ctx))
}

// handleCommand carries out an order that check has passed, stops a rung that must not act any more, and wakes the
// issue.
func (r *run) handleCommand(ctx workflow.Context, o issue.Order, c issue.Command) {
	r.Obey(o, c, workflow.Now(ctx))
	r.interrupt()
}

// interrupt wakes the issue; a rung that must not act any more is cancelled.
func (r *run) interrupt() {
	if r.rung != nil && r.Forbids() {
		r.rung()
	}
	r.news.SendAsync(struct{}{})
}

// listen sets up the query, the updates, and one goroutine for the signals. An update is answered when what it asks for
// holds: where a rung is under way, after that has stopped, or has told that it was too late.
func (r *run) listen(ctx workflow.Context) error {
	err := workflow.SetQueryHandlerWithOptions(ctx, QueryStatus, func() (Status, error) { return r.report(), nil },
		workflow.QueryHandlerOptions{
			Description: "Where the issue is on its ladder, what comes next and when, and its story",
		})
	if err != nil {
		return err
	}
	r.signals = workflow.NewSelector(ctx)
	for _, o := range issue.Orders() {
		err := workflow.SetUpdateHandlerWithOptions(ctx, string(o),
			func(ctx workflow.Context, c issue.Command) (Status, error) {
				r.handleCommand(ctx, o, c)
				err := workflow.Await(ctx, func() bool { return !r.Running })
				return r.report(), err
			}, workflow.UpdateHandlerOptions{
				Description: o.About(),
				Validator:   func(ctx workflow.Context, c issue.Command) error { return r.check(ctx, o, c) },
			})
		if err != nil {
			return err
		}
		r.receive(ctx, string(o), o.About(), func(ctx workflow.Context, c issue.Command, read bool) {
			if !read {
				r.Refuse(o, issue.Command{}, "its input cannot be read", workflow.Now(ctx))
				return
			}
			if err := r.check(ctx, o, c); err != nil {
				r.Refuse(o, c.Clean(), err.Error(), workflow.Now(ctx))
				return
			}
			r.handleCommand(ctx, o, c)
		})
	}
	r.receive(ctx, activities.SignalRecovered, "Sent by the sweep when the target is good again",
		func(ctx workflow.Context, c issue.Command, _ bool) {
			if r.started {
				why := c.Clean().Reason
				if why == "" {
					why = "the sweep saw it good"
				}
				r.Recover(workflow.Now(ctx), why)
			}
		})
	r.receive(ctx, activities.SignalPCUBack,
		"Sent when a PCU of the node works again: what had to do without it is due now: {\"reason\"}",
		func(_ workflow.Context, c issue.Command, _ bool) { r.PCUReturned(c.Clean().Reason) })
	r.receive(ctx, activities.SignalRetry,
		"Sent by the sweep when what the next rung waits for may be over: it is due now",
		func(ctx workflow.Context, _ issue.Command, _ bool) { r.Retry(workflow.Now(ctx)) })
	r.receive(ctx, activities.SignalForgotten,
		"Sent by the sweep when the store was restored from an older backup: where the issue stands is written there again",
		func(workflow.Context, issue.Command, bool) {
			if r.started {
				r.Forgotten()
			}
		})
	workflow.GoNamed(ctx, "signals", func(ctx workflow.Context) {
		for ctx.Err() == nil {
			r.signals.Select(ctx)
		}
	})
	return nil
}

// receive hands every signal of a name to a function; read is false for an input that cannot be decoded.
func (r *run) receive(ctx workflow.Context, name, about string,
	take func(ctx workflow.Context, c issue.Command, read bool)) {
	ch := workflow.GetSignalChannelWithOptions(ctx, name, workflow.SignalChannelOptions{Description: about})
	r.signals.AddReceive(ch, func(ch workflow.ReceiveChannel, _ bool) {
		var c issue.Command
		// the SDK drops what it cannot decode; a Receive would then block, here on the wrong coroutine
		read := ch.ReceiveAsync(&c)
		take(ctx, c, read)
		r.interrupt()
	})
}
