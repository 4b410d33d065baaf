package activities

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/policy"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
)

// orders sets a site's level by hand.
func (b *bench) orders(login string, level int, until time.Time) {
	b.Helper()
	b.must(b.Store.SetControl(b.Context(), store.Control{Name: store.PenaltyControl(login), Value: strconv.Itoa(level),
		By: "alice", Reason: "misuse of their slices", Until: until}))
}

// rise asks for a step up of which people were told, for the operators' order.
func (b *bench) rise(login, key string, from int, told bool) sites.StepResult {
	b.Helper()
	in := sites.StepRequest{Site: login, Key: "site/" + login + "/run/" + key, From: from, To: from + 1, Reason: "ordered"}
	if told {
		in.Warned = &sites.Warning{Level: from + 1, At: time.Now().Add(-8 * 24 * time.Hour), NotBefore: time.Now().Add(-time.Hour),
			Issues: []string{sites.OrderID(login)}}
	}
	res, err := b.Penalties.MoveSite(b.Context(), in)
	b.must(err)
	return res
}

func TestPenaltyByHand(t *testing.T) {
	var world []testbed.Site
	for _, login := range []string{"huji", "oslo", "pisa", "quito"} {
		world = append(world, testbed.Site{Login: login, Nodes: 2})
	}
	b := newBench(t, world...)
	b.Policy.Budget.PenaltiesSite, b.Policy.Budget.PenaltiesFleet, b.Policy.PenaltyStep = 99, 99, 0
	ctx := b.Context()
	for _, s := range world {
		b.was("site", s.Login, policy.StatusGood, 30)
	}
	b.swept()

	t.Run("a good site rises after its people were told, and not before", func(t *testing.T) {
		b.orders("huji", 2, time.Time{})
		st := b.read("huji", "0", 0)
		if h, held := st.Holds[sites.OrderID("huji")]; !held || h.Level != 2 || st.Spared != nil || !st.Rise.Do {
			t.Errorf("it stands %+v", st)
		}
		if res := b.rise("huji", "1", 0, false); res.Outcome != sites.StepRefused || !strings.Contains(res.Reason, "told") {
			t.Errorf("untold it is %+v", res)
		}
		if res := b.rise("huji", "2", 0, true); res.Level != 1 || b.enabled("huji") {
			t.Errorf("level 1 is %+v", res)
		}
		b.must(b.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: store.OfSlice, Target: "huji_codeen", Reason: "a demo",
			Starts: time.Now().Add(-time.Hour)}))
		if res := b.rise("huji", "3", 1, true); res.Level != 2 || !slices.Equal(b.w.Suspended("huji"), []string{"huji_coral"}) {
			t.Errorf("level 2 is %+v, suspended %q", res, b.w.Suspended("huji"))
		}
		b.must(b.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: store.OfSlice, Target: "huji_coral", Reason: "a demo, too",
			Starts: time.Now().Add(-time.Hour)}))
		b.read("huji", "4", 2)
		if got := b.w.Suspended("huji"); len(got) != 0 {
			t.Errorf("exempt by now, and suspended are %q", got)
		}
	})
	t.Run("what holds for Monitor holds for the operator", func(t *testing.T) {
		b.orders("oslo", 1, time.Time{})
		b.must(b.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "site", Target: "oslo", Reason: "moved", Starts: time.Now().Add(-time.Hour)}))
		if res := b.rise("oslo", "1", 0, true); res.Outcome != sites.StepRefused || !strings.Contains(res.Reason, "moved") {
			t.Errorf("on the blacklist it is %+v", res)
		}
		b.must(b.Store.RemoveBlacklist(ctx, "site", "oslo"))
		b.must(b.Store.SetControl(ctx, store.Control{Name: store.ControlStop, Value: "stopped", Reason: "works"}))
		if res := b.rise("oslo", "2", 0, true); res.Outcome != sites.StepRefused || !strings.Contains(res.Reason, "stopped") {
			t.Errorf("while Monitor is stopped it is %+v", res)
		}
		b.must(b.Store.SetControl(ctx, store.Control{Name: store.ControlStop}))
	})
	t.Run("a lower level than the issues ask holds them down until it ends", func(t *testing.T) {
		b.ailing("pisa")
		b.step("pisa", "1", 0, 1)
		b.step("pisa", "2", 1, 2)
		b.orders("pisa", 0, time.Now().Add(time.Hour))
		st := b.read("pisa", "3", 2)
		if st.Spared == nil || st.Spared.Why != sites.SparedOrdered || st.Spared.Until.IsZero() || !strings.Contains(st.Spared.About, "alice") {
			t.Errorf("it stands %+v", st)
		}
		b.orders("pisa", 1, time.Now().Add(time.Hour))
		st = b.read("pisa", "4", 2)
		for id, h := range st.Holds {
			if h.Level > 1 {
				t.Errorf("%s holds level %d", id, h.Level)
			}
		}
		if res := b.step("pisa", "5", 1, 2); res.Outcome != sites.StepRefused {
			t.Errorf("above the order it is %+v", res)
		}
		b.orders("pisa", 0, time.Now().Add(-time.Second))
		if st = b.read("pisa", "6", 2); st.Spared != nil || st.Holds["nodedown/planetlab1.pisa.example"].Level != 2 {
			t.Errorf("after its end it stands %+v", st)
		}
	})
	t.Run("a lost workflow of an ordered site is started again", func(t *testing.T) {
		b.orders("quito", 1, time.Time{})
		b.tc.gone, b.tc.signals = []string{sites.ID("quito")}, nil
		b.reconcile()
		if !slices.Contains(b.tc.signals, sites.ID("quito")+" "+sites.SignalLook) {
			t.Errorf("signalled are %q", b.tc.signals)
		}
	})
}

// What people are told of an order says that persons have decided, and why; nothing of nodes that do not work.
func TestPenaltyByHand_PeopleReadWhoDecidedAndWhy(t *testing.T) {
	b := newBench(t)
	b.was("site", site, policy.StatusGood, 30)
	b.swept()
	b.orders(site, 1, time.Time{})
	ref := b.read(site, "0", 0).Holds[sites.OrderID(site)]
	in := sites.MailRequest{Site: site, Key: "site/huji/run/mail/0", Reaches: 2, Holds: []sites.Hold{ref}, Open: 1,
		Notices: []sites.Notice{{Kind: sites.Warn, Level: 1, Since: time.Now()}},
		Threat:  &sites.Threat{Level: 1, NotBefore: time.Now().AddDate(0, 0, 7), Issues: []string{ref.Ref.ID}},
		Coming:  []sites.Coming{{At: time.Now().AddDate(0, 0, 7), What: sites.ComesStep, Level: 1}}}
	res, err := b.People.WriteToSite(b.Context(), in)
	b.must(err)
	if res.Outcome != sites.MailSent || !res.Threatened {
		t.Fatalf("it is %+v", res)
	}
	mails := b.w.Mail.Messages()
	text := strings.Join(strings.Fields(mails[len(mails)-1].Body), " ")
	for _, says := range []string{"The operators of PlanetLab mean to limit", "misuse of their slices", "The operators decide when this ends"} {
		if !strings.Contains(text, says) {
			t.Errorf("%q is not in: %s", says, text)
		}
	}
	if strings.Contains(text, "Too few") {
		t.Errorf("it speaks of nodes: %s", text)
	}
}
