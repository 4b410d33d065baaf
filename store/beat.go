package store

import (
	"context"
	"errors"
	"time"
)

// Beat gives a sign of life every so often, until it is stopped, so that what is cut off is told from what goes on. The
// context that it answers ends when the sign is answered with over: others have ended it. Its cause is that answer.
func Beat(ctx context.Context, every time.Duration, sign func(context.Context) error, over error) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if err := sign(ctx); errors.Is(err, over) {
					cancel(err)
				}
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}
