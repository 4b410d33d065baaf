package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/planetlab/monitor/plc"
)

// SaveSnapshot takes over what PLC says. Rows that PLC no longer has are marked gone; rows it could not send stay as they are.
// A snapshot without sites or nodes is refused: it is more likely a fault than the end of the fleet.
func (s *Store) SaveSnapshot(ctx context.Context, snap plc.Snapshot) error {
	if len(snap.Sites) == 0 || len(snap.Nodes) == 0 {
		return errors.New("the PLC snapshot has no sites or no nodes; the store keeps the last one")
	}
	unreadable := map[string]bool{}
	for _, u := range snap.Unreadable {
		unreadable[u] = true
	}
	login := map[int]string{}
	b := &pgx.Batch{}
	var sites, nodes, pcus []int
	for _, x := range snap.Sites {
		login[x.SiteID] = x.LoginBase
		sites = append(sites, x.SiteID)
		// A site that PLC renamed, or a name that another site has now, would stand in the way of the row for ever.
		b.Queue(`delete from site where site_id = $1 and login_base <> $2`, x.SiteID, x.LoginBase)
		b.Queue(`insert into site (login_base, site_id, name, enabled, created, pending, exempt_until) values ($1,$2,$3,$4,$5,$6,$7)
			on conflict (login_base) do update set site_id=$2, name=$3, enabled=$4, created=$5, pending=$6, exempt_until=$7, gone=false`,
			x.LoginBase, x.SiteID, x.Name, x.Enabled, orNull(x.DateCreated), x.Pending, orNull(snap.SiteExempt[x.SiteID]))
	}
	ips := map[int]string{}
	for _, i := range snap.Interfaces {
		if i.Primary || ips[i.NodeID] == "" {
			ips[i.NodeID] = i.IP
		}
	}
	for _, n := range snap.Nodes {
		nodes = append(nodes, n.NodeID)
		pcu, outlet := 0, 0
		if len(n.PCUIDs) > 0 && len(n.Ports) > 0 {
			pcu, outlet = n.PCUIDs[0], n.Ports[0]
		}
		b.Queue(`delete from node where hostname = $1 and node_id <> $2`, n.Hostname, n.NodeID) // a node that was deleted in PLC and made anew
		b.Queue(`insert into node (node_id, hostname, site, ip, boot_state, model, last_contact, pcu_id, outlet, exempt_until) values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10)
			on conflict (node_id) do update set hostname=$2, site=$3, ip=$4, boot_state=$5, model=$6, last_contact=$7, pcu_id=$8, outlet=$9, exempt_until=$10, gone=false`,
			n.NodeID, n.Hostname, login[n.SiteID], ips[n.NodeID], n.BootState, n.Model, orNull(n.LastContact), pcu, outlet, orNull(snap.NodeExempt[n.NodeID]))
	}
	names := pcuNames(snap.PCUs)
	for _, p := range snap.PCUs {
		pcus = append(pcus, p.PCUID)
		name := names[p.PCUID]
		b.Queue(`insert into pcu (pcu_id, name, site, hostname, ip, username, password, model) values ($1,$2,$3,$4,$5,$6,$7,$8)
			on conflict (pcu_id) do update set name=$2, site=$3, hostname=$4, ip=$5, username=$6, password=$7, model=$8, gone=false`,
			p.PCUID, name, login[p.SiteID], p.Hostname, p.IP, p.Username, s.seal.seal(p.PCUID, p.Password.Reveal()), p.Model)
	}
	// People are replaced as a whole; nobody is kept who has left.
	if len(snap.Persons) > 0 {
		b.Queue(`delete from person`)
		for _, p := range snap.Persons {
			for _, site := range p.SiteIDs {
				if login[site] != "" {
					b.Queue(`insert into person (person_id, site, email, roles, exempt_until) values ($1,$2,$3,$4,$5) on conflict do nothing`,
						p.PersonID, login[site], p.Email, p.Roles, orNull(snap.PersonExempt[p.PersonID]))
				}
			}
		}
	}
	for _, k := range []struct {
		table, id, kind string
		ids             []int
	}{{"site", "site_id", "sites", sites}, {"node", "node_id", "nodes", nodes}, {"pcu", "pcu_id", "pcus", pcus}} {
		for u := range unreadable {
			var id int
			if _, err := fmt.Sscanf(u, k.kind+" %d", &id); err == nil {
				k.ids = append(k.ids, id)
			}
		}
		b.Queue(`update `+k.table+` set gone = true where not gone and not `+k.id+` = any($1)`, k.ids)
	}
	b.Queue(`delete from snapshot`)
	b.Queue(`insert into snapshot values ($1)`, snap.Taken)
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return fmt.Errorf("save the PLC snapshot: %w", err)
		}
		return nil
	})
}

// pcuNames gives each PCU the name of its issues: its hostname, else its ip. Where several would share one, as behind one address
// with several ports, each is named by its id, or the trouble of one would be looked for at another.
func pcuNames(list []plc.PCU) map[int]string {
	names, shared := map[int]string{}, map[string]int{}
	for _, p := range list {
		names[p.PCUID] = cmp.Or(p.Hostname, p.IP)
		shared[names[p.PCUID]]++
	}
	for id, name := range names {
		if name == "" || shared[name] > 1 {
			names[id] = fmt.Sprintf("pcu-%d", id)
		}
	}
	return names
}

// SnapshotTaken says when PLC was last read; the zero time: never.
func (s *Store) SnapshotTaken(ctx context.Context) (time.Time, error) {
	var t *time.Time
	if err := s.pool.QueryRow(ctx, `select max(taken) from snapshot`).Scan(&t); err != nil || t == nil {
		return time.Time{}, err
	}
	return *t, nil
}

// Contact is somebody who may be written to.
type Contact struct {
	Email string
	Roles []string
}

// Contacts are the people of a site with one of the roles. Exempt ones come back by address alone, to be named as skipped.
func (s *Store) Contacts(ctx context.Context, site string, roles []string, now time.Time) (to []Contact, skipped []string, err error) {
	if len(roles) == 0 {
		return nil, nil, nil
	}
	rows, err := s.pool.Query(ctx, `select email, roles, coalesce(exempt_until > $3, false) from person where site = $1 and roles && $2 order by email`, site, roles, now)
	if err != nil {
		return nil, nil, fmt.Errorf("contacts of %s: %w", site, err)
	}
	var c Contact
	var exempt bool
	_, err = pgx.ForEachRow(rows, []any{&c.Email, &c.Roles, &exempt}, func() error {
		if exempt {
			skipped = append(skipped, c.Email)
		} else {
			to = append(to, Contact{c.Email, append([]string(nil), c.Roles...)})
		}
		return nil
	})
	return to, skipped, err
}
