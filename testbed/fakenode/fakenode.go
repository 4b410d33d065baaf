// Package fakenode is a PlanetLab node of the testbed: it listens where a node would, answers a probe's ssh command with the
// facts of its state, and is as silent as the real one when it hangs, is off, or sits behind a firewall.
package fakenode

import (
	"bufio"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// State is what a node is doing.
type State string

// The states of a node.
const (
	Up         State = "up"
	Hung       State = "hung"       // takes connections and says nothing
	Debug      State = "debug"      // booted into debug mode by a failing BootManager
	Off        State = "off"        // no power
	Booting    State = "booting"    // power, but nothing listens yet
	Firewalled State = "firewalled" // runs; packets to all but ssh are dropped
	Filtered   State = "filtered"   // all packets are dropped
	ReadOnly   State = "read-only"  // runs, and cannot write its disks
	Nameless   State = "nameless"   // runs, and cannot resolve its boot server
	Locked     State = "locked"     // runs, and lets nobody in
	OldBootCD  State = "old CD"     // booted from a boot CD so old that there is no shell in its debug mode
)

// Ports are the logical ports of a node.
var Ports = [...]int{22, 80, 806}

// Node is one simulated node. Create it with New, and Close it.
type Node struct {
	Host, IP string
	ports    map[int]int
	hostKey  ssh.Signer
	root     ssh.PublicKey

	happens func(string)

	mu     sync.Mutex
	state  State
	booted time.Time
	closes []func()
	sims   map[net.Conn]struct{}

	debug    DebugMode
	debugKey ssh.Signer // of this boot
	jail     *jail      // nil: not in debug mode
	told     []string
}

// Options make a node.
type Options struct {
	Host, IP string
	PortMap  map[int]int   // logical to real ports
	Root     ssh.PublicKey // who may log in as root
	// Happens is told every program that matters to the world which the node is made to run in debug mode, as "shutdown -r now".
	Happens func(what string)
}

// New makes a node that is off.
func New(o Options) (*Node, error) {
	key, err := newHostKey()
	if err != nil {
		return nil, err
	}
	return &Node{Host: o.Host, IP: o.IP, ports: o.PortMap, hostKey: key, root: o.Root, happens: o.Happens, state: Off, sims: map[net.Conn]struct{}{}}, nil
}

func newHostKey() (ssh.Signer, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	return ssh.NewSignerFromKey(key)
}

// State says what the node is doing.
func (n *Node) State() State {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state
}

// Close ends the node.
func (n *Node) Close() { _ = n.SetState(Off) }

// SetState changes what the node does; everything of the old state ends at once.
func (n *Node) SetState(s State) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s == n.state {
		return nil
	}
	for _, f := range n.closes {
		f()
	}
	n.closes = nil
	for c := range n.sims {
		_ = c.Close()
	}
	switch s {
	case Off, Hung, Booting, Filtered:
	default:
		n.booted = time.Now()
	}
	n.state = s
	var errs []error
	if s == Debug {
		errs = append(errs, n.enterDebugMode())
	}
	for _, port := range Ports {
		var err error
		switch {
		case s == Off, s == Booting, (s == Debug || s == OldBootCD) && port != 22:
		case s == Filtered, s == Firewalled && port != 22:
			err = onceFree(func() error { return n.drop(port) })
		default:
			err = onceFree(func() error { return n.listen(port, s) })
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// onceFree takes a port that we have just let go: a program that is being started at that moment has it until it has begun.
func onceFree(take func() error) error {
	for end := time.Now().Add(time.Second); ; time.Sleep(time.Millisecond) {
		if err := take(); !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(end) {
			return err
		}
	}
}

func (n *Node) address(port int) string {
	if real, ok := n.ports[port]; ok {
		port = real
	}
	return net.JoinHostPort(n.IP, strconv.Itoa(port))
}

func (n *Node) listen(port int, s State) error {
	l, err := net.Listen("tcp", n.address(port))
	if err != nil {
		return err
	}
	n.closes = append(n.closes, func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n.mu.Lock()
			if n.state != s {
				n.mu.Unlock()
				_ = c.Close()
				continue
			}
			n.sims[c] = struct{}{}
			n.mu.Unlock()
			go func() {
				n.serve(c, port, s)
				_ = c.Close()
				n.mu.Lock()
				delete(n.sims, c)
				n.mu.Unlock()
			}()
		}
	}()
	return nil
}

func (n *Node) serve(c net.Conn, port int, s State) {
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	switch {
	case s == Hung:
		_, _ = io.Copy(io.Discard, c)
	case port == 80:
		if _, err := bufio.NewReader(c).ReadString('\n'); err == nil {
			_, _ = fmt.Fprintf(c, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n%s\n", n.Host)
		}
	default:
		n.ssh(c, s)
	}
}

// drop makes a port swallow connections like a firewall: the accept queue of a listener with no backlog is filled, and the
// kernel drops every further SYN.
func (n *Node) drop(port int) error {
	addr, err := net.ResolveTCPAddr("tcp4", n.address(port))
	if err != nil {
		return err
	}
	syscall.ForkLock.RLock() // else a program that is started now inherits the socket, and keeps the port
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return err
	}
	_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	sa := &syscall.SockaddrInet4{Port: addr.Port}
	copy(sa.Addr[:], addr.IP.To4())
	if err = syscall.Bind(fd, sa); err == nil {
		err = syscall.Listen(fd, 0)
	}
	if err != nil {
		_ = syscall.Close(fd)
		return fmt.Errorf("%s: %w", addr, err)
	}
	closes := []func(){func() { _ = syscall.Close(fd) }}
	for range 3 {
		c, err := net.DialTimeout("tcp", addr.String(), 30*time.Millisecond)
		if err != nil {
			break // the queue is full
		}
		closes = append(closes, func() { _ = c.Close() })
	}
	n.closes = append(n.closes, closes...)
	return nil
}

func (n *Node) ssh(c net.Conn, s State) {
	cfg := &ssh.ServerConfig{PublicKeyCallback: func(m ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if s == Locked || n.root == nil || m.User() != "root" || string(key.Marshal()) != string(n.root.Marshal()) {
			return nil, errors.New("denied")
		}
		return nil, nil
	}}
	n.mu.Lock()
	key := n.hostKey
	if s == Debug {
		key = n.debugKey
	}
	n.mu.Unlock()
	if key == nil {
		return
	}
	cfg.AddHostKey(key)
	conn, chans, reqs, err := ssh.NewServerConn(c, cfg)
	if err != nil {
		return
	}
	defer conn.Close()
	go ssh.DiscardRequests(reqs)
	for ch := range chans {
		if ch.ChannelType() != "session" {
			_ = ch.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		session, requests, err := ch.Accept()
		if err != nil {
			return
		}
		go n.session(session, requests)
	}
}

func (n *Node) session(session ssh.Channel, requests <-chan *ssh.Request) {
	for r := range requests {
		if r.Type != "exec" {
			_ = r.Reply(r.Type == "env", nil)
			continue
		}
		var exec struct{ Command string }
		_ = ssh.Unmarshal(r.Payload, &exec)
		_ = r.Reply(true, nil)
		status, ok := n.run(session, session.Stderr(), exec.Command)
		if !ok {
			return
		}
		_, _ = session.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
		_ = session.Close()
	}
}

// run answers the commands a probe or a person would give. It is no shell, but in debug mode.
func (n *Node) run(out, errs io.Writer, command string) (status uint32, ok bool) {
	n.mu.Lock()
	state, uptime, jail := n.state, time.Since(n.booted), n.jail
	n.mu.Unlock()
	debug := state == Debug || state == OldBootCD
	kernel, readOnly, dns := "Linux "+n.Host+" 4.19.110-300.fc30.x86_64 #1 SMP x86_64 GNU/Linux", "", "ok"
	switch state {
	case OldBootCD:
		kernel = "Linux " + n.Host + " 2.4.20-8 #1 i686 GNU/Linux"
	case ReadOnly:
		readOnly = "/ /vservers"
	case Nameless:
		dns = "fails"
	}
	word, _, _ := strings.Cut(command, " ")
	switch {
	case strings.HasPrefix(command, "# monitor-probe 1\n"):
		fmt.Fprintf(out, "kernel=%s\nbootmanager=%d\nbootcd=PlanetLab BootCD v3.3\nbootserver=boot.example\nuptime=%d\nnodemanager=%d\nreadonly=%s\ndns=%s\nend=1\n",
			kernel, btoi(debug), int(uptime.Seconds()), btoi(!debug), readOnly, dns)
	case word == "uname":
		fmt.Fprintln(out, kernel)
	case word == "hostname":
		fmt.Fprintln(out, n.Host)
	case word == "true":
	case jail != nil:
		return jail.run(out, errs, command)
	case word == "echo" && strings.Contains(command, "\n"): // what is said before an answer
		said, rest, _ := strings.Cut(command, "\n")
		fmt.Fprintln(out, strings.TrimPrefix(said, "echo "))
		return n.run(out, errs, rest)
	case strings.HasPrefix(command, "if [ -e /tmp/source ]"): // a node that runs has no BootManager, and slices
		fmt.Fprintln(out, "up")
	default:
		fmt.Fprintf(out, "sh: %s: not found\n", word)
		return 127, true
	}
	return 0, true
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
