package store

import (
	"context"
	"math"
	"time"

	"github.com/planetlab/monitor/selection"
)

// pastRowsSQL reads what a node was at $1: what the last change before it made of it, else what the first one after it
// found, else what it still is.
func pastRowsSQL(facts bool) string {
	given, said := `'{}'::jsonb facts`, ``
	if facts {
		given, said = `coalesce(said.facts, '{}') facts`, `left join said on said.target = hostname`
	}
	return `with opened as (
		select node, array_agg(distinct type) types from issue
		where opened <= $1 and (closed is null or closed > $1) and node <> '' group by node
	)` + pastFactsSQL + `
	select hostname as name, node_id, node.site, ip, model,
		coalesce(judged.became, rejudged.was, case when changed <= $1 then status else '' end) status,
		coalesce(judged.at, ` + epoch + `) since,
		split_part(coalesce(looked.became, relooked.was, state || ' ' || category), ' ', 1) state,
		split_part(coalesce(looked.became, relooked.was, state || ' ' || category), ' ', 2) category,
		coalesce(looked.reason, case when relooked.was is null then node.reason else '' end) why,
		coalesce(opened.types, '{}') issues, ` + given + `
	from node ` + said + ` left join opened on opened.node = hostname
		left join lateral (select became, at from history where kind = 'node' and target = hostname and at <= $1
			order by at desc, id desc limit 1) judged on true
		left join lateral (select was from history where kind = 'node' and target = hostname and at > $1
			order by at, id limit 1) rejudged on true
		left join lateral (select became, reason from history where kind = 'look' and target = hostname and at <= $1
			order by at desc, id desc limit 1) looked on true
		left join lateral (select was from history where kind = 'look' and target = hostname and at > $1
			order by at, id limit 1) relooked on true
	where not gone order by node.site, hostname`
}

// pastFactsSQL gathers facts at $1 by node, each as pastRowsSQL has it of states: what the last change before made of it,
// else what the first one after it found, else what it still is. The history has texts, of which numbers are made again.
const pastFactsSQL = `, changed as (
		select id, at, target, reason name, was, became from history where kind = 'fact'
	), before as (
		select distinct on (target, name) target, name, became value from changed where at <= $1
		order by target, name, at desc, id desc
	), after as (
		select distinct on (target, name) target, name, was value from changed where at > $1 order by target, name, at, id
	), still as (
		select hostname target, own.key name, own.value from node,
			jsonb_each_text(coalesce(detail->'inside'->'own', '{}')) own
		union all select node, name, value #>> '{}' from told where at <= $1
	), facts as (
		select * from before
		union all select * from after where (target, name) not in (select target, name from before)
		union all select * from still where (target, name) not in (select target, name from changed)
	), said as (
		select target, jsonb_object_agg(name, case
			when value ~ '^-?(0|[1-9][0-9]*)([.][0-9]+)?(e[+-]?[0-9]+)?$' then to_jsonb(value::float8)
			when value in ('true', 'false') then to_jsonb(value::boolean) else to_jsonb(value) end) facts
		from facts where value <> '' group by target
	)`

// NodeRowsAt reads what is kept of how the nodes, as the inventory has them today, were at a time. Their facts are read only
// when asked for.
func (s *Store) NodeRowsAt(ctx context.Context, at time.Time, facts bool) ([]selection.Node, Unreadable, error) {
	return readable[selection.Node](ctx, s, "nodes of then", pastRowsSQL(facts), at)
}

// IssueRowsAt reads the issues that were open at a time, the latest first, at most limit of them.
func (s *Store) IssueRowsAt(ctx context.Context, at time.Time, limit int) ([]selection.Issue, Unreadable, error) {
	return readable[selection.Issue](ctx, s, "issues of then", `select id, run_id, type, target, node, site, outcome, cause, opened,
		`+zeroed("closed", "closed")+` from issue where opened <= $1 and (closed is null or closed > $1)
		order by opened desc, id limit $2`, at, limit)
}

// HistoryRows reads what became other than it was, of one target or of all, the latest first, at most limit lines.
func (s *Store) HistoryRows(ctx context.Context, target string, limit int) ([]selection.Passage, Unreadable, error) {
	return s.HistoryRowsBefore(ctx, target, math.MaxInt64, limit)
}

// HistoryRowsBefore is HistoryRows, of the lines before one of them, by its number.
func (s *Store) HistoryRowsBefore(ctx context.Context, target string, seq int64, limit int) ([]selection.Passage, Unreadable,
	error) {
	return readable[selection.Passage](ctx, s, "history", `with few as (
			select * from history where id < $3 and ($1 = '' or target = $1 or kind = 'pcu' and target in
				(select pcu_id::text from pcu where name = $1))
			order by id desc limit $2
		)
		select few.id as seq, at, kind, coalesce(nullif(pcu.name, ''), target) target,
			coalesce(node.site, pcu.site, site.login_base, '') site, was, became, few.reason
		from few left join node on kind in ('node', 'look', 'fact', 'plc') and hostname = target
			left join site on kind in ('site', 'plc') and login_base = target
			left join pcu on kind in ('pcu', 'plc') and pcu.pcu_id::text = target
		order by few.id desc`, target, limit, seq)
}
