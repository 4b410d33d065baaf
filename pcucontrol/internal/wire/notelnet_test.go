package wire

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/planetlab/monitor/pcucontrol"
)

// A server that begins with telnet's escape, and then waits for a name, is no ssh server: that is known at once.
func TestATelnetServerIsNotWaitedForAsSSH(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Write([]byte{telnetIAC, 251, 1})
		_, _ = io.Copy(io.Discard, conn)
	}()
	target := pcucontrol.Target{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}
	_, err = DialText(t.Context(), target, "ssh")
	if pcucontrol.KindOf(err) != pcucontrol.Unexpected || !strings.Contains(err.Error(), "telnet") {
		t.Errorf("%v", err)
	}
}
