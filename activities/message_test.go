package activities

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/notify/proof"
	"github.com/planetlab/monitor/notify/rt"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed/fakert"
	"github.com/planetlab/monitor/testbed/mailbox"
	"github.com/planetlab/monitor/testbed/pglocal"
)

// people is a site with its contacts in a real Postgres, a real mail server, and a simulated tracker.
type people struct {
	*Groups
	*ledger
	t       *testing.T
	box     *mailbox.Mailbox
	tracker *fakert.Server
	denies  atomic.Int32 // the status with which the tracker answers what writes; 0: it does not deny it
}

var persons = []plc.Person{
	{PersonID: 1, Email: "tech@huji.example", Roles: []string{"tech"}, SiteIDs: []int{1}},
	{PersonID: 2, Email: "pi@huji.example", Roles: []string{"pi"}, SiteIDs: []int{1}},
	{PersonID: 3, Email: "user@huji.example", Roles: []string{"user"}, SiteIDs: []int{1}},
	{PersonID: 4, Email: "exempt@huji.example", Roles: []string{"tech", "pi", "user"}, SiteIDs: []int{1}},
}

func newPeople(t *testing.T, mode string) *people {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{URL: pglocal.ForTest(t), Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	box, err := mailbox.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	sender, err := notify.NewSender(notify.Options{Addr: box.Addr(), From: "monitor@plc.example", TLS: notify.TLSNone,
		Mode: mode, TestAddress: "tester@plc.example", Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	p := &people{t: t, box: box, Groups: New(Options{
		Store: db, Mail: sender, Policy: policy.Defaults(24 * time.Hour), Log: slog.New(slog.DiscardHandler),
		Mode: mode, TestTo: "tester@plc.example", Domain: "plc.example", SweepEvery: time.Minute,
	})}
	p.ledger = p.People.ledger
	t.Cleanup(p.prove)
	p.exempt(map[int]time.Time{4: time.Now().Add(48 * time.Hour)})
	p.swept(true)
	return p
}

// swept ends a sweep that is believed, or is not.
func (p *people) swept(believed bool) {
	p.t.Helper()
	w, err := p.Store.StartSweep(context.Background(), fmt.Sprint("sweep/", time.Now().UnixNano()))
	if err == nil {
		w.Believed, w.Reason = believed, "half the fleet is gone"
		err = p.Store.EndSweep(context.Background(), w)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// exempt says who must not be written to, as PLC's tags do.
func (p *people) exempt(who map[int]time.Time) {
	p.t.Helper()
	p.contacts(persons, who)
}

// contacts says whom PLC has at the site.
func (p *people) contacts(persons []plc.Person, who map[int]time.Time) {
	p.t.Helper()
	_, err := p.Store.SaveSnapshot(context.Background(), plc.Snapshot{
		Taken: time.Now(), Sites: []plc.Site{{SiteID: 1, LoginBase: "huji", Name: "Hebrew University", Enabled: true}},
		Nodes: []plc.Node{{NodeID: 1, Hostname: "planetlab1.huji.example", SiteID: 1},
			{NodeID: 2, Hostname: "planetlab2.huji.example", SiteID: 1}}, Persons: persons, PersonExempt: who,
	}, true)
	if err != nil {
		p.t.Fatal(err)
	}
}

// withTracker gives the site's people a tracker as well.
func (p *people) withTracker() *people {
	p.t.Helper()
	p.tracker = fakert.New(fakert.Options{Users: map[string]string{"token": "monitor"}, Queue: "q"})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if code := int(p.denies.Load()); code != 0 && r.Method != http.MethodGet {
			w.WriteHeader(code)
			return
		}
		p.tracker.ServeHTTP(w, r)
	}))
	p.t.Cleanup(server.Close)
	var err error
	if p.People.RT, err = rt.New(rt.Options{URL: server.URL, Token: "token", Queue: "q"}); err != nil {
		p.t.Fatal(err)
	}
	return p
}

// prove holds every message in the ledger against its facts.
func (p *people) prove() {
	p.t.Helper()
	proveAll(p.t, p.Store)
}

// proveAll holds every message in a ledger against its facts, and answers how many there are.
func proveAll(t *testing.T, db *store.Store) (proven int) {
	t.Helper()
	list, err := db.Actions(context.Background(), store.ActionFilter{Limit: 10_000})
	if err != nil {
		t.Error(err)
	}
	for _, action := range list {
		var l wording
		if len(action.Data) == 0 {
			continue
		}
		if err := json.Unmarshal(action.Data, &l); err != nil {
			t.Error(err)
		}
		if l.Message.MessageID == "" { // its data are of another kind
			continue
		}
		proven++
		for _, wrong := range proof.Check(l.Facts, l.Message) {
			t.Errorf("%s: %s\n%s\n\n%s", action.Key, wrong, l.Message.Subject, l.Message.Text)
		}
	}
	return proven
}

// digested has the admins told of all that was flagged, without the wait for more.
func (p *people) digested() {
	p.t.Helper()
	p.Policy.GroupWait = 0
	if err := p.People.post.digest(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

func (p *people) write(in sites.MailRequest) sites.MailResult {
	p.t.Helper()
	in.Site = "huji"
	if in.Notices == nil {
		in.Notices = []sites.Notice{down(1)}
	}
	res, err := p.People.WriteToSite(p.t.Context(), in)
	if err != nil {
		p.t.Fatal(err)
	}
	return res
}

func down(n int) sites.Notice {
	host := fmt.Sprintf("planetlab%d.huji.example", n)
	return sites.Notice{Ref: issue.Ref{ID: "nodedown/" + host, Type: issue.NodeDown, Node: host, Site: "huji"},
		Kind: "down", Since: time.Now().Add(-72 * time.Hour), Evidence: []string{"no ssh"}}
}

// to lists the envelopes of all mail.
func (p *people) to() string {
	var all []string
	for _, m := range p.box.Messages() {
		all = append(all, strings.Join(m.To, " "))
	}
	return strings.Join(all, "; ")
}

func (p *people) watchers() string {
	list := p.tracker.Tickets()
	if len(list) != 1 {
		p.t.Fatalf("%d tickets", len(list))
	}
	slices.Sort(list[0].Cc)
	return strings.Join(list[0].Cc, " ")
}

// last is the newest line of the ledger.
func (p *people) last() store.Action {
	list, err := p.Store.Actions(p.t.Context(), store.ActionFilter{Limit: 1})
	if err != nil || len(list) != 1 {
		p.t.Fatalf("ledger: %v, %v", list, err)
	}
	return list[0]
}

func TestMailWidensWithTheLevelAndNeverReachesTheExempt(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	for level, want := range []string{"tech@huji.example", "pi@huji.example tech@huji.example",
		"pi@huji.example tech@huji.example user@huji.example"} {
		p.box.Messages()
		n := down(1)
		n.Kind = []string{"down", "penalty", "pcudown"}[level] // none repeats another
		n.Level = level
		if res := p.write(sites.MailRequest{Key: fmt.Sprint("k", level), Level: level, Reaches: level,
			Notices: []sites.Notice{n}}); res.Outcome != sites.MailSent || !res.Reached {
			t.Errorf("level %d: %+v", level, res)
		}
		list := p.box.Messages()
		if got := strings.Join(list[len(list)-1].To, " "); got != want {
			t.Errorf("level %d went to %q, want %q", level, got, want)
		}
	}
	if strings.Contains(p.to(), "exempt") || !strings.Contains(p.last().Detail, "1 exempt people left out") {
		t.Errorf("to %s; ledger %+v", p.to(), p.last())
	}
}

func TestWhereTheTechnicianIsExemptTheNextOneHearsOfItFirst(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.exempt(map[int]time.Time{1: time.Now().Add(time.Hour), 4: time.Now().Add(time.Hour)})
	if res := p.write(sites.MailRequest{Key: "k"}); res.Outcome != sites.MailSent || p.to() != "pi@huji.example" {
		t.Errorf("%+v, to %q", res, p.to())
	}
}

func TestWhereNobodyCanBeReachedTheAdminsAreToldOnceAndNobodyCountsAsTold(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.People.post.Admins = []string{"noc@plc.example"}
	soon := time.Now().Add(time.Hour)
	p.exempt(map[int]time.Time{1: soon, 2: soon, 3: soon, 4: soon})
	for n := range 2 {
		res := p.write(sites.MailRequest{Key: fmt.Sprint("k", n)})
		if res.Outcome != sites.MailNobody || res.Reached ||
			!strings.Contains(res.Reason, "nobody at the site can be written to") {
			t.Errorf("%+v", res)
		}
	}
	p.digested()
	if p.to() != "noc@plc.example" {
		t.Errorf("mail to %q", p.to())
	}
}

func TestAStepIsAnnouncedOnlyIfItCanCome(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	in := time.Now().Add(7 * 24 * time.Hour)
	request := func(key string, n int) sites.MailRequest {
		return sites.MailRequest{Key: key, Notices: []sites.Notice{down(n)},
			Threat: &sites.Threat{Level: 1, NotBefore: in},
			Coming: []sites.Coming{{At: in, What: sites.ComesStep, Level: 1,
				Targets: []string{"planetlab1.huji.example"}}, {At: in, What: sites.ComesWord}}}
	}
	if res := p.write(request("enough", 1)); res.Threatened ||
		strings.Contains(p.box.Messages()[0].Body, "cannot create") {
		t.Errorf("a site with enough nodes is threatened: %+v", res)
	}
	var changes []store.Change
	for n := 1; n <= 2; n++ {
		changes = append(changes, store.Change{Kind: "node", Target: fmt.Sprintf("planetlab%d.huji.example", n),
			Record: policy.Record{Status: policy.StatusDown, Changed: time.Now()}})
	}
	since := time.Now().Add(-time.Hour)
	changes = append(changes, store.Change{Kind: "site", Target: "huji",
		Record: policy.Record{Status: policy.StatusOffline, Changed: since}})
	if err := p.Store.SaveChanges(t.Context(), changes, time.Now()); err != nil {
		t.Fatal(err)
	}
	res := p.write(request("short", 2))
	if !res.Threatened || res.NotBefore.Before(since.Add(p.Policy.SiteDownBeforePenalty).Add(-time.Second)) ||
		!strings.Contains(p.box.Messages()[1].Body, "Not before") {
		t.Errorf("a site that is short of nodes is not told: %+v\n%s", res, p.box.Messages()[1].Body)
	}
}

// What is said of the next step, or after a pause, names the machines, also where nothing is denied yet.
func TestAWordOfTheSiteNamesItsMachines(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.short()
	at := time.Now().Add(7 * 24 * time.Hour)
	var holds []sites.Hold
	for n, told := range []bool{true, false} {
		h := sites.Hold{Ref: down(n + 1).Ref, Told: told}
		holds = append(holds, h)
	}
	threat := &sites.Threat{Level: 1, NotBefore: at, Issues: []string{holds[1].Ref.ID},
		Targets: []string{holds[1].Ref.Target()}}
	coming := []sites.Coming{{At: at, What: sites.ComesStep, Level: 1, Targets: threat.Targets}}
	for kind, want := range map[string]string{sites.Warn: "planetlab2", sites.Resumed: "planetlab1"} {
		res := p.write(sites.MailRequest{Key: kind, Notices: []sites.Notice{{Kind: kind, Since: time.Now()}}, Holds: holds,
			Open: 2, Threat: threat, Coming: coming})
		box := p.box.Messages()
		body, _, _ := strings.Cut(box[len(box)-1].Body, "What happens next")
		for _, name := range []string{"planetlab1", "planetlab2"} {
			if res.Outcome != sites.MailSent || strings.Contains(body, "- "+name) != (name == want) {
				t.Errorf("%s is to name %s: %+v\n%s", kind, want, res, body)
			}
		}
	}
}

// In a pause it is said what comes after it, and nobody counts as threatened with it.
func TestDuringAPauseItIsSaidWhatComesAfterIt(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.short()
	until := time.Now().Add(20 * 24 * time.Hour)
	res := p.write(sites.MailRequest{Key: "k", Holds: []sites.Hold{{Ref: down(1).Ref}}, Open: 1,
		Coming: []sites.Coming{{At: until, What: sites.ComesResume},
			{At: until.Add(p.Policy.PeopleStep), What: sites.ComesStep, Level: 1}}})
	body := p.newest()
	if res.Threatened || !strings.Contains(body, "which is stopped, goes on") || !strings.Contains(body, "(in 27 days)") {
		t.Errorf("%+v\n%s", res, body)
	}
}

// Whoever was told of trouble hears how it ended where nobody mended it, and nothing that is not so by then.
func TestWhatPLCOrTheOperatorsEndedIsToldAsThat(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	ended := func(n int, kind string) sites.Notice {
		notice := down(n)
		notice.Kind, notice.Evidence = kind, nil
		return notice
	}
	if res := p.write(sites.MailRequest{Key: "there", Notices: []sites.Notice{ended(1, sites.Gone)}}); res.Outcome !=
		sites.MailNothing {
		t.Errorf("a node that PLC has is told as gone: %+v", res)
	}
	res := p.write(sites.MailRequest{Key: "gone", Notices: []sites.Notice{ended(9, sites.Gone)}, Open: 1,
		Holds: []sites.Hold{{Ref: down(2).Ref}}})
	m := p.box.Messages()
	if res.Outcome != sites.MailSent || !strings.Contains(m[0].Subject, "planetlab9.huji.example is no longer registered") ||
		!strings.Contains(strings.Join(strings.Fields(m[0].Body), " "), "goes on (planetlab2.huji.example).") {
		t.Errorf("%+v, %+v", res, m)
	}
	if res := p.write(sites.MailRequest{Key: "closed", Notices: []sites.Notice{ended(1, sites.Closed)}}); res.Outcome !=
		sites.MailSent || !strings.Contains(p.box.Messages()[1].Body, "The operators have closed") {
		t.Errorf("%+v, %+v", res, p.box.Messages())
	}
	typ, _ := issue.Lookup(issue.NodeDown)
	open := issue.Start(issue.Opening{Ref: down(1).Ref, Times: issue.TimesOf(p.Policy), Ladder: typ.Ladder}, time.Now())
	if err := p.Store.SaveIssue(t.Context(), open, time.Now()); err != nil {
		t.Fatal(err)
	}
	if res := p.write(sites.MailRequest{Key: "again", Notices: []sites.Notice{ended(1, sites.Closed)}}); res.Outcome !=
		sites.MailNothing {
		t.Errorf("a node with an open issue is told as closed: %+v", res)
	}
}

// A message may be held up for so long that what it was to say of the level is over: then it says nothing of it. Each
// of these could not be rendered once, and its site never wrote to anybody again.
func TestWhatIsOverOfTheLevelIsNotSaid(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	step := []sites.Coming{{At: time.Now().Add(24 * time.Hour), What: sites.ComesStep, Level: 1}}
	for _, c := range []struct {
		name, kind string
		level      int
		coming     []sites.Coming
	}{
		{"a warning, and its issue has let go", sites.Warn, 0, nil},
		{"a warning, and enough nodes are up again", sites.Warn, 0, step},
		{"a penalty, and it is lifted", sites.Penalty, 0, nil},
		{"an easing, and it is lifted", sites.Eased, 0, nil},
		{"an easing, and it is raised again", sites.Eased, 2, nil},
		{"a lifting, and it is raised again", sites.Cleared, 1, nil},
	} {
		res := p.write(sites.MailRequest{Key: c.name, Level: c.level, Coming: c.coming,
			Notices: []sites.Notice{{Kind: c.kind, Level: 1}}})
		if res.Outcome != sites.MailNothing {
			t.Errorf("%s: %+v", c.name, res)
		}
	}
	if n := len(p.box.Messages()); n != 0 {
		t.Errorf("%d mails went out", n)
	}
}

func TestThanksAreNotSaidForWhatIsBadAgainAndCarryNoThreat(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	thanks := down(1)
	thanks.Kind = sites.Online
	is := func(status policy.Status) {
		t.Helper()
		r := policy.Record{Status: status, Changed: time.Now()}
		if err := p.Store.SaveChanges(t.Context(),
			[]store.Change{{Kind: "node", Target: "planetlab1.huji.example", Record: r}}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	coming := []sites.Coming{{At: time.Now().Add(time.Hour), What: sites.ComesStep, Level: 1}}
	is(policy.StatusOffline)
	if res := p.write(sites.MailRequest{Key: "bad", Notices: []sites.Notice{thanks},
		Coming: coming}); res.Outcome != sites.MailNothing || len(p.box.Messages()) != 0 {
		t.Errorf("thanks for a node that is down again: %+v", res)
	}
	is(policy.StatusOnline)
	res := p.write(sites.MailRequest{Key: "good", Notices: []sites.Notice{thanks}, Coming: coming})
	if list := p.box.Messages(); res.Outcome != sites.MailSent || len(list) != 1 ||
		strings.Contains(list[0].Body, "happens next") {
		t.Errorf("%+v, %+v", res, list)
	}
}

func TestWhoBecomesExemptIsTakenFromTheTicket(t *testing.T) {
	p := newPeople(t, notify.ModeLive).withTracker()
	first := p.write(sites.MailRequest{Key: "k1", Reaches: 1})
	if first.Outcome != sites.MailSent || first.Ticket.Robot != "monitor" ||
		p.watchers() != "pi@huji.example tech@huji.example" {
		t.Fatalf("%+v, watchers %s", first, p.watchers())
	}
	p.exempt(map[int]time.Time{2: time.Now().Add(time.Hour), 4: time.Now().Add(time.Hour)})
	second := p.write(sites.MailRequest{Key: "k2", Reaches: 2, Notices: []sites.Notice{down(2)}, Ticket: first.Ticket})
	if second.Outcome != sites.MailSent || p.watchers() != "tech@huji.example user@huji.example" {
		t.Errorf("%+v, watchers %s", second, p.watchers())
	}
	if n := len(p.box.Messages()); n != 0 {
		t.Errorf("%d mails went out beside the ticket", n)
	}
}

func TestInTestModeAllMailGoesToOneAddressAndNobodyCountsAsTold(t *testing.T) {
	p := newPeople(t, notify.ModeTest)
	if res := p.write(sites.MailRequest{Key: "k1", Reaches: 2}); res.Reached {
		t.Errorf("%+v", res)
	}
	if list := p.box.Messages(); p.to() != "tester@plc.example" || !strings.Contains(list[0].Body, "pi@huji.example") {
		t.Errorf("mail to %q", p.to())
	}
	p.withTracker()
	real := sites.Ticket{ID: 77, Robot: "monitor"} // from when the mode was live: real people are on it
	res := p.write(sites.MailRequest{Key: "k2", Reaches: 2, Notices: []sites.Notice{down(2)}, Ticket: real})
	if res.Outcome != sites.MailSent || res.Reached || res.Ticket.ID != 1 || !res.Ticket.Test ||
		p.watchers() != "tester@plc.example" {
		t.Errorf("%+v, watchers %s", res, p.watchers())
	}
}

func TestInObserveModeNothingLeaves(t *testing.T) {
	p := newPeople(t, notify.ModeObserve).withTracker()
	for range 2 {
		res := p.write(sites.MailRequest{Key: "k", Reaches: 2})
		if res.Outcome != sites.MailNothing || p.last().Outcome != store.Skipped ||
			!strings.Contains(p.last().Reason,
				"observe mode: pi@huji.example, tech@huji.example, user@huji.example would be written to") {
			t.Errorf("%+v, ledger %+v", res, p.last())
		}
	}
	for _, do := range []func() error{
		func() error {
			_, err := p.People.LookAtTicket(t.Context(), sites.TicketRequest{Site: "huji", Ticket: sites.Ticket{ID: 1}})
			return err
		},
		func() error {
			_, err := p.People.ResolveTicket(t.Context(),
				sites.TicketRequest{Site: "huji", Key: "r", Ticket: sites.Ticket{ID: 1}})
			return err
		},
		func() error {
			return p.People.NoteTicket(t.Context(),
				sites.TicketRequest{Ticket: sites.Ticket{ID: 1}, Pause: &sites.Pause{}})
		},
	} {
		if err := do(); err != nil {
			t.Error(err)
		}
	}
	if len(p.box.Messages()) != 0 || len(p.tracker.Tickets()) != 0 {
		t.Errorf("%d mails, %d tickets", len(p.box.Messages()), len(p.tracker.Tickets()))
	}
}

// order sets a control as an operator does; an empty value takes it back.
func (p *people) order(name, value string) {
	p.t.Helper()
	if err := p.Store.SetControl(p.t.Context(), store.Control{Name: name, Value: value, By: "ann"}); err != nil {
		p.t.Fatal(err)
	}
}

// An order to observe ends some day: what there was to say until then is said then.
func TestWhatIsObservedByOrderIsSaidLater(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.order(store.ControlMode, "observe")
	if res := p.write(sites.MailRequest{Key: "k"}); res.Outcome != sites.MailWait || len(p.box.Messages()) != 0 ||
		!strings.Contains(res.Reason, "observe mode: tech@huji.example would be written to") {
		t.Errorf("%+v, mail to %q", res, p.to())
	}
	p.order(store.ControlMode, "")
	if res := p.write(sites.MailRequest{Key: "k2"}); res.Outcome != sites.MailSent || len(p.box.Messages()) != 1 {
		t.Errorf("then: %+v, mail to %q", res, p.to())
	}
}

func TestATypeThatIsOnlyLookedAtWaitsAndTheOthersAreSaid(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.short()
	looked, other := down(1), down(2)
	other.Ref.Type, other.Ref.ID = issue.OldBootCD, issue.OldBootCD+"/planetlab2.huji.example"
	in := sites.MailRequest{Key: "k", Notices: []sites.Notice{looked, other},
		Threat: &sites.Threat{Level: 1, Issues: []string{looked.Ref.ID}},
		Coming: []sites.Coming{{At: time.Now().Add(time.Hour), What: sites.ComesStep, Level: 1}}}
	ofType := store.ControlOf(store.ControlMode, store.PartType, issue.NodeDown)
	p.order(ofType, "observe")
	for range 2 { // and a retry
		res := p.write(in)
		if res.Outcome != sites.MailSent || !slices.Equal(res.Waits, []string{looked.Name()}) || res.Threatened {
			t.Errorf("%+v", res)
		}
	}
	if text := p.newest(); len(p.box.Messages()) != 1 || strings.Contains(text, "planetlab1") ||
		!strings.Contains(text, "planetlab2") || strings.Contains(text, "Not before") {
		t.Errorf("%d mails; they read %s", len(p.box.Messages()), text)
	}
	in.Key, in.Notices = "k2", []sites.Notice{looked}
	if res := p.write(in); res.Outcome != sites.MailNothing || len(res.Waits) != 1 {
		t.Errorf("alone: %+v", res)
	}
	p.order(ofType, "")
	if res := p.write(in); res.Outcome != sites.MailSent || len(res.Waits) != 0 || !res.Threatened {
		t.Errorf("when it is acted on again: %+v", res)
	}
}

// What was permitted when a message was made may be forbidden when it is sent again.
func TestWhatIsSentAgainPassesTheGateAgain(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.box.Refuse("pi@huji.example", 451, "greylisted")
	late := sites.LateRequest{Site: "huji", Key: "late", Since: time.Now(),
		To: p.write(sites.MailRequest{Key: "late", Reaches: 1}).Deferred}
	p.box.Accept("pi@huji.example")
	p.box.Drop(1)
	lost := sites.MailRequest{Key: "lost", Notices: []sites.Notice{down(2)}}
	if res := p.write(lost); res.Outcome != sites.MailLost || len(late.To) != 1 {
		t.Fatalf("%+v, late are %q", res, late.To)
	}
	before := len(p.box.Messages())
	for name, c := range map[string]struct{ set, back func() }{
		"stop":         {func() { p.order(store.ControlStop, "stopped") }, func() { p.order(store.ControlStop, "") }},
		"observe mode": {func() { p.order(store.ControlMode, "observe") }, func() { p.order(store.ControlMode, "") }},
		"the guard":    {func() { p.swept(false) }, func() { p.swept(true) }},
		"a type's own mode": {func() { p.order("mode/type/nodedown", "observe") },
			func() { p.order("mode/type/nodedown", "") }},
		"silence about its nodes": {func() {
			for n := 1; n <= 2; n++ {
				if err := p.Store.AddBlacklist(t.Context(), store.BlacklistEntry{Kind: "node",
					Target: fmt.Sprintf("planetlab%d.huji.example", n), Reason: "moved"}); err != nil {
					t.Fatal(err)
				}
			}
		}, func() {
			for n := 1; n <= 2; n++ {
				if err := p.Store.RemoveBlacklist(t.Context(), "node",
					fmt.Sprintf("planetlab%d.huji.example", n)); err != nil {
					t.Fatal(err)
				}
			}
		}},
		"the blacklist": {func() {
			if err := p.Store.AddBlacklist(t.Context(),
				store.BlacklistEntry{Kind: "site", Target: "huji", Reason: "new room"}); err != nil {
				t.Fatal(err)
			}
		}, func() {
			if err := p.Store.RemoveBlacklist(t.Context(), "site", "huji"); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		c.set()
		if left, err := p.People.WriteToTheLate(t.Context(), late); err != nil || !slices.Equal(left, late.To) {
			t.Errorf("%s: the late are %q, %v", name, left, err)
		}
		if res := p.write(lost); res.Outcome != sites.MailHeld || res.Reason == "" {
			t.Errorf("%s: %+v", name, res)
		}
		c.back()
	}
	if n := len(p.box.Messages()); n != before {
		t.Errorf("%d mails went out all the same, to %q", n-before, p.to())
	}
	left, err := p.People.WriteToTheLate(t.Context(), late)
	if res := p.write(lost); err != nil || len(left) > 0 || res.Outcome != sites.MailSent {
		t.Errorf("then: %q, %v, %+v", left, err, res)
	}
}

func TestATrackerThatIsAwayMakesAMessageWaitAndThenItGoesOnce(t *testing.T) {
	p := newPeople(t, notify.ModeLive).withTracker()
	p.tracker.Away(true)
	for n := range 3 {
		if res := p.write(sites.MailRequest{Key: fmt.Sprint("away", n)}); res.Outcome != sites.MailWait ||
			!strings.Contains(res.Reason, "503") {
			t.Fatalf("while it is away: %+v", res)
		}
	}
	if away := p.away(); len(away) != 1 || away[0].Server != store.ServerTracker || !strings.Contains(away[0].Why, "503") {
		t.Errorf("that it is away is not told: %+v", away)
	}
	if err := p.Store.SayBack(t.Context(), store.ServerTracker); err != nil {
		t.Fatal(err)
	}
	if res, err := p.People.LookAtTicket(t.Context(),
		sites.TicketRequest{Site: "huji", Ticket: sites.Ticket{ID: 1, Robot: "monitor"}}); err != nil ||
		res.Away == "" || len(p.away()) != 1 {
		t.Errorf("what cannot be seen reads as silence: %+v, %v", res, err)
	}
	p.tracker.Away(false)
	in := sites.MailRequest{Key: "k"}
	first := p.write(in)
	again := p.write(in) // as a worker that died before it could tell
	if away := p.away(); len(away) != 0 {
		t.Errorf("it works again, and is still told to be away: %+v", away)
	}
	if first.Outcome != sites.MailSent || again.Outcome != sites.MailSent || len(p.tracker.Tickets()) != 1 ||
		len(p.tracker.Tickets()[0].History) != 1 {
		t.Errorf("%+v, then %+v; tickets %+v", first, again, p.tracker.Tickets())
	}
	next := sites.MailRequest{Key: "k2", Notices: []sites.Notice{down(2)}, Ticket: first.Ticket}
	said := p.write(next)
	p.write(next)
	if said.Ticket.Said == 0 || strings.Count(fmt.Sprint(p.tracker.Tickets()[0].History), "Correspond") != 1 {
		t.Errorf("%+v; history %+v", said, p.tracker.Tickets()[0].History)
	}
}

// away are the servers of which people are told that they are away.
func (p *people) away() []store.Away {
	p.t.Helper()
	controls, err := p.Store.Controls(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, c := range controls {
		if c.IsOrder() {
			p.t.Errorf("it stands among the orders: %+v", c)
		}
	}
	return controls.Away()
}

func TestAMailServerThatTakesNothingIsToldUntilItDoes(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.box.RefuseData(452, "no room")
	p.write(sites.MailRequest{Key: "k"})
	first := p.away()
	if len(first) != 1 || first[0].Server != store.ServerMail || !strings.Contains(first[0].Why, "no room") {
		t.Fatalf("it is not told: %+v", first)
	}
	p.write(sites.MailRequest{Key: "k1"})
	if again := p.away(); len(again) != 1 || !again[0].Since.Equal(first[0].Since) || !again[0].Tried.After(first[0].Tried) {
		t.Errorf("a second failure: %+v, and first %+v", again, first)
	}
	p.box.RefuseData(0, "")
	p.box.Drop(1)
	p.write(sites.MailRequest{Key: "k2"})
	if unsure := p.away(); len(unsure) != 1 {
		t.Errorf("it hung up, which says nothing: %+v", unsure)
	}
	p.box.Refuse("tech@huji.example", 550, "nobody here")
	p.write(sites.MailRequest{Key: "k3"})
	if away := p.away(); len(away) != 0 {
		t.Errorf("it refuses one address, and so is there: %+v", away)
	}
}

func TestAMailServerThatDefersEverybodyMakesAMessageWait(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.box.Refuse("tech@huji.example", 451, "try later")
	if res := p.write(sites.MailRequest{Key: "k"}); res.Outcome != sites.MailWait || res.Reached {
		t.Errorf("deferred: %+v", res)
	}
	p.box.Accept("tech@huji.example")
	first := p.write(sites.MailRequest{Key: "k1", Thread: []string{"<a@b>", "<c@d>"}})
	if again := p.write(sites.MailRequest{Key: "k1"}); first.Outcome != sites.MailSent || first.MessageID == "" ||
		again.Outcome != sites.MailSent || !again.Reached || len(p.box.Messages()) != 1 {
		t.Errorf("%+v, then %+v, %d mails", first, again, len(p.box.Messages()))
	}
	if m := p.box.Messages()[0]; m.InReplyTo != "<c@d>" || !slices.Equal(m.References, []string{"<a@b>", "<c@d>"}) ||
		m.MessageID != first.MessageID {
		t.Errorf("threads as %+v", m)
	}
}

func TestANoticeThatEveryServerRefusesDoesNotCountAsTold(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.People.post.Admins = []string{"noc@plc.example"}
	p.box.Refuse("tech@huji.example", 550, "relaying denied")
	res := p.write(sites.MailRequest{Key: "k"})
	action, err := p.Store.Action(t.Context(), "k")
	p.digested()
	if err != nil || res.Outcome != sites.MailRefused || res.Reached || action.Outcome != store.Refused ||
		!strings.Contains(action.Detail, "relaying denied") || p.to() != "noc@plc.example; noc@plc.example" {
		t.Errorf("refused: %+v, ledger %+v, %v, mail to %q", res, action, err, p.to())
	}
	if last, err := p.Store.LastNotice(t.Context(), "down", "planetlab1.huji.example"); err != nil || !last.IsZero() {
		t.Errorf("it counts as said at %s, %v", last, err)
	}
}

func TestWhoIsDeferredGetsItLaterAloneAndTheOthersNotAgain(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.box.Refuse("pi@huji.example", 451, "greylisted")
	res := p.write(sites.MailRequest{Key: "k", Reaches: 1})
	if res.Outcome != sites.MailSent || !res.Reached || !slices.Equal(res.Deferred, []string{"pi@huji.example"}) {
		t.Fatalf("%+v", res)
	}
	if res.Missed != 1 {
		t.Errorf("nobody whom level 1 makes an audience has it: %+v", res)
	}
	if again := p.write(sites.MailRequest{Key: "k", Reaches: 1}); !reflect.DeepEqual(again, res) {
		t.Errorf("a try whose answer was lost is answered %+v, want %+v", again, res)
	}
	late := sites.LateRequest{Site: "huji", Key: "k", To: res.Deferred, Since: time.Now()}
	left, err := p.People.WriteToTheLate(t.Context(), late)
	if err != nil || !slices.Equal(left, res.Deferred) {
		t.Errorf("while it is deferred: %q, %v", left, err)
	}
	p.box.Accept("pi@huji.example")
	for range 2 { // and a retry
		if left, err = p.People.WriteToTheLate(t.Context(), late); err != nil || len(left) != 0 {
			t.Errorf("then: %q, %v", left, err)
		}
	}
	list := p.box.Messages()
	if p.to() != "tech@huji.example; pi@huji.example" || list[0].MessageID != list[1].MessageID {
		t.Errorf("mail to %q", p.to())
	}
	if action, err := p.Store.Action(t.Context(), "k/to/pi@huji.example"); err != nil || action.Outcome != store.Sent {
		t.Errorf("the ledger says %+v, %v", action, err)
	}
	p.box.Refuse("pi@huji.example", 451, "greylisted")
	res = p.write(sites.MailRequest{Key: "k2", Reaches: 1, Notices: []sites.Notice{down(2)}})
	if left, err = p.People.WriteToTheLate(t.Context(),
		sites.LateRequest{Site: "huji", Key: "k2", To: res.Deferred, Last: true}); err != nil || len(left) != 0 {
		t.Errorf("at the last try: %q, %v", left, err)
	}
	if action, err := p.Store.Action(t.Context(), "k2/to/pi@huji.example"); err != nil ||
		action.Outcome != store.Failed {
		t.Errorf("the ledger says %+v, %v", action, err)
	}
}

func TestWhatTheGuardHoldsBackIsSaidLater(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.swept(false)
	if res := p.write(sites.MailRequest{Key: "k"}); res.Outcome != sites.MailWait ||
		!strings.Contains(res.Reason, "half the fleet is gone") || len(p.box.Messages()) != 0 {
		t.Errorf("held back: %+v", res)
	}
	p.swept(true)
	if res := p.write(sites.MailRequest{Key: "k"}); res.Outcome != sites.MailSent || len(p.box.Messages()) != 1 {
		t.Errorf("then: %+v", res)
	}
}

func TestAServerThatHangsUpAfterTheMessageIsTriedUnderTheSameMessageID(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.box.Drop(2)
	in := sites.MailRequest{Key: "k"}
	for n := range 2 {
		res := p.write(in)
		if action, err := p.Store.Action(t.Context(), "k"); err != nil || res.Outcome != sites.MailLost ||
			res.Reached || action.Outcome != store.Ambiguous {
			t.Fatalf("try %d: %+v, ledger %+v, %v", n, res, action, err)
		}
	}
	if res := p.write(in); res.Outcome != sites.MailSent || !res.Reached {
		t.Errorf("then: %+v", res)
	}
	for _, m := range p.box.Messages() {
		if m.MessageID != p.box.Messages()[0].MessageID {
			t.Errorf("it goes as %s and as %s", m.MessageID, p.box.Messages()[0].MessageID)
		}
	}
	if p.last().Outcome != store.Sent {
		t.Errorf("the ledger says %+v", p.last())
	}
}

func TestWhatWasDoneIsSaidInWords(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	n := down(1)
	n.Deeds = []issue.Deed{{What: issue.DeedRebooted, How: string(issue.Cycled)},
		{What: issue.DeedPCUDownOpened, How: "pcu.huji.example"}}
	p.write(sites.MailRequest{Key: "k", Notices: []sites.Notice{n}})
	list := p.box.Messages()
	if want := "What Monitor did:\n- power-cycled it through its power control unit\n"; len(list) != 1 ||
		!strings.Contains(list[0].Body, want) {
		t.Errorf("%d mails; the last: %s", len(list), list[len(list)-1].Body)
	}
}

func TestAnUnreadableTicketIsNoSilence(t *testing.T) {
	p := newPeople(t, notify.ModeLive).withTracker()
	res, err := p.People.LookAtTicket(t.Context(),
		sites.TicketRequest{Site: "huji", Ticket: sites.Ticket{ID: 99, Robot: "monitor"}})
	if err != nil || !res.Gone {
		t.Errorf("one that does not exist: %+v, %v", res, err)
	}
}

// What Request Tracker denies for good is told to the admins, once a day, with what they have to do. The message waits,
// and goes when that is done.
func TestWhatATrackerDeniesIsToldToTheAdmins(t *testing.T) {
	p := newPeople(t, notify.ModeLive).withTracker()
	p.People.post.Admins = []string{"noc@plc.example"}
	// each cause has its message at once
	p.People.post.Policy.GroupWait, p.People.post.Policy.Day = 0, 24*time.Microsecond
	var ticket sites.Ticket
	told := 0
	for i, c := range []struct {
		code int
		says string
	}{
		{http.StatusUnauthorized, "does not take the token"},
		{http.StatusForbidden, "the right CreateTicket on the queue"},
		{http.StatusForbidden, "the right ReplyToTicket on the queue"},
		{http.StatusUnprocessableEntity, "refuses what Monitor writes"},
	} {
		if strings.Contains(c.says, "ReplyToTicket") { // from here on the site has a ticket
			p.denies.Store(0)
			ticket = p.write(sites.MailRequest{Key: "first"}).Ticket
		}
		p.denies.Store(int32(c.code))
		for try := range 2 {
			n := down(1)
			n.Kind = "pcudown"
			res := p.write(sites.MailRequest{Key: fmt.Sprint("k", i, try), Notices: []sites.Notice{n},
				Ticket: ticket})
			if res.Outcome != sites.MailWait || res.Reason == "" {
				t.Errorf("denied with %d: %+v", c.code, res)
			}
		}
		if err := p.People.post.digest(t.Context()); err != nil {
			t.Fatal(err)
		}
		mails := p.box.Messages()
		if told++; len(mails) != told {
			t.Fatalf("denied with %d: %d mails, want %d", c.code, len(mails), told)
		}
		body := strings.Join(strings.Fields(mails[told-1].Body), " ")
		if !strings.Contains(body, c.says) || mails[told-1].To[0] != "noc@plc.example" {
			t.Errorf("denied with %d: to %q: %s", c.code, mails[told-1].To, body)
		}
	}
	p.denies.Store(0)
	n := down(1)
	n.Kind = "pcudown"
	if res := p.write(sites.MailRequest{Key: "last", Notices: []sites.Notice{n},
		Ticket: ticket}); res.Outcome != sites.MailSent {
		t.Errorf("after that: %+v", res)
	}
}
