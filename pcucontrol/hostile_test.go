package pcucontrol_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
)

// What TestAHostileDeviceEndsInAnErrorInTimeAndLeavesNothingBehind asks of devices with web pages, of those with a
// prompt.
func TestAHostileConsoleEndsInAnErrorInTimeAndLeavesNothingBehind(t *testing.T) {
	endless := func(c net.Conn, piece string) {
		for err := error(nil); err == nil; {
			_, err = io.WriteString(c, piece)
		}
	}
	faces := []struct{ model, transport string }{
		{"APCControl12p3", "telnet"}, {"APCControl", "ssh"}, {"BayTechRPC3NC", "telnet"}, {"BayTechCtrlC", "ssh"},
		{"WTIIPS4", "telnet"}, {"IPAL", "tcp"}, {"IPAL", "telnet"}, {"DRAC", "ssh"}, {"HPiLO", "ssh"}, {"NUT", "tcp"},
	}
	for name, serve := range map[string]func(net.Conn){
		"binary noise":               func(c net.Conn) { endless(c, "\x00\x1b[7m\xfe\xff\xf1") },
		"endless text":               func(c net.Conn) { endless(c, strings.Repeat("lorem ipsum ", 1000)) },
		"a subnegotiation for ever":  func(c net.Conn) { endless(c, "\xff\xfa\x18"+strings.Repeat("x", 1000)) },
		"wishes for ever":            func(c net.Conn) { endless(c, "\xff\xfd\x18\xff\xfb\x22\xff\xfd\x1f") },
		"a prompt, and then the end": func(c net.Conn) { _, _ = io.WriteString(c, "User Name : ") },
		"an ssh banner without a key": func(c net.Conn) {
			_, _ = io.WriteString(c, "SSH-2.0-hostile\r\n")
			endless(c, "\x00\x00\x00\x0c")
		},
		"half a connection": func(c net.Conn) {
			_ = c.(countedConn).Conn.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, c)
		},
		"silence": func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
	} {
		t.Run(name, func(t *testing.T) {
			ports := make([]int, len(faces))
			for i := range faces {
				ports[i], _ = hostile(t, "tcp", serve)
			}
			before := held(t)
			var calls sync.WaitGroup
			for i, face := range faces {
				calls.Go(func() {
					var err error
					inTime(t, 400*time.Millisecond, func() {
						ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
						defer cancel()
						_, err = models.Builtin().Cycle(ctx, pcucontrol.Target{
							Model: face.model, Transport: face.transport, Host: "127.0.0.1", Port: ports[i],
							User: "admin", Password: password, Outlet: 3,
						})
					})
					if k := pcucontrol.KindOf(err); k == "" || k == pcucontrol.Ambiguous {
						t.Errorf("%s by %s gives %v", face.model, face.transport, err)
					}
				})
			}
			calls.Wait()
			settled(t, before)
		})
	}
}
