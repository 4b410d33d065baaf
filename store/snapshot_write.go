package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// change is what is written for one row, as a whole or not at all.
type change struct {
	what       string // as "nodes 12"
	statements []statement
}

type statement struct {
	sql  string
	args []any
}

func (c *change) add(sql string, args ...any) {
	c.statements = append(c.statements, statement{sql, args})
}

// changes compares what PLC says with what stands.
func (in *intake) changes(s *Store, stood *standing, believe bool) []change {
	in.followRenames(stood)
	list := slices.Concat(in.parkSites(stood), in.parkNodes(stood), in.parkPCUs(stood))
	for _, id := range slices.Sorted(maps.Keys(in.sites)) {
		list = append(list, in.changeSite(id, stood.sites[id])...)
	}
	for _, id := range slices.Sorted(maps.Keys(in.nodes)) {
		list = append(list, in.changeNode(id, stood.nodes[id])...)
	}
	for _, id := range slices.Sorted(maps.Keys(in.pcus)) {
		list = append(list, in.changePCU(s, id, stood.pcus[id])...)
	}
	limit := goneAfter
	if believe {
		limit = 1
	}
	site := func(_ int, r siteRow) string { return r.login }
	node := func(_ int, r nodeRow) string { return r.host }
	pcu := func(id int, _ pcuRow) string { return strconv.Itoa(id) }
	return slices.Concat(list, in.changePersons(stood),
		lacking(in, "sites", "site", "site_id", limit, stood.sites, in.sites, site),
		lacking(in, "nodes", "node", "node_id", limit, stood.nodes, in.nodes, node),
		lacking(in, "pcus", "pcu", "pcu_id", limit, stood.pcus, in.pcus, pcu))
}

// told writes into the history what PLC changed.
func (in *intake) told(c *change, target, was, became, reason string) {
	c.add(`insert into history (at, kind, target, was, became, reason) values ($1, 'plc', $2, $3, $4, $5)`,
		in.taken, target, was, became, reason)
}

func (in *intake) changeSite(id int, was *stoodRow[siteRow]) []change {
	r, c := in.sites[id], change{what: fmt.Sprintf("sites %d", id)}
	if was != nil {
		if was.row == r && was.missing == 0 && !was.gone {
			return nil
		}
		if was.row.login != r.login {
			c.rename("site", was.row.login, r.login)
			in.told(&c, r.login, parked(was.row.login), r.login, in.from+" renamed the site")
		}
		if was.gone {
			in.told(&c, r.login, "gone", "", in.from+" has the site again")
		}
	}
	latitude, longitude := r.place.values()
	c.add(`insert into site (site_id, login_base, name, enabled, created, pending, exempt_until, latitude, longitude)
		values ($1,$2,$3,$4,$5,$6,$7,$8,$9)
		on conflict (site_id) do update set login_base=$2, name=$3, enabled=$4, created=$5, pending=$6, exempt_until=$7,
		latitude=$8, longitude=$9, gone=false, missing=0`,
		id, r.login, r.name, r.enabled, r.created.value(), r.pending, r.exempt.value(), latitude, longitude)
	return []change{c}
}

func (in *intake) changeNode(id int, was *stoodRow[nodeRow]) []change {
	r, c := in.nodes[id], change{what: fmt.Sprintf("nodes %d", id)}
	if was != nil {
		if was.missing == 0 && !was.gone && sameNode(was, r) {
			return nil
		}
		if was.row.host != r.host {
			c.rename("node", was.row.host, r.host)
			in.told(&c, r.host, parked(was.row.host), r.host, in.from+" renamed the node")
		}
		if was.row.site != r.site {
			in.told(&c, r.host, was.row.site, r.site, in.from+" has the node at another site")
		}
		if was.gone {
			in.told(&c, r.host, "gone", "", in.from+" has the node again")
		}
	}
	c.add(`insert into node (node_id, hostname, site, ip, boot_state, model, last_contact, pcu_id, outlet, exempt_until,
		run_level, last_boot, last_download, last_pcu_reboot, last_pcu_confirmation, feeds, groups, no_primary)
		values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,
			case when $17 = '' then '{}' else string_to_array($17, E'\n') end,$18)
		on conflict (node_id) do update set hostname=$2, site=$3, ip=$4, boot_state=$5, model=$6, last_contact=$7,
		pcu_id=$8, outlet=$9, exempt_until=$10, run_level=$11, last_boot=$12, last_download=$13, last_pcu_reboot=$14,
		last_pcu_confirmation=$15, feeds=$16, groups=excluded.groups, no_primary=$18, gone=false, missing=0`,
		id, r.host, r.site, r.ip, r.bootState, r.model, r.contact.value(),
		r.first.PCUID, r.first.Outlet, r.exempt.value(), r.runLevel, r.boot.value(), r.download.value(),
		r.pcuReboot.value(), r.pcuConfirmation.value(), r.feeds, r.groups, r.noPrimary)
	return []change{c}
}

// sameNode reports whether there is nothing to write of a node. The heartbeat of one that is up may grow old here.
func sameNode(was *stoodRow[nodeRow], r nodeRow) bool {
	known := was.row.contact != 0 && r.contact != 0
	if was.up && known && r.contact-was.row.contact < stamp(contactSlack.Microseconds()) {
		r.contact = was.row.contact
	}
	return was.row == r
}

func (in *intake) changePCU(s *Store, id int, was *stoodRow[pcuRow]) []change {
	r, c := in.pcus[id], change{what: fmt.Sprintf("pcus %d", id)}
	if was != nil {
		kept := r
		if s.seal == nil {
			kept.password = "" // what cannot be sealed is not kept
		}
		if was.row == kept && was.missing == 0 && !was.gone {
			return nil
		}
		if was.row.name != r.name {
			c.rename("pcu", was.row.name, r.name)
		}
		if was.gone {
			in.told(&c, strconv.Itoa(id), "gone", "", in.from+" has the PCU again")
		}
	}
	c.add(`insert into pcu (pcu_id, name, site, hostname, ip, username, password, model)
		values ($1,$2,$3,$4,$5,$6,$7,$8)
		on conflict (pcu_id) do update set name=$2, site=$3, hostname=$4, ip=$5, username=$6, password=$7, model=$8,
		gone=false, missing=0`,
		id, r.name, r.site, r.host, r.ip, r.user,
		s.seal.seal(passwordBond(id, r.host, r.ip, r.user, r.model), []byte(r.password)), r.model)
	return []change{c}
}

// changePersons writes who came, changed or left. Nobody is kept who has left, since people are written to.
func (in *intake) changePersons(stood *standing) (list []change) {
	for k, r := range in.persons {
		if was, there := stood.persons[k]; !there || was != r {
			c := change{what: fmt.Sprintf("persons %d", k.id)}
			c.add(`insert into person (person_id, site, email, roles, exempt_until) values ($1,$2,$3,$4,$5)
				on conflict (person_id, site) do update set email=$3, roles=$4, exempt_until=$5`,
				k.id, k.site, r.email, rolesOf(r.roles), r.exempt.value())
			list = append(list, c)
		}
	}
	for k := range stood.persons {
		if _, stays := in.persons[k]; !stays && !in.kept["persons"][k.id] {
			c := change{what: fmt.Sprintf("persons %d", k.id)}
			c.add(`delete from person where person_id = $1 and site = $2`, k.id, k.site)
			list = append(list, c)
		}
	}
	return list
}

func rolesOf(joined string) []string {
	if joined == "" {
		return []string{}
	}
	return strings.Split(joined, ",")
}

// lacking counts the snapshots in a row that lack a row; with limit of them it is gone.
func lacking[R any](
	in *intake, kind, table, column string, limit int,
	stood map[int]*stoodRow[R], have map[int]R, target func(int, R) string,
) []change {
	var ids []int
	c := change{what: kind + " that " + in.from + " lacks"}
	for _, id := range slices.Sorted(maps.Keys(stood)) {
		was := stood[id]
		if _, has := have[id]; has || was.gone || in.kept[kind][id] {
			continue
		}
		ids = append(ids, id)
		if was.missing+1 >= limit {
			in.told(&c, target(id, was.row), "", "gone", in.from+" no longer has it")
		}
	}
	if len(ids) == 0 {
		return nil
	}
	c.add(`update `+table+` set missing = missing + 1, gone = missing + 1 >= $2 where `+column+` = any($1)`, ids, limit)
	return []change{c}
}

// runChanges writes all changes at once. When Postgres refuses one for what it holds, each is tried alone, and the one
// is named.
func runChanges(ctx context.Context, tx pgx.Tx, list []change) (rows int, odd []string, err error) {
	rows, err = runAll(ctx, tx, list)
	if err == nil || !refusedData(err) {
		return rows, nil, err
	}
	rows = 0
	for _, c := range list {
		n, err := runAll(ctx, tx, []change{c})
		switch {
		case err == nil:
			rows += n
		case refusedData(err):
			odd = append(odd, fmt.Sprintf("%s: %v", c.what, err))
		default:
			return 0, nil, err
		}
	}
	return rows, odd, nil
}

// runAll writes changes in a transaction within the transaction.
func runAll(ctx context.Context, tx pgx.Tx, list []change) (rows int, err error) {
	b := &pgx.Batch{}
	for _, c := range list {
		for _, st := range c.statements {
			b.Queue(st.sql, st.args...)
		}
	}
	if b.Len() == 0 {
		return 0, nil
	}
	err = pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
		results := tx.SendBatch(ctx, b)
		for range b.Len() {
			tag, err := results.Exec()
			if err != nil {
				return errors.Join(err, results.Close())
			}
			rows += int(tag.RowsAffected())
		}
		return results.Close()
	})
	return rows, err
}

// refusedData reports whether Postgres refused values: data exceptions (class 22), violated constraints (23), or limits
// of size (54).
func refusedData(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && slices.Contains([]string{"22", "23", "54"}, pg.Code[:2])
}
