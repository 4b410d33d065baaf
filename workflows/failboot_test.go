package workflows_test

import (
	"strings"
	"testing"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/workflows"
)

func TestFailbootAsksBootmanForTwoDaysBeforeItAsksPeople(t *testing.T) {
	p := newPlay(t, workflows.Failboot())
	p.signal(31.5, activities.SignalCleared, workflows.Command{})
	res := p.run()
	p.wantDid(
		"0.00 run bootman",
		"0.50 run bootman",
		"1.00 run bootman",
		"1.50 run bootman",
		"2.00 send email",
		"9.00 send email, apply penalty",
		"16.00 send email, apply second penalty",
		"23.00 send email",
		"30.00 flag for admin",
		"31.00 flag for admin",
	)
	if res.Outcome != "good again" || len(p.letGo) != 1 || !p.letGo[0].Told {
		t.Errorf("ended as %q, let go as %+v", res.Outcome, p.letGo)
	}
}

func TestFailbootEndsWhenARepairHelps(t *testing.T) {
	p := newPlay(t, workflows.Failboot())
	p.answer = func(n int, _ activities.RungInput) activities.RungResult {
		if n == 1 {
			return activities.RungResult{Outcome: activities.Good, Reason: "up"}
		}
		return activities.RungResult{}
	}
	res := p.run()
	p.wantDid("0.00 run bootman", "0.50 run bootman")
	if res.Outcome != "good again" || p.letGo[0].Told {
		t.Errorf("ended as %q, told %v", res.Outcome, p.letGo[0].Told)
	}
}

func TestFailbootClimbsWhenARepairWasTriedInVain(t *testing.T) {
	p := newPlay(t, workflows.Failboot())
	p.answer = func(n int, in activities.RungInput) activities.RungResult {
		if n > 0 && strings.Contains(in.Rung, "bootman") {
			return activities.RungResult{Outcome: activities.Passed, Reason: "fsck_repair was tried"}
		}
		return activities.RungResult{}
	}
	p.signal(3, activities.SignalCleared, workflows.Command{})
	p.run()
	p.wantDid("0.00 run bootman", "0.50 run bootman", "0.50 run bootman", "0.50 run bootman", "0.50 send email")
}

func TestFailbootWaitsForTheIssueThatBootmanHasOpened(t *testing.T) {
	p := newPlay(t, workflows.Failboot())
	p.answer = func(int, activities.RungInput) activities.RungResult {
		return activities.RungResult{Outcome: activities.Wait, Reason: "badhardware/planetlab1 is open", Until: p.Now().Add(day / 2)}
	}
	p.on(20.2, func() {
		if s := p.status(); s.Rung != 0 || s.Blocked != "badhardware/planetlab1 is open" || s.Told {
			t.Errorf("on day 20 it is %+v", s)
		}
	})
	p.signal(21.1, activities.SignalCleared, workflows.Command{})
	if res := p.run(); res.Outcome != "good again" || len(p.did) != 43 {
		t.Errorf("ended as %q after %d visits", res.Outcome, len(p.did))
	}
	for _, d := range p.did {
		if !strings.HasSuffix(d, "run bootman") {
			t.Errorf("it did %q beside the other issue", d)
		}
	}
}
