package inventory

import (
	"context"
	"fmt"
	"slices"

	"github.com/planetlab/monitor/plc"
)

// What sites are denied without PLC is what the penalty hook does for each level. Level 1 is told from "the site is
// enabled", level 2 from a slice that stands for it, so that penalties are decided, claimed, undone and reconciled by
// the same code as with PLC.

// claims of the two levels, as the store names them
const (
	claimLevel1 = "site disabled"
	claimLevel2 = "slice suspended"
)

func levelName(site string, level int) string { return fmt.Sprintf("penalty %d of %s", level, site) }

// site is the name of a site, which callers may know by its id alone.
func (o *Own) site(ctx context.Context, ref plc.SiteRef) (string, error) {
	if ref.LoginBase != "" {
		return ref.LoginBase, nil
	}
	name, err := o.record.InventoryName(ctx, kindSite, ref.SiteID)
	if err == nil && name == "" {
		err = as(plc.ErrNotFound, fmt.Errorf("the inventory has no site %d", ref.SiteID))
	}
	return name, err
}

func (o *Own) denied(ctx context.Context, ref plc.SiteRef, level int) (site string, denied bool, err error) {
	if site, err = o.site(ctx, ref); err != nil {
		return "", false, err
	}
	state, err := o.record.OwnState(ctx, ownLevel, levelName(site, level))
	return site, state != "", err
}

// SiteEnabled reports whether level 1 is not in force.
func (o *Own) SiteEnabled(ctx context.Context, ref plc.SiteRef) (bool, error) {
	_, denied, err := o.denied(ctx, ref, 1)
	return !denied, err
}

// SiteUpdated is SiteEnabled: nothing restores our own store from a backup without us.
func (o *Own) SiteUpdated(ctx context.Context, ref plc.SiteRef) (enabled bool, updated int, err error) {
	enabled, err = o.SiteEnabled(ctx, ref)
	return enabled, 0, err
}

// SetSiteEnabled applies or undoes level 1.
func (o *Own) SetSiteEnabled(ctx context.Context, ref plc.SiteRef, enabled bool) error {
	return o.setLevel(ctx, ref, 1, !enabled)
}

// SlicesOfSite is one slice that stands for level 2 where a hook applies it.
func (o *Own) SlicesOfSite(ctx context.Context, ref plc.SiteRef) ([]plc.SliceState, error) {
	site, denied, err := o.denied(ctx, ref, 2)
	if err != nil || o.penalty == nil {
		return nil, err
	}
	return []plc.SliceState{{Name: levelName(site, 2), Suspended: denied}}, nil
}

// SuspendSlices applies level 2.
func (o *Own) SuspendSlices(ctx context.Context, ref plc.SiteRef, names []string) ([]plc.SliceResult, error) {
	return o.setSlices(ctx, ref, names, true)
}

// RestoreSlices undoes level 2.
func (o *Own) RestoreSlices(ctx context.Context, ref plc.SiteRef, names []string) ([]plc.SliceResult, error) {
	return o.setSlices(ctx, ref, names, false)
}

func (o *Own) setSlices(ctx context.Context, ref plc.SiteRef, names []string, denied bool) ([]plc.SliceResult, error) {
	site, err := o.site(ctx, ref)
	if err != nil {
		return nil, err
	}
	var results []plc.SliceResult
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		r := plc.SliceResult{Name: name}
		if name != levelName(site, 2) {
			r.Err = as(plc.ErrNotFound, fmt.Errorf("%q is no penalty here", name))
		} else {
			r.Err = o.setLevel(ctx, ref, 2, denied)
		}
		results = append(results, r)
	}
	return results, nil
}

// setLevel has the hook apply or undo a level, then keeps that it did. Who dies between the two asks the hook again,
// which must take that.
func (o *Own) setLevel(ctx context.Context, ref plc.SiteRef, level int, deny bool) error {
	site, denied, err := o.denied(ctx, ref, level)
	if err != nil || denied == deny {
		return err
	}
	if o.penalty == nil { // only what a hook did before can be undone, and then a person has to
		return as(plc.ErrRefused, fmt.Errorf("there is no penalty hook to change level %d of %s", level, site))
	}
	kind, target := claimLevel1, fmt.Sprint(ref.SiteID)
	if level == 2 {
		kind, target = claimLevel2, levelName(site, 2)
	}
	claim, err := o.record.ClaimJSON(ctx, kind, target)
	if err != nil {
		return err
	}
	order := Order{Do: Apply, What: WhatPenalty, Site: site, Level: level, Claim: claim}
	state := Apply
	if !deny {
		order.Do, state = Undo, ""
	}
	if err := o.penalty.Do(ctx, order); err != nil {
		return err
	}
	return o.record.SetOwnState(ctx, ownLevel, levelName(site, level), state)
}
