package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/planetlab/monitor/testbed/rig"
)

const (
	scrapedNodes  = 10_000
	scrapedIssues = 1_000   // open ones; ten times as many are closed
	scrapedLedger = 200_000 // lines, of 90 days
	scrapes       = 21
	mostScrape    = 50 * time.Millisecond
	mostScraped   = 100_000 // bytes, not compressed
)

// benchMetrics measures what a worker answers Prometheus, Temporal's SDK included, where the fleet is large and in trouble.
func benchMetrics(ctx context.Context, out io.Writer) error {
	return withBench(ctx, out, benchFleet(20), func(r *rig.Rig) error {
		fmt.Fprintf(out, "\nfilling its store with %d nodes, %d open issues and %d lines of the ledger ...\n", scrapedNodes, scrapedIssues, scrapedLedger)
		if _, err := r.Store.SaveSnapshot(ctx, fleetOf(scrapedNodes), true); err != nil {
			return err
		}
		if err := fillPast(ctx, r.Database); err != nil {
			return err
		}
		var took []time.Duration
		size := 0
		for range scrapes {
			start := time.Now()
			text, err := scrape(ctx, r)
			if err != nil {
				return err
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
		return errors.Join(append(errs, small(size))...)
	})
}

// scrape is what the first worker answers Prometheus.
func scrape(ctx context.Context, r *rig.Rig) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Workers[0].Health()+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, errors.Join(err, fmt.Errorf("scrape: %s", resp.Status))
	}
	return text, nil
}

func small(size int) error {
	if size > mostScraped {
		return fmt.Errorf("a scrape has %d bytes, more than %d", size, mostScraped)
	}
	return nil
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
