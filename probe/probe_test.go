package probe_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/probe"
	"github.com/planetlab/monitor/testbed/fakenode"
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

func node(t testing.TB, ip string, root ssh.PublicKey, state fakenode.State) *fakenode.Node {
	n, err := fakenode.New(fakenode.Options{Host: "n.example", IP: ip, PortMap: ports, Root: root})
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
	n := node(t, "127.9.1.1", k.PublicKey(), fakenode.Up)
	fromCD := true // debug mode runs from a CD, and has another key after each boot
	keys := &probe.HostKeys{Believe: func(_ context.Context, host string, _ ssh.PublicKey) error {
		if fromCD && host == "n.example" {
			return nil
		}
		return probe.ErrHostKey
	}}
	o := probe.Options{SSHKey: k, PortMap: ports, Timeout: 700 * time.Millisecond, Tries: 1, Resolver: "127.0.0.1:1", HostKeys: keys}
	for _, c := range []struct {
		state       fakenode.State
		ok          bool
		failure     string
		p80         string
		bootManager bool
	}{
		{fakenode.Up, true, "", probe.Open, false},
		{fakenode.Debug, true, "", probe.Closed, true},
		{fakenode.Hung, false, probe.Timeout, probe.Open, false},
		{fakenode.Off, false, probe.Refused, probe.Closed, false},
		{fakenode.Firewalled, true, "", probe.Filtered, false},
		{fakenode.Filtered, false, probe.Timeout, probe.Filtered, false},
		{fakenode.Up, true, "", probe.Open, false},
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
	node(t, "127.9.1.1", k.PublicKey(), fakenode.Up)
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
	out, err := exec.CommandContext(ctx, "sh", "-c", probe.Script("localhost", 4*time.Second)).Output()
	if err != nil {
		t.Fatal(err)
	}
	in, whole := probe.ParseInside(string(out))
	if !whole || in.Kernel == "" || in.Uptime == 0 || in.Asked != "localhost" || in.DNS != "ok" || len(in.Unwritable()) > 0 {
		t.Errorf("read %+v from %s", in, out)
	}
}

// TestSlowFilesCostNeitherTheRestNorTheLook puts slow commands before a shell: each file that is read first takes three
// seconds, as on a boot CD that is worn.
func TestSlowFilesCostNeitherTheRestNorTheLook(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"cat", "stat"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\nexec sleep 3\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", probe.Script("localhost", 4*time.Second))
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	began := time.Now()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	in, whole := probe.ParseInside(string(out))
	if took := time.Since(began); !whole || in.Uptime == 0 || in.DNS != "ok" || len(in.Unwritable()) > 0 || took > 10*time.Second {
		t.Errorf("after %s it reads %+v from %s", took, in, out)
	}
}

func TestSilentNodesKeepNobodyWaiting(t *testing.T) {
	const timeout = 2 * time.Second
	k := key(t)
	up := node(t, "127.9.1.2", k.PublicKey(), fakenode.Up)
	for name, c := range map[string]struct {
		state fakenode.State
		known bool
	}{
		"silent nodes":                       {fakenode.Filtered, false},
		"nodes that were silent before":      {fakenode.Filtered, true},
		"nodes that connect and say nothing": {fakenode.Hung, false},
	} {
		t.Run(name, func(t *testing.T) {
			sick := node(t, "127.9.1.6", nil, c.state)
			p := probe.New(probe.Options{SSHKey: k, SSHPorts: []int{22}, PortMap: ports, Timeout: timeout, Parallel: 4, Resolver: "127.0.0.1:1"})
			var targets []probe.Target
			for range 20 { // all that fits into the silent lane
				targets = append(targets, probe.Target{Host: sick.Host, IP: sick.IP, Site: "s", Silent: c.known})
			}
			for range 8 {
				targets = append(targets, probe.Target{Host: up.Host, IP: up.IP, Site: "s"})
			}
			start, good := time.Now(), 0
			var last time.Duration
			p.Nodes(t.Context(), targets, func(r probe.NodeResult) {
				if r.SSH.OK {
					good, last = good+1, time.Since(start)
				} else if r.SSH.Failure != probe.Timeout || r.Fault != "" {
					t.Errorf("seen as %+v", r)
				}
			})
			// in one lane, all would take as long as five that are silent
			if took := time.Since(start); good != 8 || last > 2*timeout || took > 4*timeout {
				t.Errorf("%d are good, the last after %s, all after %s", good, last, took)
			}
		})
	}
}

func TestFewLooksReachOneSiteAtOnce(t *testing.T) {
	var mu sync.Mutex
	open, most := 0, 0
	l, err := net.Listen("tcp", "127.9.1.7:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				mu.Lock()
				open++
				most = max(most, open)
				mu.Unlock()
				time.Sleep(20 * time.Millisecond)
				mu.Lock()
				open--
				mu.Unlock()
				_, _ = c.Write([]byte("no ssh\r\n"))
				_ = c.Close()
			}()
		}
	}()
	port := map[int]int{22: l.Addr().(*net.TCPAddr).Port}
	p := probe.New(probe.Options{SSHKey: key(t), SSHPorts: []int{22}, Ports: []int{}, PortMap: port, Timeout: 20 * time.Second, PerSite: 3, Resolver: "127.0.0.1:1"})
	var targets []probe.Target
	for range 30 {
		targets = append(targets, probe.Target{Host: "n.example", IP: "127.9.1.7", Site: "s"})
	}
	p.Nodes(t.Context(), targets, func(r probe.NodeResult) {
		if r.SSH.Failure != probe.Broken {
			t.Errorf("seen as %+v", r)
		}
	})
	if most > 3 || most < 2 {
		t.Errorf("%d at once, want 3", most)
	}
}

// A fleet is no burst of questions to a name server.
func TestANameIsAskedForOnceTheLookHasItsTurn(t *testing.T) {
	sick := node(t, "127.9.1.9", nil, fakenode.Filtered)
	socket, err := net.ListenPacket("udp", "127.9.1.9:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{}, 100)
	server := &dns.Server{PacketConn: socket, Handler: dns.HandlerFunc(func(rw dns.ResponseWriter, q *dns.Msg) {
		asked <- struct{}{}
		_ = rw.WriteMsg(new(dns.Msg).SetReply(q))
	})}
	go func() { _ = server.ActivateAndServe() }()
	defer func() { _ = server.Shutdown() }()
	p := probe.New(probe.Options{PortMap: ports, Timeout: time.Minute, Parallel: 1, Resolver: socket.LocalAddr().String()})
	var targets []probe.Target
	for range 50 {
		targets = append(targets, probe.Target{Host: "n.example", IP: sick.IP})
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		time.Sleep(300 * time.Millisecond) // while one look waits for its node, and the others for their turn
		cancel()
	}()
	p.Nodes(ctx, targets, func(probe.NodeResult) {})
	if more := len(asked); more > 5 {
		t.Errorf("%d names are asked for beside the one whose turn it is", more)
	}
}

func TestALookThatIsBrokenOffIsOurFault(t *testing.T) {
	sick := node(t, "127.9.1.8", nil, fakenode.Filtered)
	p := probe.New(probe.Options{PortMap: ports, Timeout: time.Minute, Parallel: 1, Resolver: "127.0.0.1:1"})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	seen := 0
	p.Nodes(ctx, []probe.Target{{Host: "a", IP: sick.IP}, {Host: "b", IP: sick.IP}, {Host: "c"}}, func(r probe.NodeResult) {
		seen++
		if r.Fault == "" {
			t.Errorf("seen as %+v", r)
		}
	})
	if seen != 3 {
		t.Errorf("%d results", seen)
	}
}

// picky is an ssh server that takes one key, and counts what it is offered.
func picky(t *testing.T, ip string, takes func(ssh.PublicKey) bool) (port int, offers func() int) {
	var mu sync.Mutex
	n := 0
	cfg := &ssh.ServerConfig{MaxAuthTries: 6, PublicKeyCallback: func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		mu.Lock()
		defer mu.Unlock()
		n++
		if !takes(k) {
			return nil, errors.New("denied")
		}
		return nil, nil
	}}
	cfg.AddHostKey(key(t))
	l, err := net.Listen("tcp", ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, chans, reqs, err := ssh.NewServerConn(c, cfg)
				if err != nil {
					return
				}
				go ssh.DiscardRequests(reqs)
				for ch := range chans {
					session, requests, err := ch.Accept()
					if err != nil {
						return
					}
					for r := range requests {
						_ = r.Reply(true, nil)
						_, _ = session.Write([]byte("kernel=Linux \x00\u202e\x1b[2J 6.1\ndns=ok\nwrite=/vservers begun\nwrite=/vservers ok\nwrite=/var/log begun\n"))
						_, _ = session.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{0}))
						_ = session.Close()
					}
				}
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port, func() int {
		mu.Lock()
		defer mu.Unlock()
		out := n
		n = 0
		return out
	}
}

func TestAllKeysAreOfferedInOneLoginAndTheOneThatWorkedComesFirst(t *testing.T) {
	production, debug := key(t), key(t)
	mode := debug
	port, offers := picky(t, "127.9.1.9", func(k ssh.PublicKey) bool { return string(k.Marshal()) == string(mode.PublicKey().Marshal()) })
	p := probe.New(probe.Options{SSHKeys: []ssh.Signer{production, key(t), key(t), debug, key(t), key(t), key(t)}, SSHPorts: []int{22}, Ports: []int{},
		PortMap: map[int]int{22: port}, Timeout: 20 * time.Second, Resolver: "127.0.0.1:1"})
	look := func(want bool, most int) {
		t.Helper()
		r := p.Node(t.Context(), probe.Target{Host: "n.example", IP: "127.9.1.9"})
		if n := offers(); r.SSH.OK != want || n > most || n == 0 {
			t.Errorf("seen as %+v after %d offers, want at most %d", r, n, most)
		}
		if want && (strings.ContainsAny(r.Inside.Kernel, "\x00\x1b\u202e") || !slices.Equal(r.Inside.Unwritable(), []string{"/var/log"})) {
			t.Errorf("it says %+v", r.Inside)
		}
	}
	look(true, 5) // the query for the fourth key, and its signature
	look(true, 2)
	mode = production
	look(true, 3)
	look(true, 2)
	mode = key(t)
	look(false, 5)
}

func TestTheSilenceOfOnePortDoesNotTakeBackTheLifeOfAnother(t *testing.T) {
	n := node(t, "127.9.1.3", key(t).PublicKey(), fakenode.Up)
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

func TestWhatANodeSaysOfItself(t *testing.T) {
	for name, c := range map[string]struct {
		out        string
		whole      bool
		unwritable string
		asked      string
	}{
		"all is well":                   {"kernel=x\nasked=boot.example\ndns=ok\nwrite=/var/log begun\nwrite=/var/log ok\nend=1\n", true, "", "boot.example"},
		"the end is missing":            {"kernel=x\nuptime=5\n", false, "", ""},
		"an older answer":               {"kernel=x\nbootserver=cd.example\ndns=fails\nreadonly=/ /boot \nend=1\n", true, "/ /boot", "cd.example"},
		"a disk on which it was lost":   {"kernel=x\nwrite=/vservers begun\n", true, "/vservers", ""},
		"a disk that hangs":             {"write=/vservers begun\nwrite=/vservers hangs\nend=1\n", true, "/vservers", ""},
		"a disk that is read-only":      {"readonly=/vservers \nwrite=/vservers read-only\nend=1\n", true, "/vservers", ""},
		"a disk for which no time was":  {"write=/vservers begun\nwrite=/vservers untested\nend=1\n", true, "", ""},
		"a disk with errors":            {"write=/var/log fails sh: /var/log/x: Input/output error\nend=1\n", true, "/var/log", ""},
		"a disk that is full is not it": {"write=/var/log fails No space left on device\nend=1\n", true, "", ""},
		"noise":                         {"=\n==\nwrite\nwrite=\nuptime=-1\nuptime=99999999999\ninstall=x\n\x00\xff\n", false, "", ""},
	} {
		in, whole := probe.ParseInside(c.out)
		if whole != c.whole || strings.Join(in.Unwritable(), " ") != c.unwritable || in.Asked != c.asked {
			t.Errorf("%s: whole %v, unwritable %q, asked for %q", name, whole, in.Unwritable(), in.Asked)
		}
	}
}
