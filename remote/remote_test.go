package remote_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/remote"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
)

// world is three sites with four nodes each, that answer ssh with a real shell.
func world(t *testing.T) (*testbed.World, []remote.Node, remote.Options) {
	t.Helper()
	if testing.Short() {
		t.Skip("raises a small PlanetLab")
	}
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	sites := []testbed.Site{{Login: "a", Nodes: 4, NoPCU: true}, {Login: "b", Nodes: 4, NoPCU: true}, {Login: "c", Nodes: 4, NoPCU: true}}
	w, err := testbed.Start(testbed.Options{Sites: sites, BootTime: 100 * time.Millisecond, Root: key.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	var nodes []remote.Node
	for _, host := range w.Hosts() {
		if err := w.Break(host, testbed.Fault{State: fakenode.Debug, FixedBy: testbed.Nobody}); err != nil {
			t.Fatal(err)
		}
		ip := w.DB.Get("Interfaces", "node_id", w.DB.Get("Nodes", "hostname", host)["node_id"])["ip"].(string)
		nodes = append(nodes, remote.Node{Host: host, IP: ip, Site: strings.Split(host, ".")[1]})
	}
	enter := connect.Entrance(config.Probe{SSHUser: "root", SSHPorts: []int{22, 806}, PortMap: testbed.PortMap(), Timeout: time.Second}, key)
	return w, nodes, remote.Options{Parallel: 12, PerSite: 2, Limit: 5 * time.Second, Keep: 4096,
		Enter: func(_ context.Context, host, ip string) bootman.Target {
			target := enter(host, ip)
			target.HostKey = func(ssh.PublicKey) error { return nil }
			return target
		}}
}

func run(t *testing.T, o remote.Options, nodes []remote.Node, script string) map[string]remote.Result {
	t.Helper()
	got := map[string]remote.Result{}
	remote.Run(t.Context(), o, nodes, script, func(r remote.Result) {
		if _, twice := got[r.Host]; twice {
			t.Errorf("%s answers twice", r.Host)
		}
		got[r.Host] = r
	})
	if len(got) != len(nodes) {
		t.Errorf("%d of %d nodes have a result", len(got), len(nodes))
	}
	return got
}

// What is to run arrives as it was written, whatever a shell would make of it.
func TestAScriptArrivesAsItWasWritten(t *testing.T) {
	_, nodes, o := world(t)
	script := "x='a  b'\necho \"$x\" 100% '!history' \\n `echo back`\n# a comment's quote\necho \"grüße \\$HOME\" >&2\nexit 3\n"
	want, err := exec.Command("sh", "-c", script).Output()
	if want == nil && err == nil {
		t.Fatal("sh says nothing")
	}
	for host, r := range run(t, o, nodes[:3], script) {
		if r.State != remote.Failed || r.Status != 3 || r.Output != string(want) || r.Errors != "grüße $HOME\n" {
			t.Errorf("%s: %+v, want %q", host, r, want)
		}
	}
}

func TestEachNodeHasItsOwnEnd(t *testing.T) {
	w, nodes, o := world(t)
	if err := w.Break(nodes[0].Host, testbed.Fault{State: fakenode.Off, FixedBy: testbed.Nobody}); err != nil {
		t.Fatal(err)
	}
	o.Limit, o.Keep = 1500*time.Millisecond, 64
	got := run(t, o, nodes, "echo here; echo 'NODE_KEY=\"s3cret-key\"'; cat; i=0; while [ $i -lt 20 ]; do echo 0123456789; i=$((i+1)); done")
	for i, n := range nodes {
		r := got[n.Host]
		switch {
		case i == 0 && (r.State != remote.Away || r.Reason == ""):
			t.Errorf("the node that is off: %+v", r)
		case i > 0 && (r.State != remote.Done || !r.Cut || len(r.Output) > 64+32 || !strings.HasPrefix(r.Output, "here\n")):
			t.Errorf("%s: %+v", n.Host, r)
		case strings.Contains(r.Output, "s3cret"):
			t.Errorf("a secret of %s is kept: %q", n.Host, r.Output)
		}
	}
	if r := run(t, o, nodes[1:2], "sleep 60")[nodes[1].Host]; r.State != remote.Late || !strings.Contains(r.Reason, "within 1.5s") {
		t.Errorf("one that hangs: %+v", r)
	}
}

// No more nodes of a site are worked on at once than is allowed, nor of all sites, and those of a site begin apart.
func TestItIsPacedBySite(t *testing.T) {
	_, nodes, o := world(t)
	o.PerSite, o.Pace, o.Parallel = 2, 100*time.Millisecond, 5
	got := run(t, o, nodes, "sleep 0.3")
	most, mostHere := 0, 0
	for _, r := range got {
		all, here := 0, 0
		for _, other := range got {
			if !other.Began.After(r.Began) && other.Ended.After(r.Began) {
				all++
				if other.Site == r.Site {
					here++
				}
			}
			if gap := other.Began.Sub(r.Began).Abs(); other.Site == r.Site && other.Host != r.Host && gap < 80*time.Millisecond {
				t.Errorf("%s and %s begin %s apart", r.Host, other.Host, gap)
			}
		}
		most, mostHere = max(most, all), max(mostHere, here)
	}
	if most > 5 || mostHere > 2 {
		t.Errorf("%d at once, %d of one site", most, mostHere)
	}
	if most < 3 {
		t.Errorf("only %d at once", most)
	}
}

func TestWhatIsCalledOffIsSkipped(t *testing.T) {
	_, nodes, o := world(t)
	o.Parallel, o.PerSite = 1, 1
	ctx, cancel := context.WithCancel(t.Context())
	states := map[remote.State]int{}
	remote.Run(ctx, o, nodes, "echo here", func(r remote.Result) {
		states[r.State]++
		cancel()
	})
	if states[remote.Done] != 1 || states[remote.Skipped] < 8 {
		t.Errorf("after the first one it was called off: %v", states)
	}
}

func TestWhatCannotBeRunIsRefused(t *testing.T) {
	for name, script := range map[string]string{"nothing": " \n", "a NUL": "echo \x00", "a novel": strings.Repeat("x", remote.MaxScript+1)} {
		if remote.Check(script) == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if err := remote.Check(fmt.Sprint("echo ", 1)); err != nil {
		t.Error(err)
	}
}
