package activities

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/store"
)

// flagNode flags an issue of a node, as its last rung does.
func (p *people) flagNode(typ string, n int) {
	p.t.Helper()
	host := fmt.Sprintf("planetlab%d.huji.example", n)
	ref := issue.Ref{ID: typ + "/" + host, Run: "run", Type: typ, Node: host, Site: "huji"}
	t := task{Request: issue.Request{State: issue.State{Opened: time.Now().Add(-96 * time.Hour),
		Opening: issue.Opening{Ref: ref}}}}
	if _, err := p.People.post.flagOnce(p.t.Context(), t, "flag", "the last rung was reached", ""); err != nil {
		p.t.Fatal(err)
	}
}

func TestTheAdminsGetOneMessageForACauseAndAnHourInOneThread(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.People.post.Admins = []string{"noc@plc.example"}
	for n := range 40 {
		p.flagNode(issue.UnknownSequence, n)
	}
	p.flagNode(issue.NodeDown, 1)
	if err := p.People.post.digest(t.Context()); err != nil || len(p.box.Messages()) != 0 {
		t.Fatalf("before there was time for more: %v, mail to %q", err, p.to())
	}
	p.digested()
	p.digested()
	list := p.box.Messages()
	if len(list) != 2 || list[0].Subject != "[huji] planetlab1.huji.example needs an admin" ||
		list[1].Subject != "[huji] 40 nodes need an admin" {
		t.Fatalf("%d mails: %+v", len(list), list)
	}
	if len(list[1].References) != 1 || list[0].References[0] == list[1].References[0] {
		t.Errorf("they thread as %q and %q", list[0].References, list[1].References)
	}
	open, err := p.Store.Actions(t.Context(), store.ActionFilter{Kind: store.KindFlag, Unfinished: true})
	if err != nil || len(open) != 0 {
		t.Errorf("%d flags are still to be told, %v", len(open), err)
	}
	p.flagNode(issue.UnknownSequence, 41) // within the hour
	p.digested()
	if n := len(p.box.Messages()); n != 2 {
		t.Errorf("%d mails within the hour", n)
	}
	p.Policy.Day = time.Nanosecond * 24 // now each moment is an hour of its own
	p.digested()
	if list = p.box.Messages(); len(list) != 3 || list[2].References[0] != list[1].References[0] {
		t.Errorf("in the next hour: %d mails, the last one in %q", len(list), list[len(list)-1].References)
	}
}

func TestADigestThatCouldNotBeSentIsSentAsItWas(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.People.post.Admins = []string{"noc@plc.example"}
	p.Policy.GroupWait = 0
	p.flagNode(issue.UnknownSequence, 1)
	p.box.Refuse("noc@plc.example", 451, "later")
	if err := p.People.post.digest(t.Context()); notify.FailureOf(err) != notify.Temporary {
		t.Fatalf("while the server defers it: %v", err)
	}
	p.flagNode(issue.UnknownSequence, 2)
	p.box.Accept("noc@plc.example")
	p.digested()
	list := p.box.Messages()
	if len(list) != 1 || !strings.Contains(list[0].Body, "planetlab1") || strings.Contains(list[0].Body, "planetlab2") {
		t.Errorf("then: %+v", list)
	}
}

func TestADigestNamesWhomItDoesNotReach(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.People.post.Admins = []string{"noc@plc.example"}
	if err := p.People.dead(t.Context(), "huji", pi, "550 no such user"); err != nil {
		t.Fatal(err)
	}
	p.flagNode(issue.UnknownSequence, 1)
	p.digested()
	var all []string
	for _, m := range p.box.Messages() {
		all = append(all, strings.Join(strings.Fields(m.Body), " "))
	}
	if text := strings.Join(all, "\n"); len(all) != 2 ||
		!strings.Contains(text, "Whom this does not reach - huji: "+pi+": 550") {
		t.Errorf("the admins read %s", text)
	}
}

// A worker died while it sent a message, and the next try failed: the same message goes again, and not its flags in
// another one.
func TestADigestOfWhichNobodyKnowsWhetherItLeftIsSentAsItWas(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.People.post.Admins = []string{"noc@plc.example"}
	p.Policy.GroupWait = 0
	p.flagNode(issue.UnknownSequence, 1)
	p.box.Refuse("noc@plc.example", 451, "later")
	fails := func() {
		t.Helper()
		if err := p.People.post.digest(t.Context()); notify.FailureOf(err) != notify.Temporary {
			t.Fatalf("while the server defers it: %v", err)
		}
	}
	fails()
	open, err := p.Store.Actions(t.Context(), store.ActionFilter{Kind: store.KindDigest, Unfinished: true})
	if err != nil || len(open) != 1 {
		t.Fatalf("%d messages wait, %v", len(open), err)
	}
	p.died(open[0])
	fails()
	fails()
	p.box.Accept("noc@plc.example")
	p.Policy.Day = 24 * time.Nanosecond // now each moment is an hour of its own
	p.digested()
	p.digested()
	if n := len(p.box.Messages()); n != 1 {
		t.Errorf("%d mails", n)
	}
	if a, err := p.Store.Action(t.Context(), open[0].Key); err != nil || a.Outcome != store.Sent {
		t.Errorf("the ledger has it as %q, %v", a.Outcome, err)
	}
}
