package workflows_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/workflows"
)

// ask reads the site's state at a time.
func (p *siteplay) ask(at float64, check func(site.State)) {
	p.RegisterDelayedCallback(func() {
		answer, err := p.QueryWorkflow(workflows.QueryStatus)
		var s site.State
		if err == nil {
			err = answer.Get(&s)
		}
		if err != nil {
			p.t.Errorf("query at day %.2f: %v", at, err)
			return
		}
		check(s)
	}, time.Duration(at*24*float64(time.Hour)))
}

func TestAnAnswerHoldsTheLevelForThirtyDaysAndAnotherWordComesBeforeItGoesOn(t *testing.T) {
	p := newSite(t)
	p.tracker, p.answers = true, []float64{8}
	p.hold(0, 1, 1)
	p.hold(7.1, 1, 2)
	p.hold(14, 1, 2) // they know of it, and have answered
	p.ask(20, func(s site.State) {
		if s.Pause == nil || s.Level != 1 || s.Pause.Until.Sub(p.start).Round(6*time.Hour) > 38*day+day/2 ||
			!strings.Contains(s.Pause.Reason, "alice answered ticket 7") {
			t.Errorf("while held: %+v", s)
		}
	})
	p.release(60, 1)
	p.run()
	if len(p.levels) != 3 || p.levels[0] != "7.00 0->1" || p.levels[1] < "45" || p.levels[1] > "46" {
		t.Errorf("levels %q", p.levels)
	}
	resumed := 0
	for _, m := range p.mails {
		if strings.Contains(m, "resumed") {
			resumed++
		}
	}
	if resumed != 1 || slices.ContainsFunc(p.mails, func(m string) bool { return strings.HasPrefix(m, "14") }) {
		t.Errorf("mails %q", p.mails)
	}
}

func TestTheTicketIsLookedAtBeforeALevelRises(t *testing.T) {
	p := newSite(t)
	p.tracker, p.answers = true, []float64{6.99} // after the last regular look, before the step
	p.hold(0, 1, 2)
	p.release(20, 1)
	p.run()
	if len(p.levels) > 0 {
		t.Errorf("levels %q", p.levels)
	}
}

func TestAnOperatorsLongerPauseOutlastsAnAnswer(t *testing.T) {
	p := newSite(t)
	p.tracker, p.answers = true, []float64{3}
	p.hold(0, 1, 2)
	p.update(2, "pause", issue.Command{Reason: "new building", By: "bob"})
	p.ask(50, func(s site.State) {
		if s.Pause == nil || !s.Pause.Until.IsZero() || s.Pause.Reason != "new building" || s.Pause.By != "bob" {
			t.Errorf("paused as %+v", s.Pause)
		}
	})
	p.update(51, "resume", issue.Command{})
	p.release(60, 1)
	p.run()
	if want := []string{"58.00 0->1", "60.00 1->0"}; !slices.Equal(p.levels, want) {
		t.Errorf("levels %q, want %q", p.levels, want)
	}
}

func TestATrackerThatIsAwayForADayLosesNothingAndRepeatsNothing(t *testing.T) {
	p := newSite(t)
	p.tracker, p.away = true, [2]float64{7, 8}
	p.hold(0, 1, 0)
	p.hold(7.1, 1, 1)
	p.hold(7.5, 2, 1)
	p.ask(7.9, func(s site.State) {
		if s.Blocked != "the tracker is away" || s.Level != 0 || len(s.Pending) == 0 {
			t.Errorf("while it is away: %+v", s)
		}
	})
	p.hold(7.95, 3, 0)
	p.release(7.96, 3)
	p.release(12, 1)
	p.release(12, 2)
	p.run()
	if len(p.mails) != 4 || p.mails[0] != "0.00 level 0: down planetlab1" ||
		!strings.HasSuffix(p.mails[1], "down planetlab1 planetlab2") || p.mails[1] < "8" || p.mails[1] > "8.3" ||
		p.mails[2] != "11.50 level 1: warning" || !strings.HasSuffix(p.mails[3], "online planetlab1 planetlab2") {
		t.Errorf("mails %q", p.mails)
	}
}

func TestAMessageWhoseAnswerWasLostIsNotChangedBeforeItIsSurelyOut(t *testing.T) {
	p := newSite(t)
	p.tracker, p.lost = true, 2
	p.hold(0, 1, 0)
	p.hold(0.03, 2, 0)
	p.release(5, 1)
	p.release(5, 2)
	p.run()
	if len(p.tries) < 4 || p.tries[0].Key != p.tries[1].Key || p.tries[1].Key != p.tries[2].Key ||
		len(p.tries[2].Notices) != 1 || p.tries[3].Key == p.tries[0].Key {
		t.Errorf("%d tries: %+v", len(p.tries), p.tries)
	}
	if len(p.mails) != 3 || !strings.HasSuffix(p.mails[0], "down planetlab1") ||
		!strings.HasSuffix(p.mails[1], "down planetlab2") {
		t.Errorf("mails %q", p.mails)
	}
}

func TestATicketIsResolvedWhenTheLastIssueLetGoAndAllIsSaid(t *testing.T) {
	for name, away := range map[string][2]float64{"": {}, " though the tracker is away just then": {20.5, 22}} {
		t.Run("the ticket is resolved"+name, func(t *testing.T) {
			p := newSite(t)
			p.tracker, p.away = true, away
			p.hold(0, 1, 0)
			p.hold(3, 2, 0)
			p.release(10, 1)
			p.release(20, 2)
			s := p.run()
			if len(p.resolved) != 1 || p.resolved[0] < "21.0" || p.resolved[0] > "22.3" || away[1] > 0 &&
				p.resolved[0] < "22" || s.Ticket.ID != 0 {
				t.Errorf("resolved on %q, ended with %+v", p.resolved, s.Ticket)
			}
			if n := len(p.mails); n != 4 {
				t.Errorf("%d mails: %q", n, p.mails)
			}
		})
	}
}

func TestEveryMessageSaysWhatComesNext(t *testing.T) {
	p := newSite(t)
	p.tracker, p.answers = true, []float64{3}
	p.update(0, site.UpdateHold, site.HoldRequest{Key: "a", Ref: node(1), Kind: "down",
		Coming: []issue.Coming{{At: p.Now().Add(9 * day), Do: issue.Email, Level: 1},
			{At: p.Now().Add(14 * day), Do: issue.Flag}}})
	p.hold(4, 2, 0)
	p.release(6, 1)
	p.release(6, 2)
	p.run()
	var said []string
	for _, in := range p.tries[:2] {
		for _, c := range in.Coming {
			said = append(said, fmt.Sprintf("%.0f %s %d", c.At.Sub(p.start).Hours()/24, c.What, c.Level))
		}
	}
	want := []string{"9 step 1", "9 word 0", "14 admins 0", "14 admins 0", "33 resume 0", "40 step 1"}
	if !slices.Equal(said, want) {
		t.Errorf("forecasts\n  %s\nwant\n  %s", strings.Join(said, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestOrdersThatCannotBeMeantAreRefused(t *testing.T) {
	p := newSite(t)
	p.hold(0, 1, 0)
	var refused []string
	for i, o := range []struct {
		name string
		c    issue.Command
	}{{"pause", issue.Command{Until: p.Now().Add(-day)}}, {"resume", issue.Command{}}} {
		p.RegisterDelayedCallback(func() {
			p.UpdateWorkflow(o.name, fmt.Sprint("bad ", i), &testsuite.TestUpdateCallback{
				OnReject: func(err error) {
					refused = append(refused, err.Error())
				}, OnAccept: func() { t.Errorf("%s was accepted", o.name) }, OnComplete: func(any, error) {},
			}, o.c)
		}, day)
	}
	p.release(2, 1)
	p.run()
	if len(refused) != 2 || !strings.Contains(refused[0], "lies in the past") ||
		!strings.Contains(refused[1], "not paused") {
		t.Errorf("refused %q", refused)
	}
}

func TestMailsOfASiteThreadThroughAllItsLife(t *testing.T) {
	p := newSite(t)
	for n := range 14 {
		p.hold(float64(n), n, 0)
		p.release(30, n)
	}
	p.run()
	last := p.tries[len(p.tries)-1]
	if len(last.Thread) != 10 || last.Thread[0] != "<"+p.tries[0].Key+"@x>" ||
		last.Thread[9] != "<"+p.tries[len(p.tries)-2].Key+"@x>" {
		t.Errorf("the last of %d mails follows %q", len(p.tries), last.Thread)
	}
}
