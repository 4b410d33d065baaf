package store

import (
	"context"
	"fmt"
	"time"
)

// Checkup is what Postgres says of itself, for those who look whether Monitor can work with it.
type Checkup struct {
	Version      int // as 170002
	Server       string
	Schema, Want int // the migrations that are applied, and those that this build brings
	User         string
	Missing      []string // rights that the user lacks, as "insert on action"
	MayCreate    bool     // it may bring the tables up to date
	Clock        time.Time
	Connections  int // that the server takes
}

// Checkup asks. It changes nothing, and needs no tables.
func (s *Store) Checkup(ctx context.Context) (c Checkup, err error) {
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		return c, err
	}
	c.Want = len(entries)
	err = s.pool.QueryRow(ctx, `select current_setting('server_version_num')::int, current_setting('server_version'), current_user,
		has_schema_privilege('public', 'create'), clock_timestamp(), current_setting('max_connections')::int`).
		Scan(&c.Version, &c.Server, &c.User, &c.MayCreate, &c.Clock, &c.Connections)
	if err != nil {
		return c, fmt.Errorf("ask Postgres for its version: %w", err)
	}
	var there bool
	if err := s.pool.QueryRow(ctx, `select to_regclass('public.schema_version') is not null`).Scan(&there); err != nil || !there {
		return c, err
	}
	if err := s.pool.QueryRow(ctx, `select version from public.schema_version`).Scan(&c.Schema); err != nil {
		return c, fmt.Errorf("the version of the tables: %w", err)
	}
	rows, err := s.pool.Query(ctx, `select privilege || ' on ' || relname from pg_class,
		unnest(array['select', 'insert', 'update', 'delete']) privilege
		where relkind = 'r' and relnamespace = 'public'::regnamespace and relname <> 'schema_version'
		and not has_table_privilege(oid, privilege) order by 1`)
	if err != nil {
		return c, fmt.Errorf("the rights on the tables: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var missing string
		if err := rows.Scan(&missing); err != nil {
			return c, err
		}
		c.Missing = append(c.Missing, missing)
	}
	return c, rows.Err()
}
