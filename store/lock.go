package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrBusy says that another worker holds the PCU.
var ErrBusy = errors.New("another operation on this PCU is under way")

// pcuLocks is the class of the advisory locks of PCUs.
const pcuLocks = 0x504355

// mostLocks bounds the PCUs that one process holds at once. Each takes a connection, of which Postgres has 100 by
// default.
const mostLocks = 40

// keepalive lets Postgres end the session of a host that died without a word within half a minute, and with it the
// lock.
var keepalive = [][2]string{{"tcp_keepalives_idle", "10"}, {"tcp_keepalives_interval", "5"},
	{"tcp_keepalives_count", "3"}, {"tcp_user_timeout", "30000"}}

// openLocks makes the pool of the connections that hold locks, apart from all others, which may not have to wait for
// a PCU. A sweep locks one PCU after the other: a connection is kept for the next one, and ends soon after the last.
func openLocks(ctx context.Context, url string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	for _, p := range keepalive {
		cfg.ConnConfig.RuntimeParams[p[0]] = p[1]
	}
	cfg.MinConns, cfg.MaxConns, cfg.MaxConnIdleTime, cfg.HealthCheckPeriod = 0, mostLocks, 30*time.Second, 15*time.Second
	return pgxpool.NewWithConfig(ctx, cfg)
}

// LockPCU waits until no other worker operates the PCU, at most as long as the context allows. The lock dies with the
// connection, so a worker that dies leaves none behind. Who has the lock calls release once.
func (s *Store) LockPCU(ctx context.Context, id int) (release func(), err error) {
	conn, err := s.locks.Acquire(ctx)
	if err != nil {
		if ctx.Err() != nil && s.locks.Stat().AcquiredConns() == mostLocks { // else it is Postgres that does not answer
			return nil, fmt.Errorf("pcu %d: %w", id, ErrBusy)
		}
		return nil, err
	}
	if _, err := conn.Exec(ctx, `select pg_advisory_lock($1, $2)`, pcuLocks, id); err != nil {
		drop(conn)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("pcu %d: %w", id, ErrBusy)
		}
		return nil, err
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		var held bool
		err := conn.QueryRow(ctx, `select pg_advisory_unlock($1, $2)`, pcuLocks, id).Scan(&held)
		if err != nil || !held {
			drop(conn)
			return
		}
		conn.Release()
	}, nil
}

// drop ends a connection of which it is not sure what it holds.
func drop(conn *pgxpool.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = conn.Hijack().Close(ctx)
}
