package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// openNodeDown saves an issue about the test's node, as its workflow does.
func openNodeDown(t *testing.T, db *store.Store, change func(*issue.State)) {
	t.Helper()
	typ, _ := issue.Lookup(issue.NodeDown)
	s := issue.Start(issue.Opening{
		Ref:    issue.Ref{ID: "nodedown/" + host, Run: "run-9", Type: "nodedown", Node: host, Site: "princeton", PCUID: 5},
		Cause:  "down since Saturday",
		Ladder: typ.Ladder, Times: issue.TimesOf(policy.Defaults(24 * time.Hour)), Mode: policy.ModeAct,
	}, noon())
	change(&s)
	if err := db.SaveIssue(t.Context(), s, noon()); err != nil {
		t.Fatal(err)
	}
}

func TestTheAgendaListsWhatComes(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	openNodeDown(t, db, func(s *issue.State) {
		s.Began()
		s.Ran(noon(), issue.Result{Outcome: issue.Wait, Check: "budget", Reason: "the fleet's budget is spent", Until: noon().Add(time.Hour)})
		s.Obey(issue.OrderVeto, issue.Command{By: "ann", Reason: "its disk has data", Step: 2}, noon())
	})
	away := []string{"--timeout", "2s", "--set", "temporal.address=127.0.0.1:1"}
	got := call(t.Context(), append([]string{"agenda", "--site", "princeton"}, away...)...)
	wantCode(t, got, exitOK)
	wantGolden(t, "agenda", got.out)
	wantIn(t, got.err, "coming penalties are not shown: temporal at 127.0.0.1:1")

	got = call(t.Context(), append([]string{"agenda", "--for", "1d", "-o", "json"}, away...)...)
	wantCode(t, got, exitOK)
	wantStable(t, got.out)
	var v answers.Agenda
	if err := json.Unmarshal([]byte(got.out), &v); err != nil || len(v.Steps) != 1 || v.Steps[0].Waits == "" || len(v.Vetoed) != 1 {
		t.Errorf("within a day: %v, %+v", err, v)
	}
	got = call(t.Context(), "agenda", "--for", "soon")
	wantCode(t, got, exitUsage)
}
