package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/issue"
)

var update = flag.Bool("update", false, "write the golden files anew")

// noon is when the tests of what people read take place.
func noon() time.Time { return time.Date(2026, 11, 24, 14, 3, 0, 0, time.UTC) }

// alone keeps the settings of whoever runs the tests away from them.
func alone(t *testing.T) {
	t.Helper()
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "MONITOR_") || strings.HasPrefix(name, "TEMPORAL_") || name == "DATABASE_URL" {
			t.Setenv(name, "")
			_ = os.Unsetenv(name)
		}
	}
	t.Setenv("USER", "mallory")   // which is anybody's word
	t.Setenv("HOME", t.TempDir()) // where Temporal's own configuration would be
}

type answer struct {
	code     int
	out, err string
}

// call runs monitor at noon.
func call(ctx context.Context, args ...string) answer {
	var out, errs bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &out, err: &errs, now: noon, account: "alice"}
	code := a.execute(ctx, args)
	return answer{code, out.String(), errs.String()}
}

func wantCode(t *testing.T, got answer, code int) {
	t.Helper()
	if got.code != code {
		t.Fatalf("exit code %d, not %d\nout: %s\nerr: %s", got.code, code, got.out, got.err)
	}
}

func wantIn(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is not in:\n%s", p, text)
		}
	}
}

func wantGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

// wantStable checks what scripts rely on: snake_case names, and times in UTC as RFC 3339.
func wantStable(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("no JSON: %v\n%s", err, text)
	}
	name, date := regexp.MustCompile(`^[a-z0-9_]+$`), regexp.MustCompile(`^\d{4}-\d\d-\d\dT`)
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			for k, x := range v {
				if !name.MatchString(k) {
					t.Errorf("the name %q is not in snake_case", k)
				}
				walk(x)
			}
		case string:
			if !date.MatchString(v) {
				return
			}
			if at, err := time.Parse(time.RFC3339, v); err != nil || at.Location() != time.UTC || at.IsZero() {
				t.Errorf("%q is no time in UTC", v)
			}
		}
	}
	walk(v)
	return v
}

func TestHelpReadsAsItsGoldenFiles(t *testing.T) {
	alone(t)
	for name, args := range map[string][]string{"help": {"--help"}, "help-pause": {"issue", "pause", "--help"}, "help-cycle": {"pcu", "cycle", "--help"},
		"help-pcu": {"pcu", "--help"}, "help-models": {"pcu", "models", "--help"}, "help-scan": {"pcu", "scan", "--help"}} {
		got := call(t.Context(), args...)
		wantCode(t, got, exitOK)
		wantGolden(t, name, got.out)
	}
}

func TestEveryCommandHasHelpWithExamples(t *testing.T) {
	a := &app{now: noon}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%s has no description or no example", path)
		}
		for line := range strings.Lines(cmd.Example) {
			if !strings.HasPrefix(line, "  monitor ") {
				t.Errorf("%s: an example is no command: %q", path, line)
			}
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(a.root())
}

func TestBadUsageSaysWhatIsWrong(t *testing.T) {
	alone(t)
	const url = "MONITOR_DATABASE_URL"
	for _, c := range []struct {
		args string
		says []string
	}{
		{"isue", []string{`no command "isue"`, "did you mean `monitor issue`?", "see `monitor --help`"}},
		{"issue shwo", []string{"did you mean `monitor issue show`?", "see `monitor issue --help`"}},
		{"issue show", []string{"ID is missing", "see `monitor issue show --help`"}},
		{"issue show a b", []string{`"b" is one argument too many`}},
		{"issue list --colour", []string{"unknown flag: --colour"}},
		{"issue list -o xml", []string{`--output must be one of table, wide, json, yaml, csv, name, not "xml"`}},
		{"issue list --timeout -1s", []string{"--timeout must not be negative"}},
		{"issue list --limit 0", []string{"--limit must be above zero"}},
		{"issue list --status shut", []string{`--status must be one of open, paused, closed, not "shut"`}},
		{"issue list --type nodeup", []string{`"nodeup" is no type of issue`}},
		{"node list --status up", []string{`--status must be one of online, good, offline, down, failboot, safeboot, disabled, not "up"`}},
		{"issue list", []string{"database.url: must be set", url}},
		{"issue show planetlab1.example.edu", []string{`"planetlab1.example.edu" is no issue: its id looks like nodedown/planetlab1.example.edu`}},
		{"issue close sweep/now", []string{`"sweep" is no type of issue: there are badhardware, dnserror`}},
		{"issue open nodeup a", []string{`"nodeup" is no type of issue`}},
		{"issue pause nodedown/a --until tomorrow", []string{`"tomorrow" is no time: write 2026-12-24`}},
		{"issue pause nodedown/a --until 2025-12-24", []string{`"2025-12-24" lies in the past: it is 2025-12-24 00:00 UTC (11 months ago)`}},
		{"ladders nodeup", []string{`"nodeup" is no type of issue`}},
		{"exempt set host a", []string{`write node, site, pcu, slice or person, not "host"`}},
		{"exempt set node", []string{"TARGET is missing"}},
		{"exempt set node a --downtime", []string{"a downtime has an end: give --until"}},
		{"exempt set node a --from 2026-12-24 --until 2026-12-23", []string{"it would end before it starts: from 2026-12-24 00:00 UTC until 2026-12-23 00:00 UTC"}},
		{"exempt remove rack a", []string{`not "rack"`}},
		{"pcu test --host a", []string{`required flag(s) "model" not set`}},
		{"pcu test --model APCControl12p3 --host a", []string{"no password: give --password-file or set MONITOR_PCU_PASSWORD"}},
		{"pcu test --model APCControl12p3 --host a --password-file /nowhere/pw", []string{"--password-file: open /nowhere/pw"}},
		{"ladders --set policy.nonsense=1", []string{"--set policy.nonsense: unknown key"}},
		{"issue list --config /nowhere/m.yaml", []string{"monitor: configuration: open /nowhere/m.yaml: no such file"}},
		{"--check-config", []string{"the configuration has mistakes", "database.url"}},
	} {
		got := call(t.Context(), strings.Fields(c.args)...)
		if got.code != exitUsage || got.out != "" {
			t.Errorf("%s: exit code %d, output %q", c.args, got.code, got.out)
		}
		wantIn(t, got.err, c.says...)
	}
}

func TestCheckConfigNeverActs(t *testing.T) {
	alone(t)
	t.Setenv("MONITOR_DATABASE_URL", "postgres://nobody:s3cret-Pw@127.0.0.1:1/monitor")
	got := call(t.Context(), "sweep", "--check-config")
	wantCode(t, got, exitOK)
	wantIn(t, got.out, "the configuration is good")
	got = call(t.Context(), "issue", "list")
	wantCode(t, got, exitFailure)
	wantIn(t, got.err, "postgres at 127.0.0.1:1, database monitor")
	if strings.Contains(got.err, "s3cret") {
		t.Errorf("the password shows: %s", got.err)
	}
}

func TestLaddersNeedNeitherDatabaseNorTemporal(t *testing.T) {
	alone(t)
	// A password of a PCU in the environment is no bad setting.
	t.Setenv(passwordVariable, "s3cret-Pw")
	got := call(t.Context(), "ladders", "--set", "policy.people_step=3d")
	wantCode(t, got, exitOK)
	cfg, err := config.Load(config.Options{Env: []string{}, Flags: &config.Flags{Set: []string{"policy.people_step=3d"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range issue.Types() {
		wantIn(t, got.out, strings.TrimSpace(l.Print(issue.TimesOf(cfg.Policy.InRealTime()))))
	}
	wantIn(t, got.out, "yield 3 d (people step)")

	got = call(t.Context(), "ladders", "pcudown", "-o", "json")
	wantCode(t, got, exitOK)
	list := wantStable(t, got.out).([]any)
	first := list[0].(map[string]any)["rungs"].([]any)[0].(map[string]any)
	if len(list) != 1 || first["do"] != "Email" || first["yield"] != "people step" {
		t.Errorf("ladders as JSON are %v", list)
	}
}

func TestAMomentIsReadInAnyOfItsForms(t *testing.T) {
	alone(t)
	a := &app{now: noon, flags: &config.Flags{}}
	for text, want := range map[string]time.Time{
		"2026-12-24":                time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC),
		"2026-12-24T15:30:00+02:00": time.Date(2026, 12, 24, 13, 30, 0, 0, time.UTC),
		"2026-12-24T15:30":          time.Date(2026, 12, 24, 15, 30, 0, 0, time.UTC),
		"2026-12-24 15:30 UTC":      time.Date(2026, 12, 24, 15, 30, 0, 0, time.UTC),
		"3d":                        noon().Add(72 * time.Hour),
		"1d12h":                     noon().Add(36 * time.Hour),
	} {
		if got, err := a.moment(text); err != nil || !got.Equal(want) {
			t.Errorf("%s is %v, %v", text, got, err)
		}
	}
	a.flags.Set = []string{"policy.day=10s"} // as in the demo
	if got, err := a.moment("3d"); err != nil || !got.Equal(noon().Add(30*time.Second)) {
		t.Errorf("three short days end at %v, %v", got, err)
	}
}

func TestWhatFarMachinesWriteDrivesNoTerminal(t *testing.T) {
	var out bytes.Buffer
	a := &app{out: &out, err: &out, now: noon}
	a.table("", row{"WHY"}, []row{{"down\x1b[2J\x07\u009b1m"}, {a.state("o\x1b]0;x\x07k")}})
	a.warn("%s", "\x1b[31m")
	if strings.ContainsAny(out.String(), "\x1b\x07\u009b") {
		t.Errorf("printed %q", out.String())
	}
}

func TestTheFileOfThePackagesIsReadWhereNobodyNamesAnother(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "monitor.yaml")
	if err := os.WriteFile(file, []byte("temporal: {namespace: packaged}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		about, variable, system string
		words                   []string
		want                    bool
	}{
		{"nobody names one", "", file, nil, true},
		{"a single setting is overridden", "", file, []string{"--set", "mode=observe"}, true},
		{"there is none", "", file + ".away", nil, false},
		{"the command line names one", "", file, []string{"--config", os.DevNull}, false},
		{"the environment names one", "MONITOR_CONFIG", file, nil, false},
		{"the environment names a database", "DATABASE_URL", file, nil, false},
	} {
		t.Run(c.about, func(t *testing.T) {
			alone(t)
			if c.variable != "" {
				t.Setenv(c.variable, os.DevNull)
			}
			a := &app{system: c.system}
			cmd := a.root()
			if err := cmd.ParseFlags(c.words); err != nil {
				t.Fatal(err)
			}
			if got := a.ownFile() == file; got != c.want {
				t.Errorf("it is read: %t", got)
			}
		})
	}
}
