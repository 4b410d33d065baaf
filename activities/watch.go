package activities

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/planetlab/monitor/store"
)

// heldFor is how many policy hours may pass without a believed sweep before the admins are told, and at least so many
// intervals: nothing is done in that time, and whatever is wrong with the sweeps cannot tell them itself.
const (
	heldFor       = 4
	heldIntervals = 4
)

// WatchSweeps tells the admins when no sweep was believed for some hours, whatever the cause: that Temporal starts
// none, that none comes to its end, or that none is believed. It is no activity: it runs beside the workflows, until
// the context ends.
func WatchSweeps(ctx context.Context, a *Sweep) {
	began := a.now()
	tick := time.NewTicker(max(time.Second, min(a.SweepEvery, time.Minute)))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := a.watchSweeps(ctx, began); err != nil && ctx.Err() == nil {
				a.Log.Warn("it is not known when a sweep was last believed", "error", err)
			}
		}
	}
}

// watchSweeps tells it once for each time without a believed sweep, over all workers and their restarts. Before the
// first one that time is counted from when this worker began.
func (a *Sweep) watchSweeps(ctx context.Context, began time.Time) error {
	at, why, err := a.Store.LastBelieved(ctx)
	if err != nil {
		return err
	}
	since := cmp.Or(at, began)
	if a.now().Sub(since) < max(heldFor*a.Policy.Hour(), heldIntervals*a.SweepEvery) {
		return nil
	}
	key := "lease/never"
	if !at.IsZero() {
		key = fmt.Sprintf("lease/%d", at.UnixMilli())
	}
	why = fmt.Sprintf("no sweep was believed since %s, and so nothing is done: %s", since.UTC().Format(time.RFC3339),
		cmp.Or(why, "none has ended since; is the schedule \"sweep\" paused in Temporal?"))
	intended, _, err := a.Store.Intent(ctx, store.Action{Key: key, Kind: store.KindGuard, Reason: why})
	// another worker is about to tell, or has died of it: then it is told once more
	if err != nil || told(intended) || intended.Begun() && a.now().Sub(intended.Committed) < time.Minute {
		return err
	}
	a.Log.Error("no sweep is believed", "reason", why)
	a.post.tellHeld(ctx, intended, store.Done, why)
	return nil
}
