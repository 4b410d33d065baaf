package rig

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/testbed/temporallocal"
)

const root = "../.."

// made is the worker, which is built once for all tests.
var made = struct {
	sync.Once
	dir string
}{}

func TestMain(m *testing.M) {
	code := m.Run()
	if made.dir != "" {
		os.RemoveAll(made.dir)
	}
	os.Exit(code)
}

// programs are the worker and Temporal.
func programs(t *testing.T) (bin string) {
	t.Helper()
	made.Do(func() {
		var err error
		if made.dir, err = os.MkdirTemp("", "monitor-rig"); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(temporallocal.Program(t, root), filepath.Join(made.dir, "temporal-dev")); err != nil {
			t.Fatal(err)
		}
		build(t, root, "-o", filepath.Join(made.dir, "monitor-worker"), "./worker")
	})
	return made.dir
}

func build(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"build"}, args...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
}

// token makes a token as an admin does who has the configuration.
func (r *Rig) token(t *testing.T, name string, role access.Role, sites ...string) string {
	t.Helper()
	admin := access.Who{Account: "root", Role: access.Admin, Sites: []string{access.AllSites}}
	_, _, text, err := orders.Desk{Store: r.Store}.AddToken(t.Context(), orders.Order{Who: admin}, name, role, sites,
		time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestAGeneratedClientDrivesAWholeIssueOfTheRunningProduct(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole product")
	}
	t.Parallel()
	client := filepath.Join(t.TempDir(), "apiclient")
	dir := filepath.Join(root, "dev", "apiclient")
	generate := exec.CommandContext(t.Context(), "go", "generate", "-tags", "apiclient", ".")
	generate.Dir = dir
	if out, err := generate.CombinedOutput(); err != nil {
		t.Fatalf("go generate: %v\n%s", err, out)
	}
	build(t, dir, "-tags", "apiclient", "-o", client, ".")
	r, err := Start(t.Context(), Options{Bin: programs(t), Day: 10 * time.Minute, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	node := r.Hosts()[0]
	if err := r.Break(node, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Nobody}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), client, "-server", r.Web, "-node", node)
	cmd.Env = append(os.Environ(), "MONITOR_TOKEN="+r.token(t, "program", access.Operator, access.AllSites))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "read the ledger") {
		t.Fatalf("%v\n%s\n%s", err, out, r.tail("worker1.log"))
	}
	i, err := r.Store.Issue(t.Context(), "nodedown/"+node)
	if err != nil || i.Status != "closed" || !strings.Contains(i.Outcome, "token program") {
		t.Errorf("the issue ended as %+v, %v", i, err)
	}
	r.siteToolsAtWork(t)
	list, err := r.Store.Actions(t.Context(), store.ActionFilter{Issue: "nodedown/" + node, Kind: store.KindOrder})
	if err != nil || len(list) != 5 {
		t.Errorf("the ledger has %d orders, %v", len(list), err)
	}
}

// siteToolsAtWork shows that people of a site, with a token and the command alone, get a node rebooted, and no other
// site's.
func (r *Rig) siteToolsAtWork(t *testing.T) {
	t.Helper()
	monitor := filepath.Join(t.TempDir(), "monitor")
	build(t, root, "-o", monitor, "./starter")
	node := r.Hosts()[1]
	n, err := r.Store.Node(t.Context(), node)
	if err != nil {
		t.Fatal(err)
	}
	var foreign string
	for _, h := range r.Hosts() {
		if other, err := r.Store.Node(t.Context(), h); err == nil && other.Site != n.Site {
			foreign = h
		}
	}
	if err := r.Break(node, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Reboot}); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	run := func(in string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), monitor, args...)
		cmd.Env, cmd.Stdin = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}, strings.NewReader(in)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(r.token(t, "tech", access.Site, n.Site), "login", "--server", r.Web); err != nil {
		t.Fatalf("login: %v\n%s", err, out)
	}
	if out, err := run("", "node", "list"); err != nil || !strings.Contains(out, node) || strings.Contains(out, foreign) {
		t.Errorf("node list: %v\n%s", err, out)
	}
	if out, err := run("", "node", "reboot", foreign, "--reason", "it hangs"); err == nil {
		t.Errorf("a foreign node: %s", out)
	}
	reboot := func() (string, error) { // a boot takes a part of the day, which is long here
		return run("", "node", "reboot", node, "--reason", "it hangs", "--timeout", "2m")
	}
	out, err := reboot()
	for err != nil && strings.Contains(out, "PLC heard from it") && t.Context().Err() == nil { // until its last heartbeat is old
		time.Sleep(time.Second)
		out, err = reboot()
	}
	if err != nil || !strings.Contains(out, "tech") {
		t.Errorf("node reboot: %v\n%s\n%s", err, out, r.WorkerLog())
	}
	if r.PowerCuts(node) != 1 || foreign == "" || r.PowerCuts(foreign) != 0 {
		t.Errorf("%s lost power %d times, and %s %d times", node, r.PowerCuts(node), foreign, r.PowerCuts(foreign))
	}
	if out, err := run("", "stop", "--reason", "x"); err == nil || !strings.Contains(out, "not allowed") {
		t.Errorf("stop: %v %s", err, out)
	}
}
