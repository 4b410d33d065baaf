// Package wiretest has what the tests of drivers share.
package wiretest

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/pending"
)

// Password is that of the targets.
const Password = "s3cret-Pw"

// Said is a target whose device says all it has to say at once and hangs up, whatever it hears.
func Said(text []byte) pcucontrol.Target {
	ours, theirs := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, theirs) }()
	go func() {
		_, _ = theirs.Write(text)
		_ = theirs.Close()
	}()
	return pcucontrol.Target{
		Host:     "pdu",
		User:     "admin",
		Password: Password,
		Outlet:   3,
		Dial:     pending.New(ours, nil).Dial,
	}
}

// WantTyped fails a test whose error has no kind, or tells the password.
func WantTyped(t *testing.T, err error) {
	t.Helper()
	if err != nil && (pcucontrol.KindOf(err) == "" || strings.Contains(err.Error(), Password)) {
		t.Errorf("%v has no kind, or holds the password", err)
	}
}

// Canned answers every request alike, and keeps in Asked what for.
type Canned struct {
	Status int
	Header http.Header
	Body   string
	Asked  *[]string
}

// RoundTrip answers.
func (c Canned) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.Asked != nil {
		*c.Asked = append(*c.Asked, r.URL.String())
	}
	body := io.NopCloser(strings.NewReader(c.Body))
	return &http.Response{
		StatusCode: c.Status,
		Status:     http.StatusText(c.Status),
		Header:     c.Header,
		Body:       body,
		Request:    r,
	}, nil
}
