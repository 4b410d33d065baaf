package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"

	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/web"
)

// pages are what the worker serves at http.listen. What it says of its own health stands apart, at metrics.listen.
func pages() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", alive)
	return mux
}

// servePages serves the pages for people beside the worker's work. That their port cannot be had is told at once; what
// ends them later goes to failed.
func servePages(ctx context.Context, cfg *config.Config, db *store.Store, news *store.News, tc client.Client,
	runs *orders.Runs, log *slog.Logger, failed chan<- error) error {
	pages, place, err := web.Open(cfg, db, news, tc, runs, log)
	if err != nil {
		return err
	}
	up, ended := make(chan net.Addr, 1), make(chan error, 1)
	go func() { ended <- pages.Serve(ctx, place, func(at net.Addr) { up <- at }) }()
	select {
	case at := <-up:
		log.Info("serving pages", "web", at.String())
	case err := <-ended:
		return err
	}
	go func() {
		if err := <-ended; err != nil {
			failed <- err
		}
	}()
	return nil
}
