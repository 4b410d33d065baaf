package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/request"
)

// requestRun is one person's order to one node: the machine of package request on durable timers.
type requestRun struct {
	request.State
	started bool
	news    workflow.Channel
	try     workflow.CancelFunc // cancels the try that is under way; nil: none is
}

// Request carries out what a person orders of one node, once, and watches until the node is seen to return. It is
// cancelled by an update, or as any workflow, up to its point of no return; what was begun is brought to its end.
func Request(ctx workflow.Context, in request.Input) (request.Story, error) {
	r := &requestRun{news: workflow.NewBufferedChannel(ctx, 16)}
	if err := r.listen(ctx); err != nil {
		return request.Story{}, err
	}
	if err := r.open(ctx, in); err != nil {
		return request.Story{}, err
	}
	if in.DryRun {
		return r.dryRun(ctx)
	}
	err := r.work(ctx)
	if ctx.Err() != nil { // cancelled as a workflow: what was begun is brought to its end all the same
		ctx, _ = workflow.NewDisconnectedContext(ctx)
		r.Leave(workflow.Now(ctx), request.Cancel{By: "the workflow's cancellation"})
		err = r.work(ctx)
	}
	if err != nil {
		return r.Story, err
	}
	return r.Story, workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
}

// open lets an activity find the node and write the order down.
func (r *requestRun) open(ctx workflow.Context, in request.Input) error {
	info := workflow.GetInfo(ctx)
	var requests *activities.Requests
	start := activities.RequestStart{ID: info.WorkflowExecution.ID, Run: info.WorkflowExecution.RunID, Input: in}
	var o request.Opening
	if err := workflow.ExecuteActivity(brief(ctx, "find "+in.Node), requests.OpenRequest, start).Get(ctx, &o); err != nil {
		return err
	}
	r.State, r.started = request.Start(start.ID, start.Run, in, o, workflow.Now(ctx)), true
	return workflow.UpsertTypedSearchAttributes(ctx, AttrType.ValueSet(request.Type), AttrSite.ValueSet(o.Site),
		AttrNode.ValueSet(in.Node))
}

// dryRun asks each way what it would do, until one would.
func (r *requestRun) dryRun(ctx workflow.Context) (request.Story, error) {
	var requests *activities.Requests
	for r.End == "" {
		var res issue.Result
		if err := workflow.ExecuteActivity(brief(ctx, "ask the gate"), requests.TryRequest, r.State).Get(ctx, &res); err != nil {
			return r.Story, err
		}
		r.Asked(workflow.Now(ctx), res)
	}
	return r.Story, nil
}

// work does what the machine says until the request has ended.
func (r *requestRun) work(ctx workflow.Context) error {
	for {
		r.describe(ctx)
		switch next := r.State.Next(workflow.Now(ctx)); next.Do {
		case request.Sleep:
			if err := r.sleep(ctx, next.Until); err != nil {
				return err
			}
		case request.Try:
			if err := r.perform(ctx); err != nil {
				return err
			}
		case request.Look:
			if err := r.look(ctx); err != nil {
				return err
			}
		case request.Finish:
			return r.finish(ctx)
		}
	}
}

// perform goes one way, by an activity that an order to cancel stops before its point of no return.
func (r *requestRun) perform(ctx workflow.Context) error {
	r.Began(workflow.Now(ctx))
	var requests *activities.Requests
	scope, cancel := workflow.WithCancel(ctx)
	r.try = cancel
	var res issue.Result
	err := workflow.ExecuteActivity(forRequest(scope, r.State), requests.TryRequest, r.State).Get(scope, &res)
	cancelled := scope.Err() != nil
	cancel()
	r.try = nil
	if err != nil {
		settle, _ := workflow.NewDisconnectedContext(ctx) // what became of it is asked in any case
		if err := workflow.ExecuteActivity(brief(settle, "what became of it"), requests.SettleRequest,
			r.State).Get(settle, &res); err != nil {
			res = issue.Result{Outcome: issue.Unknown, Reason: reasonOf(err)}
		} else if res.Outcome == issue.Stopped && !cancelled {
			res = issue.Result{Outcome: issue.Wait, Reason: "nothing was begun: " + reasonOf(err)}
		}
	}
	r.Answered(workflow.Now(ctx), res)
	return ctx.Err()
}

func (r *requestRun) look(ctx workflow.Context) error {
	var requests *activities.Requests
	var seen request.Sight
	err := workflow.ExecuteActivity(brief(ctx, "is it back?"), requests.LookAtRequest, r.State).Get(ctx, &seen)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		r.NotSeen(workflow.Now(ctx), reasonOf(err))
	default:
		r.Saw(workflow.Now(ctx), seen)
	}
	return nil
}

func (r *requestRun) sleep(ctx workflow.Context, until time.Time) error {
	timerCtx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	sel := workflow.NewSelector(ctx)
	sel.AddReceive(r.news, func(ch workflow.ReceiveChannel, _ bool) { ch.Receive(ctx, nil) })
	sel.AddFuture(workflow.NewTimer(timerCtx, until.Sub(workflow.Now(ctx))), func(workflow.Future) {})
	sel.AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) {})
	sel.Select(ctx)
	return ctx.Err()
}

// finish writes down how it ended. The store may be away for a while: nothing may stay held.
func (r *requestRun) finish(ctx workflow.Context) error {
	var requests *activities.Requests
	err := workflow.ExecuteActivity(patient(ctx, "write down: "+string(r.End)), requests.EndRequest, r.State).Get(ctx, nil)
	if ctx.Err() != nil { // cancelled meanwhile
		return ctx.Err()
	}
	return err
}

// listen sets up the query and the update by which it is cancelled. That is answered when it holds.
func (r *requestRun) listen(ctx workflow.Context) error {
	err := workflow.SetQueryHandlerWithOptions(ctx, QueryStatus, func() (request.Story, error) { return r.story(ctx), nil },
		workflow.QueryHandlerOptions{Description: "What was ordered, what was done step by step, and how it stands"})
	if err != nil {
		return err
	}
	return workflow.SetUpdateHandlerWithOptions(ctx, request.UpdateCancel,
		func(ctx workflow.Context, c request.Cancel) (request.Answer, error) {
			late := r.Leave(workflow.Now(ctx), c)
			if late == "" && r.try != nil {
				r.try()
			}
			r.news.SendAsync(struct{}{})
			if err := workflow.Await(ctx, func() bool { return !r.Running || r.Lost > 0 }); err != nil {
				return request.Answer{}, err
			}
			if late == "" && r.End != request.Cancelled {
				late = "it came too late: " + r.Reason
			}
			return request.Answer{Story: r.story(ctx), TooLate: late}, nil
		}, workflow.UpdateHandlerOptions{
			Description: "Leave it, if nothing was done yet: {\"by\",\"reason\"}",
			Validator: func(c request.Cancel) error {
				switch {
				case !r.started:
					return errors.New("cancel: the request is still opening; say it again in a moment")
				case len(c.By)+len(c.Reason) > clean.MaxText:
					return fmt.Errorf("cancel: by and reason have more than %d bytes", clean.MaxText)
				}
				return nil
			},
		})
}

func (r *requestRun) story(workflow.Context) request.Story {
	s := r.Story
	if r.End == "" {
		s.Next = r.Due
	}
	return s
}

// describe shows the story in the Web UI.
func (r *requestRun) describe(ctx workflow.Context) {
	text := fmt.Sprintf("**%s** of %s, ordered by %s: %s\n\n", r.Input.Act, r.Input.Node, r.Input.Order.By, r.Input.Order.Reason)
	for _, s := range r.Steps {
		text += fmt.Sprintf("    %s  %s %s: %s\n", s.At.UTC().Format(time.TimeOnly), s.Way, s.What, s.Why)
	}
	workflow.SetCurrentDetails(ctx, text)
}

// forRequest is for the tries. What drives a PCU runs on the queue of the machines.
func forRequest(ctx workflow.Context, s request.State) workflow.Context {
	o := workflow.ActivityOptions{
		TaskQueue: activities.TaskQueue, StartToCloseTimeout: 5 * time.Minute, ScheduleToCloseTimeout: 15 * time.Minute,
		HeartbeatTimeout: heartbeat, WaitForCancellation: true,
		Summary: short(fmt.Sprintf("%s by %s", s.Input.Act, s.NextWay())),
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2,
			MaximumInterval: time.Minute, NonRetryableErrorTypes: noRetry()},
	}
	if s.NextWay() == request.ByPCU {
		o.TaskQueue, o.StartToCloseTimeout, o.ScheduleToCloseTimeout = activities.MachineTaskQueue, 15*time.Minute, time.Hour
	}
	return workflow.WithActivityOptions(ctx, o)
}
