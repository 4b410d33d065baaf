package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"
)

// heartbeat tells the server, until it is stopped, that a long activity is alive. PLC or a PCU that keeps one waiting
// is not the end of a worker, of which the server hears by the silence.
func heartbeat(ctx context.Context) (stop func()) {
	if !activity.IsActivity(ctx) {
		return func() {}
	}
	ctx, stop = context.WithCancel(ctx)
	tick := time.NewTicker(2 * time.Second) // the SDK sends some of them, often enough for the time-out that was set
	go func() {
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				activity.RecordHeartbeat(ctx)
			}
		}
	}()
	return stop
}
