package store

import (
	"testing"
	"time"
)

// A run whose process is dead is ended: each node says whether it may have run there, and the ledger how far it came.
func TestARunThatWasCutOffSaysWhatItReached(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	begin := func(id string, nodes ...string) {
		t.Helper()
		_, _, err := s.Intent(ctx, Action{Key: "order/" + id, Kind: KindOrder, Issue: RunIssue + id, Reason: "x"})
		must(err)
		_, err = s.Commit(ctx, "order/"+id)
		must(err)
		var rows []RunNode
		for _, n := range nodes {
			rows = append(rows, RunNode{Host: n, Site: "a", State: "planned"})
		}
		must(s.StartRun(ctx, Run{ID: id, Command: "true"}, rows))
	}
	begin("lost", "n1", "n2", "n3")
	must(s.BeginRunNode(ctx, "lost", "n1"))
	must(s.SaveRunNode(ctx, "lost", RunNode{Host: "n1", State: "done", Began: time.Now(), Ended: time.Now()}))
	must(s.BeginRunNode(ctx, "lost", "n2"))
	begin("early", "n1")
	begin("alive", "n1", "n2")
	must(s.BeginRunNode(ctx, "alive", "n1"))

	if ids, err := s.SettleRuns(ctx); err != nil || len(ids) > 0 {
		t.Fatalf("runs that have just begun are ended: %v, %v", ids, err)
	}
	_, err := s.pool.Exec(ctx, `update run set beat = now() - interval '1 hour'`)
	must(err)
	_, err = s.BeatRun(ctx, "alive")
	must(err)
	ids, err := s.SettleRuns(ctx)
	if must(err); len(ids) != 2 || ids[0] != "early" || ids[1] != "lost" {
		t.Errorf("ended are %v", ids)
	}
	for id, want := range map[string]struct {
		states          map[string]string
		outcome, detail string
	}{
		"lost": {map[string]string{"n1": "done", "n2": "lost", "n3": "skipped"}, Ambiguous,
			"cut off: done on 1 of 3 nodes, not begun on 1, and on 1 it may have run"},
		"early": {map[string]string{"n1": "skipped"}, Failed, "cut off: done on 0 of 1 nodes, not begun on 1"},
		"alive": {map[string]string{"n1": "running", "n2": "planned"}, "", ""},
	} {
		nodes, err := s.RunNodes(ctx, id)
		must(err)
		for _, n := range nodes {
			if n.State != want.states[n.Host] || (n.State == "lost" || n.State == "skipped") != (n.Reason != "") {
				t.Errorf("%s: %s is %s: %s", id, n.Host, n.State, n.Reason)
			}
		}
		line, err := s.Action(ctx, "order/"+id)
		if must(err); line.Outcome != want.outcome || line.Detail != want.detail {
			t.Errorf("%s: the ledger says %q, %q", id, line.Outcome, line.Detail)
		}
	}
	if _, err := s.BeatRun(ctx, "lost"); err == nil {
		t.Error("a run that was ended may go on")
	}
}
