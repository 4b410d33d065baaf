package pcucontrol

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// web is one session with a device that speaks HTTP. It follows no redirects, so that a password goes nowhere else, takes no proxy from
// the environment, and reads at most maxRead.
type web struct {
	t      Target
	client *http.Client
	read   atomic.Int64 // bytes on all connections
	login  login
	use    credentials
	header http.Header // of every request
}

// login says how a device wants to be told who calls.
type login string

const (
	loginNone      login = "none"
	loginBasic     login = "basic"     // at once
	loginChallenge login = "challenge" // as the device asks, Basic or Digest
	loginLocked    login = "locked"    // as challenge, of a device that shows nothing before it has asked
)

// reply is what a device answered.
type reply struct {
	status int
	header http.Header
	body   string
}

// words tell of an answer in an error.
func (w *web) words(a reply) string {
	return fmt.Sprintf("status %d; heard: %s", a.status, tail(mask(a.body, w.t.Password)))
}

// newWeb makes a session. One that does not keep connections open is for devices where a GET may switch: on a connection that was used
// before, a request that got no answer would be sent again.
func newWeb(t Target, l login, keepOpen bool) *web {
	w := &web{t: t, login: l, header: http.Header{}, use: credentials{basic: l == loginBasic}}
	jar, _ := cookiejar.New(nil) // it has no error without options
	w.client = &http.Client{
		Jar: jar,
		Transport: &http.Transport{
			DisableCompression: true, MaxResponseHeaderBytes: 64 << 10, MaxConnsPerHost: 1, DisableKeepAlives: !keepOpen,
			DialContext: w.listening(dial), DialTLSContext: w.listening(dialTLS),
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return w
}

// listening connects to a device that is not to talk without end, nor before it is asked: the client would log what such a one says.
func (w *web) listening(dial func(context.Context, Target) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := dial(ctx, w.t)
		if err != nil {
			return nil, err
		}
		return &listener{Conn: conn, read: &w.read}, nil
	}
}

type listener struct {
	net.Conn
	asked atomic.Bool
	read  *atomic.Int64
}

var (
	errUnasked = errors.New("it talks before it is asked")
	errEndless = errors.New("it does not stop talking")
)

func (l *listener) Write(p []byte) (int, error) {
	l.asked.Store(true)
	return l.Conn.Write(p)
}

func (l *listener) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	switch {
	case n > 0 && !l.asked.Load():
		return 0, errUnasked
	case l.read.Add(int64(n)) > maxRead:
		return 0, errEndless
	}
	return n, err
}

func (t Target) address() string { return net.JoinHostPort(t.Host, strconv.Itoa(t.Port)) }

func (w *web) close() { w.client.CloseIdleConnections() }

func (w *web) fail(kind Kind, doing, detail string) error {
	return &Error{kind, w.t.Host, doing, detail}
}

// call sends one request, once more where the device first asks who calls.
func (w *web) call(ctx context.Context, doing, method, path, contentType, body string) (reply, error) {
	for try := 0; ; try++ {
		a, err := w.once(ctx, doing, method, path, contentType, body)
		if err == nil && w.login == loginLocked && w.use.none() && a.status < 400 {
			return a, w.fail(Unexpected, doing, "it shows its pages without asking who calls: no such device does")
		}
		challenged := w.login == loginChallenge || w.login == loginLocked
		if err != nil || a.status != http.StatusUnauthorized || !challenged || try == 2 || !w.use.again(a.header) {
			return a, err
		}
		use, ok := answerTo(a.header)
		if !ok {
			return a, nil
		}
		w.use = use
	}
}

// anonymously makes calls that tell nobody who calls, until its result is called.
func (w *web) anonymously() func() {
	login, use := w.login, w.use
	w.login, w.use = loginNone, credentials{}
	return func() { w.login, w.use = login, use }
}

// onward shows the page that a form leads to, as browsers do: where it is the same device's, and never by sending the form again.
func (w *web) onward(ctx context.Context, doing, path string, a reply) (reply, error) {
	for range 2 {
		location := a.header.Get("Location")
		to, err := (&url.URL{Scheme: w.t.Transport, Host: w.t.address(), Path: path}).Parse(location)
		if a.status < 301 || a.status > 303 || location == "" || err != nil || to.Host != w.t.address() && to.Host != w.t.Host || to.Scheme != w.t.Transport {
			return a, nil
		}
		if a, err = w.call(ctx, doing, "GET", to.RequestURI(), "", ""); err != nil {
			return a, err
		}
	}
	return a, nil
}

func (w *web) once(ctx context.Context, doing, method, path, contentType, body string) (reply, error) {
	r, err := http.NewRequestWithContext(ctx, method, w.t.Transport+"://"+w.t.address()+path, strings.NewReader(body))
	if err != nil {
		return reply{}, w.fail(Unexpected, doing, "no address: "+mask(path, w.t.Password))
	}
	for name, values := range w.header {
		r.Header[name] = values
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	if value := w.use.header(w.t, method, r.URL.RequestURI()); value != "" {
		r.Header.Set("Authorization", value)
	}
	w.trace(">", method+" "+path+" "+body)
	answer, err := w.client.Do(r)
	if err != nil {
		return reply{}, lost(ctx, w.t, doing, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return reply{}, lost(ctx, w.t, doing, err)
	}
	w.trace("<", answer.Status+" "+string(text))
	return reply{answer.StatusCode, answer.Header, string(text)}, nil
}

func (w *web) trace(way, text string) { w.t.trace(way, text) }

func (t Target) trace(way, text string) {
	if t.Trace != nil {
		t.Trace(way + " " + strconv.Quote(mask(text, t.Password)))
	}
}

// lost is what an error of a connection means.
func lost(ctx context.Context, t Target, doing string, err error) error {
	fail := func(kind Kind, doing, detail string) error {
		return &Error{kind, t.Host, doing, detail}
	}
	var told *Error
	var ne net.Error
	if errors.As(err, &told) { // by dial
		return told
	}
	switch {
	case ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout():
		return fail(Timeout, doing, "no answer in time")
	case errors.Is(err, errEndless):
		return fail(Unexpected, doing, errEndless.Error())
	case errors.Is(err, errUnasked):
		return fail(Unexpected, doing, errUnasked.Error())
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return fail(Unexpected, doing, "the device hung up")
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the address
	}
	return fail(Unexpected, doing, tail(mask(err.Error(), t.Password)))
}

// judge is what an HTTP status means, if it is no success.
func (w *web) judge(doing string, a reply) error {
	switch {
	case a.status < 300:
		return nil
	case a.status < 400:
		return w.fail(Unexpected, doing, fmt.Sprintf("status %d, a redirect to %q; none is followed", a.status, mask(a.header.Get("Location"), w.t.Password)))
	case a.status == http.StatusUnauthorized:
		return w.fail(Auth, doing, "user name or password refused")
	case a.status == http.StatusForbidden:
		return w.fail(Refused, doing, "the account may not; "+w.words(a))
	case a.status == http.StatusServiceUnavailable || a.status == http.StatusConflict || a.status == http.StatusTooManyRequests:
		return w.fail(Busy, doing, w.words(a))
	case a.status == http.StatusNotFound || a.status >= 500 && a.status != http.StatusNotImplemented:
		return w.fail(Unexpected, doing, w.words(a))
	}
	return w.fail(Refused, doing, w.words(a))
}

// loggedIn is the result of a dry run that reads no state.
func loggedIn(err error) (Result, error) {
	r := Result{Before: Unknown, After: Unknown, Verified: err == nil}
	if err == nil {
		r.Note = "logged in"
	}
	return r, err
}

// unsure turns an error of a power command into an ambiguous one, unless the device itself refused, or no connection came about to send
// it by. A port that is closed after the command was sent was open before it.
func unsure(t Target, doing string, err error) error {
	var e *Error
	if errors.As(err, &e) && e.Doing == connecting {
		return err
	}
	switch KindOf(err) {
	case Timeout, Unexpected, Unreachable, NoOutlet:
		return ambiguous(t, doing, err)
	}
	return err
}

func ambiguous(t Target, doing string, err error) error {
	return &Error{Ambiguous, t.Host, doing, "the command went out; " + err.Error()}
}
