package orders

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// Penalty orders the level that a site is to have, whatever its issues ask, until a time; zero: until it is taken back.
// It falls to it at once; it rises to it step by step, after the site's people were told, and through the gate.
func (d Desk) Penalty(ctx context.Context, o Order, login string, level int, until time.Time) (Receipt, error) {
	if level < 0 || level > policy.Top {
		return Receipt{}, invalid("a penalty level is 0 to %d, not %d", policy.Top, level)
	}
	a, err := d.aboutTarget(ctx, store.OfSite, login)
	if err != nil {
		return Receipt{}, err
	}
	a.words = map[string]any{"level": level}
	a.does = fmt.Sprintf("set the penalty level of site %s to %d", login, level)
	if !until.IsZero() {
		a.words["until"] = until.UTC().Format(time.RFC3339)
		a.does += " until " + until.UTC().Format(time.RFC3339)
	}
	return d.penalty(ctx, o, a, store.Control{Name: store.PenaltyControl(login), Value: strconv.Itoa(level),
		By: o.by(), Reason: o.reason(), Until: until})
}

// EndPenalty takes the order back: the level is what the issues ask again.
func (d Desk) EndPenalty(ctx context.Context, o Order, login string) (Receipt, error) {
	a, err := d.aboutTarget(ctx, store.OfSite, login)
	if err != nil {
		return Receipt{}, err
	}
	a.does = "leave the penalty level of site " + login + " to its issues again"
	a.check = func(ctx context.Context) error {
		controls, err := d.Store.Controls(ctx)
		if _, ordered := controls[store.PenaltyControl(login)]; err == nil && !ordered {
			return notFound("nobody has ordered a level for site %s", login)
		}
		return err
	}
	return d.penalty(ctx, o, a, store.Control{Name: store.PenaltyControl(login)})
}

func (d Desk) penalty(ctx context.Context, o Order, a act, c store.Control) (Receipt, error) {
	a.verb, a.why, a.effect = access.SitePenalty, "the ledger keeps it, and the site's people are told of it", store.PutControl(c)
	r, err := d.give(ctx, o, a)
	if err == nil && !o.DryRun {
		err = d.lookAtSite(ctx, a.site)
	}
	return r, err
}

// WouldPenalize asks a worker what a level would change at a site, and what the gate says to the next step towards it.
func (d Desk) WouldPenalize(ctx context.Context, o Order, login string, level int) (activities.WhyNotAnswer, error) {
	if err := access.Check(o.Who, access.SitePenalty, login); err != nil {
		return activities.WhyNotAnswer{}, &Error{Forbidden, err}
	}
	return answers.WhyNot(ctx, d.Temporal, activities.WhyNotRequest{Act: policy.ActPenalize, Target: login, Level: &level,
		Order: policy.Order{By: o.by(), Role: policy.RoleOperator, Reason: o.reason()}})
}

// lookAtSite starts the workflow of a site if need be, and lets it look at what it is denied.
func (d Desk) lookAtSite(ctx context.Context, login string) error {
	if d.Temporal == nil {
		return errors.New("the level is ordered, but Temporal is not connected, so the site is not asked to look at it now")
	}
	_, err := d.Temporal.SignalWithStartWorkflow(ctx, site.ID(login), site.SignalLook, nil,
		client.StartWorkflowOptions{ID: site.ID(login), TaskQueue: activities.TaskQueue,
			StaticSummary: "what " + login + " is told and denied"}, site.Type, site.Input{Site: login})
	if err != nil {
		return fmt.Errorf("let site %s look: %w", login, err)
	}
	return nil
}
