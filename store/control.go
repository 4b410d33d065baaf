package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/planetlab/monitor/policy"
)

// Control is an order that holds for the whole fleet: the master switch, or the mode.
type Control struct {
	Name   string    `json:"name"`
	Value  string    `json:"value"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// The names of controls.
const (
	ControlStop = "stop" // value: "stopped"; no row: Monitor may act
	ControlMode = "mode" // value: a policy.Mode, which narrows the configuration's
)

// Controls reads what is ordered, by name.
func (s *Store) Controls(ctx context.Context) (map[string]Control, error) {
	list, err := many[Control](ctx, s, "controls", `select name, value, by, reason, at from control`)
	byName := map[string]Control{}
	for _, c := range list {
		byName[c.Name] = c
	}
	return byName, err
}

// SetControl orders something; an empty value takes the order back. Both go into the ledger.
func (s *Store) SetControl(ctx context.Context, c Control) error {
	if c.Name == ControlMode && c.Value != "" {
		if _, err := policy.ParseMode(c.Value); err != nil {
			return err
		}
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `delete from control where name = $1`, c.Name)
		if err == nil && c.Value != "" {
			_, err = tx.Exec(ctx, `insert into control (name, value, by, reason) values ($1,$2,$3,$4)`, c.Name, c.Value,
				c.By, c.Reason)
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `insert into action (key, kind, issue, node, site, pcu, reason, data, committed, outcome,
			detail, finished)
			values ($1, $2, '', '', '', 0, $3, jsonb_build_object('name', $4::text, 'value', $5::text, 'by', $6::text),
			now(), 'done', $7, now())`,
			fmt.Sprintf("control/%s/%d", c.Name, time.Now().UnixNano()), KindOrder, c.Reason, c.Name, c.Value, c.By,
			c.Name+" "+c.Value)
		return err
	})
	if err != nil {
		return fmt.Errorf("control %s: %w", c.Name, err)
	}
	return nil
}

// OperatorClosed is an issue that an operator closed though its target is bad: sweeps leave it alone until the target
// was good once.
type OperatorClosed struct {
	Issue  string    `json:"issue"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// LeaveClosed keeps an operator's close.
func (s *Store) LeaveClosed(ctx context.Context, o OperatorClosed) error {
	_, err := s.pool.Exec(ctx, `insert into closed_by_operator (issue, by, reason) values ($1,$2,$3) on conflict (issue)
		do update set by=$2, reason=$3, at=now()`, o.Issue, o.By, o.Reason)
	if err != nil {
		return fmt.Errorf("close of %s: %w", o.Issue, err)
	}
	return nil
}

// LeftClosed reads which issues operators closed, by issue id.
func (s *Store) LeftClosed(ctx context.Context) (map[string]OperatorClosed, error) {
	list, err := many[OperatorClosed](ctx, s, "issues closed by operators",
		`select issue, by, reason, at from closed_by_operator`)
	byIssue := map[string]OperatorClosed{}
	for _, o := range list {
		byIssue[o.Issue] = o
	}
	return byIssue, err
}

// MayReopen ends an operator's close: the target was good, or somebody opened the issue by hand.
func (s *Store) MayReopen(ctx context.Context, issue string) error {
	_, err := s.pool.Exec(ctx, `delete from closed_by_operator where issue = $1`, issue)
	if err != nil {
		return fmt.Errorf("close of %s: %w", issue, err)
	}
	return nil
}
