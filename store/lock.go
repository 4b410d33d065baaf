package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
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

// LockPCU waits until no other worker operates the PCU, at most as long as the context allows. The lock dies with the
// connection, so a worker that dies leaves none behind.
func (s *Store) LockPCU(ctx context.Context, id int) (release func(), err error) {
	select {
	case s.locks <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("pcu %d: %w", id, ErrBusy)
	}
	config := s.pool.Config().ConnConfig
	for _, p := range keepalive {
		config.RuntimeParams[p[0]] = p[1]
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		<-s.locks
		return nil, err
	}
	end := func() {
		_ = conn.Close(context.WithoutCancel(ctx))
		<-s.locks
	}
	if _, err := conn.Exec(ctx, `select pg_advisory_lock($1, $2)`, pcuLocks, id); err != nil {
		end()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("pcu %d: %w", id, ErrBusy)
		}
		return nil, err
	}
	return end, nil
}
