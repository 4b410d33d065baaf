// Package rt speaks Request Tracker's REST2 for a robot that writes to tickets for weeks: it finds the ticket that a lost
// answer already made, never says a thing twice, and tells a human's reply from its own mail.
package rt

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/planetlab/monitor/clean"
)

// Options say where Request Tracker is and who we are there.
type Options struct {
	URL       string // such as https://rt.example.org or https://example.org/rt
	Token     string // of a user who may see, create, reply to, comment on and modify tickets and their watchers in Queue
	Queue     string
	Timeout   time.Duration     // for one call; 30 s
	TLS       *tls.Config       // nil: the system's authorities
	Transport http.RoundTripper // nil: a plain one with TLS; RT closes the connection after each call anyway
}

// Client is safe for use by many goroutines.
type Client struct {
	base, token, queue string
	http               *http.Client
}

// Transport is the plain one: with TLS, or the system's authorities where that is nil.
func Transport(tls *tls.Config) http.RoundTripper {
	own := http.DefaultTransport.(*http.Transport).Clone()
	own.TLSClientConfig = tls
	return own
}

// most is how much of an answer is read; a ticket with a thousand transactions a page stays far below.
const most = 8 << 20

// New checks the options; it opens no connection.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil:
		return nil, errors.New("request tracker: the URL must be http or https, without user and password")
	case o.Token == "":
		return nil, errors.New("request tracker: no token")
	case strings.ContainsFunc(o.Token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, errors.New("request tracker: the token holds a character that no token has")
	case o.Queue == "":
		return nil, errors.New("request tracker: no queue")
	}
	transport := o.Transport
	if transport == nil {
		transport = Transport(o.TLS)
	}
	return &Client{
		base: strings.TrimSuffix(strings.TrimRight(o.URL, "/"), "/REST/2.0") + "/REST/2.0/", token: o.Token, queue: o.Queue,
		http: &http.Client{
			Timeout: cmp.Or(o.Timeout, 30*time.Second), Transport: transport,
			// The token must not travel to where an answer points.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// call sends one request and reads its answer into out, unless that is nil. It returns the answer's headers.
func (c *Client) call(ctx context.Context, method, path string, in, out any, match int) (http.Header, error) {
	name, _, _ := strings.Cut(path, "?")
	e := &Error{Call: method + " " + name}
	body, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("request tracker: %s: %w", e.Call, err)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, nil)
	if err != nil {
		return nil, fmt.Errorf("request tracker: %s: %w", e.Call, err)
	}
	if in != nil {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "token "+c.token)
	req.Header.Set("Accept", "application/json")
	if match > 0 {
		req.Header.Set("If-Match", fmt.Sprintf("%q", fmt.Sprint(match)))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		e.Failure, e.Text = lost(method, err), c.plain(withoutURL(err).Error())
		return nil, e
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, most))
	e.Code = resp.StatusCode
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		e.Failure, e.Text = Refused, "it points elsewhere: the URL of Request Tracker must be the final one"
		return nil, e
	case resp.StatusCode >= 400:
		e.Failure, e.Text = failureOf(method, resp.StatusCode), c.plain(cmp.Or(message(answer), http.StatusText(resp.StatusCode)))
		return nil, e
	case err == nil && out != nil:
		err = json.Unmarshal(answer, out)
	}
	if err != nil { // the status says that it was done, but not what
		e.Failure, e.Text = Ambiguous, c.plain("the answer cannot be read: "+err.Error())
		if method == http.MethodGet {
			e.Failure = Away
		}
		return nil, e
	}
	return resp.Header, nil
}

// lost tells a server that was never reached from one that may have done what was asked.
func lost(method string, err error) Failure {
	var dial *net.OpError
	if method == http.MethodGet || errors.As(err, &dial) && dial.Op == "dial" {
		return Away
	}
	var name *net.DNSError
	var cert *tls.CertificateVerificationError
	if errors.As(err, &name) || errors.As(err, &cert) {
		return Away
	}
	return Ambiguous
}

// withoutURL takes the address out of an error; the call's name says enough.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// message is what RT says in an error, as {"message":"Unauthorized"} or a list of texts.
func message(answer []byte) string {
	var one struct{ Message string }
	if json.Unmarshal(answer, &one) == nil && one.Message != "" {
		return one.Message
	}
	var list []string
	if json.Unmarshal(answer, &list) == nil {
		return strings.Join(list, "; ")
	}
	return ""
}

// plain makes text from outside one short line without the token.
func (c *Client) plain(text string) string {
	text = strings.Join(strings.Fields(strings.ReplaceAll(text, c.token, "[secret]")), " ")
	return clean.Bounded(text, 300)
}
