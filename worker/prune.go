package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/store"
)

func retention(c *config.Config) store.Retention {
	real := c.Policy.RealTime
	return store.Retention{History: real(c.Retain.History), Ledger: real(c.Retain.Ledger), Stories: real(c.Retain.Stories),
		Logs: real(c.Retain.Logs)}
}

// prune takes away what is old, every hour. Of several workers one does so; what fails is tried again the next time.
func prune(ctx context.Context, db *store.Store, keep store.Retention, log *slog.Logger) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		gone, err := db.Prune(ctx, keep, time.Now())
		total := 0
		for _, n := range gone {
			total += n
		}
		if total > 0 {
			log.Info("what was older than is to be kept is gone", "rows", total)
		}
		if err != nil && ctx.Err() == nil {
			log.Warn("not all that is old could be taken away; the next hour tries again", "error", err)
		}
	}
}
