// Package connect opens what the configuration names: Temporal, Postgres, PLC. Every program opens them the same way.
package connect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/planetlab/monitor/pcucontrol/models"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	temporallog "go.temporal.io/sdk/log"

	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/store"
)

// Temporal dials the Temporal service; the address is part of every error. Metrics may be nil.
func Temporal(ctx context.Context, c config.Temporal, log *slog.Logger, metrics client.MetricsHandler) (client.Client, error) {
	o, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return nil, fmt.Errorf("temporal environment: %w", err)
	}
	o.HostPort, o.Namespace, o.Logger, o.MetricsHandler = c.Address, c.Namespace, temporallog.NewStructuredLogger(log), metrics
	if key := c.APIKey.Reveal(); key != "" {
		o.Credentials = client.NewAPIKeyStaticCredentials(key)
	}
	key, err := c.PayloadKey()
	if err != nil {
		return nil, err
	}
	if err := encrypt(&o, key); err != nil {
		return nil, err
	}
	tls, err := c.TLSConfig()
	if err != nil {
		return nil, err
	}
	if tls != nil {
		o.ConnectionOptions.TLS = tls
	}
	tc, err := client.DialContext(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("temporal at %s, namespace %s: %w", c.Address, c.Namespace, err)
	}
	return tc, nil
}

var errNoKey = errors.New("secrets.key_file must be set, or PCU passwords cannot be kept: make one with `openssl rand -hex 32`")

// Store opens Postgres and brings its tables up to date. It must be closed.
func Store(ctx context.Context, cfg *config.Config) (*store.Store, error) {
	key, err := cfg.Secrets.Key()
	if err != nil {
		return nil, err
	}
	if key == nil {
		return nil, errNoKey
	}
	old, err := cfg.Secrets.OldKeys()
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, store.Options{URL: cfg.Database.URL.Reveal(), Key: key, OldKeys: old})
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// PLC prepares a client; nothing is called yet.
func PLC(c config.PLC) (*plc.Client, error) {
	return plc.New(plc.Options{URL: c.URL, Username: c.Username, Password: plc.Secret(c.Password.Reveal()), CAFile: c.CAFile, Timeout: c.Timeout})
}

// PCUs is the catalog of the models that can be driven: the operator's own, then the built-in ones.
func PCUs(c config.PCU) (*pcucontrol.Catalog, error) {
	if c.ModelsDir == "" {
		return models.Open()
	}
	catalog, err := models.Open(c.ModelsDir)
	if err != nil {
		return nil, fmt.Errorf("pcu.models_dir: %w", err)
	}
	return catalog, nil
}
