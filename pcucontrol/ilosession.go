package pcucontrol

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// iloSession is one iLO for as long as an operation takes; each script has a connection of its own. What is asked first must not
// switch, for it may be asked twice: by HTTP and, where that is not understood, bare.
type iloSession struct {
	t    Target
	bare bool // speaks no HTTP
	sure bool // which of the two was found out
	read int64
}

// quiet is how long an iLO that does not hang up is silent when its answer is over. A slow one takes seconds to look up a login.
const quiet = 5 * time.Second

// exchange sends a script and returns what answers it; wanted is the element of the answer that is asked for, if any is.
func (s *iloSession) exchange(ctx context.Context, doing, script, wanted string) (ribclAnswer, error) {
	if s.bare {
		return s.byTLS(ctx, doing, script, wanted)
	}
	if s.sure {
		return s.byHTTP(ctx, doing, script)
	}
	half, cancel := halfOf(ctx)
	defer cancel()
	a, err := s.byHTTP(half, doing, script)
	if k := KindOf(err); k != Unexpected && (k != Timeout || ctx.Err() != nil) {
		s.sure = err == nil
		return a, err
	}
	a, bareErr := s.byTLS(ctx, doing, script, wanted)
	s.bare = bareErr == nil
	if KindOf(bareErr) == Unexpected {
		bareErr = &Error{Unexpected, s.t.Host, doing, "by http: " + err.Error() + "; bare: " + bareErr.Error()}
	}
	return a, bareErr
}

// byHTTP posts the script. What is no answer to a script is unexpected.
func (s *iloSession) byHTTP(ctx context.Context, doing, script string) (ribclAnswer, error) {
	w := newWeb(s.t, loginNone, false)
	defer w.close()
	w.read.Store(s.read)
	defer func() { s.read = w.read.Load() }()
	w.header.Set("TE", "chunked") // by which an iLO 3 tells scripts from browsers
	a, err := w.call(ctx, doing, "POST", "/ribcl", "", script)
	switch {
	case err != nil:
		return "", err
	case a.status == http.StatusServiceUnavailable:
		return "", w.judge(doing, a)
	case a.status != http.StatusOK || !strings.Contains(a.body, "<RIBCL"):
		return "", w.fail(Unexpected, doing, w.words(a))
	}
	return ribclAnswer(a.body), nil
}

// byTLS sends the script bare and reads the documents of the answer.
func (s *iloSession) byTLS(ctx context.Context, doing, script, wanted string) (ribclAnswer, error) {
	conn, err := dialTLS(ctx, s.t)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	s.t.trace(">", script)
	if _, err := io.WriteString(conn, script); err != nil {
		return "", lost(ctx, s.t, doing, err)
	}
	a, err := readDocuments(ctx, &io.LimitedReader{R: conn, N: maxRead - s.read}, conn.SetReadDeadline, wanted)
	s.read += int64(len(a))
	s.t.trace("<", string(a))
	if err != nil {
		return "", lost(ctx, s.t, doing, err)
	}
	return a, nil
}

// readDocuments reads documents until the answer is over. Their chunks break anywhere.
func readDocuments(ctx context.Context, r *io.LimitedReader, wait func(time.Time) error, wanted string) (ribclAnswer, error) {
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
			return ribclAnswer(heard), errEndless
		case whole && over(ribclAnswer(heard[looked:]), wanted):
			return ribclAnswer(heard), nil
		case err == nil && whole:
			looked = len(heard)
			_ = wait(time.Now().Add(silence))
		case err == nil:
			_ = wait(time.Time{}) // the end of ctx closes the connection
		case whole && wanted == "" && (errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded)) && ctx.Err() == nil:
			return ribclAnswer(heard), nil
		default:
			return ribclAnswer(heard), err
		}
	}
}

// wholeDocument says whether a text ends where a document does.
func wholeDocument(text []byte) bool {
	text = bytes.TrimRight(text, " \t\r\n\x00")
	return bytes.HasSuffix(text, []byte("</RIBCL>")) || bytes.HasSuffix(text, []byte("<END_RIBCL/>")) || bytes.HasSuffix(text, []byte("<END_RIBCL />"))
}

// over says whether an answer is over before the device hangs up: it says so, it refuses, or what was wanted is there.
func over(a ribclAnswer, wanted string) bool {
	kind, _ := a.judge()
	return strings.Contains(string(a), "<END_RIBCL") || kind != "" && kind != Unexpected || wanted != "" && strings.Contains(string(a), "<"+wanted)
}
