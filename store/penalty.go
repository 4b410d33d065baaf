package store

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// PenaltyOrder is the level that a site is to have by an operator's word, whatever its issues ask.
type PenaltyOrder struct {
	Site  string `json:"site"`
	Level int    `json:"level"`
	Control
}

// PenaltyControl is the name of the order about a site.
func PenaltyControl(login string) string { return ControlOf(ControlPenalty, PartSite, login) }

// PenaltyOrder reads the order about a site that holds at a time.
func (s *Store) PenaltyOrder(ctx context.Context, login string, now time.Time) (o PenaltyOrder, ordered bool, err error) {
	controls, err := s.Controls(ctx)
	if err != nil {
		return o, false, err
	}
	c, ordered := controls[PenaltyControl(login)]
	if !ordered || c.Over(now) {
		return o, false, nil
	}
	level, err := strconv.Atoi(c.Value)
	if err != nil {
		return o, false, fmt.Errorf("control %s: level %q: %w", c.Name, c.Value, err)
	}
	return PenaltyOrder{Site: login, Level: level, Control: c}, true, nil
}
