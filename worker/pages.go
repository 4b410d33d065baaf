package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/web"
)

// pages serves /healthz, which is 200 only while Postgres and Temporal answer, and /metrics for Prometheus.
func pages(registry *prometheus.Registry, db *store.Store, tc client.Client) *http.ServeMux {
	registry.MustRegister(fleet{db})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry,
		promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		if err := db.Ping(ctx); err != nil {
			http.Error(w, "postgres does not answer", http.StatusServiceUnavailable)
			return
		}
		if _, err := tc.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
			http.Error(w, "temporal does not answer", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// servePages serves the pages for people beside the worker's work. That their port cannot be had is told at once; what
// ends them later goes to failed.
func servePages(ctx context.Context, cfg *config.Config, db *store.Store, tc client.Client, log *slog.Logger, failed chan<- error) error {
	pages, place, err := web.Open(cfg, db, tc, log)
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
