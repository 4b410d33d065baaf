package store

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/planetlab/monitor/policy"
)

// stamp is a time to the microsecond, as Postgres keeps it, in a form that compares; 0 is none.
type stamp int64

func stampOf(t *time.Time) stamp {
	if t == nil || t.IsZero() {
		return 0
	}
	return stamp(t.UnixMicro())
}

func (s stamp) value() *time.Time {
	if s == 0 {
		return nil
	}
	t := time.UnixMicro(int64(s)).UTC()
	return &t
}

// place is where a site is, in decimal degrees.
type place struct {
	known               bool
	latitude, longitude float64
}

func placeOf(latitude, longitude *float64) (p place) {
	if latitude != nil && longitude != nil {
		p = place{true, *latitude, *longitude}
	}
	return p
}

// values are its two columns, null where it is not known.
func (p place) values() (latitude, longitude *float64) {
	if !p.known {
		return nil, nil
	}
	return &p.latitude, &p.longitude
}

// Rows as PLC's snapshot fills them, without what Monitor adds. They compare with ==.
type (
	siteRow struct {
		login, name      string
		enabled, pending bool
		created, exempt  stamp
		place            place
	}
	nodeRow struct {
		host, site, ip, bootState, runLevel, model          string
		first                                               Feed
		feeds                                               string // all of them, as JSON
		groups                                              string // a line each, in order
		noPrimary                                           bool
		contact, boot, download, pcuReboot, pcuConfirmation stamp
		exempt                                              stamp
	}
	pcuRow struct {
		name, site, host, ip, user, model string
		password                          string // in the clear, for want of another way to compare; never printed
	}
	personRow struct {
		email, roles string // roles joined by commas
		exempt       stamp
	}
	personKey struct {
		id   int
		site string
	}
)

// stoodRow is a row with what the snapshots before say of it.
type stoodRow[R any] struct {
	row     R
	missing int
	gone    bool
	up      bool // a node's last look saw it up
}

// standing is what the store holds of PLC, by id.
type standing struct {
	taken   time.Time
	sites   map[int]*stoodRow[siteRow]
	nodes   map[int]*stoodRow[nodeRow]
	pcus    map[int]*stoodRow[pcuRow]
	persons map[personKey]personRow
}

// finite reads a time that Go can hold. One that it cannot reads as none, and is written anew from what PLC says.
func finite(column string) string {
	return `case when isfinite(` + column + `) then ` + column + ` end`
}

func (st *standing) hadLogin(id int, login string) bool {
	was := st.sites[id]
	return was != nil && was.row.login == login
}

func (st *standing) hadHost(id int, host string) bool {
	was := st.nodes[id]
	return was != nil && was.row.host == host
}

func (s *Store) readStanding(ctx context.Context, tx pgx.Tx) (*standing, error) {
	st := &standing{
		sites:   map[int]*stoodRow[siteRow]{},
		nodes:   map[int]*stoodRow[nodeRow]{},
		pcus:    map[int]*stoodRow[pcuRow]{},
		persons: map[personKey]personRow{},
	}
	reads := []func(context.Context, pgx.Tx, *standing) error{readTaken, readSites, readNodes, s.readPCUs, readPersons}
	for _, read := range reads {
		if err := read(ctx, tx, st); err != nil {
			return nil, err
		}
	}
	return st, nil
}

func readTaken(ctx context.Context, tx pgx.Tx, st *standing) error {
	// One that a wrong clock dated into the future must not stand in the way of all that follow.
	return tx.QueryRow(ctx, `select coalesce(max(taken), `+epoch+`) from snapshot
		where taken < now() + interval '5 minutes'`).Scan(&st.taken)
}

func readSites(ctx context.Context, tx pgx.Tx, st *standing) error {
	rows, err := tx.Query(ctx, `select site_id, login_base, name, enabled, pending, `+finite("created")+`, `+
		finite("exempt_until")+`, missing, gone, latitude, longitude from site`)
	if err != nil {
		return err
	}
	var id int
	var r stoodRow[siteRow]
	var created, exempt *time.Time
	var latitude, longitude *float64
	into := []any{
		&id, &r.row.login, &r.row.name, &r.row.enabled, &r.row.pending, &created, &exempt, &r.missing, &r.gone,
		&latitude, &longitude,
	}
	_, err = pgx.ForEachRow(rows, into, func() error {
		one := r
		one.row.created, one.row.exempt = stampOf(created), stampOf(exempt)
		one.row.place = placeOf(latitude, longitude)
		st.sites[id] = &one
		return nil
	})
	return err
}

func readNodes(ctx context.Context, tx pgx.Tx, st *standing) error {
	rows, err := tx.Query(ctx, `select node_id, hostname, site, ip, boot_state, run_level, model, feeds, `+
		finite("last_contact")+`, `+finite("last_boot")+`, `+finite("last_download")+`, `+
		finite("last_pcu_reboot")+`, `+
		finite("last_pcu_confirmation")+`, `+finite("exempt_until")+`, pcu_id, outlet, missing, gone, state, groups,
		no_primary from node`)
	if err != nil {
		return err
	}
	var id int
	var r stoodRow[nodeRow]
	var state string
	var feeds []Feed
	var groups []string
	var contact, boot, download, reboot, confirmation, exempt *time.Time
	into := []any{
		&id, &r.row.host, &r.row.site, &r.row.ip, &r.row.bootState, &r.row.runLevel, &r.row.model, &feeds, &contact,
		&boot, &download, &reboot, &confirmation, &exempt, &r.row.first.PCUID, &r.row.first.Outlet, &r.missing, &r.gone,
		&state, &groups, &r.row.noPrimary,
	}
	_, err = pgx.ForEachRow(rows, into, func() error {
		one := r
		one.row.feeds, one.row.groups = feedsText(feeds), strings.Join(groups, "\n")
		one.row.contact, one.row.boot, one.row.download = stampOf(contact), stampOf(boot), stampOf(download)
		one.row.pcuReboot, one.row.pcuConfirmation = stampOf(reboot), stampOf(confirmation)
		one.row.exempt = stampOf(exempt)
		one.up = state == policy.StateBoot
		st.nodes[id], feeds, groups = &one, nil, nil
		return nil
	})
	return err
}

// feedsText is the form in which feeds are compared and written.
func feedsText(feeds []Feed) string {
	if len(feeds) == 0 {
		return "[]"
	}
	text, _ := json.Marshal(feeds) // two ints each: it cannot fail
	return string(text)
}

// unopened stands for a password that was not sealed for this PCU with the key of today. No password is equal to it, so
// that it is sealed anew.
const unopened = "\x00"

func (s *Store) readPCUs(ctx context.Context, tx pgx.Tx, st *standing) error {
	rows, err := tx.Query(ctx, `select pcu_id, name, site, hostname, ip, username, model, password, missing, gone
		from pcu`)
	if err != nil {
		return err
	}
	var id int
	var r stoodRow[pcuRow]
	var text []byte
	into := []any{
		&id, &r.row.name, &r.row.site, &r.row.host, &r.row.ip, &r.row.user, &r.row.model, &text, &r.missing, &r.gone,
	}
	_, err = pgx.ForEachRow(rows, into, func() error {
		one := r
		plain, today, err := s.seal.open(passwordBond(id, r.row.host, r.row.ip, r.row.user, r.row.model), text)
		if one.row.password = string(plain); err != nil || !today {
			one.row.password = unopened
		}
		st.pcus[id] = &one
		return nil
	})
	return err
}

func readPersons(ctx context.Context, tx pgx.Tx, st *standing) error {
	rows, err := tx.Query(ctx, `select person_id, site, email, roles, `+finite("exempt_until")+` from person`)
	if err != nil {
		return err
	}
	var k personKey
	var r personRow
	var roles []string
	var exempt *time.Time
	_, err = pgx.ForEachRow(rows, []any{&k.id, &k.site, &r.email, &roles, &exempt}, func() error {
		one := r
		one.roles, one.exempt = strings.Join(roles, ","), stampOf(exempt)
		st.persons[k] = one
		return nil
	})
	return err
}
