package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/planetlab/monitor/doctor"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/testbed/fakeplc"
	"github.com/planetlab/monitor/testbed/freeport"
	"github.com/planetlab/monitor/testbed/pglocal"
	"github.com/planetlab/monitor/testbed/rig"
)

// setupLab is a small PlanetLab and a folder in which Monitor is to be set up beside it.
type setupLab struct {
	*testbed.World
	dir, file, url string
	port           string // of the embedded Temporal
	metrics, web   string // host:port
}

func newLab(t *testing.T) *setupLab {
	t.Helper()
	url := pglocal.ForTest(t)
	alone(t)
	l := &setupLab{dir: t.TempDir(), url: url}
	l.file = filepath.Join(l.dir, "etc", "monitor.yaml")
	root, err := rig.SSHKey(l.dir)
	if err != nil {
		t.Fatal(err)
	}
	l.World, err = testbed.Start(testbed.Options{Sites: []testbed.Site{{Login: "lab", Nodes: 2}, {Login: "attic", Nodes: 1, NoPCU: true}},
		BootTime: time.Second, Root: root})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.World.Close)
	for name, text := range map[string]string{"password": testbed.PLCPassword, "ca.pem": string(l.PLCCA), "url": url} {
		if err := os.WriteFile(filepath.Join(l.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, l.port, _ = strings.Cut(freeport.ForTest(t), ":")
	l.metrics, l.web = freeport.ForTest(t), freeport.ForTest(t)
	// what is different in a testbed, as somebody would have written it before
	text, err := yaml.Marshal(map[string]any{
		"probe":   map[string]any{"port_map": testbed.PortMap(), "resolver": l.Resolver, "timeout": "2s", "tries": 1, "ping": false},
		"pcu":     map[string]any{"networks": []string{"127.0.0.0/8"}, "connect_timeout": "2s", "operation_timeout": "10s"},
		"http":    map[string]any{"listen": ""},
		"web":     map[string]any{"listen": l.web},
		"metrics": map[string]any{"listen": l.metrics},
		"mail":    map[string]any{"test_address": "ann@example.org"},
	})
	if err == nil {
		err = os.MkdirAll(filepath.Dir(l.file), 0o700)
	}
	if err == nil {
		err = os.WriteFile(l.file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.end(t) })
	return l
}

// end ends the processes that a setup has left running.
func (l *setupLab) end(t *testing.T) {
	for _, unit := range []string{"monitor-worker", "monitor-temporal"} {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(l.file), unit+".pid"))
		if err != nil {
			continue
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Error(err)
			continue
		}
		_ = syscall.Kill(pid, syscall.SIGTERM)
		for end := time.Now().Add(20 * time.Second); syscall.Kill(pid, 0) == nil && time.Now().Before(end); {
			time.Sleep(50 * time.Millisecond)
		}
		_ = syscall.Kill(pid, syscall.SIGKILL)
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(filepath.Dir(l.file), unit+".log"))
			t.Logf("%s wrote:\n%s", unit, log)
		}
	}
}

// words are the flags of an unattended setup.
func (l *setupLab) words(more ...string) []string {
	in := func(name string) string { return filepath.Join(l.dir, name) }
	return append([]string{"setup", "--config", l.file, "--plc-url", l.PLC, "--plc-username", testbed.PLCUser, "--plc-password-file",
		in("password"), "--plc-ca-file", in("ca.pem"), "--database-url-file", in("url"), "--temporal", "embedded:" + l.port, "--ssh-key",
		in("ssh_key"), "--admins", "noc@example.org", "--start", "process", "--bin", "../bin"}, more...)
}

func (l *setupLab) monitor(t *testing.T, words ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &o, err: &e, now: time.Now, account: "alice"}
	code = a.execute(t.Context(), words)
	return code, o.String(), e.String()
}

// contents are all files below a folder, but logs and databases.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".log") || strings.Contains(path, "temporal.db") {
			return err
		}
		text, err := os.ReadFile(path)
		info, statErr := d.Info()
		if err == nil {
			err = statErr
		}
		out[path] = fmt.Sprint(info.Mode(), info.ModTime(), string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func programs(t *testing.T) {
	t.Helper()

	for _, program := range []string{"monitor-worker", "temporal-dev"} {
		if _, err := os.Stat("../bin/" + program); err != nil || testing.Short() {
			t.Skip("needs the programs of `make build`")
		}
	}
}

func TestSetupEndsWithAMonitorThatWatches(t *testing.T) {
	programs(t)
	l := newLab(t)
	if err := l.Break("planetlab2.lab.example", testbed.Fault{State: fakenode.Filtered, FixedBy: testbed.Nobody}); err != nil {
		t.Fatal(err)
	}
	var all []any
	for _, name := range []string{"lab", "attic"} {
		all = append(all, l.DB.Get("Nodes", "hostname", "planetlab1."+name+".example")["node_id"])
	}
	l.DB.Add("NodeGroups", fakeplc.Row{"nodegroup_id": 1, "groupname": "Alpha", "node_ids": all})
	code, out, errs := l.monitor(t, l.words("--site", "lab")...)
	if code != exitOK && code != exitToMend {
		t.Fatalf("exit code %d\n%s\n%s", code, out, errs)
	}
	wantIn(t, out, "setup.inventory", "PLC: 2 sites, 3 nodes, 1 PCUs", "(--select group=NAME): 2 Alpha", "lab: 1 of 2 nodes run", "planetlab2.lab.example down: no ssh",
		"UpdateNode", "passes", "setup.sweep", "3 nodes, 2 up, 1 PCUs", "at http://"+l.web, "Monitor watches, in observe mode", "last sweep ended")
	for _, secret := range []string{testbed.PLCPassword, "PRIVATE KEY"} {
		if strings.Contains(out+errs, secret) {
			t.Errorf("it shows %q", secret)
		}
	}
	db, err := store.Open(t.Context(), store.Options{URL: l.url})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if at, why, err := db.LastBelieved(t.Context()); err != nil || at.IsZero() || why != "" {
		t.Errorf("no sweep is believed: %v, %s, %v", at, why, err)
	}
	if did, err := db.Actions(t.Context(), store.ActionFilter{Kind: store.KindReboot}); err != nil || len(did) > 0 {
		t.Errorf("in observe mode it did %v, %v", did, err)
	}
	l.scraped(t)
	before := contents(t, l.dir)
	for path, info := range before {
		if name := filepath.Base(path); (name == "secret_key" || name == "database_url") && !strings.HasPrefix(info, "-rw-------") {
			t.Errorf("%s is %.10s", name, info)
		}
	}

	t.Run("the second time it changes nothing", func(t *testing.T) {
		code2, out, errs := l.monitor(t, "setup", "--config", l.file, "--start", "process", "--bin", "../bin")
		if code2 != code {
			t.Fatalf("exit code %d, not %d\n%s\n%s", code2, code, out, errs)
		}
		wantIn(t, out, "monitor.yaml is as it was", "it answers at 127.0.0.1:"+l.port)
		for path, was := range before {
			if is := contents(t, l.dir)[path]; is != was {
				t.Errorf("%s has changed:\n%s\n%s", path, was, is)
			}
		}
	})
	t.Run("the doctor finds all as it should be, and says what breaks", func(t *testing.T) {
		l.doctor(t)
	})
}

// scraped reads what the worker tells Prometheus after a sweep, the Temporal SDK's part included.
func (l *setupLab) scraped(t *testing.T) {
	t.Helper()
	resp, err := http.Get("http://" + l.metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || len(text) > 100_000 {
		t.Errorf("a scrape has %d bytes, %v", len(text), err)
	}
	wantIn(t, string(text), `monitor_sweep{what="nodes"} 3`, `monitor_nodes{status="down"} 0`, `monitor_mode{mode="observe"} 1`,
		"monitor_store_up 1", "temporal_")
	t.Logf("a scrape has %d bytes", len(text))
}

// doctor breaks one thing after the other, and asks what the doctor says of it.
func (l *setupLab) doctor(t *testing.T) {
	ask := func(only string) (int, map[string]doctor.Finding) {
		t.Helper()
		words := []string{"doctor", "--config", l.file, "-o", "json"}
		if only != "" {
			words = append(words, "--only", only)
		}
		code, out, errs := l.monitor(t, words...)
		var list []doctor.Finding
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			t.Fatalf("exit code %d, %v\n%s\n%s", code, err, out, errs)
		}
		byName := map[string]doctor.Finding{}
		for _, f := range list {
			byName[f.Name] = f
			if f.State == doctor.Failed && f.Remedy == "" {
				t.Errorf("%s failed and says not what to do: %s", f.Name, f.Found)
			}
		}
		return code, byName
	}
	_, all := ask("")
	if len(all) != len(doctor.Names()) {
		t.Errorf("%d findings of %d checks", len(all), len(doctor.Names()))
	}
	for name, f := range all {
		fine := f.State == doctor.OK
		switch name {
		case "mail", "rt", "ssh.debug", "inventory", "sources": // none of them is there
			fine = f.State == doctor.Skipped
		case "config.risks":
			fine = f.State != doctor.Failed
		}
		if !fine {
			t.Errorf("%s is %s: %s", name, f.State, f.Found)
		}
	}
	if f := all["ssh.production"]; !strings.Contains(f.Found, "opens planetlab1.lab.example") &&
		!strings.Contains(f.Found, "opens planetlab1.attic.example") {
		t.Errorf("keys: %s", f.Found)
	}

	breaks := func(name string, state doctor.State, want string) {
		t.Helper()
		code, got := ask(name)
		f := got[name]
		if name == "plc.admin" || name == "plc.rights" {
			code, got = ask("plc")
			f = got[name]
		}
		wanted := map[doctor.State]int{doctor.Failed: exitBroken, doctor.Warning: exitToMend}[state]
		if f.State != state || !strings.Contains(f.Found+f.Remedy, want) || code != wanted {
			t.Errorf("%s is %s, exit code %d: %s -> %s", name, f.State, code, f.Found, f.Remedy)
		}
	}
	person := l.DB.Get("Persons", "email", testbed.PLCUser)["person_id"].(int)
	l.DB.SetRoles("tech")
	breaks("plc.admin", doctor.Failed, `"tech"`)
	l.DB.SetRoles()
	breaks("plc.rights", doctor.Failed, "UpdateNode, to have a node reinstalled")
	l.DB.Set("Persons", person, "enabled", false)
	breaks("plc.login", doctor.Failed, "plc.password_file")
	l.DB.Set("Persons", person, "enabled", true)
	l.DB.SetRoles("admin")

	l.BreakPCU("lab", "wrong password")
	if _, got := ask("postgres,pcus"); got["pcus"].State != doctor.Warning || !strings.Contains(got["pcus"].Found, "fails") {
		t.Errorf("pcus: %+v", got["pcus"])
	}
	l.BreakPCU("lab", "")
	other := filepath.Join(l.dir, "other_key")
	if text, _, err := newSSHKey(); err != nil || os.WriteFile(other, text, 0o600) != nil {
		t.Fatal(err)
	}
	code, out, _ := l.monitor(t, "doctor", "--config", l.file, "--only", "postgres,ssh", "--set", "probe.ssh_key_file="+other)
	if code != exitBroken {
		t.Errorf("exit code %d\n%s", code, out)
	}
	wantIn(t, out, other+" opens none", "-> name the private half")
	code, out, _ = l.monitor(t, "doctor", "--config", l.file, "--only", "temporal", "--set", "temporal.address=127.0.0.1:1")
	if code != exitBroken {
		t.Errorf("exit code %d\n%s", code, out)
	}
	wantIn(t, out, "temporal.answers", "start Temporal", "skipped", "temporal.schedule")
	away := filepath.Join(l.dir, "away")
	if err := os.WriteFile(away, []byte("postgres://monitor@127.0.0.1:1/monitor"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, _ = l.monitor(t, "doctor", "--config", l.file, "--only", "postgres,clock", "--set", "database.url_file="+away)
	if code != exitBroken {
		t.Errorf("exit code %d\n%s", code, out)
	}
	wantIn(t, out, "postgres.answers", "127.0.0.1:1", "-> start Postgres", "skipped  clock")
	var late bytes.Buffer
	a := &app{out: &late, err: io.Discard, now: func() time.Time { return time.Now().Add(-time.Minute) }}
	if code := a.execute(t.Context(), []string{"doctor", "--config", l.file, "--only", "clock"}); code != exitToMend {
		t.Errorf("exit code %d\n%s", code, late.String())
	}
	wantIn(t, late.String(), "warning  clock", "ahead of ours", "-> run a time service")
	code, out, _ = l.monitor(t, "doctor", "--config", l.file, "--set", "plc.url=nonsense")
	if code != exitBroken {
		t.Errorf("exit code %d", code)
	}
	wantIn(t, out, "failed", "config", "plc.url", "mend each line")
}

func TestSetupStopsWhereSomethingIsWrongAndSaysWhatToDo(t *testing.T) {
	programs(t)
	l := newLab(t)
	words := func(change ...string) []string {
		all := l.words()
		for i := 0; i+1 < len(change); i += 2 {
			at := slices.Index(all, change[i])
			if change[i+1] == "" {
				all = slices.Delete(all, at, at+2)
			} else {
				all[at+1] = change[i+1]
			}
		}
		return all
	}
	file := func(name, text string) string {
		path := filepath.Join(l.dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name  string
		words []string
		code  int
		want  []string
	}{
		{"a setting is missing", words("--plc-url", ""), exitUsage, []string{"setup must know --plc-url"}},
		{"a database URL on the command line", append(words(), "--database", "postgres://monitor:pw@db/monitor"), exitUsage,
			[]string{"--database-url-file"}},
		{"no such start", append(words(), "--start", "magic"), exitUsage, []string{"systemd, process or no"}},
		{"nonsense for an URL", words("--plc-url", "nonsense"), exitBroken, []string{"plc.url", "mend each line"}},
		{"Postgres is not there", words("--database-url-file", file("url2", "postgres://monitor@127.0.0.1:1/monitor")), exitBroken,
			[]string{"failed", "postgres.answers", "-> start Postgres"}},
		{"Temporal is not there", words("--temporal", "127.0.0.1:1"), exitBroken, []string{"failed", "temporal.answers", "-> start Temporal"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := l.monitor(t, c.words...)
			if code != c.code {
				t.Errorf("exit code %d\n%s\n%s", code, out, errs)
			}
			wantIn(t, out+errs, c.want...)
			if c.code == exitBroken {
				wantIn(t, errs, "run `monitor setup` again")
			}
		})
	}
	for _, c := range []struct {
		name  string
		words []string
		do    func()
		want  []string
	}{
		{"a wrong password at PLC", words("--plc-password-file", file("wrong", "wrong")), func() {}, []string{"plc.login", "-> check plc.username"}},
		{"an empty PLC", words(), func() { l.DB.Hide("Nodes", 1) }, []string{"setup.inventory", "it has no nodes"}},
		{"no such site", words("--admins", "noc@example.org"), func() { l.DB.Hide("Nodes", 0) }, []string{"setup.site", "name another with --site"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.do()
			code, out, errs := l.monitor(t, append(c.words, "--site", "nowhere", "-o", "table")...)
			if code != exitBroken {
				t.Errorf("exit code %d\n%s\n%s", code, out, errs)
			}
			wantIn(t, out, c.want...)
			l.DB.Hide("Nodes", 0)
		})
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(l.file), "monitor-worker.pid")); err == nil {
		t.Error("the worker was started all the same")
	}
}

func TestSetupTakesAnInventoryOfAnsible(t *testing.T) {
	alone(t)
	dir := t.TempDir()
	file, url := filepath.Join(dir, "monitor.yaml"), filepath.Join(dir, "url")
	if err := os.WriteFile(url, []byte("postgres://monitor@127.0.0.1:1/monitor"), 0o600); err != nil {
		t.Fatal(err)
	}
	setup := func(more ...string) string {
		t.Helper()
		var out bytes.Buffer
		a := &app{in: strings.NewReader(""), out: &out, err: io.Discard, now: time.Now}
		if code := a.execute(t.Context(), append([]string{"setup", "--config", file, "--ansible", filepath.Join(dir, "hosts"),
			"--database-url-file", url, "--temporal", "127.0.0.1:1", "--start", "no"}, more...)); code != exitBroken {
			t.Errorf("exit code %d, though there is no Postgres\n%s", code, out.String())
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	wantIn(t, setup(), "source: ansible", "command: [ansible-inventory, -i, "+filepath.Join(dir, "hosts")+", --list]", "sites: {all: lab}")
	wantIn(t, setup("--set", "inventory.ansible.sites=robotics=east"), "sites: {robotics: east}")
	wantIn(t, setup(), "sites: {robotics: east}")
}
