package store

import (
	"context"
	"math"
	"time"

	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/selection"
)

// zeroed is an expression that may be null, as Go's zero time.
func zeroed(expression, as string) string { return `coalesce(` + expression + `,` + epoch + `) ` + as }

// blacklistedSQL are the targets that are on the blacklist at $1.
const blacklistedSQL = `blacklisted as (select distinct kind, target from blacklist where starts <= $1
	and (until is null or until > $1))`

// nodeRowsSQL reads a node with its site, its first PCU, its open issues and its history in one go: what stands in
// other tables is gathered by node first, and joined. Named says that only the nodes of $2 are read.
func nodeRowsSQL(parts selection.NodeParts, named bool) string {
	detail, told := `'{}'::jsonb facts, '' ssh, '' dns, '' port22, '' port80, '' port806`, ``
	if parts.Details {
		told = `left join (select node, jsonb_object_agg(name, value) facts from told group by node) said
			on said.node = node.hostname`
		detail = `coalesce(said.facts, '{}') || coalesce((detail->'inside') - 'own' || coalesce(detail->'inside'->'own', '{}'),
				'{}') facts, coalesce(detail->>'dns', '') dns,
			coalesce(detail->'ports'->>'22', '') port22,
			coalesce(case when detail->'ssh'->>'ok' = 'true' then 'ok' else detail->'ssh'->>'failure' end, '') ssh,
			coalesce(detail->'ports'->>'80', '') port80, coalesce(detail->'ports'->>'806', '') port806`
	}
	of := func(column string) string {
		if named {
			return ` and ` + column + ` = any($2)`
		}
		return ``
	}
	past, counted, counts := ``, `0 changes30d, 0 issues30d, 0 power_cycles, `+zeroed("null::timestamptz", "last_cycle"), ``
	if parts.Past {
		past = `, lately as (
			select node, count(*) n from issue where opened > $1::timestamptz - '30 days'::interval
				and node <> ''` + of("node") + ` group by node
		), changes as (
			select target, count(*) n from history where kind = 'node'
				and at > $1::timestamptz - '30 days'::interval` + of("target") + ` group by target
		), cycles as (
			select node, count(*) filter (where committed > $1::timestamptz - '7 days'::interval) n,
				max(committed) last from action
			where kind in ('reboot', 'reinstall') and committed is not null and outcome not in ('failed', 'refused', 'skipped')` + of("node") + ` group by node
		)`
		counted = `coalesce(changes.n, 0) changes30d, coalesce(lately.n, 0) issues30d,
			coalesce(cycles.n, 0) power_cycles, ` + zeroed("cycles.last", "last_cycle")
		counts = `left join lately on lately.node = node.hostname
			left join changes on changes.target = node.hostname
			left join cycles on cycles.node = node.hostname`
	}
	return `with ` + blacklistedSQL + `, opened as (
			select node, array_agg(distinct type) types,
				coalesce(array_agg(distinct type) filter (where status = 'paused'), '{}') paused,
				min(opened) since, min(next_at) next
			from issue where status <> 'closed' and node <> ''` + of("node") + ` group by node
		)` + past + `, fed as (select pcu_id, name, model, ip, status, ok, reason, ` + seenAt("pcu", "pcu_id") + ` seen from pcu)
		select node.hostname as name, node.node_id, node.ip, node.model, boot_state, run_level, node.groups,
			node.site, coalesce(site.name, '') site_name, coalesce(site.status, '') site_status,
				` + zeroed("site.changed", "site_since") + `,
			coalesce(site.penalty_level, 0) site_penalty, coalesce(site.enabled, false) site_enabled,
				coalesce(site.pending, false) site_pending,
			` + zeroed("site.exempt_until", "site_exempt_until") + `,
			coalesce(fed.name, '') pcu, coalesce(fed.model, '') pcu_model, coalesce(fed.ip, '') pcu_ip,
				coalesce(fed.status, '') pcu_status,
			coalesce(fed.reason, '') pcu_why, coalesce(fed.ok, false) pcu_ok, ` + zeroed("fed.seen", "pcu_seen") + `,
				outlet,
			jsonb_array_length(feeds) feeds, node.status, ` + zeroed("node.changed", "since") + `, state, category,
				node.reason why, firewall,
			` + zeroed("booted", "booted") + `, ` + zeroed("looked.at", "seen") + `,
				` + zeroed("first_silent", "silent") + `,
			` + zeroed("bad_since", "bad_since") + `, ` + zeroed("last_contact", "last_contact") + `,
				` + zeroed("last_boot", "last_boot") + `,
			` + zeroed("node.exempt_until", "exempt_until") + `, (onnode.target is not null
				or onsite.target is not null) blacklisted,
			case when jsonb_typeof(symptoms) = 'object' then array(select jsonb_object_keys(symptoms)) else '{}' end
				|| case when ruled.node is null then '{}' else '{` + policy.SymptomNodeFact + `}'::text[] end symptoms, ` + detail + `,
			coalesce(opened.types, '{}') issues, coalesce(opened.paused, '{}') paused,
				` + zeroed("opened.since", "issue_since") + `,
			` + zeroed("opened.next", "next_step") + `, ` + counted + `
		from node cross join lateral (select ` + seenAt("node", "node_id") + ` as at) looked
			left join site on site.login_base = node.site
			left join fed on fed.pcu_id = node.pcu_id and node.pcu_id <> 0
			left join opened on opened.node = node.hostname
			` + counts + `
			left join ruled on ruled.node = node.hostname and not ruled.stale
			left join blacklisted onnode on onnode.kind = 'node' and onnode.target = node.hostname
			left join blacklisted onsite on onsite.kind = 'site' and onsite.target = node.site ` + told + `
		where not node.gone` + of("node.hostname") + ` order by node.site, node.hostname`
}

// NodeRows reads all nodes that are not gone for a selection, by site and name, with the parts that are asked for.
func (s *Store) NodeRows(ctx context.Context, now time.Time, parts selection.NodeParts) ([]selection.Node, Unreadable, error) {
	return s.nodeRows(ctx, nodeRowsSQL(parts, false), now)
}

// NodeRowsOf reads those of these nodes that are not gone, with the parts that are asked for.
func (s *Store) NodeRowsOf(ctx context.Context, now time.Time, parts selection.NodeParts, names []string) ([]selection.Node,
	Unreadable, error) {
	return s.nodeRows(ctx, nodeRowsSQL(parts, true), now, names)
}

func (s *Store) nodeRows(ctx context.Context, sql string, args ...any) ([]selection.Node, Unreadable, error) {
	list, bad, err := readable[selection.Node](ctx, s, "nodes", sql, args...)
	for i := range list {
		list[i].BootState = policy.CleanBootState(list[i].BootState)
	}
	return list, bad, err
}

// NodeNames reads which nodes there are that are not gone, by the bytes of site and name, and at most limit of them after
// one: of each row the name and the site alone.
func (s *Store) NodeNames(ctx context.Context, site, name string, limit int) ([]selection.Node, Unreadable, error) {
	return readable[selection.Node](ctx, s, "nodes", `select hostname as name, site from node
		where not gone and (site collate "C", hostname collate "C") > ($1, $2)
		order by site collate "C", hostname collate "C" limit $3`, site, name, limit)
}

var (
	siteRowsSQL = `with ` + blacklistedSQL + `, has as (
			select site, count(*) nodes, count(*) filter (where status in ('online', 'good')) up from node
				where not gone group by site
		), owns as (select site, count(*) pcus from pcu where not gone group by site
		), opened as (select site, array_agg(distinct type) types from issue where status <> 'closed'
			and site <> '' group by site)
		select login_base, site_id, name, status, ` + zeroed("changed", "changed") + `, penalty_level,
			` + zeroed("last_raise", "last_raise") + `,
			enabled, pending, blacklisted.target is not null blacklisted, ` + zeroed("created", "created") + `,
				` + zeroed("exempt_until", "exempt_until") + `,
			coalesce(has.nodes, 0) nodes, coalesce(has.up, 0) nodes_up, coalesce(owns.pcus, 0) pcus,
				coalesce(opened.types, '{}') issues
		from site left join has on has.site = login_base left join owns on owns.site = login_base
			left join opened on opened.site = login_base
			left join blacklisted on kind = 'site' and target = login_base
		where not gone order by login_base`
	pcuRowsSQL = `with feeds as (select pcu_id, array_agg(hostname order by hostname) nodes from node where not gone
		and pcu_id <> 0 group by pcu_id
		), opened as (select pcu, array_agg(distinct type) types from issue where status <> 'closed' and node = ''
			and pcu <> 0 group by pcu)
		select name, site, hostname, ip, model, pcu.pcu_id as pcuid, status, ` + zeroed(
		"changed",
		"changed",
	) + `, ok, reason,
			coalesce(` + seenAt(
		"pcu",
		"pcu_id",
	) + `,` + epoch + `) seen_at, ` + zeroed(
		"bad_since",
		"bad_since",
	) + `,
			coalesce(feeds.nodes, '{}') nodes, coalesce(opened.types, '{}') issues
		from pcu left join feeds on feeds.pcu_id = pcu.pcu_id left join opened on opened.pcu = pcu.pcu_id
		where not gone order by site, name, pcu.pcu_id`
	issueRowsSQL = `select id, run_id, type, target, node, site, status, rung, next, outcome, cause, level, opened,
		` + zeroed(
		"closed",
		"closed",
	) + `,
		` + zeroed(
		"next_at",
		"next_at",
	) + ` from issue where $1 or status <> 'closed' order by (status = 'closed'), opened desc limit $2`
	ledgerRowsSQL = `select id as seq, key, kind, issue, node, site, reason, outcome, detail, pcu, times, at, ` + zeroed(
		"committed",
		"committed",
	) + `,
		` + zeroed(
		"finished",
		"finished",
	) + ` from action where id < $1 order by id desc limit $2`
)

// SiteRows reads all sites that are not gone for a selection.
func (s *Store) SiteRows(ctx context.Context, now time.Time) ([]selection.Site, Unreadable, error) {
	return readable[selection.Site](ctx, s, "sites", siteRowsSQL, now)
}

// PCURows reads all PCUs that are not gone for a selection.
func (s *Store) PCURows(ctx context.Context) ([]selection.PCU, Unreadable, error) {
	return readable[selection.PCU](ctx, s, "pcus", pcuRowsSQL)
}

// IssueRows reads issues for a selection, the open ones and the latest first, at most limit of them.
func (s *Store) IssueRows(ctx context.Context, closed bool, limit int) ([]selection.Issue, Unreadable, error) {
	return readable[selection.Issue](ctx, s, "issues", issueRowsSQL, closed, limit)
}

// LedgerRows reads the latest lines of the ledger for a selection, at most limit of them.
func (s *Store) LedgerRows(ctx context.Context, limit int) ([]selection.Action, Unreadable, error) {
	return s.LedgerRowsBefore(ctx, math.MaxInt64, limit)
}

// LedgerRowsBefore reads the lines of the ledger before one of them, by its number, the latest first and at most limit
// of them.
func (s *Store) LedgerRowsBefore(ctx context.Context, seq int64, limit int) ([]selection.Action, Unreadable, error) {
	return readable[selection.Action](ctx, s, "ledger", ledgerRowsSQL, seq, limit)
}
