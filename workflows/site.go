package workflows

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/site"
)

// siteRun is one run of a site's workflow: the machine of package site on durable timers.
type siteRun struct {
	site.State
	news   workflow.Channel
	orders workflow.Selector
	cancel workflow.CancelFunc // the step that is under way
	shown  int                 // the level that the search attribute has
}

// ChangeOfRules is the name under which a history keeps the rules of its site.
const ChangeOfRules = "rules of a site"

// Site is the entity site/<login_base>: what the site is told and denied. It starts with the first issue that asks it
// for something, or when a sweep finds something left over, and ends when every issue has let go, nothing is denied and
// nothing is left to say, and no operator's pause is in force. All that it must not forget stands in the store, and is
// read from there first.
func Site(ctx workflow.Context, in site.Input) (site.State, error) {
	r := &siteRun{news: workflow.NewBufferedChannel(ctx, 64), shown: -1}
	info := workflow.GetInfo(ctx)
	// whoever starts a site says nothing of what it holds and is denied
	if in.State != nil && info.ContinuedExecutionRunID != "" {
		r.State = *in.State
	} else {
		r.State = site.Start(strings.TrimPrefix(info.WorkflowExecution.ID, site.Type+"/"), info.WorkflowExecution.RunID)
	}
	r.Rules = max(0, int(workflow.GetVersion(ctx, ChangeOfRules, workflow.DefaultVersion, site.Rules)))
	if err := r.listen(ctx); err != nil {
		return r.State, err
	}
	err := workflow.UpsertTypedSearchAttributes(ctx, AttrType.ValueSet(site.Type), AttrSite.ValueSet(r.Site))
	if err == nil {
		err = r.work(ctx)
	}
	if ctx.Err() != nil { // a site that is cancelled must not be denied for ever what nobody looks after
		r.Cancel()
		cleanup, _ := workflow.NewDisconnectedContext(ctx)
		if err := r.work(cleanup); err != nil {
			return r.State, err
		}
		return r.State, ctx.Err()
	}
	return r.State, err
}

// work does what is due, until nothing is left to do.
func (r *siteRun) work(ctx workflow.Context) error {
	for ctx.Err() == nil {
		if err := r.describe(ctx); err != nil {
			return err
		}
		long := workflow.GetInfo(ctx).GetContinueAsNewSuggested() && workflow.AllHandlersFinished(ctx)
		switch step := r.Next(workflow.Now(ctx), long); step.Do {
		case site.Sleep:
			r.sleep(ctx, step.Until)
		case site.Continue:
			if r.drainCommands(ctx) { // no order may be lost where a run ends
				continue
			}
			return workflow.NewContinueAsNewError(ctx, site.Type, site.Input{Site: r.Site, State: &r.State})
		case site.Finish:
			if r.drainCommands(ctx) {
				continue
			}
			if workflow.AllHandlersFinished(ctx) {
				return nil
			}
			r.sleep(ctx, time.Time{})
		default:
			r.perform(ctx, step)
		}
	}
	return ctx.Err()
}

// perform does one step by its activity, which an order that forbids it cancels up to the point of no return. No step
// is tried for ever: the machine must go on taking orders, and tries again by itself.
func (r *siteRun) perform(ctx workflow.Context, step site.Step) {
	began := workflow.Now(ctx)
	r.Began(step.Do)
	activity, cancel := workflow.WithCancel(siteStep(ctx, step))
	r.cancel = cancel
	defer func() {
		cancel()
		r.cancel = nil
		r.wake()
	}()
	err := r.act(activity, step, began)
	switch now := workflow.Now(ctx); {
	case err == nil:
	case temporal.IsCanceledError(err) && ctx.Err() == nil: // an earlier try of it may have acted
		r.Cancelled(now, step.Do)
	default:
		workflow.GetLogger(ctx).Warn("a step of a site failed", "site", r.Site, "step", string(step.Do), "error", err)
		r.Failed(now, step.Do, clean.Line(reasonOf(err)))
	}
}

// siteStep are the bounds of one step.
func siteStep(ctx workflow.Context, step site.Step) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              activities.TaskQueue,
		StartToCloseTimeout:    5 * time.Minute,
		ScheduleToCloseTimeout: 15 * time.Minute,
		HeartbeatTimeout:       heartbeat,
		WaitForCancellation:    true,
		Summary:                string(step.Do),
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 3,
			MaximumInterval: time.Minute, MaximumAttempts: 5,
			NonRetryableErrorTypes: []string{activities.ErrNoSuchTarget, activities.ErrBadInput}},
	})
}

func (r *siteRun) sleep(ctx workflow.Context, until time.Time) {
	timerCtx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	sel := workflow.NewSelector(ctx)
	sel.AddReceive(r.news, func(ch workflow.ReceiveChannel, _ bool) { ch.Receive(ctx, nil) })
	if !until.IsZero() {
		timer := workflow.NewTimerWithOptions(timerCtx, until.Sub(workflow.Now(ctx)),
			workflow.TimerOptions{Summary: "next message, look at the ticket, or step of the level"})
		sel.AddFuture(timer, func(workflow.Future) {})
	}
	sel.AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) {})
	sel.Select(ctx)
}

// describe shows where the site stands in the Web UI.
func (r *siteRun) describe(ctx workflow.Context) error {
	workflow.SetCurrentDetails(ctx, r.details())
	if r.shown == r.Level {
		return nil
	}
	r.shown = r.Level
	return workflow.UpsertTypedSearchAttributes(ctx, AttrPenalty.ValueSet(int64(r.Level)))
}

// mostNamed is how many issues the Web UI names of a site.
const mostNamed = 5

// details are where the site stands, for people.
func (r *siteRun) details() string {
	why := r.Why()
	if open := r.Holders(0); r.Wanted() == 0 && r.Spared == nil && !r.Ending && len(open) > 0 {
		why = fmt.Sprintf("and none is asked for; %d open here: %s", len(open),
			clean.Line(strings.Join(open[:min(len(open), mostNamed)], ", ")))
	}
	text := fmt.Sprintf("**%s**: penalty level %d, %s", r.Site, r.Level, why)
	if want := r.Wanted(); want != r.Level {
		text += fmt.Sprintf("\n\nLevel %d is asked for", want)
	}
	for _, more := range []struct{ name, text string }{{"", r.Reason}, {"Waits: ", r.Blocked}} {
		if more.text != "" {
			text += "\n\n" + more.name + more.text
		}
	}
	if w := r.Warned; w != nil {
		text += fmt.Sprintf("\n\nPeople know of level %d, not before %s", w.Level,
			w.NotBefore.UTC().Format(time.RFC3339))
	}
	if p := r.Pause; p != nil {
		text += "\n\nPaused: " + p.Reason
		if !p.Until.IsZero() {
			text += ", until " + p.Until.UTC().Format(time.RFC3339)
		}
	}
	if r.Ticket.ID != 0 {
		text += fmt.Sprintf("\n\nTicket %d", r.Ticket.ID)
	}
	return text
}
