package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/testbed/temporallocal"
)

// One trace leads from a workflow over its activity to the call that this makes.
func TestATraceLeadsFromTheWorkflowToTheCall(t *testing.T) {
	tc, err := connect.Temporal(t.Context(), config.Temporal{Address: temporallocal.ForTest(t, ".."), Namespace: "default"},
		slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tc.Close)
	var spans spans
	tracers, end, err := traced(config.Tracing{Share: 1}, trace.WithSyncer(&spans))
	if err != nil {
		t.Fatal(err)
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	defer gone.Close()
	api, err := plc.New(plc.Options{URL: gone.URL, Username: "u", Password: "s3cret-word"})
	if err != nil {
		t.Fatal(err)
	}
	w := worker.New(tc, "traced", worker.Options{Interceptors: tracers})
	w.RegisterActivityWithOptions(func(ctx context.Context) error {
		if api.AuthCheck(ctx) == nil {
			return errors.New("PLC is there")
		}
		return nil
	}, activity.RegisterOptions{Name: "SyncPLC"})
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context) error {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
		return workflow.ExecuteActivity(ctx, "SyncPLC").Get(ctx, nil)
	}, workflow.RegisterOptions{Name: "sweep"})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	run, err := tc.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: "traced"}, "sweep")
	if err == nil {
		err = run.Get(t.Context(), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	end()
	byName := spans.byName()
	call, act, flow := byName["plc AuthCheck"], byName["RunActivity:SyncPLC"], byName["RunWorkflow:sweep"]
	if call.Name == "" || act.Name == "" || flow.Name == "" {
		t.Fatalf("spans: %v", byName)
	}
	if call.Parent.SpanID() != act.SpanContext.SpanID() || call.SpanContext.TraceID() != flow.SpanContext.TraceID() {
		t.Errorf("the call %v is not of the activity %v in the trace %v", call.Parent.SpanID(), act.SpanContext.SpanID(), flow.SpanContext.TraceID())
	}
	for name, s := range byName {
		if slices.ContainsFunc(s.Attributes, func(a attribute.KeyValue) bool { return a.Value.String() == "s3cret-word" }) {
			t.Errorf("%s holds a password", name)
		}
	}
}

func TestWithoutAnAddressNothingIsTraced(t *testing.T) {
	list, end, err := openTracing(t.Context(), config.Default().Tracing)
	if err != nil || len(list) > 0 {
		t.Errorf("%v, %v", list, err)
	}
	end()
}

// A collector gets what is traced, when the worker ends at the latest.
func TestTracesReachTheirCollector(t *testing.T) {
	got := make(chan string, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r.URL.Path + " " + string(body)
	}))
	defer collector.Close()
	list, end, err := openTracing(t.Context(), config.Tracing{URL: collector.URL + "/v1/traces", Share: 1})
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.SetWorkerOptions(worker.Options{Interceptors: list})
	env.RegisterActivityWithOptions(func(context.Context) error { return nil }, activity.RegisterOptions{Name: "Judge"})
	if _, err := env.ExecuteActivity("Judge"); err != nil {
		t.Fatal(err)
	}
	end()
	select {
	case text := <-got:
		if !strings.HasPrefix(text, "/v1/traces ") || !strings.Contains(text, "RunActivity:Judge") ||
			!strings.Contains(text, "monitor-worker") {
			t.Errorf("it got %q", text)
		}
	case <-time.After(20 * time.Second):
		t.Error("nothing came")
	}
}

// spans keeps what is exported.
type spans struct {
	mu   sync.Mutex
	list tracetest.SpanStubs
}

func (s *spans) ExportSpans(_ context.Context, list []trace.ReadOnlySpan) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, tracetest.SpanStubsFromReadOnlySpans(list)...)
	return nil
}

func (*spans) Shutdown(context.Context) error { return nil }

func (s *spans) byName() map[string]tracetest.SpanStub {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]tracetest.SpanStub{}
	for _, stub := range s.list {
		out[stub.Name] = stub
	}
	return out
}
