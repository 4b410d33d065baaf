package store

import (
	"context"
	"fmt"
)

// Kinds of pins.
const (
	HostKey     = "ssh host key"    // in authorized_keys form
	Certificate = "TLS certificate" // its SHA-256 in hexadecimal
)

// PCUPins are what a PCU has shown of itself when it was first driven, by kind.
func (s *Store) PCUPins(ctx context.Context, pcu int) (map[string]string, error) {
	rows, err := s.pool.Query(ctx, `select kind, pin from pcu_pin where pcu_id = $1`, pcu)
	if err != nil {
		return nil, fmt.Errorf("pins of pcu %d: %w", pcu, err)
	}
	pins := map[string]string{}
	for rows.Next() {
		var kind, pin string
		if err := rows.Scan(&kind, &pin); err != nil {
			return nil, fmt.Errorf("pins of pcu %d: %w", pcu, err)
		}
		pins[kind] = pin
	}
	return pins, rows.Err()
}

// PinPCU keeps what a PCU has shown. What was pinned before stays.
func (s *Store) PinPCU(ctx context.Context, pcu int, kind, pin string) error {
	if _, err := s.pool.Exec(ctx, `insert into pcu_pin (pcu_id, kind, pin) values ($1,$2,$3) on conflict do nothing`,
		pcu, kind, pin); err != nil {
		return fmt.Errorf("pin pcu %d: %w", pcu, err)
	}
	return nil
}

// ForgetPCUPins lets a PCU show itself anew, as one that was replaced, and says how many pins it had.
func (s *Store) ForgetPCUPins(ctx context.Context, pcu int) (int, error) {
	tag, err := s.pool.Exec(ctx, `delete from pcu_pin where pcu_id = $1`, pcu)
	if err != nil {
		return 0, fmt.Errorf("forget the pins of pcu %d: %w", pcu, err)
	}
	return int(tag.RowsAffected()), nil
}
