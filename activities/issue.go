package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/policy"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// noTarget is the answer to an issue that names nothing Monitor knows; no retry mends that.
func noTarget(format string, args ...any) error {
	return temporal.NewNonRetryableApplicationError(fmt.Sprintf(format, args...), ErrNoSuchTarget, nil)
}

// OpenIssue finds the target of a new issue, says why it is open, and writes it down with the rules by which it will live.
func (a *Activities) OpenIssue(ctx context.Context, in OpenRequest) (issue.State, error) {
	typ, known := issue.Lookup(in.Ref.Type)
	if !known {
		return issue.State{}, temporal.NewNonRetryableApplicationError(fmt.Sprintf("no issue type is called %q", in.Ref.Type), ErrBadInput, nil)
	}
	ref := in.Ref
	if want := ref.Type + "/" + typ.TargetOf(in.Input); typ.TargetOf(in.Input) == "" || ref.ID != want {
		return issue.State{}, temporal.NewNonRetryableApplicationError(
			fmt.Sprintf("the id of this workflow is %q but its input makes it %q: start it with id %s/<target> and input "+
				`{"node":"<host>"}, {"pcu":"<name>"} or {"site":"<login_base>"}`, ref.ID, want, ref.Type), ErrBadInput, nil)
	}
	ref, record, reason, err := a.find(ctx, ref)
	if err != nil {
		return issue.State{}, err
	}
	mode, err := a.mode(ctx)
	if err != nil {
		return issue.State{}, err
	}
	opening := issue.Opening{Ref: ref, Cause: in.Input.Cause, Evidence: in.Input.Evidence, Times: issue.TimesOf(a.Policy), Ladder: typ.Ladder, Mode: mode}
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
	a.postEvent(notify.EventOpened, ref.Episode()+"/opened", ref, 0, state.Cause)
	state.Keep(state.Seq)
	return state, nil
}

// find completes a ref from the store, with the status of its target and the reason for it.
func (a *Activities) find(ctx context.Context, ref Ref) (Ref, policy.Record, string, error) {
	typ, _ := issue.Lookup(ref.Type)
	switch typ.Target {
	case issue.OfSite:
		s, err := a.Store.Site(ctx, ref.Site)
		if errors.Is(err, store.ErrNotFound) {
			return ref, policy.Record{}, "", noTarget("no site %q in the PLC snapshot: check the login_base, or run `monitor sweep` to fetch it", ref.Site)
		}
		return ref, s.Record, "the site as a whole", err
	case issue.OfPCU:
		p, err := a.Store.PCUByName(ctx, ref.PCU)
		if errors.Is(err, store.ErrNotFound) {
			return ref, policy.Record{}, "", noTarget("no PCU %q in the PLC snapshot: see `monitor site show` for its name", ref.PCU)
		}
		ref.Site, ref.PCUID = p.Site, p.PCUID
		return ref, p.Record, p.Reason, err
	}
	n, err := a.Store.Node(ctx, ref.Node)
	if errors.Is(err, store.ErrNotFound) {
		return ref, policy.Record{}, "", noTarget("no node %q in the PLC snapshot: check the name, or run `monitor sweep` to fetch it", ref.Node)
	} else if err != nil {
		return ref, policy.Record{}, "", err
	}
	ref.Site, ref.PCUID = n.Site, n.PCUID
	if n.PCUID != 0 {
		p, err := a.Store.PCU(ctx, n.PCUID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return ref, policy.Record{}, "", err
		}
		ref.PCU = p.Name
	}
	return ref, n.Record, n.Reason, nil
}

// SaveIssue keeps where an issue stands for the command line and the pages. A PCU whose issue is closed is given back to its nodes.
func (a *Activities) SaveIssue(ctx context.Context, s issue.State) error {
	if err := a.Store.SaveIssue(ctx, s, a.now()); err != nil {
		return err
	}
	switch s.Status {
	case issue.Closed:
		a.postEvent(notify.EventClosed, s.Ref.Episode()+"/closed", s.Ref, 0, s.End.String())
		if s.Ref.Type == issue.PCUDown {
			return a.notifyPCURecovered(ctx, s.Ref)
		}
	case issue.Paused:
		next, at := s.NextAt()
		a.postEvent(notify.EventPaused, fmt.Sprintf("%s/%s/%d", s.Ref.Episode(), next, at.Unix()), s.Ref, s.Level, next)
	}
	return nil
}

// CloseIssue ends an issue: it looks once more unless forced, and lets go of all the issue holds: what it changed at the node and in PLC,
// and its hold on the site. It answers Acted when the issue may close and Wait when the target is bad after all.
func (a *Activities) CloseIssue(ctx context.Context, in CloseRequest) (issue.Result, error) {
	defer heartbeat(ctx)()
	s := in.State
	res := issue.Result{Outcome: issue.Acted}
	if !in.Force {
		seen, err := a.observe(ctx, s.Ref)
		if err != nil {
			return res, err
		}
		if !seen.good {
			return issue.Result{Outcome: issue.Wait, Reason: seen.reason}, nil
		}
		res.Reason = seen.reason
	}
	if s.End != nil && s.End.Why == issue.EndOperator {
		if err := a.Store.LeaveClosed(ctx, store.OperatorClosed{Issue: s.Ref.ID, By: s.End.By, Reason: s.End.Reason}); err != nil {
			return res, err
		}
	}
	said, err := a.releaseAll(ctx, s.Ref, "the issue is closed")
	if err != nil {
		return res, err
	}
	if said != "" {
		res.Reason = said
	}
	return res, a.releaseHold(ctx, s.Ref, s.Told && !in.Force, s.Opened, "the issue is closed")
}

// releaseHold lets an issue's hold on its site go; the site thanks those who were told, if that is asked for.
func (a *Activities) releaseHold(ctx context.Context, ref Ref, thanks bool, since time.Time, why string) error {
	holds, err := a.Store.Claims(ctx, store.ClaimFilter{Kind: store.ClaimHold, Issue: ref.ID})
	if err != nil || len(holds) == 0 && !thanks {
		return err
	}
	logins := []string{}
	for _, h := range holds { // a node that moved holds its old site until then
		logins = append(logins, h.Site)
	}
	if len(logins) == 0 {
		logins = append(logins, ref.Site)
	}
	for _, login := range logins {
		ref.Site = login
		r := sites.Release{Key: ref.Episode() + "/release/" + login, Ref: ref, Thanks: thanks, Since: since}
		if _, err := a.askSite(ctx, login, sites.UpdateRelease, r.Key, r); err != nil {
			return err
		}
	}
	return a.Store.ReleaseHold(ctx, ref.ID, why)
}

// openIssue opens an issue about the node, PCU or site of a ref, with what its opener knows. One that is open already stays
// as it is, without an event. An empty cause lets the issue say what the store knows of its target.
func (a *Activities) openIssue(ctx context.Context, name string, ref Ref, cause string, evidence []string) error {
	typ, known := issue.Lookup(name)
	target := typ.TargetOf(issue.Input{Node: ref.Node, PCU: ref.PCU, Site: ref.Site})
	if !known || target == "" {
		return fmt.Errorf("open %s: no such type, or no target", name)
	}
	in := typ.Input(target)
	in.Cause, in.Evidence = cause, issue.Evidence(evidence)
	id := name + "/" + target
	_, err := a.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: id, TaskQueue: TaskQueue,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowIDReusePolicy:    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		StaticSummary:            name + " of " + target + " at " + ref.Site,
	}, name, in)
	if err != nil {
		return fmt.Errorf("open %s: %w", id, err)
	}
	return nil
}

// priorIssue says what the last issue of the same kind leaves for a new one: how it ended, when that was lately, and whether
// the node's power cycles are used up.
func (a *Activities) priorIssue(ctx context.Context, ref Ref) ([]string, error) {
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
