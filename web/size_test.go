package web

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/api"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/store"
)

// largeFleet makes the fleet of the fixture one of 10,000 nodes, with 2,000 open issues and a ledger of 1,000,000 lines.
func largeFleet(b testing.TB, f *fixture) {
	b.Helper()
	stored, err := f.Issue(context.Background(), issue.NodeDown+"/planetlab1.huji.example")
	f.must(b, err)
	state, err := json.Marshal(json.RawMessage(stored.State))
	f.must(b, err)
	conn, err := pgx.Connect(context.Background(), f.url)
	f.must(b, err)
	defer func() { _ = conn.Close(context.Background()) }()
	for _, sql := range []string{
		`insert into site (login_base, site_id, name, enabled, pending, status, changed, latitude, longitude)
			select 's' || n, 1000 + n, 'Site ' || n, true, false, 'good', now(), (n % 120) - 50, (n * 7 % 340) - 170 from generate_series(1, 500) n`,
		`insert into pcu (pcu_id, name, site, hostname, ip, username, model, status, changed)
			select 100000 + n, 'pcu' || n, 's' || (n % 500 + 1), 'pcu' || n || '.example', '', '', 'APC', 'good', now() from generate_series(1, 1000) n`,
		`insert into node (node_id, hostname, site, ip, boot_state, model, pcu_id, outlet, feeds, status, changed, state, category, reason, seen_at)
			select 100000 + n, 'n' || n || '.example', 's' || (n % 500 + 1), '', 'boot', 'm', 100000 + n % 1000 + 1, 1, '[]', case when n % 20 = 0 then 'down' else 'good' end,
			now() - n * interval '1 minute', case when n % 20 = 0 then 'DOWN' else 'BOOT' end, 'PROD', '', now() from generate_series(1, 10000) n`,
		`insert into history (at, kind, target, was, became, reason) select now() - (n % 129600) * interval '1 minute', 'node', 'n' || (n % 10000 + 1) || '.example', 'good', 'down', 'x'
			from generate_series(1, 200000) n`,
		`alter table action disable trigger user`, // nobody listens yet
		`insert into action (key, kind, issue, node, site, pcu, reason, at, outcome, detail, committed, finished)
			select 'k' || n, case when n % 17 = 0 then 'reboot' else 'mail' end, '', 'n' || (n % 10000 + 1) || '.example', 's' || (n % 500 + 1), 0, 'r', at, 'done', 'd', at, at
			from (select n, now() - (1000000 - n) * interval '20 seconds' as at from generate_series(1, 1000000) n) made`,
		`alter table action enable trigger user`,
	} {
		_, err := conn.Exec(context.Background(), sql)
		f.must(b, err)
	}
	_, err = conn.Exec(context.Background(), `insert into issue (id, run_id, type, target, node, site, pcu, status, rung, level, opened, next, outcome, cause, state)
		select 'nodedown/n' || n || '.example', 'run', 'nodedown', 'n' || n || '.example', 'n' || n || '.example', 's1', 0, 'open', 'r', 0, now(), 'n', '', 'c', $1::jsonb
		from generate_series(1, 2000) n`, string(state))
	f.must(b, err)
	_, err = conn.Exec(context.Background(), `analyze`)
	f.must(b, err)
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
	b.Run("200 open pages hear of a change", func(b *testing.B) { hearTogether(b, f, v) })
}

// manyPeople are as many accounts as there are requests, since one alone is slowed down.
type manyPeople struct{ n atomic.Int64 }

func (p *manyPeople) Authenticate(*http.Request) (access.Who, error) {
	return access.Who{Account: fmt.Sprint("program ", p.n.Add(1)), Role: access.Admin, Sites: []string{access.AllSites}}, nil
}

// readsOfAPI are requests of each operation that reads, by its path in the document. Where there are none, it lasts or is
// answered by a running workflow or by PLC, and not by the store.
func readsOfAPI() map[string][]string {
	return map[string][]string{
		"/self": {"/self"}, "/status": {"/status"}, "/controls": {"/controls"}, "/agenda": {"/agenda", "/agenda?site=s1"},
		"/nodes": {"/nodes", "/nodes?filter=status%3Ddown", "/nodes?filter=power_cycles_7d%3E1", "/nodes?details=true",
			"/nodes?limit=10000", "/nodes?at=" + noon.AddDate(0, 0, -7).Format(time.RFC3339)},
		"/nodes/{name}": {"/nodes/n1.example"}, "/sites": {"/sites"}, "/sites/{name}": {"/sites/s1"}, "/pcus": {"/pcus"},
		"/issues":                 {"/issues", "/issues?closed=true", "/issues?filter=type%3Dnodedown", "/issues?at=" + noon.Format(time.RFC3339)},
		"/issues/{type}/{target}": {"/issues/nodedown/planetlab1.huji.example"},
		"/ledger":                 {"/ledger", "/ledger?filter=node%3Dn1.example"}, "/history": {"/history", "/history?target=n1.example"},
		"/explain": {"/explain?target=n1.example"}, "/outlets": {"/outlets?target=planetlab1.huji.example"},
		"/silences": {"/silences"}, "/exemptions": {"/exemptions"}, "/disabled": {"/disabled"}, "/rollouts": {"/rollouts"},
		"/tokens": {"/tokens"}, "/why-not": nil, "/nodes/{name}/request": nil, "/sweeps/{name}/{run}": nil, "/rollouts/{name}": nil,
		"/events": nil, "/plc/{type}": nil, "/nodegroups": nil, "/nodegroups/{name}": nil, "/lint": {"/lint"},
		"/runs": {"/runs"}, "/runs/{name}": {"/runs/large", "/runs/large?brief=true"},
		"/runs/{name}/nodes/{host}": {"/runs/large/nodes/n1.example"},
	}
}

// readingPaths are the paths of the API's document that somebody can read.
func readingPaths(t testing.TB) (paths []string) {
	t.Helper()
	text, err := api.OpenAPI()
	var doc struct{ Paths map[string]map[string]any }
	if err == nil {
		err = json.Unmarshal(text, &doc)
	}
	if err != nil {
		t.Fatal(err)
	}
	for path, methods := range doc.Paths {
		if methods["get"] != nil {
			paths = append(paths, strings.TrimPrefix(path, api.Prefix))
		}
	}
	return paths
}

func TestEveryReadOfTheAPIIsMeasured(t *testing.T) {
	reads := readsOfAPI()
	for _, path := range readingPaths(t) {
		if _, is := reads[path]; !is {
			t.Errorf("BenchmarkAPI does not ask for %s", path)
		}
	}
}

// BenchmarkAPI asks for each thing that the API reads of a large fleet, and gives orders.
func BenchmarkAPI(b *testing.B) {
	f := newFixture(b)
	largeFleet(b, f)
	var nodes []store.RunNode
	for i := range 10_000 {
		nodes = append(nodes, store.RunNode{Host: fmt.Sprintf("n%d.example", i), Site: "s1", State: "planned"})
	}
	f.must(b, f.StartRun(b.Context(), store.Run{ID: "large", Command: "uptime"}, nodes))
	changing(b, f)
	server := httptest.NewServer(api.New(api.Options{Store: f.Store, News: f.pages.News, Log: slog.New(slog.DiscardHandler), Who: new(manyPeople)}))
	b.Cleanup(server.Close)
	reads := readsOfAPI()
	for _, path := range slices.Sorted(func(yield func(string) bool) {
		for _, paths := range reads {
			for _, path := range paths {
				yield(path)
			}
		}
	}) {
		b.Run(path, func(b *testing.B) {
			took(b, func() int {
				resp, err := http.Get(server.URL + api.Prefix + path)
				f.must(b, err)
				code, _ := readAll(b, resp)
				return code
			})
		})
	}
	given := ordersOfAPI()
	for _, path := range slices.Sorted(maps.Keys(given)) {
		b.Run("POST "+path, func(b *testing.B) {
			took(b, func() int {
				resp, err := http.Post(server.URL+api.Prefix+path, "application/json", strings.NewReader(given[path]))
				f.must(b, err)
				code, text := readAll(b, resp)
				if code/100 != 2 {
					b.Fatal(text)
				}
				return http.StatusOK
			})
		})
	}
}

// ordersOfAPI are orders that the store alone carries out and that may be given again and again, by their paths. All others are
// carried out by workflows, PLC or devices, and take as long as those.
func ordersOfAPI() map[string]string {
	return map[string]string{
		"/mode":                 `{"mode":"observe","reason":"x"}`,
		"/sites/s1/mode":        `{"mode":"observe","reason":"x"}`,
		"/stop":                 `{"reason":"x"}`,
		"/sequences/a-b-c-done": `{"action":"restart_node_boot","reason":"x"}`,
		"/rollouts?dryRun=true": `{"name":"large","act":"reboot","node_ids":[100001],"group":1,"max_failed":0,"reason":"x"}`,
	}
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
