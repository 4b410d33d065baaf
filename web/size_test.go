package web

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/testbed/large"
)

// largeFleet makes the fleet of the fixture a large one.
func largeFleet(b testing.TB, f *fixture) {
	b.Helper()
	f.must(b, large.Fill(context.Background(), f.url, issue.NodeDown+"/planetlab1.huji.example"))
}

// changing has the fleet change twice a second, until the benchmark ends.
func changing(b *testing.B, f *fixture) {
	ctx, cancel := context.WithCancel(context.Background())
	b.Cleanup(cancel)
	go func() {
		for ; ctx.Err() == nil; time.Sleep(500 * time.Millisecond) {
			_ = f.Note(ctx, noted("s1", time.Now().String()))
		}
	}()
}

// took reports the p50 and the p99 of what a visitor waits.
func took(b *testing.B, ask func() (code int)) {
	var all []time.Duration
	for b.Loop() {
		began := time.Now()
		if code := ask(); code != http.StatusOK {
			b.Fatal(code)
		}
		all = append(all, time.Since(began))
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkPages asks each page of a large fleet again and again, while others look, too, and the fleet changes; drawn is
// the p50 of those for whom nothing was drawn yet.
func BenchmarkPages(b *testing.B) {
	f := newFixture(b)
	largeFleet(b, f)
	v := f.as(b, anAdmin)
	changing(b, f)
	pages := everyPage()
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		b.Run(name, func(b *testing.B) {
			var drawn []time.Duration
			for range 5 { // what the first visitor after a change waits
				f.pages.drawings.anew()
				began := time.Now()
				v.get(pages[name])
				drawn = append(drawn, time.Since(began))
			}
			slices.Sort(drawn)
			took(b, func() int { code, _ := v.get(pages[name]); return code })
			b.ReportMetric(float64(drawn[len(drawn)/2].Microseconds())/1000, "drawn-ms")
		})
	}
	b.Run("jump", func(b *testing.B) {
		took(b, func() int { code, _ := v.get("/jump?q=planetlab1.huji.example"); return code })
	})
	b.Run("sign in", func(b *testing.B) {
		stranger := f.visitor(b)
		took(b, func() int { code, _ := stranger.get("/sign-in"); return code })
	})
	b.Run("preview", func(b *testing.B) {
		took(b, func() int {
			code, _ := v.post("/act/preview", url.Values{"do": {string(access.TargetSilence)}, "of": {"nodes"}, "id": {"planetlab1.huji.example"}})
			return code
		})
	})
	b.Run("200 open pages hear of a change", func(b *testing.B) { hearTogether(b, f, v) })
}

// hearTogether opens 200 pages and measures until each has fetched itself again after a change.
func hearTogether(b *testing.B, f *fixture, v *visitor) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	heard := make(chan time.Time, 10_000)
	var wait sync.WaitGroup
	for range 200 {
		wait.Go(func() {
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, v.base+"/live?topic=control", nil)
			resp, err := (&http.Client{Jar: v.http.Jar}).Do(req)
			if err != nil {
				return
			}
			defer resp.Body.Close()
			buffer := make([]byte, 4096)
			for {
				n, err := resp.Body.Read(buffer)
				if err != nil {
					return
				}
				if string(buffer[:min(n, 5)]) == "event" {
					v.part("/nodes")
					heard <- time.Now()
				}
			}
		})
	}
	for f.pages.live.open() < 200 {
		time.Sleep(10 * time.Millisecond)
	}
	var slowest time.Duration
	changes, before, since := 0, f.queries(b), time.Now()
	for b.Loop() {
		changes++
		began := time.Now()
		f.must(b, f.SetControl(ctx, fixtureControl()))
		for range 200 {
			slowest = max(slowest, (<-heard).Sub(began))
		}
	}
	asked, within := f.queries(b)-before, time.Since(since)
	b.ReportMetric(slowest.Seconds(), "slowest-s")
	b.ReportMetric(asked/float64(changes), "queries/change")
	b.ReportMetric(asked/within.Seconds(), "queries/s")
	var memory runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&memory)
	b.ReportMetric(float64(memory.HeapAlloc)/(1<<20), "heap-MB")
	cancel()
	wait.Wait()
}

// queries counts what Postgres was asked so far: outside of transactions each query is one.
func (f *fixture) queries(b *testing.B) (n float64) {
	b.Helper()
	time.Sleep(1500 * time.Millisecond) // a backend tells what it did within a second
	conn, err := pgx.Connect(context.Background(), f.url)
	f.must(b, err)
	defer func() { _ = conn.Close(context.Background()) }()
	f.must(b, conn.QueryRow(context.Background(), `select xact_commit::float8 from pg_stat_database where datname = current_database()`).Scan(&n))
	return n
}
