package web

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/listen"
)

func TestTextFromOutsideIsNeverMarkup(t *testing.T) {
	f := oneFleet(t)
	v := f.as(t, anAdmin)
	shown := 0
	for name, path := range everyPage() {
		_, body := v.get(path)
		for _, bad := range []string{"<script>alert", "<img src=x", `href="javascript:`, "<b>no</b>", "<script>\n"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s lets %q through", name, bad)
			}
		}
		shown += strings.Count(body, "&lt;script&gt;alert")
	}
	if shown < 10 {
		t.Errorf("the hostile text is shown %d times only, so this test shows nothing", shown)
	}
	for _, path := range []string{"/nodes?select=" + url.QueryEscape(evil), "/jump?q=" + url.QueryEscape(evil), "/sign-in?next=" + url.QueryEscape(evil), "/" + url.PathEscape(evil)} {
		if _, body := v.get(path); strings.Contains(body, "<script>alert") || strings.Contains(body, "<img src=x") {
			t.Errorf("%s comes back as markup", path)
		}
	}
}

func TestEveryAnswerHasTheHeadersThatGuardIt(t *testing.T) {
	f := oneFleet(t)
	v := f.as(t, anAdmin)
	nonces := map[string]bool{}
	for _, path := range []string{"/", "/nodes", "/nowhere", "/sign-in", f.pages.assets.url("style.css"), "/nodes?format=csv"} {
		resp, err := v.http.Get(v.base + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		csp := resp.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'nonce-", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: no %s in %q", path, want, csp)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "http") {
			t.Errorf("%s: %q", path, csp)
		}
		nonce := regexp.MustCompile(`nonce-([^']+)`).FindStringSubmatch(csp)[1]
		if nonces[nonce] || len(nonce) < 20 {
			t.Errorf("%s: the nonce %s is not fresh", path, nonce)
		}
		nonces[nonce] = true
		if resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("Referrer-Policy") == "" {
			t.Errorf("%s: %v", path, resp.Header)
		}
	}
}

func TestPagesHoldNoInlineScriptNorStyle(t *testing.T) {
	f := oneFleet(t)
	v := f.as(t, anAdmin)
	inline := regexp.MustCompile(`(?i)<script(?:[^>]*)>[^<]|\son[a-z]+\s*=|\sstyle\s*=|<style|javascript:|hx-on|https?://(?:cdn|unpkg)`)
	for name, path := range everyPage() {
		_, body := v.get(path)
		body = regexp.MustCompile(`&lt;.*?&gt;`).ReplaceAllString(body, "")
		if m := inline.FindString(strings.ReplaceAll(body, "onerror=alert", "")); m != "" && !strings.Contains(m, "javascript:") {
			t.Errorf("%s: %q", name, m)
		}
	}
}

func TestAFormOfAnotherSiteIsRefused(t *testing.T) {
	f := oneFleet(t)
	v := f.as(t, anAdmin)
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "", "Origin", "https://evil.example"}, {"Sec-Fetch-Site", "", "Origin", "null"}} {
		if code, _ := v.post("/sign-out", nil, header...); code != http.StatusForbidden {
			t.Errorf("%v: %d", header, code)
		}
	}
	if code, body := v.get("/"); code != http.StatusOK || !strings.Contains(body, "Sign out") {
		t.Errorf("the visitor was signed out by another site: %d", code)
	}
	if code, _ := v.get("/sign-out"); code == http.StatusOK {
		t.Error("a link signs out")
	}
}

func TestASessionThatWasPlantedIsWorthNothing(t *testing.T) {
	f := oneFleet(t)
	v := f.visitor(t)
	v.get("/sign-in/oidc") // there is none: no session comes of it
	here, _ := url.Parse(v.base)
	planted := &http.Cookie{Name: cookieName, Value: strings.Repeat("A", 43), Path: "/"}
	v.http.Jar.SetCookies(here, []*http.Cookie{planted})
	v.signIn(anAdmin)
	mine := ""
	for _, c := range v.http.Jar.Cookies(here) {
		if c.Name == cookieName {
			mine = c.Value
		}
	}
	if mine == "" || mine == planted.Value {
		t.Fatalf("the token is %q, the planted one", mine)
	}
	other := f.visitor(t)
	other.http.Jar.SetCookies(here, []*http.Cookie{planted})
	if _, body := other.get("/"); strings.Contains(body, "Sign out") {
		t.Error("the planted token is signed in")
	}
	// signing in once more changes it, too, and the old one ends
	v.post("/sign-out", nil)
	old := f.visitor(t)
	old.http.Jar.SetCookies(here, []*http.Cookie{{Name: cookieName, Value: mine, Path: "/"}})
	if _, body := old.get("/"); strings.Contains(body, "Sign out") {
		t.Error("a token goes on after its owner has signed out")
	}
}

func TestSigningInLeadsToOurOwnPagesOnly(t *testing.T) {
	f := oneFleet(t)
	for text, want := range map[string]string{
		"/nodes?select=a": "/nodes?select=a", "": "/", "https://evil.example/": "/", "//evil.example": "/", `/\evil.example`: "/", "/\tevil": "/",
		"javascript:alert(1)": "/", "/%0d%0aSet-Cookie:x": "/%0d%0aSet-Cookie:x", "nodes": "/", "/sign-out": "/", "/sign-in?next=/": "/", "///evil.example": "/",
		"/\r\nX: y": "/", "http:/evil.example": "/", "/live?topic=a": "/",
	} {
		if got := nextOf(text); got != want {
			t.Errorf("%q leads to %q", text, got)
		}
	}
	v := f.visitor(t)
	v.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, next := range []string{"//evil.example/", "https://evil.example", "/\r\nX-Evil: 1", "/%0d%0aX-Evil: 1"} {
		req, _ := http.NewRequest(http.MethodPost, v.base+"/sign-in", strings.NewReader(url.Values{"account": {anAdmin}, "password": {"pw of " + anAdmin}, "next": {next}}.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := v.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if to := resp.Header.Get("Location"); !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || resp.Header.Get("X-Evil") != "" {
			t.Errorf("%q leads to %q, with %v", next, to, resp.Header)
		}
	}
}

func TestPathsLeadToNoFile(t *testing.T) {
	f := oneFleet(t)
	for _, path := range []string{"/assets/x/../../web.go", "/assets/..%2f..%2fweb.go", "/assets/" + f.pages.assets.hash["style.css"] + "/..%2Fweb.go", "/../../etc/passwd", "/nodes/..%2f..%2fetc%2fpasswd"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(f.http.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path)
		text, _ := io.ReadAll(conn)
		conn.Close()
		if strings.Contains(string(text), "package web") || strings.Contains(string(text), "root:") || strings.HasPrefix(string(text), "HTTP/1.1 200") {
			t.Errorf("%s: %.200s", path, text)
		}
	}
}

func TestABodyThatIsTooLargeIsRefused(t *testing.T) {
	f := oneFleet(t)
	v := f.visitor(t)
	resp, err := v.http.Post(v.base+"/sign-in", "application/x-www-form-urlencoded", io.LimitReader(zeros{}, mostBody+100))
	if err == nil {
		defer resp.Body.Close()
		if resp.StatusCode < 400 {
			t.Errorf("it is taken: %s", resp.Status)
		}
	}
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'a'
	}
	return len(b), nil
}

func TestABodyThatComesTooSlowlyIsCutOff(t *testing.T) {
	f := oneFleet(t)
	server := listen.Server(f.pages.Handler(), nil, f.pages.Log)
	if server.ReadHeaderTimeout == 0 || server.ReadTimeout == 0 || server.WriteTimeout == 0 || server.IdleTimeout == 0 || server.MaxHeaderBytes == 0 {
		t.Fatalf("the server has no bound of some kind: %+v", server)
	}
	server.ReadTimeout = 300 * time.Millisecond // the same server, with less patience
	l, err := net.Listen("tcp", "127.0.0.1:0")
	f.must(t, err)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	conn, err := net.Dial("tcp", l.Addr().String())
	f.must(t, err)
	defer conn.Close()
	fmt.Fprint(conn, "POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\naccount=")
	began := time.Now()
	_ = conn.SetReadDeadline(began.Add(10 * time.Second))
	_, err = bufio.NewReader(conn).ReadString(0) // until it is closed
	if took := time.Since(began); err == nil || took > 8*time.Second {
		t.Errorf("it was heard for %s: %v", took, err)
	}
}

func TestThePagesAreNotServedInTheClearToOthers(t *testing.T) {
	f := oneFleet(t)
	if err := f.pages.Serve(t.Context(), Place{Listen: "0.0.0.0:0"}, func(net.Addr) { t.Error("it is served") }); err == nil || !strings.Contains(err.Error(), "http.tls_cert_file") {
		t.Error(err)
	}
}

// Behind a socket a person comes from where the proxy says, where one is declared, and else nobody says.
func TestThePagesAreServedAtASocket(t *testing.T) {
	for _, c := range []struct {
		proxied bool
		guessed string // who has guessed passwords
		code    int
	}{
		{true, "192.0.2.7", http.StatusTooManyRequests}, {true, "10.9.8.7", http.StatusSeeOther},
		{false, "192.0.2.7", http.StatusSeeOther}, {false, "this machine", http.StatusTooManyRequests},
	} {
		f := newFixture(t, func(o *Options) { o.BehindProxy = c.proxied })
		f.pages.byAddress = newLimiter(1, time.Hour, time.Hour)
		f.pages.byAddress.failed(c.guessed, time.Now())
		path := filepath.Join(t.TempDir(), "web.sock")
		ctx, cancel := context.WithCancel(t.Context())
		up, ended := make(chan net.Addr, 1), make(chan error, 1)
		go func() {
			ended <- f.pages.Serve(ctx, Place{Listen: "unix:" + path, BehindProxy: c.proxied}, func(at net.Addr) { up <- at })
		}()
		select {
		case <-up:
		case err := <-ended:
			t.Fatal(err)
		}
		client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		form := url.Values{"account": {anAdmin}, "password": {"pw of " + anAdmin}}
		req, err := http.NewRequest(http.MethodPost, "http://monitor.example/sign-in", strings.NewReader(form.Encode()))
		f.must(t, err)
		req.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"same-origin"},
			"X-Forwarded-For": {"10.9.8.7, 192.0.2.7"}}
		answer, err := client.Do(req)
		f.must(t, err)
		answer.Body.Close()
		if answer.StatusCode != c.code {
			t.Errorf("proxied %t, and %s has guessed: %s", c.proxied, c.guessed, answer.Status)
		}
		cancel()
		f.must(t, <-ended)
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("the socket is left behind: %v", err)
		}
	}
}
