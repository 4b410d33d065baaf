package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/planetlab/monitor/plc"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// A PLC that is restored from a backup may have a penalty again that Monitor has lifted. It looks like a decision of
// somebody else, which Monitor never touches; what tells them apart is what PLC itself keeps of a write. Each claim
// keeps that: for a site when its row was written by us, and when it was written as we lifted the penalty; for a slice
// the id of our tag. A row that is older than our lifting, and not older than our disabling, is our penalty.

// marks is what a claim keeps to know its own penalty again.
type marks struct {
	SiteID int   `json:"site_id"`
	Set    int   `json:"set,omitempty"`    // of the site's row, in PLC's own time
	Lifted int   `json:"lifted,omitempty"` // the same, when the penalty was lifted
	Tags   []int `json:"tags,omitempty"`
}

func marksOf(c store.Claim) (m marks) {
	_ = json.Unmarshal(c.Data, &m) // a claim without marks, as of an older release, is never known again
	return m
}

// markSite keeps when PLC wrote the row of a site that was just disabled. It is no reason to fail: without it the claim
// is only not known again after a backup.
func (a *Penalties) markSite(ctx context.Context, login string, ref plc.SiteRef) {
	_, updated, err := a.Inventory.SiteUpdated(ctx, ref)
	if err == nil {
		err = a.mark(ctx, store.ClaimFilter{Kind: store.ClaimSiteDisabled, Site: login},
			func(store.Claim) any { return map[string]int{"set": updated} })
	}
	a.unmarked(login, err)
}

// markSlices keeps the ids of the tags by which slices of a site are suspended for a claim.
func (a *Penalties) markSlices(ctx context.Context, login string, ref plc.SiteRef) {
	states, err := a.Inventory.SlicesOfSite(ctx, ref)
	tags := map[string][]int{}
	for _, s := range states {
		tags[s.Name] = s.Suspensions
	}
	if err == nil {
		err = a.mark(ctx, store.ClaimFilter{Kind: store.ClaimSliceSuspended, Site: login},
			func(c store.Claim) any { return map[string][]int{"tags": slices.Concat(tags[c.Target])} })
	}
	a.unmarked(login, err)
}

func (a *Penalties) mark(ctx context.Context, f store.ClaimFilter, of func(store.Claim) any) error {
	list, err := a.Store.Claims(ctx, f)
	for _, c := range list {
		err = errors.Join(err, a.Store.Mark(ctx, c.ID, of(c)))
	}
	return err
}

func (a *Penalties) unmarked(login string, err error) {
	if err != nil {
		a.Log.Warn("a penalty could not be marked as ours", "site", login, "error", err)
	}
}

// markLifted keeps when PLC wrote the row of a site that was just enabled.
func (a *Penalties) markLifted(ctx context.Context, c store.Claim, siteID int) error {
	_, updated, err := a.Inventory.SiteUpdated(ctx, plc.SiteRef{SiteID: siteID, LoginBase: loginIf(siteID, c.Site)})
	if err != nil {
		a.unmarked(c.Site, err)
		return nil
	}
	return a.Store.Mark(ctx, c.ID, map[string]int{"lifted": updated})
}

// backupAge is how old a backup may be that PLC is restored from, so that its penalties are known again.
const backupAge = 30 * 24 * time.Hour

// liftRestored lifts again what PLC has from an older backup and what Monitor had lifted since that was made.
func (a *Reconciler) liftRestored(ctx context.Context, res *Reconciled) error {
	if a.observes() {
		return nil
	}
	lifted, err := a.Store.Lifted(ctx, a.now().Add(-backupAge))
	if err != nil {
		return err
	}
	slicesAt := map[int][]plc.SliceState{} // by site: it is asked once
	for _, c := range lifted {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		is, err := a.isRestored(ctx, c, slicesAt)
		if err == nil && is {
			err = a.liftAgain(ctx, c, res)
		}
		if err == nil || errors.Is(err, plc.ErrNotFound) {
			continue
		}
		a.Log.Warn("it is not known whether PLC has an old penalty again", "claim", string(c.Kind),
			"target", c.Target, "error", err)
		if errors.Is(err, plc.ErrUnavailable) || errors.Is(err, plc.ErrAuth) || errors.Is(err, plc.ErrNotAdmin) {
			return nil // the others would fare no better; the next sweep asks again
		}
	}
	return nil
}

// isRestored reports whether what PLC has is the very penalty that a released claim speaks of.
func (a *Reconciler) isRestored(ctx context.Context, c store.Claim, slicesAt map[int][]plc.SliceState) (bool, error) {
	m := marksOf(c)
	ref := plc.SiteRef{SiteID: m.SiteID, LoginBase: loginIf(m.SiteID, c.Site)}
	if c.Kind == store.ClaimSiteDisabled {
		if m.Set == 0 || m.Lifted == 0 {
			return false, nil
		}
		enabled, updated, err := a.Inventory.SiteUpdated(ctx, ref)
		return !enabled && m.Set <= updated && updated < m.Lifted, err
	}
	if len(m.Tags) == 0 {
		return false, nil
	}
	states, asked := slicesAt[m.SiteID]
	if !asked {
		var err error
		if states, err = a.Inventory.SlicesOfSite(ctx, ref); err != nil {
			return false, err
		}
		slicesAt[m.SiteID] = states
	}
	ours := func(tag int) bool { return slices.Contains(m.Tags, tag) }
	return slices.ContainsFunc(states, func(s plc.SliceState) bool {
		return s.Name == c.Target && slices.ContainsFunc(s.Suspensions, ours)
	}), nil
}

// liftAgain lifts one penalty again, and says so.
func (a *Reconciler) liftAgain(ctx context.Context, c store.Claim, res *Reconciled) error {
	m := marksOf(c)
	ref := plc.SiteRef{SiteID: m.SiteID, LoginBase: loginIf(m.SiteID, c.Site)}
	said := "PLC has it again, from a backup made before Monitor lifted it at " + c.Released.UTC().Format(time.RFC3339)
	key := fmt.Sprintf("reconcile/%d/%d", c.ID, a.now().UnixMilli())
	_, _, err := a.Store.Intent(ctx, store.Action{Key: key, Kind: store.KindReconcile, Issue: sites.ID(c.Site),
		Site: c.Site, Reason: fmt.Sprintf("%s %s: %s", c.Kind, c.Target, said)})
	if err != nil {
		return err
	}
	if c.Kind == store.ClaimSiteDisabled {
		err = a.Inventory.SetSiteEnabled(ctx, ref, true)
	} else {
		var results []plc.SliceResult
		results, err = a.Inventory.RestoreSlices(ctx, ref, []string{c.Target})
		err = errors.Join(err, plc.SliceErrors(results))
	}
	ctx = context.WithoutCancel(ctx)
	if err != nil { // the next sweep tries again
		return errors.Join(err, a.Store.Outcome(ctx, key, store.Failed, err.Error()))
	}
	a.Log.Warn("a penalty that PLC had again from a backup is lifted", "claim", string(c.Kind), "target", c.Target,
		"site", c.Site)
	res.Repaired = append(res.Repaired, fmt.Sprintf("%s %s: %s, and it is lifted again", c.Kind, c.Target, said))
	return a.Store.Outcome(ctx, key, store.Done, "lifted again")
}
