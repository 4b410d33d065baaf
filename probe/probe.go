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
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"
	probing "github.com/prometheus-community/pro-bing"
	"golang.org/x/crypto/ssh"
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
)

// Options say how to look. The zero value looks at ports 22, 80 and 806 without ssh.
type Options struct {
	SSHUser  string        // default root
	SSHKey   ssh.Signer    // nil: ssh is tried and denied
	SSHPorts []int         // logical ports to try ssh on, default 22 then 806
	Ports    []int         // logical ports to look at, default 22, 80, 806
	PortMap  map[int]int   // where a logical port really is; for testbeds
	Timeout  time.Duration // one dial and one ssh session, default 5 s
	Tries    int           // looks at a silent port inside Timeout, the best counts; default 3
	Parallel int           // nodes at once over all callers, default 200
	Resolver string        // host:port of a DNS server; empty: the system's
	Ping     bool          // also send ICMP echo, where the system permits
	HostKeys *HostKeys     // nil: a fresh memory
}

// Prober looks at nodes. It is safe for use by many goroutines.
type Prober struct {
	o     Options
	slots chan struct{}
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
	if o.HostKeys == nil {
		o.HostKeys = &HostKeys{}
	}
	return &Prober{o, make(chan struct{}, o.Parallel)}
}

// Target is a node as PLC knows it.
type Target struct {
	Host string
	IP   string // what PLC holds; empty: what the name resolves to
}

// NodeResult is what was seen of a node.
type NodeResult struct {
	Host   string         `json:"host"`
	At     time.Time      `json:"at"`
	Ping   string         `json:"ping,omitempty"`
	DNS    string         `json:"dns"`   // ok, mismatch, no entry, or why it could not be asked
	Ports  map[int]string `json:"ports"` // by logical port
	SSH    SSHResult      `json:"ssh"`
	Inside Inside         `json:"inside"`
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
	return slices.Contains([]string{KeyDenied, HostKeyChanged, Hang, Broken}, r.Failure)
}

// Nodes looks at many nodes, Parallel of them at once, and hands each result to f, one call at a time.
// No targets: no looks.
func (p *Prober) Nodes(ctx context.Context, targets []Target, f func(NodeResult)) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, t := range targets {
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			wg.Wait()
			return
		}
		wg.Go(func() {
			defer func() { <-p.slots }()
			r := p.Node(ctx, t)
			mu.Lock()
			defer mu.Unlock()
			f(r)
		})
	}
	wg.Wait()
}

// Node looks at one node: everything from outside at once, then ssh on the first port that is open.
func (p *Prober) Node(ctx context.Context, t Target) NodeResult {
	r := NodeResult{Host: t.Host, At: time.Now(), Ports: map[int]string{}}
	ip := t.IP
	if ip == "" {
		addrs, err := p.lookup(ctx, t.Host)
		if err != nil || len(addrs) == 0 {
			r.DNS, r.SSH.Failure, r.SSH.Detail = "no entry", NoRoute, "PLC holds no address and the name does not resolve"
			return r
		}
		ip = addrs[0]
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	why := map[int]string{}
	for _, port := range p.o.Ports {
		wg.Go(func() {
			state, failure := p.port(ctx, ip, port)
			mu.Lock()
			defer mu.Unlock()
			r.Ports[port], why[port] = state, failure
		})
	}
	wg.Go(func() { r.DNS = p.checkName(ctx, t) })
	if p.o.Ping {
		wg.Go(func() { r.Ping = ping(ctx, ip, p.o.Timeout) })
	}
	wg.Wait()
	for _, port := range p.o.SSHPorts {
		if state, looked := r.Ports[port]; looked && state != Open {
			if r.SSH.Failure == "" {
				r.SSH = SSHResult{Port: port, Failure: why[port]}
			}
			continue
		}
		inside, res := p.inside(ctx, t.Host, ip, port)
		if res.OK {
			r.SSH, r.Inside = res, inside
			break
		}
		if !r.SSH.alive() { // what one port shows of life, the silence of another does not take back
			r.SSH = res
		}
	}
	return r
}

func (p *Prober) address(ip string, port int) string {
	if real, ok := p.o.PortMap[port]; ok {
		port = real
	}
	return net.JoinHostPort(ip, strconv.Itoa(port))
}

// port dials up to Tries times and keeps the best answer, since single packets get lost. The tries start one after the other inside Timeout
// and end with it, so that a silent port costs no more time for being tried again.
func (p *Prober) port(ctx context.Context, ip string, port int) (state, failure string) {
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	answers := make(chan error, p.o.Tries)
	for i := range p.o.Tries {
		go func() { answers <- p.try(ctx, ip, port, time.Duration(i)*p.o.Timeout/time.Duration(p.o.Tries)) }()
	}
	failure = Timeout
	for range p.o.Tries {
		err := <-answers
		if err == nil {
			return Open, ""
		}
		if failure = dialFailure(err); failure == Refused {
			return Closed, failure
		}
	}
	return Filtered, failure
}

func (p *Prober) try(ctx context.Context, ip string, port int, after time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(after):
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.address(ip, port))
	if err != nil {
		return err
	}
	return conn.Close()
}

func dialFailure(err error) string {
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

func (p *Prober) checkName(ctx context.Context, t Target) string {
	addrs, err := p.lookup(ctx, t.Host)
	var missing *net.DNSError
	switch {
	case errors.As(err, &missing) && missing.IsNotFound, err == nil && len(addrs) == 0:
		return "no entry"
	case err != nil:
		return "not asked: " + err.Error()
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
		return "not sent: " + err.Error()
	}
	pinger.Count, pinger.Timeout = 1, timeout
	if err := pinger.RunWithContext(ctx); err != nil {
		return "not permitted: " + err.Error()
	}
	if pinger.Statistics().PacketsRecv > 0 {
		return "answers"
	}
	return "no answer"
}
