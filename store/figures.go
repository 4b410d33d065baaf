package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Figures are what the store counts for a scrape of metrics. They are read in one round trip.
type Figures struct {
	Nodes, PCUs, Sites []StatusCount
	Issues             []IssueCount
	Waiting            []NamedCount  // issues whose next rung waits, by the check of the gate that said no; "": another reason
	Levels             []NamedCount  // sites by penalty level
	Claims             []NamedCount  // what is held, by kind
	Actions            []ActionCount // of the ledger since a time
	Unfinished         int           // committed, and what became of them is not known
	Spent              []NamedCount  // what counts against the budgets, by kind
	Last               Sweep         // the last sweep that ended; its zero: none did
	Believed           time.Time     // when the last believed sweep ended; zero: none did
	Snapshot           time.Time     // when PLC was last read; zero: never
	Controls           Controls
}

// NamedCount is a number under a name.
type NamedCount struct {
	Name  string
	Count int
}

// ActionCount is how many lines of the ledger of one kind ended so; an empty outcome: not yet.
type ActionCount struct {
	Kind, Outcome string
	Count         int
}

// Figures counts, the ledger since a time, and what is spent of budgets since another.
func (s *Store) Figures(ctx context.Context, ledger, budgets time.Time) (f Figures, err error) {
	b := &pgx.Batch{}
	list(b, &f.Nodes, `select status, count(*)::int as count from node where not gone group by status`)
	list(b, &f.PCUs, `select status, count(*)::int as count from pcu where not gone group by status`)
	list(b, &f.Sites, `select status, count(*)::int as count from site where not gone group by status`)
	list(b, &f.Issues, `select type, status, count(*)::int as count from issue where status <> 'closed'
		group by type, status`)
	list(b, &f.Waiting, `select coalesce(state->'blocked'->>'check', '') as name, count(*)::int as count from issue
		where status <> 'closed' and state ? 'blocked' group by 1`)
	list(b, &f.Levels, `select penalty_level::text as name, count(*)::int as count from site where not gone group by 1`)
	list(b, &f.Claims, `select kind as name, count(*)::int as count from claim where released is null group by kind`)
	list(b, &f.Actions, `select kind, outcome, count(*)::int as count from action
		where kind = any($2) and at >= $1 group by kind, outcome`, ledger, ActionKinds())
	b.Queue(`select count(*)::int from action where outcome = '' and committed < now() - ` + reserved).
		QueryRow(func(row pgx.Row) error { return row.Scan(&f.Unfinished) })
	list(b, &f.Spent, `select kind as name, count(*)::int as count from action
		where kind in ('reboot', 'reinstall', 'penalty') and at >= $1 and `+spent+` group by kind`, budgets)
	var last []Sweep
	list(b, &last, sweepSQL+`where ended is not null order by id desc limit 1`)
	var believed, snapshot *time.Time
	b.Queue(`select (select ended from sweep where believed order by id desc limit 1), (select max(taken) from snapshot)`).
		QueryRow(func(row pgx.Row) error { return row.Scan(&believed, &snapshot) })
	var controls []Control
	list(b, &controls, controlSQL)
	if err := s.pool.SendBatch(ctx, b).Close(); err != nil {
		return f, fmt.Errorf("count for the metrics: %w", err)
	}
	if len(last) > 0 {
		f.Last = last[0]
	}
	f.Believed, f.Snapshot = orZero(believed), orZero(snapshot)
	f.Controls = Controls{}
	for _, c := range controls {
		f.Controls[c.Name] = c
	}
	return f, nil
}

// list queues a query whose rows are collected by the names of their columns.
func list[T any](b *pgx.Batch, to *[]T, sql string, args ...any) {
	b.Queue(sql, args...).Query(func(rows pgx.Rows) (err error) {
		*to, err = pgx.CollectRows(rows, pgx.RowToStructByName[T])
		return err
	})
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// SweepAge is how long ago the last sweep ended; ErrNotFound: none did.
func (s *Store) SweepAge(ctx context.Context) (age time.Duration, err error) {
	var seconds *float64
	err = s.pool.QueryRow(ctx, `select extract(epoch from now() - max(ended))::float8 from sweep`).Scan(&seconds)
	switch {
	case errors.Is(err, pgx.ErrNoRows), err == nil && seconds == nil:
		return 0, fmt.Errorf("a sweep that ended: %w", ErrNotFound)
	case err != nil:
		return 0, fmt.Errorf("the last sweep: %w", err)
	}
	return time.Duration(*seconds * float64(time.Second)), nil
}
