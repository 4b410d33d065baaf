package activities_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/notify/rt"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed/mailbox"
	"github.com/planetlab/monitor/testbed/pglocal"
	"github.com/planetlab/monitor/testbed/rtsim"
)

// people is a site with its contacts in a real Postgres, a real mail server, and a simulated tracker.
type people struct {
	*activities.Activities
	t       *testing.T
	box     *mailbox.Mailbox
	tracker *rtsim.Server
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
	sender, err := notify.NewSender(notify.Options{Addr: box.Addr(), From: "monitor@plc.example", TLS: notify.TLSNone, Mode: mode, TestAddress: "tester@plc.example", Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	p := &people{t: t, box: box, Activities: &activities.Activities{
		Store: db, Mail: sender, Policy: policy.Defaults(24 * time.Hour), Log: slog.New(slog.DiscardHandler), Mode: mode, TestTo: "tester@plc.example", Domain: "plc.example", SweepEvery: time.Minute,
	}}
	p.exempt(map[int]time.Time{4: time.Now().Add(48 * time.Hour)})
	sweep, err := db.StartSweep(t.Context(), "sweep/1") // it is the lease to act
	if err == nil {
		err = db.EndSweep(t.Context(), store.Sweep{ID: sweep.ID, Believed: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// exempt says who must not be written to, as PLC's tags do.
func (p *people) exempt(who map[int]time.Time) {
	p.t.Helper()
	_, err := p.Store.SaveSnapshot(context.Background(), plc.Snapshot{
		Taken: time.Now(), Sites: []plc.Site{{SiteID: 1, LoginBase: "huji", Name: "Hebrew University", Enabled: true}},
		Nodes: []plc.Node{{NodeID: 1, Hostname: "planetlab1.huji.example", SiteID: 1}, {NodeID: 2, Hostname: "planetlab2.huji.example", SiteID: 1}}, Persons: persons, PersonExempt: who,
	}, true)
	if err != nil {
		p.t.Fatal(err)
	}
}

// withTracker gives the site's people a tracker as well.
func (p *people) withTracker() *people {
	p.t.Helper()
	p.tracker = rtsim.New(rtsim.Options{Users: map[string]string{"token": "monitor"}, Queue: "q"})
	server := httptest.NewServer(p.tracker)
	p.t.Cleanup(server.Close)
	var err error
	if p.RT, err = rt.New(rt.Options{URL: server.URL, Token: "token", Queue: "q"}); err != nil {
		p.t.Fatal(err)
	}
	return p
}

func (p *people) write(in activities.MailInput) activities.MailResult {
	p.t.Helper()
	in.Site = "huji"
	if in.Notices == nil {
		in.Notices = []activities.Lean{down(1)}
	}
	res, err := p.SendNotices(p.t.Context(), in)
	if err != nil {
		p.t.Fatal(err)
	}
	return res
}

func down(n int) activities.Lean {
	host := fmt.Sprintf("planetlab%d.huji.example", n)
	return activities.Lean{Key: host, Ref: activities.Ref{ID: "nodedown/" + host, Type: issue.NodeDown, Node: host, Site: "huji"}, Kind: "down", Since: time.Now().Add(-72 * time.Hour), Evidence: []string{"no ssh"}}
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
	for level, want := range []string{"tech@huji.example", "pi@huji.example tech@huji.example", "pi@huji.example tech@huji.example user@huji.example"} {
		p.box.Messages()
		n := down(1)
		n.Kind = []string{"down", "penalty", "pcudown"}[level] // none repeats another
		if res := p.write(activities.MailInput{Key: fmt.Sprint("k", level), Level: level, Notices: []activities.Lean{n}}); level != 1 && res.Outcome != activities.MailSent {
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

func TestAPenaltyIsStoppedForTheSiteAsAWhole(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.write(activities.MailInput{Key: "k", Level: 1, Notices: []activities.Lean{{Kind: "penalty", Level: 1, Since: time.Now(), Evidence: []string{"the site is down"}}}})
	list := p.box.Messages()
	if len(list) != 1 || list[0].Subject != "[huji] no new slices while huji is short of working nodes" || !strings.Contains(list[0].Body, "monitor site pause huji --until DATE") {
		t.Errorf("mail: %+v", list)
	}
}

func TestPeopleReadWhatWasDoneWithoutTheWordsOfALadder(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	n := down(1)
	n.Tried = []string{"if pcu ok: reboot: outlet cycled", "create_issue pcudown: opened pcudown/pcu.huji.example", "send email, apply penalty: handed to site huji", "waited for a new disk"}
	p.write(activities.MailInput{Key: "k", Notices: []activities.Lean{n}})
	list := p.box.Messages()
	if want := "What Monitor did:\n  - reboot: outlet cycled\n  - opened pcudown/pcu.huji.example\n  - waited for a new disk\n\n"; len(list) != 1 || !strings.Contains(list[0].Body, want) {
		t.Errorf("mail: %+v", list)
	}
}

func TestWhoBecomesExemptIsTakenFromTheTicket(t *testing.T) {
	p := newPeople(t, notify.ModeLive).withTracker()
	first := p.write(activities.MailInput{Key: "k1", Level: 1})
	if first.Outcome != activities.MailSent || first.Ticket.Robot != "monitor" || p.watchers() != "pi@huji.example tech@huji.example" {
		t.Fatalf("%+v, watchers %s", first, p.watchers())
	}
	p.exempt(map[int]time.Time{2: time.Now().Add(time.Hour), 4: time.Now().Add(time.Hour)})
	second := p.write(activities.MailInput{Key: "k2", Level: 2, Notices: []activities.Lean{down(2)}, Ticket: first.Ticket})
	if second.Outcome != activities.MailSent || p.watchers() != "tech@huji.example user@huji.example" {
		t.Errorf("%+v, watchers %s", second, p.watchers())
	}
	if n := len(p.box.Messages()); n != 0 {
		t.Errorf("%d mails went out beside the ticket", n)
	}
}

func TestASiteWhereEverybodyIsExemptIsNotWrittenTo(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.exempt(map[int]time.Time{1: time.Now().Add(time.Hour), 4: time.Now().Add(time.Hour)})
	if res := p.write(activities.MailInput{Key: "k"}); res.Outcome != activities.MailNone || !strings.Contains(res.Reason, "nobody to write to") || len(p.box.Messages()) != 0 {
		t.Errorf("%+v, mail to %q", res, p.to())
	}
}

func TestInTestModeAllMailGoesToOneAddress(t *testing.T) {
	p := newPeople(t, notify.ModeTest)
	p.write(activities.MailInput{Key: "k1", Level: 2})
	if list := p.box.Messages(); p.to() != "tester@plc.example" || !strings.Contains(list[0].Body, "pi@huji.example") {
		t.Errorf("mail to %q", p.to())
	}
	p.withTracker()
	real := activities.Ticket{ID: 77, Robot: "monitor"} // from when the mode was live: real people are on it
	res := p.write(activities.MailInput{Key: "k2", Level: 2, Notices: []activities.Lean{down(2)}, Ticket: real})
	if res.Outcome != activities.MailSent || res.Ticket.ID != 1 || !res.Ticket.Test || p.watchers() != "tester@plc.example" {
		t.Errorf("%+v, watchers %s", res, p.watchers())
	}
}

func TestInObserveModeNothingLeaves(t *testing.T) {
	p := newPeople(t, notify.ModeObserve).withTracker()
	res := p.write(activities.MailInput{Key: "k", Level: 2})
	if res.Outcome != activities.MailNone || p.last().Outcome != store.Skipped || !strings.Contains(p.last().Reason, "observe mode: pi@huji.example, tech@huji.example, user@huji.example would be written to") {
		t.Errorf("%+v, ledger %+v", res, p.last())
	}
	// There is no PLC to call and no PCU to switch: a penalty that tried would fail.
	pen, err := p.SetPenalty(t.Context(), activities.PenaltyInput{Site: "huji", Key: "p", From: 2, To: 0, Reason: "all good"})
	if err != nil || pen.Level != 2 || !strings.Contains(pen.Reason, "observe mode") {
		t.Errorf("penalty %+v, %v", pen, err)
	}
	for _, do := range []func() error{
		func() error {
			_, err := p.FollowTicket(t.Context(), activities.FollowInput{Site: "huji", Ticket: activities.Ticket{ID: 1}})
			return err
		},
		func() error {
			_, err := p.ResolveTicket(t.Context(), activities.ResolveInput{Site: "huji", Key: "r", Ticket: activities.Ticket{ID: 1}})
			return err
		},
		func() error {
			return p.NoteTicket(t.Context(), activities.NoteInput{Ticket: activities.Ticket{ID: 1}, Text: "x"})
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

func TestATrackerThatIsAwayMakesAMessageWaitAndThenItGoesOnce(t *testing.T) {
	p := newPeople(t, notify.ModeLive).withTracker()
	p.tracker.Away(true)
	in := activities.MailInput{Key: "k"}
	for range 3 {
		if res := p.write(in); res.Outcome != activities.MailWait || !res.Unsent || !strings.Contains(res.Reason, "503") || !res.Until.After(time.Now()) {
			t.Fatalf("while it is away: %+v", res)
		}
	}
	p.tracker.Away(false)
	first := p.write(in)
	again := p.write(in) // as a worker that died before it could tell
	if first.Outcome != activities.MailSent || again.Ticket != first.Ticket || len(p.tracker.Tickets()) != 1 || len(p.tracker.Tickets()[0].History) != 1 {
		t.Errorf("%+v, then %+v; tickets %+v", first, again, p.tracker.Tickets())
	}
	next := activities.MailInput{Key: "k2", Notices: []activities.Lean{down(2)}, Ticket: first.Ticket}
	said := p.write(next)
	p.write(next)
	if said.Ticket.Said == 0 || strings.Count(fmt.Sprint(p.tracker.Tickets()[0].History), "Correspond") != 1 {
		t.Errorf("%+v; history %+v", said, p.tracker.Tickets()[0].History)
	}
}

func TestAMailServerThatIsAwayMakesAMessageWait(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.box.Refuse("tech@huji.example", 451, "try later")
	if res := p.write(activities.MailInput{Key: "k"}); res.Outcome != activities.MailWait || !res.Unsent {
		t.Errorf("deferred: %+v", res)
	}
	p.box.Accept("tech@huji.example")
	first := p.write(activities.MailInput{Key: "k", Thread: []string{"<a@b>", "<c@d>"}})
	if again := p.write(activities.MailInput{Key: "k"}); first.Outcome != activities.MailSent || first.MessageID == "" || again.Outcome == activities.MailWait || len(p.box.Messages()) != 1 {
		t.Errorf("%+v, then %+v, %d mails", first, again, len(p.box.Messages()))
	}
	if m := p.box.Messages()[0]; m.InReplyTo != "<c@d>" || !slices.Equal(m.References, []string{"<a@b>", "<c@d>"}) || m.MessageID != first.MessageID {
		t.Errorf("threads as %+v", m)
	}
	p.box.Refuse("tech@huji.example", 550, "relaying denied")
	if res := p.write(activities.MailInput{Key: "k3", Notices: []activities.Lean{down(2)}}); res.Outcome != activities.MailNone || p.last().Outcome != store.Refused || !strings.Contains(p.last().Detail, "relaying denied") {
		t.Errorf("refused: %+v, ledger %+v", res, p.last())
	}
}
