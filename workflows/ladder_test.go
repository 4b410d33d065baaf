package workflows_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/workflows"
)

func ladder(typ string) workflows.Ladder {
	for _, l := range workflows.Ladders() {
		if l.Type == typ {
			return l
		}
	}
	return workflows.Ladder{}
}

// climbs are the lists as people are written to about them: mail, mail and a penalty, mail and the second, mail, and the admins.
var (
	leans = []string{"0.00 send email", "7.00 send email, apply penalty", "14.00 send email, apply second penalty", "21.00 send email", "28.00 flag for admin", "29.00 flag for admin"}
	asks  = []string{"0.00 send email", "7.00 send email", "14.00 flag for admin", "15.00 flag for admin"}
)

func TestEveryTypeClimbsItsList(t *testing.T) {
	for typ, want := range map[string][]string{
		"pcudown": leans, "badhardware": leans, "dnserror": leans, "nodeconfig": leans, "firewall": leans, "minimalhardware": leans,
		"noblockdevice": leans, "filesystem": leans, "sitedown": leans,
		"oldbootcd":       append([]string{"0.00 set disabled in PLC"}, leans...),
		"pcumissing":      asks,
		"unknownsequence": {"0.00 flag for admin", "1.00 flag for admin"},
		"nodedown": {
			"0.00 if pcu ok: reboot", "1.00 if pcu ok and reboot failed: set rins, reboot", "2.00 create_issue pcudown", "2.00 send email",
			"9.00 send email, apply penalty", "16.00 send email, apply second penalty", "23.00 send email",
			"30.00 flag for admin", "31.00 flag for admin",
		},
	} {
		t.Run(typ, func(t *testing.T) {
			p := newPlay(t, ladder(typ))
			last := 0.0
			if _, err := fmt.Sscanf(want[len(want)-1], "%f", &last); err != nil {
				t.Fatal(err)
			}
			p.signal(last+0.5, activities.SignalCleared, workflows.Command{})
			p.run()
			p.wantDid(want...)
		})
	}
}

func TestNoSiteIsMailedAboutALogThatBootmanDoesNotKnow(t *testing.T) {
	for _, r := range ladder("unknownsequence").Rungs {
		if r.Do == workflows.Email || r.Level > 0 {
			t.Errorf("its list holds %q", r)
		}
	}
}

func TestEveryTypeIsExplained(t *testing.T) {
	types := map[string]bool{}
	for _, w := range workflows.Types() {
		types[w.Name] = true
	}
	for _, l := range workflows.Ladders() {
		if l.About == "" || l.Opens == "" || l.Ends == "" || !types[l.Type] {
			t.Errorf("%s: about %q, opens %q, ends %q, a workflow %v", l.Type, l.About, l.Opens, l.Ends, types[l.Type])
		}
		if last := l.Rungs[len(l.Rungs)-1]; last.Do != workflows.Flag || last.Yield != workflows.AdminStep {
			t.Errorf("%s ends with %q and not with the admins", l.Type, last)
		}
	}
}

func TestLaddersPrintAsTheNoteHasThem(t *testing.T) {
	got := workflows.NodeDown().Print(times)
	want := `nodedown: a node has stopped answering
    opens when the node has been offline or down for policy.node_down_after, 1 d by default, and not for a firewall
    ends when a look finds the node running, all its ports open
    if pcu ok: reboot
        yield 1 d (machine step)
    if pcu ok and reboot failed: set rins, reboot
        yield 1 d (machine step)
    create_issue pcudown
    send email
        yield 7 d (people step)
    send email, apply penalty
        yield 7 d (people step)
    send email, apply second penalty
        yield 7 d (people step)
    send email
        yield 7 d (people step)
    flag for admin
        yield 1 d (admin step)
`
	if got != want {
		t.Errorf("prints\n%s", got)
	}
	if page := workflows.Markdown(workflows.Ladders(), times); strings.Count(page, "\n## ") != len(workflows.Ladders()) {
		t.Errorf("the page has %d sections", strings.Count(page, "\n## "))
	}
}

func TestWhatAnIssueWasOpenedWithReachesEveryRung(t *testing.T) {
	p := newPlay(t, ladder("badhardware"))
	p.signal(8, workflows.CommandClose, workflows.Command{})
	p.on(1, func() {
		if s := p.status(); s.Cause != "ata1: SError" || !slices.Equal(s.Evidence, []string{"ata1: failed command", "ata1: exception"}) {
			t.Errorf("the status says cause %q, evidence %q", s.Cause, s.Evidence)
		}
	})
	p.runWith(activities.IssueInput{Node: targetOf("badhardware"), Cause: "ata1: SError", Evidence: []string{"ata1: failed command", "ata1: exception"}})
	for i, in := range p.inputs {
		if !slices.Equal(in.Evidence, []string{"ata1: failed command", "ata1: exception"}) || in.Cause != "ata1: SError" {
			t.Errorf("rung %d gets cause %q, evidence %q", i, in.Cause, in.Evidence)
		}
	}
}

// passedByPCU makes the rungs that need a PCU pass until it is back.
func passedByPCU(p *play, back *bool) {
	p.answer = func(_ int, in activities.RungInput) activities.RungResult {
		if slices.Contains(in.When, activities.PCUOK) && !*back {
			return activities.RungResult{Outcome: activities.Passed, Reason: "pcudown is open"}
		}
		return activities.RungResult{}
	}
}

func TestAPCUThatWorksAgainIsGivenBack(t *testing.T) {
	p := newPlay(t, ladder("nodedown"))
	back := false
	passedByPCU(p, &back)
	p.on(8, func() {
		back = true
		p.SignalWorkflow(activities.SignalPCUBack, map[string]string{"reason": "pcudown/pcu is closed"})
	})
	p.on(8.5, func() { p.SignalWorkflow(activities.SignalPCUBack, nil) }) // once more says nothing new
	p.signal(15, activities.SignalCleared, workflows.Command{})
	p.run()
	p.wantDid(
		"0.00 if pcu ok: reboot", "0.00 if pcu ok and reboot failed: set rins, reboot", "0.00 create_issue pcudown", "0.00 send email",
		"7.00 send email, apply penalty",
		"8.00 if pcu ok: reboot", "9.00 if pcu ok and reboot failed: set rins, reboot",
		"14.00 send email, apply second penalty",
	)
}

func TestAPCUThatIsGivenBackAndHelpsNothingDoesNotHurryTheMail(t *testing.T) {
	p := newPlay(t, ladder("nodedown"))
	back := false
	passedByPCU(p, &back)
	p.on(2, func() { p.SignalWorkflow(activities.SignalPCUBack, nil) }) // it is not, by the look of the rung
	p.signal(8, activities.SignalCleared, workflows.Command{})
	p.run()
	p.wantDid(
		"0.00 if pcu ok: reboot", "0.00 if pcu ok and reboot failed: set rins, reboot", "0.00 create_issue pcudown", "0.00 send email",
		"2.00 if pcu ok: reboot", "2.00 if pcu ok and reboot failed: set rins, reboot",
		"7.00 send email, apply penalty",
	)
}

func TestANodeThatWasRebootedIsNotRebootedForItsPCU(t *testing.T) {
	p := newPlay(t, ladder("nodedown"))
	p.on(5, func() { p.SignalWorkflow(activities.SignalPCUBack, nil) })
	p.signal(8, activities.SignalCleared, workflows.Command{})
	p.run()
	if len(p.did) != 4 {
		t.Errorf("did %q", p.did)
	}
}

func TestAPausedIssueGetsItsPCUBackWhenItIsResumed(t *testing.T) {
	p := newPlay(t, ladder("nodedown"))
	back := false
	passedByPCU(p, &back)
	p.signal(1, workflows.CommandPause, workflows.Command{})
	p.on(2, func() { back = true; p.SignalWorkflow(activities.SignalPCUBack, nil) })
	p.signal(4, workflows.CommandResume, workflows.Command{})
	p.signal(5.5, activities.SignalCleared, workflows.Command{})
	p.run()
	if len(p.did) < 5 || p.did[4] != "4.00 if pcu ok: reboot" || p.inputs[4].Key == p.inputs[0].Key {
		t.Errorf("did %q", p.did)
	}
}

func TestADisabledNodeGetsItsBootStateBack(t *testing.T) {
	for _, forced := range []bool{false, true} {
		p := newPlay(t, ladder("oldbootcd"))
		p.answer = func(n int, _ activities.RungInput) activities.RungResult {
			if n == 0 {
				return activities.RungResult{Outcome: activities.Acted, Reason: "set disabled", BootState: "reinstall"}
			}
			return activities.RungResult{}
		}
		if forced {
			p.signal(3, workflows.CommandClose, workflows.Command{})
		} else {
			p.signal(3, activities.SignalCleared, workflows.Command{})
		}
		p.run()
		if len(p.letGo) != 1 || p.letGo[0].BootState != "reinstall" || p.letGo[0].Force != forced {
			t.Errorf("let go as %+v", p.letGo)
		}
	}
}
