package rig

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/chrome"
	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/testbed/fakeplc"
	"github.com/planetlab/monitor/testbed/pcudev"
)

// What is broken from the beginning: a node that people are written to about, since its PCU is mute, and one that nobody
// can mend.
var (
	lettered = struct{ host, site string }{"planetlab1.cornell.example", "cornell"}
	pledged  = "planetlab1.warsaw.example"
)

// eventually waits for an effect.
func (r *Rig) eventually(t *testing.T, what string, is func() error) {
	t.Helper()
	if err := waitFor(t.Context(), nil, 90*time.Second, is); err != nil {
		t.Fatalf("%s: %v\n%s", what, err, r.WorkerLog())
	}
}

// chromium is shared by all tests of this process.
var chromium chrome.Browser

// hand is somebody at the keyboard of a browser that runs no scripts.
type hand struct {
	*Rig
	t       *testing.T
	page    *chrome.Page
	account string
}

// atTheKeyboard signs somebody in with his account at PLC.
func (r *Rig) atTheKeyboard(t *testing.T, email string) hand {
	t.Helper()
	r.DB.SetPassword(email, "pw of "+email)
	h := hand{r, t, chromium.Page(t, r.Pages, 5*time.Minute), email}
	h.page.WithoutScripts()
	h.page.Open("/sign-in")
	h.page.TabTo(`e.id == "account"`)
	h.page.Press(email, kb.Tab, "pw of "+email, kb.Enter)
	h.page.Shows("Sign out")
	return h
}

// task is an order as somebody gives it on a page.
type task struct {
	name   string
	page   string
	tick   string // a row of a list; empty: the page is about one thing
	verb   string
	with   string // another expression about the button e
	choice string // by its first letters
	until  string
	effect func() error
}

// does gives an order by the keyboard alone, and waits for its effect. What the gate forbids now is tried again.
func (h hand) does(k task) {
	h.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(500 * time.Millisecond) {
		h.page.Open(k.page)
		if k.tick != "" {
			h.page.TabTo(fmt.Sprintf(`e.name == "id" && e.value == %q`, k.tick))
			h.page.Press(" ")
		}
		button := fmt.Sprintf(`e.name == "do" && e.value == %q`, k.verb)
		if k.with != "" {
			button += " && " + k.with
		}
		h.page.TabTo(button)
		h.page.Press(kb.Enter)
		h.page.Shows("Say yes")
		if !strings.Contains(h.page.Text(), "None would take it") {
			break
		}
		if text := h.page.Text(); strings.Contains(text, "invalid") || time.Now().After(deadline) {
			h.t.Fatalf("%s: %s\n%s", k.name, h.page.Text(), h.WorkerLog())
		}
	}
	if k.choice != "" {
		h.page.TabTo(`e.id == "choice"`)
		h.page.Press(strings.Split(k.choice, "")...)
	}
	if k.until != "" {
		h.page.TabTo(`e.name == "until"`)
		h.page.Press(k.until)
	}
	why := "by the keyboard: " + k.name
	h.page.TabTo(`e.name == "reason"`)
	h.page.Press(why, kb.Enter)
	h.eventually(h.t, k.name, func() error { // a sweep is waited for
		if text := h.page.Text(); !strings.Contains(text, "1 of 1 done") {
			return no("the page shows %s", text)
		}
		return nil
	})
	h.eventually(h.t, k.name, k.effect)
	given, err := h.Store.Actions(h.t.Context(), store.ActionFilter{Kind: store.KindOrder, Limit: 100})
	i := slices.IndexFunc(given, func(a store.Action) bool { return a.Reason == why })
	if err != nil || i < 0 || given[i].Outcome != store.Done || !strings.Contains(string(given[i].Data), h.account) {
		h.t.Errorf("%s: the ledger has %+v, %v", k.name, given, err)
	}
}

func no(format string, args ...any) error { return fmt.Errorf(format, args...) }

func (r *Rig) anOperatorAtTheKeyboard(t *testing.T) {
	const admin = "root@plc.example"
	r.DB.Add("Persons", fakeplc.Row{"email": admin, "roles": []any{"admin"}, "site_ids": []any{}})
	h, ctx := r.atTheKeyboard(t, admin), t.Context()
	id := "nodedown/" + pledged
	r.eventually(t, "the issue opens", func() error { _, err := r.Store.Issue(ctx, id); return err })
	control := func(name, want string) func() error {
		return func() error {
			c, err := r.Store.Controls(ctx)
			if err == nil && c[name].Value != want {
				err = no("%s is %q", name, c[name].Value)
			}
			return err
		}
	}
	status := func(want string) func() error {
		return func() error {
			i, err := r.Store.Issue(ctx, id)
			if err == nil && i.Status != want {
				err = no("it is %s", i.Status)
			}
			return err
		}
	}
	vetoes := func(want int) func() error {
		return func() error {
			i, err := r.Store.Issue(ctx, id)
			if err != nil {
				return err
			}
			s, err := i.Memory()
			if err == nil && len(s.Vetoes) != want {
				err = no("%d steps are vetoed", len(s.Vetoes))
			}
			return err
		}
	}
	alone := func(want bool) func() error {
		return func() error {
			_, listed, err := r.Store.Blacklisted(ctx, "planetlab2.pisa.example", "pisa", "", time.Now())
			if err == nil && listed != want {
				err = no("listed is %t", listed)
			}
			return err
		}
	}
	sweep, err := r.Store.LastSweep(ctx)
	if err != nil {
		t.Fatal(err)
	}
	const sequence = "bminit-cfg-a-step-that-nobody-knows-done"
	if err := r.Store.SaveBootLog(ctx, store.BootLog{Node: "planetlab2.pisa.example", At: time.Now(), Sequence: sequence, Log: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	page := "/issues/" + id
	for _, k := range []task{
		{name: "stop", page: "/", verb: "fleet.stop", effect: control(store.ControlStop, "stopped")},
		{name: "start", page: "/", verb: "fleet.start", effect: control(store.ControlStop, "")},
		{name: "mode of the fleet", page: "/", verb: "fleet.mode", choice: "obs", effect: control(store.ControlMode, string(policy.ModeObserve))},
		{name: "mode taken back", page: "/", verb: "fleet.mode", choice: "def", effect: control(store.ControlMode, "")},
		{name: "mode of a site", page: "/sites/pisa", verb: "site.mode", choice: "obs",
			effect: control(store.ControlOf(store.ControlMode, store.PartSite, "pisa"), string(policy.ModeObserve))},
		{name: "sweep", page: "/", verb: "fleet.sweep", effect: func() error {
			s, err := r.Store.LastSweep(ctx)
			if err == nil && !s.Started.After(sweep.Started) {
				err = no("the last one is of %s", s.Started)
			}
			return err
		}},
		{name: "silence", page: "/nodes?select=site%3Dpisa", tick: "planetlab2.pisa.example", verb: "target.silence", until: "3d", effect: alone(true)},
		{name: "unsilence", page: "/nodes/planetlab2.pisa.example", verb: "target.unsilence", effect: alone(false)},
		{name: "penalty", page: "/sites/pisa", verb: "site.penalty", effect: control(store.PenaltyControl("pisa"), "0")},
		{name: "teach", page: "/sequences", verb: "sequence.teach", with: fmt.Sprintf("e.form.elements.id.value == %q", sequence), effect: func() error {
			_, err := r.Store.BootSequence(ctx, sequence)
			return err
		}},
		{name: "pause", page: "/issues?select=node%3D" + pledged, tick: id, verb: "issue.pause", effect: status("paused")},
		{name: "resume", page: page, verb: "issue.resume", effect: status("open")},
		{name: "veto", page: page, verb: "issue.veto", with: `e.form.elements.step.value == "7"`, effect: vetoes(1)},
		{name: "allow", page: page, verb: "issue.allow", effect: vetoes(0)},
		{name: "skip", page: page, verb: "issue.skip", effect: status("open")},
	} {
		h.does(k)
	}
	held := func(want bool) func() error {
		return func() error {
			s, err := answers.SiteState(ctx, r.Temporal, "warsaw")
			if err == nil && (s.Pause != nil) != want {
				err = no("its pause is %+v", s.Pause)
			}
			return err
		}
	}
	r.eventually(t, "its issue asks something of the site", held(false))
	h.does(task{name: "hold the penalty", page: "/sites/warsaw", verb: "site.pause", until: "3d", effect: held(true)})
	h.does(task{name: "resume the penalty", page: "/sites/warsaw", verb: "site.resume", effect: held(false)})
}

// anOperatorBelievesWhatTheGuardDoubts has half of the fleet fall silent within a moment.
func (r *Rig) anOperatorBelievesWhatTheGuardDoubts(t *testing.T) {
	ctx := t.Context()
	for i, host := range r.Hosts() {
		if i%2 == 0 && r.State(host) == fakenode.Up {
			if err := r.Break(host, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Nobody}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var doubted time.Time
	r.eventually(t, "the guard doubts it", func() error {
		believed, doubt, err := r.Store.LastBelieved(ctx)
		if doubted = believed; err == nil && doubt == "" {
			err = no("what is seen is believed")
		}
		return err
	})
	h := r.atTheKeyboard(t, "root@plc.example")
	r.eventually(t, "the page says so", func() error {
		h.page.Open("/")
		if text := h.page.Text(); !strings.Contains(text, "The last sweep is not believed") || !strings.Contains(text, "believe it") {
			return no("it shows %s", text)
		}
		return nil
	})
	h.does(task{name: "believe", page: "/", verb: "fleet.believe", effect: func() error {
		believed, doubt, err := r.Store.LastBelieved(ctx)
		if err == nil && (doubt != "" || !believed.After(doubted)) {
			err = no("the last one that is believed is of %s: %s", believed, doubt)
		}
		return err
	}})
}

// anOrderIsCancelled cancels an order that waits for its PCU, and tries what is not for the people of a site.
func (r *Rig) anOrderIsCancelled(t *testing.T, tech hand) {
	const host, site = "planetlab3.upmc.example", "upmc"
	ctx := t.Context()
	r.BreakPCU(site, pcudev.Busy)
	defer r.BreakPCU(site, "")
	if err := r.Break(host, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Reboot}); err != nil {
		t.Fatal(err)
	}
	order := orders.Order{Reason: "it hangs", Who: access.Who{Account: tech.account, Role: access.Site, Sites: []string{site}}}
	r.eventually(t, "an order waits", func() error {
		_, err := (orders.Desk{Store: r.Store, Temporal: r.Temporal}).Node(ctx, order,
			orders.Node{Act: request.Reboot, Ways: []request.Way{request.ByPCU}, Patience: time.Hour}, host)
		if err != nil && !errors.Is(err, orders.ErrUnderWay) {
			return err
		}
		story, err := answers.Request(ctx, r.Temporal, host, "")
		if err == nil && (story.End != "" || !slices.ContainsFunc(story.Steps, func(s request.Step) bool { return s.What == "waits" })) {
			err = no("it is %q: %s %+v", story.End, story.Reason, story.Steps)
		}
		return err
	})
	tech.does(task{name: "cancel", page: "/nodes/" + host, verb: "node.cancel", effect: func() error {
		story, err := answers.Request(ctx, r.Temporal, host, "")
		if err == nil && story.End != request.Cancelled {
			err = no("it is %q: %s", story.End, story.Reason)
		}
		return err
	}})
	if n := r.PowerCuts(host); n != 0 {
		t.Errorf("its power was cut %d times", n)
	}
	r.BreakPCU(site, "")
	r.eventually(t, "a dry run of the PCU passes again", func() error {
		n, err := r.Store.Node(ctx, host)
		if err != nil {
			return err
		}
		p, err := r.Store.PCU(ctx, n.PCUID)
		if err == nil && (!p.OK || !p.Record.Status.Healthy()) {
			err = no("it is %s: %s", p.Record.Status, p.Reason)
		}
		return err
	})
	tech.page.Open("/nodes/" + host)
	if text := tech.page.Text(); strings.Contains(text, "Silence") || !strings.Contains(text, "Reboot") {
		t.Errorf("to leave a node alone is for operators: %s", text)
	}
}

func (r *Rig) siteAtTheKeyboard(t *testing.T) {
	ctx, id := t.Context(), "nodedown/"+pledged
	status := func(want string) func() error {
		return func() error {
			i, err := r.Store.Issue(ctx, id)
			if err == nil && i.Status != want {
				err = no("it is %s", i.Status)
			}
			return err
		}
	}
	tech := r.atTheKeyboard(t, "tech@warsaw.example")
	tech.does(task{name: "pledge", page: "/issues/" + id, verb: "issue.pledge", until: "2d", effect: status("paused")})
	if text := tech.page.Text(); strings.Contains(text, "princeton") {
		t.Errorf("he sees another site: %s", text)
	}
	operator := r.atTheKeyboard(t, "root@plc.example")
	operator.does(task{name: "close", page: "/issues/" + id, verb: "issue.close", effect: status("closed")})

	tech = r.atTheKeyboard(t, "tech@upmc.example")
	r.anOrderIsCancelled(t, tech)
	for n, k := range []struct {
		name, verb string
		fixedBy    string
		times      func(host string) int
	}{
		{"reboot", "node.reboot", testbed.Reboot, r.PowerCuts},
		{"reinstall", "node.reinstall", testbed.Reinstall, func(host string) int { return len(r.WipeTimes(host)) }},
	} {
		host := fmt.Sprintf("planetlab%d.upmc.example", n+1)
		if err := r.Break(host, testbed.Fault{State: fakenode.Hung, FixedBy: k.fixedBy}); err != nil {
			t.Fatal(err)
		}
		for tries := 1; ; tries++ { // what the gate refuses at the last moment is ordered again, as a person does
			var refused error
			tech.does(task{name: k.name, page: "/nodes/" + host, verb: k.verb, effect: func() error {
				refused = r.acted(t, host)
				return nil
			}})
			if refused == nil {
				break
			}
			if t.Logf("%s %d: %v", k.name, tries, refused); tries == 5 {
				t.Fatal("it is never done")
			}
		}
		r.eventually(t, k.name, func() error {
			if r.State(host) != fakenode.Up || k.times(host) != 1 {
				return no("%s is %s, %d times", host, r.State(host), k.times(host))
			}
			return nil
		})
	}
}

var linkInMail = regexp.MustCompile(`http://\S*/links/\S+`)

// aLetterAtWork presses the button behind the link of a letter that Monitor wrote, once it can be of use.
func (r *Rig) aLetterAtWork(t *testing.T) {
	link := ""
	r.eventually(t, "a letter about "+lettered.host+" has a link", func() error {
		for _, m := range r.Mail.Messages() {
			if strings.Contains(m.Body, lettered.host) && slices.Contains(m.To, "tech@"+lettered.site+".example") {
				if link = linkInMail.FindString(m.Body); link != "" {
					return nil
				}
			}
		}
		return errors.New("there is none")
	})
	press := func() (int, string) {
		answer, err := http.PostForm(link, url.Values{"do": {"reboot"}, "name": {"Tom"}, "reason": {"I stand before it"}})
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(text)
	}
	if answer, err := http.Get(link); err != nil || answer.StatusCode != http.StatusOK || r.PowerCuts(lettered.host) != 0 {
		t.Fatalf("%s: %v, %v", link, answer, err)
	}
	if code, page := press(); code != http.StatusConflict || !strings.Contains(page, "That cannot be done now") {
		t.Errorf("with a mute PCU: %d\n%s", code, page)
	}
	// Monitor itself would have it rebooted as soon as the PCU works
	operator := orders.Order{Who: access.Who{Account: "ann", Role: access.Operator, Sites: []string{access.AllSites}}, Reason: "its people see to it"}
	if _, _, err := (orders.Desk{Store: r.Store, Temporal: r.Temporal}).Issue(t.Context(), operator, issue.OrderPause, "nodedown/"+lettered.host, orders.Words{}); err != nil {
		t.Fatal(err)
	}
	r.BreakPCU(lettered.site, "")
	r.eventually(t, "the button works", func() error {
		if code, page := press(); code != http.StatusOK {
			return no("%d %s", code, page)
		}
		return nil
	})
	r.eventually(t, "it is rebooted", func() error {
		if s := r.State(lettered.host); s != fakenode.Up {
			return no("it is %s", s)
		}
		return nil
	})
	if code, page := press(); code != http.StatusOK || !strings.Contains(page, "ordered by this link already") {
		t.Errorf("pressed again: %d\n%s", code, page)
	}
	if n := r.PowerCuts(lettered.host); n != 1 {
		t.Errorf("its power was cut %d times", n)
	}
	lines, err := r.Store.Actions(t.Context(), store.ActionFilter{Node: lettered.host, Kind: store.KindOrder})
	lines = slices.DeleteFunc(lines, func(a store.Action) bool { // what its workflow did with it is another line
		return !strings.HasPrefix(a.Key, "order/link mailed to "+lettered.site) || a.RunID != ""
	})
	if err != nil || len(lines) != 1 {
		t.Fatalf("%+v, %v", lines, err)
	}
	var data struct{ By, Account, Verb string }
	if err := json.Unmarshal(lines[0].Data, &data); err != nil || data.Verb != string(access.NodeReboot) || data.By != "Tom, as link mailed to "+lettered.site {
		t.Errorf("%+v, %v", data, err)
	}
	if err := r.acted(t, lettered.host); err != nil {
		t.Error(err)
	}
}

// acted is nil where it was the order of a person that did it, and not an issue.
func (r *Rig) acted(t *testing.T, host string) error {
	var story request.Story
	err := r.Temporal.GetWorkflow(t.Context(), request.ID(host), "").Get(t.Context(), &story)
	if err == nil && !story.End.Acted() {
		err = no("%s: %s", story.End, story.Reason)
	}
	return err
}
