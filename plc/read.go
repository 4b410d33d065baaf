package plc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/policy"
)

// Snapshot reads what Monitor needs, each kind by its field list. A row that PLC cannot send is named in Unreadable and
// does not stop the others.
func (c *Client) Snapshot(ctx context.Context) (Snapshot, error) {
	s := Snapshot{Taken: time.Now()}
	var failed error // the first failure ends the snapshot; what follows is not asked
	read := func(kind, method, id string, fields []string, add func(row)) error {
		if failed != nil {
			return nil
		}
		rows, bad, err := c.bulk(ctx, method, id, fields)
		if err != nil {
			failed = err
			return err
		}
		for _, n := range bad {
			s.Unreadable = append(s.Unreadable, fmt.Sprintf("%s %d", kind, n))
		}
		for _, r := range rows {
			add(r)
		}
		return nil
	}
	exempt := func(kind string, out *map[int]time.Time) error {
		if failed != nil {
			return nil
		}
		var bad []string
		*out, bad, failed = c.exemptions(ctx, kind)
		s.Unreadable = append(s.Unreadable, bad...)
		return failed
	}
	err := errors.Join(
		read("sites", "GetSites", "site_id", []string{"site_id", "login_base", "name", "enabled", "max_slices", "date_created", "ext_consortium_id"}, func(r row) {
			s.Sites = append(s.Sites, Site{SiteID: r.int("site_id"), LoginBase: r.str("login_base"), Name: r.str("name"), Enabled: r.bool("enabled"),
				MaxSlices: r.int("max_slices"), DateCreated: r.time("date_created"), Pending: r["ext_consortium_id"] == 0})
		}),
		read("nodes", "GetNodes", "node_id", []string{"node_id", "hostname", "site_id", "boot_state", "run_level", "model", "last_contact", "pcu_ids", "ports"}, func(r row) {
			s.Nodes = append(s.Nodes, nodeOf(r))
		}),
		read("pcus", "GetPCUs", "pcu_id", []string{"pcu_id", "site_id", "hostname", "ip", "username", "password", "model", "node_ids", "ports"}, func(r row) {
			s.PCUs = append(s.PCUs, PCU{PCUID: r.int("pcu_id"), SiteID: r.int("site_id"), Hostname: r.str("hostname"), IP: r.str("ip"), Username: r.str("username"),
				Password: Secret(r.str("password")), Model: r.str("model"), NodeIDs: r.ints("node_ids"), Ports: r.ints("ports")})
		}),
		read("persons", "GetPersons", "person_id", []string{"person_id", "email", "roles", "site_ids"}, func(r row) {
			s.Persons = append(s.Persons, Person{PersonID: r.int("person_id"), Email: r.str("email"), Roles: r.strs("roles"), SiteIDs: r.ints("site_ids")})
		}),
		read("slices", "GetSlices", "slice_id", []string{"slice_id", "name", "site_id"}, func(r row) {
			s.Slices = append(s.Slices, Slice{SliceID: r.int("slice_id"), Name: r.str("name"), SiteID: r.int("site_id")})
		}),
		read("interfaces", "GetInterfaces", "interface_id", []string{"interface_id", "node_id", "ip", "is_primary"}, func(r row) {
			s.Interfaces = append(s.Interfaces, Interface{NodeID: r.int("node_id"), IP: r.str("ip"), Primary: r.bool("is_primary")})
		}),
		exempt("node", &s.NodeExempt),
		exempt("site", &s.SiteExempt),
		exempt("person", &s.PersonExempt),
		exempt("slice", &s.SliceExempt),
	)
	return s, err
}

func nodeOf(r row) Node {
	return Node{NodeID: r.int("node_id"), Hostname: r.str("hostname"), SiteID: r.int("site_id"), BootState: policy.CleanBootState(r.str("boot_state")),
		RunLevel: r.str("run_level"), Model: r.str("model"), LastContact: r.time("last_contact"), PCUIDs: r.ints("pcu_ids"), Ports: r.ints("ports"),
		SSHKey: r.str("ssh_rsa_key")}
}

// bulk reads all rows of a kind. When the whole call dies, as it does over a single poisoned row, it reads the ids alone
// and then the rows by halves.
func (c *Client) bulk(ctx context.Context, method, id string, fields []string) (rows []row, bad []int, err error) {
	v, err := c.read(ctx, method, map[string]any{}, fields)
	if err == nil {
		rows, err = rowsOf(method, v, id)
		return rows, nil, err
	}
	if !errors.Is(err, ErrUnavailable) {
		return nil, nil, err
	}
	v, idErr := c.read(ctx, method, map[string]any{}, []string{id})
	if idErr != nil {
		return nil, nil, err
	}
	list, err := rowsOf(method, v, id)
	if err != nil {
		return nil, nil, err
	}
	ids := make([]int, len(list))
	for i, r := range list {
		ids[i] = r.int(id)
	}
	slices.Sort(ids)
	rows, bad, err = c.halves(ctx, method, id, ids, fields)
	if len(bad) == len(ids) && len(ids) > 0 {
		return nil, nil, fmt.Errorf("plc %s: %w: no row could be read", method, ErrUnavailable)
	}
	return rows, bad, err
}

func (c *Client) halves(ctx context.Context, method, id string, ids []int, fields []string) (rows []row, bad []int, err error) {
	if len(ids) == 0 {
		return nil, nil, nil
	}
	v, err := c.call(ctx, method, ids, fields)
	if err == nil {
		rows, err = rowsOf(method, v, id)
		return rows, nil, err
	}
	if !errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
		return nil, nil, err
	}
	if len(ids) == 1 {
		return nil, ids, nil
	}
	half := len(ids) / 2
	for _, part := range [][]int{ids[:half], ids[half:]} {
		r, b, err := c.halves(ctx, method, id, part, fields)
		if err != nil {
			return nil, nil, err
		}
		rows, bad = append(rows, r...), append(bad, b...)
	}
	return rows, bad, nil
}

// undated is how long an exemption holds whose day cannot be read: until somebody mends it.
var undated = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// exemptions reads until when things of a kind are exempt, by id. Anybody not allowed to read them gets an error: not knowing who is
// exempt is no ground to act on everybody. For the same reason a day that cannot be read exempts for good, and is named in bad.
func (c *Client) exemptions(ctx context.Context, kind string) (until map[int]time.Time, bad []string, err error) {
	method, id, tag := "Get"+strings.ToUpper(kind[:1])+kind[1:]+"Tags", kind+"_id", "exempt_"+kind+"_until"
	v, err := c.read(ctx, method, map[string]any{"tagname": tag}, []string{id, "value"})
	if err != nil {
		return nil, nil, err
	}
	rows, err := rowsOf(method, v, id)
	if err != nil {
		return nil, nil, err
	}
	until = map[int]time.Time{}
	for _, r := range rows {
		day, err := time.Parse("20060102", strings.TrimSpace(r.str("value")))
		if err != nil {
			bad = append(bad, fmt.Sprintf("tag %s of %s %d: %q is not a day as 20261231", tag, kind, r.int(id), r.str("value")))
			day = undated
		}
		if ends := day.AddDate(0, 0, 1); ends.After(until[r.int(id)]) { // the day itself is still exempt
			until[r.int(id)] = ends
		}
	}
	return until, bad, nil
}

// row is one struct of an answer; a field that is absent or nil reads as the zero value.
type row map[string]any

func (r row) int(k string) int    { v, _ := r[k].(int); return v }
func (r row) str(k string) string { v, _ := r[k].(string); return v }
func (r row) bool(k string) bool  { v, _ := r[k].(bool); return v }
func (r row) time(k string) time.Time {
	if s := r.int(k); s != 0 {
		return time.Unix(int64(s), 0)
	}
	return time.Time{}
}
func (r row) ints(k string) []int    { return listOf[int](r[k]) }
func (r row) strs(k string) []string { return listOf[string](r[k]) }

func listOf[T any](v any) []T {
	list, _ := v.([]any)
	out := make([]T, 0, len(list))
	for _, e := range list {
		if t, ok := e.(T); ok {
			out = append(out, t)
		}
	}
	return out
}

// rowsOf checks that an answer is a list of structs with the id field, and sorts it, since PLC's order is not stable.
func rowsOf(method string, v any, id string) ([]row, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("plc %s: answered a %T where a list was due", method, v)
	}
	rows := make([]row, len(list))
	for i, e := range list {
		m, ok := e.(map[string]any)
		if _, has := m[id]; !ok || !has {
			return nil, fmt.Errorf("plc %s: row %d has no %s", method, i, id)
		}
		rows[i] = m
	}
	slices.SortStableFunc(rows, func(a, b row) int { return a.int(id) - b.int(id) })
	return rows, nil
}
