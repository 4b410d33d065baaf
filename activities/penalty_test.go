package activities

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/plcapi"
	"github.com/planetlab/monitor/testbed/simnode"
)

// ailing makes a site ripe for a penalty: its two nodes hang, and have for long.
func (b *bench) ailing(login string) {
	b.Helper()
	for n := 1; n <= 2; n++ {
		host := fmt.Sprintf("planetlab%d.%s.example", n, login)
		b.must(b.w.Break(host, testbed.Ailment{State: simnode.Hung, Healer: testbed.Nobody}))
		b.was("node", host, policy.StatusDown, 12)
	}
	b.was("site", login, policy.StatusDown, 10)
}

func (b *bench) enabled(login string) bool {
	return b.w.DB.Get("Sites", "login_base", login)["enabled"] == true
}

func (b *bench) tag(slice, name, value string) {
	b.w.DB.Add("SliceTags", plcapi.Row{"slice_id": b.w.DB.Get("Slices", "name", slice)["slice_id"], "tagname": name, "value": value})
}

func (b *bench) set(login, key string, from, to int, applied Applied) PenaltyResult {
	b.Helper()
	res, err := b.SetPenalty(b.Context(), PenaltyInput{Site: login, Key: "site/" + login + "/run/" + key, From: from, To: to, Applied: applied, Reason: "held by nodedown/x"})
	b.must(err)
	return res
}

func (b *bench) check(login, key string, level int, applied Applied) PenaltyResult {
	b.Helper()
	res, err := b.CheckPenalty(b.Context(), PenaltyInput{Site: login, Key: "site/" + login + "/run/" + key, From: level, To: level, Applied: applied, Reason: "held by nodedown/x"})
	b.must(err)
	return res
}

func TestPenaltiesAreASaga(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Postgres and a small world")
	}
	var sites []testbed.Site
	for _, login := range []string{"huji", "oslo", "pisa", "quito", "lisbon", "turin"} {
		sites = append(sites, testbed.Site{Login: login, Nodes: 2})
	}
	b := newBench(t, sites...)
	b.Policy.Budget.PenaltiesSite, b.Policy.Budget.PenaltiesFleet, b.Policy.PenaltyStep = 9, 99, 0
	for _, s := range sites {
		b.ailing(s.Login)
	}

	t.Run("what was applied is undone, and what was so before stays so", func(t *testing.T) {
		b.tag("huji_coral", "enabled", "0") // somebody else's doing
		one := b.set("huji", "1", 0, 1, Applied{})
		if one.Level != 1 || !one.Applied.Disabled || b.enabled("huji") {
			t.Errorf("level 1 is %+v, the site enabled %v", one, b.enabled("huji"))
		}
		two := b.set("huji", "2", 1, 2, one.Applied)
		if two.Level != 2 || !slices.Equal(two.Applied.Slices, []string{"huji_codeen"}) || len(b.w.Suspended("huji")) != 2 {
			t.Errorf("level 2 is %+v, suspended %q", two, b.w.Suspended("huji"))
		}
		none := b.set("huji", "3", 2, 0, two.Applied)
		if none.Level != 0 || !none.Applied.empty() || !b.enabled("huji") || !slices.Equal(b.w.Suspended("huji"), []string{"huji_coral"}) {
			t.Errorf("level 0 is %+v, the site enabled %v, suspended %q", none, b.enabled("huji"), b.w.Suspended("huji"))
		}
		s, err := b.Store.Site(b.Context(), "huji")
		if err != nil || s.PenaltyLevel != 0 {
			t.Errorf("the store says level %d, %v", s.PenaltyLevel, err)
		}
	})
	t.Run("a retry claims what the first try had changed", func(t *testing.T) {
		plan := store.Action{Key: "site/oslo/run/1/plan", Kind: "plan", Site: "oslo", Reason: `{"disabled":true}`}
		if _, _, err := b.Store.Intent(b.Context(), plan); err != nil {
			t.Fatal(err)
		}
		if err := b.PLC.SetSiteEnabled(b.Context(), plc.SiteRef{LoginBase: "oslo"}, false); err != nil { // and then the worker died
			t.Fatal(err)
		}
		if res := b.set("oslo", "1", 0, 1, Applied{}); !res.Applied.Disabled {
			t.Errorf("the retry answers %+v: nobody would enable the site again", res)
		}
	})
	t.Run("a site that was disabled before Monitor came stays so", func(t *testing.T) {
		if err := b.PLC.SetSiteEnabled(b.Context(), plc.SiteRef{LoginBase: "pisa"}, false); err != nil {
			t.Fatal(err)
		}
		res := b.set("pisa", "1", 0, 1, Applied{})
		if res.Applied.Disabled || res.Level != 1 {
			t.Errorf("it is claimed: %+v", res)
		}
		if b.set("pisa", "2", 1, 0, res.Applied); b.enabled("pisa") {
			t.Error("somebody else's decision is undone")
		}
	})
	t.Run("an exempt slice is not suspended", func(t *testing.T) {
		b.tag("quito_coral", "exempt_slice_until", time.Now().AddDate(0, 1, 0).Format("20060102"))
		one := b.set("quito", "1", 0, 1, Applied{})
		b.set("quito", "2", 1, 2, one.Applied)
		if got := b.w.Suspended("quito"); !slices.Equal(got, []string{"quito_codeen"}) {
			t.Errorf("suspended are %q", got)
		}
		b.tag("quito_codeen", "exempt_slice_until", time.Now().AddDate(0, 1, 0).Format("20060102")) // and one that becomes so runs again
		if res := b.check("quito", "3", 2, Applied{Disabled: true, Slices: []string{"quito_codeen"}}); len(b.w.Suspended("quito")) > 0 || len(res.Applied.Slices) > 0 || res.Level != 2 {
			t.Errorf("suspended are %q, and it answers %+v", b.w.Suspended("quito"), res)
		}
	})
	t.Run("what is lifted by hand is applied again and said, once for each time", func(t *testing.T) {
		one := b.set("lisbon", "1", 0, 1, Applied{})
		two := b.set("lisbon", "2", 1, 2, one.Applied)
		if res := b.check("lisbon", "3", 2, two.Applied); res.Reason != "" || res.Level != 2 || len(b.subjects()) != 0 {
			t.Errorf("all is as it should be, and it says %+v, mail %q", res, b.subjects())
		}
		if err := b.PLC.SetSiteEnabled(b.Context(), plc.SiteRef{LoginBase: "lisbon"}, true); err != nil {
			t.Fatal(err)
		}
		if err := slicesDone(b.PLC.RestoreSlices(b.Context(), plc.SiteRef{LoginBase: "lisbon"}, []string{"lisbon_coral"})); err != nil {
			t.Fatal(err)
		}
		for range 2 { // and a retry
			res := b.check("lisbon", "4", 2, two.Applied)
			if !strings.Contains(res.Reason, "lifted by hand") || !strings.Contains(res.Reason, "lisbon_coral") || res.Level != 2 {
				t.Errorf("it says %+v", res)
			}
		}
		if b.enabled("lisbon") || len(b.w.Suspended("lisbon")) != 2 {
			t.Errorf("enabled %v, suspended %q", b.enabled("lisbon"), b.w.Suspended("lisbon"))
		}
		if got := b.subjects(); len(got) != 1 || !strings.Contains(got[0], "lisbon") {
			t.Errorf("the admins got %q", got)
		}
		if got := b.ledger("site/lisbon"); !slices.Contains(got, "repair done") {
			t.Errorf("the ledger says %q", got)
		}
	})
	t.Run("never for an exempt site, and one that becomes exempt is let go", func(t *testing.T) {
		one := b.set("turin", "1", 0, 1, Applied{})
		b.w.Exempt("turin", time.Now().AddDate(0, 1, 0))
		b.sync()
		res := b.check("turin", "2", 1, one.Applied)
		if res.Level != 0 || !b.enabled("turin") || res.Until.IsZero() || !strings.Contains(res.Reason, "exempt") {
			t.Errorf("it answers %+v, enabled %v", res, b.enabled("turin"))
		}
		if res := b.set("turin", "3", 0, 1, res.Applied); res.Level != 0 || !b.enabled("turin") || !strings.Contains(res.Reason, "exempt") {
			t.Errorf("it is penalised: %+v", res)
		}
	})
	t.Run("a site with enough nodes is not penalised", func(t *testing.T) {
		b.was("node", "planetlab1.huji.example", policy.StatusGood, 1)
		b.was("node", "planetlab2.huji.example", policy.StatusOnline, 0)
		if res := b.set("huji", "4", 0, 1, Applied{}); res.Level != 0 || !b.enabled("huji") {
			t.Errorf("it is: %+v", res)
		}
	})
}

func TestAStepUpIsDecidedOnWhatIsTrueNow(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Postgres and a small world")
	}
	b := newBench(t, testbed.Site{Login: "huji", Nodes: 2}, testbed.Site{Login: "oslo", Nodes: 2}, testbed.Site{Login: "pisa", Nodes: 2})
	for _, login := range []string{"huji", "oslo", "pisa"} {
		b.ailing(login)
	}

	t.Run("a step that was begun comes to its end, whatever has changed, and is undone one day", func(t *testing.T) {
		// A worker wrote down that it would, changed PLC, and died. Its own step fills the site's budget.
		_, _, err := b.Store.Intent(b.Context(), store.Action{Key: "site/oslo/run/1", Kind: "penalty", Issue: "site/oslo", Site: "oslo", Reason: "level 0 to 1"})
		b.must(err)
		_, _, err = b.Store.Intent(b.Context(), store.Action{Key: "site/oslo/run/1/plan", Kind: "plan", Site: "oslo", Reason: `{"disabled":true}`})
		b.must(err)
		b.must(b.PLC.SetSiteEnabled(b.Context(), plc.SiteRef{LoginBase: "oslo"}, false))
		one := b.set("oslo", "1", 0, 1, Applied{})
		if one.Level != 1 || !one.Applied.Disabled {
			t.Errorf("it answers %+v: nobody would enable the site again", one)
		}
		if again := b.set("oslo", "1", 0, 1, Applied{}); again.Level != 1 || !again.Applied.Disabled {
			t.Errorf("once more it answers %+v", again)
		}
		if b.set("oslo", "2", 1, 0, one.Applied); !b.enabled("oslo") {
			t.Error("the site is not enabled again")
		}
	})
	t.Run("a site that began anew is not raised again within the time between two steps", func(t *testing.T) {
		b.Policy.Budget.PenaltiesSite = 9
		if res := b.set("oslo", "new/1", 0, 1, Applied{}); res.Level != 0 || !strings.Contains(res.Reason, "the last step was less than 7 d ago") || res.Until.Before(time.Now().AddDate(0, 0, 6)) {
			t.Errorf("it answers %+v", res)
		}
	})
	t.Run("nodes that came back since the last sweep count", func(t *testing.T) {
		b.must(b.w.Heal("planetlab1.huji.example"))
		b.must(b.w.Heal("planetlab2.huji.example"))
		res := b.set("huji", "1", 0, 1, Applied{})
		if res.Level != 0 || !b.enabled("huji") || res.Reason != "2 nodes are up and 2 are enough; back since the last sweep: planetlab1.huji.example, planetlab2.huji.example" {
			t.Errorf("it answers %+v", res)
		}
	})
	t.Run("a step that was refused once may be taken by a retry", func(t *testing.T) {
		b.must(b.Store.AddBlacklist(b.Context(), store.BlacklistEntry{Kind: "site", Target: "pisa", Reason: "move"}))
		if res := b.set("pisa", "1", 0, 1, Applied{}); res.Level != 0 {
			t.Errorf("it answers %+v", res)
		}
		b.must(b.Store.RemoveBlacklist(b.Context(), "site", "pisa"))
		if res := b.set("pisa", "1", 0, 1, Applied{}); res.Level != 1 || b.enabled("pisa") {
			t.Errorf("it answers %+v", res)
		}
		b.wantLedger("site/pisa", "skip skipped", "penalty done", "plan done")
	})
}
