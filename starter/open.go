package main

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/store"
)

// patience is how long a command waits for Postgres, Temporal and a worker to answer.
const patience = 15 * time.Second

// within bounds ctx by --timeout, else by the command's own patience.
func (a *app) within(ctx context.Context, own time.Duration) (context.Context, context.CancelFunc) {
	if a.timeout > 0 {
		own = a.timeout
	}
	return context.WithTimeout(ctx, own)
}

func (a *app) configOptions() config.Options {
	// The password of a PCU is named like a setting of the section pcu, and is none.
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, passwordVariable+"=") })
	return config.Options{Path: a.ownFile(), Flags: a.flags, Env: env}
}

// systemFile is where the packages have the configuration.
const systemFile = "/etc/monitor/monitor.yaml"

// ownFile is this machine's configuration, where this call names no other and this account may read it.
func (a *app) ownFile() string {
	if a.flags.Path != "" || configuredElsewhere() {
		return ""
	}
	f, err := os.Open(a.system)
	if err != nil {
		return ""
	}
	_ = f.Close()
	return a.system
}

func (a *app) config(sections ...string) (*config.Config, error) {
	if r, err := a.remote(); err != nil {
		return nil, err
	} else if r != nil {
		if len(sections) > 0 {
			return nil, badInput("this command needs Monitor's own configuration, and does not work over the API of %s", r.Server)
		}
		cfg := config.Default() // of the numbers only those of the server count
		return &cfg, nil
	}
	cfg, err := config.Load(a.configOptions())
	if err == nil {
		err = cfg.Require(sections...)
	}
	if err != nil {
		return nil, badInput("configuration: %w", err)
	}
	return cfg, nil
}

func (a *app) checkConfig() error {
	if err := config.Check(a.out, a.configOptions(), "database", "temporal"); err != nil {
		return badInput("%w", err)
	}
	return nil
}

// openStore opens Postgres as it is. The tables are the worker's to make. The key for what is sealed is used where it may be read: without it
// a command shows all but boot logs.
func (a *app) openStore(ctx context.Context) (*store.Store, error) {
	cfg, err := a.config("database")
	if err != nil {
		return nil, err
	}
	key, keyErr := cfg.Secrets.Key()
	old, oldErr := cfg.Secrets.OldKeys()
	if keyErr != nil || oldErr != nil {
		key, old = nil, nil
	}
	return store.Open(ctx, store.Options{URL: cfg.Database.URL.Reveal(), Key: key, OldKeys: old})
}

func (a *app) withStore(ctx context.Context, do func(context.Context, *store.Store) error) error {
	ctx, cancel := a.within(ctx, patience)
	defer cancel()
	db, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	return do(ctx, db)
}

// openTemporal dials Temporal. The SDK's own log would only repeat what our errors say.
func (a *app) openTemporal(ctx context.Context) (client.Client, error) {
	cfg, err := a.config("temporal")
	if err != nil {
		return nil, err
	}
	ctx, cancel := a.within(ctx, patience)
	defer cancel()
	return connect.Temporal(ctx, cfg.Temporal, slog.New(slog.DiscardHandler), nil)
}

// openTemporalSoon is for commands that can tell most without Temporal: they do not wait long for one that is away.
func (a *app) openTemporalSoon(ctx context.Context) (client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, patience/3)
	defer cancel()
	return a.openTemporal(ctx)
}

func (a *app) withTemporal(ctx context.Context, do func(context.Context, client.Client) error) error {
	ctx, cancel := a.within(ctx, patience)
	defer cancel()
	tc, err := a.openTemporal(ctx)
	if err != nil {
		return err
	}
	defer tc.Close()
	return do(ctx, tc)
}
