// Package probe looks at nodes: from outside at their ports and names, from inside by one ssh command whose output is
// structured. It tells every kind of failure apart and never hangs longer than its deadline.
package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"
	probing "github.com/prometheus-community/pro-bing"
	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/clean"
)

// States of a TCP port.
const (
	Open     = "open"
	Closed   = "closed"   // refused
	Filtered = "filtered" // no answer at all
)

// Failures of ssh. Only the first three mean that the node is down.
const (
	NoRoute        = "no route"
	Refused        = "refused"
	Timeout        = "timeout"
	KeyDenied      = "key denied"
	HostKeyChanged = "host key changed"
	Hang           = "hang after authentication"
	Broken         = "protocol error"
	Strange        = "a strange answer after the login" // as of a forced command, or of a shell that is none
)

// Options say how to look. The zero value looks at ports 22, 80 and 806 without ssh.
type Options struct {
	SSHUser    string        // default root
	SSHKey     ssh.Signer    // nil, and no SSHKeys: ssh is tried and denied
	SSHKeys    []ssh.Signer  // more keys; all are offered in one login, at most five
	SSHPorts   []int         // logical ports to try ssh on, default 22 then 806
	Ports      []int         // logical ports to look at, default 22, 80, 806
	Facts      []Fact        // what else is asked of each node
	PortMap    map[int]int   // where a logical port really is; for testbeds
	Timeout    time.Duration // one port and one ssh session, default 5 s
	Tries      int           // dials of a port inside Timeout while they fail, default 3; the best counts
	Parallel   int           // logins at once over all callers, default 200; silent nodes do not count
	PerSite    int           // looks at one site at once, default 8; nodes that keep silent do not count
	BootServer string        // as PLC has it; every node is asked whether it resolves
	Resolver   string        // host:port of a DNS server; empty: the system's
	Ping       bool          // also send ICMP echo, where the system permits
	HostKeys   *HostKeys     // nil: a fresh memory
}

// Prober looks at nodes. It is safe for use by many goroutines.
type Prober struct {
	o     Options
	keys  *keyRing
	lanes lanes
}

// New fills in defaults.
func New(o Options) *Prober {
	if o.SSHUser == "" {
		o.SSHUser = "root"
	}
	if o.SSHPorts == nil {
		o.SSHPorts = []int{22, 806}
	}
	if o.Ports == nil {
		o.Ports = []int{22, 80, 806}
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Tries == 0 {
		o.Tries = 3
	}
	if o.Parallel == 0 {
		o.Parallel = 200
	}
	if o.PerSite == 0 {
		o.PerSite = 8
	}
	if o.HostKeys == nil {
		o.HostKeys = &HostKeys{}
	}
	keys := o.SSHKeys
	if o.SSHKey != nil {
		keys = append([]ssh.Signer{o.SSHKey}, keys...)
	}
	return &Prober{o, &keyRing{keys: keys[:min(len(keys), mostKeys)], last: map[string]int{}}, newLanes(o)}
}

// Target is a node as PLC knows it.
type Target struct {
	Host string
	IP   string // what PLC holds; empty: what the name resolves to
	Site string // its network: few of one are looked at at once
	// Silent says that the last look found nothing that answers: it then waits among its kind.
	Silent bool
}

// NodeResult is what was seen of a node.
type NodeResult struct {
	Host   string         `json:"host"`
	At     time.Time      `json:"at,omitzero"`
	Ping   string         `json:"ping,omitempty"`
	DNS    string         `json:"dns"`   // ok, mismatch, no entry, or why it could not be asked
	Ports  map[int]string `json:"ports"` // by logical port
	SSH    SSHResult      `json:"ssh"`
	Inside Inside         `json:"inside"`
	// Fault says why it could not be looked at, by a fault of ours. The rest then means nothing.
	Fault string `json:"fault,omitempty"`
}

// SSHResult says whether ssh worked, on which logical port, and else why not.
type SSHResult struct {
	OK      bool   `json:"ok"`
	Port    int    `json:"port,omitempty"`
	Failure string `json:"failure,omitempty"`
	Detail  string `json:"detail,omitempty"`
}

// alive says whether the failure comes from something that runs on the node.
func (r SSHResult) alive() bool {
	return slices.Contains([]string{KeyDenied, HostKeyChanged, Hang, Broken, Strange}, r.Failure)
}

// Nodes looks at many nodes and hands each result to f, one call at a time. No targets: no looks. When the context ends, so does it:
// what was not looked at by then has a result with a fault.
func (p *Prober) Nodes(ctx context.Context, targets []Target, f func(NodeResult)) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, queue := range queues(targets) {
		wg.Go(func() {
			for _, t := range queue { // what has no turn yet costs no goroutine
				turn, err := p.lanes.enter(ctx, t)
				wg.Go(func() {
					r := p.look(ctx, t, turn, err)
					mu.Lock()
					defer mu.Unlock()
					f(r)
				})
			}
		})
	}
	wg.Wait()
}

// queues are the targets of each site, in their order; apart from them those that were silent the last time.
func queues(targets []Target) map[Target][]Target {
	by := map[Target][]Target{}
	for _, t := range targets {
		of := Target{Site: t.Site, Silent: t.Silent}
		by[of] = append(by[of], t)
	}
	return by
}

// Node looks at one node: everything from outside at once, then ssh on the first port that is open.
func (p *Prober) Node(ctx context.Context, t Target) NodeResult {
	turn, err := p.lanes.enter(ctx, t)
	return p.look(ctx, t, turn, err)
}

// look looks at a node whose turn it is, unless that did not come.
func (p *Prober) look(ctx context.Context, t Target, turn *turn, err error) NodeResult {
	r := NodeResult{Host: t.Host, At: time.Now(), Ports: map[int]string{}}
	if err != nil {
		r.Fault = "its turn did not come"
		return r
	}
	defer turn.leave()
	ip := t.IP
	if ip == "" {
		addrs, err := p.lookup(ctx, t.Host)
		if err != nil && !notFound(err) {
			r.Fault = "its name could not be asked for: " + clean.Text(withoutAddresses(err))
			return r
		}
		if len(addrs) == 0 {
			r.DNS, r.SSH.Failure, r.SSH.Detail = "no entry", NoRoute, "PLC holds no address and the name does not resolve"
			return r
		}
		ip = addrs[0]
	}
	name := make(chan string, 1)
	go func() { name <- p.checkName(ctx, t) }() // a slow name server keeps nobody from the node itself
	why := p.outside(ctx, ip, &r)
	turn.answered()
	if r.Fault == "" {
		p.login(ctx, t, ip, why, turn, &r)
	}
	turn.leave()
	r.DNS = <-name
	if err := ctx.Err(); err != nil {
		r.Fault = "the look was broken off"
	}
	return r
}

// outside looks at the ports, and says why those that are not open are not.
func (p *Prober) outside(ctx context.Context, ip string, r *NodeResult) (why map[int]string) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	why = map[int]string{}
	for _, port := range p.o.Ports {
		wg.Go(func() {
			state, failure := p.port(ctx, ip, port)
			mu.Lock()
			defer mu.Unlock()
			if state == "" {
				r.Fault = failure
			}
			r.Ports[port], why[port] = state, failure
		})
	}
	if p.o.Ping {
		wg.Go(func() { r.Ping = ping(ctx, ip, p.o.Timeout) })
	}
	wg.Wait()
	return why
}

// login looks from inside, by the first port that lets us in.
func (p *Prober) login(ctx context.Context, t Target, ip string, why map[int]string, turn *turn, r *NodeResult) {
	for _, port := range p.o.SSHPorts {
		if state, looked := r.Ports[port]; looked && state != Open {
			if r.SSH.Failure == "" {
				r.SSH = SSHResult{Port: port, Failure: why[port]}
			}
			continue
		}
		inside, res := p.inside(ctx, t, ip, port, turn)
		if res.OK {
			r.SSH, r.Inside = res, inside
			return
		}
		if res.Failure == ours {
			r.Fault = res.Detail
			return
		}
		if !r.SSH.alive() { // what one port shows of life, the silence of another does not take back
			r.SSH = res
		}
	}
}

func (p *Prober) address(ip string, port int) string {
	if real, ok := p.o.PortMap[port]; ok {
		port = real
	}
	return net.JoinHostPort(ip, strconv.Itoa(port))
}

// port dials and keeps the best answer, since single packets get lost. A dial lasts until Timeout, inside which the kernel sends its packet
// again after 1 s and 3 s (RFC 6298); one that fails earlier is tried again. A silent port thus costs no more time, and no more
// sockets, for being tried again. An empty state is a fault of ours.
func (p *Prober) port(ctx context.Context, ip string, port int) (state, failure string) {
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	next := time.NewTicker(p.o.Timeout / time.Duration(p.o.Tries))
	defer next.Stop()
	for range p.o.Tries {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.address(ip, port))
		if err == nil {
			_ = conn.Close()
			return Open, ""
		}
		switch failure = dialFailure(err); failure {
		case Refused:
			return Closed, failure
		case ours:
			return "", withoutAddresses(err)
		}
		select {
		case <-ctx.Done():
			return Filtered, failure
		case <-next.C:
		}
	}
	return Filtered, failure
}

// ours is the failure of a dial that never left this machine.
const ours = "ours"

func dialFailure(err error) string {
	for _, fault := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL, syscall.EACCES, syscall.EPERM,
	} {
		if errors.Is(err, fault) {
			return ours
		}
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return NoRoute
	}
	return Timeout
}

func (p *Prober) lookup(ctx context.Context, host string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	if p.o.Resolver == "" {
		return net.DefaultResolver.LookupHost(ctx, host)
	}
	m := new(dns.Msg).SetQuestion(dns.Fqdn(host), dns.TypeA)
	answer, _, err := new(dns.Client).ExchangeContext(ctx, m, p.o.Resolver)
	if err != nil {
		return nil, err
	}
	if answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError {
		return nil, fmt.Errorf("resolver answers %s", dns.RcodeToString[answer.Rcode])
	}
	var out []string
	for _, rr := range answer.Answer {
		if a, ok := rr.(*dns.A); ok {
			out = append(out, a.A.String())
		}
	}
	return out, nil
}

func notFound(err error) bool {
	var missing *net.DNSError
	return errors.As(err, &missing) && missing.IsNotFound
}

func (p *Prober) checkName(ctx context.Context, t Target) string {
	if !strings.Contains(t.Host, ".") { // a name for people, which no DNS has
		return "not asked: it is no domain name"
	}
	addrs, err := p.lookup(ctx, t.Host)
	switch {
	case notFound(err), err == nil && len(addrs) == 0:
		return "no entry"
	case err != nil:
		return "not asked: " + clean.Line(withoutAddresses(err))
	}
	for _, a := range addrs {
		if a == t.IP || t.IP == "" {
			return "ok"
		}
	}
	return "mismatch"
}

func ping(ctx context.Context, ip string, timeout time.Duration) string {
	pinger, err := probing.NewPinger(ip)
	if err != nil {
		return "not sent: " + clean.Line(err.Error())
	}
	pinger.Count, pinger.Timeout = 1, timeout
	if err := pinger.RunWithContext(ctx); err != nil {
		return "not permitted: " + clean.Line(err.Error())
	}
	if pinger.Statistics().PacketsRecv > 0 {
		return "answers"
	}
	return "no answer"
}
