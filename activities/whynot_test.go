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
