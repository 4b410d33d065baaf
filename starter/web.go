package main

import (
	"context"
	"log/slog"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/web"
)

// web serves the pages alone, for a machine that is not the worker's.
func (a *app) web() *cobra.Command {
	return &cobra.Command{
		Use: "web", Short: "Serve the pages for people", Args: takes(),
		Long: `Serve Monitor's pages on web.listen, until Ctrl-C. The worker serves them, too; this is for a machine of their own, or for
looking on while no worker runs. Beyond this machine they are served only over TLS (http.tls_cert_file) or behind a proxy
(http.behind_proxy).`,
		Example: `  monitor web
  monitor web --set web.listen=127.0.0.1:9000`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.config("database", "web")
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			db, err := a.openStore(ctx)
			if err != nil {
				return err
			}
			defer db.Close()
			return a.servePages(ctx, cfg, db)
		},
	}
}

// servePages shows what needs Temporal where Temporal answers now.
func (a *app) servePages(ctx context.Context, cfg *config.Config, db *store.Store) error {
	tc, err := a.openTemporalSoon(ctx)
	if err != nil {
		a.warn("what only running workflows know is not shown: %v", err)
		tc = nil
	} else {
		defer tc.Close()
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	news := store.NewsOf(db, log)
	runs := web.OpenRuns(cfg, db, log)
	defer runs.Close()
	pages, place, err := web.Open(cfg, db, news, tc, runs, log)
	if err != nil {
		return err
	}
	go news.Run(ctx)
	scheme := "http"
	if place.TLS != nil {
		scheme = "https"
	}
	return pages.Serve(ctx, place, func(at net.Addr) { a.say("serving %s://%s", scheme, at) })
}
