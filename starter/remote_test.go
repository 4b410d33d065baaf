package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/api"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// served is the API of a fleet, and tokens for it by role.
func servedFleet(t *testing.T, runs ...*orders.Runs) (db *store.Store, server string, token func(role access.Role, sites ...string) string) {
	t.Helper()
	db, url := fleet(t)
	fill(t, db, url)
	if err := db.SayConfigured(t.Context(), policy.ModeAct, "worker1"); err != nil {
		t.Fatal(err)
	}
	o := api.Options{Store: db, Who: api.NewTokens(db, false, noon), Log: slog.New(slog.DiscardHandler), Now: noon}
	for _, r := range runs {
		o.Runs = r
	}
	s := httptest.NewServer(api.New(o))
	t.Cleanup(s.Close)
	root := access.Who{Account: "root", Role: access.Admin, Sites: []string{access.AllSites}}
	return db, s.URL, func(role access.Role, sites ...string) string {
		t.Helper()
		_, _, text, err := orders.Desk{Store: db, Now: noon}.AddToken(t.Context(), orders.Order{Who: root}, string(role), role, sites, noon().AddDate(0, 1, 0))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
}

// callAt runs monitor without any configuration, with some standard input.
func callAt(ctx context.Context, in string, args ...string) answer {
	var out, errs strings.Builder
	a := &app{in: strings.NewReader(in), out: &out, err: &errs, now: noon, account: "alice"}
	code := a.execute(ctx, args)
	return answer{code, out.String(), errs.String()}
}

// unconfigured takes Monitor's own configuration away.
func unconfigured(t *testing.T) {
	t.Helper()
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "MONITOR_") || name == "DATABASE_URL" {
			t.Setenv(name, "")
			_ = os.Unsetenv(name)
		}
	}
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
}

func TestOverTheAPICommandsSayWhatTheySayWithTheDatabase(t *testing.T) {
	db, server, token := servedFleet(t)
	ctx := t.Context()
	commands := []string{
		"status", "status -o json", "mode", "mode -o json", "node list", "node list -o json", "node list --status down -o csv",
		"node show " + host, "node show " + host + " -o json", "site list", "site list -o json", "site show epfl",
		"issue list --all", "issue list --all -o json", "query nodes --select site=princeton -o wide",
		"query pcus -o json", "query sites --select penalty=1", "query issues --closed -o yaml", "query ledger --sort -at",
		"query --select planetlab1.princeton.example --explain-select planetlab1.princeton.example", "query --at 12h", "query --at 12h --fields name,facts", "query issues --at 2d", "query history -o json", "history " + host,
		"diff 2d", "lint", "lint -o json", "lint --select kind=pcu -o csv", "lint --rule outlet-twice", "token list", "exempt list", "exempt list --kind node -o json", "disabled", "disabled -o json", "issue list --site nowhere", "query --select nosuch=1", "node show nobody.example",
		"query --fields name,kernel,uptime -o csv", "query -o name",
	}
	if _, _, err := (orders.Desk{Store: db, Now: noon}).Silence(ctx, orders.Order{Reason: "being moved", Who: access.Who{Account: "alice",
		Role: access.Admin, Sites: []string{access.AllSites}}}, host, noon().AddDate(0, 0, 3)); err != nil {
		t.Fatal(err)
	}
	admin := token(access.Admin, access.AllSites)
	want := map[string]answer{}
	for _, c := range commands {
		want[c] = call(ctx, strings.Fields(c)...)
	}
	unconfigured(t)
	t.Setenv(tokenVariable, admin)
	for _, c := range commands {
		got := callAt(ctx, "", append(strings.Fields(c), "--server", server)...)
		if got.code != want[c].code || strings.TrimSpace(used(got.out)) != strings.TrimSpace(used(want[c].out)) {
			t.Errorf("%s: exit code %d, not %d\n%s%s\nnot\n%s%s", c, got.code, want[c].code, got.out, got.err, want[c].out, want[c].err)
		}
	}
}

// used leaves out when a token was used, which using it changes.
func used(s string) string {
	var lines []string
	for line := range strings.Lines(s) {
		if !strings.Contains(line, "127.0.0.1") && !strings.Contains(line, "LAST USED") && !strings.Contains(line, "admin") {
			lines = append(lines, strings.TrimRight(line, " \n"))
		}
	}
	return strings.Join(lines, "\n")
}

func TestOrdersAreGivenOverTheAPI(t *testing.T) {
	db, server, token := servedFleet(t)
	ctx := t.Context()
	admin, tech := token(access.Admin, access.AllSites), token(access.Site, "princeton")
	unconfigured(t)
	t.Setenv(tokenVariable, admin)
	do := func(args ...string) answer { return callAt(ctx, "", append(args, "--server", server)...) }
	got := do("stop")
	wantCode(t, got, exitUsage)
	wantIn(t, got.err, "--reason is missing: those who find Monitor stopped will ask why")
	got = do("stop", "--reason", "power works", "--by", "bob")
	wantCode(t, got, exitOK)
	wantIn(t, got.out, "stopped: power works (bob, as token admin, since ")
	wantIn(t, do("start").out, "Monitor may act")
	wantIn(t, do("start").err, "it was not stopped; nothing is changed")
	wantIn(t, do("mode", "observe", "--site", "princeton", "--reason", "a new firewall").out, "observe for site princeton")
	wantCode(t, do("mode", "default", "--site", "princeton"), exitOK)
	wantCode(t, do("mode", "observe", "--site", "nowhere"), exitNotFound)
	wantIn(t, do("silence", host, "--for", "3d", "--reason", "being moved").out, "left alone: node "+host+", until 2026-11-27 14:03 UTC")
	wantIn(t, do("silence", host, "--end").out, "no longer left alone: node "+host)
	wantIn(t, do("exempt", "set", "site", "epfl", "--downtime", "--from", "2026-12-24", "--until", "2026-12-27", "--reason", "power works").out, "exempt: site epfl, from 2026-12-24")
	wantCode(t, do("exempt", "remove", "site", "epfl"), exitOK)
	wantIn(t, do("exempt", "set", "slice", "princeton_codeen", "--until", "3d", "--reason", "a demo").out,
		"exempt: slice princeton_codeen, until 2026-11-27 14:03 UTC (3 days from now): a demo")
	wantCode(t, do("exempt", "set", "slice", "princeton_codeen"), exitUsage)
	wantIn(t, do("exempt", "list", "--kind", "slice").out, "princeton_codeen")
	wantIn(t, do("exempt", "remove", "slice", "princeton_codeen", "--reason", "it is over").out, "no longer exempt: slice princeton_codeen")
	wantCode(t, do("exempt", "remove", "slice", "princeton_codeen"), exitNotFound)
	wantIn(t, do("token", "add", "wall", "--role", "viewer").out, "monitor_")
	wantIn(t, do("token", "revoke", "wall").out, "shut out: wall")
	wantCode(t, do("pcu", "forget", "pcu1.princeton.example"), exitOK)
	wantCode(t, do("bootman", "sequences", "set", "bminit-cfg-auth-authfail-debug-done", "repair_node_keys"), exitOK)
	got = do("issue", "pause", "nodedown/"+host, "--until", "3d")
	wantCode(t, got, exitFailure) // this server has no Temporal
	wantIn(t, got.err, "temporal is not connected", "look with `monitor issue show")
	wantIn(t, do("findbad").err, "temporal is not connected")
	for _, args := range []string{"nodegroup list", "nodegroup add alpha " + host + " --reason x", "plc get nodes"} {
		got := do(strings.Fields(args)...)
		wantCode(t, got, exitRefused)
		wantIn(t, got.err, "this server has no account for PLC")
	}
	got = do("lint", "--dns")
	wantCode(t, got, exitUsage)
	wantIn(t, got.err, "own configuration")
	wantIn(t, callAt(ctx, "", "run", host, "--server", server, "--reason", "x", "--yes", "--", "uptime").err, "this server carries out no runs")
	got = do("rollout", "start", "reboot", host, "--group", "1", "--name", "small", "--reason", "new kernel", "--dry-run")
	wantCode(t, got, exitOK)
	wantIn(t, got.out, "small: reboot of 1 nodes", host)
	wantIn(t, do("rollout", "list").out, "no roll-outs")
	wantCode(t, do("rollout", "show", "small"), exitNotFound)
	wantCode(t, do("pcu", "status", "nowhere:1"), exitNotFound)
	wantCode(t, do("pcu", "status", "pcu1.princeton.example"), exitUsage)
	wantIn(t, do("pcu", "off", host).err, "--reason is missing")
	orders, err := db.Actions(ctx, store.ActionFilter{Kind: store.KindOrder, Limit: 1000})
	if err != nil || len(orders) < 12 {
		t.Errorf("the ledger has %d orders, %v", len(orders), err)
	}
	t.Setenv(tokenVariable, tech)
	got = do("stop", "--reason", "x")
	wantCode(t, got, exitFailure)
	wantIn(t, got.err, "not allowed")
	wantIn(t, do("node", "list").out, host)
	if out := do("node", "list").out; strings.Contains(out, "epfl") {
		t.Errorf("a tech of princeton sees %s", out)
	}
	t.Setenv(tokenVariable, "monitor_aaaaaaaa_"+strings.Repeat("a", 32))
	wantIn(t, do("status").err, "sign in with `monitor login`")
}

func TestWhoSignedInWorksOverTheAPI(t *testing.T) {
	_, server, token := servedFleet(t)
	ctx := t.Context()
	operator := token(access.Operator, access.AllSites)
	unconfigured(t)
	got := callAt(ctx, "hello\n", "login", "--server", server)
	wantCode(t, got, exitUsage)
	wantIn(t, got.err, "that is no token")
	got = callAt(ctx, "monitor_aaaaaaaa_"+strings.Repeat("a", 32), "login", "--server", server)
	wantCode(t, got, exitFailure)
	got = callAt(ctx, operator+"\n", "login", "--server", server)
	wantCode(t, got, exitOK)
	wantIn(t, got.out, "signed in at "+server+" as token operator, with the role operator at all sites")
	path := filepath.Join(os.Getenv("XDG_CONFIG_HOME"), "monitor", "login.json")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	wantIn(t, callAt(ctx, "", "status").out, "Monitor may act")
	t.Run("the token goes to no other server", func(t *testing.T) {
		other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			t.Errorf("another server is sent %q", r.Header.Get("Authorization"))
		}))
		defer other.Close()
		wantIn(t, callAt(ctx, "", "status", "--server", other.URL).err, "nobody is signed in at "+other.URL)
		moved := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
		defer moved.Close()
		t.Setenv(tokenVariable, operator)
		wantCode(t, callAt(ctx, "", "status", "--server", moved.URL), exitFailure)
	})
	t.Run("a token is sent over TLS, or to this machine", func(t *testing.T) {
		for _, bad := range []string{"http://monitor.example.org", "ftp://x", "monitor.example.org", "https://bob:secret@monitor.example.org"} {
			got := callAt(ctx, operator, "login", "--server", bad)
			wantCode(t, got, exitUsage)
		}
	})
	t.Run("a file that others may read is not used", func(t *testing.T) {
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		got := callAt(ctx, "", "status")
		wantCode(t, got, exitUsage)
		wantIn(t, got.err, "others may read")
	})
	wantIn(t, callAt(ctx, "", "login", "--out").out, "signed out")
	wantCode(t, callAt(ctx, "", "login", "--out"), exitNotFound)
}
