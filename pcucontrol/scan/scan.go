// Package scan looks which ports of a host are open, and which models of power control units would fit.
package scan

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

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/drivers/redfish"
	"github.com/planetlab/monitor/pcucontrol/internal/pending"
	"github.com/planetlab/monitor/pcucontrol/internal/wire"
)

// PortState is what a port answered when it was tried.
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
	connectTime = 2 * time.Second        // of one port, if the context leaves it
	bannerTime  = 700 * time.Millisecond // what it says unasked, more of it being worth another quarter of a second
	bannerBytes = 2048
	scansAtOnce = 16
)

// Host tries each port that a model of the catalog uses, all at once and once each, and logs in nowhere: a look
// takes a device's only session for a moment. The ports come in order. The error says why a host has no open port at
// all.
func Host(ctx context.Context, c *pcucontrol.Catalog, host string) ([]Port, error) {
	if host == "" {
		return nil, wire.Fail(pcucontrol.Target{Host: host}, pcucontrol.Unreachable, "scan", "no host is named")
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ports := portsOf(c)
	errs := make([]error, len(ports))
	var wg sync.WaitGroup
	slots := make(chan struct{}, scansAtOnce)
	for i := range ports {
		wg.Add(1)
		go func() {
			defer wg.Done()
			slots <- struct{}{}
			defer func() { <-slots }()
			errs[i] = ports[i].look(ctx, c, host)
		}()
	}
	wg.Wait()
	if slices.ContainsFunc(ports, func(p Port) bool { return p.State == PortOpen }) {
		return ports, nil
	}
	// The first that is no mere silence says most.
	i := slices.IndexFunc(errs, func(err error) bool { return pcucontrol.KindOf(err) == pcucontrol.Unreachable })
	if i < 0 {
		return ports, wire.Fail(pcucontrol.Target{Host: host}, pcucontrol.Timeout, "scan",
			"no port of any model answers")
	}
	var e *pcucontrol.Error
	detail := "no port of any model is open"
	if errors.As(errs[i], &e) && !strings.HasSuffix(e.Detail, "is closed") {
		detail = e.Detail
	}
	return ports, wire.Fail(pcucontrol.Target{Host: host}, pcucontrol.Unreachable, "scan", detail)
}

// portsOf are those that models use and that may answer, with the models.
func portsOf(c *pcucontrol.Catalog) []Port {
	type key struct {
		udp  bool
		port int
	}
	found := map[key]*Port{}
	for _, m := range c.Models() {
		for _, tr := range m.Transports {
			k := key{tr.Name == "udp", tr.Port}
			if _, asked := greetings()[tr.Port]; k.udp && !asked { // nothing there answers, as to a magic packet
				continue
			}
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

func (p *Port) look(ctx context.Context, c *pcucontrol.Catalog, host string) error {
	t := pcucontrol.Target{Host: host, Port: p.Port}
	bound, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	if slices.Contains(p.Transports, "udp") {
		return p.greet(bound, t)
	}
	conn, err := wire.Dial(bound, t)
	if err != nil {
		p.State, p.Models = PortClosed, []string{}
		if pcucontrol.KindOf(err) == pcucontrol.Timeout {
			p.State = PortSilent
		}
		return err
	}
	defer conn.Close()
	p.State = PortOpen
	// such servers wait to be asked
	if slices.ContainsFunc(p.Transports, func(name string) bool { return strings.HasPrefix(name, "http") }) {
		if slices.Contains(p.Models, redfish.Model) {
			p.askForRedfish(bound, t, conn)
		}
		return nil
	}
	said := banner(ctx, conn)
	p.Says = headline(said)
	if known := whoSays(c, p.Models, said); len(known) > 0 {
		p.Models = known
	}
	return nil
}

// askForRedfish asks for the root of Redfish's service, which is there for everybody to read, and tells an iLO from
// what has it. Nobody is told who calls, so any certificate will do.
func (p *Port) askForRedfish(ctx context.Context, t pcucontrol.Target, conn net.Conn) {
	t.Transport, t.Legacy = "https", true
	t.Dial = pending.New(conn, nil).Dial
	version, product, err := redfish.Identify(ctx, t)
	switch {
	case err == nil && version != "":
		p.Models, p.Says = []string{redfish.Model}, headline("Redfish "+version+" "+product)
	case err == nil || pcucontrol.KindOf(err) == pcucontrol.Unexpected && ctx.Err() == nil:
		p.Models = slices.DeleteFunc(slices.Clone(p.Models), func(m string) bool { return m == redfish.Model })
	}
}

// banner is what a device says unasked, telnet's commands and escape sequences taken out.
func banner(ctx context.Context, conn net.Conn) string {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	tn := wire.NewTelnet(conn)
	var clean wire.Cleaner
	var text []byte
	_ = conn.SetReadDeadline(time.Now().Add(bannerTime))
	for len(text) < bannerBytes {
		buf := make([]byte, bannerBytes)
		n, err := tn.Read(buf)
		text = clean.Append(text, buf[:n])
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
func whoSays(c *pcucontrol.Catalog, models []string, text string) []string {
	var known []string
	for _, m := range c.Models() {
		if !slices.Contains(models, m.Name) {
			continue
		}
		for _, w := range m.Routes {
			if d, ok := w.Driver.(conversational); ok && w.Name == "telnet" && d.Begins(text) &&
				!slices.Contains(known, m.Name) {
				known = append(known, m.Name)
			}
		}
	}
	return known
}

// conversational is a driver that knows how its device begins to speak.
type conversational interface{ Begins(text string) bool }

// greetings are datagrams that a device answers before any login, by port, two each, for some get lost. They are IPMI's
// Get Channel Authentication Capabilities (IPMI 2.0, 22.13); the discovery of an SNMPv3 engine (RFC 3414, 4), and
// sysObjectID by SNMPv1 and the community that most agents are delivered with. An agent of v1 or v2c that has another
// is silent.
func greetings() map[int][2][]byte {
	ask := []byte{6, 0, 0xff, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0x20, 0x18, 0xc8, 0x81, 0, 0x38, 0x8e, 4, 0xb5}
	return map[int][2][]byte{
		623: {ask, ask},
		161: {{0x30, 0x3a, 2, 1, 3, 0x30, 0xf, 2, 2, 0x4d, 0x4f, 2, 3, 0, 0xff, 0xe3, 4, 1, 4, 2, 1, 3,
			4, 0x10, 0x30, 0xe, 4, 0, 2, 1, 0, 2, 1, 0, 4, 0, 4, 0, 4, 0,
			0x30, 0x12, 4, 0, 4, 0, 0xa0, 0xc, 2, 2, 0x4d, 0x50, 2, 1, 0, 2, 1, 0, 0x30, 0},
			append(
				[]byte(
					"\x30\x26\x02\x01\x00\x04\x06public\xa0\x19\x02\x01\x01\x02\x01\x00\x02\x01\x00\x30\x0e\x30\x0c"),
				"\x06\x08\x2b\x06\x01\x02\x01\x01\x02\x00\x05\x00"...)},
	}
}

// greet sends the greetings; any answer is an open port.
func (p *Port) greet(ctx context.Context, t pcucontrol.Target) error {
	p.State = PortSilent
	models := p.Models
	p.Models = []string{}
	conn, err := new(net.Dialer).DialContext(ctx, "udp", net.JoinHostPort(t.Host, strconv.Itoa(t.Port)))
	if err != nil {
		return wire.DialError(t, err)
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
			return wire.Fail(t, pcucontrol.Unreachable, wire.Connecting, fmt.Sprintf("port %d is closed", t.Port))
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return wire.DialError(t, err)
		}
	}
	return wire.Fail(t, pcucontrol.Timeout, wire.Connecting, fmt.Sprintf("port %d is silent", t.Port))
}
