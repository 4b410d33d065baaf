package activities

import (
	"sync"
	"testing"
	"time"

	"github.com/planetlab/monitor/notify"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// died leaves a message in the ledger as a worker does that dies while it sends.
func (p *people) died(a store.Action) {
	p.t.Helper()
	if _, _, err := p.Store.Intent(p.t.Context(), a); err != nil {
		p.t.Fatal(err)
	}
	if mine, err := p.Store.Commit(p.t.Context(), a.Key); !mine || err != nil {
		p.t.Fatal(mine, err)
	}
}

func (p *people) wantTries(key, outcome string, want int) {
	p.t.Helper()
	if a, err := p.Store.Action(p.t.Context(), key); err != nil || a.Outcome != outcome || a.Times != want {
		p.t.Errorf("%s is %q after %d tries, %v; want %q after %d", key, a.Outcome, a.Times, err, outcome, want)
	}
}

// The ledger says how often each message may have reached somebody: chaos holds the mailbox against it.
func TestTries_AMessageWhoseWorkerDiedIsSentOnceMoreAndCounted(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	l, _, err := p.People.compose(t.Context(),
		sites.MailRequest{Key: "k", Site: "huji", Notices: []sites.Notice{down(1)}})
	if err != nil {
		t.Fatal(err)
	}
	action, err := p.People.intend(t.Context(), sites.MailRequest{Key: "k", Site: "huji"}, l)
	if err != nil {
		t.Fatal(err)
	}
	p.died(action)
	if res := p.write(sites.MailRequest{Key: "k"}); res.Outcome != sites.MailSent || len(p.box.Messages()) != 1 {
		t.Errorf("%+v, %d mails", res, len(p.box.Messages()))
	}
	p.wantTries("k", store.Sent, 2)
	p.write(sites.MailRequest{Key: "other", Notices: []sites.Notice{down(2)}})
	p.wantTries("other", store.Sent, 1)
}

// Of a message that another try is about to send nobody says that nobody has it: composed anew it would be said twice.
func TestTries_AMessageThatAnotherTryHasTakenIsNotComposedAnew(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	var tries sync.WaitGroup
	for range 8 {
		tries.Go(func() {
			res, err := p.People.WriteToSite(t.Context(), sites.MailRequest{Key: "k", Site: "huji",
				Notices: []sites.Notice{down(1)}})
			if err != nil || res.Outcome == sites.MailWait {
				t.Errorf("%+v, %v", res, err)
			}
		})
	}
	tries.Wait()
	if a, err := p.Store.Action(t.Context(), "k"); err != nil || len(p.box.Messages()) > a.Times {
		t.Errorf("%d mails, and the ledger has %d tries, %v", len(p.box.Messages()), a.Times, err)
	}
}

func TestTries_TheAdminsAreToldOnceMoreAfterADeathAndAfterARefusalAsIfForTheFirstTime(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	post := p.People.post
	post.Admins, post.Policy.GroupWait = []string{"noc@plc.example"}, 0
	flag := func(cause string) store.Action {
		t.Helper()
		if err := post.flagSite(t.Context(), "huji", cause, cause, []string{"it is odd"}); err != nil {
			t.Fatal(err)
		}
		p.box.RefuseData(451, "later")
		if err := post.digest(t.Context()); err == nil {
			t.Error("the message was refused, and nobody says so")
		}
		p.box.RefuseData(0, "")
		open, err := p.Store.Actions(t.Context(), store.ActionFilter{Kind: store.KindDigest, Unfinished: true})
		if err != nil || len(open) != 1 {
			t.Fatalf("%d messages wait, %v", len(open), err)
		}
		p.wantTries(open[0].Key, "", 1)
		return open[0]
	}
	refused := flag("refused")
	if err := post.digest(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.wantTries(refused.Key, store.Sent, 1)
	died := flag("died")
	p.died(died)
	for range 2 {
		if err := post.digest(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	p.wantTries(died.Key, store.Sent, 2)
	if n := len(p.box.Messages()); n != 2 {
		t.Errorf("%d mails, want one for each", n)
	}
}

func TestTries_TwoWorkersThatSeeNoSweepTellItOnce(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.Sweep.post.Admins = []string{"noc@plc.example"}
	p.Sweep.SweepEvery = time.Nanosecond
	p.Sweep.Policy.Day = time.Nanosecond
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			if err := p.Sweep.watchSweeps(t.Context(), time.Now()); err != nil {
				t.Error(err)
			}
		})
	}
	workers.Wait()
	if n := len(p.box.Messages()); n != 1 {
		t.Errorf("the admins are told %d times", n)
	}
}
