package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/testbed/rig"
)

// exportHistories writes the history of every issue and site, and of one sweep, as JSON that a replayer reads.
func exportHistories(ctx context.Context, r *rig.Rig, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var page []byte
	sweeps := 0
	for {
		list, err := r.Temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{NextPageToken: page})
		if err != nil {
			return err
		}
		for _, e := range list.Executions {
			kind := e.Type.Name
			if kind == activities.SweepType {
				if sweeps++; sweeps > 1 || e.Status != enums.WORKFLOW_EXECUTION_STATUS_COMPLETED {
					continue
				}
			}
			name := strings.ReplaceAll(e.Execution.WorkflowId, "/", "_")
			if kind == activities.SweepType {
				name = activities.SweepType
			}
			if _, ok := map[string]bool{activities.NodeDownType: true, activities.PCUDownType: true, activities.SiteType: true, activities.SweepType: true}[kind]; !ok {
				continue
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
	text, err := temporalproto.CustomJSONMarshalOptions{Indent: " "}.Marshal(&h)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}
