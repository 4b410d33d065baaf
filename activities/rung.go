package activities

import (
	"context"
	"errors"
	"fmt"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// task is one rung of one issue while it is worked on: what was asked for, and what a fresh look found.
type task struct {
	issue.Request
	seen sight
}

func (t task) ref() Ref { return t.State.Ref }

// runRung does one rung: it looks, lets the rung decide and act, and writes down where the issue stands then. Rungs ask the gate
// themselves, directly before they act.
func (a *Activities) runRung(ctx context.Context, req issue.Request, do func(context.Context, task) (issue.Result, error)) (issue.Result, error) {
	defer heartbeat(ctx)()
	moved, err := a.siteNow(ctx, &req)
	if err != nil {
		return issue.Result{}, err
	}
	t := task{Request: req}
	res, err := a.lookFirst(ctx, &t)
	if err == nil && res.Outcome == "" {
		res, err = do(ctx, t)
	}
	if err != nil {
		if ctx.Err() != nil && !a.wasIntended(context.WithoutCancel(ctx), req.Key) {
			return issue.Result{Outcome: issue.Stopped, Reason: "an order came meanwhile"}, nil
		}
		return res, err // what was begun is settled by SettleRung
	}
	res.Site = moved
	return res, a.saveRung(ctx, req, res)
}

// wasIntended says whether a rung has begun, or may have: what cannot be read may be there.
func (a *Activities) wasIntended(ctx context.Context, key string) bool {
	if _, err := a.Store.Action(ctx, key); !errors.Is(err, store.ErrNotFound) {
		return true
	}
	holds, err := a.Store.Claims(ctx, store.ClaimFilter{Kind: store.ClaimHold, Key: key})
	return err != nil || len(holds) > 0
}

// saveRung writes down where an issue stands after a rung, also when the activity is being cancelled: what was done was done.
func (a *Activities) saveRung(ctx context.Context, req issue.Request, res issue.Result) error {
	return a.Store.SaveIssue(context.WithoutCancel(ctx), req.After(a.now(), res), a.now())
}

// siteNow lets an issue follow its target to the site to which PLC has moved it, and answers that site, or nothing.
func (a *Activities) siteNow(ctx context.Context, req *issue.Request) (string, error) {
	ref := &req.State.Ref
	var site string
	switch {
	case ref.Node != "":
		n, err := a.Store.Node(ctx, ref.Node)
		if errors.Is(err, store.ErrNotFound) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		site = n.Site
	case ref.PCUID != 0:
		p, err := a.Store.PCU(ctx, ref.PCUID)
		if errors.Is(err, store.ErrNotFound) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		site = p.Site
	}
	if site == "" || site == ref.Site {
		return "", nil
	}
	if err := a.releaseHold(ctx, *ref, false, req.State.Opened, fmt.Sprintf("it belongs to %s now", site)); err != nil {
		return "", err
	}
	ref.Site = site
	return site, nil
}

// lookFirst is what every rung asks first: does the target exist, and is it good by now? A result with an outcome ends the rung.
func (a *Activities) lookFirst(ctx context.Context, t *task) (issue.Result, error) {
	if gone, err := a.gone(ctx, t.ref()); err != nil || gone {
		return issue.Result{Outcome: issue.Gone, Reason: t.ref().Target() + " is no longer in PLC"}, err
	}
	var err error
	if t.seen, err = a.observe(ctx, t.ref()); err != nil {
		return issue.Result{}, err
	}
	if t.seen.good {
		return issue.Result{Outcome: issue.Recovered, Reason: t.seen.reason}, nil
	}
	return issue.Result{}, nil
}

// refuse writes down, once for each check and reason, why the gate said no, and answers for the rung.
func (a *Activities) refuse(ctx context.Context, t task, no policy.Answer) (issue.Result, error) {
	res := resultOf(no)
	if res.Outcome == issue.Stopped || res.Outcome == issue.Recovered || res.Outcome == issue.Gone {
		return res, nil
	}
	ref := t.ref()
	return res, a.Store.Skip(ctx, store.Action{Key: fmt.Sprintf("%s/%d/%s", ref.Episode(), t.State.Rung, no.Check), Issue: ref.ID, RunID: ref.Run,
		Node: ref.Node, Site: ref.Site, PCU: ref.PCUID, Reason: no.Reason})
}

// SettleRung finds out what became of a rung whose activity failed or was cancelled. Stopped: nothing was begun.
func (a *Activities) SettleRung(ctx context.Context, req issue.Request) (issue.Result, error) {
	defer heartbeat(ctx)()
	action, err := a.Store.Action(ctx, req.Key)
	switch {
	case errors.Is(err, store.ErrNotFound) && a.wasIntended(ctx, req.Key): // a notice has no line of its own before it is sent
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
		res, err = a.finishPower(ctx, t, action)
	case store.KindRepair:
		res, err = a.finishRepair(ctx, t, action)
	case store.KindDisable:
		res, err = a.finishDisable(ctx, t, action)
	default:
		return issue.Result{Outcome: issue.Unknown, Reason: "its answer was lost"}, nil
	}
	if err == nil && res.Outcome == issue.Wait && !action.Begun() {
		res.Outcome = issue.Stopped
	}
	return res, err
}
