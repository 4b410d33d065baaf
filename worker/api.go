package main

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/api"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/web"
	"github.com/planetlab/monitor/web/links"
)

func serveAPI(mux *http.ServeMux, cfg *config.Config, db *store.Store, news *store.News, tc client.Client,
	runs *orders.Runs, log *slog.Logger) error {
	handler, err := web.NewAPI(cfg, db, news, tc, runs, log)
	if err == nil {
		mux.Handle(api.Prefix+"/", handler)
	}
	return err
}

// linkTo answers the address of the page of an issue for the people of its site; nil: mails have none.
func linkTo(cfg *config.Config) (activities.Linker, error) {
	l, err := web.Links(cfg)
	if err != nil || !l.Any() {
		return nil, err
	}
	return func(ref issue.Ref, now time.Time) string {
		k := access.Link{Issue: ref.ID, Site: ref.Site, Made: now, Expires: now.Add(access.LinkGood)}
		return strings.TrimRight(cfg.Web.URL, "/") + links.Prefix + l.Make(k)
	}, nil
}
