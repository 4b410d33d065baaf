package store

import (
	"slices"
	"testing"
	"time"

	"github.com/planetlab/monitor/policy"
)

func TestNodesAreReadAsTheyWere(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	day := func(n int) time.Time { return time.Date(2026, 11, n, 12, 0, 0, 0, time.UTC) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.SaveSnapshot(ctx, snapshot, true)
	must(err)
	const host = "planetlab1.princeton.example"
	look := func(n int, state, category, reason string) {
		t.Helper()
		must(s.SaveNodeLooks(ctx, []NodeLook{{Host: host, State: state, Category: category, Reason: reason, At: day(n)}}))
	}
	judge := func(n int, was, became policy.Status) {
		t.Helper()
		must(s.SaveChanges(ctx, []Change{{Kind: "node", Target: host, Was: policy.Record{Status: was},
			Record: policy.Record{Status: became, Changed: day(n)}}}, day(n)))
	}
	look(2, "BOOT", "PROD", "")
	judge(2, "", policy.StatusOnline)
	look(5, "DOWN", "ERROR", "no ssh: timeout")
	judge(5, policy.StatusOnline, policy.StatusOffline)
	look(9, "DEBUG", "PROD", "boots into debug mode")
	judge(9, policy.StatusOffline, policy.StatusFailboot)
	must(s.putIssue(ctx, Issue{ID: "nodedown/" + host, RunID: "r", Type: "nodedown", Node: host, Status: "closed",
		Opened: day(6), Closed: day(8)}))
	for _, c := range []struct {
		day                          int
		status, state, category, why string
		issues                       []string
	}{
		{1, "", "", "", "", []string{}}, // before the first look
		{2, "online", "BOOT", "PROD", "", []string{}},
		{4, "online", "BOOT", "PROD", "", []string{}},
		{7, "offline", "DOWN", "ERROR", "no ssh: timeout", []string{"nodedown"}},
		{8, "offline", "DOWN", "ERROR", "no ssh: timeout", []string{}},
		{20, "failboot", "DEBUG", "PROD", "boots into debug mode", []string{}},
	} {
		rows, bad, err := s.NodeRowsAt(ctx, day(c.day))
		if err != nil || len(bad) > 0 || len(rows) != 3 {
			t.Fatalf("day %d: %d rows, %v, %v", c.day, len(rows), bad, err)
		}
		n := rows[0]
		if n.Name != host || n.Status != c.status || n.State != c.state || n.Category != c.category || n.Why != c.why ||
			!slices.Equal(n.Issues, c.issues) {
			t.Errorf("day %d: %+v", c.day, n)
		}
		if rows[1].Status != "" || rows[1].State != "" {
			t.Errorf("day %d: one that nobody looked at is %+v", c.day, rows[1])
		}
	}
}
