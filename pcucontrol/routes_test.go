package pcucontrol_test

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/wire"
)

// greeted answers by whether the device at its port said hello.
type greeted struct{}

func (greeted) Test(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	conn, err := wire.Dial(ctx, t)
	if err != nil {
		return pcucontrol.Result{}, err
	}
	defer conn.Close()
	if d, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(d)
	}
	text, _ := io.ReadAll(conn)
	switch {
	case string(text) == "hello":
		return pcucontrol.Result{Verified: true, Note: t.Transport}, nil
	case string(text) == "go away":
		return pcucontrol.Result{}, &pcucontrol.Error{Kind: pcucontrol.Auth, Host: t.Host, Doing: "log in"}
	}
	return pcucontrol.Result{}, &pcucontrol.Error{
		Kind:   pcucontrol.Unexpected,
		Host:   t.Host,
		Doing:  "log in",
		Detail: "said " + string(text),
	}
}

func (d greeted) Status(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	return d.Test(ctx, t)
}

func (d greeted) Switch(ctx context.Context, t pcucontrol.Target, _ pcucontrol.Operation) (pcucontrol.Result, error) {
	return d.Test(ctx, t)
}

// speaker is a port that says something to everyone, and counts them.
func speaker(t *testing.T, text string) (port int, calls *atomic.Int32) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	calls = new(atomic.Int32)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			calls.Add(1)
			_, _ = io.WriteString(c, text)
			_ = c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port, calls
}

// heldPort is a port that nobody else can take while the test runs; nobody listens at it yet.
func heldPort(t *testing.T) (fd, port int) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
		t.Cleanup(func() { _ = syscall.Close(fd) })
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fd, name.(*syscall.SockaddrInet4).Port
}

// filtered is a port that takes no more calls and refuses none: its queue is full.
func filtered(t *testing.T) int {
	fd, port := heldPort(t)
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for range 3 { // the queue takes one or two
		if c, err := net.DialTimeout("tcp", (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}).String(),
			100*time.Millisecond); err == nil {
			t.Cleanup(func() { _ = c.Close() })
		}
	}
	return port
}

// closedPort refuses every call.
func closedPort(t *testing.T) int {
	_, port := heldPort(t)
	return port
}

func TestWaysAreTriedOpenPortsFirst(t *testing.T) {
	t.Parallel()
	hello, helloCalls := speaker(t, "hello")
	noise, _ := speaker(t, "\x00\x01")
	away, _ := speaker(t, "go away")
	shut, dark := closedPort(t), filtered(t)
	for _, c := range []struct {
		name  string
		ports []int
		by    string // the transport that did it; empty: none
		kind  pcucontrol.Kind
		tried []string
	}{
		{"the first one, where it is open", []int{hello, away}, "ssh", "", []string{"ssh"}},
		{"the second one, where the first is closed", []int{shut, hello}, "telnet", "",
			[]string{"ssh (not open)", "telnet"}},
		{"the second one, where the first says nothing", []int{dark, hello}, "telnet", "", []string{"telnet"}},
		{"the second one, where the first speaks nonsense", []int{noise, hello}, "telnet", "", []string{"ssh", "telnet"}},
		{"no other one, where the first refuses the password", []int{away, hello}, "", pcucontrol.Auth,
			[]string{"ssh"}},
		{"none, where all are closed", []int{shut, shut}, "", pcucontrol.Unreachable,
			[]string{"ssh (not open)", "telnet (not open)"}},
		{"the silent one again at the end", []int{dark, shut}, "", pcucontrol.Timeout,
			[]string{"telnet (not open)", "ssh"}},
		{"what was said counts for more than a closed port", []int{shut, noise}, "", pcucontrol.Unexpected,
			[]string{"ssh (not open)", "telnet"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			helloCalls.Store(0)
			catalog := pcucontrol.NewCatalog([]pcucontrol.Model{pcucontrol.NewModel("two", "", false,
				pcucontrol.Route{Transport: pcucontrol.Transport{Name: "telnet", Port: c.ports[1]}, Driver: greeted{}},
				pcucontrol.Route{Transport: pcucontrol.Transport{Name: "ssh", Port: c.ports[0]}, Driver: greeted{}}, // goes first all the same
			)})
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			r, err := catalog.Test(ctx, pcucontrol.Target{Model: "two", Host: "127.0.0.1"})
			if pcucontrol.KindOf(err) != c.kind || r.Note != c.by {
				t.Errorf("got %+v, %v", r, err)
			}
			var tried []string
			for _, text := range r.Tried {
				words := strings.Fields(text) // without the port
				tried = append(tried, strings.Join(append(words[:1:1], words[2:]...), " "))
			}
			if !slices.Equal(tried, c.tried) {
				t.Errorf("tried were %q", r.Tried)
			}
			if n := helloCalls.Load(); n > 1 {
				t.Errorf("the device was called %d times for one operation", n)
			}
		})
	}
}

func TestErrorsSayWhetherARetryIsSafe(t *testing.T) {
	for kind, safe := range map[pcucontrol.Kind]bool{
		pcucontrol.Auth: false, pcucontrol.NoOutlet: false, pcucontrol.Busy: true, pcucontrol.Refused: false,
		pcucontrol.Timeout: true, pcucontrol.Unreachable: true, pcucontrol.Unexpected: false,
		pcucontrol.Ambiguous: false, pcucontrol.UnknownModel: false, pcucontrol.Unsupported: false,
	} {
		if e := (&pcucontrol.Error{Kind: kind}); e.RetrySafe() != safe {
			t.Errorf("%s: %v", kind, !safe)
		}
	}
}
