package sources

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/testbed/debian"
)

// Debian's Prometheus scrapes two nodes, and is asked for what it knows of them.
func TestPrometheusOfDebian(t *testing.T) {
	server, err := exec.LookPath("prometheus")
	if err != nil {
		server = debian.Unpack(t, "prometheus", "usr/bin/prometheus")
	}
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "disk_used{disk=\"a\"} 0.404\ndisk_used{disk=\"b\"} 0.9\nodd NaN\n")
	}))
	defer node.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	dir := t.TempDir()
	config := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs:\n  - job_name: nodes\n    static_configs:\n"+
		"      - {targets: ['%s'], labels: {host: n1.example}}\n", node.Listener.Addr())
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(server, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })

	source := Prometheus{URL: "http://" + address + "/", Label: "instance",
		Queries: map[string]string{"disk": "round(100 * max by (instance) (disk_used))", "odd": "odd", "scraped": "up"}}
	var got map[string]any
	var r Reading
	for until := time.Now().Add(90 * time.Second); time.Now().Before(until) && len(got) < 2; time.Sleep(200 * time.Millisecond) {
		got, r = read(t, source)
	}
	if r.Err != nil || r.Note != "" {
		t.Fatal(r.Err, r.Note)
	}
	same(t, got, map[string]any{"127.0.0.1/disk": 90.0, "127.0.0.1/scraped": 1.0})
	if age := time.Since(r.Facts[0].At); age < 0 || age > time.Minute {
		t.Errorf("a fact is of %s", r.Facts[0].At)
	}

	source.Label, source.Queries = "host", map[string]string{"disk": "disk_used"}
	if got, r = read(t, source); len(got) > 0 || !strings.Contains(r.Note, "differ, as disk of n1.example") {
		t.Errorf("two answers for one node: %v, %s", got, r.Note)
	}
	for query, want := range map[string]string{"disk_used[1m]": `"matrix"`, "max(": "it answers 400", "1": `"scalar"`} {
		source.Queries = map[string]string{"disk": query}
		if _, r = read(t, source); r.Err == nil || !strings.Contains(r.Err.Error(), want) ||
			!strings.Contains(r.Err.Error(), "query disk") {
			t.Errorf("%s: %v", query, r.Err)
		}
	}
}

// The token goes to the server, and nowhere else.
func TestPrometheusGetsItsToken(t *testing.T) {
	var heard string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		heard = r.Header.Get("Authorization")
		fmt.Fprint(w, `<html>sign in</html>`)
	}))
	defer server.Close()
	_, r := read(t, Prometheus{URL: server.URL, Token: "tok123", Label: "instance", Queries: map[string]string{"a": "up"}})
	if heard != "Bearer tok123" || r.Err == nil || strings.Contains(r.Err.Error(), "tok123") {
		t.Errorf("it heard %q, and the error is %v", heard, r.Err)
	}
}
