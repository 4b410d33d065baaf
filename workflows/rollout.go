package workflows

import (
	"errors"
	"fmt"
	"slices"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/rollout"
)

// rolloutRun is one run of a roll-out: the machine of package rollout on durable timers.
// changeOfPause is that an order holds which comes while a status is written down.
const changeOfPause = "an order while the status is written"

type rolloutRun struct {
	rollout.State
	started bool
	news    workflow.Channel
	group   workflow.CancelFunc // cancels the requests that are under way; nil: none are
}

// Rollout carries one act to the nodes of a plan, so many at a time. Each node is a request of its own, which goes on
// whatever becomes of this. It goes on as a new run between two groups, where its history has become long.
func Rollout(ctx workflow.Context, in rollout.Input) (rollout.State, error) {
	r := &rolloutRun{news: workflow.NewBufferedChannel(ctx, 64)}
	if err := r.listen(ctx); err != nil {
		return r.State, err
	}
	if err := r.open(ctx, in); err != nil {
		return r.State, err
	}
	err := r.work(ctx)
	if ctx.Err() != nil {
		ctx, _ = workflow.NewDisconnectedContext(ctx)
		_ = r.Cancel(rollout.Steer{By: "the workflow's cancellation"})
		err = r.work(ctx)
	}
	if err != nil {
		return r.State, err
	}
	return r.State, workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
}

func (r *rolloutRun) open(ctx workflow.Context, in rollout.Input) error {
	if in.State != nil && workflow.GetInfo(ctx).ContinuedExecutionRunID != "" {
		r.State, r.started = *in.State, true
		return nil
	}
	var rollouts *activities.Rollouts
	var p rollout.Plan
	if err := workflow.ExecuteActivity(patient(ctx, "read the plan"), rollouts.OpenRollout, in.Name).Get(ctx, &p); err != nil {
		return err
	}
	r.State, r.started = rollout.Start(p, workflow.Now(ctx)), true
	r.Number = in.Group
	return workflow.UpsertTypedSearchAttributes(ctx, AttrType.ValueSet(rollout.Type))
}

func (r *rolloutRun) work(ctx workflow.Context) error {
	for {
		next := r.State.Next(workflow.Now(ctx))
		decided := r.Status
		if err := r.note(ctx); err != nil {
			return err
		}
		r.describe(ctx)
		if r.Status != decided && workflow.GetVersion(ctx, changeOfPause, workflow.DefaultVersion, 1) == 1 {
			continue // an order came meanwhile: no group begins after a pause
		}
		switch next.Do {
		case rollout.Finish:
			return nil
		case rollout.Sleep:
			if err := r.sleep(ctx, next.Until); err != nil {
				return err
			}
		case rollout.Begin:
			if workflow.GetInfo(ctx).GetContinueAsNewSuggested() && workflow.AllHandlersFinished(ctx) {
				return workflow.NewContinueAsNewError(ctx, rollout.Type, rollout.Input{Name: r.Name, State: &r.State})
			}
			if err := r.doGroup(ctx); err != nil {
				return err
			}
		}
	}
}

// note writes the status down when it has changed.
func (r *rolloutRun) note(ctx workflow.Context) error {
	if r.Noted == r.Status {
		return nil
	}
	var rollouts *activities.Rollouts
	r.Noted = r.Status
	in := activities.RolloutNote{Name: r.Name, Run: workflow.GetInfo(ctx).WorkflowExecution.RunID,
		Group: r.Number, Status: r.Status, Why: r.Why}
	return workflow.ExecuteActivity(patient(ctx, "write down: "+string(r.Status)), rollouts.NoteRollout, in).Get(ctx, nil)
}

// doGroup begins with the next nodes, waits until the request of each has ended, and until they are what is waited for.
func (r *rolloutRun) doGroup(ctx workflow.Context) error {
	var rollouts *activities.Rollouts
	var begun activities.RolloutBegun
	in := activities.RolloutGroup{Name: r.Name, Group: r.Number + 1, Size: r.Group}
	if err := workflow.ExecuteActivity(patient(ctx, fmt.Sprintf("take group %d", in.Group)), rollouts.BeginRolloutGroup,
		in).Get(ctx, &begun); err != nil {
		return err
	}
	r.Began(begun.Begin, begun.Skipped)
	r.describe(ctx)
	if len(r.Running) > 0 {
		r.orderAll(ctx)
		r.await(ctx)
		end, _ := workflow.NewDisconnectedContext(ctx)
		if err := workflow.ExecuteActivity(patient(end, fmt.Sprintf("write group %d down", r.Number)), rollouts.EndRolloutGroup,
			activities.RolloutResult{Name: r.Name, Nodes: r.Running}).Get(end, nil); err != nil {
			return err
		}
	}
	r.GroupEnded(workflow.Now(ctx))
	return ctx.Err()
}

// orderAll gives the order to each node of the group, and waits for the end of each.
func (r *rolloutRun) orderAll(ctx workflow.Context) {
	scope, cancel := workflow.WithCancel(ctx)
	r.group = cancel
	if r.Status == rollout.Cancelled { // it came while the group was taken
		cancel()
	}
	// what the requests have done is heard also when this is cancelled
	hear, _ := workflow.NewDisconnectedContext(ctx)
	all := workflow.NewWaitGroup(hear)
	for _, n := range r.Running {
		if n.State != rollout.Begun { // an earlier try of taking the group had begun with it
			continue
		}
		all.Add(1)
		workflow.Go(hear, func(hear workflow.Context) {
			defer all.Done()
			child := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(scope, workflow.ChildWorkflowOptions{
				WorkflowID: request.ID(n.Host), TaskQueue: activities.TaskQueue,
				ParentClosePolicy:     enums.PARENT_CLOSE_POLICY_ABANDON,
				WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
				WaitForCancellation:   true,
				StaticSummary:         fmt.Sprintf("%s of %s for %s", r.Act, n.Host, rollout.ID(r.Name)),
			}), request.Type, r.Request(n))
			var story request.Story
			err := child.Get(hear, &story)
			state, reason := rollout.After(story)
			if err != nil {
				state, reason = lostRequest(err)
			}
			r.NodeEnded(workflow.Now(hear), n.Seq, state, clean.Line(reason))
			for i := range r.Running {
				if r.Running[i].Seq == n.Seq {
					r.Running[i].Run = story.Run
				}
			}
		})
	}
	all.Wait(hear)
	r.group = nil
	cancel()
}

// lostRequest is what is known of a node whose request has not told its end.
func lostRequest(err error) (rollout.NodeState, string) {
	var running *temporal.ChildWorkflowExecutionAlreadyStartedError
	var app *temporal.ApplicationError
	switch {
	case errors.As(err, &running):
		return rollout.Failed, "another order to this node is under way"
	case errors.As(err, &app) && app.Type() == activities.ErrNoSuchTarget:
		return rollout.Skipped, app.Message()
	case errors.As(err, &app):
		return rollout.Failed, app.Message()
	case temporal.IsCanceledError(err):
		return rollout.Planned, "cancelled before it began"
	}
	return rollout.Unknown, "its request was lost: " + reasonOf(err)
}

// await waits until the nodes that were done are what the group waits for; what is not so in its time has failed.
func (r *rolloutRun) await(ctx workflow.Context) {
	if r.Wait == "" {
		return
	}
	within := r.Within
	if within == 0 {
		within = 2 * time.Hour
	}
	until := workflow.Now(ctx).Add(within)
	var rollouts *activities.Rollouts
	for pause := within / 60; ; pause = min(pause*3/2, within/6) {
		var wait []string
		for _, n := range r.Running {
			if n.State == rollout.Done {
				wait = append(wait, n.Host)
			}
		}
		if len(wait) == 0 || r.Status == rollout.Cancelled || ctx.Err() != nil {
			return
		}
		var missing []string
		err := workflow.ExecuteActivity(brief(ctx, "are they as the plan waits for?"), rollouts.RolloutReached,
			activities.RolloutWait{Hosts: wait, Select: r.Wait}).Get(ctx, &missing)
		if err == nil && len(missing) == 0 {
			return
		}
		if !workflow.Now(ctx).Before(until) {
			why := fmt.Sprintf("not %q within %s", r.Wait, within)
			if err != nil {
				missing, why = wait, why+": "+reasonOf(err)
			}
			for _, n := range slices.Clone(r.Running) {
				if slices.Contains(missing, n.Host) {
					r.Missed(n.Seq, why)
				}
			}
			return
		}
		_ = r.sleep(ctx, workflow.Now(ctx).Add(max(pause, time.Second)))
	}
}

func (r *rolloutRun) sleep(ctx workflow.Context, until time.Time) error {
	timerCtx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	sel := workflow.NewSelector(ctx)
	sel.AddReceive(r.news, func(ch workflow.ReceiveChannel, _ bool) { ch.Receive(ctx, nil) })
	if !until.IsZero() {
		sel.AddFuture(workflow.NewTimer(timerCtx, until.Sub(workflow.Now(ctx))), func(workflow.Future) {})
	}
	sel.AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) {})
	sel.Select(ctx)
	return ctx.Err()
}

// listen sets up the query, and the updates by which operators steer it.
func (r *rolloutRun) listen(ctx workflow.Context) error {
	err := workflow.SetQueryHandlerWithOptions(ctx, QueryStatus, func() (rollout.State, error) { return r.State, nil },
		workflow.QueryHandlerOptions{Description: "How far the roll-out is, and the nodes that are under way"})
	if err != nil {
		return err
	}
	for _, o := range []struct {
		name, about string
		do          func(rollout.Steer) error
	}{
		{rollout.UpdatePause, "Let no further group begin: {\"by\",\"reason\"}", func(s rollout.Steer) error { return r.Pause(s) }},
		{rollout.UpdateResume, "Go on, after a pause or too many failures", func(s rollout.Steer) error { return r.Resume(s) }},
		{rollout.UpdateCancel, "End it: what nothing was done to yet is left", func(s rollout.Steer) error { return r.leave(s) }},
	} {
		err := workflow.SetUpdateHandlerWithOptions(ctx, o.name, func(ctx workflow.Context, s rollout.Steer) (rollout.State, error) {
			// one that comes while the plan is still read waits for that
			if err := workflow.Await(ctx, func() bool { return r.started }); err != nil {
				return r.State, err
			}
			err := o.do(s)
			r.news.SendAsync(struct{}{})
			return r.State, err
		}, workflow.UpdateHandlerOptions{Description: o.about, Validator: func(s rollout.Steer) error {
			if s.By == "" || len(s.By)+len(s.Reason) > clean.MaxText {
				return errors.New(o.name + ": an order says who gives it, and why, in a few words")
			}
			return nil
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *rolloutRun) leave(s rollout.Steer) error {
	err := r.Cancel(s)
	if err == nil && r.group != nil {
		r.group()
	}
	return err
}

// describe shows in the Web UI how far it is.
func (r *rolloutRun) describe(ctx workflow.Context) {
	text := fmt.Sprintf("**%s** of %d nodes, %d at a time, ordered by %s: %s\n\n%s: %d done, %d failed, %d skipped, %d unknown",
		r.Act, r.Plan.Count, r.Group, r.Order.By, r.Order.Reason, r.Status, r.Count.Done, r.Count.Failed, r.Count.Skipped,
		r.Count.Unknown)
	if r.Why != "" {
		text += "\n\n" + r.Why
	}
	for i, n := range r.Running {
		if i == 40 {
			text += "\n    ..."
			break
		}
		text += fmt.Sprintf("\n    %s %s %s", n.State, n.Host, n.Reason)
	}
	workflow.SetCurrentDetails(ctx, text)
}
