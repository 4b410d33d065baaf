package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/testbed/rig"
	"github.com/planetlab/monitor/workflows"
)

// exportHistories writes the history of every issue and site, of one sweep and of one why-not, as JSON that a
// replayer reads.
func exportHistories(ctx context.Context, r *rig.Rig, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var page []byte
	seen := map[string]int{}
	for {
		list, err := r.Temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
			Query: "ExecutionStatus = 'Completed' AND TaskQueue = '" + activities.TaskQueue + "' AND WorkflowType IN ('" + strings.Join(typeNames(), "','") + "')", NextPageToken: page})
		if err != nil {
			return err
		}
		for _, e := range list.Executions {
			name := strings.ReplaceAll(e.Execution.WorkflowId, "/", "_")
			one := e.Type.Name == activities.SweepType || e.Type.Name == activities.WhyNotType
			if one {
				name = e.Type.Name // each run has an id of its own
			}
			if seen[name]++; seen[name] > 1 {
				if one {
					continue
				}
				name = fmt.Sprintf("%s_%d", name, seen[name])
			}
			if err := export(ctx, r, e.Execution.WorkflowId, e.Execution.RunId, filepath.Join(dir, name+".json")); err != nil {
				return err
			}
		}
		if page = list.NextPageToken; len(page) == 0 {
			return nil
		}
	}
}

func typeNames() []string {
	var names []string
	for _, t := range workflows.Types() {
		names = append(names, t.Name)
	}
	return names
}

func export(ctx context.Context, r *rig.Rig, id, run, file string) error {
	var h history.History
	events := r.Temporal.GetWorkflowHistory(ctx, id, run, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		if err != nil {
			return err
		}
		h.Events = append(h.Events, e)
	}
	text, err := temporalproto.CustomJSONMarshalOptions{}.Marshal(&h)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}
