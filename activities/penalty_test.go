package activities

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/testbed/fakeplc"
)

// ailing makes a site ripe for a penalty: its two nodes hang, and have for long, and an issue holds level 2.
func (b *bench) ailing(login string) {
	b.Helper()
	for n := 1; n <= 2; n++ {
		host := fmt.Sprintf("planetlab%d.%s.example", n, login)
		b.must(b.w.Break(host, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Nobody}))
		b.was("node", host, policy.StatusDown, 12)
	}
	b.was("site", login, policy.StatusDown, 10)
	b.holds(login, 2)
	b.swept()
}

// swept ends a sweep that is believed.
func (b *bench) swept() {
	b.Helper()
	w, err := b.Store.StartSweep(b.Context(), fmt.Sprint("sweep/", time.Now().UnixNano()))
	b.must(err)
	w.Believed = true
	b.must(b.Store.EndSweep(b.Context(), w))
}

// turnedOff writes what an order to turn a node's outlet off leaves in the ledger.
func (b *bench) turnedOff(login, host string) {
	b.Helper()
	n, err := b.Store.Node(b.Context(), host)
	b.must(err)
	data, err := json.Marshal(outletData{feedsOf(n), request.Off})
	b.must(err)
	_, _, _, err = b.Store.Begin(b.Context(), store.Plan{Action: store.Action{Key: "off/" + host, Kind: store.KindOutlet,
		Issue: outletID("pcu", 1), Site: login, PCUID: n.PCUID, Reason: "ann turns it off", Data: data}})
	b.must(err)
	_, err = b.Store.Commit(b.Context(), "off/"+host)
	b.must(err)
	b.must(b.Store.Outcome(b.Context(), "off/"+host, store.Done, "off"))
}

// holds opens nodedown on a site's first node, which holds a level.
func (b *bench) holds(login string, level int) {
	b.Helper()
	host := "planetlab1." + login + ".example"
	ref := issue.Ref{ID: "nodedown/" + host, Run: "r", Type: issue.NodeDown, Node: host, Site: login}
	putIssue(b.T, b.url, store.Issue{ID: ref.ID, RunID: "r", Type: ref.Type, Target: host,
		Node: host, Site: login, Status: "open", Opened: time.Now()})
	b.must(b.Store.Take(b.Context(), HoldClaim(sites.HoldRequest{Key: "k", Ref: ref, Level: level})))
}

func (b *bench) enabled(login string) bool {
	return b.w.DB.Get("Sites", "login_base", login)["enabled"] == true
}

func (b *bench) tag(slice, name, value string) {
	b.w.DB.Add("SliceTags", fakeplc.Row{"slice_id": b.w.DB.Get("Slices", "name", slice)["slice_id"], "tagname": name,
		"value": value})
}

// step asks for a step of which people were told.
func (b *bench) step(login, key string, from, to int) sites.StepResult {
	b.Helper()
	res, err := b.Penalties.MoveSite(b.Context(), sites.StepRequest{Site: login, Key: "site/" + login + "/run/" + key,
		From: from, To: to, Reason: "held by nodedown/x",
		Warned: &sites.Warning{Level: to, At: time.Now().Add(-8 * 24 * time.Hour),
			NotBefore: time.Now().Add(-time.Hour), Issues: []string{"nodedown/planetlab1." + login + ".example"}}})
	b.must(err)
	return res
}

func (b *bench) read(login, key string, level int) sites.Standing {
	b.Helper()
	st, err := b.Penalties.ReadSite(b.Context(), sites.ReadRequest{Site: login, Key: "site/" + login + "/run/" + key,
		Level: level, Want: level})
	b.must(err)
	return st
}

// applied lists what is claimed of a site.
func (b *bench) applied(login string) []string {
	b.Helper()
	list, err := b.Penalties.appliedTo(b.Context(), login)
	b.must(err)
	var out []string
	for _, c := range list {
		out = append(out, string(c.Kind)+" "+c.Target)
	}
	slices.Sort(out)
	return out
}

// sql changes the store behind everybody's back.
func (b *bench) sql(text string) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), b.url)
	b.must(err)
	defer func() { _ = conn.Close(context.Background()) }()
	_, err = conn.Exec(b.Context(), text)
	b.must(err)
}

// SignalWithStartWorkflow notes who is asked to look.
func (f *fakeTemporal) SignalWithStartWorkflow(_ context.Context, id, name string, _ any, _ client.StartWorkflowOptions,
	_ any, _ ...any) (client.WorkflowRun, error) {
	f.signals = append(f.signals, id+" "+name)
	return nil, nil
}

func TestWhatIsAppliedIsClaimedAndUndone(t *testing.T) {
	var world []testbed.Site
	for _, login := range []string{"huji", "oslo", "pisa", "quito", "lisbon", "turin", "kyoto", "osaka"} {
		world = append(world, testbed.Site{Login: login, Nodes: 2})
	}
	b := newBench(t, world...)
	b.Policy.Budget.PenaltiesSite, b.Policy.Budget.PenaltiesFleet, b.Policy.PenaltyStep = 99, 99, 0
	for _, s := range world {
		b.ailing(s.Login)
	}

	t.Run("what was applied is undone, and what was so before stays so", func(t *testing.T) {
		b.tag("huji_coral", "enabled", "0") // somebody else's doing
		if res := b.step("huji", "1", 0, 1); res.Level != 1 || b.enabled("huji") || len(b.applied("huji")) != 1 {
			t.Errorf("level 1 is %+v, the site enabled %v, claimed %q", res, b.enabled("huji"), b.applied("huji"))
		}
		if res := b.step("huji", "2", 1, 2); res.Level != 2 || len(b.w.Suspended("huji")) != 2 ||
			!slices.Contains(b.applied("huji"), "slice suspended huji_codeen") || len(b.applied("huji")) != 2 {
			t.Errorf("level 2 is %+v, suspended %q, claimed %q", res, b.w.Suspended("huji"), b.applied("huji"))
		}
		if res := b.step("huji", "3", 2, 0); res.Level != 0 || !b.enabled("huji") ||
			!slices.Equal(b.w.Suspended("huji"), []string{"huji_coral"}) || len(b.applied("huji")) != 0 {
			t.Errorf("level 0 is %+v, the site enabled %v, suspended %q, claimed %q", res, b.enabled("huji"),
				b.w.Suspended("huji"), b.applied("huji"))
		}
		if again := b.step("huji", "3", 2, 0); again.Outcome != sites.StepDone {
			t.Errorf("a retry answers %+v", again)
		}
		s, err := b.Store.Site(b.Context(), "huji")
		if err != nil || s.PenaltyLevel != 0 {
			t.Errorf("the store says level %d, %v", s.PenaltyLevel, err)
		}
	})
	t.Run("a store that was restored from an older backup learns again what is denied", func(t *testing.T) {
		res := b.step("osaka", "1", 0, 1)
		b.sql("delete from claim where site = 'osaka' and kind = 'site disabled'")
		b.sql("delete from action where site = 'osaka'")
		b.sql("update site set penalty_level = 0 where login_base = 'osaka'")
		for n := range 2 { // the second finds it known
			st, err := b.Penalties.ReadSite(b.Context(), sites.ReadRequest{Site: "osaka", Key: fmt.Sprint("osaka/", n),
				Level: 1, Want: 1, Applied: []sites.Applied{*res.Applied}})
			if err != nil || st.Level != 1 || len(b.applied("osaka")) != 1 {
				t.Errorf("it stands at %+v, %v, claimed %q", st, err, b.applied("osaka"))
			}
		}
		said, err := b.Store.Actions(b.Context(), store.ActionFilter{Kind: store.KindReconcile, Site: "osaka"})
		if err != nil || len(said) != 1 || said[0].Outcome != store.Done {
			t.Errorf("the ledger says %+v, %v", said, err)
		}
		if res := b.step("osaka", "2", 1, 0); res.Level != 0 || !b.enabled("osaka") || len(b.applied("osaka")) != 0 {
			t.Errorf("level 0 is %+v, the site enabled %v, claimed %q", res, b.enabled("osaka"), b.applied("osaka"))
		}
	})
	t.Run("a step that was begun comes to its end by whoever comes next", func(t *testing.T) {
		ctx := b.Context()
		plan, err := b.Penalties.missingPenalty(ctx, "oslo", 0, 1)
		b.must(err)
		data, err := json.Marshal(plan)
		b.must(err)
		key := "site/oslo/run/1"
		_, _, _, err = b.Store.Begin(ctx,
			store.Plan{Action: store.Action{Key: key, Kind: store.KindPenalty, Site: "oslo", Issue: "site/oslo",
				Data: data}, Claims: plan.claims()})
		b.must(err)
		_, err = b.Store.Commit(ctx, key) // and then the worker died
		b.must(err)
		if st := b.read("oslo", "2", 0); st.Level != 1 || b.enabled("oslo") {
			t.Errorf("it stands at %+v, enabled %v", st, b.enabled("oslo"))
		}
		if res := b.step("oslo", "1", 0, 1); res.Outcome != sites.StepDone || res.Level != 1 {
			t.Errorf("and the retry answers %+v", res)
		}
		if b.step("oslo", "3", 1, 0); !b.enabled("oslo") {
			t.Error("the site is not enabled again")
		}
	})
	begun := func(login, key string, from, to int) store.Action {
		t.Helper()
		plan, err := b.Penalties.missingPenalty(b.Context(), login, from, to)
		b.must(err)
		data, err := json.Marshal(plan)
		b.must(err)
		key = "site/" + login + "/run/" + key
		_, _, _, err = b.Store.Begin(b.Context(),
			store.Plan{Action: store.Action{Key: key, Kind: store.KindPenalty, Site: login, Issue: "site/" + login,
				Data: data}, Claims: plan.claims()})
		b.must(err)
		_, err = b.Store.Commit(b.Context(), key)
		b.must(err)
		action, err := b.Store.Action(b.Context(), key)
		b.must(err)
		return action
	}
	t.Run("a step that was begun is undone where nobody means to deny it any more", func(t *testing.T) {
		ctx := b.Context()
		for _, read := range []bool{true, false} {
			key := fmt.Sprint("resumed ", read)
			begun("turin", key, 0, 1)
			b.must(b.Penalties.Inventory.SetSiteEnabled(ctx, plc.SiteRef{LoginBase: "turin"}, false)) // and then its worker died
			b.must(b.Store.SetControl(ctx, store.Control{Name: store.ControlStop, Value: "stopped", Reason: "a fire"}))
			if read {
				if st := b.read("turin", key+"/read", 0); st.Level != 0 {
					t.Errorf("it stands at %+v", st)
				}
			} else if res := b.step("turin", key, 0, 1); res.Outcome != sites.StepRefused || res.Level != 0 ||
				!strings.Contains(res.Reason, "stopped: a fire") {
				t.Errorf("the retry answers %+v", res)
			}
			if !b.enabled("turin") || len(b.applied("turin")) > 0 {
				t.Errorf("the site is enabled %v, claimed %q", b.enabled("turin"), b.applied("turin"))
			}
			b.must(b.Store.SetControl(ctx, store.Control{Name: store.ControlStop}))
		}
	})
	t.Run("a try that was held up until its step was undone leaves nothing behind", func(t *testing.T) {
		action := begun("turin", "held up", 0, 1)
		if res := b.step("turin", "held up", 0, 1); res.Level != 1 { // another try brings it to its end
			t.Errorf("the retry answers %+v", res)
		}
		if res := b.step("turin", "down", 1, 0); res.Level != 0 || !b.enabled("turin") {
			t.Errorf("level 0 is %+v", res)
		}
		res, err := b.Penalties.carryOut(b.Context(), "turin", action)
		if err != nil || res.Outcome != sites.StepRefused || !b.enabled("turin") {
			t.Errorf("the late one answers %+v, %v, and the site is enabled %v", res, err, b.enabled("turin"))
		}
		s, err := b.Store.Site(b.Context(), "turin")
		if err != nil || s.PenaltyLevel != 0 {
			t.Errorf("the store says level %d, %v", s.PenaltyLevel, err)
		}
	})
	t.Run("a step that was never begun leaves nothing claimed", func(t *testing.T) {
		ctx := b.Context()
		plan, err := b.Penalties.missingPenalty(ctx, "kyoto", 0, 1)
		b.must(err)
		data, err := json.Marshal(plan)
		b.must(err)
		key := "site/kyoto/run/1"
		_, _, _, err = b.Store.Begin(ctx,
			store.Plan{Action: store.Action{Key: key, Kind: store.KindPenalty, Site: "kyoto", Issue: "site/kyoto",
				Data: data}, Claims: plan.claims()})
		b.must(err)
		if st := b.read("kyoto", "2", 0); st.Level != 0 || len(b.applied("kyoto")) != 0 || !b.enabled("kyoto") {
			t.Errorf("it stands at %+v, claimed %q", st, b.applied("kyoto"))
		}
		if mine, err := b.Store.Commit(ctx, key); err != nil || mine {
			t.Errorf("the worker that was thought dead may still go on: %v, %v", mine, err)
		}
	})
	t.Run("a site that was disabled before Monitor came stays so", func(t *testing.T) {
		b.must(b.Power.Inventory.SetSiteEnabled(b.Context(), plc.SiteRef{LoginBase: "pisa"}, false))
		if res := b.step("pisa", "1", 0, 1); res.Level != 1 || len(b.applied("pisa")) != 0 {
			t.Errorf("it is claimed: %+v, %q", res, b.applied("pisa"))
		}
		if b.step("pisa", "2", 1, 0); b.enabled("pisa") {
			t.Error("somebody else's decision is undone")
		}
	})
	t.Run("an exempt slice is not suspended, and one that becomes exempt runs again", func(t *testing.T) {
		b.tag("quito_coral", "exempt_slice_until", time.Now().AddDate(0, 1, 0).Format("20060102"))
		b.step("quito", "1", 0, 1)
		b.step("quito", "2", 1, 2)
		if got := b.w.Suspended("quito"); !slices.Equal(got, []string{"quito_codeen"}) {
			t.Errorf("suspended are %q", got)
		}
		b.tag("quito_codeen", "exempt_slice_until", time.Now().AddDate(0, 1, 0).Format("20060102"))
		if st := b.read("quito", "3", 2); len(b.w.Suspended("quito")) > 0 || st.Level != 2 ||
			slices.Contains(b.applied("quito"), "slice suspended quito_codeen") {
			t.Errorf("suspended are %q, claimed %q, and it answers %+v", b.w.Suspended("quito"), b.applied("quito"), st)
		}
	})
	t.Run("what is lifted by hand is applied again and said, once for each time", func(t *testing.T) {
		b.step("lisbon", "1", 0, 1)
		b.step("lisbon", "2", 1, 2)
		if st := b.read("lisbon", "3", 2); st.Reason != "" || st.Level != 2 || len(b.subjects()) != 0 {
			t.Errorf("all is as it should be, and it says %+v, mail %q", st, b.subjects())
		}
		b.must(b.Power.Inventory.SetSiteEnabled(b.Context(), plc.SiteRef{LoginBase: "lisbon"}, true))
		_, err := b.Power.Inventory.RestoreSlices(b.Context(), plc.SiteRef{LoginBase: "lisbon"}, []string{"lisbon_coral"})
		b.must(err)
		ofType := store.Control{Name: store.ControlOf(store.ControlMode, store.PartType, issue.NodeDown), Value: "observe"}
		b.must(b.Store.SetControl(b.Context(), ofType))
		if b.read("lisbon", "looked", 2); !b.enabled("lisbon") {
			t.Error("it is applied again for a type that is only looked at")
		}
		ofType.Value = ""
		b.must(b.Store.SetControl(b.Context(), ofType))
		b.w.Mail.Refuse("noc@plc.example", 451, "try later")
		for range 2 { // and a retry
			b.read("lisbon", "4", 2)
		}
		b.Policy.GroupWait = 0
		if err := b.Sweep.post.digest(b.Context()); err == nil {
			t.Error("the mail server is away, and nobody says so")
		}
		b.w.Mail.Accept("noc@plc.example")
		b.digested()
		if b.enabled("lisbon") || len(b.w.Suspended("lisbon")) != 2 {
			t.Errorf("enabled %v, suspended %q", b.enabled("lisbon"), b.w.Suspended("lisbon"))
		}
		if got := b.subjects(); len(got) != 1 || got[0] != "[lisbon] a penalty lifted by hand is in force again" {
			t.Errorf("the admins got %q", got)
		}
	})
	t.Run("a death after it was applied again keeps nobody from hearing of it", func(t *testing.T) {
		key := "site/lisbon/run/died"
		_, _, err := b.Store.Intent(b.Context(), store.Action{Key: key, Kind: store.KindReconcile, Site: "lisbon",
			Issue: "site/lisbon", Reason: "somebody lifted it"})
		b.must(err)
		_, err = b.Store.Commit(b.Context(), key) // and then the worker died
		b.must(err)
		for range 2 {
			_, err := b.Penalties.applyAgain(b.Context(), sites.ReadRequest{Site: "lisbon", Key: key}, move{})
			b.must(err)
		}
		if a, err := b.Store.Action(b.Context(), key+"/repaired"); err != nil || a.Reason != "somebody lifted it" {
			t.Errorf("the ledger has %+v, %v", a, err)
		}
	})
	t.Run("a site that PLC has renamed is given back what was taken", func(t *testing.T) {
		b.step("turin", "1", 0, 1)
		b.step("turin", "2", 1, 2)
		b.w.DB.Rename("Sites", b.w.DB.Get("Sites", "login_base", "turin")["site_id"].(int), "torino")
		b.sql(`delete from site where login_base = 'turin'`)
		st := b.read("turin", "3", 2)
		if st.Spared == nil || st.Spared.Why != sites.SparedGone || st.Level != 2 {
			t.Errorf("it stands at %+v", st)
		}
		if res := b.step("turin", "4", 2, 0); res.Outcome != sites.StepDone ||
			b.w.DB.Get("Sites", "login_base", "torino")["enabled"] != true || len(b.applied("turin")) != 0 {
			t.Errorf("it answers %+v; claimed %q", res, b.applied("turin"))
		}
	})
}

func TestAStepUpPassesTheGateOnWhatIsTrueNow(t *testing.T) {
	b := newBench(t, testbed.Site{Login: "huji", Nodes: 2})
	b.ailing("huji")
	ctx, ofType := b.Context(), store.ControlOf(store.ControlMode, store.PartType, issue.NodeDown)
	n := 0
	refused := func(says string) {
		t.Helper()
		n++
		res := b.step("huji", fmt.Sprint("refused/", n), 0, 1)
		if res.Outcome != sites.StepRefused || res.Level != 0 || !b.enabled("huji") ||
			!strings.Contains(res.Reason, says) || len(b.applied("huji")) != 0 {
			t.Errorf("it answers %+v, enabled %v, claimed %q; want %q", res, b.enabled("huji"), b.applied("huji"), says)
		}
	}
	for name, c := range map[string]struct {
		set, back func()
		says      string
	}{
		"observe mode": {func() { b.Mode = notify.ModeObserve }, func() { b.Mode = "" }, "observe mode"},
		"test mail":    {func() { b.Mode = notify.ModeTest }, func() { b.Mode = "" }, "test address"},
		"the order of an operator": {func() {
			b.must(b.Store.SetControl(ctx, store.Control{Name: store.ControlStop, Value: "stopped", By: "ann",
				Reason: "move"}))
		}, func() { b.must(b.Store.SetControl(ctx, store.Control{Name: store.ControlStop})) }, "Monitor is stopped"},
		"the mode that was ordered": {func() {
			b.must(b.Store.SetControl(ctx, store.Control{Name: store.ControlMode, Value: "observe"}))
		}, func() { b.must(b.Store.SetControl(ctx, store.Control{Name: store.ControlMode})) }, "observe mode"},
		"the mode that was ordered for the type of what holds it": {func() {
			b.must(b.Store.SetControl(ctx, store.Control{Name: ofType, Value: "observe", By: "ann"}))
		}, func() { b.must(b.Store.SetControl(ctx, store.Control{Name: ofType})) }, "observe mode: type/nodedown"},
		"the blacklist": {func() {
			b.must(b.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "site", Target: "huji", Reason: "new room"}))
		}, func() { b.must(b.Store.RemoveBlacklist(ctx, "site", "huji")) }, "new room"},
		"a site that is good again": {func() {
			b.was("site", "huji", policy.StatusGood, 1)
		}, func() { b.was("site", "huji", policy.StatusDown, 10) }, "good again"},
		"enough nodes": {func() {
			b.was("node", "planetlab1.huji.example", policy.StatusGood, 1)
			b.was("node", "planetlab2.huji.example", policy.StatusGood, 1)
		}, func() {
			b.was("node", "planetlab1.huji.example", policy.StatusDown, 12)
			b.was("node", "planetlab2.huji.example", policy.StatusDown, 12)
		}, "are enough"},
		"a hold that was let go": {func() {
			b.holds("huji", 0)
		}, func() { b.holds("huji", 2) }, "no open issue holds level 1"},
		"a person who turned the node off": {func() { b.turnedOff("huji", "planetlab1.huji.example") }, func() {
			b.sql("delete from action where kind = 'outlet'")
		}, "ann turns it off"},
		"a person who turned the other node off, with this one up": {func() {
			b.turnedOff("huji", "planetlab2.huji.example")
			b.was("node", "planetlab1.huji.example", policy.StatusGood, 1)
		}, func() {
			b.sql("delete from action where kind = 'outlet'")
			b.was("node", "planetlab1.huji.example", policy.StatusDown, 12)
		}, "are enough"},
		"nodes that are back by now": {func() {
			b.must(b.w.Heal("planetlab1.huji.example"))
			b.must(b.w.Heal("planetlab2.huji.example"))
		}, func() { b.ailing("huji") }, "back since the last sweep"},
	} {
		t.Run(name+" forbids it", func(t *testing.T) {
			c.set()
			refused(c.says)
			c.back()
		})
	}
	t.Run("nobody was told", func(t *testing.T) {
		for says, w := range map[string]*sites.Warning{
			"nobody at the site has been told": nil,
			"not before": {Level: 1, At: time.Now(), NotBefore: time.Now().Add(time.Hour),
				Issues: []string{"nodedown/planetlab1.huji.example"}},
			"has been told of it yet": {Level: 1, At: time.Now(), Issues: []string{"nodedown/of.another"}},
		} {
			res, err := b.Penalties.MoveSite(ctx,
				sites.StepRequest{Site: "huji", Key: "told/" + says, To: 1, Warned: w})
			if err != nil || res.Outcome != sites.StepRefused || !strings.Contains(res.Reason, says) ||
				!b.enabled("huji") {
				t.Errorf("%+v answers %+v, %v", w, res, err)
			}
		}
	})
	t.Run("a cancelled step does nothing", func(t *testing.T) {
		stopped, cancel := context.WithCancel(ctx)
		cancel()
		if b.Boot.workflows.ordered(stopped) == "" {
			t.Error("a cancelled activity goes on")
		}
	})
	t.Run("with all that it needs it is taken", func(t *testing.T) {
		if res := b.step("huji", "taken", 0, 1); res.Outcome != sites.StepDone || b.enabled("huji") {
			t.Errorf("it answers %+v", res)
		}
	})
}

func TestHoldsAreReadFromClaims(t *testing.T) {
	b := newBench(t, testbed.Site{Login: "huji", Nodes: 2}, testbed.Site{Login: "oslo", Nodes: 2})
	ctx := b.Context()
	b.ailing("huji")
	id := "nodedown/planetlab1.huji.example"
	if st := b.read("huji", "1", 0); st.Holds[id].Level != 2 || st.Holds[id].Ref.Node == "" || !st.Rise.Do ||
		st.Spared != nil || st.Times.Day != 24*time.Hour {
		t.Errorf("it stands at %+v", st)
	}

	t.Run("a PCU that feeds no node holds nothing", func(t *testing.T) {
		p, err := b.Store.PCUByName(ctx, pcu)
		b.must(err)
		hold := func(id int) {
			putIssue(b.T, b.url, store.Issue{ID: "pcudown/" + pcu, RunID: "r", Type: issue.PCUDown,
				Target: pcu, Site: "huji", PCUID: id, Status: "open", Opened: time.Now()})
			b.must(b.Store.Take(ctx, HoldClaim(sites.HoldRequest{Key: "p",
				Ref: issue.Ref{ID: "pcudown/" + pcu, Run: "r", Site: "huji"}, Level: 2})))
		}
		hold(p.PCUID)
		if st := b.read("huji", "2", 0); st.Holds["pcudown/"+pcu].Level != 2 {
			t.Errorf("one that feeds nodes: %+v", st.Holds)
		}
		hold(99)
		if st := b.read("huji", "3", 0); st.Holds["pcudown/"+pcu].Level != 0 {
			t.Errorf("one that feeds none: %+v", st.Holds)
		}
	})
	t.Run("a node that moved takes its hold along", func(t *testing.T) {
		b.sql(`update node set site = 'oslo' where hostname = 'planetlab1.huji.example'`)
		if st := b.read("huji", "4", 0); st.Holds[id].Level != 0 {
			t.Errorf("its old site: %+v", st.Holds)
		}
		if st := b.read("oslo", "1", 0); st.Holds[id].Level != 2 || !slices.Contains(b.tc.signals, "site/oslo look") {
			t.Errorf("its new site: %+v, signals %q", st.Holds, b.tc.signals)
		}
	})
	t.Run("a closed issue holds nothing", func(t *testing.T) {
		b.closed(id)
		if st := b.read("oslo", "2", 0); len(st.Holds) != 0 {
			t.Errorf("it stands at %+v", st.Holds)
		}
		if list, err := b.Store.Claims(ctx, store.ClaimFilter{Issue: id}); err != nil || len(list) != 0 {
			t.Errorf("claims %+v, %v", list, err)
		}
	})
}
