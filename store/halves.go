package store

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// RefusedRow is a row that Postgres refuses for what is in it, and why.
type RefusedRow struct{ What, Target, Why string }

// RefusedRows are the rows that were refused; all others of the call were saved.
type RefusedRows []RefusedRow

// Error names the first of them.
func (r RefusedRows) Error() string {
	return fmt.Sprintf("%d rows were refused and all others saved; the first is the %s of %s: %s", len(r), r[0].What,
		r[0].Target, r[0].Why)
}

func (r RefusedRows) asError() error {
	if len(r) == 0 {
		return nil
	}
	return r
}

// and adds what another call says; an error of any other kind is handed back.
func (r RefusedRows) and(err error) (RefusedRows, error) {
	var more RefusedRows
	if errors.As(err, &more) {
		return append(r, more...), nil
	}
	return r, err
}

// mostRows bounds one statement.
const mostRows = 1000

// mostCollisions bounds how often a statement is tried that collided with another one.
const mostCollisions = 5

// inHalves saves rows in one statement. When Postgres refuses it for its data, each half is tried by itself, so that
// one bad row costs that row, at twenty statements in a thousand.
func inHalves[T any](what string, rows []T, target func(T) string, save func([]T) error) error {
	var refused RefusedRows
	var try func([]T) error
	try = func(part []T) error {
		err := save(part)
		for n := 1; collided(err) && n < mostCollisions; n++ {
			err = save(part)
		}
		switch {
		case err == nil:
		case !badData(err):
			return fmt.Errorf("save the %s of %s and %d more: %w", what, target(part[0]), len(part)-1, err)
		case len(part) == 1:
			refused = append(refused, RefusedRow{what, target(part[0]), err.Error()})
		default:
			half := len(part) / 2
			if err := try(part[:half]); err != nil {
				return err
			}
			return try(part[half:])
		}
		return nil
	}
	for len(rows) > 0 {
		n := min(len(rows), mostRows)
		if err := try(rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return refused.asError()
}

// badData says whether an error comes from what is in a row: SQLSTATE classes 22 (data exception) and 23 (constraint
// violation). No retry helps; all other errors may pass.
func badData(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (strings.HasPrefix(pg.Code, "22") || strings.HasPrefix(pg.Code, "23"))
}

// collided says whether a statement was sacrificed to another one: SQLSTATE 40001 (serialization failure) or 40P01
// (deadlock).
func collided(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}
