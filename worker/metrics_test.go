package main

import (
	"testing"

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
