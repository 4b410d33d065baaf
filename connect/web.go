package connect

import (
	"log/slog"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/web"
)

// Pages are the pages for people, and where they are served.
func Pages(cfg *config.Config, db *store.Store, tc client.Client, log *slog.Logger) (*web.Server, web.Place, error) {
	place := web.Place{Listen: cfg.Web.Listen, BehindProxy: cfg.HTTP.BehindProxy}
	var err error
	if place.TLS, err = cfg.HTTP.TLSConfig(); err != nil {
		return nil, place, err
	}
	o := web.Options{
		Store: db, Temporal: tc, Policy: cfg.Policy.InRealTime(), Groups: cfg.Groups, Log: log,
		Public: web.Public(cfg.Web.Public), TemporalUI: cfg.Web.TemporalUI, Namespace: cfg.Temporal.Namespace,
		PLCPages: cfg.Mail.Pages, TicketURL: cfg.RT.URL, Secure: cfg.Secure(),
		SweepEvery: max(time.Second, cfg.Policy.RealTime(cfg.Sweep.Every)),
		People:     web.People{Operators: cfg.Web.Operators, Admins: cfg.Web.Admins},
	}
	if cfg.Web.PLCLogin && cfg.PLC.URL != "" {
		api, err := PLC(cfg.PLC)
		if err != nil {
			return nil, place, err
		}
		o.PLC = api
	}
	if w := cfg.Web; w.OIDCIssuer != "" {
		o.OIDC = &web.OIDC{Issuer: w.OIDCIssuer, ClientID: w.OIDCClientID, ClientSecret: w.OIDCClientSecret.Reveal(),
			Name: w.OIDCName, Callback: strings.TrimRight(w.URL, "/") + "/sign-in/oidc/callback", RolesClaim: w.OIDCRolesClaim,
			Viewers: w.OIDCViewers, Operators: w.OIDCOperators, Admins: w.OIDCAdmins}
	}
	pages, err := web.New(o)
	return pages, place, err
}
