package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/store"
)

func TestQueriesReadAsTheirGoldenFiles(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	for name, args := range map[string][]string{
		"query-nodes":         {"query"},
		"query-nodes-wide":    {"query", "nodes", "-o", "wide"},
		"query-nodes-csv":     {"query", "--select", "site=princeton", "--fields", "name,uptime,last_contact,issues,facts,pcu.ok", "-o", "csv"},
		"query-nodes-json":    {"query", "--fields", "name,site.penalty,uptime,since,issues,pcu", "-o", "json"},
		"query-nodes-yaml":    {"query", "--select", "state=down", "-o", "yaml"},
		"query-nodes-name":    {"query", "--sort", "-name", "-o", "name"},
		"query-sites":         {"query", "sites"},
		"lint":                {"lint"},
		"lint-json":           {"lint", "--sort", "-rule", "-o", "json"},
		"lint-csv":            {"lint", "--select", "kind=node", "-o", "csv"},
		"lint-yaml":           {"lint", "--select", "kind=site", "-o", "yaml"},
		"lint-name":           {"lint", "--select", "site=epfl", "-o", "name"},
		"query-pcus":          {"query", "pcus", "--sort", "name"},
		"query-issues":        {"query", "issues", "--closed"},
		"query-ledger":        {"query", "ledger", "--select", "kind=reboot"},
		"query-explain":       {"query", "--select", "site=princeton,state!=boot", "--select", "kernel~2.6", "--not-in", "pcu=pcu9*", "--explain-select", "planetlab2"},
		"query-explain-json":  {"query", "--select", "site=epfl", "--explain-select", "planetlab2", "-o", "json"},
		"query-fields":        {"query", "ledger", "--list-fields"},
		"node-list-csv":       {"node", "list", "-o", "csv", "--fields", "name,status"},
		"issue-show-yaml":     {"issue", "show", "nodedown/" + host, "-o", "yaml", "--timeout", "2s", "--set", "temporal.address=127.0.0.1:1"},
		"ladders-csv":         {"ladders", "pcudown", "-o", "csv"},
		"site-list-select":    {"site", "list", "--select", "penalty>0"},
		"issue-list-selected": {"issue", "list", "--all", "--select", "type=pcudown", "-o", "wide"},
	} {
		t.Run(name, func(t *testing.T) {
			got := call(t.Context(), args...)
			code := exitOK
			if args[0] == "lint" { // it finds something
				code = exitToMend
			}
			wantCode(t, got, code)
			wantGolden(t, name, got.out)
		})
	}
}

func TestOneExpressionSelectsTheSameEverywhere(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	list := filepath.Join(t.TempDir(), "hosts.txt")
	if err := os.WriteFile(list, []byte("planetlab2\nplanetlab1.epfl.example # two of three\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "monitor.yaml")
	for text, want := range map[string]string{
		"site=princeton,state!=boot":                       host,
		`site == "princeton" && state != "boot"`:           host,
		"site=princeton&&state=DOWN":                       host,
		"planetlab2":                                       "planetlab2.princeton.example",
		"planetlab*.princeton.example,!planetlab2":         host,
		"site.penalty=1,issues=nodedown":                   host,
		"last_contact_age>3d,pcu.model=apc*":               host,
		"power_cycles_7d=1":                                host,
		`facts.kernel=,state=down`:                         host,
		"port22=timeout":                                   host,
		"boot_state=safeboot":                              "planetlab1.epfl.example",
		"uptime>1d":                                        "planetlab2.princeton.example",
		`"nodedown" in issues || boot_state == "safeboot"`: "planetlab1.epfl.example " + host,
	} {
		if err := os.WriteFile(config, []byte("groups:\n  asked: '"+text+"'\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for how, args := range map[string][]string{
			"query":              {"query", "--select", text},
			"node list":          {"node", "list", "--select", text},
			"configuration":      {"query", "--config", config, "--select", "@asked"},
			"without the others": {"query", "--config", config, "--in", "@asked"},
			"not its contrary":   {"query", "--in", text, "--not-in", "site=epfl,site=princeton"},
		} {
			got := call(t.Context(), append(args, "-o", "name")...)
			wantCode(t, got, exitOK)
			if names := strings.Join(strings.Fields(got.out), " "); names != want {
				t.Errorf("%s of %s selects %q, not %q", how, text, names, want)
			}
		}
	}
	got := call(t.Context(), "query", "--not-in", "file:"+list, "-o", "name")
	if got.out != host+"\n" {
		t.Errorf("all but the list are %+v", got)
	}
}

func TestAnEmptySelectionIsAnErrorInEveryList(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	for args, c := range map[string]struct {
		code int
		says string
	}{
		"query --select site=nowhere":                         {exitNotFound, "nothing is selected of 3 nodes: see with --explain-select NAME why one is not in it"},
		"node list --select site=nowhere":                     {exitNotFound, "nothing is selected of 3 nodes"},
		"site list --select penalty>1":                        {exitNotFound, "nothing is selected of 2 sites"},
		"issue list --select age>900d":                        {exitNotFound, "nothing is selected of 1 issues"},
		"query pcus --select ok=yes":                          {exitNotFound, "nothing is selected of 1 pcus"},
		"query ledger --select kind=flag":                     {exitNotFound, "nothing is selected of 3 ledger"},
		"query --select planetlab1":                           {exitNotFound, "planetlab1 is ambiguous, it may be planetlab1.epfl.example, planetlab1.princeton.example"},
		"query --select planetlab5.princeton.example":         {exitNotFound, "no such name among nodes: planetlab5.princeton.example: did you mean planetlab"},
		"query --explain-select planetlab5":                   {exitNotFound, "no such name among nodes: planetlab5"},
		"query --select sit=princeton":                        {exitUsage, `--select "sit=princeton": nodes have no field "sit": did you mean site?`},
		"query --select status=dwon":                          {exitUsage, `status is never "dwon": did you mean down?`},
		"query --select=":                                     {exitUsage, "an empty expression selects nothing: write * for all nodes"},
		"query --select @east":                                {exitUsage, `no group "east": none is configured`},
		"query --select file:/nowhere/hosts":                  {exitUsage, "open /nowhere/hosts: no such file"},
		"query --fields nmae":                                 {exitUsage, `--fields: nodes have no field "nmae": did you mean name?`},
		"query --sort -stauts":                                {exitUsage, `--sort: nodes have no field "stauts": did you mean status?`},
		"query hosts":                                         {exitUsage, `the kind must be one of nodes, sites, pcus, issues, ledger, history, not "hosts"`},
		"query nodes sites":                                   {exitUsage, "accepts at most 1 arg(s)"},
		"query --watch=1ms":                                   {exitUsage, "--watch must be a second or more"},
		"query --select site=epfl -o xml":                     {exitUsage, `--output must be one of table, wide, json, yaml, csv, name, not "xml"`},
		"query ledger --limit 0":                              {exitUsage, "--limit must be above zero"},
		"findbad --select site=nowhere":                       {exitNotFound, "nothing is selected of 3 nodes"},
		"findbad --select stauts=down":                        {exitUsage, "did you mean status?"},
		"query --select 1/0==site.penalty --sort site -o csv": {exitUsage, "at planetlab1.epfl.example: division by zero"},
	} {
		got := call(t.Context(), strings.Fields(args)...)
		if got.code != c.code || got.out != "" {
			t.Errorf("%s: exit code %d, not %d, and prints %q: %s", args, got.code, c.code, got.out, got.err)
		}
		wantIn(t, got.err, c.says)
	}
}

func TestUnknownFieldsSortLast(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	for order, want := range map[string]string{"uptime,name": "planetlab2", "-uptime,name": "planetlab2", "last_contact": "planetlab1", "-site,name": "planetlab1", "-site.penalty,-name": "planetlab2"} {
		got := call(t.Context(), "query", "--sort="+order, "-o", "name")
		wantCode(t, got, exitOK)
		if first, _, _ := strings.Cut(got.out, "."); first != want {
			t.Errorf("by %s the first is %s", order, first)
		}
	}
}

func TestTimesAreLocalOrInUTC(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	for flag, want := range map[string]string{"--utc": "2026-11-21 14:03 UTC", "--utc=false": "2026-11-21 15:03 CET"} {
		var out strings.Builder
		a := &app{in: strings.NewReader(""), out: &out, err: &out, now: noon, zone: time.FixedZone("CET", 3600)}
		if code := a.execute(t.Context(), []string{"query", "--select", "state=down", flag}); code != exitOK {
			t.Fatal(out.String())
		}
		wantIn(t, out.String(), want)
	}
}

// ender ends a context when something was written a number of times.
type ender struct {
	strings.Builder
	names, after int
	end          context.CancelFunc
}

func (e *ender) Write(p []byte) (int, error) {
	if e.names += strings.Count(string(p), host); e.names >= e.after {
		e.end()
	}
	return e.Builder.Write(p)
}

func TestAWatchGoesOnUntilItIsEnded(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &ender{after: 2, end: cancel}
	a := &app{in: strings.NewReader(""), out: out, err: out, now: noon}
	if code := a.execute(ctx, []string{"node", "list", "--watch=1s", "-o", "name", "--select", "state=down"}); code != exitOK {
		t.Errorf("exit code %d: %s", code, out.String())
	}
	if got := out.String(); got != host+"\n"+host+"\n" {
		t.Errorf("it printed %q", got)
	}
}

func TestChangesOfALookAreTold(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	ctx := t.Context()
	before := sightOf(t, db)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(db.SaveNodeLooks(ctx, []store.NodeLook{
		{Host: host, State: "BOOT", Category: "PROD", At: noon()},
		{Host: "planetlab2.princeton.example", State: "DOWN", Category: "ERROR", Reason: "no ssh: timeout", At: noon()},
	}))
	must(db.SavePCULooks(ctx, []store.PCULook{{PCUID: 5, At: noon(), OK: false, Reason: "wrong password"}}))
	putIssue(
		t,
		url,
		store.Issue{
			ID:     "nodedown/" + host,
			RunID:  "run-1",
			Type:   "nodedown",
			Target: host,
			Node:   host,
			Site:   "princeton",
			Status: "closed",
			Opened: noon().AddDate(0, 0, -3),
			Closed: noon(),
		},
	)
	after := sightOf(t, db)
	mended, changed := changeOfNode(before.nodes[host], after.nodes[host])
	if !changed || mended.Worse || mended.Was != "down, down" || mended.Became != "down, boot" ||
		strings.Join(mended.Closed, "") != "nodedown" {
		t.Errorf("the one that came back: %+v", mended)
	}
	fell, changed := changeOfNode(
		before.nodes["planetlab2.princeton.example"],
		after.nodes["planetlab2.princeton.example"],
	)
	if !changed || !fell.Worse || fell.Became != "good, down" || fell.Why != "no ssh: timeout" {
		t.Errorf("the one that fell: %+v", fell)
	}
	if c, changed := changeOfNode(before.nodes["planetlab1.epfl.example"], after.nodes["planetlab1.epfl.example"]); changed {
		t.Errorf("the one that nobody looked at: %+v", c)
	}
	if c, changed := changeOfPCU(before.pcus["5"], after.pcus["5"]); !changed || c.Was != "" || c.Became != "fails" ||
		c.Why != "wrong password" {
		t.Errorf("the PCU: %+v", c)
	}
}

func sightOf(t *testing.T, db *store.Store) fleetSight {
	t.Helper()
	var out strings.Builder
	a := &app{in: strings.NewReader(""), out: &out, err: &out, now: noon}
	a.root()
	s, err := a.sight(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTenThousandNodesAreQueried(t *testing.T) {
	if testing.Short() {
		t.Skip("writes ten thousand nodes")
	}
	db, _ := fleet(t)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	snap := plc.Snapshot{Taken: noon(), Sites: []plc.Site{{SiteID: 1, LoginBase: "many", Name: "Many"}}}
	for i := range 10_000 {
		snap.Nodes = append(
			snap.Nodes,
			plc.Node{
				NodeID:    i + 1,
				Hostname:  fmt.Sprintf("node%s.site%d.example", strings.Repeat("x", i%7), i),
				SiteID:    1,
				BootState: "boot",
			},
		)
	}
	if _, err := db.SaveSnapshot(t.Context(), snap, true); err != nil {
		t.Fatal(err)
	}
	got := call(t.Context(), "query", "--select", "boot_state=boot,issues!=nodedown", "-o", "json", "--fields", "name")
	wantCode(t, got, exitOK)
	var list []map[string]string
	if err := json.Unmarshal([]byte(got.out), &list); err != nil || len(list) != 10_000 {
		t.Errorf("%d rows, %v", len(list), err)
	}
}

func TestThePageOfSelectionsIsWrittenFromTheFields(t *testing.T) {
	alone(t)
	got := call(t.Context(), "query", "--markdown")
	wantCode(t, got, exitOK)
	page, err := os.ReadFile("../docs/select.md")
	if err != nil || string(page) != got.out {
		t.Errorf("docs/select.md is not what the fields are: run `make docs` (%v)", err)
	}
}

func TestThePastIsReadAndCompared(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	// The node was seen down four days ago, and judged so three days ago.
	for args, c := range map[string]struct {
		code int
		says string
	}{
		"query --at 3d --select state=down -o name":        {exitOK, host},
		"query --at 5d --select state=down":                {exitNotFound, "nothing is selected of 3 nodes"},
		"query --at 2026-11-21T14:00 --select status=down": {exitNotFound, "nothing is selected of 3 nodes"},
		"query --at 1h --fields name,status,issues -o csv": {exitOK, host + ",down,nodedown"},
		"query --at 1h --select kernel=2.6":                {exitUsage, `nodes have no field "kernel"`},
		"query sites --at 1d":                              {exitUsage, "--at is for nodes"},
		"query --at tomorrow":                              {exitUsage, `--at: "tomorrow" is no time: write 2026-11-20`},
		"query --at 2026-12-24":                            {exitUsage, `--at: "2026-12-24" lies ahead`},
		"diff 5d --select site=princeton":                  {exitOK, "down, down"},
		"diff 5d 4d12h":                                    {exitOK, "no node is other than it was"},
		"diff 1h":                                          {exitOK, "no node is other than it was"},
		"diff 5d --select site=nowhere":                    {exitNotFound, "nothing is selected of 3 nodes"},
		"diff 1d 2d":                                       {exitUsage, "THEN must lie before LATER"},
		"diff":                                             {exitUsage, "accepts between 1 and 2 arg(s)"},
	} {
		got := call(t.Context(), strings.Fields(args)...)
		if got.code != c.code {
			t.Errorf("%s: exit code %d: %s%s", args, got.code, got.out, got.err)
		}
		wantIn(t, got.out+got.err, c.says)
	}
	got := call(t.Context(), "diff", "5d", "-o", "json")
	wantCode(t, got, exitOK)
	wantStable(t, got.out)
}

// A file of hosts is a selection of its names: in every command that selects, with one meaning, and with the line of a mistake.
func TestHostsOfAFileAreSelected(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "hosts.txt")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const other = "planetlab2.princeton.example"
	two := file("# repaired\n" + host + " # its disk\n\nplanetlab2\n")
	one := file(strings.ToUpper(other))
	for args, want := range map[string]string{
		"query --hosts " + two:                                         host + " " + other,
		"query --hosts " + two + " --not-in file:" + one:               host,
		"query --hosts " + two + " --in file:" + one:                   other,
		"query --hosts " + two + " --not-in status=down":               other,
		"query --hosts " + one + " --select site=epfl":                 "planetlab1.epfl.example " + other, // as another --select
		"query --hosts " + one + " --hosts " + two:                     host + " " + other,
		"node list --hosts " + two + " --status down":                  host,
		"query --at 2026-11-24 --hosts " + one:                         other,
		"query --select " + host + " --select file:" + one + " --in *": host + " " + other,
	} {
		got := call(t.Context(), append(strings.Fields(args), "-o", "name")...)
		wantCode(t, got, exitOK)
		if names := strings.Join(strings.Fields(got.out), " "); names != want {
			t.Errorf("%s selects %q, not %q", args, names, want)
		}
	}
	unknown := file("planetlab2\n\nplanetlab7.princeton.example\n")
	for args, c := range map[string]struct {
		code int
		says string
	}{
		"query --hosts " + unknown:                           {exitNotFound, unknown + ", line 3: no such name among nodes: planetlab7.princeton.example"},
		"query --not-in file:" + unknown:                     {exitNotFound, unknown + ", line 3: no such name"},
		"query --hosts " + file("planetlab1\n"):              {exitNotFound, "line 1: no such name: planetlab1 is ambiguous"},
		"query --hosts " + file("# none yet\n"):              {exitUsage, "names nobody"},
		"query --hosts /nowhere/hosts":                       {exitUsage, "open /nowhere/hosts: no such file"},
		"query --hosts -":                                    {exitUsage, "names nobody"}, // the standard input is empty
		"node reboot --reason x --hosts " + unknown:          {exitNotFound, "line 3: no such name"},
		"node reboot --reason x " + host + " --hosts " + one: {exitUsage, "name nodes, or give --select or --hosts, not both"},
		"run --hosts " + unknown + " -- uptime":              {exitNotFound, "line 3: no such name"},
		"run --hosts - --script -":                           {exitUsage, "cannot both be the standard input"},
		"findbad --hosts " + unknown:                         {exitNotFound, "line 3: no such name"},
		"diff 2026-11-20 --hosts " + unknown:                 {exitNotFound, "line 3: no such name"},
		"lint --hosts " + unknown:                            {exitNotFound, "line 3: no such name"},
		"rins --reason x --hosts " + unknown:                 {exitNotFound, "line 3: no such name"},
	} {
		got := call(t.Context(), strings.Fields(args)...)
		if got.code != c.code || !strings.Contains(got.err, c.says) {
			t.Errorf("%s: %d, %s", args, got.code, got.err)
		}
	}
	var out, errs bytes.Buffer
	a := &app{in: strings.NewReader(other + "\n"), out: &out, err: &errs, now: noon, account: "alice"}
	if code := a.execute(t.Context(), []string{"query", "--hosts", "-", "-o", "name"}); code != exitOK || out.String() != other+"\n" {
		t.Errorf("from the standard input: %d, %s, %s", code, out.String(), errs.String())
	}
}

// Whoever has --select has --hosts, --in and --not-in, too.
func TestWhatSelectsHasAllSelectionFlags(t *testing.T) {
	seen := 0
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Flags().Lookup("select") != nil {
			seen++
			for _, name := range []string{"hosts", "in", "not-in"} {
				if cmd.Flags().Lookup(name) == nil {
					t.Errorf("%s has --select and no --%s", cmd.CommandPath(), name)
				}
			}
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk((&app{now: noon}).root())
	if seen < 8 {
		t.Errorf("only %d commands select", seen)
	}
}

func TestTheConfigurationIsShown(t *testing.T) {
	alone(t)
	path := filepath.Join(t.TempDir(), "monitor.yaml")
	if err := os.WriteFile(path, []byte("mode: observe\ndatabase:\n  url: postgres://monitor:sesame@db/monitor\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := call(t.Context(), "config", "show", "--config", path, "--set-only", "--set", "probe.timeout=7s")
	wantCode(t, got, exitOK)
	wantIn(t, got.out, "SETTING", "mode", "monitor.yaml:1", "[secret]", "monitor.yaml:3", "7s", "--set probe.timeout")
	if strings.Contains(got.out, "sesame") || strings.Contains(got.out, "default") {
		t.Errorf("it shows %s", got.out)
	}
	got = call(t.Context(), "config", "show", "policy.guard", "--config", path, "-o", "json")
	wantCode(t, got, exitOK)
	list := wantStable(t, got.out).([]any)
	if len(list) < 3 || list[0].(map[string]any)["source"] != "default" {
		t.Errorf("of a section: %s", got.out)
	}
	got = call(t.Context(), "config", "show", "database", "--config", path, "-o", "yaml")
	wantIn(t, got.out, "name: database.url", "[secret]", "source: monitor.yaml:3")
	got = call(t.Context(), "config", "show", "polcy", "--config", path)
	wantCode(t, got, exitUsage)
	wantIn(t, got.err, `no setting and no section is called "polcy"`)
	if err := os.WriteFile(path, []byte("mod: observe\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got = call(t.Context(), "config", "show", "--config", path)
	wantCode(t, got, exitUsage)
	wantIn(t, got.err, "monitor.yaml:1", "unknown key")
}
