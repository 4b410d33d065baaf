package notify_test

import (
	"fmt"
	"os"
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

// monday is when the trouble of the page begins.
var monday = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func after(days float64) time.Time { return monday.Add(time.Duration(days * 24 * float64(time.Hour))) }

// people of the site of the page, by the level from which on they are written to.
var audience = []string{"technician@huji.example", "investigator@huji.example", "users@huji.example"}

// weeks plays the machine of a site through a story, with activities that always work, and keeps what people get.
type weeks struct {
	t      *testing.T
	s      site.State
	now    time.Time
	holds  map[string]site.Hold
	good   bool // the site has enough nodes again
	told   map[string]time.Time
	had    map[string][]string // who got a message, by its key
	answer bool                // the technician has answered, and nobody has looked yet
	out    []Message
	facts  []Notice
	page   strings.Builder
}

// at is when something of the story happens, and how the page tells it; empty: the message after it does.
type at struct {
	time time.Time
	do   func(*weeks)
	says string
}

const (
	node1 = "planetlab1.huji.example"
	node2 = "planetlab2.huji.example"
	pcu1  = "pcu.huji.example"
)

func refOf(typ, target string) issue.Ref {
	r := issue.Ref{ID: typ + "/" + target, Run: "run", Type: typ, Site: "huji", Node: target}
	if typ == issue.PCUDown {
		r.Node, r.PCU, r.PCUID = "", target, 1
	}
	return r
}

// email is a rung of an issue that writes to the site, and what it does later.
func email(typ, target, evidence string, level int, later ...issue.Coming) func(*weeks) {
	return func(w *weeks) {
		t, _ := issue.Lookup(typ)
		r := site.HoldRequest{
			Key:      fmt.Sprint(typ, target, level),
			Ref:      refOf(typ, target),
			Level:    level,
			Kind:     t.NoticeKind(),
			Since:    monday,
			Evidence: []string{evidence},
			Coming:   later,
		}
		if typ == issue.NodeDown {
			r.Deeds = []issue.Deed{{At: after(1), What: issue.DeedUnreachable, How: "login as root: wrong password"}}
		}
		w.holds[r.Ref.ID] = site.Hold{Ref: r.Ref, Level: level, At: w.now}
		w.s.Hold(w.now, r)
	}
}

func recovers(typ, target string) func(*weeks) {
	return func(w *weeks) {
		delete(w.holds, refOf(typ, target).ID)
		w.s.Release(w.now, site.Release{Key: "r", Ref: refOf(typ, target), Thanks: true, Since: monday})
	}
}

// story is a node and a PCU that fail on a Monday, as their site hears of it.
func story() []at {
	rungs := []issue.Coming{
		{At: after(9), Do: issue.Email, Level: 1},
		{At: after(16), Do: issue.Email, Level: 2},
		{At: after(23), Do: issue.Flag},
	}
	return []at{
		{after(2), email(issue.NodeDown, node1, "no ssh: timeout", 0, rungs...),
			"On Monday planetlab1 stopped answering, and Monitor could not restart it, since the power control unit no longer took " +
				"its password. The disk of planetlab2 failed the same day. Two days later all three are still so."},
		{after(2.001), email(issue.PCUDown, pcu1, "login as root: wrong password", 0), ""},
		{after(2.002), email(issue.Filesystem, node2, "mounted read-only: /", 0), ""},
		{after(9), email(issue.NodeDown, node1, "no ssh: timeout", 1, rungs[1:]...), "Nobody has answered."},
		{after(10), func(w *weeks) { w.answer = true },
			"The technician answers: \"We have ordered a power supply, and look into the rest.\" From now on no further limit comes for 30 days."},
		{after(11), recovers(issue.PCUDown, pcu1), "The power control unit takes its password again."},
		{after(13), func(w *weeks) { w.good = true; w.s.Look(w.now) }, "The power supply is in: planetlab1 works."},
		{after(13.1), recovers(issue.NodeDown, node1), ""},
		{after(14), recovers(issue.Filesystem, node2), "The disk of planetlab2 is replaced."},
	}
}

func play(t *testing.T, story []at) *weeks {
	w := &weeks{
		t:     t,
		now:   after(2),
		s:     site.Start("huji", "life"),
		holds: map[string]site.Hold{},
		told:  map[string]time.Time{},
		had:   map[string][]string{},
	}
	for range 500 {
		step := w.s.Next(w.now, false)
		switch {
		case step.Do != site.Sleep && step.Do != site.Finish:
			w.perform(step)
		case len(story) > 0 && (step.Do == site.Finish || step.Until.IsZero() || !story[0].time.After(step.Until)):
			w.now = later(w.now, story[0].time)
			if says := story[0].says; says != "" {
				fmt.Fprintf(&w.page, "\n*%s: %s*\n", w.now.Format("Mon 2 Jan 15:04"), says)
			}
			story[0].do(w)
			story = story[1:]
		case step.Do == site.Finish:
			return w
		default:
			w.now = step.Until
		}
	}
	t.Fatalf("the story does not end; on %s the site stands at %+v", w.now, w.s)
	return nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (w *weeks) perform(step site.Step) {
	began := w.now
	w.s.Began(step.Do)
	switch step.Do {
	case site.ReadBack:
		st := site.Standing{Times: site.TimesOf(policy.Defaults(24 * time.Hour)), Level: w.s.Level, Holds: w.holds,
			Rise: policy.Decision{Do: true}}
		if w.good {
			st.Spared = &site.Spared{Why: site.SparedGood}
		}
		w.s.Stands(w.now, began, st)
	case site.Raise, site.Lower:
		w.s.Moved(w.now, step.Do, site.StepResult{Outcome: site.StepDone, Level: step.To, Reason: "why"})
	case site.Mail:
		w.mail(w.s.Write(w.now))
	case site.LookAtTicket:
		r := site.TicketResult{Ticket: w.s.Ticket}
		if w.answer {
			r.By, w.answer = audience[0], false
		}
		w.s.Heard(w.now, r)
	case site.Note:
		w.s.Noted()
	case site.Resolve:
		w.s.Resolved(w.now, site.MailResult{Outcome: site.MailSent})
	default:
		w.t.Fatalf("a step %+v", step)
	}
}

// mail composes a message as an activity does, from what holds at that moment.
func (w *weeks) mail(in site.MailRequest) {
	n := Notice{Site: in.Site, SiteName: "Hebrew University", Level: in.Level, Open: in.Open, At: w.now,
		To: audience[:in.Reaches+1], MessageID: MessageID(in.Key, "monitor.test"), ReplyHolds: in.ReplyPause}
	res := site.MailResult{
		Outcome:   site.MailSent,
		Reached:   true,
		MessageID: n.MessageID,
		Ticket:    site.Ticket{ID: 7, Robot: "monitor"},
	}
	for _, h := range in.Holds {
		n.Still = append(n.Still, h.Ref.Target())
	}
	if !w.good {
		n.Coming = in.Coming
		res.Threatened = in.Threat != nil
	}
	if in.Threat != nil {
		res.NotBefore = in.Threat.NotBefore
	}
	for _, k := range in.Notices {
		n.Items = append(n.Items, w.item(in, k))
		if k.Kind == site.Penalty && allHad(w.had, k.Word, n.To) {
			n.Announced = k.Word.At
		}
		w.told[k.Kind+k.Ref.ID] = w.now
	}
	m, err := Render(n)
	if err != nil {
		w.t.Fatalf("%v: %+v", err, n)
	}
	day := int(m.At.Sub(monday).Hours()/24) + 1
	fmt.Fprintf(&w.page, "\n## Day %d, %s\n\nTo: %s\n\n```\n%s```\n", day, m.At.Format("Mon 15:04"), strings.Join(m.To, ", "),
		written(m))
	w.had[in.Key] = n.To
	w.out, w.facts = append(w.out, m), append(w.facts, n)
	w.s.Mailed(w.now, res)
}

func (w *weeks) item(in site.MailRequest, k site.Notice) Item {
	item := Item{
		Kind:     Kind(k.Kind),
		Issue:    k.Ref.ID,
		Type:     k.Ref.Type,
		Target:   k.Ref.Target(),
		Since:    k.Since,
		Evidence: k.Evidence,
		Deeds:    k.Deeds,
		By:       k.By,
		Why:      string(k.Why),
	}
	switch k.Kind {
	case site.Cleared:
		item.Level = k.Level
	case site.Penalty, site.Warn, site.Eased, site.Resumed, site.Continued:
		for _, h := range w.s.Holders(0) {
			if hold := w.s.Holds[h]; hold.Ref.Type == issue.NodeDown {
				item.Evidence = append(item.Evidence, hold.Ref.Target()+": no ssh: timeout")
			}
		}
	case site.Online:
	default:
		item.Told = w.told[k.Kind+k.Ref.ID]
	}
	return item
}

// allHad says that each of them had the word of a step, by who had which letter.
func allHad(byLetter map[string][]string, word *site.Warning, to []string) bool {
	if word == nil {
		return false
	}
	var had []string
	for _, key := range word.Letters {
		had = append(had, byLetter[key]...)
	}
	return !slices.ContainsFunc(to, func(who string) bool { return !slices.Contains(had, who) })
}

const page = "../docs/a-site-week.md"

const head = "# What a site hears\n\n" +
	"What the people of one site get, in order, when a node, its power control unit and the disk of the other node fail on a Monday: the machine of\n" +
	"package `site` and the words of package `notify`, played through by `go test ./notify -run Week -update`. Each message is proven against its facts.\n" +
	"What happens meanwhile stands between them.\n"

// TestAWeekOfASitesMailReadsAsItsPage writes docs/a-site-week.md and holds each of its messages against the facts.
func TestAWeekOfASitesMailReadsAsItsPage(t *testing.T) {
	w := play(t, story())
	text := head + w.page.String()
	for i, m := range w.out {
		for _, wrong := range proof.Check(w.facts[i], m) {
			t.Errorf("message %d: %s\n%s", i+1, wrong, written(m))
		}
	}
	if *update {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s is not what is said today: run go test ./notify -run Week -update", page)
	}
	last := w.facts[len(w.facts)-1]
	for i, n := range w.facts { // what closes the matter is the last word
		if strings.Contains(w.out[i].Text, "closes the matter; there is nothing left") != (n.At.Equal(last.At)) {
			t.Errorf("message %d of %d:\n%s", i+1, len(w.facts), written(w.out[i]))
		}
	}
	first := map[string]Notice{}
	for _, n := range w.facts {
		for _, who := range n.To {
			if _, seen := first[who]; !seen {
				first[who] = n
			}
		}
	}
	for who, n := range first {
		if n.Items[0].Kind == Penalty {
			t.Errorf("the first word to %s is a limit", who)
		}
	}
}
