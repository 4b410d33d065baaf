package orders

import (
	"context"
	"errors"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// Stop stops every act of Monitor on the world.
func (d Desk) Stop(ctx context.Context, o Order) (Receipt, error) {
	before, err := d.Store.Controls(ctx)
	if err != nil {
		return Receipt{}, err
	}
	r, err := d.control(ctx, o, access.FleetStop, "", store.ControlStop, "stopped", "stop every act of Monitor",
		"those who find Monitor stopped will ask why")
	if why := before.Stopped(); why != "" && err == nil && !r.Before {
		r.Note = "it was stopped already: " + why
	}
	return r, err
}

// Start lets Monitor act again after a stop. Where it was not stopped, nothing is ordered.
func (d Desk) Start(ctx context.Context, o Order) (Receipt, error) {
	before, err := d.Store.Controls(ctx)
	if err != nil {
		return Receipt{}, err
	}
	if before.Stopped() == "" && o.Key == "" {
		const does = "let Monitor act again"
		r := Receipt{Verb: access.FleetStart, Does: does, DryRun: o.DryRun, Note: "it was not stopped; nothing is changed"}
		if err := access.Check(o.Who, access.FleetStart, ""); err != nil {
			return r, &Error{Forbidden, err}
		}
		return r, nil
	}
	return d.control(ctx, o, access.FleetStart, "", store.ControlStop, "", "let Monitor act again", "")
}

// Part is the part of the fleet that a mode is ordered for; the zero Part is the whole of it.
type Part struct {
	Site string // login_base
	Type string // of issue
}

// Mode orders what Monitor may do in a part of the fleet; no mode takes the order back.
func (d Desk) Mode(ctx context.Context, o Order, part Part, mode policy.Mode) (Receipt, error) {
	name, verb, of := store.ControlMode, access.FleetMode, "the fleet"
	switch {
	case part.Site != "" && part.Type != "":
		return Receipt{}, invalid("name a site or a type, not both: two orders narrow more than one")
	case part.Site != "":
		// a part that nobody knows would be narrowed by nothing
		if _, err := d.Store.Site(ctx, part.Site); errors.Is(err, store.ErrNotFound) {
			return Receipt{}, notFound("no site %s is known: see `monitor site list`", part.Site)
		} else if err != nil {
			return Receipt{}, err
		}
		name, verb = store.ControlOf(store.ControlMode, store.PartSite, part.Site), access.SiteMode
		of = "site " + part.Site
	case part.Type != "":
		if err := CheckType(part.Type); err != nil {
			return Receipt{}, err
		}
		name, of = store.ControlOf(store.ControlMode, store.PartType, part.Type), "issues of type "+part.Type
	}
	if mode != "" {
		if _, err := policy.ParseMode(string(mode)); err != nil {
			return Receipt{}, invalid("%w", err)
		}
	}
	does := "take back the mode that is ordered for " + of
	if mode != "" {
		does = "order the mode " + string(mode) + " for " + of
	}
	return d.control(ctx, o, verb, part.Site, name, string(mode), does, "")
}

func (d Desk) control(ctx context.Context, o Order, verb access.Verb, site, name, value, does, why string) (Receipt,
	error) {
	c := store.Control{Name: name, Value: value, By: o.by(), Reason: o.reason()}
	return d.give(ctx, o, act{
		verb: verb, site: site, target: site, does: does, why: why,
		words:  map[string]any{"name": name, "value": value},
		effect: store.PutControl(c),
	})
}
