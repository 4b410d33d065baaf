package rig

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/planetlab/monitor/testbed"
)

// Links are the servers to which wires are laid.
func Links() []string { return []string{"postgres", "temporal", "plc", "rt", "mail"} }

// layWires puts a wire between the workers and each of their servers. A transaction that was answered survives a crash of Postgres then, as
// it does in life.
func (r *Rig) layWires(ctx context.Context, s *Settings) error {
	r.Wires = map[string]*testbed.Wire{}
	conn, err := pgx.Connect(ctx, s.Database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	u, err := url.Parse(s.Database)
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "alter database "+pgx.Identifier{u.Path[1:]}.Sanitize()+" set synchronous_commit = on"); err != nil {
		return err
	}
	s.PLC, s.RT = r.PLC, r.RT
	for _, link := range []struct {
		name    string
		address *string
	}{{"postgres", &s.Database}, {"temporal", &s.Temporal}, {"plc", &s.PLC}, {"rt", &s.RT}, {"mail", &s.SMTP}} {
		host := *link.address
		u, err := url.Parse(host)
		isURL := err == nil && (u.Host != "" || u.Query().Has("host"))
		switch {
		case isURL && u.Host != "":
			host = u.Host
		case isURL: // Postgres on a socket in a folder, which stands in the query
			query := u.Query()
			host = filepath.Join(query.Get("host"), ".s.PGSQL.5432")
			query.Del("host")
			u.RawQuery = query.Encode()
		}
		wire, err := testbed.NewWire(host)
		if err != nil {
			return fmt.Errorf("wire to %s: %w", link.name, err)
		}
		r.stops = append(r.stops, func() error { wire.Close(); return nil })
		r.Wires[link.name] = wire
		if isURL {
			u.Host = wire.Addr()
			*link.address = u.String()
		} else {
			*link.address = wire.Addr()
		}
	}
	return nil
}
