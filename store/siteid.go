package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// SiteID is PLC's id of a site, which stays when its login_base changes; ErrNotFound when the store has no such site.
func (s *Store) SiteID(ctx context.Context, loginBase string) (id int, err error) {
	err = s.pool.QueryRow(ctx, `select site_id from site where login_base = $1`, loginBase).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		err = fmt.Errorf("id of site %s: %w", loginBase, err)
	}
	return id, err
}
