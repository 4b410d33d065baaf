package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// task is one rung of one issue while it is worked on: what was asked for, and what a fresh look found.
type task struct {
	issue.Request
	seen  observation
	order policy.Order // of the person who wants it; the zero value: an issue does
}

func (t task) ref() Ref { return t.State.Ref }

// rungs is what every rung of a ladder does before and after its own work: look, and write down where the issue stands.
type rungs struct {
	*ledger
	observer  *observer
	workflows *workflows
	claims    *claims
}

// run does one rung: it looks, lets the rung decide and act, and writes down where the issue stands then. Rungs ask the
// gate themselves, directly before they act.
func (a *rungs) run(ctx context.Context, req issue.Request,
	do func(context.Context, task) (issue.Result, error)) (issue.Result, error) {
	defer heartbeat(ctx)()
	moved, err := a.siteNow(ctx, &req)
	if err != nil {
		return issue.Result{}, err
	}
	if err := a.claims.relearn(ctx, req.State); err != nil {
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
	return res, a.save(ctx, req, res)
}

// lookFirst is what every rung asks first: does the target exist, and is it good by now? A result with an outcome ends
// the rung.
func (a *rungs) lookFirst(ctx context.Context, t *task) (issue.Result, error) {
	if gone, err := a.gone(ctx, t.ref()); err != nil || gone {
		return issue.Result{Outcome: issue.Gone, Reason: t.ref().Target() + " is no longer in " + a.from()}, err
	}
	var err error
	if t.seen, err = a.observer.observe(ctx, t.ref()); err != nil {
		return issue.Result{}, err
	}
	if t.seen.good {
		return issue.Result{Outcome: issue.Recovered, Reason: t.seen.reason}, nil
	}
	return issue.Result{}, nil
}

// gone reports whether PLC has the target no more.
func (a *rungs) gone(ctx context.Context, ref Ref) (bool, error) {
	var gone bool
	var err error
	switch ref.Type {
	case issue.PCUDown:
		var p store.PCU
		p, err = a.Store.PCU(ctx, ref.PCUID)
		gone = p.Gone
	case issue.SiteDown:
		var s store.Site
		if s, err = a.Store.Site(ctx, ref.Site); err == nil && !s.Gone {
			var nodes []store.Node
			nodes, err = a.Store.NodesOfSite(ctx, ref.Site)
			s.Gone = len(nodes) == 0
		}
		gone = s.Gone
	default:
		var n store.Node
		n, err = a.Store.Node(ctx, ref.Node)
		gone = n.Gone
	}
	if errors.Is(err, store.ErrNotFound) {
		return true, nil
	}
	return gone, err
}

// siteNow lets an issue follow its target to the site to which PLC has moved it, and answers that site, or nothing.
func (a *rungs) siteNow(ctx context.Context, req *issue.Request) (string, error) {
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
	if err := a.workflows.releaseHold(ctx, *ref, "", req.State.Opened,
		fmt.Sprintf("it belongs to %s now", site)); err != nil {
		return "", err
	}
	ref.Site = site
	return site, nil
}

// save writes down where an issue stands after a rung, also when the activity is being cancelled: what was done was
// done.
func (a *rungs) save(ctx context.Context, req issue.Request, res issue.Result) error {
	return a.Store.SaveIssue(context.WithoutCancel(ctx), req.After(a.now(), res), a.now())
}

// wasIntended says whether a rung has begun, or may have: what cannot be read may be there.
func (a *rungs) wasIntended(ctx context.Context, key string) bool {
	if _, err := a.Store.Action(ctx, key); !errors.Is(err, store.ErrNotFound) {
		return true
	}
	holds, err := a.Store.Claims(ctx, store.ClaimFilter{Kind: store.ClaimHold, Key: key})
	return err != nil || len(holds) > 0
}

// refuse writes down, once for each check and reason, why the gate said no, and answers for the rung.
func (a *rungs) refuse(ctx context.Context, t task, no policy.Answer) (issue.Result, error) {
	res := resultOf(no)
	if res.Outcome == issue.Stopped || res.Outcome == issue.Recovered || res.Outcome == issue.Gone {
		return res, nil
	}
	ref := t.ref()
	return res, a.Store.Skip(ctx, store.Action{Key: fmt.Sprintf("%s/%d/%s", ref.Episode(), t.State.Rung, no.Check),
		Issue: ref.ID, RunID: ref.Run,
		Node: ref.Node, Site: ref.Site, PCUID: ref.PCUID, Reason: no.Reason})
}

// siteEvidence is what a site's people are shown. Of a PCU it is what it does, and nothing that it said.
func (t task) siteEvidence() []string {
	if t.seen.forSite != "" {
		return issue.Evidence([]string{t.seen.forSite})
	}
	return t.evidence()
}

// evidence is what people are shown: what was just seen, then what the issue was opened with.
func (t task) evidence() []string {
	lines := []string{t.seen.reason}
	if s, seen := t.seen.facts.Symptoms[t.ref().Type]; seen && s.Reason != t.seen.reason {
		lines = append(lines, s.Reason)
	}
	lines = append(lines, t.seen.silent...)
	for _, l := range t.State.Evidence {
		if !slices.Contains(lines, l) {
			lines = append(lines, l)
		}
	}
	return issue.Evidence(lines)
}
