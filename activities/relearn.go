package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// applied is what a site remembers of a step.
func (m move) applied(key string) *sites.Applied {
	return &sites.Applied{Key: key, Level: m.To, SiteID: m.SiteID, Disabled: m.Disable, Suspended: m.Suspend}
}

// relearn claims again what steps of a site have changed in PLC that the store knows nothing of: it was restored from a
// backup older than they are. Without claims nobody would ever undo them.
func (a *Penalties) relearn(ctx context.Context, in sites.ReadRequest) error {
	for _, step := range in.Applied {
		_, err := a.Store.Action(ctx, step.Key)
		if err == nil {
			continue
		}
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		plan := move{From: step.Level - 1, To: step.Level, SiteID: step.SiteID, Disable: step.Disabled,
			Suspend: step.Suspended}
		if err := a.relearnStep(ctx, in.Site, step.Key, plan); err != nil {
			return err
		}
	}
	return nil
}

// relearnStep writes down a step that is done, with its claims and its level, and that it was forgotten.
func (a *Penalties) relearnStep(ctx context.Context, login, key string, plan move) error {
	data, err := json.Marshal(plan)
	if err != nil {
		return err
	}
	reason := fmt.Sprintf("the store had forgotten level %d, which is in force in %s: "+
		"it was restored from an older backup", plan.To, a.from())
	act := store.Action{Key: key + "/forgotten", Kind: store.KindReconcile, Issue: sites.ID(login), Site: login,
		Reason: reason, Data: data}
	if _, _, _, err := a.Store.Begin(ctx, store.Plan{Action: act, Claims: plan.claims()}); err != nil {
		return err
	}
	if err := a.Store.SetPenaltyLevel(ctx, login, plan.To, a.now()); err != nil {
		return err
	}
	if err := a.Store.Outcome(ctx, act.Key, store.Done, "claimed again"); err != nil {
		return err
	}
	a.Log.Warn("the store had forgotten a penalty", "site", login, "level", plan.To)
	act.Key, act.Kind = key, store.KindPenalty // the last of it: a worker that dies before begins anew
	if _, _, err := a.Store.Intent(ctx, act); err != nil {
		return err
	}
	if _, err := a.Store.Commit(ctx, key); err != nil {
		return err
	}
	return a.Store.Outcome(ctx, key, store.Done, fmt.Sprintf("level %d", plan.To))
}
