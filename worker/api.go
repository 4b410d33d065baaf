package main

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/api"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/web/links"
)

// serveAPI serves the API, with news of the ledger until the context ends.
func serveAPI(ctx context.Context, mux *http.ServeMux, cfg *config.Config, db *store.Store, tc client.Client,
	log *slog.Logger) {
	news := store.NewsOf(db, log)
	go news.Run(ctx)
	mux.Handle(api.Prefix+"/", api.New(api.Options{
		Store: db, Temporal: tc, News: news, Groups: cfg.Groups, Log: log,
		Who: api.NewTokens(db, cfg.HTTP.BehindProxy, time.Now),
	}))
}

// linkPages are the pages behind the links in mails; nil: mails have none.
func linkPages(cfg *config.Config, db *store.Store, tc client.Client, log *slog.Logger) (http.Handler, error) {
	l, err := linksOf(cfg)
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
			return desk.Node(ctx, o, orders.Node{Act: request.Reboot}, node)
		},
	}), nil
}

// linksOf makes and reads the links in mails, by a key that is made of the one for secrets; none without web.url.
func linksOf(cfg *config.Config) (access.Links, error) {
	if cfg.Web.URL == "" {
		return access.Links{}, nil
	}
	key, err := cfg.Secrets.Key()
	if err != nil {
		return access.Links{}, err
	}
	return access.NewLinks(key)
}

// linkTo answers the address of the page of an issue for the people of its site; nil: mails have none.
func linkTo(cfg *config.Config) (activities.Linker, error) {
	l, err := linksOf(cfg)
	if err != nil || !l.Any() {
		return nil, err
	}
	return func(ref issue.Ref, now time.Time) string {
		k := access.Link{Issue: ref.ID, Site: ref.Site, Made: now, Expires: now.Add(access.LinkGood)}
		return strings.TrimRight(cfg.Web.URL, "/") + links.Prefix + l.Make(k)
	}, nil
}
