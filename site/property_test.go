package site

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/planetlab/monitor/issue"
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

// life is one random history of a site: what the store and PLC hold, what people got, and what must be true of it.
type life struct {
	t   *testing.T
	r   *rand.Rand
	s   State
	now time.Time

	level     int             // in force in PLC
	lastRaise time.Time       // of any step up
	stored    map[string]Hold // claims
	spared    *Spared
	reached   map[int]int    // which level's people had the word of the step to a level, in the same way
	told      map[int]Threat // what people were told of the step to a level, since the level was last another
	sent      map[string]int // by key: how often a message surely went out
	seq       int
	calm      bool // nothing goes wrong any more
	lines     []line
}

// line is one of what happened; it is only written out when something is wrong.
type line struct {
	format string
	a      []any
}

func (l *life) say(format string, a ...any) { l.lines = append(l.lines, line{format, a}) }

func (l *life) must(ok bool, format string, a ...any) {
	if ok {
		return
	}
	l.t.Helper()
	for _, line := range l.lines {
		l.t.Logf(line.format, line.a...)
	}
	text, _ := json.MarshalIndent(l.s, "", " ")
	l.t.Logf("%s", text)
	l.t.Fatalf(format, a...)
}

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newLife(t *testing.T, seed uint64) *life {
	return &life{t: t, r: rand.New(rand.NewPCG(seed, 2)), now: begin, s: Start("huji", "life"),
		stored: map[string]Hold{}, told: map[int]Threat{}, reached: map[int]int{}, sent: map[string]int{}}
}

// TestMachine_RandomHistories lives many random lives: holds, releases, orders, answers, clock jumps, lost answers and
// restarts in any order.
func TestMachine_RandomHistories(t *testing.T) {
	for seed := range histories(t) {
		l := newLife(t, uint64(seed))
		l.say("seed %d", seed)
		for range 20 + l.r.IntN(40) {
			l.step()
			if l.r.IntN(4) == 0 {
				l.disturb()
			}
		}
		l.finish()
	}
}

func (l *life) step() Do {
	step := l.s.Next(l.now, l.r.IntN(20) == 0)
	l.say("%s %s %s to %d until %s", l.now, step.Do, step.Key, step.To, step.Until)
	switch step.Do {
	case Sleep:
		l.must(step.Until.IsZero() || step.Until.After(l.now), "sleeps until the past: %s", step.Until)
		if step.Until.IsZero() {
			l.must(l.calm || l.s.Pause != nil || l.s.Known, "sleeps for ever")
			if !l.calm {
				l.disturb()
			}
		} else if l.now = step.Until; !l.calm {
			l.now = l.now.Add(time.Duration(l.r.IntN(2)) * time.Hour)
		}
	case Continue:
		l.restart()
	case Finish:
		l.must(l.s.Ending || l.s.Level == 0 && len(l.s.Holds) == 0, "ends with level %d and %d holds", l.s.Level,
			len(l.s.Holds))
		l.must(l.s.Ending || l.level == 0, "ends and PLC has level %d", l.level)
		l.s = Start("huji", fmt.Sprint("life", l.seq))
		l.seq++
	default:
		if m := l.s.Letter; step.Do == Mail && m.At.Equal(l.now) && !m.Sealed && m.Threat != nil && l.s.Warned == nil {
			l.must(!m.Threat.NotBefore.Before(l.now.Add(l.s.Times.PeopleStep)), "people have only until %s",
				m.Threat.NotBefore)
		}
		l.perform(step)
	}
	l.invariants()
	return step.Do
}

// perform does a step as an activity would: things come in meanwhile, it may be stopped, fail, or be lost.
func (l *life) perform(step Step) {
	l.s.Began(step.Do)
	began := l.now
	if step.Do == Raise {
		l.mayRaise(step)
	}
	if !l.calm {
		for range l.r.IntN(3) {
			l.disturb()
		}
		if l.r.IntN(12) == 0 || l.s.Forbids() && l.r.IntN(4) == 0 {
			l.lose(step)
			return
		}
	}
	switch step.Do {
	case ReadBack:
		stored := map[string]Hold{}
		for id, h := range l.stored {
			stored[id] = h
		}
		rise := policy.Decision{Do: l.calm || l.r.IntN(3) > 0, Reason: "why"}
		l.s.Stands(l.now, began, Standing{Times: TimesOf(policy.Defaults(24 * time.Hour)), Level: l.level,
			LastRaise: l.lastRaise, Holds: stored, Spared: l.spared, Rise: rise})
	case Raise, Lower:
		l.move(step)
	case Mail:
		l.mail(step)
	case MailLate:
		left := step.Late.To
		if l.calm || l.r.IntN(2) == 0 {
			left = left[1:]
		}
		l.s.Caught(l.now, step.Key, left)
	case LookAtTicket:
		r := TicketResult{Ticket: l.s.Ticket}
		if !l.calm {
			switch l.r.IntN(6) {
			case 0:
				r.Away = "away"
			case 1:
				r.By = "ann"
			case 2:
				r.Gone = true
			}
		}
		l.s.Heard(l.now, r)
	case Note:
		l.s.Noted()
	case Resolve:
		r := MailResult{Outcome: MailSent}
		if !l.calm && l.r.IntN(3) == 0 {
			r.Outcome = MailWait
		}
		l.s.Resolved(l.now, r)
	default:
		l.must(false, "unknown step %q", step.Do)
	}
}

// mayRaise is what must be so when a step up begins.
func (l *life) mayRaise(step Step) {
	l.must(l.s.Pause == nil, "a paused site rises")
	l.must(l.s.Spared == nil && !l.s.Ending, "a spared site rises")
	l.must(step.To == l.s.Level+1 && l.s.Wanted() >= step.To, "rises to %d of %d, wanted %d", step.To,
		l.s.Level, l.s.Wanted())
	t, ok := l.told[step.To]
	l.must(ok, "level %d, and nobody was told of this step", step.To)
	l.must(l.reached[step.To] >= step.To,
		"level %d, and the first word to some of its people would be that step", step.To)
	l.must(!l.now.Before(t.NotBefore), "level %d sooner than was told: %s", step.To, t.NotBefore)
	l.must(l.lastRaise.IsZero() || l.now.Sub(l.lastRaise) >= l.s.Times.PenaltyStep, "two steps within %s",
		l.now.Sub(l.lastRaise))
	held := false
	for _, id := range t.Issues {
		_, ok := l.s.Holds[id]
		held = held || ok
	}
	l.must(held, "level %d for %v, of which nothing is left", step.To, t.Issues)
}

func (l *life) set(level int) {
	if level > l.level {
		l.lastRaise = l.now
	}
	if level != l.level {
		l.told, l.reached = map[int]Threat{}, map[int]int{}
	}
	l.level = level
}

// lose is a step whose answer is lost; what it was to do may be done.
func (l *life) lose(step Step) {
	done := l.r.IntN(2) == 0
	l.say("  lost, done %v", done)
	switch {
	case !done:
	case step.Do == Raise, step.Do == Lower: // an order may have come too late
		l.set(step.To)
	}
	if l.s.Forbids() && l.r.IntN(2) == 0 {
		l.s.Cancelled(l.now, step.Do)
		return
	}
	l.s.Failed(l.now, step.Do, "lost")
}

func (l *life) move(step Step) {
	r := StepResult{Outcome: StepDone, Level: step.To, Reason: "why"}
	if !l.calm {
		switch {
		case l.s.Forbids() && l.r.IntN(3) > 0:
			r = StepResult{Outcome: StepStopped, Level: l.level}
		case l.r.IntN(3) == 0:
			r = StepResult{Outcome: StepRefused, Level: l.level, Reason: "no",
				Until: l.now.Add(time.Duration(l.r.IntN(100)-10) * time.Hour)}
		}
	}
	if r.Outcome == StepDone {
		l.set(r.Level)
	}
	l.say("  %s", r.Outcome)
	l.s.Moved(l.now, step.Do, r)
}

func (l *life) mail(step Step) {
	l.must(l.s.Letter != nil || l.s.Ending, "a mail without a letter")
	if l.s.Letter == nil {
		l.s.Mailed(l.now, MailResult{Outcome: MailStopped})
		return
	}
	l.must(len(l.s.Letter.Notices) > 0, "an empty letter")
	seen := map[string]bool{}
	for _, n := range l.s.Letter.Notices {
		key := n.Kind + " " + n.Ref.ID
		l.must(!seen[key], "%s twice in one message", key)
		seen[key] = true
	}
	threat := l.s.Letter.Threat
	outcomes := []MailOutcome{MailSent, MailSent, MailSent, MailSent, MailNothing, MailRefused, MailNobody,
		MailWait, MailLost}
	if l.s.Letter.Sealed {
		outcomes = []MailOutcome{MailSent, MailLost, MailHeld}
	} else if l.s.Forbids() {
		outcomes = append(outcomes, MailStopped, MailStopped, MailStopped)
	}
	r := MailResult{Outcome: outcomes[l.r.IntN(len(outcomes))], Reason: "why", Ticket: l.s.Ticket, MessageID: "<a@b>"}
	if l.calm {
		r.Outcome = MailSent
	}
	if r.Outcome == MailSent {
		l.sent[step.Key]++
		l.must(l.sent[step.Key] == 1, "%s is sent twice", step.Key)
		r.Reached = l.calm || l.r.IntN(5) > 0
		r.Threatened = threat != nil && (l.calm || l.r.IntN(5) > 0)
		if l.r.IntN(4) == 0 {
			r.Deferred, r.Missed = []string{"a@b", "c@d"}, l.r.IntN(policy.Top+1)
		}
		if r.Ticket.ID == 0 && l.r.IntN(3) == 0 {
			r.Ticket = Ticket{ID: 7, Robot: "monitor"}
		}
		if l.r.IntN(6) == 0 {
			r.Covers = policy.Top
		}
		if r.Reached && r.Threatened {
			reaches := max(l.s.Letter.Reaches, r.Covers)
			if r.Missed > 0 {
				reaches = min(reaches, r.Missed-1)
			}
			l.reached[threat.Level] = max(l.reached[threat.Level], reaches)
			if _, ok := l.told[threat.Level]; !ok {
				l.told[threat.Level] = Threat{Level: threat.Level, Issues: threat.Issues,
					NotBefore: latest(threat.NotBefore, l.s.Letter.At.Add(l.s.Times.PeopleStep))}
				if l.s.Warned != nil {
					l.told[threat.Level] = *threat
				}
			} else if threat.NotBefore.Before(l.told[threat.Level].NotBefore) {
				l.told[threat.Level] = *threat
			} else {
				t := l.told[threat.Level]
				t.Issues = append(t.Issues, threat.Issues...)
				l.told[threat.Level] = t
			}
		}
	}
	for _, n := range l.s.Letter.Notices {
		if !l.calm && n.Ref.ID != "" && l.r.IntN(8) == 0 {
			r.Waits = append(r.Waits, n.Name())
		}
	}
	l.say("  %s reached %v threatened %v waits %v", r.Outcome, r.Reached, r.Threatened, r.Waits)
	l.s.Mailed(l.now, r)
}

func ref(n int) issue.Ref {
	host := fmt.Sprintf("planetlab%d.huji.example", n)
	return issue.Ref{ID: "nodedown/" + host, Run: "r", Type: issue.NodeDown, Node: host, Site: "huji"}
}

func (l *life) disturb() {
	n := l.r.IntN(4)
	switch l.r.IntN(13) {
	case 0, 1, 2: // a rung of an issue: first the claim, then the request
		if !l.s.Known {
			return
		}
		level := l.r.IntN(3)
		l.seq++
		r := HoldRequest{Key: fmt.Sprint("k", l.seq), Ref: ref(n), Level: level, Kind: "down", Since: l.now}
		for next := level + 1; next <= policy.Top; next++ {
			r.Coming = append(r.Coming, issue.Coming{At: l.now.Add(time.Duration(next-level) * 7 * 24 * time.Hour),
				Do: issue.Email, Level: next})
		}
		if h := l.stored[r.Ref.ID]; level >= h.Level {
			l.stored[r.Ref.ID] = Hold{Ref: r.Ref, Level: level, Kind: "down", At: l.now}
		}
		l.say("  hold %s %d", r.Ref.ID, level)
		l.s.Hold(l.now, r)
		if l.r.IntN(3) == 0 {
			before := len(l.s.Pending)
			l.s.Hold(l.now, r)
			l.must(len(l.s.Pending) == before, "a repeated request says something anew")
		}
	case 3, 4:
		if !l.s.Known {
			return
		}
		delete(l.stored, ref(n).ID)
		l.say("  release %s", ref(n).ID)
		l.s.Release(l.now, Release{Key: "r", Ref: ref(n), Thanks: l.r.IntN(2) == 0, Since: l.now,
			Ended: []issue.EndKind{"", issue.EndGone, issue.EndOperator}[l.r.IntN(3)]})
	case 5, 6, 7:
		o := Orders()[l.r.IntN(2)]
		c := issue.Command{By: "ann", Reason: "why\x00\u202e"}
		if o == issue.OrderPause && l.r.IntN(4) > 0 {
			c.Until = l.now.Add(time.Duration(l.r.IntN(400)) * time.Hour)
		}
		if err := l.s.Check(o, c, l.now); err == nil {
			l.say("  %s until %s", o, c.Until)
			l.s.Obey(o, c, l.now)
			if o == issue.OrderPause { // another word comes after it
				l.told, l.reached = map[int]Threat{}, map[int]int{}
			}
		}
	case 8:
		l.spared = nil
		if l.r.IntN(3) == 0 {
			l.spared = &Spared{Why: SparedGood}
		}
		l.say("  spared %v", l.spared)
		l.s.Look(l.now)
	case 9, 10:
		l.now = l.now.Add(time.Duration(l.r.IntN(72)) * time.Hour)
	case 11:
		l.restart()
	case 12:
		if l.r.IntN(10) == 0 {
			l.say("  cancelled")
			l.s.Cancel()
		}
	}
}

// restart is a worker that died, or a new run: the state comes back from its JSON.
func (l *life) restart() {
	text, err := json.Marshal(l.s)
	l.must(err == nil && len(text) < 64<<10, "%d bytes, %v", len(text), err)
	var again State
	l.must(json.Unmarshal(text, &again) == nil, "does not decode")
	one, _ := json.Marshal(again)
	l.must(reflect.DeepEqual(one, text), "JSON changes on the way:\n%s\n%s", text, one)
	l.s = again
}

func (l *life) invariants() {
	s := l.s
	l.must(s.Level >= 0 && s.Level <= policy.Top, "level %d", s.Level)
	l.must(s.Unsure || !s.Known || s.Running != "" || s.Level == l.level, "it thinks level %d, PLC has %d",
		s.Level, l.level)
	l.must(len(s.Pending) <= 2*len(s.Holds)+20 && len(s.Late) <= mostLate && len(s.Thread) <= mostThread,
		"%d pending, %d late, %d thread", len(s.Pending), len(s.Late), len(s.Thread))
	l.must(s.Warned == nil || s.Warned.Level == s.Level+1, "warned of %+v at level %d", s.Warned, s.Level)
}

// finish lets every issue go: whatever came before, the site is denied nothing in the end, and ends.
func (l *life) finish() {
	l.calm, l.spared = true, nil
	if l.s.Running != "" {
		l.s.Failed(l.now, l.s.Running, "lost")
	}
	l.stored = map[string]Hold{}
	for n := range 4 {
		l.s.Release(l.now, Release{Key: "last", Ref: ref(n), Thanks: true})
	}
	if l.s.Pause != nil && l.s.Pause.Until.IsZero() {
		l.s.Obey(issue.OrderResume, issue.Command{}, l.now)
	}
	l.s.Look(l.now)
	start := l.now
	for range 200 {
		if l.step() == Finish {
			l.must(l.level == 0, "at the end the site is denied level %d", l.level)
			return
		}
		l.must(l.now.Sub(start) < 2*365*24*time.Hour, "takes %s to end", l.now.Sub(start))
	}
	l.must(false, "does not end")
}

// TestComing_IsWhatHappens: when nothing changes and everything works, each step up comes when the message before it
// said, and never sooner.
func TestComing_IsWhatHappens(t *testing.T) {
	l := newLife(t, 1)
	l.calm = true
	const week = 7 * 24 * time.Hour
	rungs := []struct {
		at    time.Time
		level int
	}{{begin.Add(time.Hour), 0}, {begin.Add(time.Hour + week), 1}, {begin.Add(time.Hour + 2*week), 2}}
	promised, rose := map[int]time.Time{}, map[int]time.Time{}
	for i := 0; l.now.Before(begin.Add(5 * week)); {
		if i < len(rungs) && !l.now.Before(rungs[i].at) {
			r := HoldRequest{Key: fmt.Sprint("k", i), Ref: ref(1), Level: rungs[i].level, Kind: "down"}
			for _, next := range rungs[i+1:] {
				r.Coming = append(r.Coming, issue.Coming{At: next.at, Do: issue.Email, Level: next.level})
			}
			l.stored[r.Ref.ID] = Hold{Ref: r.Ref, Level: r.Level, At: l.now}
			l.s.Hold(l.now, r)
			i++
		}
		step := l.s.Next(l.now, false)
		switch step.Do {
		case Sleep, Finish:
			at := step.Until
			if i < len(rungs) && (at.IsZero() || step.Do == Finish || rungs[i].at.Before(at)) {
				at = rungs[i].at
			}
			if at.IsZero() {
				at = begin.Add(6 * week)
			}
			l.now = at
			continue
		case Mail:
			for _, c := range l.s.Coming(l.now) {
				if _, ok := promised[c.Level]; c.What == ComesStep && !ok {
					promised[c.Level] = c.At
				}
			}
		case Raise:
			rose[step.To] = l.now
		}
		l.perform(step)
		l.invariants()
	}
	for level := 1; level <= policy.Top; level++ {
		if late := rose[level].Sub(promised[level]); rose[level].IsZero() || late < 0 || late > time.Hour {
			t.Errorf("level %d rose at %s, the first message said %s", level, rose[level], promised[level])
		}
	}
}
