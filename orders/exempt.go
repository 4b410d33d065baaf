package orders

import (
	"context"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// Exempt leaves something alone for a time or for ever: a node, a site or a PCU is not acted on, a slice is not
// suspended, a person is not written to. Without Temporal a site sees it with its next look.
func (d Desk) Exempt(ctx context.Context, o Order, e store.BlacklistEntry) (Receipt, store.BlacklistEntry, error) {
	r, e, err := d.blacklist(ctx, o, e, access.TargetExempt,
		"it is what others read when they ask why nothing is done")
	if err == nil && !o.DryRun {
		d.wake(ctx, e.Kind, r.Site)
	}
	return r, e, err
}

// EndExemption takes all entries of one target away. What PLC itself has exempt is not Monitor's to end.
func (d Desk) EndExemption(ctx context.Context, o Order, kind, target string) (Receipt, error) {
	r, err := d.unsilence(ctx, o, kind, target, access.TargetExempt)
	if KindOf(err) == NotFound {
		fromPLC, readErr := d.Store.ExemptInPLC(ctx, d.now())
		if readErr != nil {
			return r, readErr
		}
		for _, x := range fromPLC {
			if x.Kind == kind && x.Target == target {
				return r, notFound("%s %s is exempt in the inventory, which is not Monitor's to remove", kind, target)
			}
		}
	}
	if err == nil && !o.DryRun {
		d.wake(ctx, kind, r.Site)
	}
	return r, err
}

// wake lets a site look at once at what it is denied, where that may have changed. It is a courtesy: the site looks by
// itself, later.
func (d Desk) wake(ctx context.Context, kind, login string) {
	if d.Temporal != nil && login != "" && (kind == store.OfSite || kind == store.OfSlice) {
		_ = d.Temporal.SignalWorkflow(ctx, site.ID(login), "", site.SignalLook, nil)
	}
}
