package activities

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/notify/rt"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

const pi = "pi@huji.example"

// short makes the site one that is short of nodes, so that a step may come.
func (p *people) short() {
	p.t.Helper()
	since := time.Now().Add(-p.Policy.SiteDownBeforePenalty)
	changes := []store.Change{
		{Kind: "site", Target: "huji", Record: policy.Record{Status: policy.StatusDown, Changed: since}},
	}
	for _, host := range []string{"planetlab1.huji.example", "planetlab2.huji.example"} {
		changes = append(changes, store.Change{Kind: "node", Target: host,
			Record: policy.Record{Status: policy.StatusDown, Changed: since}})
	}
	if err := p.Store.SaveChanges(p.t.Context(), changes, time.Now()); err != nil {
		p.t.Fatal(err)
	}
}

// newest is the text of the last mail, in one line.
func (p *people) newest() string {
	list := p.box.Messages()
	if len(list) == 0 {
		p.t.Fatal("no mail")
	}
	return strings.Join(strings.Fields(list[len(list)-1].Body), " ")
}

func TestWhomAServerRefusesHasALineOfHisOwnAndTheOthersHearOfIt(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.box.Refuse(pi, 550, "no such user")
	if res := p.write(sites.MailRequest{Key: "k", Reaches: 1}); res.Outcome != sites.MailSent || len(res.Deferred) > 0 {
		t.Fatalf("%+v", res)
	}
	action, err := p.Store.Action(t.Context(), "k/to/"+pi)
	if err != nil || action.Outcome != store.Refused || !strings.Contains(action.Detail, "no such user") {
		t.Errorf("the ledger says of him %+v, %v", action, err)
	}
	if had, err := p.Store.WrittenTo(t.Context(), "huji"); err != nil ||
		!slices.Equal(had, []string{"tech@huji.example"}) {
		t.Errorf("it counts as sent to %q, %v", had, err)
	}
	if text := p.newest(); strings.Contains(text, "Whom this does not reach") {
		t.Errorf("it is told before it is known: %s", text)
	}
	p.write(sites.MailRequest{Key: "k2", Reaches: 1, Notices: []sites.Notice{down(2)}})
	if text := p.newest(); !strings.Contains(text, "Whom this does not reach - "+pi+": 550") {
		t.Errorf("the others read %s", text)
	}
	flags, err := p.Store.Actions(t.Context(), store.ActionFilter{Kind: store.KindFlag})
	if err != nil || len(flags) != 1 || !strings.Contains(flags[0].Reason, "mail to "+pi+" is not delivered: 550") {
		t.Errorf("the admins are told %+v, %v", flags, err)
	}
}

func TestARefusalThatSpeaksOfUsIsNoEvidenceAgainstPeople(t *testing.T) {
	for name, c := range map[string]struct {
		why string
		to  []string
	}{
		"a reason of policy": {"5.7.1 relaying denied", []string{pi}},
		"of everybody":       {"no such user", []string{pi, "tech@huji.example"}},
	} {
		p := newPeople(t, notify.ModeLive)
		for _, who := range c.to {
			p.box.Refuse(who, 550, c.why)
		}
		p.write(sites.MailRequest{Key: "k", Reaches: 1})
		if action, err := p.Store.Action(t.Context(), "k/to/"+pi); err != nil || action.Outcome != store.Refused {
			t.Errorf("%s: the ledger says %+v, %v", name, action, err)
		}
		signs, err := p.Store.Actions(t.Context(), store.ActionFilter{Kind: store.KindContact})
		if err != nil || len(signs) != 0 {
			t.Errorf("%s: evidence %+v, %v", name, signs, err)
		}
	}
}

func TestAMailThatComesBackIntoTheTicketIsEvidenceAndNoAnswer(t *testing.T) {
	p := newPeople(t, notify.ModeLive).withTracker()
	first := p.write(sites.MailRequest{Key: "k", Reaches: 1})
	p.tracker.Bounce(first.Ticket.ID, pi, "550 no such user")
	p.tracker.Bounce(first.Ticket.ID, "stranger@elsewhere.example", "550 no such user")
	look := func(ticket sites.Ticket) sites.TicketResult {
		res, err := p.People.LookAtTicket(t.Context(), sites.TicketRequest{Site: "huji", Ticket: ticket})
		if err != nil || res.By != "" {
			t.Fatalf("%+v, %v", res, err)
		}
		return res
	}
	seen := look(first.Ticket)
	if seen.Ticket.Seen <= first.Ticket.Seen || look(seen.Ticket).Ticket != seen.Ticket {
		t.Errorf("seen up to %d, before %d", seen.Ticket.Seen, first.Ticket.Seen)
	}
	p.write(sites.MailRequest{Key: "k2", Reaches: 1, Notices: []sites.Notice{down(2)}, Ticket: seen.Ticket})
	history := p.tracker.Tickets()[0].History
	text := history[len(history)-1].Text
	for _, h := range history { // its status may have changed after it
		if h.Type == "Correspond" && h.By == "monitor" {
			text = h.Text
		}
	}
	if !strings.Contains(text, pi+": 550 no such user") || strings.Contains(text, "stranger") {
		t.Errorf("the others read %s", text)
	}
}

func TestWhoHasLeftPLCLeavesTheTicketAndWhomOthersAddedStays(t *testing.T) {
	p := newPeople(t, notify.ModeLive).withTracker()
	first := p.write(sites.MailRequest{Key: "k", Reaches: 1})
	const dean = "dean@huji.example"
	if _, _, err := p.People.RT.Correspond(t.Context(),
		rt.Place{Ticket: first.Ticket.ID, Robot: "nobody", After: 1 << 30},
		rt.Message{Text: "our dean wants to read this", Cc: []string{dean}}); err != nil {
		t.Fatal(err)
	}
	p.contacts(slices.Concat(persons[:1], persons[2:]), nil) // the investigator has gone
	p.write(sites.MailRequest{Key: "k2", Notices: []sites.Notice{down(2)}, Ticket: first.Ticket})
	if got := p.watchers(); got != dean+" tech@huji.example" && !strings.HasPrefix(got, dean+" exempt") {
		t.Errorf("watchers %s", got)
	}
	if strings.Contains(p.watchers(), pi) {
		t.Errorf("who has left is still a watcher: %s", p.watchers())
	}
}

func TestAnAddressThatTheTrackerCannotTakeCostsThatWatcherAlone(t *testing.T) {
	p := newPeople(t, notify.ModeLive).withTracker()
	const wide = "jörg@huji.example"
	p.contacts(append(slices.Clone(persons[:2]),
		plc.Person{PersonID: 9, Email: wide, Roles: []string{"tech"}, SiteIDs: []int{1}}), nil)
	first := p.write(sites.MailRequest{Key: "k", Reaches: 1})
	second := p.write(sites.MailRequest{Key: "k2", Reaches: 1, Notices: []sites.Notice{down(2)}, Ticket: first.Ticket})
	if second.Outcome != sites.MailSent || p.watchers() != pi+" tech@huji.example" {
		t.Errorf("%+v, watchers %s", second, p.watchers())
	}
	flags, err := p.Store.Actions(t.Context(), store.ActionFilter{Kind: store.KindFlag})
	if err != nil || len(flags) != 1 || !strings.Contains(flags[0].Reason, "mail to "+wide+" is not delivered") {
		t.Errorf("the admins are told %+v, %v", flags, err)
	}
}

func TestATicketThatPeopleHavePutAwayIsNotBroughtBack(t *testing.T) {
	p := newPeople(t, notify.ModeLive).withTracker()
	first := p.write(sites.MailRequest{Key: "k"})
	if err := p.People.RT.SetStatus(t.Context(), first.Ticket.ID, rt.Rejected); err != nil {
		t.Fatal(err)
	}
	second := p.write(sites.MailRequest{Key: "k2", Notices: []sites.Notice{down(2)}, Ticket: first.Ticket})
	list := p.tracker.Tickets()
	if second.Outcome != sites.MailSent || second.Ticket.ID == first.Ticket.ID || len(list) != 2 ||
		list[0].Status != rt.Rejected {
		t.Errorf("%+v, tickets %+v", second, list)
	}
	flags, err := p.Store.Actions(t.Context(), store.ActionFilter{Kind: store.KindFlag})
	if err != nil || len(flags) != 1 || !strings.Contains(flags[0].Reason, "people have set it to rejected") {
		t.Errorf("the admins are told %+v, %v", flags, err)
	}
}

func TestATicketThatMayNotBeSeenIsNoSilence(t *testing.T) {
	p := newPeople(t, notify.ModeLive).withTracker()
	first := p.write(sites.MailRequest{Key: "k"})
	p.tracker.Hide(first.Ticket.ID, true)
	res, err := p.People.LookAtTicket(t.Context(), sites.TicketRequest{Site: "huji", Ticket: first.Ticket})
	if err != nil || res.Away == "" || res.Gone {
		t.Errorf("what may not be seen reads as %+v, %v", res, err)
	}
	flags, err := p.Store.Actions(t.Context(), store.ActionFilter{Kind: store.KindFlag})
	if err != nil || len(flags) != 1 || !strings.Contains(flags[0].Reason, "give the robot the right ShowTicket") {
		t.Errorf("the admins are told %+v, %v", flags, err)
	}
	if res := p.write(sites.MailRequest{Key: "k2", Notices: []sites.Notice{down(2)},
		Ticket: first.Ticket}); res.Outcome != sites.MailWait {
		t.Errorf("a message into it: %+v", res)
	}
}

func TestAMessageToPeopleWhoseMailComesBackTellsNobody(t *testing.T) {
	p := newPeople(t, notify.ModeLive).withTracker()
	first := p.write(sites.MailRequest{Key: "k"})
	if !first.Reached {
		t.Fatalf("%+v", first)
	}
	p.tracker.Bounce(first.Ticket.ID, "tech@huji.example", "550 no such user")
	if _, err := p.People.LookAtTicket(t.Context(), sites.TicketRequest{Site: "huji", Ticket: first.Ticket}); err != nil {
		t.Fatal(err)
	}
	in := sites.MailRequest{Key: "k2", Notices: []sites.Notice{down(2)}, Ticket: first.Ticket}
	for range 2 { // and a retry
		if res := p.write(in); res.Outcome != sites.MailSent || res.Reached {
			t.Errorf("a dead mailbox counts as told: %+v", res)
		}
	}
	in.Key, in.Reaches = "k3", 1
	in.Notices = []sites.Notice{{Kind: sites.Penalty, Level: 1, Since: time.Now()}}
	in.Level = 1
	if res := p.write(in); !res.Reached {
		t.Errorf("one whose mail arrives does not: %+v", res)
	}
}

func TestAMessageThatWaitedSaysWhatHoldsWhenItGoes(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	waited := func(n int) sites.Notice {
		k := down(n)
		k.NotBefore = time.Now().Add(-72 * time.Hour)
		return k
	}
	look := func(l store.NodeLook) {
		t.Helper()
		l.At = time.Now()
		if err := p.Store.SaveNodeLooks(t.Context(), []store.NodeLook{l}); err != nil {
			t.Fatal(err)
		}
	}
	look(
		store.NodeLook{
			Host:     "planetlab1.huji.example",
			State:    policy.StateDown,
			Category: policy.CategoryError,
			Reason:   "no ssh: no route",
		},
	)
	p.write(sites.MailRequest{Key: "other", Notices: []sites.Notice{waited(1)}})
	if text := p.newest(); !strings.Contains(text, "- no ssh: no route") || strings.Contains(text, "- no ssh -") {
		t.Errorf("found otherwise since: %s", text)
	}
	look(
		store.NodeLook{
			Host:     "planetlab2.huji.example",
			State:    policy.StateBoot,
			Category: policy.CategoryProd,
			Reason:   "boot, kernel \"4.19\"",
		},
	)
	if res := p.write(sites.MailRequest{Key: "up", Notices: []sites.Notice{waited(2)}}); res.Outcome != sites.MailNothing {
		t.Errorf("it runs since: %+v", res)
	}
}

func TestAStepIsToldAsAnnouncedOnlyToWhomItWas(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.short()
	at := time.Now().Add(time.Hour)
	p.write(sites.MailRequest{Key: "word", Reaches: 0, Threat: &sites.Threat{Level: 1, NotBefore: at},
		Coming: []sites.Coming{{At: at, What: sites.ComesStep, Level: 1}}})
	step := func(key string, reaches int, letters ...string) string {
		p.write(
			sites.MailRequest{
				Key:     key,
				Reaches: reaches,
				Level:   1,
				Notices: []sites.Notice{{Kind: sites.Penalty, Level: 1, Since: time.Now(),
					Word: &sites.Warning{Level: 1, At: time.Now().Add(-time.Hour), Letters: letters}}},
			},
		)
		return p.newest()
	}
	if text := step("told", 0, "word"); !strings.Contains(text, "As we wrote on") {
		t.Errorf("to whom it was announced: %s", text)
	}
	if text := step("new", 1, "word"); strings.Contains(text, "As we wrote on") {
		t.Errorf("with one to whom it was not: %s", text)
	}
	if text := step("lost", 0, "no such letter"); strings.Contains(text, "As we wrote on") {
		t.Errorf("of a letter that never was: %s", text)
	}
}

func TestAWarningOfWhatWillNotComeIsNotSent(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	at := time.Now().Add(time.Hour)
	in := sites.MailRequest{Key: "enough", Notices: []sites.Notice{{Kind: sites.Warn, Level: 1, Since: time.Now()}},
		Threat: &sites.Threat{
			Level:     1,
			NotBefore: at,
		}, Coming: []sites.Coming{{At: at, What: sites.ComesStep, Level: 1}}}
	if res := p.write(in); res.Outcome != sites.MailNothing || len(p.box.Messages()) != 0 {
		t.Errorf("a site with enough nodes: %+v", res)
	}
	p.short()
	in.Key = "short"
	if res := p.write(in); res.Outcome != sites.MailSent || !res.Threatened || res.Covers != 0 {
		t.Errorf("a site that is short of nodes: %+v", res)
	}
	in.Key, in.Reaches = "all", 1
	if res := p.write(in); res.Covers != 1 {
		t.Errorf("a message to all of level 1 covers %d", res.Covers)
	}
}

func TestASecondMessageSaysWhenTheFirstWas(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.write(sites.MailRequest{Key: "k"})
	if text := p.newest(); strings.Contains(text, "we last wrote") {
		t.Errorf("the first word: %s", text)
	}
	old := store.Notice{Kind: "down", Target: "planetlab2.huji.example", Site: "huji", MessageID: "<old@x>",
		At: time.Now().Add(-5 * 24 * time.Hour)}
	first, err := p.Store.Action(t.Context(), "k")
	_, _, errIntent := p.Store.Intent(t.Context(), store.Action{Key: "old", Kind: store.KindNotice, Site: "huji"})
	if err := errors.Join(err, errIntent,
		p.Store.Delivered(t.Context(), "old", "as the test has it", first.Data, []store.Notice{old})); err != nil {
		t.Fatal(err)
	}
	p.write(sites.MailRequest{Key: "k2", Notices: []sites.Notice{down(2)}})
	if text := p.newest(); !strings.Contains(text, "we last wrote to the site about this on") ||
		!strings.Contains(text, "(5 days ago)") {
		t.Errorf("the second: %s", text)
	}
}

func TestAMessageLinksToPLCsPages(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.People.Pages, p.People.Probes = "https://plc.example/db", []string{"192.0.2.1"}
	k := down(1)
	k.Kind, k.Ref.Type, k.Ref.ID = "firewall", issue.Firewall, "firewall/planetlab1.huji.example"
	p.write(sites.MailRequest{Key: "k", Notices: []sites.Notice{k}})
	text := p.newest()
	for _, want := range []string{"At PlanetLab Central: - https://plc.example/db/nodes/node.php?id=1", "Monitor looks at it from 192.0.2.1."} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
}

func TestAMessageLinksToThePageWhereItsPeopleSayThatTheyAreAtIt(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.write(sites.MailRequest{Key: "k1", Notices: []sites.Notice{down(1)}})
	if text := p.newest(); strings.Contains(text, "To say that you are at it") {
		t.Errorf("without an address it links somewhere: %s", text)
	}
	p.People.Link = func(ref issue.Ref, now time.Time) string {
		return "https://monitor.example/links/" + ref.Site + "." + ref.Node
	}
	p.write(sites.MailRequest{Key: "k2", Notices: []sites.Notice{down(2)}})
	want := "To say that you are at it, and until when, without signing in: - https://monitor.example/links/huji.planetlab2.huji.example"
	if text := p.newest(); !strings.Contains(text, want) {
		t.Errorf("no %q in %s", want, text)
	}
}

func TestALetterInTheLedgerHasItsFacts(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.write(sites.MailRequest{Key: "k"})
	action, err := p.Store.Action(t.Context(), "k")
	var l letter
	if err == nil {
		err = json.Unmarshal(action.Data, &l)
	}
	if err != nil || len(l.Facts.Items) != 1 || l.Facts.Items[0].Target != "planetlab1.huji.example" {
		t.Errorf("%+v, %v", l.Facts, err)
	}
}
