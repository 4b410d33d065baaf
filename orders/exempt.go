package orders

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// ErrUnknown says that nothing of that name is known: to exempt it would protect nothing.
var ErrUnknown = errors.New("is not known")

// ErrTwice says that the same is ordered already.
var ErrTwice = errors.New("has an entry from that moment on already")

// Exempt leaves something alone for a time or for ever: a node, a site or a PCU is not acted on, a slice is not
// suspended, a person is not written to. Temporal may be nil: sites then see it with their next look.
func Exempt(ctx context.Context, db *store.Store, tc client.Client, who Who, e store.BlacklistEntry) (store.BlacklistEntry, error) {
	e.Owner, e.Reason = signature(who), strings.TrimSpace(e.Reason)
	login, err := known(ctx, db, e.Kind, e.Target)
	if err != nil {
		return e, err
	}
	err = db.AddBlacklist(ctx, e)
	const unique = "23505" // Postgres: unique_violation
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == unique {
		return e, fmt.Errorf("%s %s %w", e.Kind, e.Target, ErrTwice)
	}
	if err != nil {
		return e, err
	}
	detail := "exempt"
	if !e.Until.IsZero() {
		detail += " until " + e.Until.UTC().Format(time.RFC3339)
	}
	if err := note(ctx, db, who, e.Kind, e.Target, login, e.Reason, detail); err != nil {
		return e, err
	}
	wake(ctx, tc, e.Kind, login)
	return e, nil
}

// EndExemption takes all entries of one target away.
func EndExemption(ctx context.Context, db *store.Store, tc client.Client, who Who, kind, target, reason string) error {
	if err := db.RemoveBlacklist(ctx, kind, target); err != nil {
		return err
	}
	login, err := known(ctx, db, kind, target)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return err
	}
	if err := note(ctx, db, who, kind, target, login, reason, "exempt no more"); err != nil {
		return err
	}
	wake(ctx, tc, kind, login)
	return nil
}

// known finds a target, and the site to which it belongs; of a person there may be several, and none is told.
func known(ctx context.Context, db *store.Store, kind, target string) (login string, err error) {
	switch kind {
	case store.OfNode:
		var n store.Node
		n, err = db.Node(ctx, target)
		login = n.Site
	case store.OfSite:
		_, err = db.Site(ctx, target)
		login = target
	case store.OfPCU:
		var p store.PCU
		p, err = db.PCUByName(ctx, target)
		login = p.Site
	case store.OfSlice: // Monitor keeps no slices: their names begin with their site's
		var underscore bool
		if login, _, underscore = strings.Cut(target, "_"); underscore {
			_, err = db.Site(ctx, login)
		} else {
			err = store.ErrNotFound
		}
	case store.OfPerson:
		var is bool
		if is, err = db.PersonKnown(ctx, target); err == nil && !is {
			err = store.ErrNotFound
		}
	default:
		return "", fmt.Errorf("%q may not be exempt: there are %s", kind, strings.Join(store.ExemptKinds(), ", "))
	}
	if errors.Is(err, store.ErrNotFound) {
		return "", fmt.Errorf("%s %s %w", kind, target, ErrUnknown)
	}
	return login, err
}

// note keeps an order in the ledger, with who gave it and from where.
func note(ctx context.Context, db *store.Store, who Who, kind, target, login, reason, detail string) error {
	a := store.Action{Key: fmt.Sprintf("order/%s/%s/%d", kind, target, time.Now().UnixNano()), Kind: store.KindOrder,
		Site: login, Reason: reason, Outcome: store.Done,
		Detail: fmt.Sprintf("%s %s: %s, by %s", kind, target, detail, signature(who))}
	if kind == store.OfNode {
		a.Node = target
	}
	if who.From != "" {
		a.Detail += ", from " + who.From
	}
	return db.Note(ctx, a)
}

// wake lets a site look at once at what it is denied, where that may have changed. It is a courtesy: the site looks by
// itself, later.
func wake(ctx context.Context, tc client.Client, kind, login string) {
	if tc == nil || login == "" || !slices.Contains([]string{store.OfSite, store.OfSlice}, kind) {
		return
	}
	_ = tc.SignalWorkflow(ctx, site.ID(login), "", site.SignalLook, nil)
}

// lookAtSite starts the workflow of a site if need be, and lets it look at what it is denied.
func lookAtSite(ctx context.Context, tc client.Client, login string) error {
	_, err := tc.SignalWithStartWorkflow(ctx, site.ID(login), site.SignalLook, nil,
		client.StartWorkflowOptions{ID: site.ID(login), TaskQueue: activities.TaskQueue,
			StaticSummary: "what " + login + " is told and denied"}, site.Type, site.Input{Site: login})
	if err != nil {
		return fmt.Errorf("let site %s look: %w", login, err)
	}
	return nil
}

// Exemption is one thing that is left alone, and by whose word.
type Exemption struct {
	Kind   string    `json:"kind"`
	Target string    `json:"target"`
	What   string    `json:"what"`  // exempt, or downtime
	Where  string    `json:"where"` // monitor, or plc
	Now    string    `json:"now"`   // in force, to come, over
	Starts time.Time `json:"starts,omitzero"`
	Until  time.Time `json:"until,omitzero"` // zero: for ever
	By     string    `json:"by"`
	Reason string    `json:"reason"`
}

// Exemptions are all of them, in one place: Monitor's own, whatever command made them, and those of PLC.
func Exemptions(ctx context.Context, db *store.Store, now time.Time) ([]Exemption, error) {
	entries, err := db.Blacklist(ctx)
	if err != nil {
		return nil, err
	}
	list := []Exemption{}
	for _, e := range entries {
		x := Exemption{Kind: e.Kind, Target: e.Target, What: "exempt", Where: "monitor", Now: "in force",
			Starts: e.Starts.UTC(), Until: e.Until.UTC(), By: e.Owner, Reason: e.Reason}
		if e.Downtime {
			x.What = "downtime"
		}
		switch {
		case e.Starts.After(now):
			x.Now = "to come"
		case !e.Until.IsZero() && !e.Until.After(now):
			x.Now = "over"
		}
		list = append(list, x)
	}
	fromPLC, err := db.ExemptInPLC(ctx, now)
	for _, e := range fromPLC {
		list = append(list, Exemption{Kind: e.Kind, Target: e.Target, What: "exempt", Where: "plc", Now: "in force",
			Until: e.Until.UTC(), By: "PLC", Reason: "its tag there"})
	}
	return list, err
}
