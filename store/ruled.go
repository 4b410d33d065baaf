package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/planetlab/monitor/policy"
)

// Ruled is a node of which a rule of the configuration holds, or held when that was last known.
type Ruled struct {
	Node   string
	Since  time.Time
	Reason string
	Stale  bool // it is not known any more whether it holds
}

// ruledSQL is that as a symptom, or null, beside a row of node.
const ruledSQL = `(select jsonb_build_object('since', r.since, 'reason', r.reason, 'stale', r.stale) from ruled r
	where r.node = node.hostname) ruled`

// symptom is what ruledSQL read; false: no rule holds.
func symptom(ruled json.RawMessage) (s policy.Symptom, holds bool) {
	holds = len(ruled) > 0 && json.Unmarshal(ruled, &s) == nil
	return s, holds
}

// Ruled reads all of them, by node.
func (s *Store) Ruled(ctx context.Context) (map[string]Ruled, error) {
	list, err := many[Ruled](ctx, s, "nodes of which rules hold", `select node, since, reason, stale from ruled`)
	byNode := map[string]Ruled{}
	for _, r := range list {
		byNode[r.Node] = r
	}
	return byNode, err
}

// SaveRuled makes these the nodes of which rules hold, and no others. Since when one holds stays as it was first written.
func (s *Store) SaveRuled(ctx context.Context, list []Ruled) error {
	node, reason, since, stale := []string{}, []string{}, []time.Time{}, []bool{} // none is not null
	for _, r := range list {
		node, reason, since, stale = append(node, r.Node), append(reason, r.Reason), append(since, r.Since),
			append(stale, r.Stale)
	}
	_, err := s.pool.Exec(ctx, `with over as (delete from ruled where node <> all($1::text[]))
		insert into ruled as r (node, since, reason, stale)
		select * from unnest($1::text[], $2::timestamptz[], $3::text[], $4::boolean[])
		on conflict (node) do update set reason = excluded.reason, stale = excluded.stale
			where (r.reason, r.stale) is distinct from (excluded.reason, excluded.stale)`, node, since, reason, stale)
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
