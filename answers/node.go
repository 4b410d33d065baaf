package answers

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// Node is all that is known of a node; lists of nodes leave its own lists out.
type Node struct {
	Hostname    string                `json:"hostname"`
	NodeID      int                   `json:"node_id"`
	Site        string                `json:"site"`
	IP          string                `json:"ip"`
	Model       string                `json:"model"`
	BootState   string                `json:"boot_state"`
	Status      policy.Status         `json:"status"`
	Since       time.Time             `json:"since,omitzero"`
	State       string                `json:"state"`
	Category    string                `json:"category"`
	Reason      string                `json:"reason"`
	Firewall    bool                  `json:"firewall"`
	Uptime      float64               `json:"uptime_seconds"`
	Seen        time.Time             `json:"seen_at,omitzero"`
	LastContact time.Time             `json:"last_contact,omitzero"`
	PCU         *PCU                  `json:"pcu,omitempty"`
	Outlet      int                   `json:"outlet,omitempty"`
	ExemptUntil time.Time             `json:"exempt_until,omitzero"`
	Gone        bool                  `json:"gone"`
	Blacklisted *store.BlacklistEntry `json:"blacklisted,omitempty"`
	Issues      []Issue               `json:"issues,omitempty"`
	History     []Passage             `json:"history,omitempty"`
	Actions     []store.Action        `json:"actions,omitempty"`
	Detail      json.RawMessage       `json:"detail,omitempty"`
}

// PCU is the PCU that feeds a node, and what was last seen of it.
type PCU struct {
	PCUID  int           `json:"pcu_id"`
	Name   string        `json:"name"`
	Model  string        `json:"model"`
	IP     string        `json:"ip"`
	Status policy.Status `json:"status"`
	OK     bool          `json:"ok"`
	Reason string        `json:"reason"`
	Seen   time.Time     `json:"seen_at,omitzero"`
}

// Site is all that is known of a site; lists of sites leave its own lists out.
type Site struct {
	LoginBase   string                `json:"login_base"`
	Name        string                `json:"name"`
	Enabled     bool                  `json:"enabled"`
	Pending     bool                  `json:"pending"`
	Gone        bool                  `json:"gone"`
	Status      policy.Status         `json:"status"`
	Since       time.Time             `json:"since,omitzero"`
	Penalty     int                   `json:"penalty_level"`
	LastRaise   time.Time             `json:"last_raise,omitzero"`
	Created     time.Time             `json:"created,omitzero"`
	ExemptUntil time.Time             `json:"exempt_until,omitzero"`
	Blacklisted *store.BlacklistEntry `json:"blacklisted,omitempty"`
	Nodes       []Node                `json:"nodes,omitempty"`
	Issues      []Issue               `json:"issues,omitempty"`
	History     []Passage             `json:"history,omitempty"`
	Actions     []store.Action        `json:"actions,omitempty"`
	People      *People               `json:"people,omitempty"`
}

// Passage is a change of what is thought of a target.
type Passage struct {
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"`
	Was    string    `json:"was"`
	Became string    `json:"became"`
	Reason string    `json:"reason"`
}

// NodeOf is a node as a list shows it.
func NodeOf(n store.Node) Node {
	return Node{
		Hostname: n.Hostname, NodeID: n.NodeID, Site: n.Site, IP: n.IP, Model: n.Model, BootState: n.BootState, Status: n.Record.Status, Since: n.Record.Changed.UTC(),
		State: n.State, Category: n.Category, Reason: n.Reason, Firewall: n.Firewall, Uptime: n.Uptime.Seconds(), Seen: n.SeenAt.UTC(),
		LastContact: n.LastContact.UTC(), Outlet: n.Outlet, ExemptUntil: n.ExemptUntil.UTC(), Gone: n.Gone,
	}
}

// SiteOf is a site as a list shows it.
func SiteOf(s store.Site) Site {
	return Site{
		LoginBase: s.LoginBase, Name: s.Name, Enabled: s.Enabled, Pending: s.Pending, Gone: s.Gone, Status: s.Record.Status, Since: s.Record.Changed.UTC(),
		Penalty: s.PenaltyLevel, LastRaise: s.LastRaise.UTC(), Created: s.Created.UTC(), ExemptUntil: s.ExemptUntil.UTC(),
	}
}

// ReadNode gathers what the store has on a node.
func ReadNode(ctx context.Context, db *store.Store, host string, now time.Time) (Node, error) {
	n, err := db.Node(ctx, host)
	if err != nil {
		return Node{}, err
	}
	v := NodeOf(n)
	v.Detail = n.Detail
	if n.PCUID != 0 {
		p, err := db.PCU(ctx, n.PCUID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return v, err
		}
		v.PCU = &PCU{PCUID: n.PCUID, Name: p.Name, Model: p.Model, IP: p.IP, Status: p.Record.Status, OK: p.OK, Reason: p.Reason, Seen: p.SeenAt.UTC()}
	}
	if v.Blacklisted, err = blacklisted(ctx, db, host, n.Site, now); err != nil {
		return v, err
	}
	if v.Issues, err = issuesOf(ctx, db, store.IssueFilter{Node: host, Limit: 20}); err != nil {
		return v, err
	}
	if v.History, err = historyOf(ctx, db, host); err != nil {
		return v, err
	}
	actions, err := db.Actions(ctx, store.ActionFilter{Node: host, Limit: 20})
	v.Actions = oldestFirst(actions)
	return v, err
}

func blacklisted(ctx context.Context, db *store.Store, node, site string, now time.Time) (*store.BlacklistEntry, error) {
	e, yes, err := db.Blacklisted(ctx, node, site, "", now)
	if err != nil || !yes {
		return nil, err
	}
	e.Starts, e.Until = e.Starts.UTC(), e.Until.UTC()
	return &e, nil
}

func issuesOf(ctx context.Context, db *store.Store, f store.IssueFilter) ([]Issue, error) {
	list, err := db.Issues(ctx, f)
	var views []Issue
	for _, i := range list {
		views = append(views, IssueOf(i))
	}
	return views, err
}

func historyOf(ctx context.Context, db *store.Store, target string) ([]Passage, error) {
	list, err := db.History(ctx, target, 20)
	slices.Reverse(list)
	var out []Passage
	for _, p := range list {
		out = append(out, Passage{p.At.UTC(), p.Kind, p.Was, p.Became, p.Reason})
	}
	return out, err
}

// ReadSite gathers what the store has on a site. What it is told and denied its workflow says: see PeopleOf.
func ReadSite(ctx context.Context, db *store.Store, loginBase string, now time.Time) (Site, error) {
	s, err := db.Site(ctx, loginBase)
	if err != nil {
		return Site{}, err
	}
	v := SiteOf(s)
	nodes, err := db.NodesOfSite(ctx, loginBase)
	if err != nil {
		return v, err
	}
	for _, n := range nodes {
		v.Nodes = append(v.Nodes, NodeOf(n))
	}
	if v.Blacklisted, err = blacklisted(ctx, db, "", loginBase, now); err != nil {
		return v, err
	}
	if v.Issues, err = issuesOf(ctx, db, store.IssueFilter{Site: loginBase, Open: true}); err != nil {
		return v, err
	}
	if v.History, err = historyOf(ctx, db, loginBase); err != nil {
		return v, err
	}
	actions, err := db.Actions(ctx, store.ActionFilter{Site: loginBase, Limit: 20})
	v.Actions = oldestFirst(actions)
	return v, err
}
