package store

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/planetlab/monitor/policy"
)

// Unreadable are rows that could not be read, each with its first column and why; all others were.
type Unreadable []string

// readable reads rows into structs by their columns' names, as RowToStructByName does, but a row that cannot be read
// costs only itself: one site with a date beyond every calendar must not keep a sweep from judging the others.
func readable[T any](ctx context.Context, s *Store, what, sql string,
	args ...any) (list []T, bad Unreadable, err error) {
	bad, err = eachReadable(ctx, s, what, func(row T) { list = append(list, row) }, sql, args...)
	return list, bad, err
}

// eachReadable is readable for rows that are too many to be held at once.
func eachReadable[T any](ctx context.Context, s *Store, what string, each func(T), sql string,
	args ...any) (bad Unreadable, err error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer rows.Close()
	types := rows.Conn().TypeMap()
	columns := rows.FieldDescriptions()
	fields, err := fieldsOf(reflect.TypeFor[T](), columns)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	plans := make([]pgtype.ScanPlan, len(columns))
	for rows.Next() {
		var row T
		if err := scanRow(types, plans, columns, rows.RawValues(), reflect.ValueOf(&row).Elem(), fields); err != nil {
			bad = append(bad, fmt.Sprintf("%s, row %s: %s", what, rowName(types, columns, rows.RawValues()), err))
			continue
		}
		each(row)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return bad, nil
}

func scanRow(types *pgtype.Map, plans []pgtype.ScanPlan, columns []pgconn.FieldDescription, raw [][]byte,
	v reflect.Value, fields []int) error {
	for i, c := range columns {
		to := v.Field(fields[i]).Addr().Interface()
		if plans[i] == nil {
			plans[i] = types.PlanScan(c.DataTypeOID, c.Format, to)
		}
		if err := plans[i].Scan(raw[i], to); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	return nil
}

// rowName is a row's first two columns, which name it.
func rowName(types *pgtype.Map, columns []pgconn.FieldDescription, raw [][]byte) string {
	var words []string
	for i, c := range columns[:min(2, len(columns))] {
		if t, known := types.TypeForOID(c.DataTypeOID); known {
			if v, err := t.Codec.DecodeValue(types, c.DataTypeOID, c.Format, raw[i]); err == nil {
				words = append(words, fmt.Sprint(v))
			}
		}
	}
	return strings.Join(words, " ")
}

// fieldsOf finds the field of each column, whose name it bears but for case and underscores.
func fieldsOf(t reflect.Type, columns []pgconn.FieldDescription) ([]int, error) {
	out := make([]int, len(columns))
	for i, c := range columns {
		name := strings.ReplaceAll(c.Name, "_", "")
		f, ok := t.FieldByNameFunc(func(field string) bool { return strings.EqualFold(field, name) })
		if !ok || len(f.Index) != 1 {
			return nil, fmt.Errorf("no field for column %s", c.Name)
		}
		out[i] = f.Index[0]
	}
	return out, nil
}

// Fleet is what a sweep judges, but for the nodes.
type Fleet struct {
	Sites []Site
	PCUs  []PCU // SeenAt is zero for those that the sweep did not look at
	// Unreadable rows are left out: their targets are not judged.
	Unreadable Unreadable
}

const (
	fleetNodesSQL = `select node_id, hostname, site, boot_state,
		coalesce(last_contact,` + epoch + `) last_contact, pcu_id as pcuid,
		coalesce(exempt_until,` + epoch + `) exempt_until, status, coalesce(changed,` + epoch + `) changed,
		state, category, firewall, reason,
		coalesce(first_silent,` + epoch + `) first_silent, coalesce(bad_since,` + epoch + `) bad_since,
		judged, symptoms, ` + ruledSQL + `,
		coalesce(date_part('epoch', now() - booted) * 1e9, 0)::bigint uptime,
		coalesce(seen_at,` + epoch + `) seen_at from node where not gone`
	fleetPCUsSQL = `select ` + pcuColumnsSQL + `, coalesce(seen_at,` + epoch +
		`) seen_at from pcu where not gone order by pcu_id`
)

// ReadFleet reads the fleet once, and hands over each node with what a judgement needs, without its details; its SeenAt
// is zero when a sweep that began at the given time did not look at it.
func (s *Store) ReadFleet(ctx context.Context, since time.Time, each func(Node)) (f Fleet, err error) {
	seen, err := many[Seen](ctx, s, "seen",
		`select kind, after, upto, at, missed from seen where at >= $1 order by kind, upto`, since)
	if err != nil {
		return f, err
	}
	var bad [3]Unreadable
	if f.Sites, bad[0], err = readable[Site](ctx, s, "sites",
		siteSQL+`where not gone order by login_base`); err != nil {
		return f, err
	}
	if f.PCUs, bad[1], err = readable[PCU](ctx, s, "pcus", fleetPCUsSQL); err != nil {
		return f, err
	}
	bad[2], err = eachReadable(ctx, s, "nodes", func(n Node) {
		n.Record = policy.Record{Status: n.Status, Changed: n.Changed}
		n.SeenAt = lastSeen(seen, "node", int64(n.NodeID), n.SeenAt, since)
		each(n)
	}, fleetNodesSQL)
	f.Unreadable = slices.Concat(bad[:]...)
	_, _ = sitesOf(f.Sites, nil)
	_, _ = pcusOf(f.PCUs, nil)
	for i := range f.PCUs {
		f.PCUs[i].SeenAt = lastSeen(seen, "pcu", int64(f.PCUs[i].PCUID), f.PCUs[i].SeenAt, since)
	}
	return f, err
}

// lastSeen is when something was seen since a time, or zero. Seen is ordered by kind and Upto, and nothing in it
// overlaps.
func lastSeen(seen []Seen, kind string, id int64, written, since time.Time) time.Time {
	i, _ := slices.BinarySearchFunc(seen, id, func(s Seen, id int64) int {
		return cmp.Or(cmp.Compare(s.Kind, kind), cmp.Compare(s.Upto, id))
	})
	switch {
	case !written.Before(since):
		return written
	case written.IsZero(): // it was in a batch, as one that PLC has just given back, and was never looked at
		return time.Time{}
	case i < len(seen) && seen[i].Kind == kind && seen[i].After < id && !slices.Contains(seen[i].Missed, int(id)):
		return seen[i].At
	}
	return time.Time{}
}

// ReadTargets reads the nodes of a batch with what a look at them needs.
func (s *Store) ReadTargets(ctx context.Context, after, upto int64) ([]Node, Unreadable, error) {
	list, bad, err := readable[Node](ctx, s, "nodes",
		nodeSQL+`where not gone and node_id > $1 and node_id <= $2 order by node_id`, after, upto)
	list, err = nodesOf(list, err)
	return list, bad, err
}

// ReadPCUs reads the PCUs of a batch.
func (s *Store) ReadPCUs(ctx context.Context, after, upto int64) ([]PCU, Unreadable, error) {
	list, bad, err := readable[PCU](ctx, s, "pcus",
		pcuSQL+`where not gone and pcu_id > $1 and pcu_id <= $2 order by pcu_id`, after, upto)
	list, err = pcusOf(list, err)
	return list, bad, err
}
