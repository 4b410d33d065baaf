package pcucontrol

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// PortState is what a port answered to a knock.
type PortState string

// The states of a port.
const (
	PortOpen   PortState = "open"
	PortClosed PortState = "closed"
	PortSilent PortState = "silent" // no answer in time: filtered, nobody there, or a datagram that nobody cared for
)

// Port is what a scan found at one port.
type Port struct {
	Port       int       `json:"port"`
	Transports []string  `json:"transports"` // of the models that use it
	State      PortState `json:"state"`
	Says       string    `json:"says,omitempty"` // the first words of what it says unasked
	Models     []string  `json:"models"`         // that would fit; where its words tell, only those that know them
}

const (
	connectTime = 2 * time.Second        // a knock, if the context leaves it
	bannerTime  = 700 * time.Millisecond // what it says unasked, more of it being worth another quarter of a second
	bannerBytes = 2048
	scansAtOnce = 16
)

// Scan knocks at each port that a model uses, all at once and once each, and logs in nowhere: a look takes a device's only session for a
// moment. The ports come in order. The error says why a host has no open port at all.
func (c *Catalog) Scan(ctx context.Context, host string) ([]Port, error) {
	if host == "" {
		return nil, &Error{Unreachable, host, "scan", "no host is named"}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ports := c.ports()
	errs := make([]error, len(ports))
	var wg sync.WaitGroup
	slots := make(chan struct{}, scansAtOnce)
	for i := range ports {
		wg.Add(1)
		go func() {
			defer wg.Done()
			slots <- struct{}{}
			defer func() { <-slots }()
			errs[i] = c.look(ctx, host, &ports[i])
		}()
	}
	wg.Wait()
	if slices.ContainsFunc(ports, func(p Port) bool { return p.State == PortOpen }) {
		return ports, nil
	}
	// The first that is no mere silence says most.
	i := slices.IndexFunc(errs, func(err error) bool { return KindOf(err) == Unreachable })
	if i < 0 {
		return ports, &Error{Timeout, host, "scan", "no port of any model answers"}
	}
	var e *Error
	detail := "no port of any model is open"
	if errors.As(errs[i], &e) && !strings.HasSuffix(e.Detail, "is closed") {
		detail = e.Detail
	}
	return ports, &Error{Unreachable, host, "scan", detail}
}

// ports are those that models use, with the models.
func (c *Catalog) ports() []Port {
	type key struct {
		udp  bool
		port int
	}
	found := map[key]*Port{}
	for _, m := range c.models {
		for _, tr := range m.Transports {
			k := key{tr.Name == "udp", tr.Port}
			if found[k] == nil {
				found[k] = &Port{Port: tr.Port}
			}
			p := found[k]
			if p.Models = append(p.Models, m.Name); !slices.Contains(p.Transports, tr.Name) {
				p.Transports = append(p.Transports, tr.Name)
			}
		}
	}
	var list []Port
	for _, p := range found {
		p.Models = slices.Compact(p.Models)
		list = append(list, *p)
	}
	slices.SortFunc(list, func(a, b Port) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), strings.Compare(a.Transports[0], b.Transports[0]))
	})
	return list
}

func (c *Catalog) look(ctx context.Context, host string, p *Port) error {
	t := Target{Host: host, Port: p.Port}
	bound, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	if slices.Contains(p.Transports, "udp") {
		return p.knock(bound, t)
	}
	conn, err := dial(bound, t)
	if err != nil {
		p.State, p.Models = PortClosed, []string{}
		if KindOf(err) == Timeout {
			p.State = PortSilent
		}
		return err
	}
	defer conn.Close()
	p.State = PortOpen
	if slices.ContainsFunc(p.Transports, func(name string) bool { return strings.HasPrefix(name, "http") }) { // such servers wait to be asked
		if slices.Contains(p.Models, redfishModel) {
			p.askForRedfish(bound, t, conn)
		}
		return nil
	}
	said := banner(ctx, conn)
	p.Says = headline(said)
	if known := c.whoSays(p.Models, said); len(known) > 0 {
		p.Models = known
	}
	return nil
}

// askForRedfish asks for the root of Redfish's service, which is there for everybody to read, and tells an iLO from what has it. Nobody is
// told who calls, so any certificate will do.
func (p *Port) askForRedfish(ctx context.Context, t Target, conn net.Conn) {
	t.Transport, t.Legacy, t.met = "https", true, &meeting{conn: conn}
	s := newRedfish(t)
	defer s.w.close()
	root, err := s.root(ctx)
	switch {
	case err == nil && root.Version != "":
		p.Models, p.Says = []string{redfishModel}, headline("Redfish "+root.Version+" "+root.Product)
	case err == nil || KindOf(err) == Unexpected && ctx.Err() == nil:
		p.Models = slices.DeleteFunc(slices.Clone(p.Models), func(m string) bool { return m == redfishModel })
	}
}

// banner is what a device says unasked, telnet's commands and escape sequences taken out.
func banner(ctx context.Context, conn net.Conn) string {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	tn := newTelnet(conn)
	var clean cleaner
	var text []byte
	_ = conn.SetReadDeadline(time.Now().Add(bannerTime))
	for len(text) < bannerBytes {
		buf := make([]byte, bannerBytes)
		n, err := tn.Read(buf)
		text = clean.append(text, buf[:n])
		if err != nil || strings.HasPrefix(string(text), "SSH-") {
			break
		}
		if n > 0 && len(text) > 0 {
			_ = conn.SetReadDeadline(time.Now().Add(bannerTime / 3))
		}
	}
	return string(text)
}

// headline is a text on one line, cut.
func headline(text string) string {
	words := strings.Join(strings.Fields(text), " ")
	if len(words) > 120 {
		words = words[:120] + "..."
	}
	return strings.ToValidUTF8(words, "")
}

// whoSays are the models whose conversation begins as this text ends.
func (c *Catalog) whoSays(models []string, text string) []string {
	var known []string
	for _, m := range c.models {
		if !slices.Contains(models, m.Name) {
			continue
		}
		for _, w := range m.ways {
			if d, ok := w.driver.(conversational); ok && w.Name == "telnet" && d.begins(text) && !slices.Contains(known, m.Name) {
				known = append(known, m.Name)
			}
		}
	}
	return known
}

// conversational is a driver that knows how its device begins to speak.
type conversational interface{ begins(text string) bool }

// begins is whether the text is what the device says first.
func (d text) begins(said string) bool {
	if said == "" || len(d.c.Login) == 0 {
		return false
	}
	first := d.c.Login[0]
	hears := []string{cmp.Or(first.Hear, "{prompt}")}
	for _, a := range first.Answers {
		hears = append(hears, a.Hear)
	}
	for _, hear := range hears {
		if p, err := d.c.pattern(hear, Target{}); err == nil && p.MatchString(said) {
			return true
		}
	}
	return false
}

// greetings are datagrams that a device answers before any login, by port, two each, for some get lost. They are IPMI's Get Channel
// Authentication Capabilities (IPMI 2.0, 22.13); the discovery of an SNMPv3 engine (RFC 3414, 4), and sysObjectID by SNMPv1 and the
// community that most agents are delivered with. An agent of v1 or v2c that has another is silent.
func greetings() map[int][2][]byte {
	ask := []byte{6, 0, 0xff, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0x20, 0x18, 0xc8, 0x81, 0, 0x38, 0x8e, 4, 0xb5}
	return map[int][2][]byte{
		623: {ask, ask},
		161: {{0x30, 0x3a, 2, 1, 3, 0x30, 0xf, 2, 2, 0x4d, 0x4f, 2, 3, 0, 0xff, 0xe3, 4, 1, 4, 2, 1, 3,
			4, 0x10, 0x30, 0xe, 4, 0, 2, 1, 0, 2, 1, 0, 4, 0, 4, 0, 4, 0,
			0x30, 0x12, 4, 0, 4, 0, 0xa0, 0xc, 2, 2, 0x4d, 0x50, 2, 1, 0, 2, 1, 0, 0x30, 0},
			append([]byte("\x30\x26\x02\x01\x00\x04\x06public\xa0\x19\x02\x01\x01\x02\x01\x00\x02\x01\x00\x30\x0e\x30\x0c"),
				"\x06\x08\x2b\x06\x01\x02\x01\x01\x02\x00\x05\x00"...)},
	}
}

// knock sends the greetings; any answer is an open port.
func (p *Port) knock(ctx context.Context, t Target) error {
	p.State = PortSilent
	models := p.Models
	p.Models = []string{}
	conn, err := new(net.Dialer).DialContext(ctx, "udp", net.JoinHostPort(t.Host, strconv.Itoa(t.Port)))
	if err != nil {
		return dialError(t, err)
	}
	defer conn.Close()
	for _, greeting := range greetings()[t.Port] {
		if _, err := conn.Write(greeting); err != nil {
			break
		}
		_ = conn.SetReadDeadline(time.Now().Add(connectTime / 2))
		switch _, err := conn.Read(make([]byte, 512)); {
		case err == nil:
			p.State, p.Models = PortOpen, models
			return nil
		case errors.Is(err, syscall.ECONNREFUSED):
			p.State = PortClosed
			return &Error{Unreachable, t.Host, connecting, fmt.Sprintf("port %d is closed", t.Port)}
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return dialError(t, err)
		}
	}
	return &Error{Timeout, t.Host, connecting, fmt.Sprintf("port %d is silent", t.Port)}
}

// Scan knocks at each port that a built-in model uses.
func Scan(ctx context.Context, host string) ([]Port, error) { return builtin().Scan(ctx, host) }
