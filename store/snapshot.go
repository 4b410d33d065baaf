package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/planetlab/monitor/plc"
)

const (
	// goneAfter is how many snapshots in a row must lack a row before it is gone.
	goneAfter = 3
	// A snapshot may lose this share of a kind, or this many rows, before it is doubted.
	lossShare, lossRows = 0.10, 3
	// contactSlack is how old the heartbeat of a node that is up may get here before it is written again. Nothing is
	// decided by the heartbeat of a node that answers, and to write each would be to write the whole fleet every
	// quarter of an hour.
	contactSlack = 6 * time.Hour
	// snapshotLock is the advisory lock under which snapshots are saved, one at a time.
	snapshotLock = 0x504c43
)

// SnapshotDoubt says that a snapshot lost so much of a kind that it is more likely a fault than the truth. What stands
// stays.
type SnapshotDoubt struct {
	Kind      string // "sites", "nodes", "pcus", "persons" or "addresses" (of nodes)
	Had, Have int    // how many stood, and how many of those the snapshot has
	From      string // what was read: PLC, or the inventory
}

func (d *SnapshotDoubt) Error() string {
	return fmt.Sprintf("the snapshot of %s has only %d of the %d %s that were there: the last one stands; "+
		"look at %[1]s, and if it is right, say so with --believe", d.From, d.Have, d.Had, d.Kind)
}

// Saved says what came of a snapshot.
type Saved struct {
	Rows  int      // that were written
	Odd   []string // what could not be taken over as PLC has it, and why; a refused row stays as it was
	Older bool     // a later snapshot was saved already, and nothing was written
}

// SaveSnapshot takes over what PLC says, and writes only what changed. A row that PLC no longer has is gone once three
// snapshots in a row lacked it; one that PLC could not send, or that makes no sense, stays as it is. A snapshot that
// lost a good part of what stands is refused with a *SnapshotDoubt, unless an operator believes it: then what it lacks
// is gone at once.
func (s *Store) SaveSnapshot(ctx context.Context, snap plc.Snapshot, believe bool) (saved Saved, err error) {
	for try := 1; ; try++ {
		err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			saved, err = s.saveSnapshot(ctx, tx, snap, believe)
			return err
		})
		var pg *pgconn.PgError
		if err == nil || try == 3 || !errors.As(err, &pg) || pg.Code != deadlock {
			break
		}
	}
	var doubt *SnapshotDoubt
	if err != nil && !errors.As(err, &doubt) {
		err = fmt.Errorf("save the snapshot of %s: %w", nameOf(snap), err)
	}
	return saved, err
}

// nameOf is what people are told a snapshot comes from.
func nameOf(snap plc.Snapshot) string { return cmp.Or(snap.From, "PLC") }

// deadlock is what Postgres says to the one it picked, as when looks are saved at the same time in another order.
const deadlock = "40P01"

func (s *Store) saveSnapshot(ctx context.Context, tx pgx.Tx, snap plc.Snapshot, believe bool) (Saved, error) {
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1)`, snapshotLock); err != nil {
		return Saved{}, err
	}
	stood, err := s.readStanding(ctx, tx)
	if err != nil {
		return Saved{}, err
	}
	if snap.Taken.Before(stood.taken) {
		return Saved{Older: true}, nil
	}
	in := takeIn(snap, stood)
	if doubt := in.doubt(stood); doubt != nil && !believe {
		return Saved{}, doubt
	}
	rows, odd, err := runChanges(ctx, tx, in.changes(s, stood, believe))
	if err != nil {
		return Saved{}, err
	}
	_, err = tx.Exec(ctx, `with gone as (delete from snapshot) insert into snapshot values ($1)`, snap.Taken)
	return Saved{Rows: rows + 1, Odd: append(in.odd, odd...)}, err
}

// doubt compares what the snapshot has with what stands. A row that is not yet gone still counts, or a fleet could melt
// away bit by bit.
func (in *intake) doubt(stood *standing) error {
	losses := []SnapshotDoubt{
		loss("sites", stood.sites, in.sites, in.kept["sites"]),
		loss("nodes", stood.nodes, in.nodes, in.kept["nodes"]),
		loss("pcus", stood.pcus, in.pcus, in.kept["pcus"]),
		in.lostPersons(stood), in.lostAddresses(stood),
	}
	for _, d := range losses {
		lost := d.Had - d.Have
		if in.none(d) || lost > lossRows && float64(lost) > lossShare*float64(d.Had) {
			d.From = in.from
			return &d
		}
	}
	return nil
}

// none reports whether a snapshot has nothing at all of a kind that cannot be empty. The last PCU may go.
func (in *intake) none(d SnapshotDoubt) bool {
	switch d.Kind {
	case "sites":
		return len(in.sites) == 0
	case "nodes":
		return len(in.nodes) == 0
	case "persons":
		return d.Had > 0 && d.Have == 0
	}
	return false
}

func loss[R any](kind string, stood map[int]*stoodRow[R], have map[int]R, kept map[int]bool) SnapshotDoubt {
	d := SnapshotDoubt{Kind: kind}
	for id, was := range stood {
		if was.gone {
			continue
		}
		d.Had++
		if _, has := have[id]; has || kept[id] {
			d.Have++
		}
	}
	return d
}

func (in *intake) lostPersons(stood *standing) SnapshotDoubt {
	had, have := map[int]bool{}, map[int]bool{}
	for k := range stood.persons {
		had[k.id] = true
		have[k.id] = in.kept["persons"][k.id]
	}
	d := SnapshotDoubt{Kind: "persons", Had: len(had)}
	for k := range in.persons {
		have[k.id] = true
	}
	for id := range had {
		if have[id] {
			d.Have++
		}
	}
	return d
}

// lostAddresses counts nodes that PLC still has, and whose address it has lost: a list of interfaces may be short, too.
func (in *intake) lostAddresses(stood *standing) SnapshotDoubt {
	d := SnapshotDoubt{Kind: "addresses"}
	for id, n := range in.nodes {
		if was := stood.nodes[id]; was != nil && was.row.ip != "" {
			d.Had++
			if n.ip != "" {
				d.Have++
			}
		}
	}
	return d
}

// pcuNames gives each PCU the name of its issues: its hostname, else its ip. Where several would share one, as behind
// one address with several ports, each is named by its id, or the trouble of one would be looked for at another.
func pcuNames(list []plc.PCU) map[int]string {
	names, shared := map[int]string{}, map[string]int{}
	for _, p := range list {
		names[p.PCUID] = cmp.Or(p.Hostname, p.IP)
		shared[names[p.PCUID]]++
	}
	for id, name := range names {
		if name == "" || shared[name] > 1 {
			names[id] = fmt.Sprintf("pcu-%d", id)
		}
	}
	return names
}

// SiteByID reads a site by PLC's id, which stays when PLC renames it.
func (s *Store) SiteByID(ctx context.Context, id int) (Site, error) {
	what := fmt.Sprintf("site %d", id)
	list, err := sitesOf(many[Site](ctx, s, what, siteSQL+`where site_id = $1`, id))
	return first(what, list, err)
}

// SnapshotTaken says when PLC was last read; the zero time: never, or by a clock that was wrong.
func (s *Store) SnapshotTaken(ctx context.Context) (time.Time, error) {
	var t *time.Time
	if err := s.pool.QueryRow(ctx, `select max(taken) from snapshot where taken < now() + interval '5 minutes'`).Scan(
		&t); err != nil || t == nil {
		return time.Time{}, err
	}
	return *t, nil
}

// Contact is somebody who may be written to.
type Contact struct {
	Email string
	Roles []string
}

// Contacts are the people of a site with one of the roles. Exempt ones come back by address alone, to be named as
// skipped.
func (s *Store) Contacts(
	ctx context.Context, site string, roles []string, now time.Time,
) (to []Contact, skipped []string, err error) {
	if len(roles) == 0 {
		return nil, nil, nil
	}
	rows, err := s.pool.Query(ctx, `select email, roles, coalesce(exempt_until > $3, false) or exists (select from blacklist
			where kind = 'person' and target = email and starts <= $3 and (until is null or until > $3)) from person
		where site = $1 and roles && $2 order by email`, site, roles, now)
	if err != nil {
		return nil, nil, fmt.Errorf("contacts of %s: %w", site, err)
	}
	var c Contact
	var exempt bool
	_, err = pgx.ForEachRow(rows, []any{&c.Email, &c.Roles, &exempt}, func() error {
		if exempt {
			skipped = append(skipped, c.Email)
		} else {
			to = append(to, Contact{c.Email, append([]string(nil), c.Roles...)})
		}
		return nil
	})
	return to, skipped, err
}
