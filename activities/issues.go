package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// Issues opens and closes issues, and keeps them in the store.
type Issues struct {
	*ledger
	rungs     *rungs
	gate      *gate
	observer  *observer
	outlets   *outlets
	claims    *claims
	workflows *workflows
	post      *post
	power     *Power // they know what became of a rung of theirs
	boot      *Boot
}

// OpenIssue finds the target of a new issue, says why it is open, and writes it down with the rules by which it will
// live.
func (a *Issues) OpenIssue(ctx context.Context, in OpenRequest) (issue.State, error) {
	typ, known := issue.Lookup(in.Ref.Type)
	if !known {
		return issue.State{}, temporal.NewNonRetryableApplicationError(fmt.Sprintf("no issue type is called %q",
			in.Ref.Type), ErrBadInput, nil)
	}
	ref := in.Ref
	if want := ref.Type + "/" + typ.TargetOf(in.Input); typ.TargetOf(in.Input) == "" || ref.ID != want {
		return issue.State{}, temporal.NewNonRetryableApplicationError(
			fmt.Sprintf(
				"the id of this workflow is %q but its input makes it %q: start it with id %s/<target> and input "+
					`{"node":"<host>"}, {"pcu":"<name>"} or {"site":"<login_base>"}`, ref.ID, want, ref.Type),
			ErrBadInput, nil)
	}
	ref, record, reason, err := a.find(ctx, ref)
	if err != nil {
		return issue.State{}, err
	}
	controls, err := a.Store.Controls(ctx)
	if err != nil {
		return issue.State{}, err
	}
	mode, _ := a.gate.mode(controls, ref)
	opening := issue.Opening{Ref: ref, Cause: in.Input.Cause, Evidence: in.Input.Evidence,
		Times: issue.TimesOf(a.Policy), Ladder: typ.Ladder, Mode: mode}
	if opening.Cause == "" {
		opening.Cause = fmt.Sprintf("%s since %s: %s", record.Status, record.Changed.UTC().Format(time.RFC3339), reason)
	}
	before, err := a.priorIssue(ctx, ref)
	if err != nil {
		return issue.State{}, err
	}
	opening.Evidence = append(opening.Evidence, before...)
	now := a.now()
	state := issue.Start(opening, now)
	if err := a.Store.SaveIssue(ctx, state, now); err != nil {
		return issue.State{}, err
	}
	if err := a.Store.MayReopen(ctx, ref.ID); err != nil { // somebody opened it by hand
		return issue.State{}, err
	}
	a.post.event(notify.EventOpened, ref.Episode()+"/opened", ref, 0, state.Cause)
	state.Keep(state.Seq)
	return state, nil
}

// SaveIssue keeps where an issue stands for the command line and the pages. A PCU whose issue is closed is given back
// to its nodes.
func (a *Issues) SaveIssue(ctx context.Context, s issue.State) error {
	if err := a.Store.SaveIssue(ctx, s, a.now()); err != nil {
		return err
	}
	if s.Status != issue.Closed {
		if err := a.claims.relearn(ctx, s); err != nil {
			return err
		}
	}
	switch s.Status {
	case issue.Closed:
		a.post.event(notify.EventClosed, s.Ref.Episode()+"/closed", s.Ref, 0, s.End.String())
		if s.Ref.Type == issue.PCUDown {
			return a.workflows.notifyPCURecovered(ctx, s.Ref, "is closed")
		}
	case issue.Paused:
		next, at := s.NextAt()
		a.post.event(notify.EventPaused, fmt.Sprintf("%s/%s/%d", s.Ref.Episode(), next, at.Unix()), s.Ref,
			s.Level, next)
	}
	return nil
}

// CloseIssue ends an issue: it looks once more unless forced, and lets go of all the issue holds: what it changed at
// the node and in PLC, and its hold on the site. It answers Acted when the issue may close and Wait when the target is
// bad after all.
func (a *Issues) CloseIssue(ctx context.Context, in CloseRequest) (issue.Result, error) {
	defer heartbeat(ctx)()
	s := in.State
	res := issue.Result{Outcome: issue.Acted}
	if !in.Force {
		seen, err := a.observer.observe(ctx, s.Ref)
		if err != nil {
			return res, err
		}
		if !seen.good {
			return issue.Result{Outcome: issue.Wait, Reason: seen.reason}, nil
		}
		res.Reason = seen.reason
	}
	if s.End != nil && s.End.Why == issue.EndOperator {
		if err := a.Store.LeaveClosed(ctx,
			store.OperatorClosed{Issue: s.Ref.ID, By: s.End.By, Reason: s.End.Reason}); err != nil {
			return res, err
		}
	}
	if err := a.claims.relearn(ctx, s); err != nil {
		return res, err
	}
	said, err := a.claims.releaseAll(ctx, s.Ref, "the issue is closed")
	if err != nil {
		return res, err
	}
	if said != "" {
		res.Reason = said
	}
	return res, a.workflows.releaseHold(ctx, s.Ref, toldEnd(s, in.Force), s.Opened, "the issue is closed")
}

// toldEnd is how an issue ends as its people hear of it; nothing: they were not told of it, or it ends for no reason of
// theirs.
func toldEnd(s issue.State, forced bool) issue.EndKind {
	switch {
	case !s.Told:
		return ""
	case !forced:
		return issue.EndRecovered
	case s.End == nil:
		return ""
	}
	return s.End.Why
}

// priorIssue says what the last issue of the same kind leaves for a new one: how it ended, when that was lately, and
// whether the node's power cycles are used up.
func (a *Issues) priorIssue(ctx context.Context, ref Ref) ([]string, error) {
	now := a.now()
	var lines []string
	last, err := a.Store.Issue(ctx, ref.ID)
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return nil, err
	case err == nil && last.RunID != ref.Run && !last.Closed.IsZero() && now.Sub(last.Closed) < a.Policy.RebootWindow:
		lines = append(lines, fmt.Sprintf("it was here before: the last issue was open for %s and closed %s ago (%s)",
			a.Policy.Days(last.Closed.Sub(last.Opened)), a.Policy.Days(now.Sub(last.Closed)), last.Outcome))
	}
	if ref.Type != issue.NodeDown {
		return lines, nil
	}
	cycles, err := a.Store.PowerCycles(ctx, ref.Node, now.Add(-a.Policy.RebootWindow))
	if err != nil {
		return nil, err
	}
	if hardware, why := policy.LikelyHardware(a.Policy, cycles, now); hardware {
		lines = append(lines, why)
	}
	return lines, nil
}
