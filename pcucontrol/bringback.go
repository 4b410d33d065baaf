package pcucontrol

import (
	"context"
	"errors"
	"time"
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

// whileOwed is the context for what must still be turned on: that of the call or, where that was cancelled, a short one of its own.
func whileOwed(ctx context.Context) (context.Context, context.CancelFunc) {
	if !errors.Is(ctx.Err(), context.Canceled) {
		return ctx, func() {}
	}
	return context.WithTimeout(context.WithoutCancel(ctx), graceTime)
}

// bringBack turns on an outlet that a cycle left off, or in a state that nobody knows: by sessions of their own, as often as there is time
// for. To turn on what is on does no harm. A cycle of which off was seen is then done; of any other it stays unknown whether it was.
func (c *Catalog) bringBack(ctx context.Context, t Target, r Result, why error) (Result, error) {
	ctx, cancel := whileOwed(ctx)
	defer cancel()
	wasOff := r.After == Off
	for ctx.Err() == nil {
		on, err := c.set(ctx, t, opOn)
		wasOff = wasOff || on.Before == Off
		switch k := KindOf(err); {
		case err == nil && wasOff:
			r.After, r.Verified, r.Note = on.After, on.Verified, "an answer was lost, and the outlet was turned on afterwards"
			return r, nil
		case err == nil:
			r.After, r.Note = on.After, "it is on; whether it was off meanwhile is not known"
			return r, why
		case k != Ambiguous && !passing(err):
			return r, why
		case on.Before == Off || on.After == Off:
			r.After = Off
		}
		settle(ctx, againTime)
	}
	return r, why
}
