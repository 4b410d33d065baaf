package store

import (
	"context"
	"time"
)

// Ordered is an order that a person gave. It stands in the ledger; one that came to an issue past us, as by a client of
// Temporal, in its timeline alone.
type Ordered struct {
	At     time.Time
	By     string
	What   string
	Target string // issue or control
	Site   string
	Reason string
}

// Orders reads the latest orders, the last first.
func (s *Store) Orders(ctx context.Context, limit int) ([]Ordered, error) {
	return many[Ordered](ctx, s, "orders", `select * from (
			select at, coalesce(data->>'by', '') as by, case kind when 'order' then detail else kind || ' ' || detail end as what,
				case when issue <> '' then issue when node <> '' then node else coalesce(data->>'name', '') end as target,
				site, reason
			from action where kind in ('order', 'believe') order by at desc limit $1) fleet
		union all select * from (
			select e.at, coalesce(e.event->>'by', ''), e.event->>'order', e.id,
				coalesce(i.site, ''), coalesce(e.event->>'reason', '')
			from issue_event e left join issue i on i.id = e.id and i.run_id = e.run_id
			where e.event->>'kind' in ('order', 'too late', 'refused') and not exists (select from action a
				where a.kind = 'order' and a.issue = e.id and a.reason = coalesce(e.event->>'reason', '')
				and a.at between e.at - interval '1 minute' and e.at + interval '1 minute')
			order by e.at desc limit $1) issues
		order by at desc limit $1`, limit)
}

// Exemption is a node or a site that is exempt, by PLC's tag.
type Exemption struct {
	Kind, Name, Site string
	Until            time.Time
}

// Exempt reads what PLC's tags exempt, or did.
func (s *Store) Exempt(ctx context.Context) ([]Exemption, error) {
	return many[Exemption](ctx, s, "exemptions", `select 'node' as kind, hostname as name, site, exempt_until as until
			from node where not gone and exempt_until is not null
		union all select 'site', login_base, login_base, exempt_until from site where not gone and exempt_until is not null
		order by 1, 2`)
}

// PCUsOfSite reads a site's PCUs.
func (s *Store) PCUsOfSite(ctx context.Context, site string) ([]PCU, error) {
	return pcusOf(many[PCU](ctx, s, "pcus of "+site, pcuSQL+`where not gone and site = $1 order by name`, site))
}
