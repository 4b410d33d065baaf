package api

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/store"
)

// A run is planned, started once, read and called off over the API.
func TestARunIsOrderedOverTheAPI(t *testing.T) {
	runs := orders.NewRuns(func(ctx context.Context, _, _ string) bootman.Target { <-ctx.Done(); return bootman.Target{} }, nil,
		slog.New(slog.DiscardHandler))
	s := serveAPI(t, func(o *Options) { o.Runs = runs })
	t.Cleanup(runs.Close)
	admin := s.token("ops", access.Admin, access.AllSites)
	s.must(s.db.AddBlacklist(t.Context(), store.BlacklistEntry{Kind: "node", Target: nodeOf(foreign), Starts: now(), Reason: "somebody works there"}))
	body := object{"hosts": []string{nodeOf(mine), nodeOf(foreign)}, "script": "uptime", "reason": "x"}
	var given struct {
		orders.Receipt
		ID   string          `json:"id"`
		List []store.RunNode `json:"node_list"`
	}
	g := s.ask(admin, "POST", "/runs?dryRun=true", body)
	g.read(t, &given)
	if g.status != http.StatusOK || given.ID != "" || given.Key != "" || len(given.List) != 2 || given.List[0].State != "planned" ||
		given.List[1].State != "skipped" || !strings.Contains(given.List[1].Reason, "somebody works there") {
		t.Errorf("the plan: %+v", g)
	}
	var list []store.Run
	if s.ask(admin, "GET", "/runs", nil).read(t, &list); len(list) > 0 {
		t.Errorf("a plan is run: %+v", list)
	}
	for name, hosts := range map[string][]string{"a node that is not there": {"nowhere.example"}, "a node that is named twice": {nodeOf(mine), nodeOf(mine)}, "no node": {}} {
		if g := s.ask(admin, "POST", "/runs", object{"hosts": hosts, "script": "true", "reason": "x"}); g.problem() != "invalid" {
			t.Errorf("%s: %+v", name, g)
		}
	}
	for name, more := range map[string]object{"without a reason": {"reason": ""}, "a NUL": {"script": "a\x00b"}, "too long a limit": {"limit_seconds": 1e9},
		"too many at once": {"parallel": 1000}, "too many bytes": {"script": strings.Repeat("ä", 12<<10)}} {
		b := object{"hosts": []string{nodeOf(mine)}, "script": "true", "reason": "x"}
		for k, v := range more {
			b[k] = v
		}
		if g := s.ask(admin, "POST", "/runs", b); g.problem() != "invalid" {
			t.Errorf("%s: %+v", name, g)
		}
	}
	g = s.ask(admin, "POST", "/runs", body, "Idempotency-Key", "k1")
	g.read(t, &given)
	if g.status != http.StatusAccepted || given.ID == "" || given.Before {
		t.Fatalf("%+v", g)
	}
	id := given.ID
	g = s.ask(admin, "POST", "/runs", body, "Idempotency-Key", "k1")
	if g.read(t, &given); g.status != http.StatusOK || given.ID != id || !given.Before {
		t.Errorf("the same order again: %+v", g)
	}
	if g = s.ask(admin, "POST", "/runs/"+id+"/cancel", object{"reason": "wrong"}); g.status != http.StatusOK {
		t.Errorf("%+v", g)
	}
	var v WholeRun
	for deadline := time.Now().Add(30 * time.Second); v.Ended.IsZero(); time.Sleep(100 * time.Millisecond) {
		s.ask(admin, "GET", "/runs/"+id+"?brief=true", nil).read(t, &v)
		if time.Now().After(deadline) {
			t.Fatalf("it never ends: %+v", v)
		}
	}
	if v.Nodes["skipped"] != 2 || v.Ordered.By == "" || !strings.HasSuffix(v.CalledOff, ": wrong") {
		t.Errorf("%+v", v)
	}
	if g := s.ask(admin, "POST", "/runs/"+id+"/cancel", object{"reason": "again"}); g.problem() != "refused" {
		t.Errorf("one that has ended: %+v", g)
	}
	ordered := 0
	for _, a := range s.orders() {
		if a.Issue == store.RunIssue+id {
			ordered++
		}
	}
	if ordered != 2 {
		t.Errorf("the ledger has %d lines of it", ordered)
	}
}
