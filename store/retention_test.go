package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func (s *Store) count(t *testing.T, sql string) (n int) {
	t.Helper()
	if err := s.pool.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPruneTakesWhatIsOldAndNotWhatIsNeeded(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	const old, young = `now() - interval '500 days'`, `now() - interval '5 days'`
	for key, values := range map[string]string{
		"old and done":          old + `, now(), 'done', 'nodedown/gone'`,
		"old and not ended":     old + `, now(), '', 'nodedown/gone'`,
		"old, under a claim":    old + `, now(), 'done', 'nodedown/gone'`,
		"old, of an open issue": old + `, now(), 'done', 'nodedown/open'`,
		"young":                 young + `, now(), 'done', 'nodedown/gone'`,
	} {
		s.exec(t, fmt.Sprintf(`insert into action (key, kind, node, site, pcu, reason, at, committed, outcome, issue)
			values ('%s', 'reboot', '', '', 0, '', %s)`, key, values))
	}
	s.exec(t, `insert into claim (kind, target, site, issue, run_id, key, taken, released) values
		('outlet', '1/1', '', 'a', '', 'old, under a claim', `+old+`, null), ('outlet', '1/2', '', 'a', '', 'x', `+old+`, `+old+`)`)
	s.exec(t, `insert into issue (id, run_id, type, target, node, site, pcu, status, rung, level, opened, closed, next, outcome, cause) values
		('nodedown/gone', 'r1', 'nodedown', 'gone', '', '', 0, 'closed', '', 0, `+old+`, `+old+`, '', '', ''),
		('nodedown/gone', 'r2', 'nodedown', 'gone', '', '', 0, 'closed', '', 0, `+old+`, `+young+`, '', '', ''),
		('nodedown/open', 'r1', 'nodedown', 'open', '', '', 0, 'open', '', 0, `+old+`, null, '', '', '')`)
	s.exec(t, `insert into issue_event (id, run_id, seq, at, event) select id, run_id, n, `+old+`, '{}' from issue, generate_series(1, 3) n`)
	s.exec(t, `insert into history (at, kind, target, was, became, reason) values (`+old+`, 'node', 'n', '', '', ''), (`+young+`, 'node', 'n', '', '', '')`)
	s.exec(t, `insert into bootman_logs (node, at, sequence, size, cut, log) values ('n', `+old+`, '', 0, false, ''), ('n', `+young+`, '', 0, false, '')`)
	day := 24 * time.Hour
	if gone, err := s.Prune(ctx, Retention{}, time.Now()); err != nil || len(gone) > 0 {
		t.Errorf("with nothing configured it took %v, %v", gone, err)
	}
	gone, err := s.Prune(ctx, Retention{History: 400 * day, Ledger: 400 * day, Stories: 400 * day, Logs: 90 * day}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for table, n := range map[string]int{"action": 1, "claim": 1, "issue": 1, "issue_event": 3, "history": 1, "bootman_logs": 1} {
		if gone[table] != n {
			t.Errorf("of %s it took %d, not %d", table, gone[table], n)
		}
	}
	rows, err := s.pool.Query(ctx, `select key from action order by key`)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if got := strings.Join(keys, "; "); err != nil || got != "old and not ended; old, of an open issue; old, under a claim; young" {
		t.Errorf("left: %s, %v", got, err)
	}
	if n := s.count(t, `select count(*) from issue_event where run_id = 'r1' and id = 'nodedown/open'`); n != 3 {
		t.Errorf("%d events of the open issue are left", n)
	}
}

// While much goes, others write: nobody waits, and nothing is lost that was written meanwhile.
func TestPruneLocksNobodyOut(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	const many = 20_000
	s.exec(t, fmt.Sprintf(`insert into action (key, kind, issue, node, site, pcu, reason, at, committed, outcome)
		select 'old'||n, 'notice', '', '', '', 0, '', now() - interval '500 days', now(), 'done' from generate_series(1, %d) n`, many))
	s.exec(t, fmt.Sprintf(`insert into history (at, kind, target, was, became, reason)
		select now() - interval '500 days', 'node', 'n', '', '', '' from generate_series(1, %d) n`, many))
	holder, err := s.pool.Begin(ctx) // somebody holds an old row for long
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Rollback(ctx) }()
	if _, err := holder.Exec(ctx, `update action set detail = 'held' where key = 'old7'`); err != nil {
		t.Fatal(err)
	}
	pruning, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var mu sync.Mutex
	written, slowest := 0, time.Duration(0)
	for w := range 4 {
		wg.Go(func() {
			for n := 0; pruning.Err() == nil; n++ {
				start := time.Now()
				key := fmt.Sprintf("new/%d/%d", w, n)
				_, _, _, err := s.Begin(ctx, Plan{Action: Action{Key: key, Kind: KindReboot, Site: "lab"},
					Budget: &Budget{Kind: KindReboot, Since: time.Now().Add(-time.Hour), Fleet: 1 << 30, Site: 1 << 30}})
				if err == nil {
					_, err = s.Commit(ctx, key)
				}
				if err == nil {
					err = s.Outcome(ctx, key, Done, "")
				}
				mu.Lock()
				if err != nil {
					t.Error(err)
				}
				written++
				slowest = max(slowest, time.Since(start))
				mu.Unlock()
			}
		})
	}
	keep := Retention{History: 24 * time.Hour, Ledger: 24 * time.Hour}
	gone, err := s.Prune(ctx, keep, time.Now())
	stop()
	wg.Wait()
	if err != nil || gone["action"] != many-1 || gone["history"] != many {
		t.Errorf("it took %v, %v", gone, err)
	}
	if n := s.count(t, `select count(*) from action where key like 'new/%' and outcome = 'done'`); n != written || n == 0 {
		t.Errorf("%d of %d new lines are there", n, written)
	}
	if slowest > 5*time.Second { // a busy machine; a lock of the table would last as long as the holder
		t.Errorf("somebody waited %s", slowest)
	}
	t.Logf("%d lines were written meanwhile, the slowest in %s", written, slowest)
	if err := holder.Rollback(ctx); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
		t.Fatal(err)
	}
	if gone, err := s.Prune(ctx, keep, time.Now()); err != nil || gone["action"] != 1 {
		t.Errorf("the next time it took %v, %v", gone, err)
	}
}

func TestPruneIsDoneByOneAtATime(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	other, err := s.pool.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Release()
	if _, err := other.Exec(ctx, `select pg_advisory_lock($1)`, pruneLock); err != nil {
		t.Fatal(err)
	}
	s.exec(t, `insert into history (at, kind, target, was, became, reason) values (now() - interval '5 days', 'node', 'n', '', '', '')`)
	keep := Retention{History: time.Hour}
	if gone, err := s.Prune(ctx, keep, time.Now()); err != nil || len(gone) > 0 {
		t.Errorf("beside another it took %v, %v", gone, err)
	}
	if _, err := other.Exec(ctx, `select pg_advisory_unlock($1)`, pruneLock); err != nil {
		t.Fatal(err)
	}
	if gone, err := s.Prune(ctx, keep, time.Now()); err != nil || gone["history"] != 1 {
		t.Errorf("alone it took %v, %v", gone, err)
	}
}
