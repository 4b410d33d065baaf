package notify_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/issue"
	. "github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/notify/proof"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/site"
)

// town is one site over weeks of skipped time: the machines of package issue, one for each issue, and of package site, on
// nodes and a PCU that fail and return as the seed has it. Its messages are composed from the facts as activities gather
// them, at the moment in which they go out, and each is held against these facts.
type town struct {
	t    *testing.T
	r    *rand.Rand
	p    policy.Policy
	now  time.Time
	days int

	machines []*machine
	issues   map[string]*issue.State // that are open
	runs     int
	s        site.State
	lives    int
	holds    map[string]site.Hold // as the store has them
	level    int                  // in force in PLC
	raised   time.Time
	short    time.Time // since when the site lacks nodes; zero: it has enough
	order    string    // why the operators have set a level by hand
	answer   string    // who has answered, and was not heard yet
	away     time.Time // until when the mail server is
	dead     string    // whom mail does not reach
	noTech   bool

	letters map[string]letter // by key: what was composed, and may have left
	told    map[string]time.Time
	had     map[string][]string // who has a message, by its key
	first   map[string]bool     // who had a first word
	ended   bool                // the last message said that it closes the matter
	promise [policy.Top + 1]time.Time
	kinds   map[string]int
	lines   []string
}

type letter struct {
	facts   Notice
	message Message
	result  site.MailResult
}

// machine is a node, or the PCU.
type machine struct {
	name     string
	typ      string               // of the issue that a PCU has; empty: it is a node
	troubles map[string]time.Time // by type of issue: since when
	exempt   time.Time
	gone     bool
	closed   map[string]bool // issues that operators have closed: left alone until it was good once
}

func (w *town) say(format string, a ...any) {
	w.lines = append(w.lines, w.now.Format("2 Jan 15:04 ")+fmt.Sprintf(format, a...))
}

func (w *town) must(ok bool, format string, a ...any) {
	if ok {
		return
	}
	w.t.Helper()
	w.t.Fatalf("%s\n\n%s", strings.Join(w.lines, "\n"), fmt.Sprintf(format, a...))
}

func (w *town) one(of int) bool { return w.r.IntN(of) == 0 }

func newTown(t *testing.T, seed uint64) *town {
	w := &town{t: t, r: rand.New(rand.NewPCG(seed, 3)), p: policy.Defaults(24 * time.Hour), now: monday, days: 40,
		issues: map[string]*issue.State{}, s: site.Start("huji", "life"), holds: map[string]site.Hold{},
		letters: map[string]letter{}, told: map[string]time.Time{}, had: map[string][]string{},
		first: map[string]bool{}, kinds: map[string]int{}}
	for n := range 3 {
		w.machines = append(w.machines, &machine{name: fmt.Sprintf("planetlab%d.huji.example", n+1)})
	}
	w.machines = append(w.machines, &machine{name: pcu1, typ: issue.PCUDown})
	for _, m := range w.machines {
		m.troubles, m.closed = map[string]time.Time{}, map[string]bool{}
	}
	w.noTech = w.one(6)
	if w.one(5) {
		w.dead = audience[2] + ": 550 no such user"
	}
	w.say("seed %d", seed)
	return w
}

// live lets things happen for weeks, and then mends everything: the last message closes the matter.
func (w *town) live() {
	end := w.now.Add(time.Duration(w.days) * w.p.Day)
	next, sweep := w.now, w.now
	for w.now.Before(end) {
		if !w.now.Before(next) {
			w.happens()
			next = w.now.Add(time.Duration(1+w.r.IntN(70)) * time.Hour)
		}
		if !w.now.Before(sweep) {
			w.sweep()
			sweep = w.now.Add(w.p.Day / 4)
		}
		w.now = earliest(w.work(), next, sweep)
	}
	w.away, w.order, w.days = time.Time{}, "", 0
	delete(w.holds, site.OrderID("huji"))
	for _, m := range w.machines {
		clear(m.troubles)
		m.gone = false
	}
	w.reckon()
	for range 60 {
		w.sweep()
		at := w.work()
		if len(w.issues) == 0 && w.idle() {
			return
		}
		w.now = earliest(at, w.now.Add(w.p.Day/4))
	}
	w.must(false, "it does not come to an end: issues %v, the site %+v", slices.Collect(maps.Keys(w.issues)), w.s)
}

func (w *town) idle() bool {
	return len(w.s.Holds) == 0 && w.s.Level == 0 && len(w.s.Pending) == 0 && w.s.Letter == nil
}

// earliest of several times, of which a zero one is never.
func earliest(times ...time.Time) (at time.Time) {
	for _, t := range times {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	return at
}

// happens is one thing that happens in the world.
func (w *town) happens() {
	m := w.machines[w.r.IntN(len(w.machines))]
	switch w.r.IntN(16) {
	case 0, 1, 2, 3, 4, 5:
		typ := m.typ
		if typ == "" {
			typ = nodeTypes[w.r.IntN(len(nodeTypes))]
			if w.one(2) {
				typ = issue.NodeDown
			}
		}
		if _, bad := m.troubles[typ]; !bad && !m.gone {
			w.say("%s has %s", m.name, typ)
			m.troubles[typ] = w.now
		}
	case 6, 7:
		w.say("%s works", m.name)
		clear(m.troubles)
	case 8:
		if m.gone = !m.gone && m.typ == ""; m.gone {
			clear(m.troubles)
		}
		w.say("%s is gone %v", m.name, m.gone)
	case 9:
		m.exempt = w.now.Add(time.Duration(w.r.IntN(200)) * time.Hour)
		w.say("%s is exempt until %s", m.name, m.exempt)
	case 10:
		if w.answer = ""; w.s.Ticket.ID != 0 {
			w.answer = audience[w.r.IntN(len(audience))]
			w.say("%s answers", w.answer)
		}
	case 11:
		w.orderSite(issue.OrderPause)
	case 12:
		w.orderSite(issue.OrderResume)
	case 13:
		w.away = w.now.Add(time.Duration(w.r.IntN(60)) * time.Hour)
		w.say("the mail server is away until %s", w.away)
	case 14:
		w.orderIssue()
	case 15:
		id, was := site.OrderID("huji"), w.order
		if w.order = ""; was == "" || w.one(2) {
			w.order = "the site lets nobody in"
			w.holds[id] = site.Hold{Ref: issue.Ref{ID: id, Type: site.OrderType, Site: "huji"}, Level: 2, At: w.now}
			if was != "" && w.level == 2 {
				w.holds[id] = site.Hold{Ref: w.holds[id].Ref, Level: 1, At: w.now}
			}
		} else {
			delete(w.holds, id)
		}
		w.say("by order: level %d", w.holds[id].Level)
		w.s.Look(w.now)
	}
	w.reckon()
}

var nodeTypes = []string{issue.NodeDown, issue.DNSError, issue.Filesystem, issue.NodeConfig, issue.BadHardware, issue.Firewall,
	issue.Failboot, issue.OldBootCD, issue.MinimalHardware, issue.NoBlockDevice, issue.PCUMissing}

func (w *town) command() issue.Command {
	c := issue.Command{By: "ann", Reason: "we are at it"}
	if w.one(2) {
		c.Until = w.now.Add(time.Duration(1+w.r.IntN(300)) * time.Hour)
	}
	return c
}

func (w *town) orderSite(o issue.Order) {
	if c := w.command(); w.s.Check(o, c, w.now) == nil {
		w.say("site: %s until %s", o, c.Until)
		w.s.Obey(o, c, w.now)
		w.promise = [policy.Top + 1]time.Time{} // another word comes after it
	}
}

func (w *town) orderIssue() {
	for _, id := range slices.Sorted(maps.Keys(w.issues)) {
		s := w.issues[id]
		o := issue.Orders()[w.r.IntN(len(issue.Orders()))]
		c := w.command()
		c.Step = 1 + w.r.IntN(len(s.Ladder.Rungs))
		if s.Check(o, c, w.now) != nil {
			continue
		}
		w.say("%s: %s", id, o)
		s.Obey(o, c, w.now)
		if o == issue.OrderClose {
			w.machine(s.Ref).closed[s.Ref.Type] = true
		}
		return
	}
}

func (w *town) machine(ref issue.Ref) *machine {
	return w.machines[slices.IndexFunc(w.machines, func(m *machine) bool { return m.name == ref.Target() })]
}

// silent says that nothing answers for a node.
func (m *machine) silent() bool { return !m.troubles[issue.NodeDown].IsZero() || m.gone }

// up counts the nodes that run.
func (w *town) up() (n int) {
	for _, m := range w.machines {
		if m.typ == "" && !m.silent() {
			n++
		}
	}
	return n
}

// reckon keeps since when the site lacks nodes.
func (w *town) reckon() {
	switch enough := w.up() >= w.p.SiteMinUp; {
	case enough && !w.short.IsZero():
		w.short = time.Time{}
		w.s.Look(w.now)
	case !enough && w.short.IsZero():
		w.short = w.now
	}
}

// sweep opens what has lasted long enough, and lets what is good again end.
func (w *town) sweep() {
	for _, m := range w.machines {
		for _, typ := range slices.Sorted(maps.Keys(m.closed)) {
			if m.troubles[typ].IsZero() {
				delete(m.closed, typ)
			}
		}
		for _, typ := range slices.Sorted(maps.Keys(m.troubles)) {
			if !m.gone && !m.exempt.After(w.now) && w.now.Sub(m.troubles[typ]) >= w.p.Day {
				w.open(m, typ)
			}
		}
	}
	for _, s := range w.issues {
		if m := w.machine(s.Ref); m.troubles[s.Ref.Type].IsZero() && !m.gone {
			s.Recover(w.now, "a look finds it good")
		}
	}
}

func (w *town) open(m *machine, typ string) {
	ref := refOf(typ, m.name)
	if _, open := w.issues[ref.ID]; open || m.closed[typ] || m.troubles[typ].IsZero() {
		return
	}
	w.runs++
	ref.Run = fmt.Sprint("r", w.runs)
	t, _ := issue.Lookup(typ)
	s := issue.Start(issue.Opening{Ref: ref, Cause: "seen", Evidence: seen[typ][:1], Times: issue.TimesOf(w.p), Ladder: t.Ladder}, w.now)
	w.issues[ref.ID] = &s
	w.say("opened %s", ref.ID)
}

// work lets all machines do what is due, and says when one of them next has something to do.
func (w *town) work() (next time.Time) {
	for range 1000 {
		var busy bool
		next = time.Time{}
		for _, id := range slices.Sorted(maps.Keys(w.issues)) {
			at, did := w.climb(w.issues[id])
			busy, next = busy || did, earliest(next, at)
		}
		at, did := w.siteStep()
		if busy, next = busy || did, earliest(next, at); !busy {
			return next
		}
	}
	w.must(false, "it does not come to rest: %+v", w.s)
	return next
}

// climb does one step of an issue.
func (w *town) climb(s *issue.State) (until time.Time, did bool) {
	switch step := s.Next(w.now); step.Do {
	case issue.Sleep:
		return step.Until, false
	case issue.Save:
		s.Keep(s.Seq)
		s.Stale = false
	case issue.RunRung:
		req := s.Request()
		s.Began()
		s.Ran(w.now, w.rung(s, req))
	case issue.Close:
		m := w.machine(s.Ref)
		if !step.Force && !m.troubles[s.Ref.Type].IsZero() {
			s.Ended(w.now, issue.Result{Outcome: issue.Wait, Reason: "it is bad again"})
			break
		}
		end := issue.EndRecovered
		if step.Force {
			end = s.End.Why
		}
		if !s.Told {
			end = ""
		}
		s.Ended(w.now, issue.Result{Outcome: issue.Acted})
		w.release(s, end)
	case issue.Finish:
		w.say("closed %s", s.Ref.ID)
		delete(w.issues, s.Ref.ID)
	}
	return time.Time{}, true
}

func (w *town) release(s *issue.State, end issue.EndKind) {
	r := site.Release{Key: s.Ref.Episode() + "/release", Ref: s.Ref, Thanks: end == issue.EndRecovered, Since: s.Opened}
	if _, held := w.holds[s.Ref.ID]; !held && !r.Thanks {
		return
	}
	if !r.Thanks {
		r.Ended = end
	}
	delete(w.holds, s.Ref.ID)
	w.s.Release(w.now, r)
}

// rung is what an activity answers.
func (w *town) rung(s *issue.State, req issue.Request) (res issue.Result) {
	m := w.machine(s.Ref)
	pcu := w.machines[len(w.machines)-1]
	acted := func(what issue.DeedKind, how string) issue.Result {
		return issue.Result{Outcome: issue.Acted, Reason: "done", Deeds: []issue.Deed{{At: w.now, What: what, How: how}}}
	}
	switch {
	case m.gone:
		return issue.Result{Outcome: issue.Gone, Reason: "PLC does not have it any more"}
	case m.troubles[s.Ref.Type].IsZero():
		return issue.Result{Outcome: issue.Recovered, Reason: "a look finds it good"}
	case m.exempt.After(w.now):
		return issue.Result{Outcome: issue.Wait, Reason: "exempt", Check: "exempt", Until: m.exempt}
	case w.one(12):
		return issue.Result{Outcome: issue.Unknown, Reason: "no answer in time"}
	}
	switch req.Rung.Do {
	case issue.Reboot, issue.Reinstall:
		what := issue.DeedRebooted
		if req.Rung.Do == issue.Reinstall {
			what = issue.DeedReinstall
		}
		if why := s.Lacks(req.Rung); why != "" {
			return issue.Result{Outcome: issue.Passed, Reason: why}
		}
		if !pcu.troubles[issue.PCUDown].IsZero() {
			res = acted(issue.DeedUnreachable, "login as root: wrong password")
			res.Outcome = issue.Passed
			return res
		}
		power := []issue.Power{issue.Cycled, issue.Cycled, issue.PowerLost, issue.LeftOff, issue.Asked}[w.r.IntN(5)]
		if power == issue.Cycled && w.one(4) {
			clear(m.troubles)
			w.reckon()
		}
		res = acted(what, string(power))
		res.Power = power
		return res
	case issue.OpenPCUDown:
		if pcu.troubles[issue.PCUDown].IsZero() {
			return issue.Result{Outcome: issue.Passed, Reason: "its PCU works"}
		}
		w.open(pcu, issue.PCUDown)
		return acted(issue.DeedPCUDownOpened, pcu.name)
	case issue.Bootman:
		if w.one(3) {
			return acted(issue.DeedTriedRepair, "restart_bootmanager_boot")
		}
		return acted(issue.DeedRepaired, []string{"restart_bootmanager_boot", "fsck_repair", "restart_node_rins"}[w.r.IntN(3)])
	case issue.Disable:
		return acted(issue.DeedDisabled, "boot")
	case issue.Email:
		return w.email(s, req)
	case issue.Flag:
		w.flag(s)
		return issue.Result{Outcome: issue.Acted, Reason: "flagged"}
	}
	w.must(false, "a rung %s", req.Rung)
	return res
}

// email hands the notice of an issue to its site.
func (w *town) email(s *issue.State, req issue.Request) issue.Result {
	t, _ := issue.Lookup(s.Ref.Type)
	since := w.machine(s.Ref).troubles[s.Ref.Type]
	record := policy.Record{Status: policy.StatusOnline, Changed: since}
	if t.NeedsDown || t.Target == issue.OfPCU {
		record.Status = policy.StatusOffline
		if w.now.Sub(since) >= w.p.OfflineToDown {
			record.Status = policy.StatusDown
		}
	}
	if may := t.MayNotifySite(w.p, record, s.Opened, w.now); !may.Do {
		return issue.Result{Outcome: issue.Wait, Reason: may.Reason, Until: may.Until, Check: "age"}
	}
	r := site.HoldRequest{Key: req.Key, Ref: s.Ref, Level: max(req.Rung.Level, s.Level), Kind: t.NoticeKind(), Since: s.Opened,
		Evidence: seen[s.Ref.Type], Deeds: s.Deeds, Coming: s.Coming()}
	if s.Ref.Type == issue.NodeConfig {
		r.Advice = []string{"", AdviceLocked, AdviceHangs, AdviceStrange, AdviceHostKey}[w.r.IntN(5)]
	}
	if !record.Status.Healthy() && since.Before(s.Opened) {
		r.Since = since
	}
	w.holds[s.Ref.ID] = site.Hold{Ref: s.Ref, Level: r.Level, Kind: r.Kind, Since: r.Since, Key: r.Key, At: w.now}
	w.s.Hold(w.now, r)
	return issue.Result{Outcome: issue.Acted, Reason: "handed to the site", Told: true, Level: r.Level}
}

// flag writes to the admins.
func (w *town) flag(s *issue.State) {
	w.runs++
	n := Notice{Site: "huji", SiteName: "Hebrew University", Level: w.level, At: w.now, To: []string{"admins@monitor.test"},
		MessageID: MessageID(fmt.Sprint("flag", w.runs), "monitor.test"),
		Items: []Item{{Kind: Flagged, Issue: s.Ref.ID, Type: s.Ref.Type, Target: s.Ref.Target(), Since: s.Opened,
			Evidence: seen[s.Ref.Type], Deeds: s.Deeds}}}
	w.render(n)
}

// siteStep does one step of the site.
func (w *town) siteStep() (until time.Time, did bool) {
	step := w.s.Next(w.now, w.one(30))
	switch step.Do {
	case site.Sleep:
		return step.Until, false
	case site.Continue:
		return w.now.Add(time.Minute), false
	case site.Finish:
		if len(w.s.Holds) > 0 || w.s.Known && w.days > 0 && len(w.holds) > 0 {
			return w.now.Add(time.Hour), false
		}
		if w.s.Known {
			w.lives++
			w.s = site.Start("huji", fmt.Sprint("life", w.lives))
			w.promise = [policy.Top + 1]time.Time{}
		}
		return time.Time{}, false
	}
	began := w.now
	w.s.Began(step.Do)
	if w.one(25) && step.Do != site.Mail && step.Do != site.Raise {
		w.s.Failed(w.now, step.Do, "no answer in time")
		return time.Time{}, true
	}
	switch step.Do {
	case site.ReadBack:
		w.s.Stands(w.now, began, w.stands())
	case site.Raise, site.Lower:
		w.move(step)
	case site.Mail:
		w.mail(w.s.Write(w.now))
	case site.MailLate:
		left := slices.Clone(step.Late.To)
		if w.one(2) {
			w.had[step.Key] = append(w.had[step.Key], left[0])
			left = left[1:]
		}
		w.s.Caught(w.now, step.Key, left)
	case site.LookAtTicket:
		r := site.TicketResult{Ticket: w.s.Ticket, By: w.answer}
		if w.one(10) {
			r = site.TicketResult{Ticket: w.s.Ticket, Away: "the tracker is away"}
		} else if w.answer = ""; r.By != "" {
			w.promise = [policy.Top + 1]time.Time{}
		}
		w.s.Heard(w.now, r)
	case site.Note:
		w.s.Noted()
	case site.Resolve:
		w.s.Resolved(w.now, site.MailResult{Outcome: site.MailSent})
	}
	return time.Time{}, true
}

func (w *town) stands() site.Standing {
	st := site.Standing{Times: site.TimesOf(w.p), Level: w.level, LastRaise: w.raised, Holds: maps.Clone(w.holds),
		Rise: w.mayRise()}
	if w.short.IsZero() && w.order == "" {
		st.Spared = &site.Spared{Why: site.SparedGood}
	}
	return st
}

// mayRise is what the gate says to a step up.
func (w *town) mayRise() policy.Decision {
	switch from := w.short.Add(w.p.SiteDownBeforePenalty); {
	case w.order != "":
		return policy.Yes("by order")
	case w.short.IsZero():
		return policy.No(time.Time{}, "it has enough nodes")
	case w.now.Before(from):
		return policy.No(from, "it is not down for long")
	}
	return policy.Yes("it lacks nodes")
}

func (w *town) move(step site.Step) {
	r := site.StepResult{Outcome: site.StepDone, Level: step.To, Reason: "why"}
	if step.Do == site.Raise {
		if may := w.mayRise(); !may.Do {
			w.s.Moved(w.now, step.Do, site.StepResult{Outcome: site.StepRefused, Level: w.level, Reason: may.Reason, Until: may.Until})
			return
		}
		w.must(!w.promise[step.To].IsZero(), "level %d, and nobody was told of that step", step.To)
		w.must(!w.now.Before(w.promise[step.To]), "level %d, which was said to come not before %s", step.To, w.promise[step.To])
		w.raised = w.now
	}
	w.say("level %d", step.To)
	w.level, w.promise = step.To, [policy.Top + 1]time.Time{}
	w.s.Moved(w.now, step.Do, r)
}

// mail composes a message as the activity does, and sends it if the server is there. One that may have left is the same
// again.
func (w *town) mail(in site.MailRequest) {
	l, again := w.letters[in.Key]
	if !again {
		if w.now.Before(w.away) && w.one(2) {
			w.s.Mailed(w.now, site.MailResult{Outcome: site.MailWait, Reason: "the mail server is away"})
			return
		}
		var none site.MailOutcome
		if l, none = w.compose(in); none != "" {
			w.s.Mailed(w.now, site.MailResult{Outcome: none, Reason: "nothing is to be said", Until: w.now.Add(time.Hour)})
			return
		}
		l.message = w.render(l.facts)
		w.letters[in.Key] = l
	}
	if w.now.Before(w.away) || w.one(20) {
		w.s.Mailed(w.now, site.MailResult{Outcome: site.MailLost, Reason: "the server hung up"})
		return
	}
	to := l.facts.To
	w.had[in.Key] = slices.Clone(to)
	if n := len(to); n > 1 && w.one(8) {
		l.result.Deferred, l.result.Missed = []string{to[n-1]}, n-1
		w.had[in.Key] = w.had[in.Key][:n-1]
	}
	w.heard(in.Key, l)
	w.s.Mailed(w.now, l.result)
}

// heard is what is known of a message once it has arrived.
func (w *town) heard(key string, l letter) {
	for _, item := range l.facts.Items {
		w.told[string(item.Kind)+item.Target] = w.now
	}
	for _, who := range w.had[key] {
		w.must(w.first[who] || slices.ContainsFunc(l.facts.Items, func(i Item) bool { return i.Kind != Penalty }),
			"the first word to %s is a limit", who)
		w.first[who] = true
	}
	for _, c := range l.facts.Coming {
		if c.What == site.ComesStep && c.Level == w.level+1 && l.result.Threatened {
			w.promise[c.Level] = c.At
		}
	}
	closes := strings.Contains(l.message.Text, "closes the matter; there is nothing left")
	if w.ended { // what closed the matter was the last word of it
		w.must(slices.ContainsFunc(l.facts.Items, func(i Item) bool { return !site.Ends(string(i.Kind)) }),
			"after the last word came:\n%s", written(l.message))
	}
	w.ended = closes
}

// render makes the words, and holds them against the facts.
func (w *town) render(n Notice) Message {
	m, err := Render(n)
	w.must(err == nil, "%v: %+v", err, n)
	for _, item := range n.Items {
		w.kinds[string(item.Kind)]++
	}
	w.say("to %s: %s", strings.Join(n.To, ", "), m.Subject)
	if wrong := proof.Check(n, m); len(wrong) > 0 {
		w.must(false, "%s\n\nthe facts: %+v\n\n%s", strings.Join(wrong, "\n"), n, written(m))
	}
	return m
}

// compose gathers what holds now of the notices of a message.
func (w *town) compose(in site.MailRequest) (l letter, none site.MailOutcome) {
	n := Notice{Site: in.Site, SiteName: "Hebrew University", Level: in.Level, Open: in.Open, At: w.now,
		MessageID: MessageID(in.Key, "monitor.test"), ReplyHolds: in.ReplyPause}
	l.result = site.MailResult{Outcome: site.MailSent, Reached: true, MessageID: n.MessageID,
		Ticket: site.Ticket{ID: 7, Robot: "monitor"}}
	if last := len(in.Thread); last > 0 {
		n.InReplyTo, n.References = in.Thread[last-1], in.Thread
	}
	kept := slices.DeleteFunc(slices.Clone(in.Notices), func(k site.Notice) bool { return !w.holdsNow(in, k) })
	if len(kept) == 0 {
		return l, site.MailNothing
	}
	n.To = w.to(in.Reaches)
	for _, h := range in.Holds {
		if t := h.Ref.Target(); h.Ref.Type != site.OrderType && !slices.Contains(n.Still, t) {
			n.Still = append(n.Still, t)
		}
	}
	if slices.ContainsFunc(kept, func(k site.Notice) bool { return !site.Ends(k.Kind) && k.Kind != site.Cleared }) {
		w.foretell(in, &n, &l.result)
	}
	if !l.result.Threatened {
		kept = slices.DeleteFunc(kept, func(k site.Notice) bool { return k.Kind == site.Warn })
	}
	for _, k := range kept {
		if n.Items = append(n.Items, w.item(in, k)); k.Kind == site.Penalty && allHad(w.had, k.Word, n.To) {
			n.Announced = k.Word.At
		}
	}
	if len(n.Items) == 0 {
		return l, site.MailNothing
	}
	if w.dead != "" && !slices.Contains(n.To, audience[2]) {
		w.dead = ""
	}
	if w.dead != "" {
		n.Unreached = []string{w.dead}
	}
	for level := policy.Top; level > 0; level-- {
		if len(w.to(level)) == len(n.To) {
			l.result.Covers = level
			break
		}
	}
	l.facts = n
	return l, ""
}

// to are the people of a level; where it has nobody, the next ones.
func (w *town) to(level int) []string {
	if w.noTech {
		return audience[1 : max(level, 1)+1]
	}
	return audience[:level+1]
}

// holdsNow says whether a notice is to be said now.
func (w *town) holdsNow(in site.MailRequest, k site.Notice) bool {
	open := func(ref issue.Ref) bool {
		return ref.Node != "" && slices.ContainsFunc(slices.Collect(maps.Values(w.issues)), func(s *issue.State) bool {
			return s.Ref.Node == ref.Node && s.Status != issue.Closed
		})
	}
	switch k.Kind {
	case site.Cleared:
		return in.Level == 0
	case site.Eased:
		return in.Level == 1
	case site.Penalty:
		return in.Level > 0
	case site.Resumed, site.Continued:
		return true
	case site.Warn:
		return w.threatens(in) && slices.ContainsFunc(in.Coming, func(c site.Coming) bool { return c.What == site.ComesStep })
	case site.Online:
		m := w.machine(k.Ref)
		return !m.gone && (m.typ == "" && !m.silent() || m.typ != "" && len(m.troubles) == 0) && !open(k.Ref)
	case site.Gone:
		return w.machine(k.Ref).gone && !open(k.Ref)
	case site.Closed:
		return !open(k.Ref)
	}
	m := w.machine(k.Ref)
	return !m.gone && !m.troubles[k.Ref.Type].IsZero() && !m.exempt.After(w.now) &&
		policy.NoticeDue(w.p, k.Kind, w.told[k.Kind+k.Ref.Target()], w.now).Do
}

// threatens says whether the site may be denied anything.
func (w *town) threatens(in site.MailRequest) bool {
	return w.order != "" || !w.short.IsZero() && len(in.Holds) > 0
}

// foretell takes over what comes next, as far as its conditions hold.
func (w *town) foretell(in site.MailRequest, n *Notice, res *site.MailResult) {
	threatens, from := w.threatens(in), w.now.Add(w.p.SiteDownBeforePenalty)
	switch {
	case w.order != "":
		n.HowToStop, from = "The operators decide when this ends. Answer this message, and they read what you write.", time.Time{}
	case !w.short.IsZero():
		from = w.short.Add(w.p.SiteDownBeforePenalty)
	}
	for _, c := range in.Coming {
		if c.What == site.ComesStep {
			if !threatens {
				continue
			}
			if c.At.Before(from) {
				c.At = from
			}
			if in.Threat != nil && c.Level == in.Threat.Level {
				res.Threatened, res.NotBefore = true, c.At
			}
			from = c.At.Add(w.p.PenaltyStep)
		}
		n.Coming = append(n.Coming, c)
	}
}

func (w *town) item(in site.MailRequest, k site.Notice) Item {
	item := Item{Kind: Kind(k.Kind), Issue: k.Ref.ID, Type: k.Ref.Type, Target: k.Ref.Target(), Since: k.Since,
		Evidence: k.Evidence, Deeds: k.Deeds, Advice: k.Advice, By: k.By, Why: string(k.Why)}
	switch k.Kind {
	case site.Penalty, site.Warn, site.Resumed, site.Continued, site.Eased:
		item.Evidence, item.Ordered = w.holders(in, k.Kind), w.order
	case site.Cleared:
		item.Level = k.Level
	case site.Online, site.Gone, site.Closed:
	default:
		item.From, item.Act = []string{"192.0.2.7"}, "https://monitor.test/at/"+k.Ref.Run
		if k.Ref.Node != "" {
			item.Page = "https://plc.test/nodes/node.php?id=" + k.Ref.Node[len("planetlab"):][:1]
		}
		item.Told = w.told[k.Kind+k.Ref.Target()]
	}
	return item
}

// holders are what a word about the level is about, each with what is seen of it.
func (w *town) holders(in site.MailRequest, kind string) (lines []string) {
	for _, h := range in.Holds {
		switch {
		case h.Ref.Type == site.OrderType:
			continue
		case kind == site.Warn && in.Threat != nil:
			if !slices.Contains(in.Threat.Issues, h.Ref.ID) {
				continue
			}
		case kind == site.Resumed, kind == site.Continued:
			if !h.Told && h.Level == 0 {
				continue
			}
		case h.Level == 0:
			continue
		}
		line := h.Ref.Target() + ": " + seen[h.Ref.Type][0]
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestMessages_RandomLivesProve: a thousand sites, each over weeks of policy time.
func TestMessages_RandomLivesProve(t *testing.T) {
	lives := 1000
	if testing.Short() {
		lives = 50
	}
	kinds := map[string]int{}
	for seed := range lives {
		w := newTown(t, uint64(seed))
		w.live()
		for kind, n := range w.kinds {
			kinds[kind] += n
		}
	}
	t.Logf("what was said, by kind: %v", kinds)
	want := []string{"down", site.Penalty, site.Warn, site.Eased, site.Cleared, site.Resumed, site.Continued, site.Online, site.Gone,
		site.Closed, string(Flagged), issue.PCUDown}
	for _, typ := range nodeTypes {
		found, _ := issue.Lookup(typ)
		want = append(want, found.NoticeKind())
	}
	for _, kind := range want {
		if kinds[kind] < lives/50 {
			t.Errorf("of the kind %q there are %d in %d lives: the others prove nothing of it", kind, kinds[kind], lives)
		}
	}
}
