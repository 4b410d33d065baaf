package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed/pglocal"
)

// fleet gives a test a database with a small fleet in it.
func fleet(t *testing.T) (*store.Store, string) {
	t.Helper()
	url := pglocal.ForTest(t)
	alone(t)
	t.Setenv("MONITOR_DATABASE_URL", url)
	file := filepath.Join(t.TempDir(), "secret_key")
	if err := os.WriteFile(file, []byte(strings.Repeat("07", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MONITOR_SECRETS_KEY_FILE", file)
	db, err := store.Open(t.Context(), store.Options{URL: url, Key: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db, url
}

const host = "planetlab1.princeton.example"

func fill(t *testing.T, db *store.Store, url string) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(db.Migrate(ctx))
	_, err := db.SaveSnapshot(ctx, plc.Snapshot{
		Taken: noon(),
		Sites: []plc.Site{{SiteID: 1, LoginBase: "princeton", Name: "Princeton", Enabled: true, DateCreated: noon().AddDate(-3, 0, 0)}, {SiteID: 2, LoginBase: "epfl", Name: "EPFL"}},
		Nodes: []plc.Node{
			{NodeID: 10, Hostname: host, SiteID: 1, BootState: "boot", Model: "HP DL320", PCUIDs: []int{5}, Ports: []int{3}, LastContact: noon().AddDate(0, 0, -4)},
			{NodeID: 11, Hostname: "planetlab2.princeton.example", SiteID: 1, BootState: "boot"},
			{NodeID: 12, Hostname: "planetlab1.epfl.example", SiteID: 2, BootState: "safeboot"},
		},
		PCUs:       []plc.PCU{{PCUID: 5, SiteID: 1, Hostname: "pcu1.princeton.example", Username: "admin", Password: "open sesame", Model: "APCControl12p3"}},
		Interfaces: []plc.Interface{{NodeID: 10, IP: "127.10.1.1", Primary: true}},
	}, true)
	must(err)
	must(db.SaveNodeLooks(ctx, []store.NodeLook{
		{Host: host, State: "DOWN", Category: "ERROR", Reason: "no answer on any port", At: noon().Add(-5 * time.Minute), Detail: []byte(`{"ports":{"22":"timeout"}}`)},
		{Host: "planetlab2.princeton.example", State: "BOOT", Category: "PROD", Uptime: 26 * time.Hour, At: noon().Add(-5 * time.Minute)},
	}))
	must(db.SaveChanges(ctx, []store.Change{
		{Kind: "node", Target: host, Record: policy.Record{Status: policy.StatusDown, Changed: noon().AddDate(0, 0, -3)}, Reason: "offline for two days"},
		{Kind: "node", Target: "planetlab2.princeton.example", Record: policy.Record{Status: policy.StatusGood, Changed: noon().AddDate(0, 0, -30)}, Reason: "online"},
		{Kind: "site", Target: "princeton", Record: policy.Record{Status: policy.StatusGood, Changed: noon().AddDate(0, 0, -30)}, Reason: "a node is up"},
	}, noon().AddDate(0, 0, -3)))
	must(db.SetPenaltyLevel(ctx, "princeton", 1, noon().AddDate(0, 0, -1)))
	putIssue(t, url, store.Issue{
		ID: "nodedown/" + host, RunID: "run-1", Type: "nodedown", Target: host, Node: host, Site: "princeton", PCUID: 5, Status: "open",
		Rung: "send email", Level: 1, Opened: noon().AddDate(0, 0, -3), Next: "send email", NextAt: noon().AddDate(0, 0, 4), Cause: "down since Saturday",
	})
	putIssue(t, url, store.Issue{
		ID: "pcudown/pcu1.princeton.example", RunID: "run-2", Type: "pcudown", Target: "pcu1.princeton.example", Site: "princeton", PCUID: 5, Status: "closed",
		Opened: noon().AddDate(0, 0, -9), Closed: noon().AddDate(0, 0, -2), Outcome: "good again", Cause: "its dry run fails",
	})
	for _, x := range []struct{ action, outcome, detail string }{{"reboot", store.Done, "outlet 3 went off and on"}, {"reinstall", store.Skipped, "a reboot was enough"}, {"penalty", "", ""}} {
		key := "nodedown/" + host + "/run-1/" + x.action
		_, _, err := db.Intent(ctx, store.Action{Key: key, Kind: store.ActionKind(x.action), Issue: "nodedown/" + host, Node: host, Site: "princeton", Reason: "down"})
		must(err)
		if x.outcome != "" {
			must(db.Outcome(ctx, key, x.outcome, x.detail))
		}
	}
	// The ledger takes its times from Postgres's clock; these tests have their own.
	conn, err := pgx.Connect(ctx, url)
	must(err)
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, `update action set at = $1::timestamptz + id * interval '1 hour', committed = case when committed is null then null else $1::timestamptz + id * interval '1 hour' end, finished = case when outcome = '' then null else $1::timestamptz + id * interval '1 hour' end`, noon().AddDate(0, 0, -2))
	must(err)
	_, err = conn.Exec(ctx, `update history set at = $1 where kind = 'look'`, noon().AddDate(0, 0, -4))
	must(err)
}

func TestWhatTheStoreKnowsReadsAsItsGoldenFiles(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	if err := db.AddBlacklist(t.Context(), store.BlacklistEntry{Kind: "node", Target: host, Starts: noon().AddDate(0, 0, -1), Until: noon().AddDate(0, 0, 2), Owner: "bob", Reason: "being moved"}); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string]string{
		"issue-list":     "issue list",
		"issue-list-all": "issue list --all",
		"node-list":      "node list",
		"node-show":      "node show " + host,
		"site-list":      "site list",
		"site-show":      "site show princeton",
		"exempt":         "exempt list",
		"issue-show":     "issue show nodedown/" + host + " --timeout 2s --set temporal.address=127.0.0.1:1",
	} {
		t.Run(name, func(t *testing.T) {
			words := strings.Fields(args)
			got := call(t.Context(), words...)
			wantCode(t, got, exitOK)
			wantGolden(t, name, got.out)
			got = call(t.Context(), append(words, "-o", "json")...)
			wantCode(t, got, exitOK)
			wantStable(t, got.out)
			wantGolden(t, name+"-json", got.out)
		})
	}
	t.Run("Temporal's absence is said, and the store answers", func(t *testing.T) {
		got := call(t.Context(), "issue", "show", "nodedown/"+host, "--timeout", "2s", "--set", "temporal.address=127.0.0.1:1")
		wantCode(t, got, exitOK)
		wantIn(t, got.err, "this is what the store last knew: temporal at 127.0.0.1:1")
	})
}

func TestListsAreFiltered(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	for args, want := range map[string]string{
		"issue list":                               "nodedown/" + host,
		"issue list --all":                         "nodedown/" + host + " pcudown/pcu1.princeton.example",
		"issue list --status closed":               "pcudown/pcu1.princeton.example",
		"issue list --type pcudown":                "",
		"issue list --type pcudown --all":          "pcudown/pcu1.princeton.example",
		"issue list --site epfl --all":             "",
		"node list --site princeton --status down": host,
		"node list --site epfl":                    "planetlab1.epfl.example",
		"node list --status online":                "",
		"site list":                                "epfl princeton",
	} {
		got := call(t.Context(), append(strings.Fields(args), "-o", "json")...)
		wantCode(t, got, exitOK)
		var list []struct {
			ID        string `json:"id"`
			Hostname  string `json:"hostname"`
			LoginBase string `json:"login_base"`
		}
		if err := json.Unmarshal([]byte(got.out), &list); err != nil || list == nil {
			t.Errorf("%s: %v in %s", args, err, got.out)
		}
		var names []string
		for _, x := range list {
			names = append(names, x.ID+x.Hostname+x.LoginBase)
		}
		if strings.Join(names, " ") != want {
			t.Errorf("%s lists %v", args, names)
		}
	}
	got := call(t.Context(), "issue", "list", "--all", "--limit", "1")
	wantCode(t, got, exitOK)
	wantIn(t, got.out, "nodedown/"+host)
	wantIn(t, got.err, "warning: only the first 1 are shown: see --limit")
	got = call(t.Context(), "issue", "list", "--site", "epfl")
	if got.out != "no issues\n" {
		t.Errorf("an empty list prints %q", got.out)
	}
}

func TestWhatIsNotThereIsSaid(t *testing.T) {
	db, url := fleet(t)
	got := call(t.Context(), "issue", "list")
	wantCode(t, got, exitFailure)
	wantIn(t, got.err, "this database has no tables of Monitor", "start monitor-worker once")
	fill(t, db, url)
	for args, says := range map[string]string{
		"node show nobody.example":                      "no node nobody.example is known: see `monitor node list`",
		"site show nowhere":                             "no site nowhere is known: see `monitor site list`",
		"exempt set node nobody.example --reason x":     "no node nobody.example is known: see `monitor node list`",
		"exempt set site nowhere --until 3d --reason x": "no site nowhere is known: see `monitor site list`",
		"issue list --site nowhere":                     "no site nowhere is known: see `monitor site list`",
		"node list --site nowhere":                      "no site nowhere is known: see `monitor site list`",
		"exempt remove node planetlab9.example":         "node planetlab9.example is not exempt: see `monitor exempt list`",
	} {
		got := call(t.Context(), strings.Fields(args)...)
		wantCode(t, got, exitNotFound)
		wantIn(t, got.err, says)
	}
}

func TestExemptionsAreKept(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	ctx := t.Context()
	got := call(ctx, "exempt", "set", "node", host, "--until", "3d", "--reason", "being moved")
	wantCode(t, got, exitOK)
	wantIn(t, got.out, "exempt: node "+host+", until 2026-11-27 14:03 UTC (3 days from now): being moved (alice)")
	e, yes, err := db.Blacklisted(ctx, host, "princeton", "", noon().AddDate(0, 0, 2))
	if err != nil || !yes || e.Owner != "alice" || e.Reason != "being moved" || e.Downtime || !e.Until.Equal(noon().AddDate(0, 0, 3)) {
		t.Errorf("the store has %+v, %v, %v", e, yes, err)
	}

	downtime := []string{"exempt", "set", "site", "epfl", "--downtime", "--from", "2026-12-24", "--until", "2026-12-27", "--by", "bob", "--reason", "power works"}
	got = call(ctx, downtime...)
	wantCode(t, got, exitOK)
	wantIn(t, got.out, "site epfl, from 2026-12-24 00:00 UTC (4 weeks from now), until 2026-12-27 00:00 UTC")
	got = call(ctx, downtime...)
	wantCode(t, got, exitRefused)
	wantIn(t, got.err, "site epfl has an entry from that moment on already")
	got = call(ctx, "exempt", "list")
	wantCode(t, got, exitOK)
	wantIn(t, got.out, "downtime", "to come", "2026-12-27 00:00 UTC", "bob")
	if _, yes, _ := db.Blacklisted(ctx, "", "epfl", "", noon()); yes {
		t.Error("a downtime of next month holds today")
	}

	wantCode(t, call(ctx, "exempt", "remove", "node", host), exitOK)
	got = call(ctx, "exempt", "remove", "site", "epfl", "-o", "json")
	wantCode(t, got, exitOK)
	if v := wantStable(t, got.out).(map[string]any); v["kind"] != "site" || v["target"] != "epfl" {
		t.Errorf("remove answers %v", v)
	}
	if list, err := db.Blacklist(ctx); err != nil || len(list) != 0 {
		t.Errorf("left are %v, %v", list, err)
	}
}

func TestTabCompletes(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	for args, want := range map[string]string{
		"issue close |":                  "nodedown/" + host,
		"issue close pcu|":               "",
		"issue show pcu|":                "pcudown/pcu1.princeton.example",
		"issue show a |":                 "",
		"issue open |":                   strings.Join(issueTypes(), " "),
		"issue open sitedown |":          "epfl princeton",
		"issue open nodedown planet|":    host + " planetlab2.princeton.example planetlab1.epfl.example",
		"issue open pcudown |":           "pcu1.princeton.example",
		"issue list --site |":            "epfl princeton",
		"issue list --status |":          "open paused closed",
		"node show planetlab1.p|":        host,
		"site show pr|":                  "princeton",
		"exempt set site |":              "epfl princeton",
		"exempt remove node planetlab2|": "planetlab2.princeton.example",
		"ladders |":                      strings.Join(issueTypes(), " "),
		"issue list -o |":                "table wide json yaml csv name",
	} {
		line := strings.TrimSuffix(args, "|")
		words := strings.Fields(line)
		if strings.HasSuffix(line, " ") {
			words = append(words, "")
		}
		var lines []string
		for range 20 { // it gives up soon, as a person at a prompt does
			got := call(t.Context(), append([]string{"__complete"}, words...)...)
			wantCode(t, got, exitOK)
			if lines = strings.Split(strings.TrimSpace(got.out), "\n"); len(lines) > 1 || want == "" {
				break
			}
		}
		if last := lines[len(lines)-1]; last != ":4" { // cobra: no file names
			t.Errorf("%s ends with directive %q", args, last)
		}
		if got := strings.Join(lines[:len(lines)-1], " "); got != want {
			t.Errorf("%s suggests %q, not %q", args, got, want)
		}
	}
	t.Run("no database, no suggestions, no noise", func(t *testing.T) {
		t.Setenv("MONITOR_DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")
		got := call(t.Context(), "__complete", "issue", "show", "")
		if got.code != exitOK || got.out != ":4\n" {
			t.Errorf("completes to %+v", got)
		}
	})
}

// putIssue writes an episode into the store as it stands, without its memory and whatever was there before.
func putIssue(t testing.TB, url string, i store.Issue) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	orNull := func(at time.Time) *time.Time {
		if at.IsZero() {
			return nil
		}
		return &at
	}
	_, err = conn.Exec(t.Context(), `insert into issue (id, run_id, type, target, node, site, pcu, status, rung, level,
		opened, closed, next, next_at, outcome, cause)
		values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16)
		on conflict (id, run_id) do update set status=$8, rung=$9, level=$10, opened=$11, closed=$12, next=$13,
		next_at=$14, outcome=$15, cause=$16, site=$6, pcu=$7`,
		i.ID, i.RunID, i.Type, i.Target, i.Node, i.Site, i.PCUID, i.Status, i.Rung, i.Level, i.Opened,
		orNull(i.Closed), i.Next, orNull(i.NextAt), i.Outcome, i.Cause)
	if err != nil {
		t.Fatal(err)
	}
}
