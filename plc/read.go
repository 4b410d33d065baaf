package plc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ownOnly is the filter for what is not a peer's. PLC takes nil for this column of nodes, sites, slices and persons.
func ownOnly() map[string]any { return map[string]any{"peer_id": nil} }

// ours leaves out peers' rows, should PLC have sent any.
func ours(rows []row) []row {
	return slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return r["peer_id"] != nil })
}

// callsPerSnapshot bounds a snapshot whose caller set no deadline, in time-outs of one call.
const callsPerSnapshot = 10

// Snapshot reads what Monitor needs of our own, each kind by its field list, within the deadline of the context. A row
// that PLC cannot send is named in Unreadable and does not stop the others. Without the role admin, before or after, it
// is ErrNotAdmin.
func (c *Client) Snapshot(ctx context.Context) (Snapshot, error) {
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callsPerSnapshot*c.timeout)
		defer cancel()
	}
	r := reader{Client: c, ctx: ctx, Snapshot: Snapshot{Taken: time.Now(), Unsent: map[string][]int{}}}
	steps := []func() error{
		r.mayRead, r.sites, r.nodes, r.pcus, r.persons, r.slices, r.interfaces, r.groups, r.exemptions, r.mayRead,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return Snapshot{}, err
		}
	}
	return r.Snapshot, nil
}

// reader fills a snapshot, kind by kind.
type reader struct {
	*Client
	ctx context.Context
	Snapshot
}

func (s *reader) mayRead() error { return s.mustBeAdmin(s.ctx) }

// all reads the rows of a kind; those that PLC cannot send are noted.
func (s *reader) all(kind, method, id string, filter map[string]any, fields []string, add func(row)) error {
	rows, bad, err := s.bulk(s.ctx, method, id, filter, fields)
	if err != nil {
		return err
	}
	for _, n := range bad {
		s.Unsent[kind] = append(s.Unsent[kind], n)
		s.Unreadable = append(s.Unreadable, fmt.Sprintf("%s %d", kind, n))
	}
	for _, r := range ours(rows) {
		add(r)
	}
	return nil
}

func (s *reader) sites() error {
	fields := []string{
		"site_id", "login_base", "name", "enabled", "max_slices", "date_created", "ext_consortium_id", "peer_id",
		"latitude", "longitude",
	}
	return s.all("sites", "GetSites", "site_id", ownOnly(), fields, func(r row) {
		s.Sites = append(s.Sites, Site{
			SiteID:      r.int("site_id"),
			LoginBase:   r.str("login_base"),
			Name:        r.str("name"),
			Enabled:     r.bool("enabled"),
			MaxSlices:   r.int("max_slices"),
			DateCreated: r.time("date_created"),
			Pending:     !r.bool("enabled") && r["ext_consortium_id"] == 0,
			Place:       r.place(),
		})
	})
}

func (s *reader) nodes() error {
	return s.withNodeFields(s.ctx, func(fields []string) error {
		return s.all("nodes", "GetNodes", "node_id", ownOnly(), fields, func(r row) {
			s.Nodes = append(s.Nodes, nodeOf(r))
		})
	})
}

func (s *reader) pcus() error {
	fields := []string{"pcu_id", "site_id", "hostname", "ip", "username", "password", "model", "node_ids", "ports"}
	return s.all("pcus", "GetPCUs", "pcu_id", map[string]any{}, fields, func(r row) {
		s.PCUs = append(s.PCUs, PCU{
			PCUID:    r.int("pcu_id"),
			SiteID:   r.int("site_id"),
			Hostname: r.str("hostname"),
			IP:       r.str("ip"),
			Username: r.str("username"),
			Password: Secret(r.str("password")),
			Model:    r.str("model"),
			NodeIDs:  r.ints("node_ids"),
			Ports:    r.ints("ports"),
		})
	})
}

// persons reads people whose account is enabled: nobody else is written to.
func (s *reader) persons() error {
	filter := ownOnly()
	filter["enabled"] = true
	fields := []string{"person_id", "email", "roles", "site_ids", "enabled", "peer_id"}
	return s.all("persons", "GetPersons", "person_id", filter, fields, func(r row) {
		if r.bool("enabled") {
			s.Persons = append(s.Persons, Person{
				PersonID: r.int("person_id"),
				Email:    r.str("email"),
				Roles:    r.strs("roles"),
				SiteIDs:  r.ints("site_ids"),
			})
		}
	})
}

func (s *reader) slices() error {
	fields := []string{"slice_id", "name", "site_id", "peer_id"}
	return s.all("slices", "GetSlices", "slice_id", ownOnly(), fields, func(r row) {
		s.Slices = append(s.Slices, Slice{SliceID: r.int("slice_id"), Name: r.str("name"), SiteID: r.int("site_id")})
	})
}

func (s *reader) interfaces() error {
	fields := []string{"interface_id", "node_id", "ip", "is_primary"}
	return s.all("interfaces", "GetInterfaces", "interface_id", map[string]any{}, fields, func(r row) {
		s.Interfaces = append(s.Interfaces, Interface{r.int("node_id"), r.str("ip"), r.bool("is_primary")})
	})
}

// groups reads which groups of nodes there are. Nothing that Monitor does hangs on them, so one that PLC keeps from us, or
// does not know, costs only itself.
func (s *reader) groups() error {
	fields := []string{"nodegroup_id", "groupname", "node_ids"}
	rows, bad, err := s.bulk(s.ctx, "GetNodeGroups", "nodegroup_id", map[string]any{}, fields)
	if s.ctx.Err() != nil {
		return err
	}
	if err != nil {
		s.Unreadable = append(s.Unreadable, "groups of nodes: "+err.Error())
		return nil
	}
	for _, n := range bad {
		s.Unreadable = append(s.Unreadable, fmt.Sprintf("groups of nodes: group %d", n))
	}
	s.NodeGroups = map[int][]string{}
	for _, r := range rows {
		for _, id := range r.ints("node_ids") {
			s.NodeGroups[id] = append(s.NodeGroups[id], r.str("groupname"))
		}
	}
	return nil
}

func (s *reader) exemptions() error {
	for kind, out := range map[string]*map[int]time.Time{
		"node": &s.NodeExempt, "site": &s.SiteExempt, "person": &s.PersonExempt, "slice": &s.SliceExempt,
	} {
		until, bad, err := s.Client.exemptions(s.ctx, kind)
		if err != nil {
			return err
		}
		*out = until
		s.Unreadable = append(s.Unreadable, bad...)
	}
	return nil
}

// poisoned reports whether a call may have died over a single row: an int that does not fit makes a 500 of the whole
// answer, a control character one that is no XML.
func poisoned(err error) bool { return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrNotXMLRPC) }

// bulk reads all rows of a kind. When the whole call dies, as it does over a single poisoned row, it reads the ids
// alone and then the rows by halves.
func (c *Client) bulk(
	ctx context.Context, method, id string, filter map[string]any, fields []string,
) (rows []row, bad []int, err error) {
	v, err := c.read(ctx, method, filter, fields)
	if err == nil {
		rows, err = rowsOf(method, v, id)
		return rows, nil, err
	}
	if !poisoned(err) || ctx.Err() != nil {
		return nil, nil, err
	}
	v, idErr := c.read(ctx, method, filter, []string{id})
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
	if err == nil && len(bad) == len(ids) && len(ids) > 0 {
		return nil, nil, fmt.Errorf("plc %s: %w: no row could be read", method, ErrUnavailable)
	}
	return rows, bad, err
}

// mostPoisoned is how many rows may be unreadable before it is rather PLC that is.
const mostPoisoned = 100

func (c *Client) halves(
	ctx context.Context, method, id string, ids []int, fields []string,
) (rows []row, bad []int, err error) {
	if len(ids) == 0 {
		return nil, nil, nil
	}
	v, _, err := c.call(ctx, method, ids, fields)
	if err == nil {
		rows, err = rowsOf(method, v, id)
		return rows, nil, err
	}
	if !poisoned(err) || ctx.Err() != nil {
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
		if len(bad) > mostPoisoned {
			err := fmt.Errorf("plc %s: %w: over %d rows could not be read", method, ErrUnavailable, mostPoisoned)
			return nil, nil, err
		}
	}
	return rows, bad, nil
}

// undated is how long an exemption holds whose day cannot be read: until somebody mends it.
var undated = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// exemptions reads until when things of a kind are exempt, by id. Anybody not allowed to read them gets an error: not
// knowing who is exempt is no ground to act on everybody. For the same reason a day that cannot be read exempts for
// good, and is named in bad.
func (c *Client) exemptions(ctx context.Context, kind string) (until map[int]time.Time, bad []string, err error) {
	method, id, tag := "Get"+strings.ToUpper(kind[:1])+kind[1:]+"Tags", kind+"_id", "exempt_"+kind+"_until"
	tagID := kind + "_tag_id"
	fields := []string{tagID, id, "value"}
	if kind == "slice" {
		fields = append(fields, "node_id", "nodegroup_id")
	}
	rows, unsent, err := c.bulk(ctx, method, tagID, map[string]any{"tagname": tag}, fields)
	if err != nil {
		return nil, nil, err
	}
	for _, n := range unsent { // its value cannot be sent, but whose it is can
		v, err := c.read(ctx, method, []int{n}, []string{tagID, id})
		if err != nil {
			return nil, nil, err
		}
		more, err := rowsOf(method, v, tagID)
		if err != nil {
			return nil, nil, err
		}
		rows = append(rows, more...)
	}
	until = map[int]time.Time{}
	for _, r := range rows {
		if sliver(r) && kind == "slice" {
			continue
		}
		day, err := time.Parse("20060102", strings.TrimSpace(r.str("value")))
		if err != nil {
			why := fmt.Sprintf("tag %s of %s %d: %q is not a day as 20261231", tag, kind, r.int(id), r.str("value"))
			bad = append(bad, why)
			day = undated
		}
		ends := day.AddDate(0, 0, 1) // the day itself is still exempt
		if ends.After(undated) {     // a year of five digits is no JSON
			ends = undated
		}
		if ends.After(until[r.int(id)]) {
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

// place is where a row says it is, if it names a point on earth.
func (r row) place() *Place {
	latitude, one := degrees(r["latitude"], 90)
	longitude, other := degrees(r["longitude"], 180)
	if !one || !other {
		return nil
	}
	return &Place{latitude, longitude}
}

// degrees reads a number of degrees up to most on either side. PHP sends a whole number as an int.
func degrees(v any, most float64) (float64, bool) {
	n, is := v.(float64)
	if whole, isInt := v.(int); isInt {
		n, is = float64(whole), true
	}
	return n, is && n >= -most && n <= most
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
