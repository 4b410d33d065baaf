package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Sweep is one look at the whole fleet. A believed sweep is a lease to act.
type Sweep struct {
	ID       int64             `json:"id"`
	Run      string            `json:"run"` // <workflow id>/<run id>
	Started  time.Time         `json:"started"`
	Beat     time.Time         `json:"beat"` // when it last gave a sign of life
	Ended    time.Time         `json:"ended,omitzero"`
	Believed bool              `json:"believed"`
	Vouched  bool              `json:"vouched,omitempty"` // an operator said that the fleet is as it looks
	Reason   string            `json:"reason,omitempty"`  // why it is not believed
	Doubts   map[string]string `json:"doubts,omitempty"`  // issue types that it does not believe, and why
	Counts   map[string]int    `json:"counts,omitempty"`
}

const sweepSQL = `select id, run, started, beat, coalesce(ended,` + epoch +
	`) ended, believed, vouched, reason, doubts, counts from sweep `

// ErrSweepUnderWay says that another sweep is looking at the fleet.
var ErrSweepUnderWay = errors.New("another sweep is under way")

// sweepSilence is how long a sweep that has neither ended nor given a sign of life counts as under way.
const sweepSilence = time.Minute

// sweepLock is the advisory lock that starting, judging and ending sweeps take one after the other.
const sweepLock = 0x53574550

// UnderWay is ErrSweepUnderWay with the run that is.
type UnderWay struct{ Run string }

func (u UnderWay) Error() string        { return ErrSweepUnderWay.Error() + ": " + u.Run }
func (u UnderWay) Is(target error) bool { return target == ErrSweepUnderWay }

// AbandonSweep ends the sweep of a run that will not come to its end.
func (s *Store) AbandonSweep(ctx context.Context, run, why string) error {
	if _, err := s.pool.Exec(ctx, `update sweep set ended = now(), reason = $2 where run = $1 and ended is null`, run,
		why); err != nil {
		return fmt.Errorf("abandon the sweep %s: %w", run, err)
	}
	return nil
}

// StartSweep writes down that the sweep of a workflow's run begins. While another one is under way it is refused with
// ErrSweepUnderWay; one that was lost on its way is ended, not believed.
func (s *Store) StartSweep(ctx context.Context, run string) (Sweep, error) {
	var out Sweep
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1)`, sweepLock); err != nil {
			return err
		}
		var other string
		err := tx.QueryRow(ctx, `select run from sweep
			where ended is null and run <> $1 and beat > now() - $2::interval limit 1`, run, sweepSilence).Scan(&other)
		if err == nil {
			return UnderWay{other}
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if _, err := tx.Exec(ctx, `update sweep set ended = now(), reason = 'it did not come to its end'
			where ended is null and run <> $1`, run); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `insert into sweep (run, started, beat) values ($1, now(), now()) on conflict (run)
			do update set beat = now()
			returning id, run, started, beat,
			coalesce(ended,`+epoch+`) ended, believed, vouched, reason, doubts, counts`, run)
		if err != nil {
			return err
		}
		out, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Sweep])
		return err
	})
	if err != nil {
		return out, fmt.Errorf("start a sweep: %w", err)
	}
	return out, nil
}

// ErrSweepOver says that a sweep was ended, as one that gave no sign of life for too long.
var ErrSweepOver = errors.New("the sweep is over")

// BeatSweep is a sweep's sign of life. A sweep that was ended meanwhile gets ErrSweepOver.
func (s *Store) BeatSweep(ctx context.Context, id int64) error {
	tag, err := s.pool.Exec(ctx, `update sweep set beat = now() where id = $1 and ended is null`, id)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrSweepOver
	}
	if err != nil {
		return fmt.Errorf("sweep %d: %w", id, err)
	}
	return nil
}

// LockSweeps keeps others from starting, judging and ending sweeps until it is released; the lock dies with the
// connection.
func (s *Store) LockSweeps(ctx context.Context) (release func(), err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, `select pg_advisory_lock($1)`, sweepLock); err != nil {
		_ = conn.Conn().Close(context.WithoutCancel(ctx)) // whether it holds the lock is not known
		conn.Release()
		return nil, fmt.Errorf("wait for another sweep: %w", err)
	}
	return func() {
		if _, err := conn.Exec(context.WithoutCancel(ctx), `select pg_advisory_unlock($1)`, sweepLock); err != nil {
			_ = conn.Conn().Close(context.WithoutCancel(ctx))
		}
		conn.Release()
	}, nil
}

// keepSweeps is how long the rows of sweeps stay.
const keepSweeps = 90 * 24 * time.Hour

// EndSweep writes down how a sweep ended, once: what was written first stays.
func (s *Store) EndSweep(ctx context.Context, w Sweep) error {
	if w.Doubts == nil {
		w.Doubts = map[string]string{}
	}
	if w.Counts == nil {
		w.Counts = map[string]int{}
	}
	_, err := s.pool.Exec(ctx, `update sweep set ended = now(), believed = $2, vouched = $3, reason = $4, doubts = $5,
		counts = $6 where id = $1 and ended is null`,
		w.ID, w.Believed, w.Vouched, w.Reason, w.Doubts, w.Counts)
	if err == nil {
		_, err = s.pool.Exec(ctx, `delete from sweep where started < now() - $1::interval`, keepSweeps)
	}
	if err != nil {
		return fmt.Errorf("end sweep %d: %w", w.ID, err)
	}
	return nil
}

// Sweep reads one sweep.
func (s *Store) Sweep(ctx context.Context, id int64) (Sweep, error) {
	return one[Sweep](ctx, s, fmt.Sprintf("sweep %d", id), sweepSQL+`where id = $1`, id)
}

// LastSweep reads the last sweep that ended; ErrNotFound: none did.
func (s *Store) LastSweep(ctx context.Context) (Sweep, error) {
	list, err := many[Sweep](ctx, s, "sweep", sweepSQL+`where ended is not null order by id desc limit 1`)
	return first("sweep", list, err)
}

// LastWithoutDoubt is the last believed sweep before one that did not doubt an issue type; 0: none is kept. It names
// how long a doubt has lasted.
func (s *Store) LastWithoutDoubt(ctx context.Context, typ string, before int64) (id int64, err error) {
	err = s.pool.QueryRow(ctx, `select coalesce(max(id), 0) from sweep
		where believed and id < $2 and not jsonb_exists(doubts, $1)`, typ, before).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("the last sweep without a doubt about %s: %w", typ, err)
	}
	return id, nil
}

// LastBelieved says when the last believed sweep ended, and if a later one was not believed, why. The zero time: none
// ever was.
func (s *Store) LastBelieved(ctx context.Context) (at time.Time, why string, err error) {
	believed, err := many[Sweep](ctx, s, "sweep", sweepSQL+`where believed order by id desc limit 1`)
	if err != nil {
		return at, "", err
	}
	var id int64
	if len(believed) > 0 {
		at, id = believed[0].Ended, believed[0].ID
	}
	later, err := many[Sweep](ctx, s, "sweep",
		sweepSQL+`where id > $1 and (ended is not null or beat < now() - $2::interval) order by id desc limit 1`,
		id, sweepSilence)
	if err != nil || len(later) == 0 {
		return at, "", err
	}
	if why = later[0].Reason; later[0].Ended.IsZero() {
		why = "the sweep that began at " + later[0].Started.UTC().Format(time.RFC3339) + " does not come to its end"
	}
	return at, why, nil
}

// LastVouched says when the last sweep ended for which an operator vouched: what was bad then is no news any more.
func (s *Store) LastVouched(ctx context.Context) (at time.Time, err error) {
	var t *time.Time
	if err := s.pool.QueryRow(ctx, `select max(ended) from sweep where believed and vouched`).Scan(&t); err != nil {
		return at, fmt.Errorf("sweep: %w", err)
	}
	if t != nil {
		at = *t
	}
	return at, nil
}

// Seen says that the nodes or PCUs with ids above After and up to Upto were looked at, but those missed.
type Seen struct {
	Kind        string // node or pcu
	After, Upto int64
	At          time.Time
	Missed      []int
}

// SaveSeen keeps it, in place of what overlaps it.
func (s *Store) SaveSeen(ctx context.Context, seen Seen) error {
	if seen.Missed == nil {
		seen.Missed = []int{}
	}
	b := &pgx.Batch{}
	b.Queue(`delete from seen where kind = $1 and upto > $2 and after < $3 and upto <> $3`, seen.Kind,
		seen.After, seen.Upto)
	b.Queue(`insert into seen (kind, after, upto, at, missed) values ($1,$2,$3,$4,$5) on conflict (kind, upto) do update
		set after = $2, at = $4, missed = $5`,
		seen.Kind, seen.After, seen.Upto, seen.At, seen.Missed)
	err := s.send(ctx, "save what was seen", b)
	for n := 1; collided(err) && n < mostCollisions; n++ {
		err = s.send(ctx, "save what was seen", b)
	}
	return err
}

// seenAt is when a node or a PCU was last looked at.
func seenAt(table, id string) string {
	return strings.NewReplacer("TABLE", table, "ID",
		id).Replace(`greatest(seen_at, (select case when seen.after < TABLE.ID
			and not TABLE.ID = any(seen.missed) then seen.at end
		from seen where seen.kind = 'TABLE' and seen.upto >= TABLE.ID order by seen.upto limit 1))`)
}

// IDs lists the nodes or PCUs that are not gone, in order. The fleet is cut into batches by it.
func (s *Store) IDs(ctx context.Context, kind string) ([]int64, error) {
	sql, ok := map[string]string{
		"node": `select node_id from node where not gone order by node_id`,
		"pcu":  `select pcu_id from pcu where not gone order by pcu_id`,
	}[kind]
	if !ok {
		return nil, fmt.Errorf("a sweep does not look at a %s", strconv.Quote(kind))
	}
	rows, err := s.pool.Query(ctx, sql)
	if err != nil {
		return nil, fmt.Errorf("list every %s: %w", kind, err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}
