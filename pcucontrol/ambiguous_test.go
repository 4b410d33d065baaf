package pcucontrol

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// cut takes so many bytes of a text and then is gone.
type cut int

func (c cut) Write(p []byte) (int, error) { return min(int(c), len(p)), io.ErrClosedPipe }

func TestOnlyACommandThatMayHaveGoneOutIsAmbiguous(t *testing.T) {
	for _, c := range []struct {
		name string
		w    io.Writer
		step step
		kind Kind
	}{
		{"the connection was gone before it", cut(0), step{Say: says{"Off 3"}, Commit: true}, Unexpected},
		{"the connection went in the middle of it", cut(3), step{Say: says{"Off 3"}, Commit: true}, Ambiguous},
		{"it went out and the device hung up", io.Discard, step{Say: says{"Off 3"}, Commit: true}, Ambiguous},
		{"nothing is said, and waiting is what switches", io.Discard, step{Commit: true}, Ambiguous},
		{"what was said switches nothing", io.Discard, step{Say: says{"Status"}}, Unexpected},
	} {
		t.Run(c.name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			_ = theirs.Close()
			s := newSession(t.Context(), Target{Host: "pdu", Outlet: 3}, ours, ours, c.w, "\r\n")
			defer s.Close()
			k := &talk{text: text{c: conversation{Prompt: "> "}}, session: s, state: Unknown}
			if err := k.run(t.Context(), "off", []step{c.step}); KindOf(err) != c.kind {
				t.Errorf("it gives %v", err)
			}
		})
	}
}

func TestACommandWithoutAConnectionIsNotAmbiguous(t *testing.T) {
	for _, kind := range []Kind{Timeout, Unexpected, Unreachable, Refused} {
		if err := unsure(Target{}, "off", &Error{Kind: kind, Doing: connecting}); KindOf(err) != kind {
			t.Errorf("%s while connecting gives %v", kind, err)
		}
	}
	for kind, want := range map[Kind]Kind{Timeout: Ambiguous, Unexpected: Ambiguous, Refused: Refused, Busy: Busy} {
		if err := unsure(Target{}, "off", &Error{Kind: kind, Doing: "off"}); KindOf(err) != want {
			t.Errorf("%s after the command gives %v", kind, err)
		}
	}
}

func TestNoCommandIsBegunWhenTheTimeIsOver(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	said := false
	s := switches{off: func(context.Context) error { said = true; return nil }}
	if _, err := s.set(ctx, Target{Host: "pdu"}, opOff); KindOf(err) != Timeout || said {
		t.Errorf("it gives %v, and the command was given: %v", err, said)
	}
}

func TestAPageThatDoesNotComeAfterTheCommandIsAmbiguous(t *testing.T) {
	for name, list := range map[string][]page{
		"the next page":                 {{Post: "/off", Status: http.StatusFound, Commit: true}, {Get: "/after"}},
		"the page that a form leads to": {{Post: "/off", Commit: true}},
	} {
		t.Run(name, func(t *testing.T) {
			var s *httptest.Server
			s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				_ = s.Listener.Close()
				http.Redirect(w, q, "/after", http.StatusFound)
			}))
			defer s.Close()
			target := Target{Host: "127.0.0.1", Port: s.Listener.Addr().(*net.TCPAddr).Port, Transport: "http"}
			w := newWeb(target, loginNone, false)
			defer w.close()
			if _, err := (pages{}).run(t.Context(), w, "off", list); KindOf(err) != Ambiguous {
				t.Errorf("it gives %v", err)
			}
		})
	}
}

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
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	target := Target{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, Password: "s3cret-Pw", Outlet: 3}
	if _, err := (ipal{}).set(ctx, target, opCycle); KindOf(err) != Ambiguous {
		t.Errorf("it gives %v", err)
	}
}

func TestWhatWasReadBeforeACommandDoesNotVerifyIt(t *testing.T) {
	c := conversation{
		Prompt: "> ", Login: []step{{}}, Status: []step{{Say: says{"status"}, Read: `is (\w+)`}}, Cycle: []step{{Say: says{"cycle"}, Commit: true}},
	}
	for name, last := range map[string]string{"it hangs up": "", "it talks nonsense and hangs up": "is"} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			go func() {
				defer theirs.Close()
				for _, text := range []string{"> ", "is on\n> ", "> "} { // to the login, the status, the cycle
					_, _ = io.WriteString(theirs, text)
					_, _ = theirs.Read(make([]byte, 64))
				}
				_, _ = io.WriteString(theirs, last) // to the status
			}()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			r, err := text{c, "tcp"}.set(ctx, Target{Host: "pdu", Outlet: 3, met: &meeting{conn: ours}}, opCycle)
			if KindOf(err) != Ambiguous || r.Verified || r.After == On {
				t.Errorf("it gives %+v, %v", r, err)
			}
		})
	}
}
