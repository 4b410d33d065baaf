package main

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.temporal.io/sdk/contrib/opentelemetry"
	"go.temporal.io/sdk/interceptor"

	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/version"
)

// openTracing sends traces where the configuration says: a sweep or an issue is a trace, its activities and what they do
// at devices and at PLC are spans of it. Without an address there is no interceptor, and nothing is measured.
func openTracing(ctx context.Context, c config.Tracing) (list []interceptor.WorkerInterceptor, end func(), err error) {
	if c.URL == "" {
		return nil, func() {}, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(c.URL))
	if err != nil {
		return nil, nil, fmt.Errorf("tracing.url: %w", err)
	}
	return traced(c, trace.WithBatcher(exporter))
}

func traced(c config.Tracing, to trace.TracerProviderOption) (list []interceptor.WorkerInterceptor, end func(), err error) {
	provider := trace.NewTracerProvider(to, trace.WithSampler(trace.ParentBased(trace.TraceIDRatioBased(c.Share))),
		trace.WithResource(resource.NewSchemaless(semconv.ServiceName("monitor-worker"),
			semconv.ServiceVersion(version.Read().Version))))
	tracer, err := opentelemetry.NewTracingInterceptor(opentelemetry.TracerOptions{
		Tracer: provider.Tracer("github.com/planetlab/monitor"), DisableQueryTracing: true})
	if err != nil {
		return nil, nil, fmt.Errorf("tracing: %w", err)
	}
	return []interceptor.WorkerInterceptor{tracer}, func() { _ = provider.Shutdown(context.Background()) }, nil
}
