package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
)

// Site is a site with its status and what it is denied.
type Site struct {
	SiteID       int               `json:"site_id"` // stays when PLC renames the site
	LoginBase    string            `json:"login_base"`
	Name         string            `json:"name"`
	Enabled      bool              `json:"enabled"`
	Pending      bool              `json:"pending"`
	Gone         bool              `json:"gone"`
	Created      time.Time         `json:"created,omitzero"`
	ExemptUntil  time.Time         `json:"exempt_until,omitzero"`
	Record       policy.SiteRecord `json:"record" db:"-"`
	Status       policy.Status     `json:"-"`
	Changed      time.Time         `json:"-"`
	PenaltyLevel int               `json:"penalty_level"`
	LastRaise    time.Time         `json:"last_raise,omitzero"`
}

// Node is a node with what was last seen of it.
type Node struct {
	NodeID    int    `json:"node_id"`
	Hostname  string `json:"hostname"`
	Site      string `json:"site"`
	IP        string `json:"ip"`
	BootState string `json:"boot_state"`
	Model     string `json:"model"`
	PCUID     int    `json:"pcu_id"` // of the first feed
	Outlet    int    `json:"outlet"`
	Feeds     []Feed `json:"feeds"` // all of them: a node with two runs on either

	// What PLC saw of it. LastContact is exact for a node that was not seen up, else up to contactSlack old.
	RunLevel            string    `json:"run_level"`
	LastContact         time.Time `json:"last_contact,omitzero"`
	LastBoot            time.Time `json:"last_boot,omitzero"`
	LastDownload        time.Time `json:"last_download,omitzero"`
	LastPCUReboot       time.Time `json:"last_pcu_reboot,omitzero"`
	LastPCUConfirmation time.Time `json:"last_pcu_confirmation,omitzero"`

	ExemptUntil time.Time         `json:"exempt_until,omitzero"`
	Gone        bool              `json:"gone"`
	Record      policy.NodeRecord `json:"record" db:"-"`
	Status      policy.Status     `json:"-"`
	Changed     time.Time         `json:"-"`
	State       string            `json:"state"`
	Category    string            `json:"category"`
	Firewall    bool              `json:"firewall"`
	Reason      string            `json:"reason"`
	Uptime      time.Duration     `json:"uptime"`
	SeenAt      time.Time         `json:"seen_at,omitzero"`
	FirstSilent time.Time         `json:"first_silent,omitzero"` // since when no look has found anything that answers
	BadSince    time.Time         `json:"bad_since,omitzero"`    // since when it is offline, down or failboot
	Judged      string            `json:"-"`                     // what was seen of it when its status was last judged
	Symptoms    json.RawMessage   `json:"symptoms,omitempty"`
	Ruled       json.RawMessage   `json:"-"` // see Rule
	Detail      json.RawMessage   `json:"detail,omitempty"`
}

// Rule is what the rules of the configuration make of the node; false: none holds, nor held when that was last known.
func (n Node) Rule() (policy.Symptom, bool) { return symptom(n.Ruled) }

// Feed is an outlet that gives a node power.
type Feed struct {
	PCUID  int `json:"pcu_id"`
	Outlet int `json:"outlet"`
}

// PCU is a power control unit with the outcome of its last dry run.
type PCU struct {
	PCUID    int              `json:"pcu_id"`
	Name     string           `json:"name"`
	Site     string           `json:"site"`
	Hostname string           `json:"hostname"`
	IP       string           `json:"ip"`
	Username string           `json:"username"`
	Model    string           `json:"model"`
	Gone     bool             `json:"gone"`
	Record   policy.PCURecord `json:"record" db:"-"`
	Status   policy.Status    `json:"-"`
	Changed  time.Time        `json:"-"`
	OK       bool             `json:"ok"`
	Reason   string           `json:"reason"`
	SeenAt   time.Time        `json:"seen_at,omitzero"`
	BadSince time.Time        `json:"bad_since,omitzero"` // since when it is offline or down
}

// SilentFrom is since when no look has found anything that answers, or else the time given. A time that Postgres does
// not have is zero and says so, but does not compare as equal to the zero time, which cmp.Or would want.
func (n Node) SilentFrom(orElse time.Time) time.Time {
	if n.FirstSilent.IsZero() {
		return orElse
	}
	return n.FirstSilent
}

const (
	epoch   = `'0001-01-01 00:00:00Z'::timestamptz`
	siteSQL = `select login_base, site_id, name, enabled, pending, gone, coalesce(created,` + epoch + `) created,
		coalesce(exempt_until,` + epoch + `) exempt_until, status, coalesce(changed,` + epoch + `) changed,
		penalty_level, coalesce(last_raise,` + epoch + `) last_raise from site `
	factsSQL = `run_level, coalesce(last_contact,` + epoch + `) last_contact,
		coalesce(last_boot,` + epoch + `) last_boot,
		coalesce(last_download,` + epoch + `) last_download, coalesce(last_pcu_reboot,` + epoch + `) last_pcu_reboot,
		coalesce(last_pcu_confirmation,` + epoch + `) last_pcu_confirmation, feeds`
	nodeColumnsSQL = `node_id, hostname, site, ip, boot_state, model, ` + factsSQL + `, pcu_id as pcuid, outlet,
		coalesce(exempt_until,` + epoch + `) exempt_until, gone, status, coalesce(changed,` + epoch + `) changed,
		state, category, firewall, reason,
		coalesce(first_silent,` + epoch + `) first_silent, coalesce(bad_since,` + epoch + `) bad_since,
		judged, symptoms, ` + ruledSQL
	pcuColumnsSQL = `pcu_id as pcuid, name, site, hostname, ip, username, model, gone, status,
		coalesce(changed,` + epoch + `) changed, ok, reason,
		coalesce(bad_since,` + epoch + `) bad_since`
	uptimeSQL = `coalesce(date_part('epoch', looked.at - booted) * 1e9, 0)::bigint uptime`
)

var (
	nodeSQL = `select ` + nodeColumnsSQL + `, ` + uptimeSQL + `, coalesce(looked.at,` + epoch + `) seen_at, detail
		from node cross join lateral (select ` + seenAt("node", "node_id") + ` as at) looked `
	pcuSQL = `select ` + pcuColumnsSQL + `, coalesce(` + seenAt("pcu", "pcu_id") + `,` + epoch + `) seen_at from pcu `
)

func sitesOf(list []Site, err error) ([]Site, error) {
	for i := range list {
		list[i].Record = policy.Record{Status: list[i].Status, Changed: list[i].Changed}
	}
	return list, err
}

func nodesOf(list []Node, err error) ([]Node, error) {
	for i := range list {
		list[i].Record = policy.Record{Status: list[i].Status, Changed: list[i].Changed}
	}
	return list, err
}

func pcusOf(list []PCU, err error) ([]PCU, error) {
	for i := range list {
		list[i].Record = policy.Record{Status: list[i].Status, Changed: list[i].Changed}
	}
	return list, err
}

func first[T any](what string, list []T, err error) (T, error) {
	var zero T
	if err != nil {
		return zero, err
	}
	if len(list) == 0 {
		return zero, fmt.Errorf("%s: %w", what, ErrNotFound)
	}
	return list[0], nil
}

// Node reads one node by its exact name; ErrNotFound when PLC never had it.
func (s *Store) Node(ctx context.Context, host string) (Node, error) {
	list, err := nodesOf(many[Node](ctx, s, "node "+host, nodeSQL+`where hostname = $1`, host))
	return first("node "+host, list, err)
}

// Nodes reads nodes that are not gone, by id, at most limit above after.
func (s *Store) Nodes(ctx context.Context, after int64, limit int) ([]Node, error) {
	return nodesOf(many[Node](ctx, s, "nodes", nodeSQL+`where not gone and node_id > $1 order by node_id limit $2`,
		after, limit))
}

// NodesOfSite reads a site's nodes.
func (s *Store) NodesOfSite(ctx context.Context, site string) ([]Node, error) {
	return nodesOf(many[Node](ctx, s, "nodes of "+site, nodeSQL+`where not gone and site = $1 order by hostname`, site))
}

// NodesFedBy reads the nodes that an outlet feeds, at whatever site.
func (s *Store) NodesFedBy(ctx context.Context, f Feed) ([]Node, error) {
	return nodesOf(many[Node](ctx, s, fmt.Sprintf("nodes of outlet %d of PCU %d", f.Outlet, f.PCUID),
		nodeSQL+`where not gone and feeds @> $1::jsonb order by hostname`, feedsText([]Feed{f})))
}

// PCU reads one PCU by PLC's id.
func (s *Store) PCU(ctx context.Context, id int) (PCU, error) {
	what := fmt.Sprintf("pcu %d", id)
	list, err := pcusOf(many[PCU](ctx, s, what, pcuSQL+`where pcu_id = $1`, id))
	return first(what, list, err)
}

// PCUByName reads one PCU by its name.
func (s *Store) PCUByName(ctx context.Context, name string) (PCU, error) {
	list, err := pcusOf(many[PCU](ctx, s, "pcu "+name, pcuSQL+`where name = $1 order by gone, pcu_id limit 1`, name))
	return first("pcu "+name, list, err)
}

// PCUs reads PCUs that are not gone, by id, at most limit above after.
func (s *Store) PCUs(ctx context.Context, after int64, limit int) ([]PCU, error) {
	return pcusOf(many[PCU](ctx, s, "pcus", pcuSQL+`where not gone and pcu_id > $1 order by pcu_id limit $2`,
		after, limit))
}

// PCUPassword unseals a PCU's password. It opens only for a PCU that stands where it stood when PLC gave the password.
func (s *Store) PCUPassword(ctx context.Context, p PCU) (plc.Secret, error) {
	var text []byte
	if err := s.pool.QueryRow(ctx, `select password from pcu where pcu_id = $1`, p.PCUID).Scan(&text); err != nil {
		return "", fmt.Errorf("password of pcu %d: %w", p.PCUID, err)
	}
	plain, _, err := s.seal.open(passwordBond(p.PCUID, p.Hostname, p.IP, p.Username, p.Model), text)
	if err != nil {
		return "", fmt.Errorf("password of pcu %d: %w: %w", p.PCUID, ErrSealed, err)
	}
	return plc.Secret(plain), nil
}

// Site reads one site by its login_base.
func (s *Store) Site(ctx context.Context, loginBase string) (Site, error) {
	list, err := sitesOf(many[Site](ctx, s, "site "+loginBase, siteSQL+`where login_base = $1`, loginBase))
	return first("site "+loginBase, list, err)
}

// Sites reads all sites that are not gone.
func (s *Store) Sites(ctx context.Context) ([]Site, error) {
	return sitesOf(many[Site](ctx, s, "sites", siteSQL+`where not gone order by login_base`))
}

// SetPenaltyLevel keeps a site's penalty level, and when it was last raised.
func (s *Store) SetPenaltyLevel(ctx context.Context, site string, level int, at time.Time) error {
	_, err := s.pool.Exec(ctx, `update site set last_raise = case when $2 > penalty_level then $3 else last_raise end,
		penalty_level = $2 where login_base = $1`, site, level, at)
	return err
}

func (s *Store) send(ctx context.Context, what string, b *pgx.Batch) error {
	if b.Len() == 0 {
		return nil
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	})
}
