package pcucontrol

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// web is one session with a device that speaks HTTP. It follows no redirects, so that a password goes nowhere else, takes no proxy from
// the environment, and reads at most maxRead.
type web struct {
	t      Target
	client *http.Client
	secure bool
	read   int64
	login  login
	use    string // Basic, Digest, or nothing until the device has asked
	header http.Header
}

// login says how a device wants to be told who calls.
type login string

const (
	loginNone      login = "none"
	loginBasic     login = "basic"     // at once
	loginChallenge login = "challenge" // as the device asks, Basic or Digest
)

// page is an answer.
type pageAnswer struct {
	status int
	header http.Header
	body   string
}

func newWeb(t Target, l login) *web {
	w := &web{t: t, secure: t.Transport == "https", login: l, header: http.Header{}}
	if l == loginBasic {
		w.use = "Basic"
	}
	jar, _ := cookiejar.New(nil) // it has no error without options
	w.client = &http.Client{
		Jar: jar,
		Transport: &http.Transport{
			TLSClientConfig: tlsConfig(t), DisableCompression: true, MaxResponseHeaderBytes: 64 << 10, MaxConnsPerHost: 1,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(t.Host, strconv.Itoa(t.Port)))
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return w
}

func (w *web) close() { w.client.CloseIdleConnections() }

func (w *web) fail(kind Kind, doing, detail string) error {
	return &Error{kind, w.t.Host, doing, mask(detail, w.t.Password)}
}

// errUntrusted is a certificate that nobody vouches for.
type errUntrusted struct{ fingerprint string }

func (e errUntrusted) Error() string {
	return "its certificate is not trusted; the fingerprint is " + e.fingerprint
}

// tlsConfig trusts the pinned certificate if one is known, any certificate and old versions where the record allows that, and else what
// the system trusts.
func tlsConfig(t Target) *tls.Config {
	c := &tls.Config{ServerName: t.Host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: true} // VerifyConnection verifies
	if t.Legacy {
		c.MinVersion = tls.VersionTLS10
		for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
			c.CipherSuites = append(c.CipherSuites, s.ID)
		}
	}
	c.VerifyConnection = func(state tls.ConnectionState) error {
		sum := sha256.Sum256(state.PeerCertificates[0].Raw)
		is := hex.EncodeToString(sum[:])
		if t.SeenCertificate != nil {
			t.SeenCertificate(is)
		}
		switch {
		case t.KnownCertificate != "" && !strings.EqualFold(t.KnownCertificate, is):
			return errUntrusted{is}
		case t.KnownCertificate != "" || t.Legacy:
			return nil
		}
		if err := verifyChain(state, t.Host); err != nil {
			return errUntrusted{is}
		}
		return nil
	}
	return c
}

// call sends one request, once more where the device first asks who calls.
func (w *web) call(ctx context.Context, doing, method, path, contentType, body string) (pageAnswer, error) {
	for try := 0; ; try++ {
		a, challenge, err := w.once(ctx, doing, method, path, contentType, body)
		if err != nil || a.status != http.StatusUnauthorized || try > 0 || challenge == "" {
			return a, err
		}
		w.use = challenge
	}
}

// once sends one request; challenge is what to answer a 401 with, if it can be answered.
func (w *web) once(ctx context.Context, doing, method, path, contentType, body string) (a pageAnswer, challenge string, err error) {
	scheme := "http"
	if w.secure {
		scheme = "https"
	}
	r, err := http.NewRequestWithContext(ctx, method, scheme+"://"+net.JoinHostPort(w.t.Host, strconv.Itoa(w.t.Port))+path, strings.NewReader(body))
	if err != nil {
		return a, "", w.fail(Unexpected, doing, "no address: "+path)
	}
	for name, values := range w.header {
		r.Header[name] = values
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	fresh := w.use == ""
	if value, ok := w.authorization(method, r.URL.RequestURI()); ok {
		r.Header.Set("Authorization", value)
	}
	w.trace(">", method+" "+path+" "+body)
	answer, err := w.client.Do(r)
	if err != nil {
		return a, "", w.lost(ctx, doing, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxRead-w.read+1))
	w.read += int64(len(text))
	if err != nil {
		return a, "", w.lost(ctx, doing, err)
	}
	if w.read > maxRead {
		return a, "", w.fail(Unexpected, doing, "the device does not stop talking")
	}
	w.trace("<", answer.Status+" "+string(text))
	if w.login == loginChallenge && (fresh || strings.HasPrefix(w.use, "Digest")) {
		challenge = wanted(answer.Header)
		if !fresh && !strings.Contains(strings.ToLower(challenge), "stale=true") {
			challenge = ""
		}
	}
	return pageAnswer{answer.StatusCode, answer.Header, string(text)}, challenge, nil
}

func (w *web) trace(way, text string) {
	if w.t.Trace != nil {
		w.t.Trace(way + " " + strconv.Quote(mask(mask(text, w.t.Password), url.QueryEscape(w.t.Password))))
	}
}

func (w *web) lost(ctx context.Context, doing string, err error) error {
	var untrusted errUntrusted
	var op *net.OpError
	var record tls.RecordHeaderError
	var ne net.Error
	switch {
	case errors.As(err, &untrusted):
		return w.fail(Refused, "connect", untrusted.Error())
	case errors.As(err, &op) && op.Op == "dial":
		return dialError(w.t, op)
	case ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout():
		return w.fail(Timeout, doing, "no answer in time")
	case errors.As(err, &record):
		return w.fail(Unexpected, doing, "this port does not speak TLS")
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the address
	}
	return w.fail(Unexpected, doing, err.Error())
}

// wanted is the challenge to answer, Digest before Basic.
func wanted(h http.Header) string {
	best := ""
	for _, c := range h.Values("WWW-Authenticate") {
		scheme, _, _ := strings.Cut(strings.TrimSpace(c), " ")
		if strings.EqualFold(scheme, "Digest") {
			return "Digest" + strings.TrimSpace(c)[len("Digest"):]
		}
		if strings.EqualFold(scheme, "Basic") {
			best = "Basic"
		}
	}
	return best
}

// authorization is the header that answers the challenge in use.
func (w *web) authorization(method, uri string) (string, bool) {
	switch {
	case w.use == "Basic":
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(w.t.User, w.t.Password)
		return r.Header.Get("Authorization"), true
	case strings.HasPrefix(w.use, "Digest"):
		nonce := make([]byte, 8)
		_, _ = rand.Read(nonce)
		return digest(w.use, w.t.User, w.t.Password, method, uri, hex.EncodeToString(nonce))
	}
	return "", false
}

// digest answers a Digest challenge (RFC 7616), by MD5 or SHA-256, with qop auth or, as in RFC 2069, none.
func digest(challenge, user, password, method, uri, cnonce string) (string, bool) {
	p := parameters(strings.TrimPrefix(challenge, "Digest"))
	newHash, algorithm := md5.New, p["algorithm"]
	switch strings.ToUpper(algorithm) {
	case "", "MD5", "MD5-SESS":
	case "SHA-256", "SHA-256-SESS":
		newHash = sha256.New
	default:
		return "", false
	}
	sum := func(parts ...string) string { return hashHex(newHash, strings.Join(parts, ":")) }
	ha1 := sum(user, p["realm"], password)
	if strings.HasSuffix(strings.ToUpper(algorithm), "-SESS") {
		ha1 = sum(ha1, p["nonce"], cnonce)
	}
	const count = "00000001" // each challenge's nonce is answered with a cnonce of its own
	ha2 := sum(method, uri)
	b := &strings.Builder{}
	fmt.Fprintf(b, `Digest username=%s, realm=%s, nonce=%s, uri=%s`, quoted(user), quoted(p["realm"]), quoted(p["nonce"]), quoted(uri))
	if p["qop"] == "" {
		fmt.Fprintf(b, `, response="%s"`, sum(ha1, p["nonce"], ha2))
	} else {
		fmt.Fprintf(b, `, qop=auth, nc=%s, cnonce="%s", response="%s"`, count, cnonce, sum(ha1, p["nonce"], count, cnonce, "auth", ha2))
	}
	if algorithm != "" {
		fmt.Fprintf(b, `, algorithm=%s`, algorithm)
	}
	if p["opaque"] != "" {
		fmt.Fprintf(b, `, opaque=%s`, quoted(p["opaque"]))
	}
	return b.String(), true
}

func hashHex(newHash func() hash.Hash, text string) string {
	h := newHash()
	_, _ = io.WriteString(h, text)
	return hex.EncodeToString(h.Sum(nil))
}

func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", "", "\n", "").Replace(s) + `"`
}

// parameters reads name=value, name="value" lists. What is broken is left out.
func parameters(s string) map[string]string {
	p := map[string]string{}
	for {
		s = strings.TrimLeft(s, " ,\t")
		name, rest, ok := strings.Cut(s, "=")
		if !ok {
			return p
		}
		name = strings.ToLower(strings.TrimSpace(name))
		if !strings.HasPrefix(rest, `"`) {
			p[name], s, _ = strings.Cut(rest, ",")
			p[name] = strings.TrimSpace(p[name])
			continue
		}
		value, i := strings.Builder{}, 1
		for ; i < len(rest) && rest[i] != '"'; i++ {
			if rest[i] == '\\' && i+1 < len(rest) {
				i++
			}
			value.WriteByte(rest[i])
		}
		p[name], s = value.String(), rest[min(len(rest), i+1):]
	}
}

// judge is what an HTTP status means, if it is no success.
func (w *web) judge(doing string, a pageAnswer) error {
	switch {
	case a.status < 300:
		return nil
	case a.status == http.StatusUnauthorized:
		return w.fail(Auth, doing, "user name or password refused")
	case a.status == http.StatusForbidden:
		return w.fail(Refused, doing, "the account may not")
	case a.status == http.StatusServiceUnavailable || a.status == http.StatusConflict || a.status == http.StatusTooManyRequests:
		return w.fail(Busy, doing, fmt.Sprintf("status %d", a.status))
	case a.status < 400 || a.status == http.StatusNotFound:
		return w.fail(Unexpected, doing, fmt.Sprintf("status %d", a.status))
	}
	return w.fail(Refused, doing, fmt.Sprintf("status %d; heard: %s", a.status, tail(mask(a.body, w.t.Password))))
}

// unsure turns an error after a power command into an ambiguous one, unless the device itself refused.
func unsure(t Target, doing string, err error) error {
	switch KindOf(err) {
	case Timeout, Unexpected:
		return &Error{Ambiguous, t.Host, doing, "the command went out; " + err.Error()}
	}
	return err
}
