package store

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Unfit reports whether Postgres refuses what it was given and will do so for ever: SQLSTATE class 22, data exception,
// as for a text with a NUL.
func Unfit(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && strings.HasPrefix(pg.Code, "22")
}
