package api

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/orders"
)

func TestStrangersGetNothing(t *testing.T) {
	s := serveAPI(t)
	good := s.token("ops", access.Admin, access.AllSites)
	revoked := s.token("lost", access.Admin, access.AllSites)
	root := orders.Order{Who: access.Who{Account: "root", Role: access.Admin, Sites: []string{access.AllSites}}}
	_, err := orders.Desk{Store: s.db}.RevokeToken(t.Context(), root, "lost")
	s.must(err)
	for name, headers := range map[string][]string{
		"nobody":               nil,
		"an empty token":       {"Authorization", "Bearer "},
		"no token":             {"Authorization", "Bearer hello"},
		"a wrong secret":       {"Authorization", "Bearer " + good[:len(good)-4] + "aaaa"},
		"a token in the clear": {"Authorization", "Basic " + good},
		"a revoked token":      {"Authorization", "Bearer " + revoked},
		"a cookie":             {"Cookie", "token=" + good},
		"a forged header":      {"X-Forwarded-User", "root"},
	} {
		for _, path := range []string{"/self", "/nodes", "/openapi.json", "/docs", "/docs.css", "/nosuch", "/../metrics"} {
			g := s.ask("", "GET", path, nil, headers...)
			if g.status != 401 || g.problem() != "sign-in" || g.header.Get("WWW-Authenticate") == "" {
				if name == "nobody" || path == "/self" || g.status != http.StatusTooManyRequests {
					t.Errorf("%s gets at %s: %+v", name, path, g)
				}
			}
			if headers != nil {
				break // failures are counted
			}
		}
	}
	if g := s.ask(good, "GET", "/self", nil); g.status != 200 {
		t.Errorf("a good token after a few bad ones: %+v", g)
	}
	t.Run("a token that is over is none", func(t *testing.T) {
		late := serveAPI(t, func(o *Options) {
			o.Who = NewTokens(o.Store, false, func() time.Time { return time.Now().Add(2 * time.Hour) })
		})
		token := late.token("old", access.Admin, access.AllSites)
		if g := late.ask(token, "GET", "/self", nil); g.status != 401 {
			t.Errorf("%+v", g)
		}
	})
}

func TestGuessingIsSlowedDownForWhoGuessesAlone(t *testing.T) {
	at := time.Now()
	s := serveAPI(t, func(o *Options) { o.Who = NewTokens(o.Store, true, func() time.Time { return at }) })
	good := s.token("ops", access.Admin, access.AllSites)
	from := func(address, token string) got {
		return s.ask(token, "GET", "/self", nil, "X-Forwarded-For", "10.0.0.1, "+address)
	}
	limited := 0
	for i := range 3 * failuresAtOnce {
		g := from("192.0.2.1", fmt.Sprintf("monitor_aaaaaaaa_%032d", i))
		if g.status == http.StatusTooManyRequests && g.header.Get("Retry-After") != "" && g.problem() == "too-many" {
			limited++
		} else if g.status != 401 {
			t.Fatalf("%+v", g)
		}
	}
	if limited != 2*failuresAtOnce {
		t.Errorf("%d guesses were answered", 3*failuresAtOnce-limited)
	}
	if g := from("192.0.2.1", good); g.status != http.StatusTooManyRequests {
		t.Errorf("whoever has guessed gets in: %+v", g)
	}
	if g := from("192.0.2.2", good); g.status != 200 {
		t.Errorf("another address suffers: %+v", g)
	}
	at = at.Add(time.Minute)
	if g := from("192.0.2.1", good); g.status != 200 {
		t.Errorf("a minute later: %+v", g)
	}
}

func TestAnAddressIsThatOfTheProxysLastWord(t *testing.T) {
	for name, c := range map[string]struct {
		proxied bool
		said    []string
		want    string
	}{
		"nobody is declared":    {false, []string{"192.0.2.1"}, "203.0.113.9"},
		"nothing is said":       {true, nil, "203.0.113.9"},
		"nonsense is said":      {true, []string{"192.0.2.1, x"}, "203.0.113.9"},
		"the last of a line":    {true, []string{"10.0.0.1, 192.0.2.1"}, "192.0.2.1"},
		"the last of the lines": {true, []string{"10.0.0.1", "10.0.0.2, 192.0.2.1"}, "192.0.2.1"},
	} {
		r := &http.Request{RemoteAddr: "203.0.113.9:4711", Header: http.Header{"X-Forwarded-For": c.said}}
		if got := Address(r, c.proxied); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestOneAccountCannotFloodTheAPI(t *testing.T) {
	at := time.Now()
	s := serveAPI(t, func(o *Options) { o.Now = func() time.Time { return at } })
	one, other := s.token("one", access.Viewer, access.AllSites), s.token("other", access.Viewer, access.AllSites)
	for range burst {
		if g := s.ask(one, "GET", "/self", nil); g.status != 200 {
			t.Fatalf("%+v", g)
		}
	}
	if g := s.ask(one, "GET", "/self", nil); g.problem() != "too-many" {
		t.Errorf("%+v", g)
	}
	if g := s.ask(other, "GET", "/self", nil); g.status != 200 {
		t.Errorf("%+v", g)
	}
}

func TestWhatIsNoGoodRequestIsAProblemOfItsType(t *testing.T) {
	s := serveAPI(t)
	admin := s.token("ops", access.Admin, access.AllSites)
	before := len(s.orders())
	raw := func(method, path, body string, headers ...string) got {
		r, err := http.NewRequestWithContext(t.Context(), method, s.url+Prefix+path, strings.NewReader(body))
		s.must(err)
		r.Header.Set("Authorization", "Bearer "+admin)
		r.Header.Set("Content-Type", "application/json")
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		answer, err := s.http.Do(r)
		s.must(err)
		defer answer.Body.Close()
		b, err := io.ReadAll(answer.Body)
		s.must(err)
		return got{answer.StatusCode, answer.Header, string(b)}
	}
	for _, c := range []struct {
		name, method, path, body, problem string
		headers                           []string
	}{
		{"no JSON", "POST", "/stop", "hello", "malformed", nil},
		{"half a body", "POST", "/stop", `{"reason":`, "malformed", nil},
		{"another type of body", "POST", "/stop", `reason=x`, "malformed", []string{"Content-Type", "application/x-www-form-urlencoded"}},
		{"an unknown field", "POST", "/stop", `{"reason":"x","force":true}`, "invalid", nil},
		{"no reason", "POST", "/stop", `{}`, "invalid", nil},
		{"a reason of the wrong type", "POST", "/stop", `{"reason":[1]}`, "invalid", nil},
		{"a long reason", "POST", "/stop", `{"reason":"` + strings.Repeat("x", 501) + `"}`, "invalid", nil},
		{"a large body", "POST", "/stop", `{"reason":"` + strings.Repeat("x", mostBody) + `"}`, "too-large", nil},
		{"a large run", "POST", "/runs", `{"script":"` + strings.Repeat("x", mostRun) + `"}`, "too-large", nil},
		{"a run on another path", "POST", "/runs/x/cancel", `{"reason":"` + strings.Repeat("x", mostBody) + `"}`, "too-large", nil},
		{"a long script", "POST", "/runs", `{"reason":"x","hosts":["` + nodeOf(mine) + `"],"script":"` + strings.Repeat("x", 16<<10+1) + `"}`, "invalid", nil},
		{"deep JSON", "POST", "/stop", strings.Repeat(`{"a":`, 10_000), "malformed", nil},
		{"an unknown parameter", "POST", "/stop?dryrun=true", `{"reason":"x"}`, "invalid", nil},
		{"a parameter of the wrong type", "POST", "/stop?dryRun=perhaps", `{"reason":"x"}`, "invalid", nil},
		{"a long key", "POST", "/stop", `{"reason":"x"}`, "invalid", []string{"Idempotency-Key", strings.Repeat("k", 201)}},
		{"another method", "PUT", "/stop", `{"reason":"x"}`, "not-found", nil},
		{"an unknown operation", "GET", "/nosuch", ``, "not-found", nil},
		{"a path that climbs", "GET", "/nodes/..%2f..%2fmetrics", ``, "not-found", nil},
		{"a type of issue that is none", "POST", "/issues/sweep/x/close", `{"reason":"x"}`, "invalid", nil},
		{"an issue that is a site's workflow", "POST", "/issues/site/princeton/close", `{"reason":"x"}`, "invalid", nil},
		{"a limit beyond all", "GET", "/nodes?limit=1000000", ``, "invalid", nil},
		{"an expression that costs too much", "GET", "/nodes?filter=" + url.QueryEscape(
			"[1,2,3,4,5,6,7,8,9].all(a,[1,2,3,4,5,6,7,8,9].all(b,[1,2,3,4,5,6,7,8,9].all(c,[1,2,3,4,5,6,7,8,9].all(d,a+b+c+d>0))))"), ``, "invalid", nil},
		{"a long address", "GET", "/nodes?filter=" + strings.Repeat("a", mostURL), ``, "malformed", nil},
		{"a page of another site", "POST", "/stop", `{"reason":"x"}`, "cross-origin", []string{"Sec-Fetch-Site", "cross-site"}},
		{"a page of another origin", "POST", "/stop", `{"reason":"x"}`, "cross-origin", []string{"Origin", "https://evil.example"}},
		{"a token in the address", "GET", "/nodes?access_token=x", ``, "token-in-address", nil},
		{"a token in any parameter", "GET", "/nodes?filter=" + admin, ``, "token-in-address", nil},
	} {
		if g := raw(c.method, c.path, c.body, c.headers...); g.problem() != c.problem || strings.Contains(g.body, "xxxxxxxx") {
			t.Errorf("%s: %d, %.300s", c.name, g.status, g.body)
		}
	}
	if now := len(s.orders()); now != before {
		t.Errorf("%d orders were given", now-before)
	}
}

func TestASlowBodyIsGivenUp(t *testing.T) {
	t.Parallel()
	s := serveAPI(t)
	admin := s.token("ops", access.Admin, access.AllSites)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	s.must(err)
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s/stop HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", Prefix, admin)
	s.must(conn.SetReadDeadline(time.Now().Add(4 * bodyWithin)))
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("it waits for ever: %v", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode < 400 {
		t.Errorf("status %d", answer.StatusCode)
	}
}

func TestNoAnswerHoldsASecretOrAScript(t *testing.T) {
	s := serveAPI(t)
	admin := s.token("ops", access.Admin, access.AllSites)
	s.token("other", access.Viewer, access.AllSites)
	evil := `</script><script>alert(1)</script>`
	s.ask(admin, "POST", "/stop", object{"reason": evil, "by": evil})
	for _, o := range documented(t) {
		if o.method != http.MethodGet || o.id == "streamEvents" {
			continue
		}
		g := s.ask(admin, "GET", requests()[o.id](mine).path, nil)
		for _, secret := range []string{password, "monitor_", "hash"} {
			if strings.Contains(g.body, secret) {
				t.Errorf("%s tells %q: %s", o.id, secret, g.body)
			}
		}
		if strings.Contains(g.body, "<script") || g.header.Get("X-Content-Type-Options") != "nosniff" ||
			g.header.Get("Cache-Control") != "no-store" || !strings.Contains(g.header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %v %s", o.id, g.header, g.body)
		}
	}
}

func TestTheDocumentationPageNeedsNothingFromElsewhere(t *testing.T) {
	s := serveAPI(t)
	viewer := s.token("viewer", access.Viewer, access.AllSites)
	page := s.ask(viewer, "GET", "/docs", nil).body
	for _, k := range kinds() {
		if !strings.Contains(page, `id="problem-`+k.name+`"`) {
			t.Errorf("the page does not say what %s is", k.name)
		}
	}
	for _, bad := range []string{"http://", "https://", "<script", "style=", "onclick"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	for _, path := range []string{"/docs.css", "/openapi.json"} {
		if g := s.ask(viewer, "GET", path, nil); g.status != 200 || g.body == "" {
			t.Errorf("%s: %+v", path, g)
		}
	}
}
