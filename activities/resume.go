package activities

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/policy"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// resume brings a step up to its end whose worker died on it: it is done, or undone where nobody means to deny this any
// more. Days may have passed.
func (a *Penalties) resume(ctx context.Context, login string, action store.Action) (sites.StepResult, error) {
	why, err := a.notAnyMore(ctx, login)
	if err != nil {
		return sites.StepResult{}, err
	}
	if why == "" {
		return a.carryOut(ctx, login, action)
	}
	var plan move
	if err := json.Unmarshal(action.Data, &plan); err != nil {
		return sites.StepResult{}, fmt.Errorf("ledger %s: %w", action.Key, err)
	}
	ctx = context.WithoutCancel(ctx)
	kept, err := a.undoAbove(ctx, login, plan.From)
	if err != nil {
		return sites.StepResult{}, err
	}
	if err := a.Store.SetPenaltyLevel(ctx, login, plan.From, a.now()); err != nil {
		return sites.StepResult{}, err
	}
	res := sites.StepResult{Outcome: sites.StepRefused, Level: plan.From, Until: a.now().Add(a.Policy.Hour()),
		Reason: strings.Join(append([]string{"its worker died on it, and it is undone: " + why}, kept...), "; ")}
	return res, a.Store.Outcome(ctx, action.Key, store.Failed, res.Reason)
}

// notAnyMore says why a step up that was begun is not brought to its end; empty: it is.
func (a *Penalties) notAnyMore(ctx context.Context, login string) (string, error) {
	row, gone, err := a.siteRow(ctx, login)
	if err != nil {
		return "", err
	}
	if spared, err := a.gate.spared(ctx, row, gone); err != nil || spared != nil {
		if err != nil {
			return "", err
		}
		return "the site is spared: " + spared.String(), nil
	}
	facts, err := a.gate.siteFacts(ctx, policy.ActPenalize, login)
	switch {
	case err != nil:
		return "", err
	case facts.Stopped != "":
		return "Monitor is stopped: " + facts.Stopped, nil
	case facts.Mode != policy.ModeAct || a.Mode == notify.ModeTest:
		return "Monitor only looks, or writes to nobody", nil
	}
	return "", nil
}

// undoneMeanwhile takes back what a try of a step up has written that was held up for so long that the step was undone
// before: no claim speaks of it any more, so nobody else would.
func (a *Penalties) undoneMeanwhile(ctx context.Context, login, key string) (bool, error) {
	taken, err := a.Store.Claims(ctx, store.ClaimFilter{Site: login, Key: key, Released: true})
	if err != nil {
		return false, err
	}
	held, err := a.appliedTo(ctx, login)
	if err != nil {
		return false, err
	}
	left := slices.DeleteFunc(taken, func(c store.Claim) bool {
		return c.Released.IsZero() || c.How == a.refusal() || slices.ContainsFunc(held, func(h store.Claim) bool {
			return h.Kind == c.Kind && h.Target == c.Target
		})
	})
	if len(left) == 0 {
		return false, nil
	}
	a.Log.Warn("a step of a penalty was undone while a try of it was held up", "site", login, "step", key)
	_, err = a.undo(ctx, login, 0, left)
	return true, err
}
