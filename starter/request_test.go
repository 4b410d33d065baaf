package main

import (
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
)

// A request whose worker dies goes on with the next one, and acts once.
func TestARequestOutlivesItsWorker(t *testing.T) {
	db, _ := fleet(t)
	tc := temporalServer(t)
	addSearchAttributes(t, tc)
	a := newActor()
	stop := actAs(t, tc, a, db)
	in := request.Input{Node: host, Act: request.Reboot, Patience: time.Minute,
		Order: policy.Order{By: "alice", Role: policy.RoleOperator, Reason: "slow at first"}, Part: "the test"}
	run, err := tc.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: request.ID(host), TaskQueue: "monitor", WorkflowExecutionTimeout: time.Minute}, request.Type, in)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		time.Sleep(2 * short)
		stop()
		stop = actAs(t, tc, a, db)
	}
	var s request.Story
	if err := run.Get(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	keep(t, tc, run.GetID(), run.GetRunID(), "request_"+host)
	if s.End != request.Returned || a.acts[host] != 1 || !strings.Contains(s.Reason, "it is back") {
		t.Errorf("it ends as %+v, and acted %d times", s, a.acts[host])
	}
}
