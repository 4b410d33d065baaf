package pcucontrol

import (
	"context"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// greeted answers by whether the device at its port said hello.
type greeted struct{}

func (greeted) test(ctx context.Context, t Target) (Result, error) {
	conn, err := dial(ctx, t)
	if err != nil {
		return Result{}, err
	}
	defer conn.Close()
	if d, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(d)
	}
	text, _ := io.ReadAll(conn)
	switch {
	case string(text) == "hello":
		return Result{Verified: true, Note: t.Transport}, nil
	case string(text) == "go away":
		return Result{}, &Error{Kind: Auth, Host: t.Host, Doing: "log in"}
	}
	return Result{}, &Error{Kind: Unexpected, Host: t.Host, Doing: "log in", Detail: "said " + string(text)}
}
func (d greeted) status(ctx context.Context, t Target) (Result, error) { return d.test(ctx, t) }
func (d greeted) set(ctx context.Context, t Target, _ operation) (Result, error) {
	return d.test(ctx, t)
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

// filtered is a port that takes no more calls and refuses none: its queue is full.
func filtered(t *testing.T) int {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil {
		err = syscall.Listen(fd, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	name, _ := syscall.Getsockname(fd)
	port := name.(*syscall.SockaddrInet4).Port
	for range 3 { // the queue takes one or two
		if c, err := net.DialTimeout("tcp", (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}).String(), 100*time.Millisecond); err == nil {
			t.Cleanup(func() { _ = c.Close() })
		}
	}
	return port
}

func closedPort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
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
		kind  Kind
		tried []string
	}{
		{"the first one, where it is open", []int{hello, away}, "telnet", "", []string{"telnet"}},
		{"the second one, where the first is closed", []int{shut, hello}, "ssh", "", []string{"telnet (not open)", "ssh"}},
		{"the second one, where the first says nothing", []int{dark, hello}, "ssh", "", []string{"ssh"}},
		{"the second one, where the first speaks nonsense", []int{noise, hello}, "ssh", "", []string{"telnet", "ssh"}},
		{"no other one, where the first refuses the password", []int{away, hello}, "", Auth, []string{"telnet"}},
		{"none, where all are closed", []int{shut, shut}, "", Unreachable, []string{"telnet (not open)", "ssh (not open)"}},
		{"the silent one again at the end", []int{dark, shut}, "", Timeout, []string{"ssh (not open)", "telnet"}},
		{"what was said counts for more than a closed port", []int{shut, noise}, "", Unexpected, []string{"telnet (not open)", "ssh"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			helloCalls.Store(0)
			catalog := &Catalog{models: []ModelInfo{model("two", "", false, everything("telnet", c.ports[0], greeted{}), everything("ssh", c.ports[1], greeted{}))}}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			r, err := catalog.Test(ctx, Target{Model: "two", Host: "127.0.0.1"})
			if KindOf(err) != c.kind || r.Note != c.by {
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
	for kind, safe := range map[Kind]bool{
		Auth: false, NoOutlet: false, Busy: true, Refused: false, Timeout: true, Unreachable: true, Unexpected: false, Ambiguous: false, UnknownModel: false, Unsupported: false,
	} {
		if e := (&Error{Kind: kind}); e.RetrySafe() != safe {
			t.Errorf("%s: %v", kind, !safe)
		}
	}
}

func TestACycleInTwoThatEndsHalfwayIsAmbiguous(t *testing.T) {
	for _, kind := range []Kind{Timeout, Busy, Unreachable, Refused} {
		nothing := func(context.Context) error { return nil }
		s := switches{off: nothing, on: func(context.Context) error { return &Error{Kind: kind} }}
		if _, err := s.set(t.Context(), Target{}, opCycle); KindOf(err) != Ambiguous || !strings.Contains(err.Error(), "turned off") {
			t.Errorf("%s while turning on again gives %v", kind, err)
		}
		if _, err := s.set(t.Context(), Target{}, opOn); KindOf(err) != kind {
			t.Errorf("%s while turning on gives %v", kind, err)
		}
	}
}

func TestErrorsShowTheEndOfWhatWasHeardWithoutThePassword(t *testing.T) {
	const secret = `pass"word`
	k := &talk{session: &session{t: Target{Host: "pdu", Password: secret}}, state: Unknown}
	heard := "the beginning " + secret[:4] + strings.Repeat("x", 300) + secret + strings.Repeat("y", 150) + " the end"
	for name, s := range map[string]step{"a refusal": {Expect: "success"}, "no state": {Read: "state: (on|off)"}} {
		_, err := k.understand("status", s, heard)
		if err == nil || strings.Contains(err.Error(), "word") || strings.Contains(err.Error(), "beginning") || !strings.Contains(err.Error(), "the end") {
			t.Errorf("%s gives %v", name, err)
		}
	}
}

func TestTheLastWordsOfADeviceThatHungUpAreHeard(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	s := newSession(t.Context(), Target{Host: "pdu"}, ours, theirsLater{ours, 2 * nudgeTime}, deaf{}, "\r\n")
	defer s.Close()
	go func() {
		_, _ = io.WriteString(theirs, "sessions are full\r\n")
		_ = theirs.Close()
	}()
	if _, text, err := s.await(t.Context(), "log in", "\r\n", []*regexp.Regexp{regexp.MustCompile("full")}); err != nil || !strings.Contains(text, "full") {
		t.Errorf("heard %q, %v", text, err)
	}
}

// theirsLater reads a while late.
type theirsLater struct {
	io.Reader
	late time.Duration
}

func (r theirsLater) Read(p []byte) (int, error) {
	time.Sleep(r.late)
	return r.Reader.Read(p)
}

// deaf takes no words.
type deaf struct{}

func (deaf) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
