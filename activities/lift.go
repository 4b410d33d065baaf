package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/plc"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// lowerSite undoes what Monitor changed above a level. What was so before Monitor came stays so. It passes in every
// mode: nobody is denied what nobody means to deny.
func (a *Penalties) lowerSite(ctx context.Context, in sites.StepRequest) (sites.StepResult, error) {
	data, err := json.Marshal(move{From: in.From, To: in.To})
	if err != nil {
		return sites.StepResult{}, err
	}
	reason := fmt.Sprintf("level %d to %d: %s", in.From, in.To, in.Reason)
	if _, _, err := a.Store.Intent(ctx, store.Action{Key: in.Key, Kind: store.KindPenalty, Issue: sites.ID(in.Site),
		Site: in.Site, Reason: reason, Data: data}); err != nil {
		return sites.StepResult{}, err
	}
	if _, err := a.Store.Commit(ctx, in.Key); err != nil {
		return sites.StepResult{}, err
	}
	ctx = context.WithoutCancel(ctx)
	kept, err := a.undoAbove(ctx, in.Site, in.To)
	if err != nil {
		res := sites.StepResult{Outcome: sites.StepRefused, Level: in.From, Reason: err.Error(),
			Until: a.now().Add(a.Policy.Hour())}
		return res, a.Store.Outcome(ctx, in.Key, store.Failed, err.Error())
	}
	if err := a.Store.SetPenaltyLevel(ctx, in.Site, in.To, a.now()); err != nil {
		return sites.StepResult{}, err
	}
	detail := fmt.Sprintf("level %d", in.To)
	if len(kept) > 0 {
		detail += "; " + a.from() + " refuses: " + strings.Join(kept, "; ")
		if err := a.post.flagSite(ctx, in.Site, causePLC, in.Key+"/kept", kept); err != nil {
			return sites.StepResult{}, err
		}
	}
	a.post.event(notify.EventPenalty, in.Key, siteRef(in.Site), in.To, reason)
	return sites.StepResult{Outcome: sites.StepDone, Level: in.To, Reason: reason},
		a.Store.Outcome(ctx, in.Key, store.Done, detail)
}

// undoAbove takes back what claims hold above a level, and releases them. What PLC refuses to take back stays claimed,
// and is answered: every sweep tries it again. An error says that PLC cannot be asked.
func (a *Penalties) undoAbove(ctx context.Context, login string, level int) (kept []string, err error) {
	claims, err := a.appliedTo(ctx, login)
	if err != nil {
		return nil, err
	}
	return a.undo(ctx, login, level, claims)
}

// undo is undoAbove for some claims.
func (a *Penalties) undo(ctx context.Context, login string, level int, claims []store.Claim) (kept []string, err error) {
	if level < 2 {
		for id, list := range bySite(claims, store.ClaimSliceSuspended) {
			left, err := a.restore(ctx, plc.SiteRef{SiteID: id, LoginBase: loginIf(id, login)}, list, "they run again")
			if err != nil {
				return nil, err
			}
			kept = append(kept, left...)
		}
	}
	if level >= 1 {
		return kept, nil
	}
	for id, list := range bySite(claims, store.ClaimSiteDisabled) {
		err := a.Inventory.SetSiteEnabled(ctx, plc.SiteRef{SiteID: id, LoginBase: loginIf(id, login)}, true)
		how := "the site is enabled"
		switch {
		case errors.Is(err, plc.ErrNotFound):
			how = a.from() + " does not have the site any more"
		case neverDone(err):
			kept = append(kept, err.Error())
			continue
		case err != nil:
			return nil, err
		}
		for _, c := range list {
			if err := errors.Join(a.markLifted(ctx, c, id), a.Store.Release(ctx, c.ID, how)); err != nil {
				return nil, err
			}
		}
	}
	return kept, nil
}

// restore lets slices run again and releases their claims.
func (a *Penalties) restore(ctx context.Context, ref plc.SiteRef, list []store.Claim,
	how string) (kept []string, err error) {
	byName := map[string]store.Claim{}
	var names []string
	for _, c := range list {
		byName[c.Target] = c
		names = append(names, c.Target)
	}
	results, err := a.Inventory.RestoreSlices(ctx, ref, names)
	if errors.Is(err, plc.ErrNotFound) { // the site is gone, and its slices with it
		results, err = nil, nil
		for _, n := range names {
			results = append(results, plc.SliceResult{Name: n, Err: plc.ErrNotFound})
		}
	}
	if err != nil {
		return nil, err
	}
	for _, r := range results {
		said := how
		switch {
		case errors.Is(r.Err, plc.ErrNotFound):
			said = a.from() + " does not have it any more"
		case neverDone(r.Err):
			kept = append(kept, fmt.Sprintf("slice %s: %v", r.Name, r.Err))
			continue
		case r.Err != nil:
			return nil, r.Err
		}
		if err := a.Store.Release(ctx, byName[r.Name].ID, said); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// freeExempt lets slices run again that have become exempt since Monitor suspended them.
func (a *Penalties) freeExempt(ctx context.Context, login string, claims []store.Claim) error {
	exempt, err := a.exemptSlices(ctx)
	if err != nil {
		return err
	}
	for id, list := range bySite(claims, store.ClaimSliceSuspended) {
		ref := plc.SiteRef{SiteID: id, LoginBase: loginIf(id, login)}
		states, err := a.Inventory.SlicesOfSite(ctx, ref)
		if err != nil {
			return err
		}
		free := slices.DeleteFunc(list, func(c store.Claim) bool {
			return !slices.ContainsFunc(states, func(s plc.SliceState) bool {
				return s.Name == c.Target && (s.ExemptUntil.After(a.now()) || exempt[s.Name])
			})
		})
		if len(free) == 0 {
			continue
		}
		if _, err := a.restore(ctx, ref, free, "exempt by now"); err != nil {
			return err
		}
	}
	return nil
}

// exemptSlices are the slices that operators have exempt here; those that PLC has exempt it says itself.
func (a *Penalties) exemptSlices(ctx context.Context) (map[string]bool, error) {
	entries, err := a.Store.InForce(ctx, store.OfSlice, a.now())
	exempt := map[string]bool{}
	for _, e := range entries {
		exempt[e.Target] = true
	}
	return exempt, err
}

// appliedTo are the claims of what a site is denied.
func (a *Penalties) appliedTo(ctx context.Context, login string) ([]store.Claim, error) {
	list, err := a.Store.Claims(ctx, store.ClaimFilter{Site: login})
	return slices.DeleteFunc(list, func(c store.Claim) bool { return !slices.Contains(penaltyClaims(), c.Kind) }), err
}

// bySite are claims of a kind by PLC's id of the site that they were taken at: it may have another name by now.
func bySite(claims []store.Claim, kind store.ClaimKind) map[int][]store.Claim {
	byID := map[int][]store.Claim{}
	for _, c := range claims {
		var data struct {
			SiteID int `json:"site_id"`
		}
		if c.Kind != kind || json.Unmarshal(c.Data, &data) != nil {
			continue
		}
		byID[data.SiteID] = append(byID[data.SiteID], c)
	}
	return byID
}

func loginIf(id int, login string) string {
	if id == 0 {
		return login
	}
	return ""
}
