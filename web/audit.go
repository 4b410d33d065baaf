package web

import (
	"context"
	"slices"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

// auditView is who ordered what.
type auditView struct {
	Orders   []store.Ordered
	Controls []store.Control
	Site     string
}

func (s *Server) audit(r *request) (view, error) {
	if err := r.somewhere(access.SeeLedger); err != nil {
		return view{}, err
	}
	orders, err := readOnce(r.Context(), s.read, "orders", []string{"ledger", "issue"}, func(ctx context.Context) ([]store.Ordered, error) {
		return s.Store.Orders(ctx, 500)
	})
	if err != nil {
		return view{}, err
	}
	status, err := s.read.status(r.Context())
	if err != nil {
		return view{}, err
	}
	v := auditView{Orders: ownRows(r, orders, func(o *store.Ordered) string { return o.Site }), Controls: status.Orders}
	return view{Template: "audit", Title: "Who ordered what", Data: &v, Topics: []string{"ledger", "issue", "control"}}, nil
}

// exemptView is what Monitor leaves alone, and who said so.
type exemptView struct {
	Blacklist []store.BlacklistEntry
	Nodes     []exemptThing // by PLC's tag
	Sites     []exemptThing
	Disabled  []exemptThing
	Off       []exemptThing // sites that may not create slices
	Closed    []store.OperatorClosed
}

type exemptThing struct {
	Name, URL, Site, Why string
	Until, Since         time.Time
}

func (s *Server) exempt(r *request) (view, error) {
	if err := r.somewhere(access.SeeNodes); err != nil {
		return view{}, err
	}
	var v exemptView
	nodes, err := s.read.nodes(r.Context(), selection.NodeParts{})
	if err != nil {
		return view{}, err
	}
	exemptUntil, err := readOnce(r.Context(), s.read, "exempt", []string{"control"}, s.Store.Exempt)
	if err != nil {
		return view{}, err
	}
	for _, e := range exemptUntil {
		if !r.own(e.Site) || e.Until.Before(r.now) {
			continue
		}
		if e.Kind == "site" {
			v.Sites = append(v.Sites, exemptThing{Name: e.Name, URL: siteURL(e.Name), Site: e.Site, Until: e.Until})
		} else {
			v.Nodes = append(v.Nodes, exemptThing{Name: e.Name, URL: nodeURL(e.Name), Site: e.Site, Until: e.Until})
		}
	}
	for _, n := range nodes {
		if n.BootState == "disabled" && r.own(n.Site) {
			v.Disabled = append(v.Disabled, exemptThing{Name: n.Name, URL: nodeURL(n.Name), Site: n.Site, Since: n.Since, Why: n.Why})
		}
	}
	sites, err := s.read.sites(r.Context())
	if err != nil {
		return view{}, err
	}
	for _, x := range sites {
		if r.own(x.LoginBase) && (!x.Enabled || x.Pending) {
			t := exemptThing{Name: x.LoginBase, URL: siteURL(x.LoginBase), Site: x.LoginBase, Since: x.Changed}
			switch {
			case x.Pending:
				t.Why = "its registration waits to be enabled"
			case x.PenaltyLevel > 0:
				t.Why = "by Monitor's penalty"
			default:
				t.Why = "in PLC"
			}
			v.Off = append(v.Off, t)
		}
	}
	return v.readOrders(s, r)
}

func (v *exemptView) readOrders(s *Server, r *request) (view, error) {
	ctx := r.Context()
	entries, err := readOnce(ctx, s.read, "blacklist", []string{"control"}, s.Store.Blacklist)
	if err != nil {
		return view{}, err
	}
	siteOf := map[string]string{}
	if !r.fleetwide() {
		if siteOf, err = s.siteOfTargets(ctx); err != nil {
			return view{}, err
		}
	}
	for _, e := range entries {
		if (e.Until.IsZero() || e.Until.After(r.now)) && r.own(siteOf[e.Kind+"/"+e.Target]) {
			v.Blacklist = append(v.Blacklist, e)
		}
	}
	closed, err := readOnce(ctx, s.read, "left closed", []string{"control"}, s.Store.LeftClosed)
	if err != nil {
		return view{}, err
	}
	for _, o := range closed {
		if r.fleetwide() {
			v.Closed = append(v.Closed, o)
		}
	}
	slices.SortFunc(v.Closed, func(a, b store.OperatorClosed) int { return b.At.Compare(a.At) })
	return view{Template: "exempt", Title: "Left alone", Data: v, Topics: []string{"control", "status"}}, nil
}

// siteOfTargets says which site a target of the blacklist belongs to.
func (s *Server) siteOfTargets(ctx context.Context) (map[string]string, error) {
	of := map[string]string{}
	nodes, err := s.read.nodes(ctx, selection.NodeParts{})
	for _, n := range nodes {
		of["node/"+n.Name], of["site/"+n.Site] = n.Site, n.Site
	}
	if err != nil {
		return of, err
	}
	pcus, err := s.read.pcus(ctx)
	for _, p := range pcus {
		of["pcu/"+p.Name] = p.Site
	}
	return of, err
}
