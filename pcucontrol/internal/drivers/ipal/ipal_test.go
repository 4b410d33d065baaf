package ipal

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
)

func TestAnIPALThatAnswersACommandWithNoiseIsAmbiguous(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for _, answer := range []string{"111", "\x15"} { // to the status, to the pulse
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 64))
			_, _ = io.WriteString(c, answer)
			_ = c.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	target := pcucontrol.Target{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, Password: "s3cret-Pw", Outlet: 3}
	if _, err := (Driver{}).Switch(ctx, target, pcucontrol.OpCycle); pcucontrol.KindOf(err) != pcucontrol.Ambiguous {
		t.Errorf("it gives %v", err)
	}
}
