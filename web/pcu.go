package web

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/store"
)

// pcuView is all that is known of a PCU; never its password.
type pcuView struct {
	store.PCU
	Strip    strip
	Outlets  []outletView
	Issues   []store.Issue
	Changes  []store.Passage
	Owed     []store.Claim
	Silenced *store.BlacklistEntry
	MayDone  bool
	PLC      string
	Reach    []fact
	Orders   orderable
}

type outletView struct {
	Outlet int
	Node   store.Node
}

func (s *Server) pcu(r *request) (view, error) {
	if err := r.somewhere(access.SeePCUs); err != nil {
		return view{}, err
	}
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		return view{}, notFound("There is no PCU %s.", r.PathValue("id"))
	}
	p, err := s.Store.PCU(r.Context(), id)
	if errors.Is(err, store.ErrNotFound) || err == nil && r.must(access.SeePCUs, p.Site) != nil {
		return view{}, notFound("There is no PCU %d.", id)
	}
	if err != nil {
		return view{}, err
	}
	v := pcuView{PCU: p, MayDone: r.may(access.SeeLedger, p.Site)}
	if err := v.read(s, r); err != nil {
		return view{}, err
	}
	v.Orders = s.orderable(r, "pcus", p.Name, p.Site)
	return view{Template: "pcu", Title: "PCU " + p.Name, Data: &v, Topics: []string{"status", "issue", "ledger", "control"}}, nil
}

func (v *pcuView) read(s *Server, r *request) (err error) {
	ctx := r.Context()
	if v.Changes, err = s.Store.StatusHistory(ctx, "pcu", fmt.Sprint(v.PCUID), r.now.Add(-days*s.Policy.Day)); err != nil {
		return err
	}
	v.Strip = drawStrip("Dry runs of "+v.Name, v.Changes, r.now, s.Policy.Day)
	slices.Reverse(v.Changes)
	nodes, err := s.Store.NodesOfSite(ctx, v.Site)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		for _, f := range n.Feeds {
			if f.PCUID == v.PCUID {
				v.Outlets = append(v.Outlets, outletView{f.Outlet, n})
			}
		}
	}
	slices.SortFunc(v.Outlets, func(a, b outletView) int { return a.Outlet - b.Outlet })
	all, err := s.Store.Issues(ctx, store.IssueFilter{Site: v.Site, Limit: 500})
	if err != nil {
		return err
	}
	v.Issues = slices.DeleteFunc(all, func(i store.Issue) bool { return i.PCUID != v.PCUID || i.Node != "" })
	owed, err := s.Store.Claims(ctx, store.ClaimFilter{Kind: store.ClaimOutlet, Site: v.Site})
	if err != nil {
		return err
	}
	v.Owed = slices.DeleteFunc(owed, func(c store.Claim) bool { return !strings.HasPrefix(c.Target, fmt.Sprintf("%d/", v.PCUID)) })
	e, listed, err := s.Store.Blacklisted(ctx, "", v.Site, v.Name, r.now)
	if listed {
		v.Silenced = &e
	}
	if v.Reach = reachPCU(v.PCU, 0); s.PLCPages != "" {
		v.PLC = strings.TrimRight(s.PLCPages, "/") + "/db/sites/pcu.php?" + url.Values{"id": {fmt.Sprint(v.PCUID)}}.Encode()
	}
	return err
}
