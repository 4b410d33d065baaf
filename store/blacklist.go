package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// BlacklistEntry is a line of the blacklist; a downtime is one with a start and an end.
type BlacklistEntry struct {
	Kind     string    `json:"kind"` // node, site or pcu
	Target   string    `json:"target"`
	Starts   time.Time `json:"starts"`
	Until    time.Time `json:"until,omitzero"` // zero: never ends
	Owner    string    `json:"owner"`
	Reason   string    `json:"reason"`
	Downtime bool      `json:"downtime"`
}

const blacklistSQL = `select kind, target, starts, coalesce(until,` + epoch +
	`) until, owner, reason, downtime from blacklist `

// Blacklisted says whether a node, a site or a PCU is on the blacklist now; those with an empty name are not asked
// about. Of several entries it answers the one that holds longest.
func (s *Store) Blacklisted(ctx context.Context, node, site, pcu string, now time.Time) (BlacklistEntry, bool, error) {
	list, err := many[BlacklistEntry](ctx, s, "blacklist", blacklistSQL+`where (kind = 'node' and target = $1
		or kind = 'site' and target = $2 or kind = 'pcu' and target = $3) and starts <= $4
		and (until is null or until > $4) order by until desc nulls first limit 1`, node, site, pcu, now)
	if err != nil || len(list) == 0 {
		return BlacklistEntry{}, false, err
	}
	return list[0], true, nil
}

// AddBlacklist adds an entry.
func (s *Store) AddBlacklist(ctx context.Context, e BlacklistEntry) error {
	if !slices.Contains([]string{"node", "site", "pcu"}, e.Kind) || e.Target == "" {
		return fmt.Errorf("blacklist: name a node, a site or a PCU, not %s %q", e.Kind, e.Target)
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return PutBlacklist(e)(ctx, tx) })
}

// RemoveBlacklist removes all entries of one target.
func (s *Store) RemoveBlacklist(ctx context.Context, kind, target string) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return EraseBlacklist(kind, target)(ctx, tx) })
}

// Blacklist reads all entries.
func (s *Store) Blacklist(ctx context.Context) ([]BlacklistEntry, error) {
	return many[BlacklistEntry](ctx, s, "blacklist", blacklistSQL+`order by kind, target, starts`)
}
