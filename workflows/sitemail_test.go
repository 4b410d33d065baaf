package workflows_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/workflows"
)

// ask reads the site's state at a time.
func (p *siteplay) ask(at float64, check func(workflows.SiteState)) {
	p.RegisterDelayedCallback(func() {
		answer, err := p.QueryWorkflow(workflows.QueryStatus)
		var s workflows.SiteState
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

func TestAnAnswerHoldsThePenaltiesForThirtyDaysAndThenTheyGoOn(t *testing.T) {
	p := newSite(t)
	p.tracker, p.answers = true, []float64{2.9}
	p.lean(0, 1, 1)
	p.lean(7, 1, 2)
	p.ask(20, func(s workflows.SiteState) {
		if !s.Paused || s.Level != 1 || s.PausedUntil.Sub(p.start).Round(time.Hour) != 33*day || !strings.Contains(s.PauseReason, "alice answered ticket 7") {
			t.Errorf("while held: %+v", s)
		}
	})
	p.release(40, 1)
	p.run()
	p.want([]string{"0.00 0->1", "33.00 1->2", "40.00 2->0"}, []string{
		"0.00 level 1: down planetlab1; penalty", "7.00 level 1: down planetlab1", "33.01 level 2: resumed; penalty", "40.00 level 2: cleared", "41.00 level 2: online planetlab1",
	})
}

func TestEveryAnswerHoldsThePenaltiesAnew(t *testing.T) {
	p := newSite(t)
	p.tracker, p.answers = true, []float64{2.9, 12.9, 30.9}
	p.lean(0, 1, 2)
	p.release(70, 1)
	p.run()
	if want := []string{"0.00 0->1", "61.00 1->2", "70.00 2->0"}; !slices.Equal(p.levels, want) {
		t.Errorf("levels %q, want %q", p.levels, want)
	}
}

func TestTheTicketIsLookedAtBeforeALevelRises(t *testing.T) {
	p := newSite(t)
	p.tracker, p.answers = true, []float64{6.99} // after the last regular look, before the step
	p.lean(0, 1, 2)
	p.release(20, 1)
	p.run()
	if want := []string{"0.00 0->1", "20.00 1->0"}; !slices.Equal(p.levels, want) {
		t.Errorf("levels %q, want %q", p.levels, want)
	}
}

func TestAnOperatorsLongerPauseOutlastsAnAnswer(t *testing.T) {
	p := newSite(t)
	p.tracker, p.answers = true, []float64{3}
	p.lean(0, 1, 2)
	p.update(2, string(issue.OrderPause), issue.Command{Reason: "new building", By: "bob"})
	p.ask(50, func(s workflows.SiteState) {
		if !s.Paused || !s.PausedUntil.IsZero() || s.PauseReason != "new building (bob)" {
			t.Errorf("paused as %+v", s)
		}
	})
	p.update(51, string(issue.OrderResume), issue.Command{})
	p.release(60, 1)
	p.run()
	if want := []string{"0.00 0->1", "51.00 1->2", "60.00 2->0"}; !slices.Equal(p.levels, want) {
		t.Errorf("levels %q, want %q", p.levels, want)
	}
}

func TestATrackerThatIsAwayForADayLosesNothingAndRepeatsNothing(t *testing.T) {
	p := newSite(t)
	p.tracker, p.away = true, [2]float64{7, 8}
	p.lean(0, 1, 0)
	p.lean(7.1, 1, 1)
	p.lean(7.5, 2, 1)
	p.ask(7.9, func(s workflows.SiteState) {
		if s.Waits != "the tracker is away" || s.Level != 0 || len(s.Pending) == 0 {
			t.Errorf("while it is away: %+v", s)
		}
	})
	p.lean(7.95, 3, 0)
	p.update(7.96, activities.UpdateRelease, activities.Release{Key: "r3", Ref: node(3)})
	p.release(20, 1)
	p.release(20, 2)
	s := p.run()
	if want := []string{"0.00 level 0: down planetlab1", "8.02 level 1: down planetlab1 planetlab2; penalty", "20.00 level 1: cleared", "21.00 level 1: online planetlab1 planetlab2"}; !slices.Equal(p.mails, want) {
		t.Errorf("mails\n  %s\nwant\n  %s", strings.Join(p.mails, "\n  "), strings.Join(want, "\n  "))
	}
	if s.Waits != "" {
		t.Errorf("it still waits: %s", s.Waits)
	}
}

func TestAMessageWhoseAnswerWasLostIsNotChangedBeforeItIsSurelyOut(t *testing.T) {
	p := newSite(t)
	p.tracker, p.lost = true, 2
	p.lean(0, 1, 0)
	p.lean(0.03, 2, 0)
	p.release(5, 1)
	p.release(5, 2)
	p.run()
	if len(p.tries) < 4 || p.tries[0].Key != p.tries[1].Key || p.tries[1].Key != p.tries[2].Key || len(p.tries[2].Notices) != 1 || p.tries[3].Key == p.tries[0].Key {
		t.Errorf("%d tries: %+v", len(p.tries), p.tries)
	}
	if len(p.mails) != 3 || !strings.HasSuffix(p.mails[0], "down planetlab1") || !strings.HasSuffix(p.mails[1], "down planetlab2") {
		t.Errorf("mails %q", p.mails)
	}
}

func TestATicketIsResolvedWhenTheLastIssueLetGoAndAllIsSaid(t *testing.T) {
	for name, away := range map[string][2]float64{"": {}, " though the tracker is away just then": {20.5, 22}} {
		t.Run("the ticket is resolved"+name, func(t *testing.T) {
			p := newSite(t)
			p.tracker, p.away = true, away
			p.lean(0, 1, 0)
			p.lean(3, 2, 0)
			p.release(10, 1)
			p.release(20, 2)
			s := p.run()
			want := "21.0"
			if away[1] > 0 {
				want = "22.0"
			}
			if !slices.Equal(p.resolved, []string{want}) || s.Ticket.ID != 0 {
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
	p.update(0, activities.UpdateLean, activities.Lean{Key: "a", Ref: node(1), Level: 2, Kind: "down", Forecast: []activities.Step{{At: p.Now().Add(14 * day), What: "flag for admin"}}})
	p.lean(4, 2, 0)
	p.release(6, 1)
	p.release(6, 2)
	p.run()
	want := []string{"0 14 flag for admin", "0 7 apply second penalty", "4 33 the time that was asked for is over; until then no further limit is set"}
	if !slices.Equal(p.forecasts, want) {
		t.Errorf("forecasts\n  %s\nwant\n  %s", strings.Join(p.forecasts, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestOrdersThatCannotBeMeantAreRefused(t *testing.T) {
	p := newSite(t)
	p.lean(0, 1, 0)
	var refused []string
	for i, o := range []struct {
		name string
		c    issue.Command
	}{{string(issue.OrderPause), issue.Command{Until: p.Now().Add(-day)}}, {string(issue.OrderResume), issue.Command{}}} {
		p.RegisterDelayedCallback(func() {
			p.UpdateWorkflow(o.name, fmt.Sprint("bad ", i), &testsuite.TestUpdateCallback{
				OnReject: func(err error) { refused = append(refused, err.Error()) }, OnAccept: func() { t.Errorf("%s was accepted", o.name) }, OnComplete: func(any, error) {},
			}, o.c)
		}, day)
	}
	p.release(2, 1)
	p.run()
	if len(refused) != 2 || !strings.Contains(refused[0], "lies in the past") || !strings.Contains(refused[1], "not paused") {
		t.Errorf("refused %q", refused)
	}
}

func TestMailsOfASiteThreadThroughAllItsLife(t *testing.T) {
	p := newSite(t)
	for n := range 14 {
		p.lean(float64(n), n, 0)
		p.release(30, n)
	}
	p.run()
	last := p.tries[len(p.tries)-1]
	if len(last.Thread) != 10 || last.Thread[0] != "<"+p.tries[0].Key+"@x>" || last.Thread[9] != "<"+p.tries[len(p.tries)-2].Key+"@x>" {
		t.Errorf("the last of %d mails follows %q", len(p.tries), last.Thread)
	}
}
