package orders

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/store"
)

// Silence leaves a node, a PCU or a site alone for a time: it is exempt for that time.
func (d Desk) Silence(ctx context.Context, o Order, target string,
	until time.Time) (Receipt, store.BlacklistEntry, error) {
	e := store.BlacklistEntry{Starts: d.now().UTC().Truncate(time.Millisecond), Until: until}
	t, err := answers.Find(ctx, d.Store, target)
	if errors.Is(err, store.ErrNotFound) {
		return Receipt{}, e, notFound("%w: see `monitor node list` and `monitor site list`", err)
	} else if err != nil {
		return Receipt{}, e, err
	}
	if until.IsZero() {
		return Receipt{}, e, invalid("say how long it lasts")
	}
	e.Kind, e.Target = t.Kind, t.Name
	return d.blacklist(ctx, o, e, access.TargetSilence, "it is what others read when they ask why nothing is done")
}

// Blacklist exempts a node, a PCU or a site, or announces a downtime of it; its rows keep their first name.
func (d Desk) Blacklist(ctx context.Context, o Order,
	e store.BlacklistEntry) (Receipt, store.BlacklistEntry, error) {
	return d.blacklist(ctx, o, e, access.TargetSilence, "")
}

func (d Desk) blacklist(ctx context.Context, o Order, e store.BlacklistEntry, verb access.Verb,
	why string) (Receipt, store.BlacklistEntry, error) {
	switch {
	case e.Downtime && e.Until.IsZero():
		return Receipt{}, e, invalid("a downtime has an end")
	case !e.Until.IsZero() && !e.Until.After(e.Starts):
		return Receipt{}, e, invalid("it would end before it starts: from %s until %s", e.Starts.Format(time.RFC3339),
			e.Until.Format(time.RFC3339))
	}
	a, err := d.aboutTarget(ctx, e.Kind, e.Target)
	if err != nil {
		return Receipt{}, e, err
	}
	e.Owner, e.Reason = o.by(), o.reason()
	a.verb, a.why, a.effect = verb, why, store.PutBlacklist(e)
	a.does = fmt.Sprintf("leave %s %s alone", e.Kind, e.Target)
	a.words = map[string]any{"kind": e.Kind, "downtime": e.Downtime}
	if !e.Until.IsZero() {
		a.words["until"] = e.Until.UTC().Format(time.RFC3339)
		a.does += " until " + e.Until.UTC().Format(time.RFC3339)
	}
	r, err := d.give(ctx, o, a)
	const unique = "23505" // Postgres: unique_violation
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == unique {
		err = refused("%s %s has an entry from that moment on already: see `monitor exempt list`", e.Kind, e.Target)
	}
	return r, e, err
}

// Unsilence ends the exemption of a target, with all its entries, downtimes to come included.
func (d Desk) Unsilence(ctx context.Context, o Order, kind, target string) (Receipt, error) {
	return d.unsilence(ctx, o, kind, target, access.TargetUnsilence)
}

func (d Desk) unsilence(ctx context.Context, o Order, kind, target string, verb access.Verb) (Receipt, error) {
	a, err := d.aboutTarget(ctx, kind, target)
	if KindOf(err) == NotFound { // one that PLC has no longer may have an entry that is to go
		a, err = act{target: target}, nil
	}
	if err != nil {
		return Receipt{}, err
	}
	a.verb, a.effect = verb, store.EraseBlacklist(kind, target)
	a.does, a.words = fmt.Sprintf("no longer leave %s %s alone", kind, target), map[string]any{"kind": kind}
	a.check = func(ctx context.Context) error {
		if !o.DryRun {
			return nil
		}
		list, err := d.Store.Blacklist(ctx)
		for _, e := range list {
			if e.Kind == kind && e.Target == target {
				return err
			}
		}
		return errors.Join(err, notExempt(kind, target))
	}
	r, err := d.give(ctx, o, a)
	if errors.Is(err, store.ErrNotFound) {
		err = notExempt(kind, target)
	}
	return r, err
}

func notExempt(kind, target string) error {
	return notFound("%s %s is not exempt: see `monitor exempt list`", kind, target)
}

// aboutTarget says what a node, a site or a PCU is. A name that nobody knows would protect nothing.
func (d Desk) aboutTarget(ctx context.Context, kind, name string) (act, error) {
	a := act{target: name}
	var err error
	switch kind {
	case answers.KindNode:
		var n store.Node
		n, err = d.Store.Node(ctx, name)
		a.node, a.site = n.Hostname, n.Site
	case answers.KindSite:
		var s store.Site
		s, err = d.Store.Site(ctx, name)
		a.site = s.LoginBase
	case answers.KindPCU:
		var p store.PCU
		p, err = d.Store.PCUByName(ctx, name)
		a.pcu, a.site = p.PCUID, p.Site
	case store.OfSlice: // Monitor keeps no slices: their names begin with their site's
		login, _, underscore := strings.Cut(name, "_")
		if a.site = login; underscore {
			_, err = d.Store.Site(ctx, login)
		}
		if !underscore || errors.Is(err, store.ErrNotFound) {
			return a, notFound("no site of a slice %s is known: its name begins with its site's, as princeton_codeen", name)
		}
	case store.OfPerson: // who may have several sites, so it concerns the fleet
		known, err := d.Store.PersonKnown(ctx, name)
		if err == nil && !known {
			err = notFound("the inventory has no enabled person %s", name)
		}
		return a, err
	default:
		return a, invalid("nodes, sites, PCUs, slices and persons may be exempt: write node, site, pcu, slice or person, "+
			"not %q", kind)
	}
	if errors.Is(err, store.ErrNotFound) {
		err = notFound("no %s %s is known: see `monitor %s list`", kind, name, kind)
	}
	return a, err
}
