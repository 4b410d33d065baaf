package store

import (
	"context"
	"time"

	"github.com/planetlab/monitor/selection"
)

// pastRowsSQL reads what a node was at $1: what the last change before it made of it, else what the first one after it
// found, else what it still is.
const pastRowsSQL = `with opened as (
		select node, array_agg(distinct type) types from issue
		where opened <= $1 and (closed is null or closed > $1) and node <> '' group by node
	)
	select hostname as name, node_id, node.site, ip, model,
		coalesce(judged.became, rejudged.was, case when changed <= $1 then status else '' end) status,
		coalesce(judged.at, ` + epoch + `) since,
		split_part(coalesce(looked.became, relooked.was, state || ' ' || category), ' ', 1) state,
		split_part(coalesce(looked.became, relooked.was, state || ' ' || category), ' ', 2) category,
		coalesce(looked.reason, case when relooked.was is null then node.reason else '' end) why,
		coalesce(opened.types, '{}') issues
	from node left join opened on opened.node = hostname
		left join lateral (select became, at from history where kind = 'node' and target = hostname and at <= $1
			order by at desc, id desc limit 1) judged on true
		left join lateral (select was from history where kind = 'node' and target = hostname and at > $1
			order by at, id limit 1) rejudged on true
		left join lateral (select became, reason from history where kind = 'look' and target = hostname and at <= $1
			order by at desc, id desc limit 1) looked on true
		left join lateral (select was from history where kind = 'look' and target = hostname and at > $1
			order by at, id limit 1) relooked on true
	where not gone order by node.site, hostname`

// NodeRowsAt reads what is kept of how the nodes, as PLC has them today, were at a time.
func (s *Store) NodeRowsAt(ctx context.Context, at time.Time) ([]selection.Node, Unreadable, error) {
	return readable[selection.Node](ctx, s, "nodes of then", pastRowsSQL, at)
}
