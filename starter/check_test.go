package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed/fakeplc"
)

func execSQL(t *testing.T, url, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// believed has a sweep end that is believed, a while before noon.
func believed(t *testing.T, db *store.Store, url string, before time.Duration) {
	t.Helper()
	w, err := db.StartSweep(t.Context(), "sweep/run")
	if err != nil {
		t.Fatal(err)
	}
	w.Believed = true
	if err := db.EndSweep(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	execSQL(t, url, `update sweep set ended = $1`, noon().Add(-before))
}

func TestChecksAnswerAsPluginsDo(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	believed(t, db, url, 10*time.Minute)
	execSQL(t, url, `update pcu set status = 'good', ok = true, seen_at = $1`, noon())
	for args, c := range map[string]struct {
		code int
		line string
	}{
		"node planetlab2.princeton.example": {0, "NODE OK - planetlab2.princeton.example is good for 30d | age=300s;;3600;0 issues=0;;;0 uptime=93600s;;;0"},
		"node " + host:                      {2, "NODE CRITICAL - " + host + " is down for 3d: no answer on any port; open issues: nodedown | age=300s;;3600;0 issues=1;;;0"},
		"node " + host + " --max-age 1m":    {3, "NODE UNKNOWN - " + host + " was last looked at 5m ago | age=300s;;60;0 issues=1;;;0"},
		"node planetlab1.epfl.example":      {3, "NODE UNKNOWN - planetlab1.epfl.example was never looked at"},
		"node nobody.example":               {3, "NODE UNKNOWN - "},
		"site princeton":                    {1, "SITE WARNING - princeton is good for 30d, 1 of 2 nodes up, penalty level 1; open issues: nodedown | nodes_up=1;;;0;2"},
		"site nowhere":                      {3, "SITE UNKNOWN - "},
		"pcu pcu1.princeton.example":        {0, "PCU OK - pcu1.princeton.example is good | age=0s;;3600;0 nodes=1;;;0 issues=0;;;0"},
		"pcu pcu9":                          {3, "PCU UNKNOWN - no PCU pcu9 is known"},
		"plc --recorded":                    {0, "PLC OK - the last sweep read it | age=600s;;3600;0"},
		"plc --recorded --max-age 5m":       {3, "PLC UNKNOWN - not known: the last sweep that is believed ended 10m ago"},
		"plc":                               {3, "PLC UNKNOWN - configuration: plc.url: must be set"},
		"":                                  {3, "MONITOR UNKNOWN - say what to check: node, site, pcu or plc"},
		"fleet":                             {3, "MONITOR UNKNOWN - no command"},
		"node":                              {3, "NODE UNKNOWN - HOST is missing"},
		"node a --nosuch":                   {3, "NODE UNKNOWN - unknown flag: --nosuch"},
		"node a --max-age -1h":              {3, "NODE UNKNOWN - --max-age must not be negative"},
		"node a -o xml":                     {3, "NODE UNKNOWN - --output must be one of"},
		"node a --set database.url=postgres://127.0.0.1:1/x": {3, "NODE UNKNOWN - "},
	} {
		got := call(t.Context(), append([]string{"check"}, strings.Fields(args)...)...)
		if got.code != c.code || !strings.HasPrefix(got.out, c.line) || strings.Count(got.out, "\n") != 1 || got.err != "" {
			t.Errorf("check %s: exit code %d, not %d\n%s%s\nnot\n%s", args, got.code, c.code, got.out, got.err, c.line)
		}
	}
	got := call(t.Context(), "check", "node", host, "-o", "json")
	if wantStable(t, got.out); got.code != 2 || !strings.Contains(got.out, `"state": "CRITICAL"`) {
		t.Errorf("as JSON: %+v", got)
	}
	t.Run("a sweep that is not believed any more", func(t *testing.T) {
		execSQL(t, url, `update sweep set ended = $1`, noon().Add(-3*time.Hour))
		got := call(t.Context(), "check", "node", "planetlab2.princeton.example")
		if got.code != 3 || !strings.Contains(got.out, "the last sweep that is believed ended 3h0m ago") {
			t.Errorf("%+v", got)
		}
	})
}

func TestChecksOverTheAPIAnswerAsThoseOfRecords(t *testing.T) {
	db, server, token := servedFleet(t)
	believed(t, db, os.Getenv("MONITOR_DATABASE_URL"), 10*time.Minute)
	want := map[string]answer{}
	commands := []string{"node " + host, "node planetlab2.princeton.example", "site princeton", "pcu pcu1.princeton.example", "plc --recorded"}
	for _, c := range commands {
		want[c] = call(t.Context(), append([]string{"check"}, strings.Fields(c)...)...)
	}
	operator, tech := token(access.Operator, access.AllSites), token(access.Site, "princeton")
	unconfigured(t)
	t.Setenv(tokenVariable, operator)
	for _, c := range commands {
		got := callAt(t.Context(), "", append(strings.Fields("check "+c), "--server", server)...)
		if got.code != want[c].code || got.out != want[c].out {
			t.Errorf("%s: %+v, not %+v", c, got, want[c])
		}
	}
	t.Setenv(tokenVariable, tech)
	for c, code := range map[string]int{"node planetlab2.princeton.example": 0, "node planetlab1.epfl.example": 3, "plc": 3} {
		got := callAt(t.Context(), "", append(strings.Fields("check "+c), "--server", server)...)
		if got.code != code || strings.Count(got.out, "\n") != 1 {
			t.Errorf("a tech asks %s: %+v", c, got)
		}
	}
	got := callAt(t.Context(), "", "check", "node", host, "--server", "http://127.0.0.1:1")
	if got.code != 3 || !strings.HasPrefix(got.out, "NODE UNKNOWN - ") {
		t.Errorf("without a server: %+v", got)
	}
}

func TestPLCItselfIsAsked(t *testing.T) {
	fleet(t)
	p := fakeplc.NewDB("monitor@example", "s3cret")
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(code int, line string, more ...string) {
		t.Helper()
		got := call(t.Context(), append([]string{"check", "plc", "--set", "plc.url=" + s.URL + "/PLCAPI/", "--set", "plc.username=monitor@example",
			"--set", "plc.password_file=" + file}, more...)...)
		if got.code != code || !strings.HasPrefix(got.out, line) || strings.Count(got.out, "\n") != 1 || strings.Contains(got.out, "s3cret") {
			t.Errorf("%+v is not %d %s", got, code, line)
		}
	}
	check(0, "PLC OK - takes the account of Monitor | time=")
	p.SetRoles("pi")
	check(2, "PLC CRITICAL - the account lacks the role admin at PLC")
	p.SetRoles("admin")
	p.SetDown(true)
	check(2, "PLC CRITICAL - plc GetPersons: PLC is not available")
	p.SetDown(false)
	p.Password = "another"
	check(2, "PLC CRITICAL - plc GetPersons: PLC refused the login")
	release := p.Hang("GetPersons")
	defer release()
	check(2, "PLC CRITICAL - plc GetPersons: PLC is not available", "--timeout", "300ms")
}
