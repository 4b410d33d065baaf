package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/planetlab/monitor/rollout"
)

// Rollout is a roll-out as the store knows it.
type Rollout struct {
	Name   string       `json:"name"`
	Plan   rollout.Plan `json:"plan"`
	Status string       `json:"status"` // planned, or a rollout.Status
	Why    string       `json:"why"`
	Made   time.Time    `json:"made"`
	Ended  time.Time    `json:"ended,omitzero"`
	// Nodes are how many of its nodes are in each state.
	Nodes map[rollout.NodeState]int `json:"nodes"`
}

// ErrRolloutTwice says that a roll-out of that name is there already.
var ErrRolloutTwice = errors.New("a roll-out of that name is there already")

// SaveRollout freezes a plan with its nodes, in their order.
func (s *Store) SaveRollout(ctx context.Context, p rollout.Plan, nodes []rollout.Node) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `insert into rollout (id, plan, made) values ($1,$2,$3) on conflict do nothing`, p.Name, p,
			p.Made)
		if err == nil && tag.RowsAffected() == 0 {
			err = ErrRolloutTwice
		}
		if err != nil {
			return err
		}
		var rows [][]any
		for i, n := range nodes {
			rows = append(rows, []any{p.Name, i + 1, n.NodeID, n.Host, n.Site})
		}
		_, err = tx.CopyFrom(ctx, pgx.Identifier{"rollout_node"}, []string{"rollout", "seq", "node_id", "host", "site"},
			pgx.CopyFromRows(rows))
		return err
	})
	if err != nil {
		return fmt.Errorf("rollout %s: %w", p.Name, err)
	}
	return nil
}

const rolloutSQL = `select id as name, plan, status, why, made, coalesce(ended, ` + epoch + `) ended,
	coalesce((select jsonb_object_agg(state, n) from (select state, count(*) n from rollout_node
		where rollout = rollout.id group by state) x), '{}') nodes from rollout `

// Rollout reads one.
func (s *Store) Rollout(ctx context.Context, name string) (Rollout, error) {
	return one[Rollout](ctx, s, "rollout "+name, rolloutSQL+`where id = $1`, name)
}

// Rollouts reads the latest, at most so many.
func (s *Store) Rollouts(ctx context.Context, limit int) ([]Rollout, error) {
	return many[Rollout](ctx, s, "rollouts", rolloutSQL+`order by made desc, id limit $1`, limit)
}

// rolloutNodeSQL reads the nodes of a roll-out.
const rolloutNodeSQL = `select seq, node_id, host, site, grp as group, tries, state, run_id as run, reason,
	coalesce(began, ` + epoch + `) began, coalesce(ended, ` + epoch + `) ended from rollout_node `

// RolloutNodes reads the nodes of a roll-out, in the order of the plan.
func (s *Store) RolloutNodes(ctx context.Context, name string) ([]rollout.Node, error) {
	return many[rollout.Node](ctx, s, "nodes of rollout "+name, rolloutNodeSQL+`where rollout = $1 order by seq`, name)
}

// NoteRollout writes down how a roll-out stands.
func (s *Store) NoteRollout(ctx context.Context, name string, status rollout.Status, why string) error {
	_, err := s.pool.Exec(ctx, `update rollout set status = $2, why = $3, ended = case when $4 then now() end
		where id = $1`, name, status, why, status.Over())
	if err != nil {
		return fmt.Errorf("rollout %s: %w", name, err)
	}
	return nil
}

// BeginGroup takes the next nodes of a plan that have not begun, and marks them so; asked again for a group that was
// taken, it answers the same. A node that the fleet has lost, moved or exempted since the plan was made is skipped, with
// the reason. No node is ever begun that is not planned.
func (s *Store) BeginGroup(ctx context.Context, name string, group, size int, now time.Time) (begin, skipped []rollout.Node,
	err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// one at a time: a retry must not take nodes beside a first try that is slow
		if _, err := tx.Exec(ctx, `select from rollout where id = $1 for update`, name); err != nil {
			return err
		}
		taken, err := collect(ctx, tx, rolloutNodeSQL+`where rollout = $1 and grp = $2 order by seq`, name, group)
		if err != nil || len(taken) > 0 {
			begin, skipped = bySkip(taken)
			return err
		}
		for len(begin) < size { // those that are skipped make room for others
			planned, err := collect(ctx, tx, rolloutNodeSQL+`where rollout = $1 and state = 'planned' order by seq limit $2`,
				name, size-len(begin))
			if err != nil || len(planned) == 0 {
				return err
			}
			for _, n := range planned {
				if n, err = beginNode(ctx, tx, name, group, n, now); err != nil {
					return err
				}
				if n.State == rollout.Skipped {
					skipped = append(skipped, n)
				} else {
					begin = append(begin, n)
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("rollout %s, group %d: %w", name, group, err)
	}
	return begin, skipped, nil
}

// beginNode marks a planned node as begun, or as skipped.
func beginNode(ctx context.Context, tx pgx.Tx, name string, group int, n rollout.Node, now time.Time) (rollout.Node, error) {
	var err error
	if n.Reason, err = leftOut(ctx, tx, n, now); err != nil {
		return n, err
	}
	if n.State = rollout.Begun; n.Reason != "" {
		n.State, n.Ended = rollout.Skipped, now
	}
	n.Group, n.Tries, n.Began, n.Run = group, n.Tries+1, now, ""
	_, err = tx.Exec(ctx, `update rollout_node set grp=$3, tries=$4, state=$5, reason=$6, began=$7, ended=$8, run_id=''
		where rollout=$1 and seq=$2`, name, n.Seq, n.Group, n.Tries, n.State, n.Reason, n.Began, orNull(n.Ended))
	return n, err
}

func collect(ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]rollout.Node, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[rollout.Node])
}

func bySkip(list []rollout.Node) (begin, skipped []rollout.Node) {
	for _, n := range list {
		if n.State == rollout.Skipped {
			skipped = append(skipped, n)
		} else {
			begin = append(begin, n)
		}
	}
	return begin, skipped
}

// leftOut says why a node of a plan is not what it was when the plan was made; nothing: it is.
func leftOut(ctx context.Context, tx pgx.Tx, n rollout.Node, now time.Time) (string, error) {
	var host, site, listed string
	var gone bool
	var exempt time.Time
	err := tx.QueryRow(ctx, `select hostname, node.site, node.gone, greatest(coalesce(node.exempt_until, `+epoch+`),
			coalesce(site.exempt_until, `+epoch+`)), coalesce((select kind || ' ' || target || ': ' || reason from blacklist
				where (kind = 'node' and target = hostname or kind = 'site' and target = node.site) and starts <= $2
				and (until is null or until > $2) limit 1), '')
		from node left join site on login_base = node.site where node_id = $1`, n.NodeID, now).Scan(&host, &site, &gone,
		&exempt, &listed)
	switch {
	case errors.Is(err, pgx.ErrNoRows), err == nil && gone:
		return "it is no longer in PLC", nil
	case err != nil:
		return "", err
	case host != n.Host:
		return "it is named " + host + " by now", nil
	case site != n.Site:
		return "it belongs to " + site + " by now", nil
	case exempt.After(now):
		return "exempt in the inventory until " + exempt.UTC().Format(time.DateOnly), nil
	case listed != "":
		return "exempt: " + listed, nil
	}
	return "", nil
}

// EndNodes writes down what became of nodes of a group.
func (s *Store) EndNodes(ctx context.Context, name string, nodes []rollout.Node) error {
	b := &pgx.Batch{}
	for _, n := range nodes {
		b.Queue(`update rollout_node set state=$3, reason=$4, run_id=$5, ended=$6 where rollout=$1 and seq=$2 and grp=$7`,
			name, n.Seq, n.State, n.Reason, n.Run, orNull(n.Ended), n.Group)
	}
	if err := s.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("rollout %s: %w", name, err)
	}
	return nil
}

// PlanAgain makes failed nodes planned once more, and answers how many are; what may have been done stays as it is, and
// what nobody tells the end of is unknown. The groups of the next run are numbered from the answer on. Only a roll-out
// that does not run may be asked.
func (s *Store) PlanAgain(ctx context.Context, name string) (count, lastGroup int, err error) {
	err = s.pool.QueryRow(ctx, `with lost as (update rollout_node set state = 'unknown',
			reason = 'its roll-out was lost: it may have been done' where rollout = $1 and state = 'begun'), again as (update rollout_node set state = 'planned', reason = '', run_id = ''
			where rollout = $1 and state = 'failed' returning 1)
		select (select count(*) from again) + (select count(*) from rollout_node
			where rollout = $1 and state = 'planned'), coalesce((select max(grp) from rollout_node where rollout = $1), 0)`,
		name).Scan(&count, &lastGroup)
	if err != nil {
		return 0, 0, fmt.Errorf("rollout %s: %w", name, err)
	}
	return count, lastGroup, nil
}
