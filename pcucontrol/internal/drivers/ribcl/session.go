package ribcl

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/wait"
	"github.com/planetlab/monitor/pcucontrol/internal/web"
	"github.com/planetlab/monitor/pcucontrol/internal/wire"
)

// session is one iLO for as long as an operation takes; each script has a connection of its own. What is asked first
// must not switch, for it may be asked twice: by HTTP and, where that is not understood, bare.
type session struct {
	t    pcucontrol.Target
	bare bool // speaks no HTTP
	sure bool // which of the two was found out
	read int64
}

// quiet is how long an iLO that does not hang up is silent when its answer is over. A slow one takes seconds to look up
// a login.
const quiet = 5 * time.Second

// exchange sends a script and returns what answers it; wanted is the element of the answer that is asked for, if any
// is.
func (s *session) exchange(ctx context.Context, doing, script, wanted string) (ribclAnswer, error) {
	if s.bare {
		return s.byTLS(ctx, doing, script, wanted)
	}
	if s.sure {
		return s.byHTTP(ctx, doing, script)
	}
	half, cancel := wait.Half(ctx)
	defer cancel()
	a, err := s.byHTTP(half, doing, script)
	if k := pcucontrol.KindOf(err); k != pcucontrol.Unexpected && (k != pcucontrol.Timeout || ctx.Err() != nil) {
		s.sure = err == nil
		return a, err
	}
	a, bareErr := s.byTLS(ctx, doing, script, wanted)
	s.bare = bareErr == nil
	if pcucontrol.KindOf(bareErr) == pcucontrol.Unexpected {
		bareErr = wire.Fail(s.t, pcucontrol.Unexpected, doing, "by http: "+err.Error()+"; bare: "+bareErr.Error())
	}
	return a, bareErr
}

// byHTTP posts the script. What is no answer to a script is unexpected.
func (s *session) byHTTP(ctx context.Context, doing, script string) (ribclAnswer, error) {
	w := web.New(s.t, web.LoginNone, false)
	defer w.Close()
	w.Read.Store(s.read)
	defer func() { s.read = w.Read.Load() }()
	w.Header.Set("TE", "chunked") // by which an iLO 3 tells scripts from browsers
	a, err := w.Call(ctx, doing, "POST", "/ribcl", "", script)
	switch {
	case err != nil:
		return "", err
	case a.Status == http.StatusServiceUnavailable:
		return "", w.Judge(doing, a)
	case a.Status != http.StatusOK || !strings.Contains(a.Body, "<RIBCL"):
		return "", w.Fail(pcucontrol.Unexpected, doing, w.Words(a))
	}
	return ribclAnswer(a.Body), nil
}

// byTLS sends the script bare and reads the documents of the answer.
func (s *session) byTLS(ctx context.Context, doing, script, wanted string) (ribclAnswer, error) {
	conn, err := wire.DialTLS(ctx, s.t)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	wire.Trace(s.t, ">", script)
	if _, err := io.WriteString(conn, script); err != nil {
		return "", wire.Lost(ctx, s.t, doing, err)
	}
	a, err := readDocuments(ctx, &io.LimitedReader{R: conn, N: wire.MaxRead - s.read}, conn.SetReadDeadline, wanted)
	s.read += int64(len(a))
	wire.Trace(s.t, "<", string(a))
	if err != nil {
		return "", wire.Lost(ctx, s.t, doing, err)
	}
	return a, nil
}

// readDocuments reads documents until the answer is over. Their chunks break anywhere.
func readDocuments(ctx context.Context, r *io.LimitedReader, wait func(time.Time) error,
	wanted string,
) (ribclAnswer, error) {
	silence := quiet
	if deadline, ok := ctx.Deadline(); ok {
		silence = min(quiet, time.Until(deadline)/2)
	}
	var heard []byte
	looked := 0 // up to where
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		heard = append(heard, buf[:n]...)
		whole := wholeDocument(heard)
		switch {
		case r.N <= 0:
			return ribclAnswer(heard), wire.ErrEndless
		case whole && over(ribclAnswer(heard[looked:]), wanted):
			return ribclAnswer(heard), nil
		case err == nil && whole:
			looked = len(heard)
			_ = wait(time.Now().Add(silence))
		case err == nil:
			_ = wait(time.Time{}) // the end of ctx closes the connection
		case whole && wanted == "" && (errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded)) &&
			ctx.Err() == nil:
			return ribclAnswer(heard), nil
		default:
			return ribclAnswer(heard), err
		}
	}
}

// wholeDocument says whether a text ends where a document does.
func wholeDocument(text []byte) bool {
	text = bytes.TrimRight(text, " \t\r\n\x00")
	return bytes.HasSuffix(text, []byte("</RIBCL>")) || bytes.HasSuffix(text, []byte("<END_RIBCL/>")) ||
		bytes.HasSuffix(text, []byte("<END_RIBCL />"))
}

// over says whether an answer is over before the device hangs up: it says so, it refuses, or what was wanted is there.
func over(a ribclAnswer, wanted string) bool {
	kind, _ := a.judge()
	return strings.Contains(string(a), "<END_RIBCL") || kind != "" && kind != pcucontrol.Unexpected ||
		wanted != "" && strings.Contains(string(a), "<"+wanted)
}
