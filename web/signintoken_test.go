package web

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/api"
)

// askToken sends what a program sends to sign in.
func (f *fixture) askToken(t *testing.T, body string, headers ...string) (int, givenToken, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.http.URL+"/sign-in/token", strings.NewReader(body))
	f.must(t, err)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := f.http.Client().Do(r)
	f.must(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	f.must(t, err)
	var given givenToken
	_ = json.Unmarshal(text, &given)
	if answer.Header.Get("Cache-Control") != "no-store" && answer.StatusCode != http.StatusForbidden {
		t.Errorf("the answer may be kept: %v", answer.Header)
	}
	return answer.StatusCode, given, string(text)
}

func passwordOf(account, password string) string {
	text, _ := json.Marshal(map[string]string{"account": account, "password": password})
	return string(text)
}

// lockedLog is what a server logs.
type lockedLog struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func TestAPasswordIsExchangedForATokenOfThePersonsRole(t *testing.T) {
	log := new(lockedLog)
	f := newFixture(t, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(log, nil)) })
	tokens := api.NewTokens(f.Store, false, time.Now)
	for account, want := range map[string]access.Who{
		anAdmin:    {Role: access.Admin, Sites: []string{access.AllSites}},
		anOperator: {Role: access.Operator, Sites: []string{access.AllSites}},
		aTech:      {Role: access.Site, Sites: []string{"huji"}},
	} {
		code, given, body := f.askToken(t, passwordOf(" "+strings.ToUpper(account), "pw of "+account))
		if code != http.StatusOK || given.Role != want.Role || !strings.Contains(given.Name, account) ||
			time.Until(given.Expires) > TokenGood || time.Until(given.Expires) < TokenGood-time.Hour {
			t.Errorf("%s: %d %s", account, code, body)
			continue
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		f.must(t, err)
		r.RemoteAddr = "192.0.2.1:1"
		r.Header.Set("Authorization", "Bearer "+given.Token)
		who, err := tokens.Authenticate(r)
		if err != nil || who.Role != want.Role || !slices.Equal(who.Sites, want.Sites) {
			t.Errorf("%s: the token is that of %+v, %v", account, who, err)
		}
	}
	if text := log.String(); strings.Contains(text, "pw of") || strings.Contains(text, "monitor_") || !strings.Contains(text, "signed in") {
		t.Errorf("the log says %s", text)
	}
}

func TestNoTokenForWhoIsNotLetIn(t *testing.T) {
	f := newFixture(t)
	refusals := map[string]bool{}
	for name, body := range map[string]string{
		"a wrong password":          passwordOf(anAdmin, "wrong"),
		"nobody's account":          passwordOf("nobody@plc.example", "wrong"),
		"an account that is off":    passwordOf("off@plc.example", "pw of off@plc.example"),
		"an account without a role": passwordOf("none@plc.example", "pw of none@plc.example"),
		"an empty account":          passwordOf("", "x"),
	} {
		began := time.Now()
		code, given, text := f.askToken(t, body)
		if took := time.Since(began); code != http.StatusUnauthorized || given.Token != "" || took < refusalTakes {
			t.Errorf("%s: %d after %s: %s", name, code, took, text)
		}
		refusals[text] = true
	}
	if len(refusals) != 1 {
		t.Errorf("the answers tell what was wrong: %v", refusals)
	}
	for name, c := range map[string]struct {
		body    string
		headers []string
		want    int
	}{
		"no JSON":                  {"hello", nil, http.StatusBadRequest},
		"another field":            {`{"account":"a","password":"b","role":"admin"}`, nil, http.StatusBadRequest},
		"a large body":             {passwordOf(anAdmin, strings.Repeat("x", mostSignIn)), nil, http.StatusBadRequest},
		"a form":                   {"account=a&password=b", []string{"Content-Type", "application/x-www-form-urlencoded"}, http.StatusUnsupportedMediaType},
		"a page of another site":   {passwordOf(anAdmin, "pw of "+anAdmin), []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		"a page of another origin": {passwordOf(anAdmin, "pw of "+anAdmin), []string{"Origin", "https://evil.example"}, http.StatusForbidden},
	} {
		if code, given, text := f.askToken(t, c.body, c.headers...); code != c.want || given.Token != "" {
			t.Errorf("%s: %d %s", name, code, text)
		}
	}
	f.plc.down = true
	if code, _, text := f.askToken(t, passwordOf(aTech, "pw of "+aTech)); code != http.StatusServiceUnavailable {
		t.Errorf("while PLC is away: %d %s", code, text)
	}
	f.plc.down = false
	for range 5 {
		f.pages.byAccount.failed(anOperator, time.Now())
	}
	asked := f.plc.asked
	if code, _, text := f.askToken(t, passwordOf(anOperator, "pw of "+anOperator)); code != http.StatusTooManyRequests || f.plc.asked != asked {
		t.Errorf("after five wrong ones: %d %s", code, text)
	}
	list, err := f.Store.Tokens(t.Context())
	f.must(t, err)
	for _, token := range list {
		if strings.HasPrefix(token.Name, "login of") {
			t.Errorf("there is a token %s", token.Name)
		}
	}
	none := newFixture(t, func(o *Options) { o.PLC = nil })
	if code, _, text := none.askToken(t, passwordOf(anAdmin, "pw of "+anAdmin)); code != http.StatusConflict {
		t.Errorf("a server without PLC: %d %s", code, text)
	}
}
