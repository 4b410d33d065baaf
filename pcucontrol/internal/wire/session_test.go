package wire

import (
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
)

func TestTheLastWordsOfADeviceThatHungUpAreHeard(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	s := NewSession(t.Context(), pcucontrol.Target{Host: "pdu"}, ours, theirsLater{ours, 2 * nudgeTime}, deaf{}, "\r\n")
	defer s.Close()
	go func() {
		_, _ = io.WriteString(theirs, "sessions are full\r\n")
		_ = theirs.Close()
	}()
	if _, text, err := s.Await(t.Context(), "log in", "\r\n",
		[]*regexp.Regexp{regexp.MustCompile("full")}); err != nil ||
		!strings.Contains(text, "full") {
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
