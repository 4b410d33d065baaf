package probe_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/probe"
	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/testbed/hostile"
)

// mostResult bounds what is kept of one look: it goes into a row of jsonb, and parts of it into an issue's evidence.
const mostResult = 32 << 10

// check says what is wrong with a look as Postgres, a history and a terminal would take it.
func check(r probe.NodeResult) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if len(text) > mostResult {
		return fmt.Errorf("it has %d bytes", len(text))
	}
	if hostile.HoldsControl(string(text)) || string(clean.JSON(text)) != string(text) {
		return fmt.Errorf("it is not clean: %.500q", text)
	}
	for _, s := range []string{r.SSH.Detail, r.SSH.Failure, r.Fault, r.DNS, r.Inside.Kernel, r.Inside.BootCD, r.Inside.DNS, r.Inside.Asked, strings.Join(r.Inside.ReadOnly, " ")} {
		if !clean.Is(s, clean.MaxText) {
			return fmt.Errorf("not clean: %.500q", s)
		}
	}
	for dir, how := range r.Inside.Writes {
		if !clean.Is(dir, clean.MaxLine) || !clean.Is(how, clean.MaxLine) {
			return fmt.Errorf("not clean: %.500q %.500q", dir, how)
		}
	}
	return nil
}

// Hostile nodes cost themselves: what is seen of the healthy ones beside them is what is seen without them, in the
// same time.
func TestHostileNodesBesideHealthyOnes(t *testing.T) {
	k := key(t)
	var healthy, all []probe.Target
	for i := range 10 {
		n := node(t, fmt.Sprintf("127.9.3.%d", i+1), k.PublicKey(), fakenode.Up)
		healthy = append(healthy, probe.Target{Host: fmt.Sprintf("good%d.example", i), IP: n.IP, Site: "good"})
	}
	all = append(all, healthy...)
	habits := hostile.Nodes()
	if len(habits) < 20 {
		t.Fatalf("%d habits", len(habits))
	}
	for i, h := range habits {
		ip := fmt.Sprintf("127.9.4.%d", i+1)
		hostile.Serve(t, net.JoinHostPort(ip, fmt.Sprint(ports[22])), h)
		all = append(all, probe.Target{Host: fmt.Sprintf("bad%d.example", i), IP: ip, Site: "bad"})
	}
	look := func(targets []probe.Target) map[string]probe.NodeResult {
		p := probe.New(
			probe.Options{
				SSHKey:     k,
				PortMap:    ports,
				Timeout:    2 * time.Second,
				Tries:      1,
				Resolver:   "127.0.0.1:1",
				BootServer: "boot.example",
			},
		)
		seen := map[string]probe.NodeResult{}
		p.Nodes(t.Context(), targets, func(r probe.NodeResult) { seen[r.Host] = r })
		return seen
	}
	without := look(healthy)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	with := look(all)
	took := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 {
		t.Errorf("%d MB are kept", grown>>20)
	}
	if took > 40*time.Second {
		t.Errorf("a look at %d nodes takes %s", len(all), took)
	}
	for _, x := range healthy {
		if diff := cmp.Diff(without[x.Host], with[x.Host], cmpopts.IgnoreFields(probe.NodeResult{}, "At"), cmpopts.IgnoreFields(probe.Inside{}, "Uptime", "Booted")); diff != "" ||
			!with[x.Host].SSH.OK {
			t.Errorf("%s is seen otherwise beside hostile nodes:\n%s", x.Host, diff)
		}
	}
	for i, h := range habits {
		r, looked := with[fmt.Sprintf("bad%d.example", i)]
		if err := check(r); err != nil || !looked || r.Fault != "" {
			t.Errorf("a node that %s: %v, fault %q", h.Name, err, r.Fault)
		}
	}
}

// FuzzAnswer: whatever a node answers to the probe's command, what is made of it is clean and bounded.
func FuzzAnswer(f *testing.F) {
	f.Add("kernel=Linux a 4.19\nbootmanager=0\nuptime=5\nwrite=/var/log read-only\nend=1\n")
	f.Add("kernel=\x00\x1b[2J\u009b\u202e\nreadonly=/ /x\ninstall=-1\nuptime=99999999999\nwrite=\x00\nend=1")
	f.Fuzz(func(t *testing.T, answer string) {
		if len(answer) > 64<<10 { // no more is read
			answer = answer[:64<<10]
		}
		inside, _ := probe.ParseInside(answer)
		if err := check(probe.NodeResult{Inside: inside}); err != nil {
			t.Error(err)
		}
	})
}

// A memory of host keys that cannot be asked is a fault of ours, and says nothing about the node.
func TestAMemoryThatIsAwayIsNotBlamedOnTheNode(t *testing.T) {
	k := key(t)
	n := node(t, "127.9.5.1", k.PublicKey(), fakenode.Up)
	var asked []string
	away := errors.New("postgres does not answer")
	o := probe.Options{SSHKey: k, PortMap: ports, Timeout: 2 * time.Second, Tries: 1, Resolver: "127.0.0.1:1"}
	o.HostKeys = &probe.HostKeys{Believe: func(_ context.Context, host string, _ ssh.PublicKey) error {
		asked = append(asked, host)
		return away
	}}
	p := probe.New(o)
	if r := p.Node(t.Context(), probe.Target{Host: "n.example", IP: n.IP}); r.SSH.OK ||
		!strings.Contains(r.Fault, away.Error()) {
		t.Errorf("it is seen as %+v", r)
	}
	away = nil
	for range 2 {
		if r := p.Node(t.Context(), probe.Target{Host: "n.example", IP: n.IP}); !r.SSH.OK {
			t.Errorf("it is seen as %+v", r)
		}
	}
	if len(asked) != 2 { // the first time in vain, then once for all looks that show the same key
		t.Errorf("asked %q", asked)
	}
}
