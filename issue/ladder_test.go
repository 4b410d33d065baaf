package issue

import (
	"slices"
	"testing"
	"time"

	"github.com/planetlab/monitor/policy"
)

// climber is an issue whose rungs answer as a test says.
type climber struct {
	State
	now time.Time
	did []Action // rungs that were asked, in order
	at  []time.Duration
}

func climb(t *testing.T, name string) *climber {
	t.Helper()
	typ, known := Lookup(name)
	if !known {
		t.Fatalf("no type %s", name)
	}
	opening := Opening{Ref: Ref{ID: name + "/n.example", Run: "r", Type: name, Node: "n.example"},
		Times: TimesOf(policy.Defaults(24 * time.Hour)), Ladder: typ.Ladder}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return &climber{State: Start(opening, start), now: start}
}

// until lets the issue live until a rung of a kind has answered, or for at most a year.
func (c *climber) until(do Action, answer func(Rung) Result) {
	for end := c.now.AddDate(1, 0, 0); c.now.Before(end); {
		switch step := c.Next(c.now); step.Do {
		case RunRung:
			rung := c.NextRung()
			c.did, c.at = append(c.did, rung.Do), append(c.at, c.now.Sub(c.Opened))
			c.Began()
			c.Ran(c.now, answer(rung))
			if rung.Do == do {
				return
			}
		case Save:
			c.Stale = false
		case Sleep:
			if step.Until.IsZero() {
				return
			}
			c.now = step.Until
		default:
			return
		}
	}
}

// broken answers for a node whose PCU does not work.
func broken(r Rung) Result {
	if slices.Contains(r.When, PCUOK) {
		return Result{Outcome: Passed, Reason: "its PCU is down"}
	}
	return Result{Outcome: Acted, Told: r.Do == Email}
}

// works answers for a node whose PCU works, and which nothing mends.
func works(r Rung) Result {
	res := Result{Outcome: Acted, Told: r.Do == Email}
	if r.Do == Reboot || r.Do == Reinstall {
		res.Power = Cycled
	}
	return res
}

func TestLadder_BootmanHasTwoDaysBeforePeopleAreAsked(t *testing.T) {
	c := climb(t, Failboot)
	c.until(Email, works)
	if want := []Action{Bootman, Bootman, Bootman, Bootman, Email}; !slices.Equal(c.did, want) ||
		c.at[4] != 48*time.Hour {
		t.Errorf("it does %q at %s", c.did, c.at)
	}
	t.Run("a visit that opened another issue waits for it", func(t *testing.T) {
		c := climb(t, Failboot)
		asked := 0
		c.until(Email, func(r Rung) Result {
			if asked++; asked > 20 {
				return Result{Outcome: Gone}
			}
			return Result{Outcome: Wait, Reason: "badhardware/n.example is open"}
		})
		if slices.Contains(c.did, Email) {
			t.Errorf("people are asked twice: %q", c.did)
		}
	})
}

func TestLadder_APCUThatWorksAgain(t *testing.T) {
	t.Run("is used, and the mail goes on when it was due", func(t *testing.T) {
		c := climb(t, NodeDown)
		c.until(Email, broken)
		due := c.Due
		c.now = c.now.Add(24 * time.Hour)
		c.PCUReturned("pcudown/p is closed")
		c.did, c.at = nil, nil
		c.until(Email, works)
		if want := []Action{Reboot, Reinstall, Email}; !slices.Equal(c.did, want) || !c.Opened.Add(c.at[2]).Equal(due) {
			t.Errorf("it does %q at %s, and the mail was due %s after it opened", c.did, c.at, due.Sub(c.Opened))
		}
	})
	t.Run("cuts no power of a node that was power-cycled before", func(t *testing.T) {
		c := climb(t, NodeDown)
		c.until(Email, works)
		c.PCUReturned("pcudown/p is closed")
		c.did = nil
		c.until(Email, works)
		if !slices.Equal(c.did, []Action{Email}) {
			t.Errorf("it does %q", c.did)
		}
	})
	t.Run("waits for the end of a pause", func(t *testing.T) {
		c := climb(t, NodeDown)
		c.until(Email, broken)
		c.Obey(OrderPause, Command{Until: c.now.Add(10 * 24 * time.Hour), Reason: "on the way"}, c.now)
		paused := c.now
		c.PCUReturned("pcudown/p is closed")
		c.did, c.at = nil, nil
		c.until(Reboot, works)
		if !slices.Equal(c.did, []Action{Reboot}) || c.Opened.Add(c.at[0]).Before(paused.Add(10*24*time.Hour)) {
			t.Errorf("it does %q at %s", c.did, c.at)
		}
	})
}

func TestLadder_WhatWasDoneLastIsCredited(t *testing.T) {
	for _, c := range []struct {
		about  string
		typ    string
		until  Action
		answer func(Rung) Result
		want   Credit
	}{
		{"nothing was done", NodeDown, Reboot, func(Rung) Result { return Result{Outcome: Wait} }, CreditItself},
		{"a reboot", NodeDown, Reboot, works, CreditReboot},
		{"a reboot that people were asked for", NodeDown, Reboot,
			func(Rung) Result { return Result{Outcome: Acted, Power: Asked} }, CreditPeople},
		{"a reinstallation after reboots", NodeDown, Reinstall, works, CreditReinstall},
		{"mail after a reinstallation", NodeDown, Email, works, CreditPeople},
		{"rungs that passed", NodeDown, Reinstall,
			func(Rung) Result { return Result{Outcome: Passed} }, CreditItself},
		{"a visit to the node", Failboot, Bootman, works, CreditBootman},
	} {
		t.Run(c.about, func(t *testing.T) {
			l := climb(t, c.typ)
			l.until(c.until, c.answer)
			if got := l.Credit(); got != c.want {
				t.Errorf("the credit is %s, not %s, after %q", got, c.want, l.did)
			}
			l.Recover(l.now, "it is up")
			l.credit(Email, NoPower)
			if got := l.Credit(); got != c.want {
				t.Errorf("what came after the recovery has the credit: %s", got)
			}
		})
	}
}
