package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, text string, env ...string) (*Config, error) {
	t.Helper()
	return Load(Options{Path: write(t, "monitor.yaml", text), Env: append([]string{}, env...)})
}

func mustLoad(t *testing.T, text string, env ...string) *Config {
	t.Helper()
	cfg, err := load(t, text, env...)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestAnEmptyFileIsTheDefault(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "plc:\n", "plc:\n  url:\n"} {
		if diff := cmp.Diff(Default(), *mustLoad(t, text)); diff != "" {
			t.Errorf("%q:\n%s", text, diff)
		}
	}
}

func TestALaterLayerOverridesAnEarlierOne(t *testing.T) {
	path := write(t, "monitor.yaml", "log: {level: warn, format: json}\nhttp: {listen: ':1'}\nprobe: {tries: 7}\n")
	fs := pflag.NewFlagSet("t", pflag.ContinueOnError)
	flags := AddFlags(fs)
	if err := fs.Parse([]string{"--config", path, "--set", "log.level=debug", "--set=probe.port_map=22=10022, 806=10806"}); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(Options{Flags: flags, Env: []string{"MONITOR_LOG_LEVEL=error", "MONITOR_HTTP_LISTEN=[::1]:2", "MONITOR_PROBE_SSH_PORTS=22, 2222"}})
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(cfg.Log.Level, cfg.Log.Format, cfg.HTTP.Listen, cfg.Probe.Tries, cfg.Probe.SSHPorts, cfg.Probe.PortMap, cfg.Probe.Parallel)
	if want := "debugjson[::1]:27[22 2222]map[22:10022 806:10806]200"; strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestVariablesOfOthersGiveWayToOurOwn(t *testing.T) {
	cfg := mustLoad(t, "temporal: {namespace: file}\n", "DATABASE_URL=postgres://theirs/x", "TEMPORAL_ADDRESS=a:1",
		"TEMPORAL_NAMESPACE=theirs", "MONITOR_TEMPORAL_NAMESPACE=ours")
	if cfg.Database.URL.Reveal() != "postgres://theirs/x" || cfg.Temporal.Address != "a:1" || cfg.Temporal.Namespace != "ours" {
		t.Errorf("got %+v %s", cfg.Temporal, cfg.Database.URL.Reveal())
	}
}

func TestMistakesNameTheirPlace(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "plc:\n  url: http://x/\n  passwrod: hunter2\n", "monitor.yaml:3: plc.passwrod: unknown key"},
		{"unknown section", "\nplv:\n  a: 1\n", "monitor.yaml:2: plv: unknown key"},
		{"duration without a unit", "plc:\n  timeout: 5\n", `monitor.yaml:2: plc.timeout: "5" is not a duration such as 30s, 5m or 24h`},
		{"policy time without a unit", "policy:\n\n  machine_step: 5\n", `monitor.yaml:3: policy.machine_step: "5" is not a policy time`},
		{"negative policy time", "policy:\n  machine_step: -5d\n", `monitor.yaml:2: policy.machine_step: "-5d" is negative`},
		{"policy time in a map", "policy:\n  notice_every:\n    down: zz\n", `policy.notice_every: down: "zz" is not a policy time`},
		{"half a node", "policy:\n  site_min_up: 2.5\n", `monitor.yaml:2: policy.site_min_up: "2.5" is not a whole number`},
		{"an address that is none", "mail:\n  probes_from: [here]\n", `monitor.yaml:2: mail.probes_from: "here" is no IP address`},
		{"a page that is none", "mail:\n  pages: plc\n", "monitor.yaml:2: mail.pages: must be an http or https URL"},
		{"a preset that is none", "policy:\n  preset: fast\n", `monitor.yaml:2: policy.preset: "fast" is none; there are myops, ple`},
		{"yes is not true", "probe:\n  ping: yes\n", `monitor.yaml:2: probe.ping: "yes" is neither true nor false`},
		{"text for a section", "plc: hunter2\n", "monitor.yaml:1: plc: want a section"},
		{"text for a list", "mail:\n  admins: a@b.c\n", "monitor.yaml:2: mail.admins: want a list"},
		{"map for a secret", "plc:\n  password: {hunter2: hunter2}\n", "monitor.yaml:2: plc.password: want one plain value"},
		{"alias", "plc: &a\n  url: http://x/\nmail: *a\n", "monitor.yaml:1: plc: want a section"},
		{"key twice", "plc:\n  url: http://x/\n  url: http://y/\n", `monitor.yaml:3:3: mapping key "url" already defined`},
		{"broken quote", "plc:\n  password: \"hunter2\n", "monitor.yaml:2:13: could not find end character"},
		{"two documents", "plc:\n  url: http://x/\n---\nmail:\n  mode: live\n", "holds 2 YAML documents"},
		{"a whole text", "hunter2\n", "monitor.yaml:1: want a section"},
		{"value that cannot be", "log:\n  level: info\nmail:\n  mode: loud\n", `monitor.yaml:4: mail.mode: must be live, test, not "loud"`},
		{"mode that cannot be", "mode: loud\n", `monitor.yaml:1: mode: must be observe, act, not "loud"`},
		{"mode as a section", "mode: {a: b}\n", "monitor.yaml:1: mode: want one plain value"},
		{"acts, and its mail goes nowhere", "mode: act\n", "mail.test_address: must be set when mail.mode is test"},
		{"acts and observes", "mail: {mode: observe}\nmode: act\n", "monitor.yaml:1: mail.mode: observe is the old spelling of mode: observe, but monitor.yaml:2 sets mode: act"},
		{"number that cannot be", "policy:\n  max_reboots: 0\n", "monitor.yaml:2: policy.max_reboots: must be at least 1"},
		{"negative budget", "policy:\n  budget:\n    reboots_site: -1\n", "monitor.yaml:3: policy.budget.reboots_site: must be at least 0, not -1"},
		{"share of a fleet", "policy:\n  guard:\n    snapshot_share: 2\n", "monitor.yaml:3: policy.guard.snapshot_share: must lie above 0 and be at most 1, not 2"},
		{"no heartbeat is fresh", "policy:\n  heartbeat_fresh: 0d\n", "monitor.yaml:2: policy.heartbeat_fresh: must be above zero, not 0s"},
		{"real time in days", "probe:\n  timeout: 1d\n", `monitor.yaml:2: probe.timeout: "1d" is not a duration`},
		{"length of a day in days", "policy:\n  day: 1d\n", `monitor.yaml:2: policy.day: "1d" is not a duration`},
		{"key of no setting", "\"-\": a\n", "monitor.yaml:1: -: unknown key"},
		{"bad expression", "policy:\n  kernels:\n    current: ['(']\n", "monitor.yaml:3: policy.kernels.current: error parsing regexp"},
		{"secret and its file", "plc:\n  password: hunter2\n  password_file: /dev/null\n", "set either plc.password or plc.password_file, not both"},
		{"a source that is none", "inventory:\n  source: netbox\n", `monitor.yaml:2: inventory.source: must be plc, file, ansible, not "netbox"`},
		{"a file that is not named", "inventory:\n  source: file\n", "inventory.file: must be set when inventory.source is file"},
		{"an Ansible without a site", "inventory:\n  source: ansible\n  ansible:\n    file: x\n", "inventory.ansible.sites: must name a group and its site"},
		{"a field that is none", "inventory:\n  ansible:\n    variables: {pcu_ip: drac_ip}\n", `monitor.yaml:3: inventory.ansible.variables: there is no field "pcu_ip"`},
		{"a hook beside PLC", "inventory:\n  penalty_hook:\n    command: [x]\n", "inventory.penalty_hook: is for a fleet without PLC"},
		{"a fact whose name is taken", "probe:\n  facts: {kernel: uname}\n", "monitor.yaml:2: probe.facts: kernel: every look has a fact of this name already"},
		{"a port that is none", "probe:\n  open_ports: [0]\n", "monitor.yaml:2: probe.open_ports: 0 is not a port"},
		{"no secret file", "plc:\n  password_file: /nowhere/x\n", "monitor.yaml:2: plc.password_file: open /nowhere/x"},
		{"bad database URL", "database:\n  url: hunter2\n", "monitor.yaml:2: database.url: must begin with postgres://"},
		{"password in the PLC URL", "plc:\n  url: https://a:hunter2@x/\n", "monitor.yaml:2: plc.url: must be an http or https URL without"},
		{"password in the clear", "mail: {tls: none, smtp: 'mx.example.org:25', username: u, password: hunter2}\n", "mail.tls: must not be none"},
		{"alerts from anywhere without a token", "http: {listen: '0.0.0.0:8080', behind_proxy: true}\nalertmanager:\n  rules: ['{a=\"b\"} nodedown host']\n", "alertmanager.token: must be set"},
		{"pages and tokens in the clear", "http: {listen: '0.0.0.0:8080'}\n", "http.listen: must be on this machine alone"},
		{"a socket without its whole path", "web: {listen: 'unix:web.sock'}\n", `web.listen: "unix:web.sock" is neither host:port nor unix:/path`},
		{"a socket whose path is too long", "http: {listen: 'unix:/" + strings.Repeat("x", 108) + "'}\n", "http.listen: \"unix:/xxx"},
		{"two servers at a socket", "http: {listen: 'unix:/run/m'}\nweb: {listen: 'unix:/run/m'}\n", "web.listen: is http.listen already"},
		{"a token for alerts in the clear", "http: {listen: '[::]:8080'}\nalertmanager: {token: hunter2, rules: ['{a=\"b\"} nodedown host']}\n", "alertmanager.rules: need http.tls_cert_file"},
		{"a certificate without its key", "http: {tls_cert_file: /x}\n", "http.tls_cert_file: goes together with http.tls_key_file"},
		{"clear text by no known rule", "pcu: {clear_text: yes}\n", "pcu.clear_text: must be refuse, record, allow"},
		{"a network that is none", "pcu: {networks: [10.0.0.1]}\n", `pcu.networks: "10.0.0.1" is no network`},
		{"header in an address", "mail:\n  from: \"a@b.c\\r\\nBcc: d@e.f\"\n", "mail.from:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := load(t, c.text)
			if err == nil {
				t.Fatalf("accepted as %+v", cfg)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

func TestAllMistakesAreReportedTogether(t *testing.T) {
	_, err := load(t, "plc:\n  a: 1\n  b: 2\n", "MONITOR_PLC_ULR=x", "MONITOR_PROBE_TRIES=many")
	want := "monitor.yaml:2: plc.a: unknown key\nmonitor.yaml:3: plc.b: unknown key\n" +
		"MONITOR_PROBE_TRIES: \"many\" is not a whole number\nMONITOR_PLC_ULR: no setting has this name"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestKubernetesVariablesAreNotTypingMistakes(t *testing.T) {
	mustLoad(t, "", "MONITOR_HTTP_SERVICE_HOST=10.0.0.1", "MONITOR_HTTP_PORT_80_TCP=tcp://10.0.0.1:80", "MONITOR_PORT=tcp://x", "MONITOR_THEIRS=1")
}

func TestAPasswordIsTheTextThatWasWritten(t *testing.T) {
	for _, text := range []string{"0123", "1e5", "true", "0x10", "1_000", "'null'", ".inf"} {
		cfg := mustLoad(t, "plc:\n  password: "+text+"\n")
		if got, want := cfg.PLC.Password.Reveal(), strings.Trim(text, "'"); got != want {
			t.Errorf("%s was read as %q", text, got)
		}
	}
}

func TestASecretComesFromItsFile(t *testing.T) {
	file := write(t, "password", "p w\n")
	if cfg := mustLoad(t, "plc: {password_file: "+file+"}\n"); cfg.PLC.Password.Reveal() != "p w" {
		t.Errorf("got %q", cfg.PLC.Password.Reveal())
	}
	if cfg := mustLoad(t, "plc: {password_file: "+file+"}\n", "MONITOR_PLC_PASSWORD=env"); cfg.PLC.Password.Reveal() != "env" {
		t.Errorf("the environment did not override the file: %q", cfg.PLC.Password.Reveal())
	}
	if cfg := mustLoad(t, "plc: {password: yaml}\n", "MONITOR_PLC_PASSWORD_FILE="+file); cfg.PLC.Password.Reveal() != "p w" {
		t.Errorf("a file named in the environment did not override: %q", cfg.PLC.Password.Reveal())
	}
}

func TestFlagsRefuseSecretsAndUnknownKeys(t *testing.T) {
	for set, want := range map[string]string{
		"plc.password=hunter2": "--set plc.password: a secret does not belong on a command line",
		"plc.nothing=hunter2":  "--set plc.nothing: unknown key",
		"hunter2":              "--set: want section.key=value or mode=value",
		"mail.mode=loud":       `--set mail.mode: must be live, test, not "loud"`,
		"mode=loud":            `--set mode: must be observe, act, not "loud"`,
	} {
		_, err := Load(Options{Env: []string{}, Flags: &Flags{Set: []string{set}}})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %s", set, err, want)
		}
	}
}

func TestSecretsHideFromEveryPrinter(t *testing.T) {
	cfg := Default()
	cfg.PLC.Password = "hunter2"
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v %s %q %x", cfg, cfg, cfg, cfg.PLC.Password, cfg.PLC.Password, cfg.PLC.Password)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "cfg", cfg, "password", cfg.PLC.Password)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "cfg", cfg, "password", cfg.PLC.Password)
	j, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	y, err := yaml.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(j)
	out.Write(y)
	if s := out.String(); strings.Contains(s, "hunter2") || strings.Contains(s, "68756e74657232") || !strings.Contains(s, redacted) {
		t.Errorf("a secret shows: %s", s)
	}
}

func TestPolicyTimesCountPolicyDays(t *testing.T) {
	cfg := mustLoad(t, "policy: {day: 10s, machine_step: 1d12h, heartbeat_fresh: 30m, notice_every: {down: 2d}, guard: {window: 2d}}\n"+
		"sweep: {every: 0.5d}\n")
	p := cfg.Policy
	if p.MachineStep != 36*time.Hour || p.HeartbeatFresh != 30*time.Minute || p.Guard.Window != 48*time.Hour || cfg.Sweep.Every != 12*time.Hour {
		t.Errorf("configured: %s, %s, %s, %s", p.MachineStep, p.HeartbeatFresh, p.Guard.Window, cfg.Sweep.Every)
	}
	n := p.InRealTime()
	if n.MachineStep != 15*time.Second || n.NoticeEvery["down"] != 20*time.Second || n.NoticeEvery["pcudown"] != 30*time.Second || n.Guard.Window != 20*time.Second {
		t.Errorf("real: %s %v %s", n.MachineStep, n.NoticeEvery, n.Guard.Window)
	}
	env := mustLoad(t, "", "MONITOR_POLICY_BOOT_GRACE=0.5d", "MONITOR_POLICY_NOTICE_EVERY=down=1d")
	if env.Policy.BootGrace != 12*time.Hour || env.Policy.NoticeEvery["down"] != 24*time.Hour || env.Policy.NoticeEvery["pcudown"] != 72*time.Hour {
		t.Errorf("from the environment: %s, %v", env.Policy.BootGrace, env.Policy.NoticeEvery)
	}
}

func TestAPresetGivesTheNumbersThatAreNotSet(t *testing.T) {
	p := mustLoad(t, "policy: {preset: ple, penalty_step: 10d, day: 10s, notice_every: {down: 1d}}\n").Policy
	const week = 7 * 24 * time.Hour
	if p.OfflineToDown != week || p.PenaltyStep != 10*24*time.Hour || p.Day != 10*time.Second ||
		p.NoticeEvery["down"] != 24*time.Hour || p.NoticeEvery["pcudown"] != week || p.MachineStep != 24*time.Hour {
		t.Errorf("%+v", p)
	}
	if p := mustLoad(t, "", "MONITOR_POLICY_PRESET=ple").Policy; p.OfflineToDown != week {
		t.Errorf("from the environment: %+v", p)
	}
	if p := mustLoad(t, "").Policy; p.OfflineToDown != 48*time.Hour {
		t.Errorf("without one: %+v", p)
	}
}

func TestALoadedPolicyIsNobodyElses(t *testing.T) {
	mustLoad(t, "policy: {notice_every: {down: 1d}}\n")
	if again := mustLoad(t, ""); again.Policy.NoticeEvery["down"] != 84*time.Hour {
		t.Errorf("the default is now %s", again.Policy.NoticeEvery["down"])
	}
}

func TestPolicyTimesAreRead(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s": 0, "5m": 5 * time.Minute, "2d": 48 * time.Hour, "0.5d": 12 * time.Hour, "3.5d": 84 * time.Hour, "1h30m": 90 * time.Minute, "1d12h": 36 * time.Hour,
	} {
		if got, err := ParsePolicyTime(text); err != nil || got != want {
			t.Errorf("%s is %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "5", "-1d", "1d-12h", "NaNd", "infd", "1e300d", "2 days", "1dd"} {
		if v, err := ParsePolicyTime(text); err == nil {
			t.Errorf("%q was accepted as %s", text, v)
		}
	}
}

func TestModes(t *testing.T) {
	for _, c := range []struct {
		name, text string
		mode       Mode
		mail       string
		warning    string
	}{
		{"nothing is set", "", ModeObserve, "observe", ""},
		{"observe", "mode: observe\nmail: {mode: live}\n", ModeObserve, "observe", ""},
		{"act with test mail", "mode: act\nmail: {mode: test, test_address: a@b.c}\n", ModeAct, "test", ""},
		{"act with live mail", "mode: act\nmail: {mode: live}\n", ModeAct, "live", ""},
		{"the old spelling of observe", "mail: {mode: observe}\n", ModeObserve, "observe", "monitor.yaml:1: mail.mode: observe is an old spelling: write mode: observe"},
		{"both spellings of observe", "mode: observe\nmail: {mode: observe}\n", ModeObserve, "observe", "monitor.yaml:2: mail.mode: observe is an old spelling"},
		{"live alone, as it once made Monitor act", "mail: {mode: live}\n", ModeObserve, "observe", "monitor.yaml:1: mail.mode: live counts only with mode: act"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := mustLoad(t, c.text)
			if cfg.Mode != c.mode || cfg.MailMode() != c.mail || !strings.Contains(strings.Join(cfg.Warnings, "\n"), c.warning) || (c.warning == "") != (cfg.Warnings == nil) {
				t.Errorf("mode %s, mail %s, warnings %q", cfg.Mode, cfg.MailMode(), cfg.Warnings)
			}
		})
	}
}

func TestRequireNamesWhatIsMissing(t *testing.T) {
	cfg := mustLoad(t, "mode: act\nmail: {mode: live, from: a@b.c}\n")
	if err := cfg.Require("temporal", "mail"); err != nil {
		t.Error(err)
	}
	if err := mustLoad(t, "mode: act\nmail: {mode: live}\n").Require("mail"); err == nil || !strings.Contains(err.Error(), "mail.from: must be set") {
		t.Errorf("acts without a sender: %v", err)
	}
	if err := mustLoad(t, "").Require("mail"); err != nil {
		t.Errorf("observes, and still wants a sender: %v", err)
	}
	err := cfg.Require("plc", "nonsense")
	if err == nil {
		t.Fatal("nothing is missing")
	}
	for _, want := range []string{"plc.url: must be set (in the file, or as MONITOR_PLC_URL)", "plc.username", "plc.password", `"nonsense"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not hold %s", err, want)
		}
	}
}

func TestTheKeyIs32Bytes(t *testing.T) {
	if key, err := (Secrets{}).Key(); key != nil || err != nil {
		t.Errorf("no file: %v %v", key, err)
	}
	good := Secrets{KeyFile: write(t, "key", strings.Repeat("0f", 32)+"\n")}
	if key, err := good.Key(); err != nil || len(key) != 32 || key[31] != 15 {
		t.Errorf("got %v %v", key, err)
	}
	for _, text := range []string{"", "hunter2", strings.Repeat("0f", 16)} {
		bad := Secrets{KeyFile: write(t, "key", text)}
		if key, err := bad.Key(); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got %v %v", text, key, err)
		}
	}
}

func TestCheckSaysWhatIsWrong(t *testing.T) {
	var out bytes.Buffer
	if err := Check(&out, Options{Env: []string{}}, "temporal"); err != nil || !strings.Contains(out.String(), "mode observe, a policy day lasts 24h0m0s") {
		t.Errorf("got %v, %s", err, out.String())
	}
	out.Reset()
	acts := []string{"MONITOR_MODE=act", "MONITOR_MAIL_MODE=live"}
	if err := Check(&out, Options{Env: acts}); err != nil || !strings.Contains(out.String(), "mode act, mail live") {
		t.Errorf("got %v, %s", err, out.String())
	}
	out.Reset()
	if err := Check(&out, Options{Env: []string{"MONITOR_MAIL_MODE=observe"}}); err != nil || !strings.HasPrefix(out.String(), "warning: MONITOR_MAIL_MODE: mail.mode: observe") {
		t.Errorf("got %v, %s", err, out.String())
	}
	out.Reset()
	if err := Check(&out, Options{Env: []string{}}, "plc"); err == nil || !strings.Contains(err.Error(), "plc.url: must be set") || out.Len() > 0 {
		t.Errorf("got %v, %s", err, out.String())
	}
}
