package store

import (
	"context"

	"github.com/planetlab/monitor/lint"
)

const (
	lintNodesSQL = `select hostname as host, site, ip, no_primary, feeds, coalesce(detail->>'dns', '') dns from node
		where not gone order by hostname`
	lintPCUsSQL = `select pcu_id as pcuid, name, site, hostname, ip, model, password is not null has_password, '' dns
		from pcu where not gone order by name, pcu_id`
)

// LintFleet reads what the inventory says of the fleet, as far as rules ask. Whether a name leads to its address is what
// the last look at the node found.
func (s *Store) LintFleet(ctx context.Context) (f lint.Fleet, bad Unreadable, err error) {
	type node struct {
		Host, Site, IP string
		NoPrimary      bool
		Feeds          []Feed
		DNS            string
	}
	bad, err = eachReadable(ctx, s, "nodes", func(n node) {
		row := lint.Node{Host: n.Host, Site: n.Site, IP: n.IP, NoPrimary: n.NoPrimary, DNS: n.DNS}
		for _, feed := range n.Feeds {
			row.Feeds = append(row.Feeds, lint.Feed(feed))
		}
		f.Nodes = append(f.Nodes, row)
	}, lintNodesSQL)
	if err != nil {
		return f, bad, err
	}
	pcus, odd, err := readable[lint.PCU](ctx, s, "pcus", lintPCUsSQL)
	if err != nil {
		return f, bad, err
	}
	f.PCUs, bad = pcus, append(bad, odd...)
	f.PasswordsKnown = s.seal != nil
	for _, p := range pcus {
		f.PasswordsKnown = f.PasswordsKnown || p.HasPassword
	}
	if f.Sites, odd, err = readable[lint.Site](ctx, s, "sites",
		`select login_base as login, pending from site where not gone order by login_base`); err != nil {
		return f, bad, err
	}
	bad = append(bad, odd...)
	f.Persons, odd, err = readable[lint.Person](ctx, s, "persons", `select site, roles from person order by person_id, site`)
	return f, append(bad, odd...), err
}
