package activities

import (
	"context"
	"errors"

	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/notify/rt"
	"github.com/planetlab/monitor/store"
)

// mailSaid writes down whether the mail server takes mail, by what became of one. A server that refuses or defers
// people is there; of one that hung up at the end nobody knows, nor where the worker itself was stopped.
func (a *ledger) mailSaid(ctx context.Context, err error) {
	var e *notify.Error
	switch {
	case a.observes(), errors.Is(err, context.Canceled), notify.FailureOf(err) == notify.Ambiguous:
	case errors.As(err, &e) && e.Failure != notify.Permanent && e.Step != "rcpt":
		a.said(ctx, store.ServerMail, err)
	default:
		a.said(ctx, store.ServerMail, nil)
	}
}

// trackerSaid writes down whether Request Tracker answers, by what became of a call.
func (a *ledger) trackerSaid(ctx context.Context, err error) {
	switch failure := rt.FailureOf(err); {
	case errors.Is(err, context.Canceled), failure == rt.Ambiguous, failure == "" && err != nil:
	case failure == rt.Away, failure == rt.Auth:
		a.said(ctx, store.ServerTracker, err)
	default:
		a.said(ctx, store.ServerTracker, nil)
	}
}

// said is news for those who look: what the message itself comes to does not hang on it.
func (a *ledger) said(ctx context.Context, server string, failure error) {
	ctx = context.WithoutCancel(ctx)
	var err error
	if failure != nil {
		err = a.Store.SayAway(ctx, server, failure.Error(), a.now())
	} else {
		err = a.Store.SayBack(ctx, server)
	}
	if err != nil {
		a.Log.Warn("it could not be written down whether a server answers", "server", server, "error", err)
	}
}
