package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/planetlab/monitor/metrics"
	"github.com/planetlab/monitor/policy"
)

const (
	scrapedNodes  = 10_000
	scrapedIssues = 1_000   // open ones; ten times as many are closed
	scrapedLedger = 200_000 // lines, of 90 days
	scrapes       = 21
	mostScrape    = 50 * time.Millisecond
	mostScraped   = 100_000 // bytes, not compressed
)

// benchMetrics measures a scrape of a large fleet in trouble. The median of its scrapes counts: the first one reads what is not in memory.
func benchMetrics(ctx context.Context, out io.Writer) error {
	db, url, drop, err := benchStore(ctx, out, scrapedNodes,
		fmt.Sprintf(", %d open issues and %d lines of the ledger", scrapedIssues, scrapedLedger))
	if err != nil {
		return err
	}
	defer drop()
	if err := fillPast(ctx, url); err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(&metrics.Stored{Store: db, Policy: policy.Defaults(24 * time.Hour), Mode: policy.ModeAct, Every: 30 * time.Minute, Log: slog.New(slog.DiscardHandler)})
	metrics.NewCounted(registry)
	web := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	defer web.Close()
	var took []time.Duration
	size := 0
	for range scrapes {
		start := time.Now()
		resp, err := http.Get(web.URL)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			return fmt.Errorf("scrape: %s, %w", resp.Status, err)
		}
		took, size = append(took, time.Since(start)), len(text)
	}
	slices.Sort(took)
	median := took[len(took)/2]
	fmt.Fprintf(out, "\nscrape:     %s in the middle of %d, %s at the most, %d bytes\n", median.Round(10*time.Microsecond), scrapes,
		took[len(took)-1].Round(10*time.Microsecond), size)
	var errs []error
	if median > mostScrape {
		errs = append(errs, fmt.Errorf("a scrape took %s, more than %s", median, mostScrape))
	}
	if size > mostScraped {
		errs = append(errs, fmt.Errorf("a scrape has %d bytes, more than %d", size, mostScraped))
	}
	return errors.Join(errs...)
}

// fillPast writes issues and ledger as they would be after some months. An issue's state is as large as those of the smoke test are.
func fillPast(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, sql := range []struct {
		text string
		args []any
	}{
		{`update node set detail = jsonb_build_object('dns', 'ok', 'said', repeat('x', 600)), status = case node_id % 10 when 0 then 'down' else 'good' end`, nil},
		{`insert into issue (id, run_id, type, target, node, site, pcu, status, rung, level, opened, closed, next, outcome, cause, state)
			select 'nodedown/n'||n||'.example', 'r'||n, 'nodedown', 'n'||n||'.example', 'n'||n||'.example', 's1', 0,
			case when n <= $1 then 'open' else 'closed' end, 'reboot', 0, now() - interval '3 days', case when n > $1 then now() end, '', '', 'down',
			jsonb_build_object('blocked', jsonb_build_object('check', 'budget', 'reason', 'spent'), 'events', repeat(md5(n::text), 100))
			from generate_series(1, $1 * 11) n`, []any{scrapedIssues}},
		{`insert into action (key, kind, issue, node, site, pcu, reason, at, committed, outcome)
			select 'k'||n, (array['reboot','reinstall','notice','flag','skip','penalty'])[1 + n % 6], 'i', 'n', 's', 0, 'because', now() - n * interval '39 seconds',
			now(), (array['done','failed','ambiguous','sent'])[1 + n % 4] from generate_series(1, $1::int) n`, []any{scrapedLedger}},
		{`analyze`, nil},
	} {
		if _, err := conn.Exec(ctx, sql.text, sql.args...); err != nil {
			return fmt.Errorf("fill the store: %w", err)
		}
	}
	return nil
}
