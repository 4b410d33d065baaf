package metrics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.yaml.in/yaml/v3"

	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed/debian"
	"github.com/planetlab/monitor/testbed/freeport"
	"github.com/planetlab/monitor/testbed/pglocal"
)

const (
	rulesFile = "../packaging/prometheus/monitor.rules.yml"
	testsFile = "../packaging/prometheus/monitor.rules.test.yml"
)

// program finds a program of Debian's prometheus.
func program(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return filepath.Join(filepath.Dir(debian.Unpack(t, "prometheus", "usr/bin/prometheus")), name)
}

type alertRule struct {
	Alert, Expr string
	Annotations map[string]string
}

func readRules(t *testing.T) []alertRule {
	t.Helper()
	var file struct{ Groups []struct{ Rules []alertRule } }
	text, err := os.ReadFile(rulesFile)
	if err == nil {
		err = yaml.Unmarshal(text, &file)
	}
	if err != nil || len(file.Groups) != 1 || len(file.Groups[0].Rules) < 10 {
		t.Fatalf("%s: %v", rulesFile, err)
	}
	return file.Groups[0].Rules
}

var usedSeries = regexp.MustCompile(`\b(monitor|temporal|process|go)_[a-z_]+`)

// foreignSeries are those that others bring into a scrape.
func foreignSeries() []string {
	return []string{"process_start_time_seconds", "process_resident_memory_bytes", "process_cpu_seconds_total",
		"process_open_fds", "go_goroutines"}
}

// unknownSeries are the names in an expression that no scrape has.
func unknownSeries(expr string) (out []string) {
	var have []string
	for _, s := range All() {
		have = append(have, s.Names()...)
	}
	for _, name := range usedSeries.FindAllString(expr, -1) {
		if !slices.Contains(have, name) && !slices.Contains(foreignSeries(), name) {
			out = append(out, name)
		}
	}
	return out
}

func TestAlertsAreOfSeriesThatExistAndAreExplained(t *testing.T) {
	page, err := os.ReadFile("../docs/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile(testsFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range readRules(t) {
		if odd := unknownSeries(r.Expr); len(odd) > 0 {
			t.Errorf("%s: no series %s", r.Alert, strings.Join(odd, ", "))
		}
		if !strings.Contains(string(page), "\n## "+r.Alert+"\n") ||
			r.Annotations["runbook_url"] != "docs/alerts.md#"+strings.ToLower(r.Alert) {
			t.Errorf("%s has no part in docs/alerts.md, or does not point there", r.Alert)
		}
		if !strings.Contains(string(tests), `alertname: `+r.Alert+"}") ||
			!strings.Contains(string(tests), `alertname="`+r.Alert+`"`) {
			t.Errorf("%s is not tested to fire and to be silent in %s", r.Alert, testsFile)
		}
	}
	for _, name := range regexp.MustCompile(`(?m)^## (Monitor\w+)$`).FindAllStringSubmatch(string(page), -1) {
		if !slices.ContainsFunc(readRules(t), func(r alertRule) bool { return r.Alert == name[1] }) {
			t.Errorf("docs/alerts.md explains %s, which is no alert", name[1])
		}
	}
}

func TestPromtoolAcceptsTheRulesAndTheirTests(t *testing.T) {
	promtool := program(t, "promtool")
	for _, args := range [][]string{{"check", "rules", rulesFile}, {"test", "rules", testsFile}} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", args[0], err, out)
		}
	}
}

// TestPrometheusFiresEachAlertOnce has Debian's Prometheus scrape a worker's series on a real store, with the committed
// rules but for their waiting times: in good times nothing fires; then everything is made bad.
func TestPrometheusFiresEachAlertOnce(t *testing.T) {
	server := program(t, "prometheus")
	url := pglocal.ForTest(t)
	db, err := store.Open(t.Context(), store.Options{URL: url, Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	run := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &Stored{Store: db,
		Policy: policy.Defaults(24 * time.Hour), Mode: policy.ModeAct, Every: time.Second,
		Log: slog.New(slog.DiscardHandler)})
	counted := NewCounted(registry)
	worker := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	var bad atomic.Bool
	second := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if bad.Load() {
			fmt.Fprintln(w, `monitor_build_info{version="v2",revision="other",goversion="go"} 1`)
		}
	}))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { // the fleet's life
		for ctx.Err() == nil {
			counted.Call(SMTP, time.Millisecond, nil)
			if bad.Load() {
				counted.Call(SMTP, time.Millisecond, &notify.Error{Failure: notify.Auth})
				counted.Call(SMTP, time.Millisecond, &notify.Error{Failure: notify.Auth})
				counted.rung("Reboot", nil, errors.New("no"))
			}
			time.Sleep(200 * time.Millisecond)
		}
	}()
	run(`insert into site (login_base, site_id, name, enabled, pending, status) values ('lab', 1, 'Lab', true, false, 'good')`)
	run(`insert into node (node_id, hostname, site, ip, boot_state, model, pcu_id, outlet, status)
		select n, 'n'||n, 'lab', '', 'boot', '', 1, 1, 'good' from generate_series(1, 50) n`)
	run(`insert into pcu (pcu_id, name, site, hostname, ip, username, model, status)
		select n, 'p'||n, 'lab', 'p'||n, '', '', '', 'good' from generate_series(1, 9) n`)
	run(`insert into snapshot values (now())`)
	run(`insert into sweep (run, started, beat, ended, believed, counts) values ('s/0', now(), now(), now() + interval '1 hour', true, '{}')`)
	p := startPrometheus(t, server, worker.Listener.Addr().String(), second.Listener.Addr().String())
	p.settle(t, nil)

	run(`insert into sweep (run, started, beat, ended, believed, doubts) values ('s/1', now(), now(), now() - interval '1 day', false,
		'{"dnserror": "too many"}')`)
	run(`update sweep set ended = now() - interval '1 day' where run = 's/0'`)
	run(`update snapshot set taken = now() - interval '1 day'`)
	run(`update pcu set status = 'down' where pcu_id < 5`)
	run(`insert into issue (id, run_id, type, target, node, site, pcu, status, rung, level, opened, next, outcome, cause)
		select 'nodedown/n'||n, 'r', 'nodedown', 'n'||n, 'n'||n, 'lab', 0, 'open', '', 0, now(), '', '', '' from generate_series(1, 30) n`)
	run(`insert into action (key, kind, issue, node, site, pcu, reason, committed, outcome)
		select 'k'||n, 'reboot', '', '', 'lab', 0, '', now(), 'ambiguous' from generate_series(1, 30) n`)
	run(`insert into action (key, kind, issue, node, site, pcu, reason, committed) values ('k', 'notice', '', '', 'lab', 0, '', now() - interval '1 day')`)
	run(`insert into claim (kind, target, site, issue, run_id, key) values ('outlet', '1/1', 'lab', 'nodedown/n1', 'r', 'k1')`)
	run(`insert into control (name, value, by, reason) values ('stop', 'stopped', 'ann', 'test'), ('mode', 'observe', 'ann', 'test')`)
	bad.Store(true)
	want := map[string]bool{}
	for _, r := range readRules(t) {
		want[r.Alert] = r.Alert != "MonitorAbsent" && r.Alert != "MonitorPostgresAway"
	}
	p.settle(t, want)

	bad.Store(false)
	db.Close()
	p.await(t, "MonitorPostgresAway")
	worker.Close()
	p.settle(t, map[string]bool{"MonitorAbsent": true})
}

type prom struct{ url string }

var (
	waits   = regexp.MustCompile(`(?m)^( +for:) \w+$`)
	windows = regexp.MustCompile(`\[\w+\]`)
)

// startPrometheus runs the server on the rules without their waiting times, and with windows of a few seconds.
func startPrometheus(t *testing.T, server string, targets ...string) prom {
	t.Helper()
	dir := t.TempDir()
	rules, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	rules = windows.ReplaceAll(waits.ReplaceAll(rules, []byte("$1 0s")), []byte("[10s]"))
	address := freeport.ForTest(t)
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yml]\n"+
		"scrape_configs:\n  - job_name: monitor\n    static_configs:\n      - targets: [%s]\n",
		strings.Join(targets, ", "))
	for name, text := range map[string]string{"rules.yml": string(rules), "prometheus.yml": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(server, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	return prom{"http://" + address}
}

// firing counts the alerts that fire, by name.
func (p prom) firing() (map[string]int, error) {
	resp, err := http.Get(p.url + "/api/v1/alerts")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer struct {
		Data struct {
			Alerts []struct {
				Labels map[string]string
				State  string
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, err
	}
	out := map[string]int{}
	for _, a := range answer.Data.Alerts {
		if a.State == "firing" {
			out[a.Labels["alertname"]]++
		}
	}
	return out, nil
}

// patience is generous: the machine may be busy.
const patience = 90 * time.Second

// settle waits until each of the wanted alerts fires once and nothing else does, and sees that this lasts.
func (p prom) settle(t *testing.T, want map[string]bool) {
	t.Helper()
	wanted := map[string]int{}
	for name, fires := range want {
		if fires {
			wanted[name] = 1
		}
	}
	var got map[string]int
	var err error
	held := 0
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		if got, err = p.firing(); err == nil && maps.Equal(got, wanted) && p.scraped() {
			if held++; held == 8 {
				return
			}
			continue
		}
		held = 0
	}
	t.Fatalf("firing: %v (%v); wanted: %v", got, err, wanted)
}

// scraped reports whether the rules were judged on something.
func (p prom) scraped() bool {
	resp, err := http.Get(p.url + `/api/v1/query?query=count_over_time(up[1m])>5`)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	var answer struct{ Data struct{ Result []any } }
	return json.NewDecoder(resp.Body).Decode(&answer) == nil && len(answer.Data.Result) > 0
}

func (p prom) await(t *testing.T, name string) {
	t.Helper()
	var got map[string]int
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		if got, _ = p.firing(); got[name] == 1 {
			return
		}
	}
	t.Fatalf("firing: %v; wanted: %s", got, name)
}
