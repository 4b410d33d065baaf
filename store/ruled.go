package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/planetlab/monitor/policy"
)

// Ruled is a node of which rules of the configuration hold, or held when that was last known.
type Ruled struct {
	Node   string
	Since  time.Time
	Reason string
	Stale  bool                      // it is not known any more whether any of them holds
	Rules  map[string]policy.Symptom // by the name of the rule: each for itself
}

// ruledSQL is that as a symptom, or null, beside a row of node.
const ruledSQL = `(select jsonb_build_object('since', r.since, 'reason', r.reason, 'stale', r.stale, 'rules', r.rules)
	from ruled r where r.node = node.hostname) ruled`

// symptom is what ruledSQL read; false: no rule holds.
func symptom(ruled json.RawMessage) (s policy.Symptom, holds bool) {
	holds = len(ruled) > 0 && json.Unmarshal(ruled, &s) == nil
	return s, holds
}

// Rules are the rules of the configuration that hold of the node, or held when that was last known, by name.
func (n Node) Rules() map[string]policy.Symptom {
	var r struct{ Rules map[string]policy.Symptom }
	if len(n.Ruled) == 0 || json.Unmarshal(n.Ruled, &r) != nil {
		return nil
	}
	return r.Rules
}

// Ruled reads all of them, by node.
func (s *Store) Ruled(ctx context.Context) (map[string]Ruled, error) {
	list, err := many[Ruled](ctx, s, "nodes of which rules hold", `select node, since, reason, stale, rules from ruled`)
	byNode := map[string]Ruled{}
	for _, r := range list {
		byNode[r.Node] = r
	}
	return byNode, err
}

// SaveRuled makes these the nodes of which rules hold, and no others. Since when one holds, and since when each, stays as it
// was first written; what an earlier release wrote of a node holds for all of its rules.
func (s *Store) SaveRuled(ctx context.Context, list []Ruled) error {
	node, reason, since, stale := []string{}, []string{}, []time.Time{}, []bool{} // none is not null
	rules := []json.RawMessage{}
	for _, r := range list {
		if r.Rules == nil {
			r.Rules = map[string]policy.Symptom{}
		}
		text, err := json.Marshal(r.Rules)
		if err != nil {
			return err
		}
		node, reason, since, stale = append(node, r.Node), append(reason, r.Reason), append(since, r.Since),
			append(stale, r.Stale)
		rules = append(rules, text)
	}
	_, err := s.pool.Exec(ctx, `with over as (delete from ruled where node <> all($1::text[])), now as (
			select n.node, n.since, n.reason, n.stale, coalesce((select jsonb_object_agg(rule.key,
				rule.value || jsonb_build_object('since', coalesce(was.rules->rule.key->'since',
					case when was.rules = '{}' then to_jsonb(was.since) end, rule.value->'since')))
				from jsonb_each(n.rules) rule), '{}') rules
			from unnest($1::text[], $2::timestamptz[], $3::text[], $4::boolean[], $5::jsonb[])
				as n(node, since, reason, stale, rules) left join ruled was on was.node = n.node
		)
		insert into ruled as r (node, since, reason, stale, rules) select * from now
		on conflict (node) do update set reason = excluded.reason, stale = excluded.stale, rules = excluded.rules
			where (r.reason, r.stale, r.rules) is distinct from (excluded.reason, excluded.stale, excluded.rules)`,
		node, since, reason, stale, rules)
	if err != nil {
		return fmt.Errorf("what rules make of nodes: %w", err)
	}
	return nil
}

// Said is who said a fact of a node, and when that was last so.
type Said struct {
	Node, Name, Source string
	At                 time.Time
}

// SaidOf reads who said the facts of some nodes that come of sources.
func (s *Store) SaidOf(ctx context.Context, nodes []string) ([]Said, error) {
	return many[Said](ctx, s, "who said what", `select node, told.name, source, coalesce(read, at) at
		from told join source on source.name = told.source where node = any($1)`, nodes)
}
