package issue

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/policy"
)

// histories is how many random lives `make test` gives the machine; MONITOR_HISTORIES asks for more.
func histories(t *testing.T) int {
	if text := os.Getenv("MONITOR_HISTORIES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if testing.Short() {
		return 5_000
	}
	return 100_000
}

// life is one random history of one issue, and what must hold in it.
type life struct {
	t     *testing.T
	r     *rand.Rand
	s     State
	now   time.Time
	acted map[string]bool // keys of rungs that have acted
	lines []string
}

func (l *life) say(format string, a ...any) { l.lines = append(l.lines, fmt.Sprintf(format, a...)) }

func (l *life) must(ok bool, format string, a ...any) {
	if ok {
		return
	}
	l.t.Helper()
	for _, line := range l.lines {
		l.t.Log(line)
	}
	l.t.Fatalf(format, a...)
}

// TestMachine_RandomHistories lives many random lives: results, orders, recoveries, clock jumps, duplicates and lost
// answers in any order.
func TestMachine_RandomHistories(t *testing.T) {
	types := Types()
	for seed := range histories(t) {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		typ := types[r.IntN(len(types))]
		l := &life{t: t, r: r, now: start, acted: map[string]bool{}, s: Start(Opening{
			Ref: Ref{ID: typ.Name + "/a", Run: "r", Type: typ.Name, Site: "s"}, Cause: "c", Ladder: typ.Ladder,
			Times: TimesOf(policy.Defaults(24 * time.Hour)),
		}, start)}
		l.say("seed %d, %s", seed, typ.Name)
		for range 20 + r.IntN(60) {
			if l.s.Status == Closed && !l.s.Stale {
				break
			}
			l.step()
		}
		l.finish()
	}
}

// step asks for the next step and carries it out; orders and news come in at any time.
func (l *life) step() {
	if l.r.IntN(3) == 0 {
		l.disturb()
	}
	step := l.s.Next(l.now)
	l.say("%s %s until %s", l.now.Format(time.RFC3339), step.Do, step.Until.Format(time.RFC3339))
	switch step.Do {
	case RunRung:
		l.must(l.s.Status == Open && l.s.Pause == nil && l.s.End == nil && l.s.RecoveredAt.IsZero(),
			"a rung of an issue that must wait: %+v", l.s)
		l.must(!l.now.Before(l.s.Due), "a rung before it is due")
		l.must(l.s.vetoOf(l.s.Rung+1) < 0 || l.s.Rung == l.s.last(), "a vetoed rung")
		l.run()
	case Sleep:
		l.must(!step.Until.IsZero() || l.s.Pause != nil, "sleeps for ever and is not paused")
		l.must(step.Until.IsZero() || step.Until.After(l.now), "sleeps until the past")
		l.must(step.Until.Sub(l.now) < 400*24*time.Hour, "sleeps until %s", step.Until)
		if step.Until.IsZero() || l.r.IntN(2) == 0 {
			l.disturb()
		} else {
			l.now = step.Until.Add(time.Duration(l.r.IntN(2)) * time.Hour)
		}
	case Save:
		l.s.Keep(l.s.Seq)
		l.s.Stale = false
	case Close:
		res := Result{Outcome: Acted}
		if !step.Force && l.r.IntN(3) == 0 {
			res = Result{Outcome: Wait, Reason: "bad again"}
		}
		l.s.Ended(l.now, res)
	case Finish:
	}
	l.invariants()
}

func (l *life) run() {
	key, before := l.s.Key(), l.s.clone()
	l.must(!l.acted[key], "%s a second time", key)
	l.s.Began()
	for range l.r.IntN(3) {
		l.disturb()
	}
	outcomes := []Outcome{Acted, Acted, Acted, Passed, Wait, Recovered, Unknown}
	if l.s.Forbids() {
		outcomes = append(outcomes, Stopped, Stopped, Stopped, Stopped)
	}
	res := Result{Outcome: outcomes[l.r.IntN(len(outcomes))], Reason: "reason", Level: before.NextRung().Level}
	if l.r.IntN(200) == 0 {
		res.Outcome = Gone
	}
	if res.Outcome == Wait && l.r.IntN(2) == 0 {
		res.Until = l.now.Add(time.Duration(l.r.IntN(100)-10) * time.Hour)
	}
	if res.Outcome == Acted {
		l.acted[key] = true
		res.Deeds = []Deed{{At: l.now, What: DeedRebooted, How: string(Cycled)}}
		res.Power = []Power{NoPower, Cycled, PowerLost, Asked}[l.r.IntN(4)]
	}
	skipped := l.s.Skip
	l.say("  %s: %s", key, res.Outcome)
	l.s.Ran(l.now, res)
	switch {
	case res.Outcome == Unknown && !skipped:
		l.must(l.s.Key() == key || l.s.PCUBack != "", "a lost answer must be asked for under the same key")
	case res.Outcome == Stopped && !skipped:
		l.must(l.s.Rung == before.Rung, "a stopped rung stays the next one")
	case skipped && before.Rung < before.last():
		l.must(l.s.Key() != key || res.Outcome == Recovered || res.Outcome == Gone, "a skipped rung comes again")
	}
	if l.s.Rebooted && !before.Rebooted {
		l.must(res.Power == Cycled, "%q counts as a reboot", res.Power)
	}
}

func (l *life) disturb() {
	switch l.r.IntN(9) {
	case 0, 1, 2, 3:
		o := Orders()[l.r.IntN(len(Orders()))]
		c := Command{By: "ann", Reason: "why\x00\u202e", Step: l.r.IntN(len(l.s.Ladder.Rungs) + 2)}
		if o == OrderPause && l.r.IntN(2) == 0 {
			c.Until = l.now.Add(time.Duration(l.r.IntN(200)) * time.Hour)
		}
		if o == OrderClose && l.r.IntN(4) > 0 {
			return
		}
		err := l.s.Check(o, c, l.now)
		l.say("  %s: %v", o, err)
		if err == nil {
			l.s.Obey(o, c, l.now)
		} else {
			l.s.Refuse(o, c, err.Error(), l.now)
		}
	case 4:
		l.say("  recovered")
		l.s.Recover(l.now, "the sweep saw it good")
	case 5:
		l.say("  PCU back")
		l.s.PCUReturned("pcudown/p is closed")
	case 6:
		l.say("  retry")
		l.s.Retry(l.now)
	case 7:
		l.now = l.now.Add(time.Duration(l.r.IntN(72)) * time.Hour)
	case 8: // a worker restarts: the state comes back from its JSON
		text, err := json.Marshal(l.s)
		l.must(err == nil, "%v", err)
		var again State
		l.must(json.Unmarshal(text, &again) == nil, "does not decode")
		l.s = again
	}
}

func (l *life) invariants() {
	s := l.s
	l.must(s.Rung >= 0 && s.Rung <= s.last(), "rung %d of %d", s.Rung, s.last())
	l.must((s.Pause != nil) == (s.Status == Paused), "status %s with pause %v", s.Status, s.Pause)
	l.must(s.Status != Closed || s.End != nil && s.Level == 0, "closed without an end, or at level %d", s.Level)
	l.must(len(s.Deeds) <= mostDeeds, "%d deeds", len(s.Deeds))
	for i, e := range s.Events {
		l.must(i == 0 || e.Seq == s.Events[i-1].Seq+1, "event %d follows %d", e.Seq, s.Events[max(i-1, 0)].Seq)
	}
	l.must(len(s.Events) == 0 || s.Events[0].Seq <= s.Saved+1, "event %d is lost: saved are %d", s.Saved+1, s.Saved)
	if l.r.IntN(50) == 0 {
		text, err := json.Marshal(s)
		l.must(err == nil && len(text) < 32<<10, "%d bytes, %v", len(text), err)
		var again State
		l.must(json.Unmarshal(text, &again) == nil, "does not decode")
		one, _ := json.Marshal(again)
		l.must(reflect.DeepEqual(one, text), "JSON changes on the way:\n%s\n%s", text, one)
	}
}

// finish closes the issue: whatever came before, an operator's close or a recovery ends it within a few steps.
func (l *life) finish() {
	if l.s.Status == Closed {
		return
	}
	if l.s.End == nil {
		if l.r.IntN(2) == 0 {
			l.s.Obey(OrderClose, Command{}, l.now)
		} else {
			l.s.Recover(l.now, "good")
		}
	}
	for range 10 {
		switch step := l.s.Next(l.now); step.Do {
		case Sleep:
			l.now = step.Until
		case Save:
			l.s.Keep(l.s.Seq)
			l.s.Stale = false
		case Close:
			l.s.Ended(l.now, Result{Outcome: Acted})
		case Finish:
			return
		default:
			l.must(false, "%s while it ends", step.Do)
		}
	}
	l.must(false, "does not end")
}

// TestComing_IsWhatHappens: when nothing changes and every rung acts, the forecast comes true, rung by rung and to the
// second.
func TestComing_IsWhatHappens(t *testing.T) {
	for _, typ := range Types() {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		s := Start(Opening{Ref: Ref{ID: typ.Name + "/a", Run: "r"}, Ladder: typ.Ladder,
			Times: TimesOf(policy.Defaults(24 * time.Hour))}, now)
		want := s.Coming()
		if len(want) != len(typ.Ladder.Rungs) {
			t.Errorf("%s: forecast of %d rungs, the ladder has %d", typ.Name, len(want), len(typ.Ladder.Rungs))
		}
		for i := 0; i < len(want); {
			switch step := s.Next(now); step.Do {
			case Save:
				s.Stale = false
			case Sleep:
				now = step.Until
			case RunRung:
				if got := (Coming{At: now, Step: s.Rung + 1, Do: s.next().Do, Level: s.next().Level}); got != want[i] {
					t.Errorf("%s: rung %d is %+v, forecast was %+v", typ.Name, i, got, want[i])
				}
				i++
				s.Began()
				s.Ran(now, Result{Outcome: Acted, Level: s.next().Level})
			default:
				t.Fatalf("%s: %s", typ.Name, step.Do)
			}
		}
	}
}

func TestVetoes(t *testing.T) {
	typ, _ := Lookup(NodeDown)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	opened := func() State {
		return Start(Opening{Ref: Ref{ID: "nodedown/a", Run: "r"}, Ladder: typ.Ladder,
			Times: TimesOf(policy.Defaults(24 * time.Hour))}, begin)
	}
	s := opened()
	plain := s.Coming()
	order := func(o Order, step int) error {
		c := Command{By: "ann", Reason: "its disk has data", Step: step}
		err := s.Check(o, c, begin)
		if err == nil {
			s.Obey(o, c, begin)
		}
		return err
	}
	for name, bad := range map[string]func() error{
		"a step before the first":    func() error { return order(OrderVeto, 0) },
		"a step after the last":      func() error { return order(OrderVeto, len(typ.Ladder.Rungs)+1) },
		"the last step":              func() error { return order(OrderVeto, len(typ.Ladder.Rungs)) },
		"what is not vetoed, undone": func() error { return order(OrderAllow, 2) },
	} {
		if bad() == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if err := order(OrderVeto, 2); err != nil {
		t.Fatal(err)
	}
	if order(OrderVeto, 2) == nil {
		t.Error("a second veto of one step is taken")
	}
	coming := s.Coming()
	if len(coming) != len(plain)-1 || coming[1].Step != 3 || !coming[1].At.Equal(plain[1].At) {
		t.Errorf("after the veto comes %+v", coming)
	}
	s.Began()
	if order(OrderVeto, 1) == nil {
		t.Error("the step that is under way is vetoed")
	}
	s.Ran(begin, Result{Outcome: Acted})
	s.Stale = false
	due := s.Due
	if step := s.Next(due); step.Do != RunRung || s.Rung != 2 {
		t.Errorf("when the vetoed step is due, the issue does %+v at rung %d", step, s.Rung)
	}
	last := s.Events[len(s.Events)-1]
	if last.Outcome != Passed || last.Reason != "vetoed: its disk has data (ann)" ||
		last.Rung != typ.Ladder.Rungs[1].String() {
		t.Errorf("its timeline says %+v", last)
	}

	s = opened()
	_ = order(OrderVeto, 2)
	if err := order(OrderAllow, 2); err != nil || len(s.Coming()) != len(plain) {
		t.Errorf("the veto is not taken back: %v", err)
	}
}

// A step whose answer was lost may have happened: no veto undoes that, and who skips it is told so. A step that is
// behind is not vetoed, unless the power rungs may come again.
func TestVetoes_ComeTooLate(t *testing.T) {
	typ, _ := Lookup(NodeDown)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := Start(Opening{Ref: Ref{ID: "nodedown/a", Run: "r"}, Ladder: typ.Ladder,
		Times: TimesOf(policy.Defaults(24 * time.Hour))}, begin)
	veto := func(step int) string {
		if err := s.Check(OrderVeto, Command{Step: step}, begin); err != nil {
			return err.Error()
		}
		return ""
	}
	s.Began()
	s.Ran(begin, Result{Outcome: Unknown, Reason: "its answer was lost"})
	if got := veto(1); !strings.Contains(got, "too late") || !strings.Contains(got, "skip it") {
		t.Errorf("a veto of what was begun is answered %q", got)
	}
	if got := veto(2); got != "" {
		t.Errorf("a veto of the next step is answered %q", got)
	}
	s.Obey(OrderSkip, Command{By: "ann"}, begin)
	if last := s.Events[len(s.Events)-1]; last.Kind != EventTooLate || s.Rung != 1 || s.Lost {
		t.Errorf("after the skip it stands at rung %d, and says %+v", s.Rung, last)
	}
	for s.Rung < 4 {
		s.Began()
		s.Ran(begin, Result{Outcome: Passed})
	}
	if got := veto(2); got != "" {
		t.Errorf("a veto of a power rung that may come again is answered %q", got)
	}
	if got := veto(3); !strings.Contains(got, "is behind") {
		t.Errorf("a veto of what is behind is answered %q", got)
	}
	s.Rebooted = true
	if got := veto(2); !strings.Contains(got, "is behind") {
		t.Errorf("a veto of a power rung that is behind for good is answered %q", got)
	}
}

// A rung that needs a failed reboot does not come where no reboot was.
func TestComing_LeavesOutWhatCannotHold(t *testing.T) {
	typ, _ := Lookup(NodeDown)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for power, want := range map[Power]bool{Cycled: true, PowerLost: false, Asked: false} {
		s := Start(Opening{Ref: Ref{ID: "nodedown/a", Run: "r"}, Ladder: typ.Ladder,
			Times: TimesOf(policy.Defaults(24 * time.Hour))}, begin)
		s.Began()
		s.Ran(begin, Result{Outcome: Acted, Power: power})
		coming := s.Coming()
		if got := slices.ContainsFunc(coming, func(c Coming) bool { return c.Do == Reinstall }); got != want {
			t.Errorf("after a reboot that was %s a reinstall comes: %v", power, got)
		}
		if len(coming) == 0 {
			t.Error("nothing comes")
		}
	}
}

func TestComing_CountsAPauseIn(t *testing.T) {
	typ, _ := Lookup(NodeDown)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := Start(Opening{Ref: Ref{ID: "nodedown/a", Run: "r"}, Ladder: typ.Ladder,
		Times: TimesOf(policy.Defaults(24 * time.Hour))}, begin)
	s.Began()
	s.Ran(begin, Result{Outcome: Acted})
	plain := s.Coming()
	s.Obey(OrderPause, Command{Until: begin.Add(48 * time.Hour)}, begin)
	for i, c := range s.Coming() {
		if !c.At.Equal(plain[i].At.Add(48 * time.Hour)) {
			t.Errorf("step %d comes at %s, without the pause at %s", c.Step, c.At, plain[i].At)
		}
	}
	s.Obey(OrderPause, Command{}, begin)
	if got := s.Coming(); got != nil {
		t.Errorf("in a pause without an end comes %+v", got)
	}
}
