// Package testbed is a small PlanetLab in one process: PLC, nodes that listen, power control units that really take their
// nodes down and up, name service and a mailbox. It is for the demo and the tests only.
package testbed

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/testbed/fakeplc"
	"github.com/planetlab/monitor/testbed/fakert"
	"github.com/planetlab/monitor/testbed/mailbox"
	"github.com/planetlab/monitor/testbed/pcudev"
)

// Site is a site to make: its nodes are planetlab1, planetlab2, ... at <login base>.example, all on one PCU unless it has none,
// or each has its BMC.
type Site struct {
	Login string
	Nodes int
	NoPCU bool
	BMCs  bool
	// At is its latitude and longitude; PLC does not know those of a site at 0, 0.
	At [2]float64
}

// Fleet is the testbed's usual dozen sites with their forty nodes.
func Fleet() []Site {
	return []Site{
		{Login: "princeton", Nodes: 4, At: [2]float64{40.35, -74.65}},
		{Login: "upmc", Nodes: 4, At: [2]float64{48.85, 2.36}},
		{Login: "huji", Nodes: 2, At: [2]float64{31.78, 35.2}},
		{Login: "inria", Nodes: 4, At: [2]float64{43.62, 7.05}},
		{Login: "tokyo", Nodes: 4, At: [2]float64{35.71, 139.76}},
		{Login: "uba", Nodes: 3, NoPCU: true, At: [2]float64{-34.6, -58.37}},
		{Login: "cornell", Nodes: 4, At: [2]float64{42.45, -76.48}},
		{Login: "cambridge", Nodes: 3, At: [2]float64{52.2, 0.09}},
		{Login: "nairobi", Nodes: 2, At: [2]float64{-1.28, 36.82}},
		{Login: "sydney", Nodes: 4, At: [2]float64{-33.89, 151.19}},
		{Login: "pisa", Nodes: 3, At: [2]float64{43.72, 10.4}},
		{Login: "warsaw", Nodes: 3, At: [2]float64{52.24, 21.02}},
	}
}

// Ports are where the testbed's nodes really listen, by logical port, so that no privilege is needed.
var ports = map[int]int{22: 20022, 80: 20080, 806: 20806}

// PortMap is where a prober finds the logical ports of the testbed's nodes.
func PortMap() map[int]int {
	out := map[int]int{}
	for k, v := range ports {
		out[k] = v
	}
	return out
}

// What a fault is fixed by.
const (
	Reboot    = "reboot"
	Reinstall = "reinstall"
	Bootman   = "bootman" // what is told to a node in debug mode: see Fault.Fix
	Nobody    = "nobody"  // only Heal does, as a human would
)

// Fault is what is wrong with a node, and what heals it.
type Fault struct {
	State   fakenode.State
	FixedBy string
	Because string // for those who watch
	Dead    bool   // its BootManager never runs, however often it boots: what PLC wants of it is not done

	// Debug is what the node shows in debug mode. Fix is what it must be told there to boot, where it is fixed by bootman, as
	// "BootManager.py boot"; it boots at the end of the next run of its BootManager, or restart.
	Debug fakenode.DebugMode
	Fix   string
}

// Event is something that happened in the world, for those who tell the story.
type Event struct {
	At   time.Time
	Site string
	Text string

	Small bool // of a boot or a power cut, which follow from something else
}

// The account that Monitor has at the testbed's PLC.
const (
	PLCUser     = "monitor@plc.example"
	PLCPassword = "plc-s3cret"
)

// World is a running testbed.
type World struct {
	DB       *fakeplc.DB
	Mail     *mailbox.Mailbox
	PLC      string // URL
	PLCCA    []byte // PEM of the authority to trust for it
	Resolver string // host:port of the name server
	RT       string // URL of Request Tracker
	Tracker  *fakert.Server

	powerCuts chan PowerCut

	clock  *clock
	boot   time.Duration // a third of a day
	block  int           // second octet of the nodes' addresses
	events chan Event
	closes []func()

	mu    sync.Mutex
	nodes map[string]*machine
	racks map[string]*pcudev.APC
	bmcs  []bmc
	sites []Site
}

type machine struct {
	*fakenode.Node
	id, site int
	login    string
	fault    *Fault
	power    bool
	cuts     []time.Time // when its power was cut
	wipes    []time.Time // when it booted to be installed anew
	boots    int         // numbers boots, so that a stale one does nothing
	fixed    bool
	bootFrom string // what its BMC was told for the next boot, as Redfish names it
}

// Options make a world.
type Options struct {
	Sites    []Site
	BootTime time.Duration
	Root     ssh.PublicKey // who may log in to nodes
	SMTP     string        // where the tracker's mail goes; the testbed's own mailbox
}

// Start brings the world up, all nodes running.
func Start(o Options) (*World, error) {
	return claimBlock(func(block int, release func()) (*World, error) { return start(o, block, release) })
}

func start(o Options, block int, release func()) (*World, error) {
	w := &World{DB: fakeplc.NewDB(PLCUser, PLCPassword), boot: o.BootTime, clock: newClock(3 * max(o.BootTime, time.Microsecond)), block: block, events: make(chan Event, 1000), powerCuts: make(chan PowerCut, 100), nodes: map[string]*machine{}, racks: map[string]*pcudev.APC{}, sites: o.Sites}
	w.closes = append(w.closes, release) // the first is closed last
	mail, err := mailbox.Start("127.0.0.1:0")
	if err != nil {
		w.Close()
		return nil, err
	}
	w.Mail = mail
	w.closes = append(w.closes, func() { _ = mail.Close() })
	for i, s := range o.Sites {
		if err := w.addSite(i+1, s, o.Root); err != nil {
			w.Close()
			return nil, err
		}
	}
	if err := errors.Join(w.serveDNS(), w.servePLC(), w.serveRT(o.SMTP)); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// servePLC serves PLCAPI over TLS, under a certificate that is its own authority, as PLC's was.
func (w *World) servePLC() error {
	cert, ca, err := selfSigned()
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		return err
	}
	server := &http.Server{Handler: w.DB, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute, IdleTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	w.closes = append(w.closes, func() { _ = server.Close() })
	w.PLC, w.PLCCA = "https://"+l.Addr().String()+"/PLCAPI/", ca
	return nil
}

// selfSigned makes a certificate for the loopback address, and its PEM for those who trust it.
func selfSigned() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "plc.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 1, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

func (w *World) serveDNS() error {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(rw dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		for _, question := range q.Question {
			w.mu.Lock()
			n := w.nodes[strings.TrimSuffix(question.Name, ".")]
			w.mu.Unlock()
			if n == nil {
				m.Rcode = dns.RcodeNameError
			} else if question.Qtype == dns.TypeA {
				m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.ParseIP(n.IP)})
			}
		}
		_ = rw.WriteMsg(m)
	})}
	go func() { _ = server.ActivateAndServe() }()
	w.closes = append(w.closes, func() { _ = pc.Close() })
	w.Resolver = pc.LocalAddr().String()
	return nil
}

// degrees is one half of where a site is, as PLC has it.
func degrees(at [2]float64, half int) any {
	if at == [2]float64{} {
		return nil
	}
	return at[half]
}

func (w *World) addSite(id int, s Site, root ssh.PublicKey) error {
	created := int(time.Now().AddDate(-3, 0, 0).Unix())
	w.DB.Add("Sites", fakeplc.Row{"site_id": id, "login_base": s.Login, "name": "University of " + s.Login, "enabled": true, "max_slices": 10, "date_created": created, "ext_consortium_id": 1, "latitude": degrees(s.At, 0), "longitude": degrees(s.At, 1)})
	for _, role := range []string{"tech", "pi", "user"} {
		w.DB.Add("Persons", fakeplc.Row{"email": role + "@" + s.Login + ".example", "roles": []any{role}, "site_ids": []any{id}})
	}
	for _, name := range []string{"_codeen", "_coral"} {
		w.DB.Add("Slices", fakeplc.Row{"name": s.Login + name, "site_id": id})
	}
	var members []*machine
	var nodeIDs, outlets, pcuIDs []any
	pcuID := 1000 + id
	if !s.NoPCU {
		pcuIDs = []any{pcuID}
	}
	for n := 1; n <= s.Nodes; n++ {
		host, ip := fmt.Sprintf("planetlab%d.%s.example", n, s.Login), fmt.Sprintf("127.%d.%d.%d", w.block, id, n)
		m := &machine{id: id*100 + n, site: id, login: s.Login, power: true}
		node, err := fakenode.New(fakenode.Options{Host: host, IP: ip, PortMap: ports, Root: root, Happens: func(what string) { w.told(m, what) }})
		if err != nil {
			return err
		}
		m.Node = node
		if err := node.SetState(fakenode.Up); err != nil {
			return fmt.Errorf("node %s (macOS first needs `sudo ifconfig lo0 alias %s`): %w", host, ip, err)
		}
		w.closes = append(w.closes, node.Close)
		ports := []any{}
		if s.BMCs {
			pcuIDs, ports = []any{bmcID(m.id)}, []any{1}
		} else if !s.NoPCU {
			ports = []any{n}
			nodeIDs, outlets = append(nodeIDs, m.id), append(outlets, n)
		}
		w.DB.Add("Nodes", fakeplc.Row{"node_id": m.id, "hostname": host, "site_id": id, "boot_state": "boot", "run_level": "boot", "model": "rack server",
			"last_contact": int(time.Now().Unix()), "pcu_ids": pcuIDs, "ports": ports, "key": nodeKey(host), "ssh_rsa_key": string(ssh.MarshalAuthorizedKey(node.HostKey()))})
		w.DB.Add("Interfaces", fakeplc.Row{"node_id": m.id, "ip": ip, "is_primary": true})
		w.nodes[host] = m
		members = append(members, m)
		if s.BMCs {
			if err := w.addBMC(m); err != nil {
				return err
			}
		}
	}
	if s.NoPCU || s.BMCs {
		return nil
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.1:20023", w.block+1, id))
	if err != nil {
		return err
	}
	rack := &pcudev.APC{Menu: []string{"1", "2", "p", "3"}, User: "apc", Password: "pcu-s3cret", Outlets: feed{w, members}, OffTime: w.boot / 4}
	go func() { _ = rack.Serve(l) }()
	w.closes = append(w.closes, func() { _ = l.Close() })
	w.racks[s.Login] = rack
	w.DB.Add("PCUs", fakeplc.Row{"pcu_id": pcuID, "site_id": id, "hostname": "pcu." + s.Login + ".example", "ip": l.Addr().String(), "username": "apc", "password": "pcu-s3cret",
		"model": "APCControl12p3", "node_ids": nodeIDs, "ports": outlets})
	return nil
}

// feed lets a PCU's outlets feed machines.
type feed struct {
	w       *World
	members []*machine
}

func (f feed) Count() int { return len(f.members) }

func (f feed) State(n int) (bool, error) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	return f.members[n-1].power, nil
}

func (f feed) Set(n int, on bool) error {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	return f.w.power(f.members[n-1], on)
}

// power cuts or gives power; w.mu is held. A machine that gets power boots, and may be healed by that.
func (w *World) power(m *machine, on bool) error {
	if m.power == on {
		return nil
	}
	m.power = on
	m.boots++
	if !on {
		m.cuts = append(m.cuts, time.Now())
		select {
		case w.powerCuts <- PowerCut{m.Host, m.login, time.Now()}:
		default:
		}
		w.tellSmall(m.login, m.Host+" loses power")
		return m.SetState(fakenode.Off)
	}
	return w.restart(m)
}

// restart boots a machine that has power; w.mu is held.
func (w *World) restart(m *machine) error {
	w.tellSmall(m.login, m.Host+" boots")
	booted, from := time.Now(), m.bootFrom
	m.bootFrom = ""
	if err := m.SetState(fakenode.Booting); err != nil {
		return err
	}
	w.afterBoot(m, func() {
		alive := m.fault == nil || !m.fault.Dead
		reinstalled := alive && (w.DB.Get("Nodes", "node_id", m.id)["boot_state"] == "reinstall" || from == "Pxe")
		if reinstalled {
			m.wipes = append(m.wipes, booted)
			w.DB.Set("Nodes", m.id, "boot_state", "boot")
		}
		if m.fault != nil && (m.fault.FixedBy == Reboot || m.fault.FixedBy == Reinstall && reinstalled || m.fixed) {
			m.fault = nil
		}
		state := fakenode.Up
		if m.fault != nil {
			state = m.fault.State
		}
		w.tellSmall(m.login, m.Host+" is "+string(state))
		_ = w.become(m, state)
	})
	return nil
}

// afterBoot does something when a boot takes its end, unless another has begun by then; w.mu is held, then and now.
func (w *World) afterBoot(m *machine, do func()) {
	boot := m.boots
	time.AfterFunc(w.boot, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if m.boots == boot {
			do()
		}
	})
}

// Break gives a node a fault.
func (w *World) Break(host string, a Fault) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.nodes[host]
	if m == nil {
		return fmt.Errorf("the testbed has no node %s", host)
	}
	m.fault, m.fixed = &a, false
	m.SetDebugMode(a.Debug)
	text := host + " is " + string(a.State)
	if a.Because != "" {
		text += " (" + a.Because + ")"
	}
	w.tell(m.login, text)
	return w.become(m, a.State)
}

// Heal mends a node as a human at its site would.
func (w *World) Heal(host string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.nodes[host]
	if m == nil {
		return fmt.Errorf("the testbed has no node %s", host)
	}
	m.fault, m.power = nil, true
	m.boots++
	w.tell(m.login, "somebody mends "+host)
	return w.become(m, fakenode.Up)
}

// Fix takes away what is wrong with a node, and leaves its power as it is: a node that Monitor has left off stays off.
func (w *World) Fix(host string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.nodes[host]
	if m == nil {
		return fmt.Errorf("the testbed has no node %s", host)
	}
	if m.fault == nil {
		return nil
	}
	m.fault = nil
	if !m.power || m.State() == fakenode.Booting {
		return nil
	}
	m.boots++
	return w.become(m, fakenode.Up)
}

// State is what a node is.
func (w *World) State(host string) fakenode.State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[host].State()
}

// Wrong says what is wrong with a node; nothing: it is well, or the testbed has none of that name.
func (w *World) Wrong(host string) string {
	switch f := w.faultOf(host); {
	case f == nil:
		return ""
	case f.Because != "":
		return string(f.State) + " (" + f.Because + ")"
	default:
		return string(f.State)
	}
}

// Powered reports whether a node has power.
func (w *World) Powered(host string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[host].power
}

// Hosts lists the nodes, in order.
func (w *World) Hosts() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.nodes))
}

// PowerCut is a node that lost power at its outlet.
type PowerCut struct {
	Host, Site string
	At         time.Time
}

// PowerCutsNow are told as they happen, to whoever reads them.
func (w *World) PowerCutsNow() <-chan PowerCut { return w.powerCuts }

// CutTimes are the times at which the power of a node was cut.
func (w *World) CutTimes(host string) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.nodes[host].cuts)
}

// WipeTimes are the times at which a node booted and was then installed anew.
func (w *World) WipeTimes(host string) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.nodes[host].wipes)
}

// BreakPCU gives the PCU of a site a fault of package pcudev; an empty one mends it.
func (w *World) BreakPCU(site, fault string) {
	w.racks[site].Break(fault)
	w.mu.Lock()
	defer w.mu.Unlock()
	if fault == "" {
		fault = "mended"
	}
	w.tell(site, "pcu."+site+".example: "+fault)
}

// Exempt puts a site's exemption into PLC, as an admin would.
func (w *World) Exempt(site string, until time.Time) {
	w.DB.Add("SiteTags", fakeplc.Row{"site_id": w.DB.Get("Sites", "login_base", site)["site_id"], "tagname": "exempt_site_until", "value": until.Format("20060102")})
}

// Suspended names the slices of a site that are suspended in PLC.
func (w *World) Suspended(site string) []string {
	id := w.DB.Get("Sites", "login_base", site)["site_id"]
	var names []string
	for _, slice := range w.DB.All("Slices", "site_id", id) {
		for _, tag := range w.DB.All("SliceTags", "slice_id", slice["slice_id"]) {
			if tag["tagname"] == "enabled" && tag["value"] == "0" {
				names = append(names, slice["name"].(string))
				break
			}
		}
	}
	return names
}

// PowerCuts counts how often the power of a node was cut.
func (w *World) PowerCuts(host string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.nodes[host].cuts)
}

// Events are told as they happen; what nobody reads is dropped.
func (w *World) Events() <-chan Event { return w.events }

func (w *World) tell(site, text string) { w.send(Event{At: time.Now(), Site: site, Text: text}) }

func (w *World) tellSmall(site, text string) {
	w.send(Event{At: time.Now(), Site: site, Text: text, Small: true})
}

func (w *World) send(e Event) {
	select {
	case w.events <- e:
	default:
	}
}

// Close ends everything.
func (w *World) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.nodes {
		m.boots++
	}
	for i := len(w.closes) - 1; i >= 0; i-- {
		w.closes[i]()
	}
	w.closes = nil
}
