package pglocal

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
)

var errNotOurs = errors.New("the Postgres of DATABASE_URL is somebody else's and is not restored: unset DATABASE_URL")

// The commands of docs/operation.md: what the scenarios of the smoke test restore, operators restore in the same way.
func dumpFlags() []string    { return []string{"--format=custom"} }
func restoreFlags() []string { return []string{"--single-transaction", "--exit-on-error"} }

func emptied(database string) []string {
	return []string{"drop database " + database + " with (force)", "create database " + database}
}

// Backup keeps the database as it is now, as an administrator would with pg_dump. It answers what Restore takes.
func (c *Cluster) Backup() (file string, err error) {
	if c.command == nil {
		return "", errNotOurs
	}
	file = filepath.Join(c.dir, fmt.Sprintf("backup-%d", time.Now().UnixNano())) // there may be several
	if out, err := c.command("pg_dump", append(dumpFlags(), "--file="+file,
		"--dbname="+c.URL)...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("pg_dump: %w: %s", err, out)
	}
	return file, nil
}

// Restore puts a backup in the place of the database, and ends whoever is connected to it.
func (c *Cluster) Restore(ctx context.Context, file string) error {
	if c.command == nil {
		return errNotOurs
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return err
	}
	name := pgx.Identifier{u.Path[1:]}.Sanitize()
	u.Path = "/postgres"
	conn, err := pgx.Connect(ctx, u.String())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, sql := range emptied(name) {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	if out, err := c.command("pg_restore", append(restoreFlags(), "--dbname="+c.URL, file)...).CombinedOutput(); err != nil {
		return fmt.Errorf("pg_restore: %w: %s", err, out)
	}
	return nil
}
