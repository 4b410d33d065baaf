package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Run is a command that a person had run on nodes.
type Run struct {
	ID      string    `json:"id"`
	Command string    `json:"command"`
	Ordered RunOrder  `json:"ordered"`
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended,omitzero"` // zero: it runs, or whoever ran it died
	// CalledOff is by whom, and why, it was called off.
	CalledOff string `json:"called_off,omitempty"`
	// Nodes are how many of its nodes are in each state.
	Nodes map[string]int `json:"nodes"`
}

// RunOrder is who had it run, from where and why.
type RunOrder struct {
	By     string `json:"by"`
	From   string `json:"from,omitempty"`
	Reason string `json:"reason"`
	Key    string `json:"key,omitempty"` // of its line in the ledger
}

// RunNode is what became of it on one node.
type RunNode struct {
	Host   string    `json:"host"`
	Site   string    `json:"site"`
	State  string    `json:"state"`            // planned, or a remote.State
	Status *int      `json:"status,omitempty"` // exit status; null: it is not known
	Output string    `json:"output"`
	Errors string    `json:"errors,omitempty"`
	Cut    bool      `json:"cut"`
	Reason string    `json:"reason,omitempty"`
	Began  time.Time `json:"began,omitzero"`
	Ended  time.Time `json:"ended,omitzero"`
}

// ErrRunThere says that a run was started before.
var ErrRunThere = errors.New("the run was started before")

// StartRun writes down what is about to run, and where: once.
func (s *Store) StartRun(ctx context.Context, r Run, nodes []RunNode) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `insert into run (id, command, ordered) values ($1,$2,$3) on conflict (id) do nothing`,
			r.ID, r.Command, r.Ordered)
		if err == nil && tag.RowsAffected() == 0 {
			err = ErrRunThere
		}
		if err != nil {
			return err
		}
		var rows [][]any
		for _, n := range nodes {
			rows = append(rows, []any{r.ID, n.Host, n.Site, n.State, n.Reason})
		}
		_, err = tx.CopyFrom(ctx, pgx.Identifier{"run_node"}, []string{"run", "host", "site", "state", "reason"},
			pgx.CopyFromRows(rows))
		return err
	})
	if err != nil {
		return fmt.Errorf("run %s: %w", r.ID, err)
	}
	return nil
}

// RunIssue begins what the ledger calls a run in place of an issue.
const RunIssue = "run/"

// RunSilence is how long whoever runs a command may give no sign of life before it counts as dead.
const RunSilence = time.Minute

// ErrRunOver says that a run was ended, as one whose process was dead.
var ErrRunOver = errors.New("the run was ended, since it gave no sign of life for too long")

// BeatRun is a run's sign of life, and answers by whom it was called off, if it was. One that was ended meanwhile gets
// ErrRunOver.
func (s *Store) BeatRun(ctx context.Context, id string) (calledOff string, err error) {
	err = s.pool.QueryRow(ctx, `update run set beat = now() where id = $1 and ended is null returning called_off`, id).
		Scan(&calledOff)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrRunOver
	}
	if err != nil {
		return "", fmt.Errorf("run %s: %w", id, err)
	}
	return calledOff, nil
}

// CallOffRun is the effect that calls a run off; whoever did so first stands there. A run that is not there, or has ended,
// is ErrNotFound.
func CallOffRun(id, by string) Effect {
	return func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `update run set called_off = case called_off when '' then $2 else called_off end
			where id = $1 and ended is null`, id, by)
		if err == nil && tag.RowsAffected() == 0 {
			err = fmt.Errorf("run %s: %w", id, ErrNotFound)
		}
		return err
	}
}

// BeginRunNode writes down that it begins on a node: from here on it may have run there.
func (s *Store) BeginRunNode(ctx context.Context, id, host string) error {
	tag, err := s.pool.Exec(ctx, `update run_node n set state = 'running', began = now() from run r
		where n.run = $1 and n.host = $2 and n.state = 'planned' and r.id = n.run and r.ended is null`, id, host)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrRunOver
	}
	if err != nil {
		return fmt.Errorf("run %s on %s: %w", id, host, err)
	}
	return nil
}

// settleRunSQL ends a run that was cut off, on each of its nodes.
const settleRunSQL = `with over as (update run set ended = now() where id = $1 and ended is null returning id)
	update run_node n set ended = now(), state = case n.state when 'running' then 'lost' else 'skipped' end,
		reason = case n.state when 'running' then 'the run was cut off: it may have run here'
			else 'the run was cut off before it began here' end
	from over where n.run = over.id and n.state in ('planned', 'running')`

// SettleRuns ends runs whose process is dead, as one that was killed: each node says whether it may have run there, and the
// ledger what was reached. It answers which runs those were.
func (s *Store) SettleRuns(ctx context.Context) (ids []string, err error) {
	dead, err := many[struct{ ID string }](ctx, s, "runs that were cut off",
		`select id from run where ended is null and beat < now() - $1::interval order by id`, RunSilence)
	for _, r := range dead {
		if err == nil {
			err = s.settleRun(ctx, r.ID)
			ids = append(ids, r.ID)
		}
	}
	return ids, err
}

func (s *Store) settleRun(ctx context.Context, id string) error {
	if _, err := s.pool.Exec(ctx, settleRunSQL, id); err != nil {
		return fmt.Errorf("run %s: %w", id, err)
	}
	r, err := s.Run(ctx, id)
	if err != nil {
		return err
	}
	all := 0
	for _, n := range r.Nodes {
		all += n
	}
	outcome, lost := Failed, r.Nodes["lost"]
	detail := fmt.Sprintf("cut off: done on %d of %d nodes, not begun on %d", r.Nodes["done"], all, r.Nodes["skipped"])
	if lost > 0 {
		outcome = Ambiguous
		detail += fmt.Sprintf(", and on %d it may have run", lost)
	}
	lines, err := s.Actions(ctx, ActionFilter{Issue: RunIssue + id, Unfinished: true, Limit: 1})
	if err != nil || len(lines) == 0 {
		return err
	}
	return s.Outcome(ctx, lines[0].Key, outcome, detail)
}

// SaveRunNode writes down what became of it on one node.
func (s *Store) SaveRunNode(ctx context.Context, id string, n RunNode) error {
	_, err := s.pool.Exec(ctx, `update run_node set state=$3, status=$4, output=$5, errors=$6, cut=$7, reason=$8, began=$9,
		ended=$10 where run=$1 and host=$2`, id, n.Host, n.State, n.Status, n.Output, n.Errors, n.Cut, n.Reason,
		orNull(n.Began), orNull(n.Ended))
	if err != nil {
		return fmt.Errorf("run %s on %s: %w", id, n.Host, err)
	}
	return nil
}

// EndRun writes down that nothing more comes.
func (s *Store) EndRun(ctx context.Context, id string) error {
	if _, err := s.pool.Exec(ctx, `update run set ended = now() where id = $1`, id); err != nil {
		return fmt.Errorf("run %s: %w", id, err)
	}
	return nil
}

const runSQL = `select id, command, ordered, began, coalesce(ended, ` + epoch + `) ended, called_off,
	coalesce((select jsonb_object_agg(state, n) from (select state, count(*) n from run_node where run_node.run = run.id
		group by state) x), '{}') nodes from run `

// Run reads one.
func (s *Store) Run(ctx context.Context, id string) (Run, error) {
	return one[Run](ctx, s, "run "+id, runSQL+`where id = $1`, id)
}

// Runs reads the latest, at most so many.
func (s *Store) Runs(ctx context.Context, limit int) ([]Run, error) {
	return many[Run](ctx, s, "runs", runSQL+`order by began desc, id limit $1`, limit)
}

// RunNodes reads what became of a run on each of its nodes, by site and name.
func (s *Store) RunNodes(ctx context.Context, id string) ([]RunNode, error) {
	return many[RunNode](ctx, s, "nodes of run "+id, `select host, site, state, status, output, errors, cut, reason,
		coalesce(began, `+epoch+`) began, coalesce(ended, `+epoch+`) ended from run_node where run = $1
		order by site, host`, id)
}
