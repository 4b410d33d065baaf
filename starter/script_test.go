package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/api"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/sources"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/testbed/fakeplc"
	"github.com/planetlab/monitor/testbed/pcudev"
	"github.com/planetlab/monitor/testbed/pglocal"
	"github.com/planetlab/monitor/workflows"
)

// TestScripts runs testdata/script: the examples that users are shown, as they are typed. What a script needs beside
// the database stands in its name.
func TestScripts(t *testing.T) {
	for _, file := range scripts(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name != "reading" {
				t.Skip("starts servers and devices")
			}
			env := map[string]string{"USER": "alice", "TZ": "UTC"}
			env["MONITOR_DATABASE_URL"] = exampleFleet(t)
			switch {
			case strings.HasPrefix(name, "temporal"):
				env["MONITOR_TEMPORAL_ADDRESS"] = exampleServer(t, env["MONITOR_DATABASE_URL"])
			default: // no server answers there
				env["MONITOR_TEMPORAL_ADDRESS"] = "127.0.0.1:1"
			}
			runScript(t, name, file, env)
			over := func(server func(*testing.T, *api.Options, string)) {
				t.Run("over the API", func(t *testing.T) { runScript(t, "over the API", asToken(t, file), exampleAPI(t, server)) })
			}
			switch name {
			case "temporal-acts":
				over(withTemporal)
			case "plc":
				over(withPLC)
			}
		})
	}
}

// asToken is a script as whoever has a token runs it.
func asToken(t *testing.T, file string) (changed string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed = filepath.Join(t.TempDir(), filepath.Base(file))
	if err := os.WriteFile(changed, bytes.ReplaceAll(text, []byte("alice"), []byte("token alice")), 0o600); err != nil {
		t.Fatal(err)
	}
	return changed
}

// withTemporal is a server of the API that reaches Temporal.
func withTemporal(t *testing.T, o *api.Options, database string) {
	tc, err := client.Dial(client.Options{HostPort: exampleServer(t, database)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tc.Close)
	o.Temporal = tc
}

// withPLC is a server of the API that has Monitor's account at PLC.
func withPLC(t *testing.T, o *api.Options, _ string) {
	var err error
	o.PLC, err = plc.New(plc.Options{URL: plcOfExamples(t), Username: "monitor@example.edu", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Store.SayConfigured(t.Context(), policy.ModeAct, "the test's worker"); err != nil {
		t.Fatal(err)
	}
}

// exampleAPI serves another fleet of the examples over the API, and is how to reach it and nothing else.
func exampleAPI(t *testing.T, with func(t *testing.T, o *api.Options, database string)) (env map[string]string) {
	t.Helper()
	url := exampleFleet(t)
	db, err := store.Open(t.Context(), store.Options{URL: url, Key: exampleKey()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	began := time.Now()
	clock := func() time.Time { return noon().Add(time.Since(began)) }
	o := api.Options{Store: db, Who: api.NewTokens(db, false, clock), Log: slog.New(slog.DiscardHandler), Now: clock}
	with(t, &o, url)
	s := httptest.NewServer(api.New(o))
	t.Cleanup(s.Close)
	root := access.Who{Account: "root", Role: access.Admin, Sites: []string{access.AllSites}}
	_, _, token, err := orders.Desk{Store: db, Now: clock}.AddToken(t.Context(), orders.Order{Who: root}, "alice", access.Admin,
		[]string{access.AllSites}, noon().AddDate(0, 1, 0))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"TZ": "UTC", serverVariable: s.URL, tokenVariable: token}
}

// runScript runs a script with what its name calls for.
func runScript(t *testing.T, name, file string, env map[string]string) {
	setup := func(e *testscript.Env) error {
		for k, v := range env {
			e.Setenv(k, v)
		}
		e.Setenv("HOME", e.WorkDir)
		key := filepath.Join(e.WorkDir, "monitor.key")
		e.Setenv("MONITOR_SECRETS_KEY_FILE", key)
		if err := os.WriteFile(key, []byte(hex.EncodeToString(exampleKey())), 0o600); err != nil {
			return err
		}
		switch {
		case strings.HasPrefix(name, "pcu"):
			return examplePCUs(t, e)
		case strings.HasPrefix(name, "bootman"):
			return exampleNode(t, e)
		case strings.HasPrefix(name, "inventory"):
			return exampleLab(e)
		case strings.HasPrefix(name, "plc"):
			return examplePLC(t, e)
		}
		return nil
	}
	testscript.RunT(oneByOne{t}, testscript.Params{Files: []string{file}, Setup: setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"until": until}})
}

// until runs a command again and again until its output matches: `until PATTERN monitor ...`.
func until(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(args[0])
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		_ = ts.Exec(args[1], args[2:]...)
		if out := ts.ReadFile("stdout"); pattern.MatchString(out) {
			return
		} else if time.Now().After(deadline) {
			ts.Fatalf("%q never comes in: %s", args[0], out)
		}
	}
}

// oneByOne is a test whose scripts do not run beside others: their worlds share addresses.
type oneByOne struct{ *testing.T }

func (t oneByOne) Parallel()     {}
func (t oneByOne) Verbose() bool { return testing.Verbose() }
func (t oneByOne) Run(name string, f func(testscript.T)) {
	t.T.Run(name, func(t *testing.T) { f(oneByOne{t}) })
}

const exampleHost = "planetlab1.example.edu"

func exampleKey() []byte { return bytes.Repeat([]byte{7}, 32) }

// exampleFleet is the fleet of the examples, in a database of its own.
func exampleFleet(t *testing.T) (url string) {
	t.Helper()
	url = pglocal.ForTest(t)
	ctx := t.Context()
	db, err := store.Open(ctx, store.Options{URL: url, Key: exampleKey()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(db.Migrate(ctx))
	_, err = db.SaveSnapshot(ctx, plc.Snapshot{
		Taken: noon(), Sites: []plc.Site{{SiteID: 1, LoginBase: "princeton", Name: "Princeton", Enabled: true, DateCreated: noon().AddDate(-3, 0, 0)}},
		Nodes: []plc.Node{
			{
				NodeID:      10,
				Hostname:    exampleHost,
				SiteID:      1,
				BootState:   "boot",
				PCUIDs:      []int{5},
				Ports:       []int{3},
				LastContact: noon().AddDate(0, 0, -4),
			},
			{NodeID: 11, Hostname: "planetlab2.example.edu", SiteID: 1, BootState: "boot"},
		},
		PCUs: []plc.PCU{
			{PCUID: 5, SiteID: 1, Hostname: "pcu1.example.edu", Username: "admin", Model: "APCControl12p3"},
		},
		Interfaces: []plc.Interface{{NodeID: 10, IP: "127.10.1.1", Primary: true}},
		Persons: []plc.Person{{PersonID: 1, Email: "tech@princeton.example", Roles: []string{"tech"},
			SiteIDs: []int{1}}},
	}, true)
	must(err)
	_, _, err = db.Intent(ctx, store.Action{Key: "letter", Kind: store.KindNotice, Site: "princeton"})
	must(err)
	must(db.Delivered(ctx, "letter", "1 accepted", []byte("{}"), []store.Notice{{Kind: "down", Target: exampleHost,
		Site: "princeton", MessageID: "<abc@monitor.example>", At: noon()}}))
	must(db.SaveNodeLooks(ctx, []store.NodeLook{
		{
			Host:     exampleHost,
			State:    policy.StateDown,
			Category: policy.CategoryError,
			Reason:   "no ssh: timeout",
			At:       noon().AddDate(0, 0, -3),
			Silent:   true,
		},
		{
			Host:     "planetlab2.example.edu",
			State:    policy.StateBoot,
			Category: policy.CategoryProd,
			Uptime:   26 * time.Hour,
			At:       noon().AddDate(0, 0, -3),
			Detail:   []byte(`{"inside":{"kernel":"Linux 2.6.32"}}`),
		},
	}))
	must(db.SaveReadings(ctx, []sources.Reading{{Source: "lines", At: noon(), Facts: []sources.Fact{{Node: exampleHost,
		Name: "rack", Value: "b4", At: noon()}, {Node: exampleHost, Name: "fans", Value: 3.0, At: noon()}}},
		{Source: "table", At: noon(), Err: errors.New("it answers 500: broken")}}, time.Hour, noon()))
	must(db.SavePCULooks(ctx, []store.PCULook{{PCUID: 5, At: noon(), Reason: "wrong password"}}))
	must(db.SaveChanges(ctx, []store.Change{
		{
			Kind:   "node",
			Target: exampleHost,
			Record: policy.Record{Status: policy.StatusDown, Changed: noon().AddDate(0, 0, -3)},
		},
		{
			Kind:   "node",
			Target: "planetlab2.example.edu",
			Record: policy.Record{Status: policy.StatusGood, Changed: noon().AddDate(0, 0, -9)},
		},
	}, noon().AddDate(0, 0, -3)))
	must(db.SetPenaltyLevel(ctx, "princeton", 1, noon().AddDate(0, 0, -1)))
	for _, x := range []store.Issue{
		{ID: "nodedown/" + exampleHost, Type: "nodedown", Target: exampleHost, Node: exampleHost, Status: "open"},
		{ID: "pcudown/pcu1.example.edu", Type: "pcudown", Target: "pcu1.example.edu", PCUID: 5, Status: "open"},
		{ID: "nodedown/planetlab2.example.edu", Type: "nodedown", Target: "planetlab2.example.edu", Node: "planetlab2.example.edu", Status: "closed", Closed: noon()},
	} {
		x.RunID, x.Site, x.Opened, x.Next = "run", "princeton", noon().AddDate(0, 0, -8), "send email"
		putIssue(t, url, x)
	}
	_, _, err = db.Intent(
		ctx,
		store.Action{
			Key:    "nodedown/" + exampleHost + "/run/1",
			Kind:   store.KindReboot,
			Node:   exampleHost,
			Site:   "princeton",
			Reason: "down",
		},
	)
	must(err)
	must(db.SaveBootLog(ctx, store.BootLog{Node: exampleHost, At: noon(), Sequence: keySequence, Log: []byte(keyLog)}))
	return url
}

// exampleServer is a Temporal server whose issues, sites and sweeps answer to all orders and do nothing.
func exampleServer(t *testing.T, url string) (address string) {
	t.Helper()
	tc := temporalServer(t)
	addSearchAttributes(t, tc)
	w := worker.New(tc, activities.TaskQueue, worker.Options{DisableRegistrationAliasing: true})
	for _, typ := range []string{issue.NodeDown, issue.PCUDown, "badhardware"} {
		w.RegisterWorkflowWithOptions(smallIssue, workflow.RegisterOptions{Name: typ})
	}
	w.RegisterWorkflowWithOptions(workflows.WhyNot, workflow.RegisterOptions{Name: activities.WhyNotType})
	w.RegisterWorkflowWithOptions(workflows.Look, workflow.RegisterOptions{Name: activities.LookType})
	w.RegisterActivity(&gatekeeper{})
	db, err := store.Open(t.Context(), store.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	acts := newActor()
	registerActs(w, acts, db)
	machines := worker.New(tc, activities.MachineTaskQueue, worker.Options{DisableWorkflowWorker: true})
	machines.RegisterActivity(acts)
	if err := machines.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(machines.Stop)
	w.RegisterWorkflowWithOptions(smallSite, workflow.RegisterOptions{Name: site.Type})
	w.RegisterWorkflowWithOptions(func(workflow.Context) (activities.SweepResult, error) {
		return activities.SweepResult{Nodes: 2, PCUs: 1, Up: 1}, nil
	}, workflow.RegisterOptions{Name: activities.SweepType})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	if _, err := tc.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: site.ID("princeton"), TaskQueue: activities.TaskQueue}, site.Type); err != nil {
		t.Fatal(err)
	}
	_, err = tc.ScheduleClient().Create(t.Context(), client.ScheduleOptions{
		ID: activities.SweepType, Spec: client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: 1000 * time.Hour}}}, Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP,
		Action: &client.ScheduleWorkflowAction{
			ID:        activities.SweepType,
			Workflow:  activities.SweepType,
			TaskQueue: activities.TaskQueue,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return os.Getenv("MONITOR_TEMPORAL_ADDRESS")
}

// smallSite answers to the names that every site answers to.
func smallSite(ctx workflow.Context) error {
	var s site.State
	if err := workflow.SetQueryHandler(ctx, workflows.QueryStatus, func() (site.State, error) { return s, nil }); err != nil {
		return err
	}
	for _, name := range []string{string(issue.OrderPause), string(issue.OrderResume)} {
		err := workflow.SetUpdateHandler(
			ctx,
			name,
			func(workflow.Context, issue.Command) (workflows.SiteAnswer, error) {
				return workflows.SiteAnswer{State: s}, nil
			},
		)
		if err != nil {
			return err
		}
	}
	return workflow.Await(ctx, func() bool { return false })
}

// examplePCUs are the devices of the examples: a rack, one that speaks SNMP, a BMC, and a lab in a file.
func examplePCUs(t *testing.T, e *testscript.Env) error {
	serve := func(o pcudev.Options) int {
		o.Password, o.OffTime = password, 20*time.Millisecond
		if o.Outlets == nil {
			o.Outlets = &rack{}
		}
		return listen(t, o, "127.0.0.1:0")
	}
	// A scan knows usual ports only, so the address is this process's own; 9100 is open to everybody.
	scanned := fmt.Sprintf("127.21.%d.%d", os.Getpid()>>8&0xff, os.Getpid()&0xfe|1)
	e.Setenv("SCANNED", scanned)
	listen(t, pcudev.Options{Model: "IPAL", Outlets: &rack{}}, scanned+":9100")
	for name, o := range map[string]pcudev.Options{
		"RACK": {Model: "APCControl12p3", Transport: "telnet", User: "apc"}, "SNMP": {Model: "APCSNMP", User: "v2c"}, "BMC": {Model: "OpenIPMI", User: "admin"},
	} {
		e.Setenv(name, "127.0.0.1")
		e.Setenv(name+"_PORT", fmt.Sprint(serve(o)))
	}
	e.Setenv("RACK_TRANSPORT", "telnet") // where none is said, ssh is tried first, and the rack waits for a name
	e.Setenv("MODELS", filepath.Join(e.WorkDir, "models"))
	text := "pcus:\n"
	for i := range 4 {
		text += fmt.Sprintf(
			"  rack%d: {model: APCControl12p3, host: 127.0.0.1, port: %d, transport: telnet, user: apc, password_file: pw, off_time: 50ms}\n",
			i+1,
			serve(pcudev.Options{Model: "APCControl12p3", Transport: "telnet", User: "apc"}),
		)
	}
	for i := range 40 {
		text += fmt.Sprintf(
			"  bmc%d: {model: OpenIPMI, host: 127.0.0.1, port: %d, user: admin, password_file: pw, off_time: 50ms}\n",
			i+1,
			serve(pcudev.Options{Model: "OpenIPMI", User: "admin"}),
		)
	}
	text += "aliases:\n  web: ['rack1:3', 'rack2:3']\n  'node[1-40]': 'bmc[1-40]'\n"
	for name, content := range map[string]string{"pcus.yaml": text, "pw": password + "\n", "community": password + "\n"} {
		if err := os.WriteFile(filepath.Join(e.WorkDir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// listen raises a device on loopback; its answer is the port.
func listen(t *testing.T, o pcudev.Options, at string) int {
	t.Helper()
	d, err := pcudev.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if d.Network() == "udp" {
		socket, err := net.ListenPacket("udp", at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = socket.Close() })
		go func() { _ = d.ServePacket(socket) }()
		return socket.LocalAddr().(*net.UDPAddr).Port
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() { _ = d.Serve(l) }()
	return l.Addr().(*net.TCPAddr).Port
}

// plcOfExamples is the PLC that the fleet of the examples comes from.
func plcOfExamples(t *testing.T) (url string) {
	p := fakeplc.NewDB("monitor@example.edu", password)
	p.Add("Sites", fakeplc.Row{"site_id": 1, "login_base": "princeton", "name": "Princeton", "enabled": true})
	p.Add("Nodes", fakeplc.Row{"node_id": 10, "hostname": exampleHost, "site_id": 1, "boot_state": "boot", "key": "n0de-key",
		"last_contact": int(noon().AddDate(0, 0, -5).Unix()), "pcu_ids": []any{5}, "ports": []any{3}})
	p.Add("Nodes", fakeplc.Row{"node_id": 11, "hostname": "planetlab2.example.edu", "site_id": 1, "boot_state": "reinstall"})
	p.Add("PCUs", fakeplc.Row{"pcu_id": 5, "site_id": 1, "hostname": "pcu1.example.edu", "username": "admin", "password": "0utlet-pw",
		"model": "APCControl12p3", "notes": "\x1b[31mred"})
	p.Add("Persons", fakeplc.Row{"person_id": 1, "email": "pi@princeton.example", "roles": []any{"pi"}, "site_ids": []any{1}})
	for _, name := range []string{"alpha", "beta"} {
		p.Add("NodeGroups", fakeplc.Row{"groupname": name, "tagname": "deployment", "value": name})
	}
	p.Add("NodeGroups", fakeplc.Row{"groupname": "old", "node_ids": []any{10}})
	p.Add("NodeTags", fakeplc.Row{"node_id": 11, "tagname": "deployment", "value": "beta"})
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	return s.URL + "/PLCAPI/"
}

// examplePLC is that PLC, and the configuration that leads there.
func examplePLC(t *testing.T, e *testscript.Env) error {
	e.Setenv("MONITOR_CONFIG", filepath.Join(e.WorkDir, "plc.yaml"))
	text := fmt.Sprintf("plc: {url: %q, username: monitor@example.edu, password_file: %s}\n", plcOfExamples(t),
		filepath.Join(e.WorkDir, "plc-password"))
	for name, content := range map[string]string{"plc.yaml": text, "plc-password": password} {
		if err := os.WriteFile(filepath.Join(e.WorkDir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	db, err := store.Open(t.Context(), store.Options{URL: e.Getenv("MONITOR_DATABASE_URL")})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.SayConfigured(t.Context(), policy.ModeAct, "the test's worker")
}

// exampleLab is the lab of docs/lab.md: its file, and the configuration that the page shows.
func exampleLab(e *testscript.Env) error {
	page, err := os.ReadFile("../docs/lab.md")
	if err != nil {
		return err
	}
	file, err := os.ReadFile("../docs/lab.yaml")
	if err != nil {
		return err
	}
	const begins, ends = "```yaml\n# monitor.yaml\n", "```\n"
	_, text, found := strings.Cut(string(page), begins)
	text, _, closed := strings.Cut(text, ends)
	if !found || !closed {
		return fmt.Errorf("docs/lab.md shows no monitor.yaml")
	}
	e.Setenv("RACK_COMMUNITY", "private")
	for name, text := range map[string]string{
		"lab.yaml": string(file), "monitor.yaml": text, "bmc-password": "s3cret\n", "monitor-key": "a key",
	} {
		if err := os.WriteFile(filepath.Join(e.WorkDir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func exampleNode(t *testing.T, e *testscript.Env) error {
	db, err := store.Open(t.Context(), store.Options{URL: e.Getenv("MONITOR_DATABASE_URL")})
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.SayConfigured(t.Context(), policy.ModeAct, "the test's worker"); err != nil {
		return err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return err
	}
	root, err := ssh.NewPublicKey(public)
	if err != nil {
		return err
	}
	ports := map[int]int{22: 23022, 80: 23080, 806: 23806}
	n, err := fakenode.New(fakenode.Options{Host: exampleHost, IP: "127.10.1.1", PortMap: ports, Root: root})
	if err != nil {
		return err
	}
	t.Cleanup(func() { n.Close() })
	n.SetDebugMode(fakenode.DebugMode{Log: keyLog})
	if err := n.SetState(fakenode.Debug); err != nil {
		return err
	}
	config := fmt.Sprintf(
		"plc: {url: \"http://127.0.0.1:1/PLCAPI/\", username: monitor, password_file: %[1]s/password}\n"+
			"probe: {ssh_key_file: %[1]s/key, port_map: {22: 23022, 80: 23080, 806: 23806}}\n",
		e.WorkDir,
	)
	e.Setenv("MONITOR_CONFIG", filepath.Join(e.WorkDir, "node.yaml"))
	for name, content := range map[string]string{"key": string(pem.EncodeToMemory(block)), "password": "s3cret", "node.yaml": config} {
		if err := os.WriteFile(filepath.Join(e.WorkDir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}
