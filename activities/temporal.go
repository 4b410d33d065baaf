package activities

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/planetlab/monitor/issue"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// workflows starts, asks and signals the workflows of issues and sites. Their code is in package workflows, which this
// room does not know.
type workflows struct {
	*ledger
	Temporal client.Client
}

// openIssue opens an issue about the node, PCU or site of a ref, with what its opener knows. One that is open already
// stays as it is, without an event. An empty cause lets the issue say what the store knows of its target.
func (a *workflows) openIssue(ctx context.Context, name string, ref Ref, cause string, evidence []string) error {
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

func (a *workflows) signal(ctx context.Context, i store.Issue, name string) error {
	err := a.Temporal.SignalWorkflow(ctx, i.ID, "", name, nil)
	var none *serviceerror.NotFound
	if err != nil && !errors.As(err, &none) { // one that is gone is found by the next sweep
		a.Log.Warn("an issue could not be signalled", "issue", i.ID, "signal", name, "error", err)
	}
	return err
}

// running asks Temporal itself, not its index, whether a workflow runs. An empty run is the latest one.
func (a *workflows) running(ctx context.Context, id, run string) (bool, error) {
	answer, err := a.Temporal.DescribeWorkflowExecution(ctx, id, run)
	var none *serviceerror.NotFound
	if errors.As(err, &none) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return answer.GetWorkflowExecutionInfo().GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_RUNNING, nil
}

// siteState asks a site's workflow where it stands; a site of which nothing is held has none, and stands at nothing.
func (a *workflows) siteState(ctx context.Context, login string) (s sites.State, err error) {
	runs, err := a.running(ctx, sites.ID(login), "")
	if err != nil || !runs {
		return s, err
	}
	value, err := a.Temporal.QueryWorkflow(ctx, sites.ID(login), "", issue.QueryStatus)
	if err == nil {
		err = value.Get(&s)
	}
	if err != nil {
		return s, fmt.Errorf("ask site %s where it stands: %w", login, err)
	}
	return s, nil
}

// ordered says whether an order against the activity has come meanwhile: its workflow then has cancelled it. It asks
// Temporal directly, since heartbeats are sent and answered only now and then.
func (a *workflows) ordered(ctx context.Context) string {
	if ctx.Err() != nil {
		return "an order came meanwhile"
	}
	if a.Temporal == nil || !activity.IsActivity(ctx) {
		return ""
	}
	err := a.Temporal.RecordActivityHeartbeat(ctx, activity.GetInfo(ctx).TaskToken)
	var cancelled *temporal.CanceledError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &cancelled):
		return "an order came meanwhile"
	}
	return "its workflow cannot be asked whether it still wants this: " + err.Error()
}

// askSite starts the site's workflow if need be and waits for its answer. The key makes a repeated call harmless.
func (a *workflows) askSite(ctx context.Context, login, update, key string, arg any) (sites.Answer, error) {
	start := a.Temporal.NewWithStartWorkflowOperation(client.StartWorkflowOptions{
		ID: sites.ID(login), TaskQueue: TaskQueue,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		StaticSummary:            "what " + login + " is told and denied",
	}, sites.Type, sites.Input{Site: login})
	h, err := a.Temporal.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: start,
		UpdateOptions: client.UpdateWorkflowOptions{
			UpdateID: update + "/" + key, UpdateName: update, Args: []any{arg},
			WaitForStage: client.WorkflowUpdateStageCompleted,
		},
	})
	var answer sites.Answer
	if err == nil {
		err = h.Get(ctx, &answer)
	}
	if err != nil {
		return answer, fmt.Errorf("ask site %s to %s: %w", login, update, err)
	}
	return answer, nil
}

// lookAtSite has a site read back what it is denied, and starts it if need be.
func (a *workflows) lookAtSite(ctx context.Context, login string) error {
	_, err := a.Temporal.SignalWithStartWorkflow(ctx, sites.ID(login), sites.SignalLook, nil,
		client.StartWorkflowOptions{ID: sites.ID(login), TaskQueue: TaskQueue,
			StaticSummary: "what " + login + " is told and denied"}, sites.Type, sites.Input{Site: login})
	if err != nil {
		return fmt.Errorf("let site %s look: %w", login, err)
	}
	return nil
}

// HoldClaim is what an issue's hold on its site is in the store. Who asks a site to hold takes it first, in one
// transaction with the intent, so that it outlives both workflows; a node that moves takes its hold along.
func HoldClaim(r sites.HoldRequest) store.Claim {
	return store.Claim{Kind: store.ClaimHold, Target: r.Ref.Target(), Site: r.Ref.Site, Issue: r.Ref.ID,
		RunID: r.Ref.Run, Key: r.Key, SetTo: strconv.Itoa(r.Level)}
}

// holdSite hands an issue's request to the workflow of its site. The claim comes first: what is asked of the site
// outlives both workflows, and the reconciler lets it go if nobody else does.
func (a *workflows) holdSite(ctx context.Context, r sites.HoldRequest) (sites.Answer, error) {
	if err := a.Store.Take(ctx, HoldClaim(r)); err != nil {
		return sites.Answer{}, err
	}
	return a.askSite(ctx, r.Ref.Site, sites.UpdateHold, r.Key, r)
}

// releaseHold lets an issue's hold on its site go. Those who were told of it are thanked, or told how it ended, as far
// as end says: they hear nothing of one that is lost, cancelled or elsewhere.
func (a *workflows) releaseHold(ctx context.Context, ref Ref, end issue.EndKind, since time.Time, why string) error {
	holds, err := a.Store.Claims(ctx, store.ClaimFilter{Kind: store.ClaimHold, Issue: ref.ID})
	thanks := end == issue.EndRecovered
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
		if !thanks {
			r.Ended = end
		}
		if _, err := a.askSite(ctx, login, sites.UpdateRelease, r.Key, r); err != nil {
			return err
		}
	}
	return a.Store.ReleaseHold(ctx, ref.ID, why)
}
