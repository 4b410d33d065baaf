package plc

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/plc/xmlrpc"
)

// Options say where PLC is and who asks.
type Options struct {
	URL      string // https://plc.example.org/PLCAPI/
	Username string
	Password Secret
	CAFile   string        // PEM; empty: the system's roots
	Timeout  time.Duration // one call; 0: 60 s
}

// Client calls PLCAPI. It is safe for use by many goroutines.
type Client struct {
	url     string // without a password
	user    string
	auth    map[string]any
	http    *http.Client
	timeout time.Duration // of one call
	wait    time.Duration // before the first repetition

	observe func(time.Duration, error) // of each call; nil: nobody asks

	nodeFields atomic.Pointer[[]string] // those that this PLC has, once it is known
}

// maxAnswer bounds one answer; 2,000 full nodes are 5 MB.
const maxAnswer = 256 << 20

// Observe has somebody told how long each call took and how it ended. It is set before the client is used.
func (c *Client) Observe(told func(took time.Duration, err error)) { c.observe = told }

// Timeout is how long one call may take.
func (c *Client) Timeout() time.Duration { return c.timeout }

// New checks the options; it does not connect.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, errors.New("plc.url is no URL: it looks like https://plc.example.org/PLCAPI/")
	}
	if u.User != nil {
		return nil, errors.New("plc.url holds a user or password: set them as plc.username and plc.password_file")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("plc.ca_file: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("plc.ca_file %s holds no PEM certificate", o.CAFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	auth := map[string]any{"AuthMethod": "anonymous"}
	if o.Username != "" {
		auth = map[string]any{"AuthMethod": "password", "Username": o.Username, "AuthString": o.Password.Reveal()}
	}
	// The password is in the body of every call. It goes where the configuration says, and nowhere else.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{url: o.URL, user: o.Username, auth: auth, timeout: o.Timeout, wait: 200 * time.Millisecond,
		http: &http.Client{Transport: transport, CheckRedirect: stay}}, nil
}

// AuthCheck answers nil when PLC accepts the login. It does so whatever roles the account has: see Roles.
func (c *Client) AuthCheck(ctx context.Context) error {
	_, err := c.read(ctx, "AuthCheck")
	return err
}

// read calls a method that changes nothing, up to three times.
func (c *Client) read(ctx context.Context, method string, args ...any) (any, error) {
	wait := c.wait
	for try := 1; ; try++ {
		v, _, err := c.call(ctx, method, args...)
		if err == nil || try == 3 || !errors.Is(err, ErrUnavailable) {
			return v, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(wait):
			wait *= 4
		}
	}
}

// write calls a method that changes something, once. Its error is either ErrRefused or ErrMayBeDone.
func (c *Client) write(ctx context.Context, method string, args ...any) error {
	_, lost, err := c.call(ctx, method, args...)
	switch {
	case err == nil:
		return nil
	case lost:
		return fmt.Errorf("%w; %w", err, ErrMayBeDone)
	}
	return fmt.Errorf("%w; %w", err, ErrRefused)
}

// call sends one request, under a deadline of its own. The auth struct goes first; it never reaches an error. lost
// means that PLC had the request, as far as one can tell, and did not say what it made of it.
func (c *Client) call(ctx context.Context, method string, args ...any) (v any, lost bool, err error) {
	defer func() { err = clean.Err(err) }() // it may repeat what the other side says
	ctx, span := trace.SpanFromContext(ctx).TracerProvider().Tracer("plc").Start(ctx, "plc "+method)
	defer span.End()
	if c.observe != nil {
		defer func(start time.Time) { c.observe(time.Since(start), err) }(time.Now())
	}
	request, err := xmlrpc.Call(method, append([]any{c.auth}, args...)...)
	if err != nil {
		return nil, false, fmt.Errorf("plc %s: %w", method, err)
	}
	parent := ctx
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var sent atomic.Bool // a connection was there to write to; whether all was written is known to the other side alone
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { sent.Store(true) },
	})
	// A bytes.Reader gives the request a Content-Length; PLC answers 411 to a chunked one.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(request))
	if err != nil {
		return nil, false, fmt.Errorf("plc %s: %w", method, err)
	}
	req.Header.Set("Content-Type", "text/xml")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, sent.Load(), c.unreached(parent, method, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode >= 500:
		return nil, true, fmt.Errorf("plc %s: %w: HTTP %s", method, ErrUnavailable, resp.Status)
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return nil, false, fmt.Errorf("plc %s: %w: HTTP %s to %.200q; set plc.url to where the API is",
			method, ErrRedirected, resp.Status, resp.Header.Get("Location"))
	case resp.StatusCode != http.StatusOK:
		return nil, false, fmt.Errorf("plc %s: HTTP %s from %s", method, resp.Status, c.url)
	}
	body := &answer{from: io.LimitReader(resp.Body, maxAnswer)}
	v, err = xmlrpc.ParseResponse(body)
	switch {
	case err == nil:
		_, _ = io.CopyN(io.Discard, body, 4<<10) // the few tags that are left, so that the connection serves the next call
		return v, false, nil
	case body.broke != nil:
		return nil, true, c.unreached(parent, method, body.broke)
	}
	var fault *Fault
	if !errors.As(err, &fault) {
		return nil, true, fmt.Errorf("plc %s: %w; is %s the API?", method, err, c.url)
	}
	err, lost = meaning(fault)
	return nil, lost, fmt.Errorf("plc %s: %w", method, err)
}

// answer is read as it comes, and remembers how the connection broke, if it did.
type answer struct {
	from  io.Reader
	broke error
}

func (a *answer) Read(b []byte) (int, error) {
	n, err := a.from.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		a.broke = err
	}
	return n, err
}

// unreached says that no whole answer came. Whoever cancelled the call himself is not told that PLC is away.
func (c *Client) unreached(ctx context.Context, method string, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("plc %s: %w", method, err)
	}
	return fmt.Errorf("plc %s: %w: %w", method, ErrUnavailable, err)
}
