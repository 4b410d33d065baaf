package activities

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// wantWhyNot checks that who asks why an act is not done is told what the rung was told: the same check of the gate, in
// the same words but for moments. A result without a check: every check passes.
func (b *bench) wantWhyNot(act policy.Act, typ string, said issue.Result) {
	b.Helper()
	answer, err := b.Explainer.WhyNot(b.Context(), WhyNotRequest{Act: act, Type: typ, Target: sick})
	b.must(err)
	gate := slices.DeleteFunc(answer.Checks, func(c policy.CheckAnswer) bool { return c.Name == "issue" })
	i := slices.IndexFunc(gate, func(c policy.CheckAnswer) bool { return !c.Do })
	switch {
	case said.Check == "" && i >= 0:
		b.Errorf("the rung may act, and why-not says that %s forbids it: %s", gate[i].Name, gate[i].Reason)
	case said.Check != "" && (i < 0 || gate[i].Name != said.Check):
		b.Errorf("the rung was told by %s: %s; why-not says %+v", said.Check, said.Reason, gate)
	}
}

func TestALookAtOneNodeSeesItAsItIsNow(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	seen, err := b.Explainer.LookAtNode(ctx, sick)
	b.must(err)
	if !seen.Alive || seen.State != policy.StateBoot || seen.Host != sick || seen.Site != site || time.Since(seen.At) > time.Minute {
		t.Errorf("a good node is seen as %+v", seen)
	}
	before, err := b.Store.Node(ctx, sick)
	b.must(err)
	b.hung()
	if seen, err = b.Explainer.LookAtNode(ctx, sick); err != nil || seen.Alive || seen.State != policy.StateDown || seen.Reason == "" {
		t.Errorf("a node that hangs is seen as %+v, %v", seen, err)
	}
	after, err := b.Store.Node(ctx, sick)
	b.must(err)
	if after.State != before.State || !after.SeenAt.Equal(before.SeenAt) {
		t.Errorf("the look changed what the last sweep saw from %+v to %+v", before, after)
	}
	if _, err := b.Explainer.LookAtNode(ctx, "nobody.example"); err == nil || !strings.Contains(err.Error(), "no node nobody.example is known") {
		t.Errorf("of a node that nobody knows: %v", err)
	}
}

func TestWhyNot_TellsWhoseTurnItIs(t *testing.T) {
	b := newBench(t)
	b.hung()
	ctx := b.Context()
	ask := func(act policy.Act, at time.Time, want, says string) {
		t.Helper()
		answer, err := b.Explainer.WhyNot(ctx, WhyNotRequest{Act: act, Type: issue.NodeDown, Target: sick, At: at})
		b.must(err)
		if answer.Check != want || !strings.Contains(answer.Reason, says) {
			t.Errorf("%s: %s says %q, want %s with %q", act, answer.Check, answer.Reason, want, says)
		}
	}
	ask(policy.ActReboot, time.Time{}, "issue", "no nodedown/"+sick+" is open")
	ask(policy.ActOpen, time.Time{}, "symptom", "what the last sweep saw does not call for it")
	b.must(b.Store.SaveNodeLooks(ctx,
		[]store.NodeLook{{Host: sick, State: policy.StateDown, Silent: true, Reason: "no answer",
			At: time.Now()}}))
	ask(policy.ActOpen, time.Time{}, "", "every check")

	typ, _ := issue.Lookup(issue.NodeDown)
	s := issue.Start(issue.Opening{Ref: b.task(issue.NodeDown, "whose turn", rebootRung).State.Ref, Ladder: typ.Ladder,
		Times: issue.TimesOf(b.Policy), Mode: policy.ModeAct}, time.Now())
	save := func(change func()) {
		change()
		s.Seq++
		b.must(b.Store.SaveIssue(ctx, s, time.Now()))
	}
	save(func() {})
	ask(policy.ActOpen, time.Time{}, "symptom", "is open already")
	ask(policy.ActReboot, time.Time{}, "", "every check")
	ask(policy.ActReinstall, time.Time{}, "issue", "its turn comes later")
	ask(policy.ActReinstall, time.Now().Add(40*b.Policy.Day), "", "every check")
	save(func() {
		s.Obey(issue.OrderVeto, issue.Command{By: "ann", Reason: "its disk has data", Step: 2}, time.Now())
	})
	ask(policy.ActReinstall, time.Now().Add(40*b.Policy.Day), "issue", "vetoed: its disk has data (ann)")
	save(func() { s.Obey(issue.OrderPause, issue.Command{By: "bob", Reason: "a move"}, time.Now()) })
	ask(policy.ActReboot, time.Time{}, "issue", "is paused: a move (bob)")
	save(func() { s.Obey(issue.OrderResume, issue.Command{}, time.Now()) })

	b.must(b.Store.SetControl(ctx, store.Control{Name: store.ControlOf(store.ControlMode, store.PartSite, site),
		Value: "observe", By: "ann", Reason: "their new firewall"}))
	ask(policy.ActReboot, time.Time{}, "mode", "site/"+site+": their new firewall (ann")
	b.wantWhyNot(policy.ActReboot, issue.NodeDown, issue.Result{Check: "mode"})
}

// What a rung asks beside the gate is asked by why-not, too: it never says yes where the rung does nothing.
func TestWhyNot_AsksWhatARungAsksBesideTheGate(t *testing.T) {
	b := newBench(t)
	b.hung()
	ctx := b.Context()
	typ, _ := issue.Lookup(issue.NodeDown)
	s := issue.Start(issue.Opening{Ref: b.task(issue.NodeDown, "beside", rebootRung).State.Ref, Ladder: typ.Ladder,
		Times: issue.TimesOf(b.Policy), Mode: policy.ModeAct}, time.Now())
	at := func(rung int, rebooted bool) {
		s.Rung, s.Rebooted = rung, rebooted
		s.Seq++
		b.must(b.Store.SaveIssue(ctx, s, time.Now()))
	}
	ask := func(act policy.Act, want, says string) {
		t.Helper()
		answer, err := b.Explainer.WhyNot(ctx, WhyNotRequest{Act: act, Type: issue.NodeDown, Target: sick})
		b.must(err)
		if answer.Check != want || !strings.Contains(answer.Reason, says) {
			t.Errorf("%s: %s says %q, want %s with %q", act, answer.Check, answer.Reason, want, says)
		}
	}
	at(1, false)
	ask(policy.ActReinstall, "issue", "is passed over: it was surely not rebooted")
	at(1, true)
	ask(policy.ActReinstall, "", "every check")
	b.entry("ManualPCU", "")
	ask(policy.ActReinstall, "by hand", "only Monitor itself reboots into a reinstall")
	at(0, false)
	ask(policy.ActReboot, "", "every check")
	b.People.post.Admins = nil
	ask(policy.ActReboot, "by hand", "names nobody to ask")
	at(3, false)
	ask(policy.ActNotify, "", "every check")
	b.was("node", sick, policy.StatusOffline, 1.5)
	ask(policy.ActNotify, "age", "nobody is written to before it is down")
	res, err := b.People.Email(ctx, b.task(issue.NodeDown, "age", emailRung))
	b.want(res, err, issue.Wait, "nobody is written to before it is down")
	b.wantWhyNot(policy.ActNotify, issue.NodeDown, res)
}

func TestWhyNot_KnowsWhatASweepDoubtsAndWhatIsOneStory(t *testing.T) {
	b := newBench(t)
	b.hung()
	ctx := b.Context()
	ask := func(want, says string) {
		t.Helper()
		answer, err := b.Explainer.WhyNot(ctx, WhyNotRequest{Act: policy.ActOpen, Type: issue.NodeDown, Target: sick})
		b.must(err)
		if answer.Check != want || !strings.Contains(answer.Reason, says) {
			t.Errorf("%s says %q, want %s with %q", answer.Check, answer.Reason, want, says)
		}
	}
	silent := func(hosts ...string) {
		for _, host := range hosts {
			b.must(b.Store.SaveNodeLooks(ctx, []store.NodeLook{{Host: host, State: policy.StateDown, Silent: true,
				Reason: "no answer", At: time.Now()}}))
		}
	}
	silent(sick)
	ask("", "every check")
	b.sweepEnds(store.Sweep{Believed: true, Doubts: map[string]string{issue.NodeDown: "half the fleet has it"}})
	ask("symptom", "believes nothing of nodedown: half the fleet has it")
	b.sweepEnds(store.Sweep{Believed: true})
	b.Policy.SiteOutageNodes = 2
	other := strings.Replace(sick, "1", "2", 1)
	b.was("node", other, policy.StatusDown, 3)
	silent(other)
	ask("symptom", "is one story: none of its 2 nodes answers")
}

// A step up is not taken when nodes are back since the last sweep: the step looks, and so does why-not.
func TestWhyNot_LooksBeforeAStepUpAsTheStepDoes(t *testing.T) {
	b := newBench(t)
	b.ailing(site)
	b.tc.gone = []string{"site/" + site} // its workflow does not run, and so answers nothing
	up := func() (n string) {
		t.Helper()
		answer, err := b.Explainer.WhyNot(b.Context(), WhyNotRequest{Act: policy.ActPenalize, Target: site})
		b.must(err)
		i := slices.IndexFunc(answer.Checks, func(c policy.CheckAnswer) bool { return c.Name == "site" })
		return answer.Checks[i].Reason
	}
	before := up()
	for _, host := range []string{sick, strings.Replace(sick, "1", "2", 1)} {
		b.must(b.w.Heal(host))
	}
	if after := up(); after == before || !strings.Contains(after, "2 nodes are up") {
		t.Errorf("before it said %q, and with all nodes back %q", before, after)
	}
}
