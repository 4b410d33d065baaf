package rig

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/testbed/freeport"
	"github.com/planetlab/monitor/testbed/pcudev"
)

// People at the pages of the running product: a visitor of a demo, the operators and the people of a site in a browser,
// and whoever has a letter. They share one world, so that the letter is on its way while the others are at work.
func TestPeopleAtThePagesOfTheRunningProduct(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole product")
	}
	t.Parallel()
	pages, err := freeport.Find()
	if err != nil {
		t.Fatal(err)
	}
	r, err := Start(t.Context(), Options{Bin: programs(t), Day: 6 * time.Second, Pages: pages, NoRT: true,
		Policy: map[string]any{"node_down_after": "3d", // so that people are there before Monitor
			"boot_grace": "0.5d"}, // a boot takes a third of a day here
		SweepEvery: "0.8d", // a machine under load sweeps slowly, and the lease is two intervals long
		Log:        t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.BreakPCU(lettered.site, pcudev.Mute) // so that Monitor cannot reboot its node, and writes
	for host, fault := range map[string]testbed.Fault{
		lettered.host: {State: fakenode.Hung, FixedBy: testbed.Reboot}, pledged: {State: fakenode.Hung, FixedBy: testbed.Nobody},
	} {
		if err := r.Break(host, fault); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("a visitor breaks a node and mends it", r.aVisitorBreaksANode)
	t.Run("an operator gives every order by the keyboard alone", r.anOperatorAtTheKeyboard)
	t.Run("the people of a site pledge, and have their node rebooted", r.siteAtTheKeyboard)
	t.Run("a link in a letter has a node rebooted", r.aLetterAtWork)
	t.Run("an operator believes what the guard doubts", r.anOperatorBelievesWhatTheGuardDoubts)
	t.Run("a visitor changes the speed of time", r.aVisitorChangesTheSpeedOfTime)
}

// A visitor of the demo makes policy days longer: the world, the sweeps and new issues follow, and what is open does not.
func (r *Rig) aVisitorChangesTheSpeedOfTime(t *testing.T) {
	ctx := t.Context()
	desk := orders.Desk{Store: r.Store, Temporal: r.Temporal}
	order := orders.Order{Reason: "to see", Who: access.Who{Account: "ann", Role: access.Operator, Sites: []string{access.AllSites}}}
	day := func(id string) (day time.Duration) {
		i, err := r.Store.Issue(ctx, id)
		if err == nil {
			var s issue.State
			s, err = i.Memory()
			day = s.Times.Day
		}
		if err != nil {
			t.Fatal(err)
		}
		return day
	}
	open := func(target string) string {
		id := issue.NodeDown + "/" + target
		r.eventually(t, id+" opens", func() error {
			if _, _, err := desk.Open(ctx, order, issue.NodeDown, target, "by hand", nil); err != nil {
				return err
			}
			_, err := r.Store.Issue(ctx, id)
			return err
		})
		return id
	}
	before := open("planetlab4.tokyo.example")
	if day(before) != 6*time.Second {
		t.Errorf("days last %s at first", day(before))
	}
	for text, code := range map[string]int{"1s": http.StatusBadRequest, "10s": http.StatusOK} {
		answer, err := http.PostForm(r.Pages+"/testbed", url.Values{"day": {text}})
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != code {
			t.Errorf("%s: %s", text, answer.Status)
		}
	}
	if got := r.World.Day(); got != 10*time.Second {
		t.Errorf("days of the world last %s", got)
	}
	r.eventually(t, "the sweeps follow", func() error {
		s, err := r.Temporal.ScheduleClient().GetHandle(ctx, activities.SweepType).Describe(ctx)
		if err == nil && s.Schedule.Spec.Intervals[0].Every != 8*time.Second {
			err = no("they are %s apart", s.Schedule.Spec.Intervals[0].Every)
		}
		return err
	})
	r.eventually(t, "the pages say so", func() error {
		answer, err := http.Get(r.Pages + "/")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if text, _ := io.ReadAll(answer.Body); !strings.Contains(string(text), "a policy day lasts 10s") {
			return no("they do not: %s", text)
		}
		return r.Workers[0].Healthy()
	})
	if after := open("planetlab3.tokyo.example"); day(after) != 10*time.Second {
		t.Errorf("a new issue counts days of %s", day(after))
	}
	if day(before) != 6*time.Second {
		t.Errorf("the open one counts days of %s now", day(before))
	}
}

// A visitor of the demo hangs a node on its page, Monitor finds that out, and the visitor mends it.
func (r *Rig) aVisitorBreaksANode(t *testing.T) {
	const host = "planetlab1.tokyo.example"
	page := r.Pages + "/nodes/" + host
	until := func(what string, seen func(body string) bool) {
		t.Helper()
		body := ""
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
			answer, err := http.Get(page)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			if body = string(text); seen(body) {
				return
			}
		}
		t.Fatalf("the page does not show %s:\n%s\n%s", what, body, r.tail("worker1.log"))
	}
	shows := func(text string) func(string) bool {
		return func(body string) bool { return strings.Contains(body, text) }
	}
	press := func(fault string) {
		t.Helper()
		answer, err := http.PostForm(page+"/testbed", url.Values{"fault": {fault}})
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("%q: %s", fault, answer.Status)
		}
	}
	until("a node that is well", shows("In truth it is well."))
	press("Hang it: only a human helps")
	if s := r.State(host); s != fakenode.Hung {
		t.Errorf("it is %s", s)
	}
	until("what is wrong", shows("In truth it is hung"))
	until("that Monitor sees it", shows("no ssh: timeout"))
	press("")
	until("that it is mended", shows("In truth it is well."))
	until("that Monitor sees that", func(body string) bool { return !strings.Contains(body, "no ssh: timeout") })
	if s := r.State(host); s != fakenode.Up {
		t.Errorf("it is %s", s)
	}
}
