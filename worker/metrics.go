package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/opentelemetry"

	"github.com/planetlab/monitor/store"
)

// newMetrics is a registry with what Go and the process tell of themselves, and a handler that brings the Temporal
// SDK's own figures there: how long tasks wait, how often activities fail, how full the worker is.
func newMetrics() (*prometheus.Registry, client.MetricsHandler, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo(),
		otelprometheus.WithoutTargetInfo())
	if err != nil {
		return nil, nil, fmt.Errorf("metrics: %w", err)
	}
	meter := metric.NewMeterProvider(metric.WithReader(exporter)).Meter("temporal-sdk")
	return registry, opentelemetry.NewMetricsHandler(opentelemetry.MetricsHandlerOptions{Meter: meter}), nil
}

// fleet is what the store holds at the moment of the scrape, counted there.
type fleet struct{ db *store.Store }

var (
	issuesDesc = prometheus.NewDesc("monitor_issues_open", "Issues that are not closed.",
		[]string{"type", "status"}, nil)
	nodesDesc    = prometheus.NewDesc("monitor_nodes", "Nodes by status.", []string{"status"}, nil)
	believedDesc = prometheus.NewDesc("monitor_sweep_believed_timestamp_seconds",
		"When the last believed sweep ended.", nil, nil)
	sweepDesc = prometheus.NewDesc("monitor_sweep", "What the last sweep that ended counted.", []string{"what"}, nil)
)

func (fleet) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{issuesDesc, nodesDesc, believedDesc, sweepDesc} {
		ch <- d
	}
}

func (f fleet) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for desc, collect := range map[*prometheus.Desc]func(context.Context, chan<- prometheus.Metric) error{
		issuesDesc: f.issues, nodesDesc: f.nodes, believedDesc: f.believed, sweepDesc: f.sweep,
	} {
		if err := collect(ctx, ch); err != nil {
			ch <- prometheus.NewInvalidMetric(desc, err)
		}
	}
}

func (f fleet) issues(ctx context.Context, ch chan<- prometheus.Metric) error {
	list, err := f.db.CountIssues(ctx)
	for _, c := range list {
		ch <- prometheus.MustNewConstMetric(issuesDesc, prometheus.GaugeValue, float64(c.Count), c.Type, c.Status)
	}
	return err
}

func (f fleet) nodes(ctx context.Context, ch chan<- prometheus.Metric) error {
	list, err := f.db.CountNodes(ctx)
	for _, c := range list {
		ch <- prometheus.MustNewConstMetric(nodesDesc, prometheus.GaugeValue, float64(c.Count), c.Status)
	}
	return err
}

func (f fleet) believed(ctx context.Context, ch chan<- prometheus.Metric) error {
	at, _, err := f.db.LastBelieved(ctx)
	if err == nil && !at.IsZero() {
		ch <- prometheus.MustNewConstMetric(believedDesc, prometheus.GaugeValue, float64(at.Unix()))
	}
	return err
}

func (f fleet) sweep(ctx context.Context, ch chan<- prometheus.Metric) error {
	last, err := f.db.LastSweep(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	for what, n := range last.Counts {
		ch <- prometheus.MustNewConstMetric(sweepDesc, prometheus.GaugeValue, float64(n), what)
	}
	return err
}
