package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// known are the rows of each kind that may have an id already, as from a time when PLC kept the fleet.
var known = map[string]string{
	"site":   `select site_id id, login_base as name from site`,
	"node":   `select node_id id, hostname as name from node`,
	"pcu":    `select pcu_id id, name from pcu`,
	"person": `select person_id id, email as name from person`,
}

// InventoryIDs gives names of a kind their ids, where no PLC does. A name keeps its id for good, also while it is away;
// a new one gets an id that nothing has had.
func (s *Store) InventoryIDs(ctx context.Context, kind string, names []string) (map[string]int, error) {
	rows, there := known[kind]
	if !there {
		return nil, fmt.Errorf("ids of the inventory: there is no kind %q", kind)
	}
	ids := map[string]int{}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		read := func() error {
			list, err := tx.Query(ctx, `select name, id from inventory_id where kind = $1 and name = any($2)`, kind,
				names)
			if err != nil {
				return err
			}
			var name string
			var id int
			_, err = pgx.ForEachRow(list, []any{&name, &id}, func() error { ids[name] = id; return nil })
			return err
		}
		if err := read(); err != nil || hasAll(ids, names) {
			return err
		}
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1)`, snapshotLock); err != nil {
			return err
		}
		// of several rows with one name the newest is meant, and an id that a name has is no other's
		if _, err := tx.Exec(ctx, `insert into inventory_id (kind, name, id)
			select $1, name, max(id) from (`+rows+`) r where name = any($2)
			and not exists (select from inventory_id i where i.kind = $1 and i.id = r.id) group by name
			on conflict do nothing`, kind, names); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `with lacking as (
				select name, row_number() over (order by name) n from (select distinct unnest($2::text[]) as name) asked
				where not exists (select from inventory_id i where i.kind = $1 and i.name = asked.name)),
			last as (select coalesce(max(id), 0) id from (
				select id from inventory_id where kind = $1 union all select id from (`+rows+`) r) every)
			insert into inventory_id (kind, name, id) select $1, name, last.id + n from lacking, last`,
			kind, names); err != nil {
			return err
		}
		return read()
	})
	if err != nil {
		return nil, fmt.Errorf("ids of the inventory: %w", err)
	}
	return ids, nil
}

func hasAll(ids map[string]int, names []string) bool {
	for _, name := range names {
		if _, has := ids[name]; !has {
			return false
		}
	}
	return true
}

// InventoryName is the name that has an id; empty: none has.
func (s *Store) InventoryName(ctx context.Context, kind string, id int) (name string, err error) {
	err = s.pool.QueryRow(ctx, `select name from inventory_id where kind = $1 and id = $2`, kind, id).Scan(&name)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return name, err
}

// OwnState is the state of something that Monitor keeps where there is no PLC; empty: the usual one.
func (s *Store) OwnState(ctx context.Context, kind, name string) (state string, err error) {
	err = s.pool.QueryRow(ctx, `select state from own_state where kind = $1 and name = $2`, kind, name).Scan(&state)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("%s of %s: %w", kind, name, err)
	}
	return state, nil
}

// OwnStates are those of a kind that are not the usual ones, by name.
func (s *Store) OwnStates(ctx context.Context, kind string) (map[string]string, error) {
	states := map[string]string{}
	rows, err := s.pool.Query(ctx, `select name, state from own_state where kind = $1`, kind)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	var name, state string
	_, err = pgx.ForEachRow(rows, []any{&name, &state}, func() error { states[name] = state; return nil })
	return states, err
}

// SetOwnState keeps a state; an empty one is the usual one, and leaves no row.
func (s *Store) SetOwnState(ctx context.Context, kind, name, state string) error {
	sql, args := `delete from own_state where kind = $1 and name = $2`, []any{kind, name}
	if state != "" {
		sql = `insert into own_state (kind, name, state) values ($1, $2, $3)
			on conflict (kind, name) do update set state = excluded.state, changed = now()`
		args = append(args, state)
	}
	if _, err := s.pool.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("%s of %s: %w", kind, name, err)
	}
	return nil
}

// ClaimJSON is the newest claim that is held of a kind on a target, for a hook; nil: none is.
func (s *Store) ClaimJSON(ctx context.Context, kind, target string) (json.RawMessage, error) {
	held, err := s.Claims(ctx, ClaimFilter{Kind: ClaimKind(kind), Target: target})
	if err != nil || len(held) == 0 {
		return nil, err
	}
	return json.Marshal(held[len(held)-1])
}
