package main

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestTheSDKsFiguresReachPrometheus(t *testing.T) {
	registry, handler, err := newMetrics()
	if err != nil {
		t.Fatal(err)
	}
	handler.WithTags(map[string]string{"task_queue": "monitor"}).Counter("temporal_activity_execution_failed").Inc(3)
	n, err := testutil.GatherAndCount(registry, "temporal_activity_execution_failed")
	if err != nil || n != 1 {
		t.Errorf("%d series, %v", n, err)
	}
	if n, err := testutil.GatherAndCount(registry, "go_goroutines"); err != nil || n != 1 {
		t.Errorf("%d series of the process, %v", n, err)
	}
}

// Each type of activity has series of its own only where the figure is its own: tasks of all types wait in one queue.
func TestTheSDKsFiguresAreFew(t *testing.T) {
	registry, handler, err := newMetrics()
	if err != nil {
		t.Fatal(err)
	}
	for _, activity := range []string{"PowerCycle", "WriteToSite"} {
		for _, workflow := range []string{"nodedown", "site"} {
			h := handler.WithTags(map[string]string{"namespace": "default", "task_queue": "monitor", "activity_type": activity, "workflow_type": workflow})
			h.Timer("temporal_activity_schedule_to_start_latency").Record(time.Second)
			h.Timer("temporal_activity_execution_latency").Record(time.Second)
		}
	}
	for name, want := range map[string]int{"temporal_activity_schedule_to_start_latency_seconds": 1, "temporal_activity_execution_latency_seconds": 2} {
		if n, err := testutil.GatherAndCount(registry, name); err != nil || n != want {
			t.Errorf("%d of %s, want %d, %v", n, name, want, err)
		}
	}
}
