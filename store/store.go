// Package store keeps what Monitor knows in Postgres: the PLC snapshot, what was last seen and how it changed, and the
// ledger of everything Monitor did. A change and its reason are always written together.
package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/tern/v2/migrate"

	"github.com/planetlab/monitor/bootman"
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrNotFound says that the store has no such row.
var ErrNotFound = errors.New("not in the store")

// Options say where Postgres is and how secrets are sealed.
type Options struct {
	URL string
	Key []byte // 32 bytes for AES-256; without it neither PCU passwords nor boot logs are kept
	// OldKeys open what was sealed before the key was changed.
	OldKeys [][]byte
}

// Store is a pool of connections. It is safe for use by many goroutines.
type Store struct {
	pool  *pgxpool.Pool
	seal  *sealer
	locks *pgxpool.Pool // a connection for each PCU that is locked from here
}

// Open connects and checks that Postgres answers.
func Open(ctx context.Context, o Options) (*Store, error) {
	cfg, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		// the parse error may hold the password
		return nil, errors.New("database.url is no Postgres URL: it looks like postgres://user@host:5432/monitor")
	}
	seal, err := newSealer(append([][]byte{o.Key}, o.OldKeys...)...)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err == nil {
		err = pool.Ping(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("postgres at %s:%d, database %s: %w", cfg.ConnConfig.Host, cfg.ConnConfig.Port,
			cfg.ConnConfig.Database, err)
	}
	locks, err := openLocks(ctx, o.URL)
	if err != nil {
		pool.Close()
		return nil, err
	}
	return &Store{pool: pool, seal: seal, locks: locks}, nil
}

// Close ends all connections; that of a lock that is still held ends when it is released.
func (s *Store) Close() {
	go s.locks.Close() // it waits for the last of them
	s.pool.Close()
}

// Ping answers nil when Postgres does.
func (s *Store) Ping(ctx context.Context) error { return s.pool.Ping(ctx) }

// Migrate brings the schema up to date. Several processes may do so at once.
func (s *Store) Migrate(ctx context.Context) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	m, err := migrate.NewMigrator(ctx, conn.Conn(), "public.schema_version")
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err == nil {
		m.Data["bootman_sequences"], err = bootman.Seed()
	}
	if err == nil {
		err = m.LoadMigrations(files)
	}
	if err == nil {
		err = m.Migrate(ctx)
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// one reads a single row into a struct by its db tags.
func one[T any](ctx context.Context, s *Store, what, sql string, args ...any) (T, error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		var zero T
		return zero, fmt.Errorf("%s: %w", what, err)
	}
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[T])
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", what, err)
	}
	return v, err
}

func many[T any](ctx context.Context, s *Store, what, sql string, args ...any) ([]T, error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	v, err := pgx.CollectRows(rows, pgx.RowToStructByName[T])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return v, nil
}

// orNull keeps the zero time out of the database.
func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
