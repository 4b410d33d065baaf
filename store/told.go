package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/planetlab/monitor/sources"
)

// SourceState is how a source of facts is.
type SourceState struct {
	Name    string    `json:"name"`
	Read    time.Time `json:"read,omitzero"`     // when it last answered
	Trouble string    `json:"trouble,omitempty"` // why it does not answer, or what of its answer could not be used
	Since   time.Time `json:"since"`             // since when that is so
	Facts   int       `json:"facts"`             // that are known from it
}

// Sources reads how all sources are.
func (s *Store) Sources(ctx context.Context) ([]SourceState, error) {
	return many[SourceState](ctx, s, "sources", `select name, `+zeroed("read", "read")+`, trouble, since,
		(select count(*)::int from told where told.source = source.name) facts from source order by name`)
}

// saveTold makes the facts of a source those that were read, by the names of the nodes that Monitor knows. What is as it
// was is left alone, and what changed is a line of the node's history.
const saveTold = `with given as (
		select distinct on (node, name) coalesce(h.hostname, i.hostname) node, g.name, g.value, g.at
		from unnest($2::text[], $3::text[], $4::jsonb[], $5::timestamptz[]) as g(node, name, value, at)
			left join node h on h.hostname = g.node and not h.gone
			left join (select ip, min(hostname) hostname from node where not gone and ip <> '' group by ip
				having count(*) = 1) i on i.ip = g.node
		where coalesce(h.hostname, i.hostname) is not null order by 1, 2, (h.hostname is null), 4 desc
	), lost as (
		delete from told t where source = $1
			and not exists (select from given g where (g.node, g.name) = (t.node, t.name))
		returning node, name, value
	), changed as (
		select g.*, was.value was from given g left join told was
			on (was.node, was.source, was.name) = (g.node, $1, g.name)
		where was.value is distinct from g.value
	), saved as (
		insert into told (node, source, name, value, at) select node, $1, name, value, at from changed
		on conflict (node, source, name) do update set value = excluded.value, at = excluded.at
	)
	insert into history (at, kind, target, was, became, reason)
		select at, 'fact', node, coalesce(was #>> '{}', ''), value #>> '{}', name from changed
		union all select $6, 'fact', node, value #>> '{}', '', name from lost`

// SaveReadings keeps what was read from all sources there are. What a source said that has been away for as long as
// fresh, or that is not among them any more, is forgotten.
func (s *Store) SaveReadings(ctx context.Context, list []sources.Reading, fresh time.Duration, now time.Time) error {
	names := make([]string, len(list))
	for i, r := range list {
		names[i] = r.Source
		if err := s.saveReading(ctx, r, fresh); err != nil {
			return fmt.Errorf("facts of %s: %w", r.Source, err)
		}
	}
	others, err := many[SourceState](ctx, s, "sources", `select name, `+zeroed("read", "read")+`, trouble, since, 0 facts
		from source where name <> all($1::text[])`, names)
	for _, o := range others {
		if err == nil {
			err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
				err := putTold(ctx, tx, o.Name, nil, now)
				if err == nil {
					_, err = tx.Exec(ctx, `delete from source where name = $1`, o.Name)
				}
				return err
			})
		}
	}
	return err
}

func (s *Store) saveReading(ctx context.Context, r sources.Reading, fresh time.Duration) error {
	trouble, read := r.Note, &r.At
	if r.Err != nil {
		trouble, read = r.Err.Error(), nil
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var last *time.Time
		if err := tx.QueryRow(ctx, `insert into source as s (name, read, trouble, since) values ($1, $2, $3, $4)
			on conflict (name) do update set read = coalesce($2, s.read), trouble = $3,
				since = case when (s.trouble = '') = ($3 = '') then s.since else $4 end
			returning read`, r.Source, read, trouble, r.At).Scan(&last); err != nil {
			return err
		}
		if r.Err != nil && last != nil && r.At.Sub(*last) <= fresh {
			return nil // it may be back soon
		}
		return putTold(ctx, tx, r.Source, r.Facts, r.At)
	})
}

func putTold(ctx context.Context, tx pgx.Tx, source string, facts []sources.Fact, now time.Time) error {
	var node, name, value []string
	var at []time.Time
	for _, f := range facts {
		text, err := json.Marshal(f.Value)
		if err != nil {
			return err
		}
		node, name, value, at = append(node, f.Node), append(name, f.Name), append(value, string(text)), append(at, f.At)
	}
	_, err := tx.Exec(ctx, saveTold, source, node, name, value, at, now)
	return err
}
