package activities

import (
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
)

// Two tries of one activity can live at once: one that was held up, and the one that the server began when it heard
// nothing of the first. What follows has one of them mark the point of no return in the very moment in which the other
// means to end the intent that it read as not begun: then it must end nothing, and say that it does not know.

// begunMeanwhile answers heartbeats, and so the question whether an order came: once there is an intent under the key,
// another try begins it first.
func begunMeanwhile(t *testing.T, db *store.Store, key string, answer func() error) func() error {
	return func() error {
		mine, err := db.Commit(t.Context(), key)
		if err != nil {
			t.Error(err)
		}
		if !mine {
			return nil
		}
		return answer()
	}
}

func cancelled() error { return temporal.NewCanceledError() }

// wantBegun wants a line that is begun and has not ended.
func wantBegun(t *testing.T, db *store.Store, key string) {
	t.Helper()
	if a, err := db.Action(t.Context(), key); err != nil || !a.Begun() || a.Outcome != "" {
		t.Errorf("%s is begun %v, and %q (%s), %v; want it begun, and not ended", key, a.Begun(), a.Outcome, a.Detail, err)
	}
}

func TestHeldUp_AMessageThatAnotherTrySendsIsNotForgone(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	tc := &fakeTemporal{}
	p.People.workflows.Temporal = tc
	for key, meanwhile := range map[string]func() error{
		"an order came":      cancelled,
		"it may not be said": func() error { p.order(store.ControlStop, "stopped"); return nil },
	} {
		tc.beat = begunMeanwhile(t, p.Store, key, meanwhile)
		res, err := asActivity(p.People.WriteToSite,
			sites.MailRequest{Key: key, Site: "huji", Notices: []sites.Notice{down(1)}})
		if err != nil || res.Outcome != sites.MailLost {
			t.Errorf("%s: %+v, %v; composed anew it would be said twice", key, res, err)
		}
		wantBegun(t, p.Store, key)
		p.order(store.ControlStop, "")
	}
	tc.beat = nil
	for range 2 { // what was lost is asked for under its key, and goes out once
		if res := p.write(sites.MailRequest{Key: "an order came"}); res.Outcome != sites.MailSent {
			t.Errorf("then: %+v", res)
		}
	}
	if n := len(p.box.Messages()); n != 1 {
		t.Errorf("%d mails", n)
	}
}

func TestHeldUp_AMessageThatNobodyHasBegunIsForgone(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	tc := &fakeTemporal{beat: func() error {
		if _, err := p.Store.Action(t.Context(), "k"); err != nil {
			return nil
		}
		return cancelled()
	}}
	p.People.workflows.Temporal = tc
	res, err := asActivity(p.People.WriteToSite,
		sites.MailRequest{Key: "k", Site: "huji", Notices: []sites.Notice{down(1)}})
	if err != nil || res.Outcome != sites.MailStopped {
		t.Errorf("%+v, %v", res, err)
	}
	if a, err := p.Store.Action(t.Context(), "k"); err != nil || a.Outcome != store.Skipped || a.Begun() {
		t.Errorf("it is %q, begun %v, %v", a.Outcome, a.Begun(), err)
	}
}

// Who may have a message is nobody to whom it was not sent, whatever he is by now.
func TestHeldUp_WhoMayHaveAMessageIsNotCalledSkipped(t *testing.T) {
	p := newPeople(t, notify.ModeLive)
	p.box.Refuse("pi@huji.example", 451, "greylisted")
	late := p.write(sites.MailRequest{Key: "k", Reaches: 1}).Deferred
	if len(late) != 1 {
		t.Fatalf("late are %q", late)
	}
	line := toOne("k", late[0])
	p.died(store.Action{Key: line, Kind: store.KindNotice, Site: "huji"})
	p.exempt(map[int]time.Time{2: time.Now().Add(time.Hour), 4: time.Now().Add(time.Hour)})
	left, err := p.People.WriteToTheLate(t.Context(),
		sites.LateRequest{Site: "huji", Key: "k", Since: time.Now(), To: late})
	if err != nil || len(left) > 0 {
		t.Errorf("left are %q, %v", left, err)
	}
	p.wantTries(line, store.Ambiguous, 1)
}

func TestHeldUp_AStepThatAnotherTryCarriesOutKeepsItsClaims(t *testing.T) {
	b := newBench(t)
	b.ailing(site)
	in := sites.StepRequest{Site: site, Key: "site/" + site + "/run/1", To: 1, Reason: "held by nodedown/x",
		Warned: &sites.Warning{Level: 1, At: time.Now().Add(-8 * 24 * time.Hour), NotBefore: time.Now().Add(-time.Hour),
			Issues: []string{"nodedown/" + sick}}}
	b.tc.beat = begunMeanwhile(t, b.Store, in.Key, cancelled)
	res, err := asActivity(b.Penalties.MoveSite, in)
	if err != nil || res.Outcome != sites.StepRefused || res.Reason != takenByAnother {
		t.Errorf("it answers %+v, %v", res, err)
	}
	wantBegun(t, b.Store, in.Key)
	if held := b.applied(site); len(held) != 1 {
		t.Errorf("held are %q: what the other try does to the site would never be undone", held)
	}
}

// What was to be applied again, and was never begun, may still be begun by whoever is held up: it is given up first.
func TestHeldUp_WhatIsAppliedAgainIsNotCalledDoneBeforeItIsBegun(t *testing.T) {
	b := newBench(t)
	in := sites.ReadRequest{Site: site, Key: "site/" + site + "/run/1"}
	line := store.Action{Key: in.Key, Kind: store.KindReconcile, Site: site, Issue: sites.ID(site), Reason: "lifted by hand"}
	_, _, err := b.Store.Intent(t.Context(), line)
	b.must(err)
	_, err = b.Penalties.applyAgain(t.Context(), in, move{})
	b.must(err)
	if a, err := b.Store.Action(t.Context(), in.Key); err != nil || a.Outcome != store.Failed || a.Begun() {
		t.Errorf("it is %q, begun %v, %v", a.Outcome, a.Begun(), err)
	}
}

func TestHeldUp_ABootStateThatAnotherTrySetsIsNotGivenUp(t *testing.T) {
	b := newBench(t)
	s := b.ordered("run", request.BootState)
	s.Began(time.Now())
	b.tc.beat = begunMeanwhile(t, b.Store, s.Key(), cancelled)
	res, err := asActivity(b.Requests.TryRequest, s)
	b.want(res, err, issue.Unknown, anotherSets)
	wantBegun(t, b.Store, s.Key())
	b.tc.beat = nil

	s = b.ordered("later", request.BootState)
	s.Began(time.Now())
	line := store.Action{Key: s.Key(), Kind: store.KindBootState, Issue: s.ID, RunID: s.Run, Node: sick, Site: site}
	stale, _, err := b.Store.Intent(t.Context(), line)
	b.must(err)
	_, err = b.Store.Commit(t.Context(), s.Key()) // by the try that was held up
	b.must(err)
	res, err = b.Requests.finishBootState(t.Context(), taskOf(s), s, stale)
	b.want(res, err, issue.Unknown, anotherSets)
	wantBegun(t, b.Store, s.Key())
}

func TestHeldUp_ANodeThatAnotherTryDisablesIsNotAnsweredAsStopped(t *testing.T) {
	b := newBench(t)
	b.must(b.w.Break(sick, testbed.Fault{State: fakenode.Debug, FixedBy: testbed.Nobody}))
	b.was("node", sick, policy.StatusFailboot, 1)
	b.Policy.Kernels.OldBootCD = []string{` 4\.19\.`} // what the testbed's nodes run
	req := b.task(issue.OldBootCD, "0", issue.Rung{Do: issue.Disable})
	b.tc.beat = begunMeanwhile(t, b.Store, req.Key, cancelled)
	res, err := b.asActivity(b.Boot.Disable, req)
	b.want(res, err, issue.Unknown, "another try writes to PLC just now")
	wantBegun(t, b.Store, req.Key)
	b.wantClaims("node disabled")
}

func TestHeldUp_ARepairThatAnotherTryMakesIsNotGivenUp(t *testing.T) {
	f := newFleet(t)
	host := f.stuck(t, fakenode.DebugMode{Log: logOf(bootSequence)})
	req := input(host, 0)
	tc := &fakeTemporal{}
	tc.beat = begunMeanwhile(t, f.Store, req.Key, cancelled)
	f.Boot.workflows.Temporal = tc
	res, err := asActivity(f.Boot.Bootman, req)
	if err != nil || res.Outcome != issue.Unknown {
		t.Errorf("it answers %+v, %v", res, err)
	}
	wantBegun(t, f.Store, req.Key)
	f.told(t, host)
}
