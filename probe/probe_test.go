package probe_test

import (
	"context"
	"crypto/ed25519"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/probe"
	"github.com/planetlab/monitor/testbed/simnode"
)

var ports = map[int]int{22: 20022, 80: 20080, 806: 20806}

func key(t testing.TB) ssh.Signer {
	_, k, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func node(t testing.TB, ip string, root ssh.PublicKey, state simnode.State) *simnode.Node {
	n, err := simnode.New(simnode.Options{Host: "n.example", IP: ip, PortMap: ports, Root: root})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	if err := n.SetState(state); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestEveryStateIsToldApart(t *testing.T) {
	k := key(t)
	n := node(t, "127.9.1.1", k.PublicKey(), simnode.Up)
	fromCD := true // debug mode runs from a CD, and has another key after each boot
	keys := &probe.HostKeys{MayChange: func(_ context.Context, host string, _ ssh.PublicKey) bool { return fromCD && host == "n.example" }}
	o := probe.Options{SSHKey: k, PortMap: ports, Timeout: 700 * time.Millisecond, Tries: 1, Resolver: "127.0.0.1:1", HostKeys: keys}
	for _, c := range []struct {
		state       simnode.State
		ok          bool
		failure     string
		p80         string
		bootManager bool
	}{
		{simnode.Up, true, "", probe.Open, false},
		{simnode.Debug, true, "", probe.Closed, true},
		{simnode.Hung, false, probe.Timeout, probe.Open, false},
		{simnode.Off, false, probe.Refused, probe.Closed, false},
		{simnode.Firewalled, true, "", probe.Filtered, false},
		{simnode.Filtered, false, probe.Timeout, probe.Filtered, false},
		{simnode.Up, true, "", probe.Open, false},
	} {
		if err := n.SetState(c.state); err != nil {
			t.Fatal(err)
		}
		r := probe.New(o).Node(t.Context(), probe.Target{Host: n.Host, IP: n.IP})
		if r.SSH.OK != c.ok || r.SSH.Failure != c.failure || r.Ports[80] != c.p80 || r.Inside.BootManager != c.bootManager {
			t.Errorf("%s is seen as %+v", c.state, r)
		}
		if c.ok && !strings.HasPrefix(r.Inside.Kernel, "Linux n.example 4.19") {
			t.Errorf("%s: kernel %q", c.state, r.Inside.Kernel)
		}
	}
	fromCD = false
	o.SSHKey = key(t)
	if r := probe.New(o).Node(t.Context(), probe.Target{Host: n.Host, IP: n.IP}); r.SSH.Failure != probe.KeyDenied {
		t.Errorf("a foreign key gives %+v", r.SSH)
	}
	n.Close()
	node(t, "127.9.1.1", k.PublicKey(), simnode.Up)
	o.SSHKey = k
	if r := probe.New(o).Node(t.Context(), probe.Target{Host: n.Host, IP: n.IP}); r.SSH.Failure != probe.HostKeyChanged {
		t.Errorf("a changed host key gives %+v", r.SSH)
	}
	fromCD = true
	if r := probe.New(o).Node(t.Context(), probe.Target{Host: n.Host, IP: n.IP}); !r.SSH.OK {
		t.Errorf("a host key that may change gives %+v", r.SSH)
	}
	fromCD = false
	if r := probe.New(o).Node(t.Context(), probe.Target{Host: n.Host, IP: n.IP}); !r.SSH.OK {
		t.Errorf("the key that was believed last gives %+v", r.SSH)
	}
}

func TestNoTargetsNoLooks(t *testing.T) {
	probe.New(probe.Options{}).Nodes(t.Context(), nil, func(probe.NodeResult) { t.Error("looked") })
}

func TestTheScriptRunsOnARealSystem(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "sh", "-c", probe.Script).Output()
	if err != nil {
		t.Fatal(err)
	}
	in, whole := probe.ParseInside(string(out))
	if !whole || in.Kernel == "" || in.Uptime == 0 {
		t.Errorf("read %+v from %s", in, out)
	}
}

func TestTriesShareOneTimeoutAndCallersShareTheSlots(t *testing.T) {
	n := node(t, "127.9.1.2", nil, simnode.Filtered)
	p := probe.New(probe.Options{PortMap: ports, Timeout: 400 * time.Millisecond, Tries: 3, Parallel: 1, Resolver: "127.0.0.1:1"})
	start := time.Now()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			p.Nodes(t.Context(), []probe.Target{{Host: n.Host, IP: n.IP}}, func(r probe.NodeResult) {
				if r.Ports[80] != probe.Filtered || r.SSH.Failure != probe.Timeout {
					t.Errorf("seen as %+v", r)
				}
			})
		})
	}
	wg.Wait()
	if took := time.Since(start); took < 800*time.Millisecond || took > 2*time.Second {
		t.Errorf("two looks, one at a time and 400 ms each, took %s", took)
	}
}

func TestTheSilenceOfOnePortDoesNotTakeBackTheLifeOfAnother(t *testing.T) {
	n := node(t, "127.9.1.3", key(t).PublicKey(), simnode.Up)
	silent, err := net.Listen("tcp", "127.9.1.3:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	mixed := map[int]int{22: ports[22], 80: ports[80], 806: silent.Addr().(*net.TCPAddr).Port}
	p := probe.New(probe.Options{SSHKey: key(t), PortMap: mixed, Timeout: 700 * time.Millisecond, Tries: 1, Resolver: "127.0.0.1:1"})
	if r := p.Node(t.Context(), probe.Target{Host: n.Host, IP: n.IP}); r.SSH.Failure != probe.KeyDenied || r.SSH.Port != 22 {
		t.Errorf("a node that denies the key on one port and says nothing on the other gives %+v", r.SSH)
	}
}
