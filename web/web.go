// Package web serves Monitor's pages: what is known of the fleet, why Monitor does what it does, and the forms by which
// people give it orders. It reads from Postgres, asks Temporal for what is live, and acts only through the orders that
// the command line gives, too.
//
// A page is a function that gathers data (fleet.go, issue.go, node.go and their like) and a template of the same name.
// list.go draws every table of rows, by the language of package selection. All pages work without JavaScript; with it,
// live.go tells an open page that something changed, and the page fetches itself again: drawing.go then draws it once for
// all who have the same rights.
package web

import (
	"context"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/api"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/web/links"
)

// Options are what the pages need.
type Options struct {
	Store    *store.Store
	News     *store.News   // of the store, which somebody runs
	Temporal client.Client // nil: what only running workflows know is left out
	Policy   policy.Policy // in real time
	Groups   map[string]string
	Log      *slog.Logger
	Now      func() time.Time // time.Now

	Public     Public
	TemporalUI string // URL of Temporal's Web UI; empty: no links to it
	Namespace  string // in Temporal
	PLCPages   string // URL of PLC's own pages; empty: no links to them
	TicketURL  string // URL of the ticket tracker
	SweepEvery time.Duration

	PLC    PLC // nil: nobody signs in with an account at PLC
	People People
	OIDC   *OIDC // nil: no provider
	Secure bool  // people come over TLS
	// BehindProxy says that only a proxy reaches the pages, which says from where people come.
	BehindProxy bool

	Links http.Handler // the pages behind links in mails (web/links); nil: none
	API   http.Handler // the API, at the same address, for tokens alone; nil: none

	Testbed Testbed // the world of a demo; nil: this is none
}

// Public is what people see who have not signed in.
type Public string

// What may be public.
const (
	PublicOff    Public = "off"    // nothing but the sign-in page
	PublicStatus Public = "status" // states, since when, nodes up of a site, planned downtimes; nothing else
	PublicFull   Public = "full"   // every page, but no forms
)

// Server has the pages.
type Server struct {
	Options
	read      *reader
	live      *hub
	drawings  *drawings
	templates map[string]*template.Template
	assets    *assets

	sessions             *scs.SessionManager
	rolesOf              func(ctx context.Context, email string) (access.Role, []string, error)
	oidc                 *oidcClient
	byAccount, byAddress *limiter
}

// New makes the pages. Watch must run beside them for pages that are open to hear of changes.
func New(o Options) (*Server, error) {
	if o.Store == nil || o.News == nil {
		return nil, errors.New("web: a store and its news are needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{Options: o, live: newHub(), sessions: newSessions(o.Store, o.Secure, o.Log),
		byAccount: newLimiter(5, 10*time.Second, 15*time.Minute), byAddress: newLimiter(30, 10*time.Second, 15*time.Minute)}
	if o.PLC != nil {
		s.rolesOf = s.plcRoles
	}
	if o.OIDC != nil {
		s.oidc = &oidcClient{OIDC: *o.OIDC, name: o.OIDC.Name}
	}
	s.read, s.drawings = newReader(o, s.live), &drawings{live: s.live, kept: map[string]*drawing{}}
	var err error
	if s.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	s.templates, err = loadTemplates(s.assets, o.Now)
	return s, err
}

// Watch hears what changes and tells the pages that are open, until the context ends.
func (s *Server) Watch(ctx context.Context) {
	s.News.Watch(s.live.tell)
	s.live.run(ctx)
}

// Handler serves the pages.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /assets/{hash}/{name}", s.assets)
	mux.HandleFunc("GET /live", s.serveLive)
	mux.HandleFunc("POST /sign-in/token", s.giveToken)
	for pattern, p := range map[string]page{
		"GET /{$}":                    s.shared(s.fleet),
		"GET /issues":                 s.shared(s.issues),
		"GET /issues/{type}/{target}": s.issue,
		"GET /nodes":                  s.shared(s.nodes),
		"GET /nodes/{host}":           s.node,
		"GET /nodes/{host}/boot-log":  s.bootLog,
		"GET /sites":                  s.shared(s.sites),
		"GET /sites/{login}":          s.site,
		"GET /pcus":                   s.shared(s.pcus),
		"GET /pcus/{id}":              s.pcu,
		"GET /ledger":                 s.shared(s.ledger),
		"GET /ledger/entry":           s.entry,
		"GET /agenda":                 s.shared(s.agenda),
		"GET /sequences":              s.sequences,
		"GET /audit":                  s.audit,
		"GET /exempt":                 s.exempt,
		"GET /explain":                s.explain,
		"GET /jump":                   s.jump,
		"POST /act/preview":           s.preview,
		"POST /act":                   s.carryOut,
		"GET /legend":                 s.legend,
		"GET /status":                 s.status,
		"GET /sign-in":                s.signInPage,
		"POST /sign-in":               s.takeSignIn,
		"POST /sign-out":              s.signOut,
		"GET /sign-in/oidc":           s.startOIDC,
		"GET /sign-in/oidc/callback":  s.endOIDC,
	} {
		mux.Handle(pattern, s.serve(p))
	}
	if s.Testbed != nil {
		mux.Handle("POST /nodes/{host}/testbed", s.serve(s.tamper))
		mux.Handle("POST /testbed", s.serve(s.setSpeed))
	}
	mux.Handle("GET /", s.serve(func(r *request) (view, error) { return view{}, notFound("there is no page %s", r.URL.Path) }))
	pages := s.protect(parts(s.sessions.LoadAndSave(s.identify(mux))))
	outer := http.NewServeMux()
	outer.Handle("/", pages)
	for prefix, h := range map[string]http.Handler{api.Prefix + "/": s.API, links.Prefix: s.Links} {
		if h != nil { // these have guards of their own, and know no sessions
			outer.Handle(prefix, h)
		}
	}
	return outer
}
