package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Sessions keeps who is signed in to the pages. Only the hash of a token is written: who reads the table is not signed
// in by that. It is a store of package scs.
type Sessions struct{ *Store }

func hashOf(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// FindCtx reads a session that has not expired.
func (s Sessions) FindCtx(ctx context.Context, token string) (data []byte, found bool, err error) {
	err = s.pool.QueryRow(ctx, `select data from web_session where token = $1 and expires > now()`,
		hashOf(token)).Scan(&data)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("session: %w", err)
	}
	return data, true, nil
}

// CommitCtx writes a session, and removes those that have expired.
func (s Sessions) CommitCtx(ctx context.Context, token string, data []byte, expires time.Time) error {
	b := &pgx.Batch{}
	b.Queue(`insert into web_session (token, data, expires) values ($1, $2, $3)
		on conflict (token) do update set data = $2, expires = $3`, hashOf(token), data, expires)
	b.Queue(`delete from web_session where expires < now()`)
	return s.send(ctx, "session", b)
}

// DeleteCtx ends a session.
func (s Sessions) DeleteCtx(ctx context.Context, token string) error {
	if _, err := s.pool.Exec(ctx, `delete from web_session where token = $1`, hashOf(token)); err != nil {
		return fmt.Errorf("session: %w", err)
	}
	return nil
}

// Find, Commit and Delete are what package scs asks of a store that knows no contexts; it prefers the others.
func (s Sessions) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

// Commit is CommitCtx without a context.
func (s Sessions) Commit(token string, data []byte, expires time.Time) error {
	return s.CommitCtx(context.Background(), token, data, expires)
}

// Delete is DeleteCtx without a context.
func (s Sessions) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }
