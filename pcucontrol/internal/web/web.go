// Package web calls devices that speak HTTP, and tells them who calls as they want it told.
package web

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/secret"
	"github.com/planetlab/monitor/pcucontrol/internal/wire"
)

// Client is one session with a device that speaks HTTP. It follows no redirects, so that a password goes nowhere else,
// takes no proxy from the environment, and reads at most maxRead.
type Client struct {
	Target pcucontrol.Target
	HTTP   *http.Client
	Read   atomic.Int64 // bytes on all connections
	login  Login
	Use    Credentials
	Header http.Header // of every request
}

// Login says how a device wants to be told who calls.
type Login string

const (
	LoginNone      Login = "none"
	LoginBasic     Login = "basic"     // at once
	LoginChallenge Login = "challenge" // as the device asks, Basic or Digest
	LoginLocked    Login = "locked"    // as challenge, of a device that shows nothing before it has asked
)

// Reply is what a device answered.
type Reply struct {
	Status int
	Header http.Header
	Body   string
}

// Words tell of an answer in an error.
func (w *Client) Words(a Reply) string {
	return fmt.Sprintf("status %d; heard: %s", a.Status, wire.Tail(secret.Mask(a.Body, w.Target.Password)))
}

// New makes a session. One that does not keep connections open is for devices where a GET may switch: on a connection
// that was used before, a request that got no answer would be sent again.
func New(t pcucontrol.Target, l Login, keepOpen bool) *Client {
	w := &Client{Target: t, login: l, Header: http.Header{}, Use: Credentials{Basic: l == LoginBasic}}
	jar, _ := cookiejar.New(nil) // it has no error without options
	w.HTTP = &http.Client{
		Jar: jar,
		Transport: &http.Transport{
			DisableCompression: true, MaxResponseHeaderBytes: 64 << 10, MaxConnsPerHost: 1,
			DisableKeepAlives: !keepOpen,
			DialContext:       w.listening(wire.Dial), DialTLSContext: w.listening(wire.DialTLS),
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return w
}

// listening connects to a device that is not to talk without end, nor before it is asked: the client would log what
// such a one says.
func (w *Client) listening(
	dial func(context.Context, pcucontrol.Target) (net.Conn, error),
) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := dial(ctx, w.Target)
		if err != nil {
			return nil, err
		}
		return &listener{Conn: conn, read: &w.Read}, nil
	}
}

type listener struct {
	net.Conn
	asked atomic.Bool
	read  *atomic.Int64
}

// Write notes that the device was asked.
func (l *listener) Write(p []byte) (int, error) {
	l.asked.Store(true)
	return l.Conn.Write(p)
}

// Read reads what a device says that was asked, up to the limit.
func (l *listener) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	switch {
	case n > 0 && !l.asked.Load():
		return 0, wire.ErrUnasked
	case l.read.Add(int64(n)) > wire.MaxRead:
		return 0, wire.ErrEndless
	}
	return n, err
}

// Close ends the connections.
func (w *Client) Close() { w.HTTP.CloseIdleConnections() }

// Fail is an error of what was being done.
func (w *Client) Fail(kind pcucontrol.Kind, doing, detail string) error {
	return wire.Fail(w.Target, kind, doing, detail)
}

// Call sends one request, once more where the device first asks who calls.
func (w *Client) Call(ctx context.Context, doing, method, path, contentType, body string) (Reply, error) {
	for try := 0; ; try++ {
		a, err := w.once(ctx, doing, method, path, contentType, body)
		if err == nil && w.login == LoginLocked && w.Use.none() && a.Status < 400 {
			return a, w.Fail(pcucontrol.Unexpected, doing,
				"it shows its pages without asking who calls: no such device does")
		}
		challenged := w.login == LoginChallenge || w.login == LoginLocked
		if err != nil || a.Status != http.StatusUnauthorized || !challenged || try == 2 || !w.Use.again(a.Header) {
			return a, err
		}
		use, ok := answerTo(a.Header)
		if !ok {
			return a, nil
		}
		w.Use = use
	}
}

// Anonymously makes calls that tell nobody who calls, until its result is called.
func (w *Client) Anonymously() func() {
	login, use := w.login, w.Use
	w.login, w.Use = LoginNone, Credentials{}
	return func() { w.login, w.Use = login, use }
}

// Onward shows the page that a form leads to, as browsers do: where it is the same device's, and never by sending the
// form again.
func (w *Client) Onward(ctx context.Context, doing, path string, a Reply) (Reply, error) {
	for range 2 {
		location := a.Header.Get("Location")
		to, err := (&url.URL{Scheme: w.Target.Transport, Host: wire.Address(w.Target), Path: path}).Parse(location)
		if a.Status < 301 || a.Status > 303 || location == "" || err != nil ||
			to.Host != wire.Address(w.Target) && to.Host != w.Target.Host ||
			to.Scheme != w.Target.Transport {
			return a, nil
		}
		if a, err = w.Call(ctx, doing, "GET", to.RequestURI(), "", ""); err != nil {
			return a, err
		}
	}
	return a, nil
}

func (w *Client) once(ctx context.Context, doing, method, path, contentType, body string) (Reply, error) {
	r, err := http.NewRequestWithContext(ctx, method, w.Target.Transport+"://"+wire.Address(w.Target)+path,
		strings.NewReader(body))
	if err != nil {
		return Reply{}, w.Fail(pcucontrol.Unexpected, doing, "no address: "+secret.Mask(path, w.Target.Password))
	}
	for name, values := range w.Header {
		r.Header[name] = values
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	if value := w.Use.header(w.Target, method, r.URL.RequestURI()); value != "" {
		r.Header.Set("Authorization", value)
	}
	w.trace(">", method+" "+path+" "+body)
	answer, err := w.HTTP.Do(r)
	if err != nil {
		return Reply{}, wire.Lost(ctx, w.Target, doing, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return Reply{}, wire.Lost(ctx, w.Target, doing, err)
	}
	w.trace("<", answer.Status+" "+string(text))
	return Reply{answer.StatusCode, answer.Header, string(text)}, nil
}

func (w *Client) trace(arrow, text string) { wire.Trace(w.Target, arrow, text) }

// Judge is what an HTTP status means, if it is no success.
func (w *Client) Judge(doing string, a Reply) error {
	switch {
	case a.Status < 300:
		return nil
	case a.Status < 400:
		return w.Fail(
			pcucontrol.Unexpected,
			doing,
			fmt.Sprintf("status %d, a redirect to %q; none is followed", a.Status,
				secret.Mask(a.Header.Get("Location"), w.Target.Password)),
		)
	case a.Status == http.StatusUnauthorized:
		return w.Fail(pcucontrol.Auth, doing, "user name or password refused")
	case a.Status == http.StatusForbidden:
		return w.Fail(pcucontrol.Refused, doing, "the account may not; "+w.Words(a))
	case a.Status == http.StatusServiceUnavailable || a.Status == http.StatusConflict ||
		a.Status == http.StatusTooManyRequests:
		return w.Fail(pcucontrol.Busy, doing, w.Words(a))
	case a.Status == http.StatusNotFound || a.Status >= 500 && a.Status != http.StatusNotImplemented:
		return w.Fail(pcucontrol.Unexpected, doing, w.Words(a))
	}
	return w.Fail(pcucontrol.Refused, doing, w.Words(a))
}
