package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed/pglocal"
)

// noon is the time of the fixture, a moment ago, so that what a browser sees now is of today.
var noon = time.Now().UTC().Truncate(time.Second)

// evil is text that must be shown as it is, wherever it comes from.
const evil = `<script>alert(1)</script><img src=x onerror=alert(2)>"'><a href="javascript:alert(3)">`

// place is a site of the fixture.
type fixtureSite struct {
	login, name string
	lat, lon    float64
	nodes       int
	states      string // of its nodes: g good, o online, d down, f failboot, x disabled
}

func fixtureSites() []fixtureSite {
	return []fixtureSite{
		{"princeton", "Princeton University", 40.35, -74.65, 4, "ggfg"},
		{"upmc", "Université Pierre et Marie Curie", 48.85, 2.36, 4, "gogg"},
		{"huji", "Hebrew University of Jerusalem", 31.78, 35.2, 2, "dd"},
		{"inria", "INRIA Sophia Antipolis", 43.62, 7.05, 4, "gggg"},
		{"tokyo", "University of Tokyo", 35.71, 139.76, 4, "gdgg"},
		{"uba", "Universidad de Buenos Aires", -34.6, -58.37, 3, "gxg"},
		{"sydney", "University of Sydney", -33.89, 151.19, 4, "gggd"},
		{"nairobi", "University of Nairobi", -1.28, 36.82, 2, "gg"},
		{"evil", evil, 1, 2, 1, "d"},
	}
}

// fixture is a store with a small fleet that has had a hard week, and the pages over it.
type fixture struct {
	*store.Store
	url   string
	pages *Server
	http  *httptest.Server
	plc   *fixturePLC
}

// fixturePLC knows some people.
type fixturePLC struct {
	accounts  map[string]plc.Account
	passwords map[string]string
	down      bool
	asked     int
}

func (p *fixturePLC) CheckPassword(_ context.Context, email string, password plc.Secret) error {
	p.asked++
	switch {
	case p.down:
		return plc.ErrUnavailable
	case p.passwords[email] == "" || p.passwords[email] != password.Reveal():
		return plc.ErrAuth
	}
	return nil
}

func (p *fixturePLC) Account(_ context.Context, email string) (plc.Account, error) {
	if p.down {
		return plc.Account{}, plc.ErrUnavailable
	}
	a, known := p.accounts[email]
	if !known {
		return a, plc.ErrNotFound
	}
	return a, nil
}

// The people of the fixture, each with the password "pw of " and the address.
const (
	anAdmin    = "admin@plc.example"
	anOperator = "op@plc.example"
	aTech      = "tech@huji.example"
	aUser      = "user@tokyo.example"
)

func fixturePeople() *fixturePLC {
	p := &fixturePLC{accounts: map[string]plc.Account{
		anAdmin:            {PersonID: 1, Email: anAdmin, Roles: []string{"admin"}, Enabled: true},
		anOperator:         {PersonID: 2, Email: anOperator, Roles: []string{"user"}, SiteIDs: []int{1}, Enabled: true},
		aTech:              {PersonID: 3, Email: aTech, Roles: []string{"tech"}, SiteIDs: []int{3}, Enabled: true},
		aUser:              {PersonID: 4, Email: aUser, Roles: []string{"user"}, SiteIDs: []int{5}, Enabled: true},
		"off@plc.example":  {PersonID: 5, Email: "off@plc.example", Roles: []string{"admin"}},
		"none@plc.example": {PersonID: 6, Email: "none@plc.example", Enabled: true},
	}, passwords: map[string]string{}}
	for email := range p.accounts {
		p.passwords[email] = "pw of " + email
	}
	return p
}

func newFixture(t testing.TB, change ...func(*Options)) *fixture {
	t.Helper()
	f := &fixture{url: pglocal.ForTest(t), plc: fixturePeople()}
	db, err := store.Open(t.Context(), store.Options{URL: f.url, Key: bytes.Repeat([]byte{7}, 32)})
	f.must(t, err)
	t.Cleanup(db.Close)
	f.Store = db
	f.must(t, db.Migrate(t.Context()))
	f.fill(t)
	o := Options{Store: db, News: store.NewsOf(db, slog.New(slog.DiscardHandler)), Policy: policy.Defaults(24 * time.Hour), Log: slog.New(slog.DiscardHandler), Public: PublicOff,
		PLC: f.plc, People: People{Operators: []string{anOperator}}, TemporalUI: "https://temporal.example", PLCPages: "https://plc.example"}
	for _, c := range change {
		c(&o)
	}
	f.pages, err = New(o)
	f.must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go o.News.Run(ctx)
	go f.pages.Watch(ctx)
	f.http = httptest.NewServer(f.pages.Handler())
	t.Cleanup(func() { f.http.CloseClientConnections(); f.http.Close() })
	return f
}

// shared is the fleet of all tests that change nothing in the store.
var shared struct {
	sync.Mutex
	*fixture
	ends []func()
}

// oneFleet is that fleet, and its pages. It ends with the process.
func oneFleet(t testing.TB) *fixture {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.fixture == nil {
		shared.fixture = newFixture(lasting{t})
	}
	return shared.fixture
}

// lasting is a test to what outlives it.
type lasting struct{ testing.TB }

func (lasting) Context() context.Context { return context.Background() }
func (lasting) Cleanup(end func())       { shared.ends = append(shared.ends, end) }

func endShared() {
	for _, end := range slices.Backward(shared.ends) {
		end()
	}
}

func (f *fixture) must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) fill(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	snap := plc.Snapshot{Taken: noon, NodeExempt: map[int]time.Time{}}
	var looks []store.NodeLook
	var changes []store.Change
	for i, s := range fixtureSites() {
		id := i + 1
		snap.Sites = append(snap.Sites, plc.Site{SiteID: id, LoginBase: s.login, Name: s.name, Enabled: s.login != "huji",
			DateCreated: noon.AddDate(-3, 0, 0), Place: &plc.Place{Latitude: s.lat, Longitude: s.lon}})
		for _, role := range []string{"tech", "pi"} {
			snap.Persons = append(snap.Persons, plc.Person{PersonID: id*10 + len(role), Email: role + "@" + s.login + ".example", Roles: []string{role}, SiteIDs: []int{id}})
		}
		pcu := plc.PCU{PCUID: 1000 + id, SiteID: id, Hostname: "pcu." + s.login + ".example", Username: "apc", Password: "pcu-s3cret", Model: "APCControl12p3"}
		for n := range s.nodes {
			host, state := fmt.Sprintf("planetlab%d.%s.example", n+1, s.login), s.states[n]
			node := plc.Node{NodeID: id*100 + n, Hostname: host, SiteID: id, BootState: map[byte]string{'x': "disabled"}[state], Model: "Dell PowerEdge 1950",
				PCUIDs: []int{pcu.PCUID}, Ports: []int{n + 1}, LastContact: noon.Add(-time.Duration(n) * time.Hour)}
			if node.BootState == "" {
				node.BootState = "boot"
			}
			snap.Nodes = append(snap.Nodes, node)
			pcu.NodeIDs, pcu.Ports = append(pcu.NodeIDs, node.NodeID), append(pcu.Ports, n+1)
			look, change := fixtureLook(host, state)
			looks, changes = append(looks, look), append(changes, change)
		}
		snap.PCUs = append(snap.PCUs, pcu)
		status := policy.StatusGood
		if s.login == "huji" {
			status = policy.StatusDown
		}
		changes = append(changes, store.Change{Kind: "site", Target: s.login, Record: policy.Record{Status: status, Changed: noon.AddDate(0, 0, -8)}, Reason: "fixture"})
		changes = append(changes, store.Change{Kind: "pcu", Target: fmt.Sprint(pcu.PCUID), Record: policy.Record{Status: policy.StatusGood, Changed: noon.AddDate(0, 0, -40)}, Reason: "the dry run passes"})
	}
	_, err := f.SaveSnapshot(ctx, snap, true)
	f.must(t, err)
	f.must(t, f.SaveNodeLooks(ctx, looks))
	f.must(t, f.SavePCULooks(ctx, []store.PCULook{{PCUID: 1003, At: noon, Reason: evil}, {PCUID: 1001, At: noon, OK: true}}))
	f.must(t, f.SaveChanges(ctx, changes, noon.AddDate(0, 0, -60)))
	f.fillHistory(t, changes)
	f.fillIssues(t)
	sweep, err := f.StartSweep(ctx, "sweep/1")
	f.must(t, err)
	sweep.Believed = true
	f.must(t, f.EndSweep(ctx, sweep))
	f.must(t, f.SayConfigured(ctx, policy.ModeAct, "fixture"))
	f.must(t, f.AddBlacklist(ctx, store.BlacklistEntry{Kind: "site", Target: "nairobi", Starts: noon.Add(-time.Hour), Until: noon.AddDate(0, 0, 5), Owner: "ann", Reason: "their building is closed", Downtime: true}))
	f.must(t, f.SaveBootLog(ctx, store.BootLog{Node: "planetlab3.princeton.example", At: noon, Sequence: "bminit-cfg-auth-getplc-update-installinit-validate-rebuildinitrd-netcfg-update3-disk-update4-done", Log: []byte("boot log\n" + evil + "\n")}))
}

func fixtureLook(host string, state byte) (store.NodeLook, store.Change) {
	look := store.NodeLook{Host: host, At: noon.Add(-4 * time.Minute), State: policy.StateBoot, Category: policy.CategoryProd, Uptime: 26 * 24 * time.Hour,
		Detail: []byte(`{"host":"` + host + `","dns":"ok","ports":{"22":"ssh","80":"http"},"ssh":{"ok":true,"port":22},"inside":{"kernel":"Linux 4.19.0 x86_64","node_manager":true}}`)}
	status := map[byte]policy.Status{'g': policy.StatusGood, 'o': policy.StatusOnline, 'd': policy.StatusDown, 'f': policy.StatusFailboot, 'x': policy.StatusDisabled}[state]
	switch state {
	case 'd':
		look = store.NodeLook{Host: host, At: look.At, State: policy.StateDown, Category: policy.CategoryError, Reason: "no ssh: timeout", Silent: true,
			Detail: []byte(`{"host":"` + host + `","dns":"ok","ports":{"22":"timeout","80":"timeout"},"ssh":{"failure":"timeout","detail":"<b>no</b> answer"}}`)}
	case 'f':
		look.State, look.Reason, look.Uptime = policy.StateDebug, "boot manager: <script>", time.Hour
		look.Symptoms = []byte(`{"failboot":{}}`)
	}
	return look, store.Change{Kind: "node", Target: host, Record: policy.Record{Status: status, Changed: noon.AddDate(0, 0, -60)}, Reason: "fixture"}
}

// fillHistory gives some nodes a past.
func (f *fixture) fillHistory(t testing.TB, changes []store.Change) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), f.url)
	f.must(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	exec := func(sql string, args ...any) {
		t.Helper()
		_, err := conn.Exec(t.Context(), sql, args...)
		f.must(t, err)
	}
	for i, c := range changes {
		if c.Kind != "node" || c.Record.Status != policy.StatusDown {
			continue
		}
		at := noon.AddDate(0, 0, -9-i%5)
		exec(`update history set became = 'good' where kind = 'node' and target = $1`, c.Target)
		for _, p := range [][2]string{{"good", "offline"}, {"offline", "down"}} {
			exec(`insert into history (at, kind, target, was, became, reason) values ($1, 'node', $2, $3, $4, 'no ssh: timeout')`, at, c.Target, p[0], p[1])
			at = at.AddDate(0, 0, 2)
		}
		exec(`update node set changed = $1 where hostname = $2`, at, c.Target)
	}
	for day := range 20 {
		exec(`insert into history (at, kind, target, was, became, reason) values ($1, 'node', 'planetlab2.upmc.example', 'good', 'offline', 'no ssh: refused'),
			($2, 'node', 'planetlab2.upmc.example', 'offline', 'good', 'it answers')`, noon.AddDate(0, 0, -day*4).Add(-6*time.Hour), noon.AddDate(0, 0, -day*4).Add(-time.Hour))
	}
	exec(`update site set penalty_level = 1, last_raise = $1 where login_base = 'huji'`, noon.AddDate(0, 0, -2))
}

// fillIssues lets issues live as they do, by the machine itself.
func (f *fixture) fillIssues(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	for _, x := range []struct {
		typ, host, site string
		acted           int
		days            int
	}{{issue.NodeDown, "planetlab1.huji.example", "huji", 3, 7}, {issue.NodeDown, "planetlab2.huji.example", "huji", 2, 6},
		{issue.NodeDown, "planetlab2.tokyo.example", "tokyo", 1, 2}, {issue.Failboot, "planetlab3.princeton.example", "princeton", 0, 1},
		{issue.NodeDown, "planetlab1.evil.example", "evil", 1, 3}} {
		typ, known := issue.Lookup(x.typ)
		if !known {
			t.Fatal(x.typ)
		}
		opened := noon.AddDate(0, 0, -x.days)
		s := issue.Start(issue.Opening{Ref: issue.Ref{ID: x.typ + "/" + x.host, Run: "run-1", Type: x.typ, Node: x.host, Site: x.site},
			Cause: "offline for 1.3 d: no ssh: timeout", Evidence: []string{"port 22: timeout", evil},
			Times: issue.TimesOf(policy.Defaults(24 * time.Hour)), Ladder: typ.Ladder, Mode: policy.ModeAct}, opened)
		at := opened
		for n := range x.acted {
			key := s.Key()
			f.must(t, f.Note(ctx, store.Action{Key: key, Kind: store.KindReboot, Issue: s.Ref.ID, RunID: s.Ref.Run, Node: x.host, Site: x.site, Reason: "down for long", Outcome: store.Done, Detail: "outlet cycled and read back on; the device said " + evil}))
			s.Ran(at, issue.Result{Outcome: issue.Acted, Reason: "done, " + evil, Power: issue.Cycled})
			at = at.Add(time.Duration(n+1) * 20 * time.Hour)
		}
		s.Ran(noon.Add(-time.Hour), issue.Result{Outcome: issue.Wait, Reason: "the site was written to a day ago; it waits", Until: noon.Add(5 * time.Hour), Check: "notice"})
		f.must(t, f.SaveIssue(ctx, s, noon))
	}
	f.must(t, f.Note(ctx, store.Action{Key: "site/huji/mail/1", Kind: store.KindNotice, Issue: "nodedown/planetlab1.huji.example", RunID: "run-1", Node: "planetlab1.huji.example", Site: "huji",
		Reason: "planetlab1.huji.example does not answer", Outcome: store.Sent, Data: []byte(`{"message":{"Subject":"[huji] planetlab1 does not answer ` + `<script>alert(9)</script>","Text":"Hello,\n\nit does not answer.\n<script>alert(1)</script>","To":["tech@huji.example"]}}`)}))
}

// visitor is somebody with a browser that has no scripts.
type visitor struct {
	t    testing.TB
	http *http.Client
	base string
}

func (f *fixture) visitor(t testing.TB) *visitor {
	jar, err := cookiejar.New(nil)
	f.must(t, err)
	return &visitor{t: t, base: f.http.URL, http: &http.Client{Jar: jar, Timeout: 20 * time.Second}}
}

// get reads a page, following where it leads.
func (v *visitor) get(path string) (code int, body string) {
	v.t.Helper()
	resp, err := v.http.Get(v.base + path)
	if err != nil {
		v.t.Fatal(err)
	}
	return readAll(v.t, resp)
}

// part reads what an open page reads when something has changed.
func (v *visitor) part(path string) (code int, body string) {
	v.t.Helper()
	req, err := http.NewRequest(http.MethodGet, v.base+path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("HX-Request", "true")
	resp, err := v.http.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	return readAll(v.t, resp)
}

func (v *visitor) post(path string, form url.Values, header ...string) (code int, body string) {
	v.t.Helper()
	req, err := http.NewRequest(http.MethodPost, v.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := v.http.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	return readAll(v.t, resp)
}

func readAll(t testing.TB, resp *http.Response) (int, string) {
	t.Helper()
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	return resp.StatusCode, b.String()
}

func (v *visitor) signIn(account string) (int, string) {
	v.t.Helper()
	return v.post("/sign-in", url.Values{"account": {account}, "password": {"pw of " + account}})
}

// as is a visitor who is signed in.
func (f *fixture) as(t testing.TB, account string) *visitor {
	t.Helper()
	v := f.visitor(t)
	if code, body := v.signIn(account); code != http.StatusOK || strings.Contains(body, "was not accepted") {
		t.Fatalf("%s is not let in: %d %s", account, code, body)
	}
	return v
}

var _ = access.AllSites

func actionsAll() store.ActionFilter { return store.ActionFilter{Limit: 1000} }

// noted is a line of the ledger.
func noted(site, why string) store.Action {
	return store.Action{Key: "test/" + why, Kind: store.KindFlag, Site: site, Reason: why, Outcome: store.Done}
}

func fixtureDown() policy.Record { return policy.Record{Status: policy.StatusDown, Changed: noon} }

func fixtureControl() store.Control {
	return store.Control{Name: store.ControlOf(store.ControlMode, store.PartSite, "s1"), Value: "observe", By: "ann", Reason: time.Now().String()}
}
