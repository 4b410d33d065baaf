package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// LastNotice says when a notice of a kind about a target last went out; the zero time: never.
func (s *Store) LastNotice(ctx context.Context, kind, target string) (time.Time, error) {
	var t *time.Time
	if err := s.pool.QueryRow(ctx, `select max(at) from notice where kind = $1 and target = $2`, kind,
		target).Scan(&t); err != nil || t == nil {
		return time.Time{}, err
	}
	return *t, nil
}

// WrittenTo are all whom messages about a site have reached, each once.
func (s *Store) WrittenTo(ctx context.Context, site string) ([]string, error) {
	rows, err := s.pool.Query(ctx, `select distinct unnest(recipients) from notice where site = $1 order by 1`, site)
	if err != nil {
		return nil, fmt.Errorf("who was written to about %s: %w", site, err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// SiteOfMessage is the site about which a message went out; empty: none of ours has that Message-ID.
func (s *Store) SiteOfMessage(ctx context.Context, messageID string) (site string, err error) {
	err = s.pool.QueryRow(ctx, `select coalesce(max(site), '') from notice where message_id = $1`,
		messageID).Scan(&site)
	if err != nil {
		err = fmt.Errorf("message %s: %w", messageID, err)
	}
	return site, err
}

// Notice is a message that went out about a target.
type Notice struct {
	Kind, Target, Site, MessageID string
	Recipients                    []string
	At                            time.Time
}

// recordNotice keeps a notice, once for each message and target.
func recordNotice(ctx context.Context, tx pgx.Tx, n Notice) error {
	if n.Recipients == nil {
		n.Recipients = []string{}
	}
	_, err := tx.Exec(ctx, `insert into notice (kind, target, site, message_id, recipients, at)
		values ($1,$2,$3,$4,$5,$6) on conflict do nothing`,
		n.Kind, n.Target, n.Site, n.MessageID, n.Recipients, n.At)
	return err
}
