package activities

import (
	"context"
	"errors"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/store"
)

// SettleRung finds out what became of a rung whose activity failed or was cancelled. Stopped: nothing was begun.
func (a *Issues) SettleRung(ctx context.Context, req issue.Request) (issue.Result, error) {
	defer heartbeat(ctx)()
	action, err := a.Store.Action(ctx, req.Key)
	switch {
	case errors.Is(err, store.ErrNotFound) && a.rungs.wasIntended(ctx, req.Key):
		// a notice has no line of its own before it is sent
		return issue.Result{Outcome: issue.Unknown, Reason: "it may have been handed to its site"}, nil
	case errors.Is(err, store.ErrNotFound):
		return issue.Result{Outcome: issue.Stopped, Reason: "nothing was begun"}, nil
	case err != nil:
		return issue.Result{}, err
	}
	t := task{Request: req}
	var res issue.Result
	switch action.Kind {
	case store.KindReboot, store.KindReinstall:
		res, err = a.power.finishPower(ctx, t, action)
	case store.KindRepair:
		res, err = a.boot.finishRepair(ctx, t, action)
	case store.KindDisable:
		res, err = a.boot.finishDisable(ctx, t, action)
	default:
		return issue.Result{Outcome: issue.Unknown, Reason: "its answer was lost"}, nil
	}
	if err == nil && res.Outcome == issue.Wait && !action.Begun() {
		res.Outcome = issue.Stopped
	}
	return res, err
}
