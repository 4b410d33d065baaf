package activities

import (
	"context"
	"fmt"

	"go.temporal.io/api/workflowservice/v1"

	"github.com/planetlab/monitor/issue"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// askWhatIsForgotten finds out whether the store was restored from an older backup: its sweeps then have numbers that Temporal
// has seen before. Whatever is open is asked to write down again where it stands; what it has changed in the world is
// claimed again with that (forgotten.go), and every site is asked to look (relearn.go).
func (a *Sweep) askWhatIsForgotten(ctx context.Context, sweep store.Sweep, last int64) error {
	if last < sweep.ID {
		return nil
	}
	const most = 1000
	asked := 0
	for page := []byte(nil); ; {
		list, err := a.workflows.Temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{PageSize: most,
			NextPageToken: page, Query: "ExecutionStatus = 'Running' AND TaskQueue = '" + TaskQueue + "'"})
		if err != nil {
			return fmt.Errorf("the store was restored from an older backup, and what is open cannot be listed: %w", err)
		}
		for _, w := range list.GetExecutions() {
			id := w.GetExecution().GetWorkflowId()
			_, isIssue := issue.Lookup(w.GetType().GetName())
			switch {
			case w.GetType().GetName() == sites.Type:
				err = a.workflows.lookAtSite(ctx, refOf(id).Target())
			case isIssue:
				err = a.workflows.signal(ctx, store.Issue{ID: id}, SignalForgotten)
			default:
				continue
			}
			if err != nil { // it may have ended just now; if it has not, its next rung says the same
				a.Log.Warn("it could not be asked what the store has forgotten of it", "workflow", id, "error", err)
				continue
			}
			asked++
		}
		if page = list.GetNextPageToken(); len(page) == 0 {
			break
		}
	}
	a.Log.Warn("the store was restored from an older backup", "sweep", sweep.ID, "last", last, "asked", asked)
	return a.Store.Note(ctx, store.Action{Key: fmt.Sprintf("restored/%d/%d", last, sweep.ID), Kind: store.KindReconcile,
		Outcome: store.Done, Detail: fmt.Sprintf("%d workflows are asked to write down again where they stand", asked),
		Reason: fmt.Sprintf("the store was restored from an older backup: it counts sweep %d, and sweep %d was before", sweep.ID, last)})
}
