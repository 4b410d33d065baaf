package main

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
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
	meter := metric.NewMeterProvider(metric.WithReader(exporter), metric.WithView(fewBuckets(), nothing("temporal_request_*attempt*"), nothing("temporal_long_request_*attempt*"),
		nothing("temporal_activity_succeed_endtoend*"))).Meter("temporal-sdk")
	return registry, opentelemetry.NewMetricsHandler(opentelemetry.MetricsHandlerOptions{Meter: meter}), nil
}

// fewBuckets keeps the SDK's latencies, of which there is one for each type of activity, from making up most of a
// scrape.
func fewBuckets() metric.View {
	return metric.NewView(metric.Instrument{Kind: metric.InstrumentKindHistogram},
		metric.Stream{Aggregation: metric.AggregationExplicitBucketHistogram{
			Boundaries: []float64{0.1, 1, 10}, NoMinMax: true}})
}

// nothing leaves out figures that say nearly the same as others.
func nothing(name string) metric.View {
	return metric.NewView(metric.Instrument{Name: name}, metric.Stream{Aggregation: metric.AggregationDrop{}})
}
