package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/store"
)

// health is what the worker says of itself. It may be asked before Postgres and Temporal have answered for the first
// time.
type health struct {
	db      atomic.Pointer[store.Store]
	tc      atomic.Pointer[client.Client]
	every   time.Duration // between two sweeps
	started time.Time
}

// leastSweepAge is how old a sweep may be where sweeps come faster than they can be done, as in a demo.
const leastSweepAge = time.Minute

// pages are /healthz, which says that the process lives, /readyz, which says whether it can do its work, and /metrics.
func (h *health) pages(registry *prometheus.Registry) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", alive)
	mux.HandleFunc("GET /readyz", h.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry,
		promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 5}))
	return mux
}

func alive(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

// ready answers a line for each thing that the worker needs, and 503 when one of them is missing.
func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	code, text := http.StatusOK, ""
	for _, need := range []struct {
		name string
		ask  func(context.Context) (string, error)
	}{{"postgres", h.postgres}, {"temporal", h.temporal}, {"sweep", h.sweep}} {
		said, err := need.ask(ctx)
		if err != nil {
			code, said = http.StatusServiceUnavailable, err.Error()
		}
		text += need.name + ": " + said + "\n"
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text))
}

// What was wrong stands in the worker's log: whoever reaches the port need not know addresses and accounts.
var (
	errPostgres = errors.New("does not answer")
	errTemporal = errors.New("does not answer")
)

func (h *health) postgres(ctx context.Context) (string, error) {
	if db := h.db.Load(); db == nil || db.Ping(ctx) != nil {
		return "", errPostgres
	}
	return "ok", nil
}

func (h *health) temporal(ctx context.Context) (string, error) {
	tc := h.tc.Load()
	if tc == nil {
		return "", errTemporal
	}
	if _, err := (*tc).CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		return "", errTemporal
	}
	return "ok", nil
}

// sweep says whether the fleet is looked at. A worker that has just started is not to blame for what was before it.
func (h *health) sweep(ctx context.Context) (string, error) {
	db := h.db.Load()
	if db == nil {
		return "", errors.New("not known")
	}
	most := max(2*h.every, leastSweepAge)
	age, err := db.SweepAge(ctx)
	young := time.Since(h.started) < most
	switch never := errors.Is(err, store.ErrNotFound); {
	case never && young:
		return "none yet", nil
	case never:
		return "", errors.New("none has ended yet")
	case err != nil:
		return "", errors.New("not known")
	case age > most && !young:
		return "", fmt.Errorf("the last one ended %s ago, and one is due every %s: see docs/troubleshooting.md",
			age.Round(time.Second), h.every)
	}
	return fmt.Sprintf("ended %s ago", age.Round(time.Second)), nil
}
