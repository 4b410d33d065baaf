package web

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/api"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/store"
)

// Open makes the pages that a configuration asks for, with the API beside them, and says where they are served. The news
// are those of the store, which the caller runs; runs carries out what the API has run on nodes, or nothing where it is nil.
func Open(cfg *config.Config, db *store.Store, news *store.News, tc client.Client, runs *orders.Runs,
	log *slog.Logger) (*Server, Place, error) {
	place := Place{Listen: cfg.Web.Listen, BehindProxy: cfg.HTTP.BehindProxy}
	var err error
	if place.TLS, err = cfg.HTTP.TLSConfig(); err != nil {
		return nil, place, err
	}
	o := Options{
		Store: db, News: news, Temporal: tc, Policy: cfg.Policy.InRealTime(), Groups: cfg.Groups, Log: log,
		Public: Public(cfg.Web.Public), TemporalUI: cfg.Web.TemporalUI, Namespace: cfg.Temporal.Namespace,
		PLCPages: cfg.Mail.Pages, TicketURL: cfg.RT.URL, Secure: cfg.Secure(), BehindProxy: cfg.HTTP.BehindProxy,
		SweepEvery: max(time.Second, cfg.Policy.RealTime(cfg.Sweep.Every)),
		People:     People{Operators: cfg.Web.Operators, Admins: cfg.Web.Admins},
	}
	if cfg.Web.PLCLogin && cfg.PLC.URL != "" {
		api, err := connect.PLC(cfg.PLC)
		if err != nil {
			return nil, place, err
		}
		o.PLC = api
	}
	if w := cfg.Web; w.OIDCIssuer != "" {
		o.OIDC = &OIDC{Issuer: w.OIDCIssuer, ClientID: w.OIDCClientID, ClientSecret: w.OIDCClientSecret.Reveal(),
			Name: w.OIDCName, Callback: strings.TrimRight(w.URL, "/") + "/sign-in/oidc/callback", RolesClaim: w.OIDCRolesClaim,
			Viewers: w.OIDCViewers, Operators: w.OIDCOperators, Admins: w.OIDCAdmins}
	}
	if o.Links, err = openLinks(cfg, db, tc, log); err != nil {
		return nil, place, err
	}
	if o.API, err = NewAPI(cfg, db, news, tc, runs, log); err != nil {
		return nil, place, err
	}
	pages, err := New(o)
	return pages, place, err
}

// NewAPI makes the API that a configuration asks for. PLC is asked with Monitor's account, where this machine has it.
func NewAPI(cfg *config.Config, db *store.Store, news *store.News, tc client.Client, runs *orders.Runs,
	log *slog.Logger) (http.Handler, error) {
	models, err := connect.PCUs(cfg.PCU)
	if err != nil {
		return nil, err
	}
	var account *plc.Client
	if cfg.Require("plc") == nil {
		if account, err = connect.PLC(cfg.PLC); err != nil {
			return nil, err
		}
	}
	return api.New(api.Options{Store: db, Temporal: tc, News: news, Groups: cfg.Groups, Models: models, Runs: runs, PLC: account,
		Log: log, Who: api.NewTokens(db, cfg.HTTP.BehindProxy, time.Now)}), nil
}
