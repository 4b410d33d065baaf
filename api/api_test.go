package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed/pglocal"
)

func TestMain(m *testing.M) { os.Exit(pglocal.Main(m)) }

// The two sites of the tests, and a node of each.
const (
	mine, foreign = "princeton", "epfl"
	password      = "open sesame" // of a PCU
)

func nodeOf(site string) string { return "planetlab1." + site + ".example" }

// served is an API on a store with two sites.
type served struct {
	t    *testing.T
	db   *store.Store
	pg   string
	url  string
	http *http.Client
}

// serveAPI starts it; without a client of Temporal.
func serveAPI(t *testing.T, change ...func(*Options)) *served {
	t.Helper()
	pg := pglocal.ForTest(t)
	db, err := store.Open(t.Context(), store.Options{URL: pg, Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	s := &served{t: t, db: db, pg: pg}
	s.fill()
	o := Options{Store: db, Who: NewTokens(db, false, time.Now), Log: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&o)
	}
	server := httptest.NewUnstartedServer(New(o))
	server.Config.ReadTimeout, server.Config.WriteTimeout = 7*time.Second, 15*time.Second // shorter than some streams
	server.Start()
	t.Cleanup(server.Close)
	s.url, s.http = server.URL, server.Client()
	return s
}

func (s *served) fill() {
	s.t.Helper()
	ctx, now := s.t.Context(), time.Now()
	s.must(s.db.Migrate(ctx))
	_, err := s.db.SaveSnapshot(ctx, plc.Snapshot{
		Taken: now,
		Sites: []plc.Site{{SiteID: 1, LoginBase: mine, Name: "Princeton", Enabled: true}, {SiteID: 2, LoginBase: foreign, Enabled: true}},
		Nodes: []plc.Node{
			{NodeID: 10, Hostname: nodeOf(mine), SiteID: 1, BootState: "boot", PCUIDs: []int{5}, Ports: []int{3}},
			{NodeID: 12, Hostname: nodeOf(foreign), SiteID: 2, BootState: "boot", PCUIDs: []int{6}, Ports: []int{3}},
		},
		PCUs: []plc.PCU{
			{PCUID: 5, SiteID: 1, Hostname: "pcu1.princeton.example", Password: password, Model: "APCControl12p3"},
			{PCUID: 6, SiteID: 2, Hostname: "pcu1.epfl.example", Password: password, Model: "APCControl12p3"},
		},
	}, true)
	s.must(err)
	s.must(s.db.SayConfigured(ctx, policy.ModeAct, "worker1"))
	for _, site := range []string{mine, foreign} {
		s.sql(`insert into issue (id, run_id, type, target, node, site, pcu, status, rung, level, opened, next,
			outcome, cause) values ($1, 'run-1', 'nodedown', $2, $2, $3, 5, 'open', 'reboot', 1, now(), 'reboot', '', 'it is silent')`,
			"nodedown/"+nodeOf(site), nodeOf(site), site)
		s.must(s.db.Note(ctx, store.Action{Key: "reboot of " + site, Kind: store.KindReboot, Node: nodeOf(site), Site: site,
			Issue: "nodedown/" + nodeOf(site), Reason: "it is silent", Outcome: store.Done}))
	}
	s.must(s.db.Note(ctx, store.Action{Key: "guard", Kind: store.KindGuard, Reason: "half the fleet is gone", Outcome: store.Done}))
}

// sql changes the store behind its back.
func (s *served) sql(text string, args ...any) {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.pg)
	s.must(err)
	defer conn.Close(s.t.Context())
	_, err = conn.Exec(s.t.Context(), text, args...)
	s.must(err)
}

func (s *served) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// token makes a token for a role at some sites.
func (s *served) token(name string, role access.Role, sites ...string) string {
	s.t.Helper()
	root := access.Who{Account: "root", Role: access.Admin, Sites: []string{access.AllSites}}
	_, _, text, err := orders.Desk{Store: s.db}.AddToken(s.t.Context(), orders.Order{Who: root}, name, role, sites,
		time.Now().Add(time.Hour))
	s.must(err)
	return text
}

// got is an answer.
type got struct {
	status int
	header http.Header
	body   string
}

// problem is the type of a problem, without what all types have in common.
func (g got) problem() string {
	var p struct {
		Type   string `json:"type"`
		Status int    `json:"status"`
	}
	if json.Unmarshal([]byte(g.body), &p) != nil || p.Status != g.status ||
		g.header.Get("Content-Type") != "application/problem+json" {
		return ""
	}
	return strings.TrimPrefix(p.Type, Prefix+"/docs#problem-")
}

func (g got) read(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(g.body), v); err != nil {
		t.Fatalf("%v: %d %s", err, g.status, g.body)
	}
}

// ask sends a request; body is sent as JSON unless it is nil.
func (s *served) ask(token, method, path string, body any, headers ...string) got {
	s.t.Helper()
	var text io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		s.must(err)
		text = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+Prefix+path, text)
	s.must(err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
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

func (s *served) orders() []store.Action {
	s.t.Helper()
	list, err := s.db.Actions(s.t.Context(), store.ActionFilter{Kind: store.KindOrder, Limit: 1000})
	s.must(err)
	return list
}

type object = map[string]any

func TestAnOrderIsGivenOnceUnderItsKeyAndStandsInTheLedger(t *testing.T) {
	s := serveAPI(t)
	admin := s.token("ops", access.Admin, access.AllSites)
	before := len(s.orders())
	body := object{"reason": "power works", "by": "alice"}
	if g := s.ask(admin, "POST", "/stop?dryRun=true", body); g.status != 200 || !strings.Contains(g.body, `"dry_run":true`) {
		t.Fatalf("%+v", g)
	}
	if len(s.orders()) != before {
		t.Fatal("a dry run was carried out")
	}
	var first, second struct {
		Key, Does string
		Before    bool
		Controls  struct{ Stopped string }
	}
	s.ask(admin, "POST", "/stop", body, "Idempotency-Key", "k1").read(t, &first)
	if first.Key != "order/token ops/k1" || first.Before || !strings.HasPrefix(first.Controls.Stopped, "power works (alice, as token ops") {
		t.Errorf("%+v", first)
	}
	s.ask(admin, "POST", "/start", object{"reason": "the power is back"})
	s.ask(admin, "POST", "/stop", body, "Idempotency-Key", "k1").read(t, &second)
	if !second.Before || second.Controls.Stopped != "" {
		t.Errorf("what was sent again was carried out again: %+v", second)
	}
	if g := s.ask(admin, "POST", "/stop", object{"reason": "fire"}, "Idempotency-Key", "k1"); g.problem() != "key-reused" {
		t.Errorf("%+v", g)
	}
	line, err := s.db.Action(t.Context(), first.Key)
	s.must(err)
	var data map[string]any
	s.must(json.Unmarshal(line.Data, &data))
	if data["by"] != "alice, as token ops" || data["sign_in"] != "token" || data["from"] != "127.0.0.1" || data["role"] != "admin" {
		t.Errorf("the ledger says %v", data)
	}
}

func TestAChangeInViewOfWhatIsNoLongerSoIsRefused(t *testing.T) {
	s := serveAPI(t)
	admin := s.token("ops", access.Admin, access.AllSites)
	seen := s.ask(admin, "GET", "/controls", nil).header.Get("ETag")
	if g := s.ask(admin, "POST", "/stop", object{"reason": "fire"}, "If-Match", seen); g.status != 200 {
		t.Fatalf("%+v", g)
	}
	if g := s.ask(admin, "POST", "/mode", object{"mode": "observe"}, "If-Match", seen); g.problem() != "changed" {
		t.Errorf("%+v", g)
	}
	now := s.ask(admin, "GET", "/controls", nil).header.Get("ETag")
	if g := s.ask(admin, "POST", "/mode", object{"mode": "observe"}, "If-Match", now); g.status != 200 {
		t.Errorf("%+v", g)
	}
}

func TestAListIsReadPageByPage(t *testing.T) {
	s := serveAPI(t)
	admin := s.token("ops", access.Admin, access.AllSites)
	for i := range 25 {
		s.must(s.db.Note(t.Context(), store.Action{Key: fmt.Sprintf("note %02d", i), Kind: store.KindGuard, Outcome: store.Done}))
	}
	type page struct {
		Items []struct{ Key string }
		Next  string
	}
	seen := map[string]int{}
	path := "/ledger?limit=10&filter=kind%3Dguard"
	cursor := ""
	for range 10 {
		var p page
		g := s.ask(admin, "GET", path+cursor, nil)
		g.read(t, &p)
		for _, i := range p.Items {
			seen[i.Key]++
		}
		if cursor = "&cursor=" + p.Next; p.Next == "" {
			break
		}
		if !strings.Contains(g.header.Get("Link"), `rel="next"`) {
			t.Errorf("no link: %v", g.header)
		}
		// what comes meanwhile moves nothing
		s.must(s.db.Note(t.Context(), store.Action{Key: fmt.Sprint("later ", cursor), Kind: store.KindGuard, Outcome: store.Done}))
	}
	for i := range 25 {
		if seen[fmt.Sprintf("note %02d", i)] != 1 {
			t.Errorf("note %d was told %d times", i, seen[fmt.Sprintf("note %02d", i)])
		}
	}
	for filter, want := range map[string]int{`key == "note 00"`: 1, `key == "note 99"`: 0} { // the oldest of all, far behind the first page
		var p page
		if s.ask(admin, "GET", "/ledger?limit=1&filter="+url.QueryEscape(filter), nil).read(t, &p); len(p.Items) != want || p.Next != "" {
			t.Errorf("%s: %+v", filter, p)
		}
	}
	var p page
	s.ask(admin, "GET", path, nil).read(t, &p)
	for name, query := range map[string]string{
		"of another filter": "/ledger?filter=kind%3Dreboot&cursor=" + p.Next,
		"of another list":   "/issues?filter=kind%3Dguard&cursor=" + p.Next,
		"made up":           "/ledger?cursor=abc",
	} {
		if g := s.ask(admin, "GET", query, nil); g.problem() != "invalid" && g.problem() != "malformed" {
			t.Errorf("a cursor %s: %+v", name, g)
		}
	}
}

func TestTheStatusNamesServersThatAreAway(t *testing.T) {
	s := serveAPI(t)
	admin := s.token("ops", access.Admin, access.AllSites)
	away := func() (list []store.Away) {
		var v struct{ Away []store.Away }
		s.ask(admin, "GET", "/status", nil).read(t, &v)
		return v.Away
	}
	s.must(s.db.SayAway(t.Context(), store.ServerTracker, "503", now()))
	if list := away(); len(list) != 1 || list[0].Server != store.ServerTracker || list[0].Why != "503" {
		t.Errorf("%+v", list)
	}
	s.must(s.db.SayBack(t.Context(), store.ServerTracker))
	if list := away(); len(list) != 0 {
		t.Errorf("it is back: %+v", list)
	}
}

func TestNodesAndTheHistoryAreReadPageByPage(t *testing.T) {
	s := serveAPI(t)
	s.sql(`insert into node (node_id, hostname, site, ip, boot_state, model, pcu_id, outlet, feeds, status)
		select 1000 + n, 'n' || n || '.example', case when n % 3 = 0 then 'epfl' else 'princeton' end, '', 'boot', '', 0, 0, '[]',
		case when n % 2 = 0 then 'down' else 'good' end from generate_series(1, 30) n`)
	s.sql(`insert into history (at, kind, target, was, became, reason) select now(), 'node', 'n' || n || '.example', 'good', 'down', 'x'
		from generate_series(1, 30) n`)
	all := s.token("ops", access.Admin, access.AllSites)
	own := s.token("tech", access.Site, mine)
	for _, c := range []struct {
		token, path string
		want        int
	}{
		{all, "/nodes?limit=7", 32}, {own, "/nodes?limit=7", 21}, {all, "/nodes?limit=4&filter=status%3Ddown", 15},
		{own, "/nodes?limit=4&filter=status%3Ddown", 10}, {all, "/history?limit=7", 30}, {own, "/history?limit=7", 20},
		{all, "/history?limit=7&target=n5.example", 1},
	} {
		told, last := map[string]int{}, ""
		for cursor, pages := "", 0; pages < 20; pages++ {
			var p struct {
				Items []struct{ Name, Target, Site, Status string }
				Next  string
			}
			s.ask(c.token, "GET", c.path+cursor, nil).read(t, &p)
			for _, i := range p.Items {
				key := i.Site + " " + i.Name
				if told[key+i.Target]++; i.Name != "" && (key <= last || i.Name[0] == 'n' && i.Status == "") {
					t.Errorf("%s: %s comes after %s, or lacks its status %q", c.path, key, last, i.Status)
				}
				last = key
			}
			if cursor = "&cursor=" + p.Next; p.Next == "" {
				break
			}
		}
		if len(told) != c.want {
			t.Errorf("%s tells of %d, not %d: %v", c.path, len(told), c.want, told)
		}
		for key, n := range told {
			if n != 1 {
				t.Errorf("%s tells %d times of %s", c.path, n, key)
			}
		}
	}
}

func TestAFilterIsThatOfTheCommandLine(t *testing.T) {
	s := serveAPI(t, func(o *Options) { o.Groups = map[string]string{"east": "site=princeton"} })
	admin := s.token("ops", access.Admin, access.AllSites)
	for filter, want := range map[string]string{
		"":                               nodeOf(foreign) + " " + nodeOf(mine),
		"site=princeton":                 nodeOf(mine),
		"@east":                          nodeOf(mine),
		`site == "epfl" && !blacklisted`: nodeOf(foreign),
		"site=nowhere":                   "",
		nodeOf(mine):                     nodeOf(mine),
	} {
		r, err := http.NewRequest("GET", "/", nil)
		s.must(err)
		q := r.URL.Query()
		q.Set("filter", filter)
		var p struct{ Items []struct{ Name string } }
		s.ask(admin, "GET", "/nodes?"+q.Encode(), nil).read(t, &p)
		var names []string
		for _, n := range p.Items {
			names = append(names, n.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%q selects %q, not %q", filter, got, want)
		}
	}
	for filter, want := range map[string]string{
		"nosuch=1": "invalid", "nobody.example": "not-found", "file:/etc/passwd": "invalid",
		"site ==": "invalid",
	} {
		g := s.ask(admin, "GET", "/nodes?filter="+strings.NewReplacer("=", "%3D", " ", "%20", "/", "%2F", ":", "%3A").Replace(filter), nil)
		if g.problem() != want {
			t.Errorf("%q: %+v", filter, g)
		}
	}
}
