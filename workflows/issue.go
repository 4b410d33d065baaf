package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
)

// Result is what a closed issue leaves in its workflow.
type Result struct {
	Outcome  string        `json:"outcome"`
	Cause    string        `json:"cause"`
	Opened   time.Time     `json:"opened"`
	Lasted   time.Duration `json:"lasted"`
	Timeline []issue.Event `json:"story"` // the latest; the store has all of it
}

// run is one run of an issue's workflow: the machine that decides, and what Temporal needs around it.
type run struct {
	issue.State
	typ      issue.Type
	news     workflow.Channel
	signals  workflow.Selector
	rung     workflow.CancelFunc // cancels the rung that is under way; nil: none is
	shown    issue.Status        // what the search attributes say
	level    int
	started  bool
	lastFail string // why an activity failed, so that it is said once
}

// climb makes the workflow of an issue type: it asks the machine what to do, does it, and tells the machine what became
// of it.
func climb(t issue.Type) func(workflow.Context, issue.Input) (Result, error) {
	return func(ctx workflow.Context, in issue.Input) (Result, error) {
		r := &run{typ: t, news: workflow.NewBufferedChannel(ctx, 64)}
		if err := r.listen(ctx); err != nil {
			return Result{}, err
		}
		if err := r.open(ctx, in); err != nil {
			return Result{}, err
		}
		err := r.work(ctx)
		// a cancelled issue lets go of all it holds, like one that is closed
		if temporal.IsCanceledError(err) || ctx.Err() != nil {
			ctx, _ = workflow.NewDisconnectedContext(ctx)
			r.Cancel()
			err = r.work(ctx)
		}
		if err != nil {
			return Result{}, err
		}
		return Result{Outcome: r.End.String(), Cause: r.Cause, Opened: r.Opened,
			Lasted: workflow.Now(ctx).Sub(r.Opened), Timeline: r.Events}, nil
	}
}

// open lets an activity find the target and write the new issue down; an issue that continues as a new run has done so.
func (r *run) open(ctx workflow.Context, in issue.Input) error {
	info := workflow.GetInfo(ctx)
	if in.State != nil && info.ContinuedExecutionRunID != "" {
		r.State = *in.State
		r.started = true
		return r.show(ctx)
	}
	var issues *activities.Issues
	ref := issue.Ref{ID: info.WorkflowExecution.ID, Run: info.WorkflowExecution.RunID, Type: r.typ.Name, Node: in.Node,
		PCU: in.PCU, Site: in.Site}
	in.State = nil
	var opened issue.State
	err := workflow.ExecuteActivity(patient(ctx, "open "+ref.ID), issues.OpenIssue,
		activities.OpenRequest{Ref: ref, Input: in}).Get(ctx, &opened)
	if err != nil {
		return err
	}
	r.State, r.started = opened, true
	return r.show(ctx)
}

// work does what the machine says, until the issue has ended.
func (r *run) work(ctx workflow.Context) error {
	for {
		now := workflow.Now(ctx)
		step := r.Next(now)
		if err := r.show(ctx); err != nil {
			return err
		}
		var err error
		switch step.Do {
		case issue.RunRung:
			err = r.perform(ctx)
		case issue.Save:
			err = r.save(ctx)
		case issue.Close:
			err = r.close(ctx, step.Force)
		case issue.Finish:
			return r.finish(ctx)
		case issue.Sleep:
			if workflow.GetInfo(ctx).GetContinueAsNewSuggested() && workflow.AllHandlersFinished(ctx) &&
				!r.signals.HasPending() {
				return workflow.NewContinueAsNewError(ctx, r.typ.Name,
					issue.Input{Node: r.Ref.Node, PCU: r.Ref.PCU, Site: r.Ref.Site, State: &r.State})
			}
			err = r.sleep(ctx, step)
		}
		if err != nil {
			return err
		}
	}
}

// perform does the rung that is due: one activity, which looks, asks the gate, and acts. An order that forbids the rung
// cancels the activity; what it answers then is what really happened.
func (r *run) perform(ctx workflow.Context) error {
	r.Began()
	req := r.Request()
	scope, cancel := workflow.WithCancel(ctx)
	r.rung = cancel
	var res issue.Result
	err := workflow.ExecuteActivity(forRung(scope, req.Rung), string(req.Rung.Do), req).Get(scope, &res)
	cancelled, settled := scope.Err() != nil, err != nil
	cancel()
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if res, err = r.settle(ctx, req, err, cancelled); err != nil {
			return err
		}
	}
	r.rung = nil
	r.Ran(workflow.Now(ctx), res)
	// the activity has written the same into the store
	if !settled && !r.Stale && r.Seq == req.After(workflow.Now(ctx), res).Seq {
		r.Keep(r.Seq)
	} else {
		r.Stale = true
	}
	return nil
}

// settle finds out what became of a rung whose activity failed or was cancelled: an earlier try of it may have acted.
func (r *run) settle(ctx workflow.Context, req issue.Request, why error, cancelled bool) (issue.Result, error) {
	var issues *activities.Issues
	var res issue.Result
	err := workflow.ExecuteActivity(brief(ctx, "what became of "+req.Rung.String()), issues.SettleRung,
		req).Get(ctx, &res)
	switch {
	case ctx.Err() != nil:
		return res, ctx.Err()
	case err != nil:
		return issue.Result{Outcome: issue.Unknown, Reason: reasonOf(why)}, nil
	case res.Outcome == issue.Stopped && !cancelled: // nothing was begun, and nobody ordered otherwise: it failed
		return issue.Result{Outcome: issue.Unknown, Reason: reasonOf(why)}, nil
	}
	return res, nil
}

// reasonOf is an activity's failure in one line.
func reasonOf(err error) string {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return app.Message()
	}
	var late *temporal.TimeoutError
	if errors.As(err, &late) {
		return "no answer in time"
	}
	return err.Error()
}

// save brings the store up to date. While it is away the issue goes on.
func (r *run) save(ctx workflow.Context) error {
	r.Stale = false
	var issues *activities.Issues
	seq := r.Seq
	err := workflow.ExecuteActivity(brief(ctx, "record "+string(r.Status)), issues.SaveIssue, r.State).Get(ctx, nil)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		r.Stale = true
		return r.pauseAfter(ctx, err)
	}
	r.Keep(seq)
	return nil
}

// close ends the issue, if its target is still good or somebody said so, and lets go of all it holds.
func (r *run) close(ctx workflow.Context, force bool) error {
	var issues *activities.Issues
	var res issue.Result
	err := workflow.ExecuteActivity(brief(ctx, "let go"), issues.CloseIssue,
		activities.CloseRequest{State: r.State, Force: force}).Get(ctx, &res)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return r.pauseAfter(ctx, err)
	}
	r.Ended(workflow.Now(ctx), res)
	return nil
}

// pauseAfter waits a little after a failure that the machine need not know of, and hears orders meanwhile.
func (r *run) pauseAfter(ctx workflow.Context, why error) error {
	if text := reasonOf(why); text != r.lastFail {
		r.lastFail = text
		workflow.GetLogger(ctx).Warn("an issue waits for what is away", "issue", r.Ref.ID, "error", text)
	}
	return r.sleep(ctx, issue.Step{Until: workflow.Now(ctx).Add(max(r.Times.Day/96, time.Second)),
		Why: "waits: " + reasonOf(why)})
}

// sleep waits for a time or for news, whichever is first. A zero time waits for news only.
func (r *run) sleep(ctx workflow.Context, step issue.Step) error {
	timerCtx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	sel := workflow.NewSelector(ctx)
	sel.AddReceive(r.news, func(ch workflow.ReceiveChannel, _ bool) { ch.Receive(ctx, nil) })
	if !step.Until.IsZero() {
		timer := workflow.NewTimerWithOptions(timerCtx, step.Until.Sub(workflow.Now(ctx)),
			workflow.TimerOptions{Summary: short(step.Why)})
		sel.AddFuture(timer, func(workflow.Future) {})
	}
	sel.AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) {})
	sel.Select(ctx)
	return ctx.Err()
}

// short is a text within what Temporal takes for a summary.
func short(s string) string {
	const most = 200
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

// finish takes what came in at the last moment, and waits until everybody has an answer.
func (r *run) finish(ctx workflow.Context) error {
	for r.signals.HasPending() {
		r.signals.Select(ctx)
	}
	return workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
}

// show brings the search attributes up to date, when the status or the level has changed, and the details that the Web
// UI shows.
func (r *run) show(ctx workflow.Context) error {
	r.describe(ctx)
	if r.shown == r.Status && r.level == r.Level {
		return nil
	}
	first := r.shown == ""
	r.shown, r.level = r.Status, r.Level
	updates := []temporal.SearchAttributeUpdate{AttrStatus.ValueSet(string(r.Status)),
		AttrPenalty.ValueSet(int64(r.Level))}
	if first {
		updates = append(updates, AttrType.ValueSet(r.Ref.Type), AttrSite.ValueSet(r.Ref.Site),
			AttrNode.ValueSet(r.Ref.Node), AttrPCU.ValueSet(r.Ref.PCU))
	}
	return workflow.UpsertTypedSearchAttributes(ctx, updates...)
}

// describe is the page of the issue in the Web UI.
func (r *run) describe(ctx workflow.Context) {
	text := fmt.Sprintf("**%s** of %s at %s: %s\n\n", r.Ref.Type, r.Ref.Target(), r.Ref.Site, r.Status)
	for i, rung := range r.Ladder.Rungs {
		mark := "  "
		if i == r.Rung && r.Status != issue.Closed {
			mark = "→ "
		}
		text += fmt.Sprintf("    %s%s\n", mark, rung)
	}
	if next, at := r.NextAt(); next != "" && !at.IsZero() {
		text += fmt.Sprintf("\nNext: %s, at %s", next, at.UTC().Format(time.RFC3339))
	} else if next != "" {
		text += "\nNext: " + next
	}
	workflow.SetCurrentDetails(ctx, text)
}

// noRetry are failures that no retry mends.
func noRetry() []string { return []string{activities.ErrNoSuchTarget, activities.ErrBadInput} }

// patient is for the one activity without which there is no issue yet: it is tried until it gets through.
func patient(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: activities.TaskQueue, StartToCloseTimeout: time.Minute, Summary: short(summary),
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2,
			MaximumInterval: 10 * time.Minute, NonRetryableErrorTypes: noRetry()},
	})
}

// brief is for activities that ask and tell. One that does not get through within minutes ends, so that the issue takes
// orders.
func brief(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: activities.TaskQueue, StartToCloseTimeout: 2 * time.Minute, ScheduleToCloseTimeout: 5 * time.Minute,
		HeartbeatTimeout: heartbeat, Summary: short(summary),
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2,
			MaximumInterval: time.Minute, NonRetryableErrorTypes: noRetry()},
	})
}

// heartbeat is after how long without a sign of life a worker counts as dead, and about how long an order takes to
// reach an activity.
const heartbeat = 10 * time.Second

// forRung is for the rungs. Their time bounds a conversation with a machine; a worker that dies is noticed by its
// heartbeat.
func forRung(ctx workflow.Context, rung issue.Rung) workflow.Context {
	o := workflow.ActivityOptions{
		TaskQueue: activities.TaskQueue, StartToCloseTimeout: 5 * time.Minute, ScheduleToCloseTimeout: 15 * time.Minute,
		HeartbeatTimeout:    heartbeat,
		WaitForCancellation: true, Summary: short(rung.String()),
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2,
			MaximumInterval: time.Minute, NonRetryableErrorTypes: noRetry()},
	}
	if rung.UsesPower() {
		o.TaskQueue, o.StartToCloseTimeout, o.ScheduleToCloseTimeout = activities.MachineTaskQueue,
			15*time.Minute, time.Hour
	}
	return workflow.WithActivityOptions(ctx, o)
}
