package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/site"
)

// The activities of a site, by the names under which a worker registers them.
const (
	actRead    = "ReadSite"
	actMove    = "MoveSite"
	actWrite   = "WriteToSite"
	actChase   = "WriteToTheLate"
	actLook    = "LookAtTicket"
	actNote    = "NoteTicket"
	actResolve = "ResolveTicket"
)

// act runs the activity of a step and hands its answer to the machine.
func (r *siteRun) act(ctx workflow.Context, step site.Step, began time.Time) error {
	switch step.Do {
	case site.ReadBack:
		var res site.Standing
		err := workflow.ExecuteActivity(ctx, actRead, r.Read(step.Key)).Get(ctx, &res)
		return r.applyResult(err, func() { r.Stands(workflow.Now(ctx), began, res) })
	case site.Raise, site.Lower:
		var res site.StepResult
		err := workflow.ExecuteActivity(ctx, actMove, r.Move(step)).Get(ctx, &res)
		return r.applyResult(err, func() { r.Moved(workflow.Now(ctx), step.Do, res) })
	case site.Mail:
		var res site.MailResult
		err := workflow.ExecuteActivity(ctx, actWrite, r.Write(began)).Get(ctx, &res)
		return r.applyResult(err, func() { r.Mailed(workflow.Now(ctx), res) })
	case site.MailLate:
		var left []string
		err := workflow.ExecuteActivity(ctx, actChase, r.Chase(began, *step.Late)).Get(ctx, &left)
		return r.applyResult(err, func() { r.Caught(workflow.Now(ctx), step.Key, left) })
	case site.LookAtTicket:
		var res site.TicketResult
		err := workflow.ExecuteActivity(ctx, actLook, r.OnTicket("")).Get(ctx, &res)
		return r.applyResult(err, func() { r.Heard(workflow.Now(ctx), res) })
	case site.Note:
		err := workflow.ExecuteActivity(ctx, actNote, r.OnTicket("")).Get(ctx, nil)
		return r.applyResult(err, r.Noted)
	case site.Resolve:
		var res site.MailResult
		err := workflow.ExecuteActivity(ctx, actResolve, r.OnTicket(step.Key)).Get(ctx, &res)
		return r.applyResult(err, func() { r.Resolved(workflow.Now(ctx), res) })
	}
	return errors.New("no activity does " + string(step.Do))
}

func (r *siteRun) applyResult(err error, answer func()) error {
	if err == nil {
		answer()
	}
	return err
}
