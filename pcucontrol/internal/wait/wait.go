// Package wait divides the time of a call.
package wait

import (
	"context"
	"time"
)

// For gives slow devices their time between two looks, and ends early with the context.
func For(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// Half leaves the other half of the time for what comes after.
func Half(ctx context.Context) (context.Context, context.CancelFunc) { return Part(ctx, 1, 2) }

// Part is a part of the time that is left.
func Part(ctx context.Context, part, of time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)*part/of)
}
