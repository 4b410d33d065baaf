package script

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/pending"
	"github.com/planetlab/monitor/pcucontrol/internal/web"
	"github.com/planetlab/monitor/pcucontrol/internal/wire"
)

// cut takes so many bytes of a text and then is gone.
type cut int

func (c cut) Write(p []byte) (int, error) { return min(int(c), len(p)), io.ErrClosedPipe }

func TestOnlyACommandThatMayHaveGoneOutIsAmbiguous(t *testing.T) {
	for _, c := range []struct {
		name string
		w    io.Writer
		step step
		kind pcucontrol.Kind
	}{
		{"the connection was gone before it", cut(0), step{Say: says{"Off 3"}, Commit: true}, pcucontrol.Unexpected},
		{"the connection went in the middle of it", cut(3), step{Say: says{"Off 3"}, Commit: true},
			pcucontrol.Ambiguous},
		{"it went out and the device hung up", io.Discard, step{Say: says{"Off 3"}, Commit: true},
			pcucontrol.Ambiguous},
		{"nothing is said, and waiting is what switches", io.Discard, step{Commit: true}, pcucontrol.Ambiguous},
		{"what was said switches nothing", io.Discard, step{Say: says{"Status"}}, pcucontrol.Unexpected},
	} {
		t.Run(c.name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			_ = theirs.Close()
			s := wire.NewSession(t.Context(), pcucontrol.Target{Host: "pdu", Outlet: 3}, ours, ours, c.w, "\r\n")
			defer s.Close()
			k := &talk{textDriver: textDriver{c: Conversation{Prompt: "> "}}, Session: s, state: pcucontrol.Unknown}
			if err := k.run(t.Context(), "off", []step{c.step}); pcucontrol.KindOf(err) != c.kind {
				t.Errorf("it gives %v", err)
			}
		})
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
			target := pcucontrol.Target{
				Host:      "127.0.0.1",
				Port:      s.Listener.Addr().(*net.TCPAddr).Port,
				Transport: "http",
			}
			w := web.New(target, web.LoginNone, false)
			defer w.Close()
			if _, err := (pageDriver{}).run(t.Context(), w, "off", list); pcucontrol.KindOf(
				err,
			) != pcucontrol.Ambiguous {
				t.Errorf("it gives %v", err)
			}
		})
	}
}

func TestWhatWasReadBeforeACommandDoesNotVerifyIt(t *testing.T) {
	c := Conversation{
		Prompt: "> ", Login: []step{{}}, Status: []step{{Say: says{"status"},
			Read: `is (\w+)`}}, Cycle: []step{{Say: says{"cycle"}, Commit: true}},
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
			r, err := textDriver{c,
				"tcp"}.Switch(ctx, pcucontrol.Target{Host: "pdu", Outlet: 3, Dial: pending.New(ours, nil).Dial},
				pcucontrol.OpCycle)
			if pcucontrol.KindOf(err) != pcucontrol.Ambiguous || r.Verified || r.After == pcucontrol.On {
				t.Errorf("it gives %+v, %v", r, err)
			}
		})
	}
}
