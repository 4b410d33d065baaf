package store

import (
	"context"
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
	// Nodes are how many of its nodes are in each state.
	Nodes map[string]int `json:"nodes"`
}

// RunOrder is who had it run, from where and why.
type RunOrder struct {
	By     string `json:"by"`
	From   string `json:"from,omitempty"`
	Reason string `json:"reason"`
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

// StartRun writes down what is about to run, and where.
func (s *Store) StartRun(ctx context.Context, r Run, nodes []RunNode) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `insert into run (id, command, ordered) values ($1,$2,$3)`, r.ID, r.Command,
			r.Ordered); err != nil {
			return err
		}
		var rows [][]any
		for _, n := range nodes {
			rows = append(rows, []any{r.ID, n.Host, n.Site, n.State, n.Reason})
		}
		_, err := tx.CopyFrom(ctx, pgx.Identifier{"run_node"}, []string{"run", "host", "site", "state", "reason"},
			pgx.CopyFromRows(rows))
		return err
	})
	if err != nil {
		return fmt.Errorf("run %s: %w", r.ID, err)
	}
	return nil
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

const runSQL = `select id, command, ordered, began, coalesce(ended, ` + epoch + `) ended,
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
