package rig

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// programs are the worker, Temporal, and whatever else is named by its folder and tags.
func programs(t *testing.T) (bin string) {
	t.Helper()
	bin = t.TempDir()
	if err := os.Symlink(temporallocal.Program(t, root), filepath.Join(bin, "temporal-dev")); err != nil {
		t.Fatal(err)
	}
	build(t, root, "-o", filepath.Join(bin, "monitor-worker"), "./worker")
	return bin
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
	list, err := r.Store.Actions(t.Context(), store.ActionFilter{Issue: "nodedown/" + node, Kind: store.KindOrder})
	if err != nil || len(list) != 5 {
		t.Errorf("the ledger has %d orders, %v", len(list), err)
	}
}
