package links

import (
	"bytes"
	"context"
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
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed/pglocal"
)

func TestMain(m *testing.M) { os.Exit(pglocal.Main(m)) }

const host, id = "planetlab1.princeton.example", "nodedown/planetlab1.princeton.example"

// linked is a server with an open issue, and what was pledged there.
type linked struct {
	t       *testing.T
	db      *store.Store
	pg      *pgx.Conn
	url     string
	links   access.Links
	pledged []orders.Order
	until   []time.Time
}

func serve(t *testing.T) *linked {
	t.Helper()
	ctx, pg := t.Context(), pglocal.ForTest(t)
	db, err := store.Open(ctx, store.Options{URL: pg, Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	s := &linked{t: t, db: db}
	s.must(db.Migrate(ctx))
	_, err = db.SaveSnapshot(ctx, plc.Snapshot{Taken: time.Now(), Sites: []plc.Site{{SiteID: 1, LoginBase: "princeton", Enabled: true}},
		Nodes: []plc.Node{{NodeID: 10, Hostname: host, SiteID: 1, BootState: "boot"}}}, true)
	s.must(err)
	s.pg, err = pgx.Connect(ctx, pg)
	s.must(err)
	t.Cleanup(func() { _ = s.pg.Close(context.Background()) })
	s.exec(`insert into issue (id, run_id, type, target, node, site, pcu, status, rung, level, opened, next, outcome, cause)
		values ($1, 'run-1', 'nodedown', $2, $2, 'princeton', 0, 'open', 'reboot', 1, now() - interval '1 day', 'reboot', '',
		'it is silent <script>alert(1)</script>')`, id, host)
	s.links, err = access.NewLinks(bytes.Repeat([]byte{7}, 32))
	s.must(err)
	server := httptest.NewServer(New(Options{
		Store: db, Links: s.links, Log: slog.New(slog.DiscardHandler),
		Pledge: func(_ context.Context, o orders.Order, issue string, until time.Time) (orders.Receipt, error) {
			if issue != id {
				t.Errorf("pledged is %s", issue)
			}
			if !until.After(time.Now()) {
				return orders.Receipt{}, &orders.Error{Kind: orders.Invalid, Err: io.ErrUnexpectedEOF}
			}
			before := len(s.pledged) > 0 && s.pledged[0].Key == o.Key
			s.pledged, s.until = append(s.pledged, o), append(s.until, until)
			return orders.Receipt{Before: before}, nil
		},
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *linked) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *linked) exec(sql string, args ...any) {
	s.t.Helper()
	_, err := s.pg.Exec(s.t.Context(), sql, args...)
	s.must(err)
}

// link is one as a mail has it.
func (s *linked) link(change ...func(*access.Link)) string {
	k := access.Link{Issue: id, Site: "princeton", Made: time.Now(), Expires: time.Now().Add(access.LinkGood)}
	for _, c := range change {
		c(&k)
	}
	return s.links.Make(k)
}

func (s *linked) get(link string) (int, string, http.Header) {
	s.t.Helper()
	r, err := http.Get(s.url + Prefix + link)
	s.must(err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	s.must(err)
	return r.StatusCode, string(b), r.Header
}

func (s *linked) post(link string, form url.Values) (int, string) {
	s.t.Helper()
	r, err := http.PostForm(s.url+Prefix+link, form)
	s.must(err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	s.must(err)
	return r.StatusCode, string(b)
}

func friday() url.Values {
	return url.Values{"do": {"pledge"}, "until": {time.Now().AddDate(0, 0, 5).Format(time.DateOnly)}, "name": {"Tom"},
		"reason": {"a new disk is ordered"}}
}

func TestToOpenALinkChangesNothing(t *testing.T) {
	s := serve(t)
	for range 5 { // as mail scanners do
		status, page, header := s.get(s.link())
		if status != 200 || !strings.Contains(page, "I am at it") || !strings.Contains(page, host) || strings.Contains(page, "Reboot it now") {
			t.Fatalf("%d %s", status, page)
		}
		if strings.Contains(page, "<script>") || header.Get("Referrer-Policy") != "no-referrer" ||
			header.Get("Cache-Control") != "no-store" || !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%v %s", header, page)
		}
	}
	r, err := http.Head(s.url + Prefix + s.link())
	s.must(err)
	r.Body.Close()
	orders, err := s.db.Actions(t.Context(), store.ActionFilter{})
	if err != nil || len(orders)+len(s.pledged) != 0 {
		t.Errorf("something was ordered: %v, %v, %v", orders, s.pledged, err)
	}
}

func TestTheButtonActsForThePeopleOfTheSiteAndOnce(t *testing.T) {
	s := serve(t)
	link := s.link()
	status, page := s.post(link, friday())
	if status != 200 || !strings.Contains(page, "Thank you. Monitor leaves "+host+" alone until "+friday().Get("until")) {
		t.Fatalf("%d %s", status, page)
	}
	o := s.pledged[0]
	if o.Who.Role != access.Site || o.Who.String() != "Tom, as link mailed to princeton" || o.Who.SignIn != access.ByLink ||
		o.Who.From != "127.0.0.1" || o.Reason != "a new disk is ordered" || len(o.Who.Sites) != 1 {
		t.Errorf("%+v", o)
	}
	if status, page = s.post(link, friday()); status != 200 || !strings.Contains(page, "ordered by this link already") || s.pledged[1].Key != o.Key {
		t.Errorf("pressed again: %d %s", status, page)
	}
	if s.post(s.link(func(k *access.Link) { k.Made = k.Made.Add(-time.Hour) }), friday()); s.pledged[2].Key == o.Key {
		t.Error("another link gives the same order")
	}
}

func TestALinkThatIsOverForgedOrOfAnotherLifeActsNot(t *testing.T) {
	s := serve(t)
	for name, c := range map[string]struct {
		link   string
		status int
		says   string
	}{
		"forged":         {s.link()[:40] + "AAAA.AAAA", 404, "This is no link of ours"},
		"a path":         {"..%2f..%2fapi%2fv1%2fstatus", 404, "This is no link of ours"},
		"over":           {s.link(func(k *access.Link) { k.Expires = time.Now().Add(-time.Second) }), 410, "This link is over"},
		"made before":    {s.link(func(k *access.Link) { k.Made = time.Now().AddDate(0, 0, -3) }), 410, "This is over"},
		"a foreign site": {s.link(func(k *access.Link) { k.Site = "epfl" }), 410, "This is over"},
		"no such issue":  {s.link(func(k *access.Link) { k.Issue = "nodedown/nobody" }), 410, "This is over"},
	} {
		status, page, _ := s.get(c.link)
		posted, _ := s.post(c.link, friday())
		if status != c.status || posted != c.status || !strings.Contains(page, c.says) || strings.Contains(page, "<form") {
			t.Errorf("%s: %d, %d, %s", name, status, posted, page)
		}
	}
	s.exec(`update issue set status = 'closed', closed = now()`)
	if status, page, _ := s.get(s.link()); status != 410 || !strings.Contains(page, "There is nothing to do") {
		t.Errorf("closed: %d %s", status, page)
	}
	if len(s.pledged) != 0 {
		t.Errorf("pledged was %v", s.pledged)
	}
}

func TestAFormThatCannotBeMeantIsAnsweredInWords(t *testing.T) {
	s := serve(t)
	for name, form := range map[string]url.Values{
		"no day": {"do": {"pledge"}}, "a day that is none": {"do": {"pledge"}, "until": {"soon"}},
		"a day that is over": {"do": {"pledge"}, "until": {"2020-01-01"}},
		"no button":          {}, "a button that is not there": {"do": {"reboot"}}, "another order": {"do": {"close"}},
	} {
		if status, page := s.post(s.link(), form); status < 400 || !strings.Contains(page, `class="bad"`) {
			t.Errorf("%s: %d %s", name, status, page)
		}
	}
	if status, _ := s.post(s.link(), url.Values{"reason": {strings.Repeat("x", 10_000)}}); status < 400 {
		t.Errorf("a large form: %d", status)
	}
	if len(s.pledged) != 0 {
		t.Errorf("pledged was %v", s.pledged)
	}
}
