package web

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/api"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/orders"
	nodeorder "github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/web/links"
)

// linkWaits is how long the reboot that a link orders waits for its turn, as for a PCU that is busy.
const linkWaits = 10 * time.Minute

// openLinks are the pages behind the links in mails; nil: mails have none.
func openLinks(cfg *config.Config, db *store.Store, tc client.Client, log *slog.Logger) (http.Handler, error) {
	l, err := Links(cfg)
	if err != nil || !l.Any() {
		return nil, err
	}
	desk := orders.Desk{Store: db, Temporal: tc}
	return links.New(links.Options{
		Store: db, Links: l, Log: log,
		From: func(r *http.Request) string { return api.Address(r, cfg.HTTP.BehindProxy) },
		Pledge: func(ctx context.Context, o orders.Order, issue string, until time.Time) (orders.Receipt, error) {
			r, _, err := desk.Pledge(ctx, o, issue, until)
			return r, err
		},
		Reboot: func(ctx context.Context, o orders.Order, node string) (orders.Receipt, error) {
			return desk.NodeIfItMay(ctx, o, orders.Node{Act: nodeorder.Reboot, Patience: linkWaits}, node)
		},
	}), nil
}

// Links makes and reads the links in mails, by a key that is made of the one for secrets; none without web.url.
func Links(cfg *config.Config) (access.Links, error) {
	if cfg.Web.URL == "" {
		return access.Links{}, nil
	}
	key, err := cfg.Secrets.Key()
	if err != nil {
		return access.Links{}, err
	}
	return access.NewLinks(key)
}
