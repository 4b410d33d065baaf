package web

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/answers"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// siteView is all that is known of a site.
type siteView struct {
	store.Site
	Strip    strip
	Levels   strip
	Nodes    []store.Node
	Up       int
	PCUs     []store.PCU
	Issues   []store.Issue
	People   []store.Person
	MayMails bool
	Mails    []mailView
	Claims   []store.Claim
	Actions  []store.Action
	MayDone  bool
	Changes  []store.Passage
	Silenced *store.BlacklistEntry
	State    *sites.State
	Holders  []holdView
	Coming   []sites.Coming
	Missing  string // why what only its workflow knows is not shown
	PLC      string
	Ticket   string
	Orders   orderable
}

type holdView struct {
	Issue string
	Level int
	sites.Hold
}

func (s *Server) site(r *request) (view, error) {
	if err := r.somewhere(access.SeeSites); err != nil {
		return view{}, err
	}
	login := r.PathValue("login")
	x, err := s.Store.Site(r.Context(), login)
	if errors.Is(err, store.ErrNotFound) || err == nil && r.must(access.SeeSites, login) != nil {
		return view{}, notFound("There is no site %s.", login)
	}
	if err != nil {
		return view{}, err
	}
	v := siteView{Site: x, MayDone: r.may(access.SeeLedger, login), MayMails: r.may(access.SeeMail, login)}
	for _, read := range []func(*Server, *request) error{v.readParts, v.readHistory, v.readDone} {
		if err := read(s, r); err != nil {
			return view{}, err
		}
	}
	v.askWorkflow(s, r)
	if s.PLCPages != "" {
		v.PLC = strings.TrimRight(s.PLCPages, "/") + "/db/sites/site.php?" + url.Values{"id": {fmt.Sprint(x.SiteID)}}.Encode()
	}
	v.Orders = s.orderable(r, "sites", login, login)
	return view{Template: "site", Title: login, Data: &v, Topics: []string{"status", "issue", "ledger", "control"}}, nil
}

func (v *siteView) readParts(s *Server, r *request) (err error) {
	ctx := r.Context()
	if v.Nodes, err = s.Store.NodesOfSite(ctx, v.LoginBase); err != nil {
		return err
	}
	for _, n := range v.Nodes {
		if n.Record.Status.Healthy() {
			v.Up++
		}
	}
	if v.PCUs, err = s.Store.PCUsOfSite(ctx, v.LoginBase); err != nil {
		return err
	}
	if v.Issues, err = s.Store.Issues(ctx, store.IssueFilter{Site: v.LoginBase, Open: true}); err != nil {
		return err
	}
	if v.MayMails {
		v.People, err = s.Store.PeopleOf(ctx, v.LoginBase)
	}
	return err
}

func (v *siteView) readHistory(s *Server, r *request) (err error) {
	ctx, since := r.Context(), r.now.Add(-days*s.Policy.Day)
	if v.Changes, err = s.Store.StatusHistory(ctx, "site", v.LoginBase, since); err != nil {
		return err
	}
	v.Strip = drawStrip("Status of "+v.LoginBase, v.Changes, r.now, s.Policy.Day)
	slices.Reverse(v.Changes)
	claims, err := s.Store.Claims(ctx, store.ClaimFilter{Site: v.LoginBase, Released: true})
	if err != nil {
		return err
	}
	v.Levels = drawPenalty(claims, r.now, s.Policy.Day)
	v.Claims = slices.DeleteFunc(claims, func(c store.Claim) bool { return !c.Released.IsZero() })
	return nil
}

func (v *siteView) readDone(s *Server, r *request) (err error) {
	ctx := r.Context()
	if v.MayDone {
		if v.Actions, err = s.Store.Actions(ctx, store.ActionFilter{Site: v.LoginBase, Limit: 50}); err != nil {
			return err
		}
	}
	if v.MayMails {
		sent, err := s.Store.Actions(ctx, store.ActionFilter{Site: v.LoginBase, Kind: store.KindNotice, Limit: 20})
		if err != nil {
			return err
		}
		v.Mails = mailsIn(sent)
	}
	e, listed, err := s.Store.Blacklisted(ctx, "", v.LoginBase, "", r.now)
	if listed {
		v.Silenced = &e
	}
	return err
}

// askWorkflow asks the workflow of the site what it is told and denied; a site of which nothing is held has none.
func (v *siteView) askWorkflow(s *Server, r *request) {
	state, err := answers.SiteState(r.Context(), s.Temporal, v.LoginBase)
	switch {
	case errors.Is(err, answers.ErrNoWorkflow):
		return
	case err != nil:
		v.Missing = "What is said and held now is not shown: " + err.Error()
		return
	}
	v.State, v.Coming = &state, state.Coming(r.now)
	for _, id := range state.Holders(0) {
		v.Holders = append(v.Holders, holdView{id, state.Holds[id].Level, state.Holds[id]})
	}
	if state.Ticket.ID != 0 {
		v.Ticket = fmt.Sprint(state.Ticket.ID)
		if s.TicketURL != "" {
			v.Ticket = strings.TrimRight(s.TicketURL, "/") + "/Ticket/Display.html?" + url.Values{"id": {v.Ticket}}.Encode()
		}
	}
}
