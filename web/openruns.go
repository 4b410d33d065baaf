package web

import (
	"context"
	"log/slog"

	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/store"
)

// OpenRuns is what carries out runs on nodes that are ordered over the API. A server without keys refuses them, and says
// why. The caller closes it before the store.
func OpenRuns(cfg *config.Config, db *store.Store, log *slog.Logger) *orders.Runs {
	enter, lacks := Entrance(cfg, db)
	return orders.NewRuns(enter, lacks, log)
}

// Entrance says how nodes are entered over ssh, by the host keys that are believed.
func Entrance(cfg *config.Config, db *store.Store) (func(ctx context.Context, host, ip string) bootman.Target, error) {
	keys, err := connect.SSHKeys(cfg.Probe)
	if err != nil {
		return nil, err
	}
	fleet, err := connect.Inventory(cfg, db)
	if err != nil {
		return nil, err
	}
	enter := connect.Entrance(cfg.Probe, keys...)
	known := activities.HostKeys{Store: db, Inventory: fleet, From: connect.From(cfg)}
	return func(ctx context.Context, host, ip string) bootman.Target {
		t := enter(host, ip)
		t.HostKey = func(k ssh.PublicKey) error { return known.Check(ctx, host, k) }
		return t
	}, nil
}
