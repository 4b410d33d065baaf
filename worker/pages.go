package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/store"
)

// pages serves /healthz, which is 200 only while Postgres and Temporal answer, and /metrics for Prometheus.
func pages(registry *prometheus.Registry, db *store.Store, tc client.Client) *http.ServeMux {
	registry.MustRegister(fleet{db})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
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

// fleet counts open issues and nodes by status from the store, at the moment of the scrape.
type fleet struct{ db *store.Store }

var (
	issuesDesc = prometheus.NewDesc("monitor_issues_open", "Issues that are not closed.", []string{"type", "status"}, nil)
	nodesDesc  = prometheus.NewDesc("monitor_nodes", "Nodes by status.", []string{"status"}, nil)
)

func (fleet) Describe(ch chan<- *prometheus.Desc) { ch <- issuesDesc; ch <- nodesDesc }

func (f fleet) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	issues, err := f.db.Issues(ctx, store.IssueFilter{Open: true, Limit: 1 << 30})
	if err != nil {
		ch <- prometheus.NewInvalidMetric(issuesDesc, err)
		return
	}
	byType := map[[2]string]float64{}
	for _, i := range issues {
		byType[[2]string{i.Type, i.Status}]++
	}
	for k, n := range byType {
		ch <- prometheus.MustNewConstMetric(issuesDesc, prometheus.GaugeValue, n, k[0], k[1])
	}
	nodes, err := f.db.Nodes(ctx, 0, 1<<30)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(nodesDesc, err)
		return
	}
	byStatus := map[string]float64{}
	for _, n := range nodes {
		byStatus[string(n.Record.Status)]++
	}
	for status, n := range byStatus {
		ch <- prometheus.MustNewConstMetric(nodesDesc, prometheus.GaugeValue, n, status)
	}
}
