package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Retention is how long the past is kept; 0: for ever.
type Retention struct {
	History time.Duration // what changed of nodes, PCUs and sites
	Ledger  time.Duration // what was done, and the claims that were let go
	Stories time.Duration // of issues that are closed
	Logs    time.Duration // of nodes in debug mode
}

// pruneBatch is how many rows go in one statement: it holds their locks for some milliseconds, and no others.
const pruneBatch = 500

// pruneLock is the advisory lock of the one who prunes.
const pruneLock = 0x5052554e

// pruning takes rows of one table that are older than a time. What is still needed is never in old.
type pruning struct {
	table, key string
	old        string // condition, with $1 the time
	keep       func(Retention) time.Duration
}

func prunings() []pruning {
	history := func(r Retention) time.Duration { return r.History }
	ledger := func(r Retention) time.Duration { return r.Ledger }
	stories := func(r Retention) time.Duration { return r.Stories }
	logs := func(r Retention) time.Duration { return r.Logs }
	return []pruning{
		// An event goes before its episode, so that none is left behind by a process that dies between the two.
		{"issue_event", "id, run_id, seq", `at < $1 and exists (select from issue i where i.id = t.id and i.run_id = t.run_id
			and i.closed < $1)`, stories},
		{"issue", "id, run_id", `closed < $1 and status = 'closed' and not exists (select from issue_event e
			where e.id = t.id and e.run_id = t.run_id)`, stories},
		{"claim", "id", `released < $1`, ledger},
		// What is not ended may still be; what a claim stands on is what its undoing needs; an open issue asks its own past.
		{"action", "id", `at < $1 and outcome <> '' and not exists (select from claim c where c.key = t.key)
			and not exists (select from issue i where i.id = t.issue and i.status <> 'closed')`, ledger},
		{"notice", "id", `at < $1`, ledger},
		{"history", "id", `at < $1`, history},
		{"bootman_logs", "id", `at < $1`, logs},
		{"bootman_repairs", "id", `at < $1`, ledger},
	}
}

// Prune takes away what is older than is to be kept, in small batches that wait for nobody: a row that somebody holds is
// left for the next time. One process does so at a time; for another it is no error. It answers how many rows went, by
// table.
func (s *Store) Prune(ctx context.Context, r Retention, now time.Time) (map[string]int, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	var mine bool
	if err := conn.QueryRow(ctx, `select pg_try_advisory_lock($1)`, pruneLock).Scan(&mine); err != nil || !mine {
		return nil, err
	}
	defer func() {
		if _, err := conn.Exec(context.WithoutCancel(ctx), `select pg_advisory_unlock($1)`, pruneLock); err != nil {
			_ = conn.Conn().Close(context.WithoutCancel(ctx)) // the lock dies with the connection
		}
	}()
	gone := map[string]int{}
	for _, p := range prunings() {
		keep := p.keep(r)
		if keep <= 0 {
			continue
		}
		n, err := inBatches(ctx, p, func(sql string) (pgconn.CommandTag, error) {
			return conn.Exec(ctx, sql, now.Add(-keep), pruneBatch)
		})
		gone[p.table] = n
		if err != nil {
			return gone, fmt.Errorf("prune %s: %w", p.table, err)
		}
	}
	return gone, nil
}

func inBatches(ctx context.Context, p pruning, exec func(sql string) (pgconn.CommandTag, error)) (total int, err error) {
	sql := fmt.Sprintf(`delete from %[1]s where ctid = any(array(select ctid from %[1]s t where %[2]s
		order by %[3]s limit $2 for update skip locked))`, p.table, p.old, p.key)
	for {
		tag, err := exec(sql)
		if err != nil {
			return total, err
		}
		total += int(tag.RowsAffected())
		if tag.RowsAffected() < pruneBatch {
			return total, nil
		}
		select { // let others have the disk
		case <-ctx.Done():
			return total, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
