package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ClaimKind names what Monitor holds in the world.
type ClaimKind string

// The kinds of claims.
const (
	ClaimHold           ClaimKind = "hold"            // an issue asks a penalty level of its site; SetTo is the level
	ClaimSiteDisabled   ClaimKind = "site disabled"   // target: PLC's site_id
	ClaimSliceSuspended ClaimKind = "slice suspended" // target: the slice's name
	ClaimNodeDisabled   ClaimKind = "node disabled"   // target: hostname; Was: its boot state before
	ClaimBootState      ClaimKind = "boot state"      // target: hostname; Was and SetTo: boot states
	ClaimOutlet         ClaimKind = "outlet"          // target: pcu_id/outlet; it is owed on
	ClaimRequest        ClaimKind = "request"         // target: hostname; SetTo: what a person has ordered
)

// ClaimKinds are all of them.
func ClaimKinds() []ClaimKind {
	return []ClaimKind{ClaimHold, ClaimSiteDisabled, ClaimSliceSuspended, ClaimNodeDisabled, ClaimBootState, ClaimOutlet,
		ClaimRequest}
}

// Claim is one thing that Monitor changed outside and that is to be undone one day. It outlives the workflow that took
// it: the reconciler of every sweep compares claims with what is open and with the world.
type Claim struct {
	ID       int64           `json:"id"`
	Kind     ClaimKind       `json:"kind"`
	Target   string          `json:"target"`
	Site     string          `json:"site"` // login_base
	Issue    string          `json:"issue"`
	RunID    string          `json:"run_id"`
	Key      string          `json:"key"` // of the action that took it
	Was      string          `json:"was"`
	SetTo    string          `json:"set_to"`
	Data     json.RawMessage `json:"data,omitempty"`
	Taken    time.Time       `json:"taken"`
	Released time.Time       `json:"released,omitzero"`
	How      string          `json:"how"` // how it was released
	// Back says that an outlet which may have been off was on when it was released: what it feeds had its power back then.
	Back bool `json:"back,omitempty"`
}

const claimSQL = `select id, kind, target, site, issue, run_id, key, was, set_to, data, taken, coalesce(released,` +
	epoch + `) released, how, back from claim `

// takeClaim writes a claim for an action. One that is held already for the same issue stays, since Was is what it was
// before the first. An outlet that a command before may have left off stays owed for that one: if the later command
// surely does nothing, its end lets go of its own claims only.
func takeClaim(ctx context.Context, tx pgx.Tx, c Claim, a Action) error {
	if c.Issue == "" {
		c.Issue, c.RunID = a.Issue, a.RunID
	}
	if c.Site == "" {
		c.Site = a.Site
	}
	_, err := tx.Exec(ctx, `insert into claim (kind, target, site, issue, run_id, key, was, set_to, data)
		values ($1,$2,$3,$4,$5,$6,$7,$8,$9)
		on conflict (kind, target, issue) where released is null do update
		set key = case when claim.kind = $10 and exists (select from action a where a.key = claim.key
				and a.committed is not null and a.outcome in ('', 'ambiguous'))
			then claim.key else excluded.key end,
		run_id = excluded.run_id, set_to = excluded.set_to, site = excluded.site`,
		c.Kind, c.Target, c.Site, c.Issue, c.RunID, a.Key, c.Was, c.SetTo, c.Data, ClaimOutlet)
	if err != nil {
		return fmt.Errorf("claim %s %s: %w", c.Kind, c.Target, err)
	}
	return nil
}

// Take writes a claim that needs no ledger line of its own, as an issue's hold on its site.
func (s *Store) Take(ctx context.Context, c Claim) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		return takeClaim(ctx, tx, c, Action{Key: c.Key, Issue: c.Issue, RunID: c.RunID, Site: c.Site})
	})
}

// ClaimFilter chooses claims; empty fields choose all.
type ClaimFilter struct {
	Kind                       ClaimKind
	Target, Issue, RunID, Site string
	Key                        string
	Released                   bool // also those that are released
	Before                     time.Time
}

// Claims reads claims, the oldest first; only those that are held, unless the filter says otherwise.
func (s *Store) Claims(ctx context.Context, f ClaimFilter) ([]Claim, error) {
	return many[Claim](ctx, s, "claims",
		claimSQL+`where ($1 = '' or kind = $1) and ($2 = '' or target = $2) and ($3 = '' or issue = $3)
			and ($4 = '' or run_id = $4) and ($5 = '' or site = $5) and ($6 or released is null)
			and ($7 = '' or key = $7) and ($8::timestamptz is null or taken < $8) order by id`,
		f.Kind, f.Target, f.Issue, f.RunID, f.Site, f.Released, f.Key, orNull(f.Before))
}

// Release ends a claim, and says how.
func (s *Store) Release(ctx context.Context, id int64, how string) error {
	if _, err := s.pool.Exec(ctx, `update claim set released = now(), how = $2 where id = $1 and released is null`, id,
		how); err != nil {
		return fmt.Errorf("claim %d: %w", id, err)
	}
	return nil
}

// Mark adds to what a claim keeps of what was changed, which is a JSON object.
func (s *Store) Mark(ctx context.Context, id int64, mark any) error {
	_, err := s.pool.Exec(ctx, `update claim set data = coalesce(data, '{}') || $2 where id = $1`, id, mark)
	if err != nil {
		return fmt.Errorf("claim %d: %w", id, err)
	}
	return nil
}

// Lifted are the claims on sites and slices that were released since a time and of which nothing is held now, the
// latest first. Those of a site only where PLC has it disabled.
func (s *Store) Lifted(ctx context.Context, since time.Time) ([]Claim, error) {
	return many[Claim](ctx, s, "lifted penalties", claimSQL+`where released >= $1 and data is not null
		and (kind = $2 and exists (select from site where site_id::text = claim.target and not enabled and not gone)
			or kind = $3)
		and not exists (select from claim held
			where held.kind = claim.kind and held.target = claim.target and held.released is null)
		order by id desc`, since, ClaimSiteDisabled, ClaimSliceSuspended)
}

// ReleaseHold ends an issue's hold on sites.
func (s *Store) ReleaseHold(ctx context.Context, issue, how string) error {
	if _, err := s.pool.Exec(ctx, `update claim set released = now(), how = $2
		where kind = $3 and issue = $1 and released is null`, issue, how, ClaimHold); err != nil {
		return fmt.Errorf("hold of %s: %w", issue, err)
	}
	return nil
}
