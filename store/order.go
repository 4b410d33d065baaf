package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/planetlab/monitor/bootman"
)

// Effect is what an order changes in the rows.
type Effect func(ctx context.Context, tx pgx.Tx) error

// Order changes rows and writes down, in the same transaction, that it was ordered: once. Where the key is in the
// ledger already nothing is changed, and the line that stands there is answered.
func (s *Store) Order(ctx context.Context, a Action, effect Effect) (stored Action, existed bool, err error) {
	if a.Key == "" {
		return a, false, errors.New("ledger: an order needs a key")
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `insert into action (key, kind, issue, node, site, pcu, reason, data, committed, outcome,
			detail, finished) values ($1,$2,$3,$4,$5,$6,$7,$8,now(),'done',$9,now()) on conflict (key) do nothing`,
			a.Key, KindOrder, a.Issue, a.Node, a.Site, a.PCUID, a.Reason, a.Data, a.Detail)
		if existed = err == nil && tag.RowsAffected() == 0; err != nil || existed {
			return err
		}
		return effect(ctx, tx)
	})
	if err != nil {
		return a, false, fmt.Errorf("order %s: %w", a.Key, err)
	}
	stored, err = s.Action(ctx, a.Key)
	return stored, existed, err
}

// PutControl is the effect that orders something of the whole fleet; an empty value takes the order back.
func PutControl(c Control) Effect {
	return func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `delete from control where name = $1`, c.Name)
		if err == nil && c.Value != "" {
			_, err = tx.Exec(ctx, `insert into control (name, value, by, reason, until) values ($1,$2,$3,$4,$5)`,
				c.Name, c.Value, c.By, c.Reason, orNull(c.Until))
		}
		return err
	}
}

// PutBlacklist is the effect that adds an entry of the blacklist.
func PutBlacklist(e BlacklistEntry) Effect {
	return func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `insert into blacklist (kind, target, starts, until, owner, reason, downtime)
			values ($1,$2,$3,$4,$5,$6,$7)`, e.Kind, e.Target, e.Starts, orNull(e.Until), e.Owner, e.Reason, e.Downtime)
		return err
	}
}

// EraseBlacklist is the effect that removes all entries of one target; that it has none is ErrNotFound.
func EraseBlacklist(kind, target string) Effect {
	return func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `delete from blacklist where kind = $1 and target = $2`, kind, target)
		if err == nil && tag.RowsAffected() == 0 {
			err = fmt.Errorf("blacklist %s %s: %w", kind, target, ErrNotFound)
		}
		return err
	}
}

// ErasePins is the effect that lets a PCU show itself anew, as one that was replaced.
func ErasePins(pcu int) Effect {
	return func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `delete from pcu_pin where pcu_id = $1`, pcu)
		return err
	}
}

// PutBootSequence is the effect that says what a boot sequence calls for from now on.
func PutBootSequence(k bootman.Known, owner string) Effect {
	return func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `insert into bootman_sequences (sequence, action, owner) values ($1, $2, $3)
			on conflict (sequence) do update set action = $2, owner = $3, changed = now()`,
			k.Sequence, string(k.Action), owner)
		return err
	}
}

// orderKey names an order that nobody gave a key.
func orderKey(what string) string { return fmt.Sprintf("control/%s/%d", what, time.Now().UnixNano()) }
