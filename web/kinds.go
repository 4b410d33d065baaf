package web

import (
	"context"
	"net/url"
	"slices"
	"strconv"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/selection"
)

func issueTypes() (types []string) {
	for _, t := range issue.Types() {
		types = append(types, t.Name)
	}
	return types
}

// ownRows are the rows that a visitor may see.
func ownRows[T any](r *request, rows []T, site func(*T) string) []T {
	if r.fleetwide() {
		return rows
	}
	return slices.DeleteFunc(slices.Clone(rows), func(row T) bool { return !r.own(site(&row)) })
}

func (s *Server) nodes(r *request) (view, error) {
	if err := r.somewhere(access.SeeNodes); err != nil {
		return view{}, err
	}
	return list[selection.Node]{
		Kind: "nodes", Title: "Nodes", About: "Every node that PLC has, with what the last look found.",
		table:  selection.Nodes(issueTypes()),
		brief:  []string{"name", "site", "status", "since", "boot_state", "state", "pcu", "issues", "why"},
		sort:   []string{"-bad_age"}, // what is not well first, the longest first
		facets: []string{"status", "state", "boot_state"},
		topics: []string{"status", "issue", "control"},
		read: func(ctx context.Context, uses func(string) bool) ([]selection.Node, error) {
			rows, err := s.read.nodes(ctx, selection.NodePartsOf(uses))
			return ownRows(r, rows, func(n *selection.Node) string { return n.Site }), err
		},
		link: func(field string, n *selection.Node) string {
			switch field {
			case "name":
				return nodeURL(n.Name)
			case "site":
				return siteURL(n.Site)
			case "pcu":
				return listURL("pcus", "site="+n.Site)
			}
			return ""
		},
		buttons: buttonsFor(r, "nodes"),
		more:    func(n *selection.Node) rowMore { return rowMore{Key: n.Name} },
	}.show(s, r)
}

func (s *Server) sites(r *request) (view, error) {
	if err := r.somewhere(access.SeeSites); err != nil {
		return view{}, err
	}
	return list[selection.Site]{
		Kind: "sites", Title: "Sites", About: "Every site, with what it is denied and how many of its nodes are up.",
		table:  selection.Sites(issueTypes()),
		brief:  []string{"site", "name", "status", "since", "penalty", "nodes", "nodes_up", "pcus", "issues"},
		facets: []string{"status"},
		topics: []string{"status", "issue", "ledger", "control"},
		read: func(ctx context.Context, _ func(string) bool) ([]selection.Site, error) {
			rows, err := s.read.sites(ctx)
			return ownRows(r, rows, func(x *selection.Site) string { return x.LoginBase }), err
		},
		link: func(field string, x *selection.Site) string {
			switch field {
			case "site", "name":
				return siteURL(x.LoginBase)
			case "nodes":
				return listURL("nodes", "site="+x.LoginBase)
			case "pcus":
				return listURL("pcus", "site="+x.LoginBase)
			}
			return ""
		},
		buttons: buttonsFor(r, "sites"),
		more:    func(x *selection.Site) rowMore { return rowMore{Key: x.LoginBase} },
	}.show(s, r)
}

func (s *Server) pcus(r *request) (view, error) {
	if err := r.somewhere(access.SeePCUs); err != nil {
		return view{}, err
	}
	return list[selection.PCU]{
		Kind: "pcus", Title: "PCUs", About: "Every power control unit, with how its last dry run went.",
		table:  selection.PCUs(issueTypes()),
		brief:  []string{"name", "site", "model", "status", "ok", "seen", "nodes", "issues", "why"},
		facets: []string{"status", "model"},
		topics: []string{"status", "issue"},
		read: func(ctx context.Context, _ func(string) bool) ([]selection.PCU, error) {
			rows, err := s.read.pcus(ctx)
			return ownRows(r, rows, func(p *selection.PCU) string { return p.Site }), err
		},
		link: func(field string, p *selection.PCU) string {
			switch field {
			case "name", "id":
				return pcuURL(p.PCUID)
			case "site":
				return siteURL(p.Site)
			}
			return ""
		},
		buttons: buttonsFor(r, "pcus"),
		more:    func(p *selection.PCU) rowMore { return rowMore{Key: p.Name} },
	}.show(s, r)
}

func (s *Server) issues(r *request) (view, error) {
	if err := r.somewhere(access.SeeIssues); err != nil {
		return view{}, err
	}
	q := r.URL.Query()
	closed := q.Get("closed") == "1"
	brief := []string{"id", "site", "status", "penalty", "opened", "next", "next_at", "cause"}
	if closed {
		brief = []string{"id", "site", "status", "opened", "closed", "outcome", "cause"}
	}
	v, err := list[selection.Issue]{
		Kind: "issues", Title: "Issues", About: "What is wrong, and what comes next of it.",
		table:  selection.Issues(issueTypes()),
		brief:  brief,
		facets: []string{"status", "type"},
		topics: []string{"issue", "control"},
		read: func(ctx context.Context, _ func(string) bool) ([]selection.Issue, error) {
			rows, err := s.read.issues(ctx, closed)
			return ownRows(r, rows, func(i *selection.Issue) string { return i.Site }), err
		},
		link: func(field string, i *selection.Issue) string {
			switch field {
			case "id":
				return episodeURL(i.ID, i.RunID, i.Status)
			case "site":
				return siteURL(i.Site)
			case "node":
				if i.Node != "" {
					return nodeURL(i.Node)
				}
			}
			return ""
		},
		buttons: buttonsFor(r, "issues"),
		more: func(i *selection.Issue) rowMore {
			if i.Status == string(issue.Closed) {
				return rowMore{}
			}
			return rowMore{Key: i.ID}
		},
	}.show(s, r)
	if l, is := v.Data.(listing); is {
		l.Options = []option{
			{"open", with("/issues", q, "closed", ""), !closed},
			{"closed, too", with("/issues", q, "closed", "1"), closed},
		}
		v.Data = l
	}
	return v, err
}

func (s *Server) ledger(r *request) (view, error) {
	if err := r.somewhere(access.SeeLedger); err != nil {
		return view{}, err
	}
	return list[selection.Action]{
		Kind: "ledger", Title: "Ledger",
		About:  "All that Monitor did, was asked to do, or chose not to do, the latest first; the last " + strconv.Itoa(mostRows) + " lines.",
		table:  selection.Ledger(),
		brief:  []string{"at", "kind", "site", "node", "outcome", "reason", "detail", "key"},
		facets: []string{"kind", "outcome"},
		topics: []string{"ledger"},
		read: func(ctx context.Context, _ func(string) bool) ([]selection.Action, error) {
			rows, err := s.read.ledger(ctx)
			return ownRows(r, rows, func(a *selection.Action) string { return a.Site }), err
		},
		link: func(field string, a *selection.Action) string {
			switch field {
			case "key":
				return entryURL(a.Key)
			case "site":
				if a.Site != "" {
					return siteURL(a.Site)
				}
			case "node":
				if a.Node != "" {
					return nodeURL(a.Node)
				}
			}
			return ""
		},
	}.show(s, r)
}

// rowsOf are the keys of all rows that a list shows under an address, over all its pages: for an order about all of
// them.
func (s *Server) rowsOf(r *request, of, address string) ([]string, error) {
	u, err := url.Parse(nextOf(address))
	show, known := map[string]page{"nodes": s.nodes, "sites": s.sites, "pcus": s.pcus, "issues": s.issues}[of]
	if err != nil || !known || u.Path != "/"+of {
		return nil, badInput("That is no list.")
	}
	q := u.Query()
	q.Del("format")
	u.RawQuery = q.Encode()
	again := r.Request.Clone(r.Context())
	again.URL = u
	v, err := show(&request{Request: again, now: r.now, who: r.who})
	if err != nil {
		return nil, err
	}
	l, is := v.Data.(listing)
	if !is || l.Error != "" {
		return nil, badInput("%s", l.Error)
	}
	return l.keys, nil
}
