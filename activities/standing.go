package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/planetlab/monitor/inventory"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/policy"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// Penalties is what sites are denied: ReadSite says how a site stands and puts right what differs from PLC, MoveSite
// moves its level.
type Penalties struct {
	*ledger
	gate      *gate
	observer  *observer
	workflows *workflows
	post      *post
	Inventory inventory.Keeper
}

// ReadSite says what the store and PLC say of a site: what is denied, who holds it, and whether the level might rise.
// On the way it puts right what an earlier life has left half done, and applies again what somebody has lifted by hand.
func (a *Penalties) ReadSite(ctx context.Context, in sites.ReadRequest) (sites.Standing, error) {
	defer heartbeat(ctx)()
	st := sites.Standing{Times: sites.TimesOf(a.Policy)}
	if err := a.relearn(ctx, in); err != nil {
		return st, err
	}
	if err := a.finishMoves(ctx, in.Site); err != nil {
		return st, err
	}
	row, gone, err := a.siteRow(ctx, in.Site)
	if err != nil {
		return st, err
	}
	claims, err := a.appliedTo(ctx, in.Site)
	if err != nil {
		return st, err
	}
	st.Level, st.LastRaise = row.PenaltyLevel, row.LastRaise
	if gone { // what was applied under its old name, or to what PLC no longer has, is undone
		st.Level = levelOf(claims)
	}
	if st.Holds, err = a.holdsOn(ctx, in.Site, gone); err != nil {
		return st, err
	}
	if st.Spared, err = a.gate.spared(ctx, row, gone); err != nil {
		return st, err
	}
	if st.Reason, err = a.putRight(ctx, in, st, claims); err != nil {
		return st, err
	}
	want := 0
	for _, h := range st.Holds {
		want = max(want, h.Level)
	}
	if st.Spared == nil && want > st.Level {
		answer, err := a.mayRaise(ctx, sites.StepRequest{Site: in.Site, From: st.Level, To: st.Level + 1,
			LastRaise: st.LastRaise,
			Warned:    &sites.Warning{Level: st.Level + 1, At: a.now()}})
		if err != nil {
			return st, err
		}
		st.Rise = answer.Decision
	}
	return st, nil
}

// levelOf is the level that claims amount to.
func levelOf(claims []store.Claim) int {
	level := 0
	for _, c := range claims {
		switch c.Kind {
		case store.ClaimSiteDisabled:
			level = max(level, 1)
		case store.ClaimSliceSuspended:
			level = policy.Top
		}
	}
	return level
}

// finishMoves brings steps to their end that were begun, and whose worker died: a step up that may be done is done; one
// that surely was not, and a step down, are given up and decided anew.
func (a *Penalties) finishMoves(ctx context.Context, login string) error {
	open, err := a.Store.Actions(ctx, store.ActionFilter{Kind: store.KindPenalty, Site: login, Unfinished: true})
	if err != nil {
		return err
	}
	for _, action := range slices.Backward(open) { // the oldest first
		var m move
		switch {
		case !action.Begun():
			var begun bool
			if begun, err = a.Store.GiveUp(ctx, action.Key, "it was never begun", penaltyClaims()...); begun {
				err = errors.New("another try takes this step just now")
			}
		case json.Unmarshal(action.Data, &m) != nil || m.To < m.From:
			err = a.Store.Outcome(ctx, action.Key, store.Failed, "it did not come to its end, and is decided anew")
		default:
			_, err = a.resume(ctx, login, action)
		}
		if err != nil {
			return fmt.Errorf("finish %s: %w", action.Key, err)
		}
	}
	return nil
}

// putRight compares what a site is denied with PLC. What Monitor still holds above the level is given back; what
// somebody has lifted by hand is applied again, and the admins are told; a slice that is exempt by now runs again.
func (a *Penalties) putRight(ctx context.Context, in sites.ReadRequest, st sites.Standing,
	claims []store.Claim) (string, error) {
	if levelOf(claims) > st.Level {
		if _, err := a.undoAbove(ctx, in.Site, st.Level); err != nil {
			return "what is left over of a level could not be given back: " + err.Error(), nil
		}
	}
	if st.Level == 0 || st.Spared != nil || in.Want < st.Level {
		return "", nil
	}
	if err := a.freeExempt(ctx, in.Site, claims); err != nil {
		return a.from() + " could not be asked: " + err.Error(), nil
	}
	facts, err := a.gate.siteFacts(ctx, policy.ActNotify, in.Site)
	if err != nil {
		return "", err
	}
	if a.Mode == notify.ModeTest {
		facts.Mode = policy.ModeObserve
	}
	if answer := policy.Ask(a.Policy, facts, a.now()); !answer.Do {
		return "", nil
	}
	list, looked, err := a.gate.acting(ctx, in.Site, holdersOf(st.Holds, st.Level))
	if err != nil || len(list) == 0 && looked != "" {
		return "", err
	}
	plan, err := a.missingPenalty(ctx, in.Site, st.Level, st.Level)
	if err != nil {
		return a.from() + " could not be asked: " + err.Error(), nil
	}
	if plan.empty() {
		return "", nil
	}
	return a.applyAgain(ctx, in, plan)
}

func (a *Penalties) applyAgain(ctx context.Context, in sites.ReadRequest, plan move) (string, error) {
	data, err := json.Marshal(plan)
	if err != nil {
		return "", err
	}
	reason := fmt.Sprintf("somebody lifted by hand what level %d holds: %s", plan.To, plan)
	action, existed, _, err := a.Store.Begin(ctx, store.Plan{Claims: plan.claims(),
		Action: store.Action{Key: in.Key, Kind: store.KindReconcile, Issue: sites.ID(in.Site), Site: in.Site,
			Reason: reason, Data: data}})
	if err == nil && existed && action.Outcome == "" { // the next look finds what is missing still
		begun, ended := a.Store.GiveUp(ctx, in.Key, "its worker ended before it began")
		if err = ended; begun {
			err = errors.Join(a.post.tellRepaired(ctx, in.Site, in.Key, action.Reason),
				a.Store.Outcome(ctx, in.Key, store.Ambiguous, "its worker ended before it knew whether this was done"))
		}
	}
	if err != nil || existed {
		return reason, err
	}
	if mine, err := a.Store.Commit(ctx, in.Key); err != nil || !mine {
		return reason, err
	}
	ctx = context.WithoutCancel(ctx)
	refused, err := a.inflict(ctx, in.Site, in.Key, plan)
	if err != nil {
		return reason, a.Store.Outcome(ctx, in.Key, store.Ambiguous, err.Error())
	}
	if err := a.post.tellRepaired(ctx, in.Site, in.Key, reason); err != nil {
		return reason, err
	}
	return reason, a.Store.Outcome(ctx, in.Key, store.Done,
		strings.Join(append([]string{"applied again"}, refused...), "; "))
}
