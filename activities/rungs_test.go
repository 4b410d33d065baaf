package activities

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/simnode"
)

func TestRungsThatWriteToPeople(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Postgres and a small world")
	}
	b := newBench(t)
	ctx := b.Context()
	b.must(b.w.Break(sick, testbed.Ailment{State: simnode.Hung, Healer: testbed.Nobody}))

	t.Run("a site is not written to before its node is down", func(t *testing.T) {
		b.was("node", sick, policy.StatusOffline, 1.5)
		res, err := b.Email(ctx, b.ask(NodeDownType, "0"))
		b.want(res, err, Wait, "nobody is written to before it is down")
		if in := time.Until(res.Until); in < 11*time.Hour || in > 13*time.Hour || len(b.tc.updates) > 0 {
			t.Errorf("it waits for %s, and leant %v", in, b.tc.updates)
		}
	})
	t.Run("what was seen and what the issue was opened with is its evidence", func(t *testing.T) {
		b.was("node", sick, policy.StatusDown, 3)
		in := b.ask(NodeDownType, "1")
		in.Level, in.Evidence = 1, []string{"the switch port is dark"}
		res, err := b.Email(ctx, in)
		b.want(res, err, Acted, "handed to site huji")
		if len(b.tc.updates) != 1 {
			t.Fatalf("leant %v", b.tc.updates)
		}
		l := b.tc.updates[0].(sites.HoldRequest)
		if l.Kind != "down" || l.Level != 1 || len(l.Evidence) != 2 || !strings.Contains(l.Evidence[0], "no ssh") || l.Evidence[1] != "the switch port is dark" {
			t.Errorf("leant %+v", l)
		}
		if !res.Told || res.Level != 1 {
			t.Errorf("answered %+v", res)
		}
	})
	t.Run("what an earlier try may have leant is let go, without thanks", func(t *testing.T) {
		b.tc.updates = nil
		for _, in := range []LetGoInput{{Force: true}, {Force: true, Leaned: true}} {
			in.Ref, in.Key, in.Outcome = b.ask(NodeDownType, "1").Ref, "let-go", "gone"
			res, err := b.LetGo(ctx, in)
			b.want(res, err, Acted, "gone")
		}
		if len(b.tc.updates) != 1 || b.tc.updates[0].(sites.Release).Thanks {
			t.Errorf("asked of the site: %+v", b.tc.updates)
		}
	})
	t.Run("the admins are told once an issue, whatever the tries", func(t *testing.T) {
		for _, key := range []string{"2", "2", "3"} {
			res, err := b.Flag(ctx, b.ask(UnknownSequenceType, key))
			b.want(res, err, Acted, "")
		}
		if got := b.subjects(); len(got) != 1 || !strings.Contains(got[0], "needs an admin") {
			t.Errorf("mail is %q", got)
		}
	})
	t.Run("a node that is up is written about to nobody", func(t *testing.T) {
		b.must(b.w.Heal(sick))
		res, err := b.Email(ctx, b.ask(NodeDownType, "4"))
		b.want(res, err, Good, "up")
	})
	t.Run("a node that has left PLC is gone", func(t *testing.T) {
		res, err := b.Email(ctx, RungInput{Ref: Ref{ID: "nodedown/nobody.example", Type: NodeDownType, Node: "nobody.example", Site: site}, Key: "k"})
		b.want(res, err, Gone, "no longer in PLC")
	})
}

func TestANodeOnAnOldBootCDIsDisabledAndGetsItsBootStateBack(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Postgres and a small world")
	}
	b := newBench(t)
	ctx := b.Context()
	b.must(b.w.Break(sick, testbed.Ailment{State: simnode.Debug, Healer: testbed.Nobody}))
	b.was("node", sick, policy.StatusFailboot, 1)
	b.Policy.Kernels.OldBootCD = []string{` 4\.19\.`} // what the testbed's nodes run
	state := func() any { return b.w.DB.Get("Nodes", "hostname", sick)["boot_state"] }
	b.must(b.PLC.SetBootState(ctx, sick, "reinstall"))

	in := b.ask(OldBootCDType, "0")
	for range 2 { // and a retry that finds it disabled by the first try
		res, err := b.Disable(ctx, in)
		b.want(res, err, Acted, "it was reinstall in PLC before")
		if res.BootState != "reinstall" || state() != "disabled" {
			t.Errorf("it would get %q back; PLC has it at %v", res.BootState, state())
		}
	}
	res, err := b.Disable(ctx, b.ask(OldBootCDType, "1")) // the answer was lost, and then the rung had to wait
	b.want(res, err, Acted, "it was reinstall in PLC before")
	if res.BootState != "reinstall" {
		t.Errorf("it would get %q back", res.BootState)
	}
	anew := b.ask(OldBootCDType, "2")
	anew.Since = time.Now()
	res, err = b.Disable(ctx, anew)
	b.want(res, err, Passed, "disabled in PLC already")

	letGo := LetGoInput{Ref: in.Ref, Key: in.Ref.ID + "/run/let-go.1", BootState: "reinstall", Outcome: "good again"}
	res, err = b.LetGo(ctx, letGo)
	b.want(res, err, Wait, "debug")
	if state() != "disabled" {
		t.Error("it is let go though the old CD is still in it")
	}
	b.Policy.Kernels.OldBootCD = nil
	for range 2 {
		res, err = b.LetGo(ctx, letGo)
		b.want(res, err, Acted, "set back to reinstall in PLC")
		if state() != "reinstall" {
			t.Errorf("PLC has it at %v", state())
		}
	}
	b.must(b.PLC.SetBootState(ctx, sick, "safeboot")) // its owner wants to look at it
	letGo.Key += "2"
	res, err = b.LetGo(ctx, letGo)
	b.want(res, err, Acted, "left at safeboot in PLC")
	if state() != "safeboot" {
		t.Errorf("PLC has it at %v", state())
	}
	b.wantLedger(in.Ref.ID, "disable done", "enable done", "enable skipped")
}

func TestIssuesKnowEachOther(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Postgres and a small world")
	}
	b := newBench(t)
	ctx := b.Context()
	b.was("node", sick, policy.StatusDown, 3)

	t.Run("a PCU whose issue closes is given back to the nodes it feeds", func(t *testing.T) {
		b.open("nodedown/"+sick, NodeDownType, sick)
		b.must(b.Store.UpdateIssue(ctx, store.Issue{ID: "nodedown/other", RunID: "r", Type: NodeDownType, Target: "other", Node: "other", Site: site, PCUID: 77, Status: "open", Opened: time.Now()}))
		ref := Ref{ID: "pcudown/" + pcu, Run: "r", Type: PCUDownType, PCU: pcu, PCUID: b.pcuID(), Site: site}
		b.must(b.Record(ctx, Progress{Ref: ref, Status: "open", Opened: time.Now()}))
		if len(b.tc.signals) > 0 {
			t.Errorf("an open one gives back: %q", b.tc.signals)
		}
		b.must(b.Record(ctx, Progress{Ref: ref, Status: "closed", Opened: time.Now(), Closed: time.Now()}))
		if want := []string{"nodedown/" + sick + " pcuback"}; !slices.Equal(b.tc.signals, want) {
			t.Errorf("told %q, want %q", b.tc.signals, want)
		}
	})
	t.Run("a new issue knows how the last one ended, and that reboots are used up", func(t *testing.T) {
		b.must(b.Store.UpdateIssue(ctx, store.Issue{ID: "nodedown/" + sick, RunID: "last", Type: NodeDownType, Target: sick, Node: sick, Site: site, Status: "closed",
			Opened: time.Now().Add(-72 * time.Hour), Closed: time.Now().Add(-24 * time.Hour), Outcome: "good again"}))
		for _, key := range []string{"a", "b"} {
			_, _, err := b.Store.Intent(ctx, store.Action{Key: key, Kind: "reboot", Node: sick, Site: site})
			b.must(err)
		}
		opened, err := b.Open(ctx, Opening{Ref: Ref{ID: "nodedown/" + sick, Run: "new", Type: NodeDownType, Node: sick}, Evidence: []string{"an alert fired"}})
		want := []string{"an alert fired", "it was here before: the last issue was open for 2 d and closed 1 d ago (good again)", "power-cycled 2 times within 7 d: likely hardware, not another reboot"}
		if err != nil || !slices.Equal(opened.Evidence, want) || opened.Ref.Site != site || opened.Ref.PCU != pcu {
			t.Errorf("opened %+v, %v", opened, err)
		}
	})
	t.Run("an issue without a target it knows says what to do", func(t *testing.T) {
		for want, ref := range map[string]Ref{
			`no node "x.example"`: {ID: "firewall/x.example", Type: FirewallType, Node: "x.example"},
			`no site "x"`:         {ID: "sitedown/x", Type: SiteDownType, Site: "x"},
			`no PCU "x"`:          {ID: "pcudown/x", Type: PCUDownType, PCU: "x"},
			`its input makes it`:  {ID: "firewall/y", Type: FirewallType, Node: "x"},
		} {
			if _, err := b.Open(ctx, Opening{Ref: ref}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v", ref, err)
			}
		}
	})
	t.Run("evidence is cut to what a mail can hold", func(t *testing.T) {
		long := slices.Repeat([]string{strings.Repeat("x", 2000)}, 100)
		b.must(b.openIssue(ctx, BadHardwareType, Ref{Node: sick, Site: site}, "dmesg", long))
		if want := "badhardware/" + sick + " dmesg"; !slices.Contains(b.tc.started, want) {
			t.Errorf("started %q", b.tc.started)
		}
		if got := bounded(long); len(got) != 41 || len(got[0]) > 510 || got[40] != "and 60 lines more" {
			t.Errorf("%d lines, the first of %d bytes, the last %q", len(got), len(got[0]), got[len(got)-1])
		}
		if err := b.openIssue(ctx, BadHardwareType, Ref{Site: site}, "", nil); err == nil {
			t.Error("an issue about nothing was opened")
		}
	})
}

func TestWhatTheGuardHoldsBackIsSaidLater(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Postgres and a small world")
	}
	b := newBench(t)
	_, _, err := b.Store.Intent(b.Context(), store.Action{Key: "guard/1", Kind: "guard", Reason: "half the fleet is gone"})
	b.must(err)
	in := sites.MailRequest{Site: site, Key: "site/huji/run/1", Notices: []sites.Notice{{Ref: issue.Ref(b.ask(NodeDownType, "0").Ref), Kind: "down"}}}
	res, err := b.WriteToSite(b.Context(), in)
	if err != nil || res.Outcome != sites.MailWait || !strings.Contains(res.Reason, "half the fleet is gone") || res.Until.Before(time.Now()) {
		t.Errorf("answered %+v, %v", res, err)
	}
	b.SweepEvery = 500 * time.Millisecond // the hold is soon over
	for n := 0; res.Outcome == sites.MailWait && n < 100; n++ {
		in.Key = fmt.Sprint("site/huji/run/again/", n)
		res, err = b.WriteToSite(b.Context(), in)
		b.must(err)
		time.Sleep(50 * time.Millisecond)
	}
	if res.Outcome != sites.MailSent || len(b.subjects()) != 1 {
		t.Errorf("answered %+v, and mailed %q", res, b.subjects())
	}
}
