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
	"net/url"
	"os"
	"time"

	"github.com/planetlab/monitor/plc/xmlrpc"
)

// Fault is an error that PLC answered.
type Fault = xmlrpc.Fault

// What callers decide on.
var (
	ErrUnavailable = errors.New("PLC is not available")                     // it may be later
	ErrAuth        = errors.New("PLC refused the login or role")            // fault 103
	ErrPermission  = errors.New("PLC denied permission")                    // fault 108
	ErrInvalid     = errors.New("PLC found an argument invalid or missing") // fault 102
	ErrNotXMLRPC   = xmlrpc.ErrNotXMLRPC
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
	url  string
	auth map[string]any
	http *http.Client
	wait time.Duration // before the first repetition
}

// maxAnswer bounds one answer; 2,000 full nodes are 5 MB.
const maxAnswer = 256 << 20

// New checks the options; it does not connect.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("plc.url %q is no URL: it looks like https://plc.example.org/PLCAPI/", o.URL)
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
	return &Client{url: o.URL, auth: auth, http: &http.Client{Transport: transport, Timeout: o.Timeout}, wait: 200 * time.Millisecond}, nil
}

// AuthCheck answers nil when PLC accepts the login.
func (c *Client) AuthCheck(ctx context.Context) error {
	_, err := c.read(ctx, "AuthCheck")
	return err
}

// read calls a method that changes nothing, up to three times.
func (c *Client) read(ctx context.Context, method string, args ...any) (any, error) {
	wait := c.wait
	for try := 1; ; try++ {
		v, err := c.call(ctx, method, args...)
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

// call sends one request. The auth struct goes first; it never reaches an error.
func (c *Client) call(ctx context.Context, method string, args ...any) (any, error) {
	body, err := xmlrpc.Call(method, append([]any{c.auth}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("plc %s: %w", method, err)
	}
	// A bytes.Reader gives the request a Content-Length; PLC answers 411 to a chunked one.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("plc %s: %w", method, err)
	}
	req.Header.Set("Content-Type", "text/xml")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("plc %s: %w: %w", method, ErrUnavailable, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode >= 500:
		return nil, fmt.Errorf("plc %s: %w: HTTP %s", method, ErrUnavailable, resp.Status)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("plc %s: HTTP %s from %s", method, resp.Status, c.url)
	}
	v, err := xmlrpc.ParseResponse(io.LimitReader(resp.Body, maxAnswer))
	if err == nil {
		return v, nil
	}
	var fault *Fault
	if !errors.As(err, &fault) {
		return nil, fmt.Errorf("plc %s: %w; is %s the API?", method, err, c.url)
	}
	switch fault.Code {
	case 103:
		err = fmt.Errorf("%w: %w", ErrAuth, fault)
	case 108:
		err = fmt.Errorf("%w: %w", ErrPermission, fault)
	case 102:
		err = fmt.Errorf("%w: %w", ErrInvalid, fault)
	case 106, 111:
		err = fmt.Errorf("%w: %w", ErrUnavailable, fault)
	}
	return nil, fmt.Errorf("plc %s: %w", method, err)
}
