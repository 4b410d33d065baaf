package main

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/attribute"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/opentelemetry"
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
	meter := metric.NewMeterProvider(metric.WithReader(exporter), metric.WithView(brief)).Meter("temporal-sdk")
	return registry, opentelemetry.NewMetricsHandler(opentelemetry.MetricsHandlerOptions{Meter: meter}), nil
}

// brief keeps the SDK's figures, of which there is one for each type of activity, from making up most of a scrape: few
// buckets, no label that is always the same, and nothing that says nearly the same as others.
func brief(i metric.Instrument) (metric.Stream, bool) {
	s := metric.Stream{Name: i.Name, Description: i.Description, Unit: i.Unit,
		AttributeFilter: attribute.NewDenyKeysFilter("client_name")}
	switch {
	case strings.Contains(i.Name, "schedule_to_start"): // tasks wait in their queue, whatever they are
		s.AttributeFilter = attribute.NewAllowKeysFilter("namespace", "task_queue")
	case strings.HasPrefix(i.Name, "temporal_activity_"): // else there is one for each activity of each type of workflow
		s.AttributeFilter = attribute.NewDenyKeysFilter("client_name", "worker_type", "workflow_type")
	}
	request := strings.HasPrefix(i.Name, "temporal_request") || strings.HasPrefix(i.Name, "temporal_long_request")
	if request {
		s.AttributeFilter = attribute.NewAllowKeysFilter("operation", "namespace")
	}
	switch {
	case request && strings.Contains(i.Name, "attempt"), strings.Contains(i.Name, "endtoend"),
		strings.HasPrefix(i.Name, "temporal_workflow_task_replay"):
		s.Aggregation = metric.AggregationDrop{}
	case i.Kind == metric.InstrumentKindHistogram:
		s.Aggregation = metric.AggregationExplicitBucketHistogram{Boundaries: []float64{1, 10}, NoMinMax: true}
	}
	return s, true
}
