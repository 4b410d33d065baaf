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
	Kind     string    `json:"kind"` // of Kinds
	Target   string    `json:"target"`
	Starts   time.Time `json:"starts"`
	Until    time.Time `json:"until,omitzero"` // zero: never ends
	Owner    string    `json:"owner"`
	Reason   string    `json:"reason"`
	Downtime bool      `json:"downtime"`
}

// The kinds of what may be exempt: nodes, sites and PCUs are not acted on, slices not suspended, persons not written to.
const (
	OfNode   = "node"
	OfSite   = "site"
	OfPCU    = "pcu"
	OfSlice  = "slice"
	OfPerson = "person"
)

// ExemptKinds are all of them.
func ExemptKinds() []string { return []string{OfNode, OfSite, OfPCU, OfSlice, OfPerson} }

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
	if !slices.Contains(ExemptKinds(), e.Kind) || e.Target == "" {
		return fmt.Errorf("blacklist: name a node, a site, a PCU, a slice or a person, not %s %q", e.Kind, e.Target)
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

// InForce reads the entries of a kind that hold at a time.
func (s *Store) InForce(ctx context.Context, kind string, now time.Time) ([]BlacklistEntry, error) {
	return many[BlacklistEntry](ctx, s, "blacklist", blacklistSQL+`where kind = $1 and starts <= $2
		and (until is null or until > $2) order by target, starts`, kind, now)
}

// PLCExemption is what PLC itself has exempt.
type PLCExemption struct {
	Kind   string    `json:"kind"`
	Target string    `json:"target"`
	Site   string    `json:"site"`
	Until  time.Time `json:"until"`
}

// ExemptInPLC reads the nodes, sites and persons that PLC has exempt at a time; of slices only PLC itself knows.
func (s *Store) ExemptInPLC(ctx context.Context, now time.Time) ([]PLCExemption, error) {
	return many[PLCExemption](ctx, s, "exemptions", `select 'node' kind, hostname target, site, exempt_until as until
			from node where not gone and exempt_until > $1
		union all select 'site', login_base, login_base, exempt_until from site where not gone and exempt_until > $1
		union all select distinct 'person', email, '', exempt_until from person where exempt_until > $1
		order by 1, 2`, now)
}

// Disabled is what is out of service, and by whose hand.
type Disabled struct {
	Kind   string    `json:"kind"` // node, site or slice
	Target string    `json:"target"`
	Site   string    `json:"site"`
	What   string    `json:"what"`
	By     string    `json:"by"` // the issue for which Monitor did it; empty: not Monitor
	Since  time.Time `json:"since,omitzero"`
}

// Disabled reads nodes that PLC has at disabled or safeboot, sites that may create no slices, and slices that Monitor
// has suspended.
func (s *Store) Disabled(ctx context.Context) ([]Disabled, error) {
	return many[Disabled](ctx, s, "what is disabled", `with held as (select kind, target, issue, taken from claim
			where released is null)
		select 'node' kind, hostname target, site, boot_state what, coalesce(held.issue, '') by,
				coalesce(held.taken,`+epoch+`) since
			from node left join held on held.target = hostname and held.kind = $1
			where not gone and boot_state in ('disabled', 'disable', 'safeboot', 'dbg', 'diag')
		union all select 'site', login_base, login_base, case when pending then 'waits to be enabled'
				else 'may create no slices' end, coalesce(held.issue, ''), coalesce(held.taken,`+epoch+`)
			from site left join held on held.target = site_id::text and held.kind = $2 where not gone and not enabled
		union all select 'slice', target, claim.site, 'suspended', issue, taken from claim
			where kind = $3 and released is null
		order by 1, 3, 2`, ClaimNodeDisabled, ClaimSiteDisabled, ClaimSliceSuspended)
}

// PersonKnown reports whether PLC has an enabled person of this address.
func (s *Store) PersonKnown(ctx context.Context, email string) (known bool, err error) {
	err = s.pool.QueryRow(ctx, `select exists (select from person where email = $1)`, email).Scan(&known)
	return known, err
}
