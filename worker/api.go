package main

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/api"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/store"
)

// serveAPI serves the API beside the pages, with news of the ledger until the context ends.
func serveAPI(ctx context.Context, mux *http.ServeMux, cfg *config.Config, db *store.Store, tc client.Client,
	log *slog.Logger) {
	news := store.NewsOf(db, log)
	go news.Run(ctx)
	mux.Handle(api.Prefix+"/", api.New(api.Options{
		Store: db, Temporal: tc, News: news, Groups: cfg.Groups, Log: log,
		Who: api.NewTokens(db, cfg.HTTP.BehindProxy, time.Now),
	}))
}
