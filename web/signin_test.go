package web

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/plc"
)

func TestAStrangerSeesTheSignInPageAlone(t *testing.T) {
	f := oneFleet(t)
	v := f.visitor(t)
	for name, path := range everyPage() {
		code, body := v.get(path)
		if code != http.StatusOK || !strings.Contains(body, `<h1>Sign in</h1>`) || strings.Contains(body, "huji.example") && !strings.Contains(path, "huji") {
			t.Errorf("%s: %d", name, code)
		}
	}
	if resp, err := v.http.Get(v.base + "/live?topic=ledger"); err != nil || resp.StatusCode != http.StatusUnauthorized {
		t.Error("a stranger hears what changes")
	}
}

func TestRolesComeFromPLC(t *testing.T) {
	f := oneFleet(t)
	for account, want := range map[string]struct {
		role  access.Role
		sites string
	}{
		anAdmin: {access.Admin, "*"}, anOperator: {access.Operator, "*"}, aTech: {access.Site, "huji"}, aUser: {access.Viewer, "tokyo"},
		"off@plc.example": {}, "none@plc.example": {}, "nobody@plc.example": {},
	} {
		role, sites, err := f.pages.plcRoles(t.Context(), account)
		if err != nil || role != want.role || strings.Join(sites, ",") != want.sites {
			t.Errorf("%s is %q of %v: %v", account, role, sites, err)
		}
	}
}

func TestSitePeopleSeeTheirOwnSiteAlone(t *testing.T) {
	f := oneFleet(t)
	v := f.as(t, aTech)
	for path, want := range map[string]int{
		"/sites/huji": 200, "/nodes/planetlab1.huji.example": 200, "/issues/nodedown/planetlab1.huji.example": 200, "/pcus/1003": 200,
		"/ledger/entry?key=site%2Fhuji%2Fmail%2F1": 200,
		"/sites/tokyo": 404, "/nodes/planetlab1.tokyo.example": 404, "/issues/nodedown/planetlab2.tokyo.example": 404, "/pcus/1005": 404,
		"/nodes/planetlab3.princeton.example/boot-log": 404,
	} {
		if code, _ := v.get(path); code != want {
			t.Errorf("%s: %d", path, code)
		}
	}
	for _, path := range []string{"/", "/nodes", "/sites", "/pcus", "/issues", "/ledger", "/agenda", "/exempt", "/audit", "/nodes?format=csv&select=*"} {
		code, body := v.get(path)
		if code != http.StatusOK || strings.Contains(body, "tokyo") || strings.Contains(body, "princeton") {
			t.Errorf("%s (%d) tells a tech of huji of other sites", path, code)
		}
	}
	user := f.as(t, aUser)
	for _, path := range []string{"/ledger", "/audit"} {
		if code, _ := user.get(path); code != http.StatusForbidden {
			t.Errorf("a user of a site reads %s: %d", path, code)
		}
	}
	if _, body := user.get("/sites/tokyo"); strings.Contains(body, "tech@tokyo.example") {
		t.Error("a user of a site reads the names of its people")
	}
}

func TestWhatIsWrongWithASignInIsNotTold(t *testing.T) {
	f := oneFleet(t)
	var bodies []string
	for _, form := range []url.Values{
		{"account": {anAdmin}, "password": {"wrong"}}, {"account": {"nobody@plc.example"}, "password": {"wrong"}},
		{"account": {"off@plc.example"}, "password": {"pw of off@plc.example"}},
	} {
		began := time.Now()
		code, body := f.visitor(t).post("/sign-in", form)
		if took := time.Since(began); code != http.StatusUnauthorized || took < refusalTakes {
			t.Errorf("%v: %d after %s", form, code, took)
		}
		bodies = append(bodies, strings.ReplaceAll(body, form.Get("account"), "ACCOUNT"))
	}
	for _, body := range bodies {
		if !strings.Contains(body, "That was not accepted") || strings.Contains(body, "wrong<") {
			t.Error(body)
		}
	}
}

func TestGuessingIsSlowedDown(t *testing.T) {
	now := noon
	l := newLimiter(3, 10*time.Second, time.Hour)
	for range 3 {
		if w := l.wait("a", now); w != 0 {
			t.Fatal(w)
		}
		l.failed("a", now)
	}
	if w := l.wait("a", now); w != 10*time.Second {
		t.Errorf("it waits %s", w)
	}
	l.failed("a", now)
	if w, other := l.wait("a", now), l.wait("b", now); w != 20*time.Second || other != 0 {
		t.Errorf("it waits %s, and somebody else %s", w, other)
	}
	for range 60 {
		l.failed("a", now)
	}
	if w := l.wait("a", now); w != time.Hour {
		t.Errorf("it waits %s", w)
	}
	l.passed("a")
	if w := l.wait("a", now); w != 0 {
		t.Errorf("it waits %s", w)
	}
	for i := range 3 * mostSeen {
		l.failed(string(rune(i)), now)
	}
	if len(l.seen) > mostSeen {
		t.Errorf("%d are remembered", len(l.seen))
	}
}

func TestTheSixthWrongPasswordIsNotEvenAsked(t *testing.T) {
	f := newFixture(t)
	for range 5 {
		f.pages.byAccount.failed(anAdmin, time.Now())
	}
	asked := f.plc.asked
	code, body := f.visitor(t).signIn(anAdmin)
	if code != http.StatusTooManyRequests || f.plc.asked != asked || !strings.Contains(body, "Too many tries") {
		t.Errorf("%d, and PLC was asked %d times", code, f.plc.asked-asked)
	}
}

func TestALostRoleEndsSoon(t *testing.T) {
	now := time.Now()
	f := newFixture(t, func(o *Options) { o.Now = func() time.Time { return now } })
	v := f.as(t, anOperator)
	if _, body := v.get("/nodes"); !strings.Contains(body, "tokyo") {
		t.Fatal("the operator sees nothing")
	}
	f.plc.down = true
	now = now.Add(rolesFor + time.Second)
	if _, body := v.get("/nodes"); !strings.Contains(body, "tokyo") {
		t.Error("a PLC that is away for a moment signs everybody out")
	}
	now = now.Add(rolesAtMost)
	if _, body := v.get("/nodes"); !strings.Contains(body, "<h1>Sign in</h1>") {
		t.Error("a role holds for ever while PLC is away")
	}
	f.plc.down = false
	v = f.as(t, anOperator)
	a := f.plc.accounts[anOperator]
	a.Enabled = false
	f.plc.accounts[anOperator] = a
	now = now.Add(rolesFor + time.Second)
	if _, body := v.get("/nodes"); !strings.Contains(body, "<h1>Sign in</h1>") {
		t.Error("an account that PLC disabled goes on")
	}
}

func TestPasswordsAreKeptNowhere(t *testing.T) {
	f := oneFleet(t)
	f.as(t, anAdmin)
	var text string
	rows, err := f.pages.Store.Actions(t.Context(), actionsAll())
	f.must(t, err)
	all, err := json.Marshal(rows)
	f.must(t, err)
	text += string(all)
	if strings.Contains(text, "pw of") {
		t.Error("the ledger has a password")
	}
	if s := plc.Secret("pw of x"); strings.Contains(s.String(), "pw") {
		t.Error("a secret prints")
	}
}

func TestWhatIsPublic(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Public = PublicStatus })
	v := f.visitor(t)
	code, body := v.get("/")
	if code != http.StatusOK || !strings.Contains(body, "<h1>Status</h1>") || !strings.Contains(body, "huji") || !strings.Contains(body, "nairobi") {
		t.Errorf("%d %s", code, body)
	}
	for _, secret := range []string{"tech@", "pcu", "timeout", "ann<", "127.", "their building"} {
		if strings.Contains(body, secret) {
			t.Errorf("the public status tells %q", secret)
		}
	}
	if _, body := v.get("/nodes"); !strings.Contains(body, "<h1>Sign in</h1>") {
		t.Error("where the status is public, nodes are, too")
	}

	f = newFixture(t, func(o *Options) { o.Public = PublicFull })
	v = f.visitor(t)
	if code, body := v.get("/nodes/planetlab1.huji.example"); code != http.StatusOK || strings.Contains(body, "<form method=\"post\"") {
		t.Errorf("%d, or a form", code)
	}
	if code, body := v.get("/sites/huji"); code != http.StatusOK || strings.Contains(body, "tech@huji.example") {
		t.Errorf("%d, or the names of people", code)
	}
	if _, body := v.get("/ledger"); !strings.Contains(body, "<h1>Sign in</h1>") {
		t.Error("the ledger is public")
	}
}

func TestATokenLetsInUntilItIsRevoked(t *testing.T) {
	now := time.Now()
	f := newFixture(t, func(o *Options) { o.Now = func() time.Time { return now } })
	boss := access.Who{Account: "boss", Role: access.Admin, Sites: []string{access.AllSites}}
	desk := orders.Desk{Store: f.Store}
	_, _, text, err := desk.AddToken(t.Context(), orders.Order{Who: boss, Reason: "a wall screen"}, "screen", access.Viewer, []string{"tokyo"}, now.Add(time.Hour))
	f.must(t, err)
	v := f.visitor(t)
	for _, wrong := range []string{text + "a", text[:len(text)-1] + "0", "monitor_aaaaaaaa_bbbb", " "} {
		if code, _ := v.post("/sign-in", url.Values{"token": {wrong}}); code != http.StatusUnauthorized {
			t.Errorf("%q: %d", wrong, code)
		}
	}
	if code, body := v.post("/sign-in", url.Values{"token": {text}}); code != http.StatusOK || !strings.Contains(body, "token screen") {
		t.Fatalf("%d %s", code, body)
	}
	if _, body := v.get("/nodes"); !strings.Contains(body, "tokyo") || strings.Contains(body, "huji") {
		t.Error("the token of tokyo sees other nodes, or not its own")
	}
	if code, _ := f.visitor(t).get("/nodes?token=" + text); code != http.StatusOK {
		t.Error(code)
	}
	if _, body := f.visitor(t).get("/nodes?token=" + text); !strings.Contains(body, "<h1>Sign in</h1>") {
		t.Error("a token in an address lets in")
	}
	_, err = desk.RevokeToken(t.Context(), orders.Order{Who: boss, Reason: "the screen is gone"}, "screen")
	f.must(t, err)
	now = now.Add(rolesFor + time.Second)
	if _, body := v.get("/nodes"); !strings.Contains(body, "<h1>Sign in</h1>") {
		t.Error("a revoked token goes on")
	}
}

// Behind a proxy all people come from one address: whoever guesses must not lock out the others, nor choose whom he is
// taken for.
func TestBehindAProxyWhoGuessesIsSlowedDownAlone(t *testing.T) {
	f := oneFleet(t)
	pages := *f.pages
	pages.BehindProxy, pages.byAddress = true, newLimiter(1, time.Hour, time.Hour)
	pages.byAddress.failed("192.0.2.1", time.Now())
	behind, open := httptest.NewServer(pages.Handler()), httptest.NewServer(f.pages.Handler())
	defer behind.Close()
	defer open.Close()
	try := func(at string, forwarded ...string) int {
		v := f.visitor(t)
		req, err := http.NewRequest(http.MethodPost, at+"/sign-in", strings.NewReader(url.Values{"account": {anAdmin}, "password": {"pw of " + anAdmin}}.Encode()))
		f.must(t, err)
		req.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"same-origin"}, "X-Forwarded-For": forwarded}
		resp, err := v.http.Do(req)
		f.must(t, err)
		code, _ := readAll(t, resp)
		return code
	}
	for name, c := range map[string]struct {
		at        string
		forwarded []string
		want      int
	}{
		"who guessed":                      {behind.URL, []string{"192.0.2.1"}, http.StatusTooManyRequests},
		"who guessed, and says another":    {behind.URL, []string{"192.0.2.2, 192.0.2.1"}, http.StatusTooManyRequests},
		"who says so on a line before":     {behind.URL, []string{"192.0.2.2", "192.0.2.1"}, http.StatusTooManyRequests},
		"somebody else":                    {behind.URL, []string{"192.0.2.2"}, http.StatusOK},
		"where no proxy is declared":       {open.URL, []string{"192.0.2.1"}, http.StatusOK},
		"somebody of whom nothing is said": {behind.URL, []string{"nonsense"}, http.StatusOK},
	} {
		if code := try(c.at, c.forwarded...); code != c.want {
			t.Errorf("%s: %d", name, code)
		}
	}
}
