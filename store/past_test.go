package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/sources"
)

const host = "planetlab1.princeton.example"

func day(n int) time.Time { return time.Date(2026, 11, n, 12, 0, 0, 0, time.UTC) }

// openedPast is a store with the snapshot, and what ends a test that an error stops.
func openedPast(t *testing.T) (s *Store, must func(error)) {
	t.Helper()
	s = open(t)
	must = func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.SaveSnapshot(t.Context(), snapshot, true)
	must(err)
	return s, must
}

func TestNodesAreReadAsTheyWere(t *testing.T) {
	s, must := openedPast(t)
	ctx := t.Context()
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
		rows, bad, err := s.NodeRowsAt(ctx, day(c.day), false)
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

func TestFactsIssuesAndHistoryAreReadAsTheyWere(t *testing.T) {
	s, must := openedPast(t)
	ctx := t.Context()
	tell := func(n int, facts ...sources.Fact) {
		t.Helper()
		for i := range facts {
			facts[i].Node, facts[i].At = host, day(n)
		}
		must(s.SaveReadings(ctx, []sources.Reading{{Source: "lines", At: day(n), Facts: facts}}, time.Hour, day(n)))
	}
	own := func(n int, value string) {
		t.Helper()
		must(s.SaveNodeLooks(ctx, []NodeLook{{Host: host, State: "BOOT", Category: "PROD", At: day(n),
			Detail: []byte(`{"inside":{"own":{"clock":"` + value + `"}}}`)}}))
	}
	own(1, "good")
	tell(2, sources.Fact{Name: "disk", Value: 40.0}, sources.Fact{Name: "rack", Value: "b4"})
	tell(4, sources.Fact{Name: "disk", Value: 97.5}, sources.Fact{Name: "spare", Value: true})
	own(6, "off by 3 s")
	for n, want := range map[int]string{
		1: "map[clock:good]",
		3: "map[clock:good disk:40 rack:b4]",
		5: "map[clock:good disk:97.5 spare:true]",
		7: "map[clock:off by 3 s disk:97.5 spare:true]",
	} {
		rows, bad, err := s.NodeRowsAt(ctx, day(n), true)
		must(err)
		if got := fmt.Sprint(rows[0].Facts); got != want || len(bad) > 0 || rows[0].Name != host || len(rows[1].Facts) > 0 {
			t.Errorf("day %d: %s, want %s; %v, %v", n, got, want, bad, rows[1].Facts)
		}
	}
	_, err := selection.Compile(selection.NodesAt(nil), "facts.disk>50,status=down", selection.Options{})
	must(err)

	must(s.putIssue(ctx, Issue{ID: "nodedown/" + host, RunID: "r", Type: "nodedown", Node: host, Status: "closed",
		Opened: day(6), Closed: day(8)}))
	must(s.putIssue(ctx, Issue{ID: "dnserror/" + host, RunID: "r", Type: "dnserror", Node: host, Status: "open", Opened: day(7)}))
	for n, want := range map[int]string{5: "", 6: "nodedown", 7: "dnserror nodedown", 9: "dnserror"} {
		rows, _, err := s.IssueRowsAt(ctx, day(n), 10)
		must(err)
		var types []string
		for _, r := range rows {
			types = append(types, r.Type)
		}
		if got := strings.Join(types, " "); got != want {
			t.Errorf("day %d: open are %q, want %q", n, got, want)
		}
	}

	rows, bad, err := s.HistoryRows(ctx, host, 100)
	must(err)
	var lines []string
	for _, r := range rows {
		if r.Kind == "fact" {
			lines = append(lines, fmt.Sprintf("%s %s %q %q %s", r.Target, r.Site, r.Was, r.Became, r.Reason))
		}
	}
	slices.Sort(lines)
	want := []string{
		host + ` princeton "" "40" disk`, host + ` princeton "" "b4" rack`, host + ` princeton "" "true" spare`,
		host + ` princeton "40" "97.5" disk`, host + ` princeton "b4" "" rack`, host + ` princeton "good" "off by 3 s" clock`,
	}
	if !slices.Equal(lines, want) || len(bad) > 0 {
		t.Errorf("the history says\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	if few, _, err := s.HistoryRows(ctx, "", 2); err != nil || len(few) != 2 || few[0].Seq < few[1].Seq {
		t.Errorf("%+v, %v", few, err)
	}
}
