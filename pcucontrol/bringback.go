package pcucontrol

import (
	"cmp"
	"context"
	"time"

	"github.com/planetlab/monitor/pcucontrol/internal/wait"
)

const (
	// graceTime is how long a cycle that was cancelled goes on trying to turn on what it turned off.
	graceTime = 5 * time.Second
	// againTime lies between two tries to turn an outlet on.
	againTime = time.Second
)

// bounded gives a call without a deadline one.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, defaultDeadline)
}

// whileOwed is the context for what must still be turned on: a cancel of the call's own ends it only a short while
// later.
func whileOwed(ctx context.Context) (context.Context, context.CancelFunc) {
	owed, cancel := context.WithCancel(context.WithoutCancel(ctx))
	if deadline, ok := ctx.Deadline(); ok {
		owed, cancel = context.WithDeadline(owed, deadline)
	}
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(graceTime, cancel) })
	return owed, func() { stop(); cancel() }
}

// bringBack turns on an outlet that a cycle left off, or in a state that nobody knows. A cycle of which off was seen is
// then done; of any other it stays unknown whether it was.
func (c *Catalog) bringBack(ctx context.Context, t Target, r Result, why error) (Result, error) {
	ctx, cancel := whileOwed(ctx)
	defer cancel()
	wasOff := r.After == Off
	on, err := c.turnOnAtLast(ctx, t)
	wasOff = wasOff || on.Before == Off
	switch {
	case err == nil && wasOff:
		r.After, r.Verified, r.Note = on.After, on.Verified, "an answer was lost, and the outlet was turned on "+
			"afterwards"
		return r, nil
	case err == nil:
		r.After, r.Note = on.After, "it is on; whether it was off meanwhile is not known"
	case on.Before == Off || on.After == Off:
		r.After = Off
	}
	return r, why
}

// turnOnAtLast turns an outlet on, in as many sessions as there is time for: it does no harm to what is on. Before is
// off where any of them found it so.
func (c *Catalog) turnOnAtLast(ctx context.Context, t Target) (Result, error) {
	last := Result{Before: Unknown, After: Unknown}
	var why error
	for {
		if ctx.Err() != nil {
			return last, cmp.Or(why, error(&Error{Timeout, t.Host, "on", "the time was over before the command"}))
		}
		r, err := c.operate(ctx, t, OpOn)
		if last.Before == Off {
			r.Before = Off
		}
		if KindOf(why) == Ambiguous && err != nil && KindOf(err) != Ambiguous {
			r.After, err = last.After, why // what may have been sent before stays so
		}
		if last, why = r, err; err == nil || KindOf(err) != Ambiguous && !KindOf(err).Passing() {
			return last, why
		}
		wait.For(ctx, againTime)
	}
}
