package pcucontrol_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
	"github.com/planetlab/monitor/testbed/pcudev"
)

// webFaces are the models that speak HTTP, and how.
func webFaces() map[string]string {
	return map[string]string{
		"ePowerSwitchNew": "http", "ePowerSwitchOld": "http", "BlackBoxPSMaverick": "http", "IntelAMT": "http",
		"Redfish": "https", "HPiLO": "https", "Tasmota": "http",
	}
}

// hostile serves every connection with a function, and counts what it got rid of.
func hostile(t *testing.T, transport string, serve func(net.Conn)) (port int, sent *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if transport == "https" {
		s := httptest.NewTLSServer(nil)
		s.Close()
		l = tls.NewListener(l, s.TLS)
	}
	t.Cleanup(func() { _ = l.Close() })
	sent = &atomic.Int64{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(5 * time.Second))
				serve(countedConn{c, sent})
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port, sent
}

type countedConn struct {
	net.Conn
	sent *atomic.Int64
}

func (c countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.sent.Add(int64(n))
	return n, err
}

func TestAHostileDeviceEndsInAnErrorInTimeAndLeavesNothingBehind(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	endless := func(c net.Conn, head, piece string) {
		_, err := io.WriteString(c, head)
		for err == nil {
			_, err = io.WriteString(c, piece)
		}
	}
	request := func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) }
	// All models at once: what they leave behind is counted when the last one is done.
	for name, serve := range map[string]func(net.Conn){
		"an endless body": func(c net.Conn) { request(c); endless(c, ok+"\r\n", strings.Repeat("lorem ipsum ", 1000)) },
		"endless chunks": func(c net.Conn) {
			request(c)
			endless(c, ok+"Transfer-Encoding: chunked\r\n\r\n",
				"5\r\nlorem\r\n")
		},
		"an endless header": func(c net.Conn) {
			request(c)
			endless(c, ok, "X-More: "+strings.Repeat("x", 1000)+"\r\n")
		},
		"endless early hints": func(c net.Conn) { request(c); endless(c, "", "HTTP/1.1 103 Early Hints\r\n\r\n") },
		"a drip": func(c net.Conn) {
			request(c)
			for _, b := range []byte(ok + "Content-Length: 1000\r\n\r\n" + strings.Repeat("x", 1000)) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		},
		"half of an answer": func(c net.Conn) {
			request(c)
			_, _ = io.WriteString(c, ok+"Content-Length: "+
				"1000\r\n\r\nhalf")
		},
		"half a connection": func(c net.Conn) {
			request(c)
			_ = c.(countedConn).Conn.(interface{ CloseWrite() error }).CloseWrite()
			_, _ = io.Copy(io.Discard, c)
		},
		"endless documents": func(c net.Conn) {
			request(c)
			endless(c, "", "<?xml version=\"1.0\"?><RIBCL VERSION=\"2.0\"><RESPONSE STATUS=\"0x0000\" MESSAGE='No "+
				"error'/></RIBCL>\r\n")
		},
		"binary noise": func(c net.Conn) { request(c); endless(c, "", "\x00\xff\x1b[7m\xfe") },
		"a redirect to another": func(c net.Conn) {
			request(c)
			_, _ = io.WriteString(c, "HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/steal\r\nContent-Length: "+
				"0\r\n\r\n")
		},
		"an XML bomb": func(c net.Conn) {
			request(c)
			bomb := `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "` + strings.Repeat("b", 1000) + `"><!ENTITY c "` +
				strings.Repeat("&a;", 1000) + `">]><a>` + strings.Repeat("&c;", 1000) + `</a>`
			_, _ = fmt.Fprintf(c, ok+"Content-Length: %d\r\n\r\n%s", len(bomb), bomb)
		},
		"a challenge without end": func(c net.Conn) {
			request(c)
			_, _ = io.WriteString(c, "HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm=\"a\", nonce=\"b\", "+
				"qop=\"auth\", stale=true\r\nContent-Length: 0\r\n\r\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			ports, sent := map[string]int{}, map[string]*atomic.Int64{}
			for model, transport := range webFaces() {
				ports[model], sent[model] = hostile(t, transport, serve)
			}
			before := held(t)
			var calls sync.WaitGroup
			for model, transport := range webFaces() {
				calls.Add(1)
				go func() {
					defer calls.Done()
					target := pcucontrol.Target{
						Model:     model,
						Transport: transport,
						Host:      "127.0.0.1",
						Port:      ports[model],
						User:      "admin",
						Password:  password,
						Outlet:    3,
					}
					target.Legacy = true
					var err error
					inTime(t, 400*time.Millisecond, func() {
						ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
						defer cancel()
						_, err = models.Builtin().Test(ctx, target)
					})
					// to these a bomb is no more than pages
					page := !slices.Contains([]string{"IntelAMT", "Redfish", "HPiLO"}, model)
					plain := name == "an XML bomb" && page
					if pcucontrol.KindOf(err) == "" && !plain {
						t.Errorf("%s gives %v", model, err)
					}
					// what is read, and what the kernel holds for two connections
					if n := sent[model].Load(); n > 16<<20 {
						t.Errorf("%s took %d bytes", model, n)
					}
				}()
			}
			calls.Wait()
			settled(t, before)
		})
	}
}

func TestAnOperationLeavesNothingBehind(t *testing.T) {
	for model, transport := range webFaces() {
		t.Run(model, func(t *testing.T) {
			_, r, target := raise(t, model, transport)
			before := held(t) // with the device's own
			if _, err := models.Builtin().Cycle(enough(t), target); err != nil {
				t.Error(err)
			}
			await(t, "a cycle", r, "off on")
			settled(t, before)
		})
	}
}

// holdings are the goroutines and the open files of this process, among which sockets are.
type holdings struct{ goroutines, files int }

func held(t *testing.T) holdings {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("open files are only counted on Linux")
	}
	return holdings{runtime.NumGoroutine(), len(files)}
}

// settled waits for what is ending, and for no more than was there before.
func settled(t *testing.T, before holdings) {
	t.Helper()
	now := held(t)
	for end := time.Now().Add(time.Minute); now.goroutines > before.goroutines || now.files > before.files; now = held(t) {
		if time.Now().After(end) {
			buf := make([]byte, 1<<16)
			t.Fatalf("it holds %+v, and held %+v:\n%s", now, before, buf[:runtime.Stack(buf, true)])
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestTheRecordSaysWhatTLSToTrust(t *testing.T) {
	_, _, trusting := raise(t, "Redfish", "https")
	var seen string
	trusting.SeenCertificate = func(fingerprint string) { seen = fingerprint }
	if _, err := models.Builtin().Test(enough(t), trusting); err != nil || len(seen) != 64 {
		t.Fatalf("a device of old gives %v and the fingerprint %q", err, seen)
	}
	try := func(name string, spoil func(*pcucontrol.Target), kind pcucontrol.Kind, says string) {
		target := trusting
		target.Legacy, target.SeenCertificate = false, nil
		spoil(&target)
		_, err := models.Builtin().Test(enough(t), target)
		if pcucontrol.KindOf(err) != kind || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s gives %v", name, err)
		}
	}
	try("a certificate that nobody vouches for", func(*pcucontrol.Target) {}, pcucontrol.Refused, seen)
	try("the known certificate", func(t *pcucontrol.Target) { t.KnownCertificate = seen }, "", "")
	try("the known certificate, written with colons", func(t *pcucontrol.Target) {
		t.KnownCertificate = strings.ToUpper(seen[:2] + ":" + seen[2:])
	}, "", "")
	other := strings.Repeat("0", 64)
	try(
		"another certificate than the known one",
		func(t *pcucontrol.Target) { t.KnownCertificate = other },
		pcucontrol.Refused,
		"not the known one",
	)
	try(
		"another one on an old device",
		func(t *pcucontrol.Target) { t.KnownCertificate, t.Legacy = other, true },
		pcucontrol.Refused,
		seen,
	)
}

func TestOldTLSNeedsTheRecord(t *testing.T) {
	d, _, target := raise(t, "HPiLO", "https")
	d.Break(pcudev.OldTLS)
	if _, err := models.Builtin().Test(enough(t), target); err != nil {
		t.Errorf("where the record permits it: %v", err)
	}
	target.Legacy = false
	if _, err := models.Builtin().Test(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.Refused ||
		!strings.Contains(err.Error(), "old versions are only for records that permit them") {
		t.Errorf("where it does not: %v", err)
	}
}

func TestWebDevicesHaveTheirWays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, model, transport, fault string
		outlet                        int
		trace                         string // in the conversation
	}{
		{"one that hangs when told unasked is not told unasked", "ePowerSwitchNew", "http", pcudev.ToldUnasked, 1, "401"},
		{"an iLO that knows no HTTP is asked bare", "HPiLO", "https", pcudev.OldFirmware, 1, "RESET_SERVER"},
		{"an AMT of the first time is asked by SOAP", "IntelAMT", "http", pcudev.OldFirmware, 1, "/RemoteControlService"},
		{"a state that lags is waited for", "Redfish", "https", pcudev.Lags, 1, "PowerCycle"},
		{"without PowerCycle there is ForceRestart", "Redfish", "https", pcudev.NoPowerCycle, 1, "ForceRestart"},
		{"without sessions there is Basic", "Redfish", "https", pcudev.NoSessions, 1, "PowerCycle"},
		{"of several systems it is the one with the outlet's number", "Redfish", "https", pcudev.Several, 1, "/Systems/1/Actions/ComputerSystem.Reset"},
		{"reset types may be in a resource of their own", "Redfish", "https", pcudev.ActionInfo, 1, "ResetActionInfo"},
		{"a session is ended", "Redfish", "https", "", 1, "DELETE"},
		{"slow answers are waited for", "HPiLO", "https", pcudev.Slow, 1, "RESET_SERVER"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d, r, target := raise(t, c.model, c.transport)
			d.Break(c.fault)
			var trace strings.Builder
			target.Outlet, target.Trace = c.outlet, func(s string) { trace.WriteString(s + "\n") }
			res, err := models.Builtin().Cycle(enough(t), target)
			if err != nil || !res.Verified || res.After != pcucontrol.On || r.events() != "off on" {
				t.Errorf("a cycle gives %+v, %v and switched %q", res, err, r.events())
			}
			if !strings.Contains(trace.String(), c.trace) || strings.Contains(trace.String(), password) {
				t.Errorf("the conversation is\n%s", trace.String())
			}
		})
	}
}

func TestAnUnknownSystemIsNoOutlet(t *testing.T) {
	d, r, target := raise(t, "Redfish", "https")
	d.Break(pcudev.Several)
	target.Outlet = 9
	if _, err := models.Builtin().Cycle(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.NoOutlet ||
		r.events() != "" {
		t.Errorf("gives %v and switched %q", err, r.events())
	}
}
