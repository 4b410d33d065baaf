package activities

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	sitepkg "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
)

// looks writes into the store what a sweep would have seen of every node and PCU: silent ones, and those that run.
func (b *bench) looks(silent func(host string) bool) Plan {
	b.Helper()
	sweep, err := b.Store.StartSweep(b.Context(), fmt.Sprintf("sweep/%d", time.Now().UnixNano()))
	b.must(err)
	nodes, err := b.Store.Nodes(b.Context(), 0, 1000)
	b.must(err)
	var looks []store.NodeLook
	for _, n := range nodes {
		l := store.NodeLook{Host: n.Hostname, At: time.Now(), State: policy.StateBoot, Category: policy.CategoryProd, Reason: "boot", Detail: []byte(`{}`)}
		if silent(n.Hostname) {
			l.State, l.Category, l.Reason, l.Silent = policy.StateDown, policy.CategoryError, "no ssh: timeout", true
		}
		looks = append(looks, l)
	}
	b.must(b.Store.SaveNodeLooks(b.Context(), looks))
	b.must(b.Store.SaveSeen(b.Context(), store.Seen{Kind: "node", Upto: 1 << 30, At: time.Now()}))
	pcus, err := b.Store.PCUs(b.Context(), 0, 1000)
	b.must(err)
	var tests []store.PCULook
	for _, p := range pcus {
		tests = append(tests, store.PCULook{PCUID: p.PCUID, At: time.Now(), OK: !silent(p.Name), Reason: "as the test has it"})
	}
	b.must(b.Store.SavePCULooks(b.Context(), tests))
	b.must(b.Store.SaveSeen(b.Context(), store.Seen{Kind: "pcu", Upto: 1 << 30, At: time.Now()}))
	return Plan{Sweep: sweep.ID, Started: sweep.Started, PLC: PLCAnswers}
}

func (b *bench) judge(silent func(host string) bool) SweepResult {
	b.Helper()
	res, err := b.Judge(b.Context(), b.looks(silent))
	b.must(err)
	return res
}

func at(sites ...string) func(string) bool {
	return func(host string) bool {
		return slices.ContainsFunc(sites, func(s string) bool { return strings.HasSuffix(host, "."+s+".example") })
	}
}

func TestASweepJudgesTheFleet(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Postgres and a small world")
	}
	sites := []testbed.Site{{Login: "chennai", Nodes: 40}, {Login: "huji", Nodes: 4}, {Login: "oslo", Nodes: 4}, {Login: "quito", Nodes: 4}, {Login: "uba", Nodes: 4, NoPCU: true}}
	b := newBench(t, sites...)
	ctx := b.Context()
	all := func(login string, n int, status policy.Status, days float64) {
		for i := 1; i <= n; i++ {
			b.was("node", fmt.Sprintf("planetlab%d.%s.example", i, login), status, days)
		}
	}
	for _, s := range sites {
		all(s.Login, s.Nodes, policy.StatusGood, 30)
	}
	status := func(host string) policy.Status {
		n, err := b.Store.Node(ctx, host)
		b.must(err)
		return n.Record.Status
	}

	t.Run("an observer that sees every site dark believes nothing, and says so once", func(t *testing.T) {
		for range 2 {
			res := b.judge(func(string) bool { return true })
			if res.Held == "" || res.Opened > 0 || status("planetlab1.chennai.example") != policy.StatusGood {
				t.Errorf("held %q, opened %d, and the node is %s", res.Held, res.Opened, status("planetlab1.chennai.example"))
			}
		}
		if got := b.subjects(); len(got) != 1 || !strings.Contains(got[0], "holds everything back") {
			t.Errorf("the admins got %q", got)
		}
	})

	t.Run("a power cut at one large site is believed", func(t *testing.T) {
		res := b.judge(at("chennai"))
		if res.Held != "" || status("planetlab1.chennai.example") != policy.StatusOffline || res.Opened != 0 {
			t.Errorf("held %q, opened %d, and the node is %s", res.Held, res.Opened, status("planetlab1.chennai.example"))
		}
	})
	t.Run("it opens one story, not forty, and none for its PCU", func(t *testing.T) {
		all("chennai", 40, policy.StatusDown, 2.5)
		b.was("pcu", "1001", policy.StatusDown, 2.5)
		b.judge(at("chennai"))
		if len(b.tc.started) != 1 || !strings.HasPrefix(b.tc.started[0], "sitedown/chennai none of its 40 nodes answers for 2.5 d") {
			t.Errorf("started %q", b.tc.started)
		}
	})
	t.Run("it stays one story while that is open", func(t *testing.T) {
		b.tc.started = nil
		b.open("sitedown/chennai", issue.SiteDown, "")
		b.judge(func(host string) bool { return at("chennai")(host) && host != "planetlab7.chennai.example" })
		if len(b.tc.started) > 0 || !slices.Equal(b.tc.signals, []string{"sitedown/chennai cleared"}) {
			t.Errorf("started %q, told %q", b.tc.started, b.tc.signals)
		}
	})
	t.Run("nodes that stay silent get issues of their own when it is closed", func(t *testing.T) {
		b.closed("sitedown/chennai")
		b.judge(func(host string) bool {
			return host == "planetlab1.chennai.example" || host == "planetlab2.chennai.example"
		})
		if len(b.tc.started) != 2 || !strings.HasPrefix(b.tc.started[0], "nodedown/planetlab1.chennai.example") {
			t.Errorf("started %q", b.tc.started)
		}
		b.tc.started = nil
	})
	t.Run("what is exempt is not opened, and the ledger says why, once a day", func(t *testing.T) {
		b.must(b.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "node", Target: "planetlab1.oslo.example", Reason: "new board"}))
		b.was("node", "planetlab1.oslo.example", policy.StatusDown, 5)
		for range 2 {
			b.judge(func(host string) bool { return host == "planetlab1.oslo.example" })
		}
		b.wantLedger("nodedown/planetlab1.oslo.example", "skip skipped")
		if len(b.tc.started) > 0 {
			t.Errorf("started %q", b.tc.started)
		}
	})
	t.Run("a node without a PCU is missed as well as its PCU", func(t *testing.T) {
		b.was("node", "planetlab1.uba.example", policy.StatusDown, 5)
		b.judge(func(host string) bool { return host == "planetlab1.uba.example" })
		if len(b.tc.started) != 2 || !strings.HasPrefix(b.tc.started[0], "nodedown/") || !strings.HasPrefix(b.tc.started[1], "pcumissing/planetlab1.uba.example") {
			t.Errorf("started %q", b.tc.started)
		}
		b.tc.started = nil
	})
	t.Run("an issue whose workflow was terminated is opened again while there is reason to, and ends in the store when there is none", func(t *testing.T) {
		id := "nodedown/planetlab3.quito.example"
		gone := store.Issue{ID: id, RunID: "r", Type: issue.NodeDown, Target: "planetlab3.quito.example", Node: "planetlab3.quito.example", Site: "quito", Status: "open",
			Opened: time.Now().Add(-96 * time.Hour), NextAt: time.Now().Add(-23 * time.Hour), Level: 1}
		b.must(b.Store.UpdateIssue(ctx, gone))
		b.was("node", "planetlab3.quito.example", policy.StatusDown, 5)
		third := func(host string) bool { return host == "planetlab3.quito.example" }
		if b.judge(third); len(b.tc.started) > 0 {
			t.Errorf("it lives, and is opened: %q", b.tc.started)
		}
		b.tc.started, b.tc.updates, b.tc.gone = nil, nil, []string{id}
		if b.judge(third); len(b.tc.started) != 1 || !strings.HasPrefix(b.tc.started[0], id) {
			t.Errorf("started %q", b.tc.started)
		}
		if i, err := b.Store.Issue(ctx, id); err != nil || i.Status != "closed" || i.Level != 0 || !strings.HasPrefix(i.Outcome, "lost") {
			t.Errorf("the store says %+v, %v", i, err)
		}
		if len(b.tc.updates) != 1 || b.tc.updates[0].(sitepkg.Release).Ref.ID != id {
			t.Errorf("asked of the site: %+v", b.tc.updates)
		}
		gone.RunID, b.tc.started = "r2", nil
		b.must(b.Store.UpdateIssue(ctx, gone))
		if b.judge(func(string) bool { return false }); len(b.tc.started) > 0 {
			t.Errorf("its target is good, and it is opened: %q", b.tc.started)
		}
		b.tc.gone = nil
	})
	t.Run("a site whose nodes come up in debug mode, or beside a blacklisted one that runs, is not dark", func(t *testing.T) {
		b.must(b.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "node", Target: "planetlab4.huji.example", Reason: "new board"}))
		all("huji", 4, policy.StatusDown, 5)
		b.tc.started = nil
		b.judge(func(host string) bool { return at("huji")(host) && host != "planetlab4.huji.example" })
		for _, s := range b.tc.started {
			if strings.HasPrefix(s, issue.SiteDown) {
				t.Errorf("started %q, which the next sweep would end", s)
			}
		}
		b.open("sitedown/huji", issue.SiteDown, "")
		b.tc.signals = nil
		plan := b.looks(at("huji"))
		b.must(b.Store.SaveNodeLooks(ctx, []store.NodeLook{{Host: "planetlab1.huji.example", At: time.Now(), State: policy.StateDebug, Category: policy.CategoryProd, Reason: "debug", Detail: []byte(`{}`)}}))
		_, err := b.Judge(ctx, plan)
		b.must(err)
		if !slices.Contains(b.tc.signals, "sitedown/huji cleared") {
			t.Errorf("told %q: bootman would never come", b.tc.signals)
		}
		b.closed("sitedown/huji")
		b.tc.started = nil
		all("huji", 4, policy.StatusGood, 5)
	})
	t.Run("when our name server fails, no site hears of it", func(t *testing.T) {
		plan := b.looks(func(string) bool { return false })
		nodes, err := b.Store.Nodes(ctx, 0, 1000)
		b.must(err)
		var looks []store.NodeLook
		for _, n := range nodes {
			looks = append(looks, store.NodeLook{Host: n.Hostname, At: time.Now(), State: policy.StateBoot, Category: policy.CategoryProd, Reason: "boot",
				Detail: fmt.Appendf(nil, `{"troubles":{"dnserror":{"since":%q,"reason":"its name does not resolve"}}}`, time.Now().Add(-48*time.Hour).Format(time.RFC3339))})
		}
		b.must(b.Store.SaveNodeLooks(ctx, looks))
		_, err = b.Judge(ctx, plan)
		b.must(err)
		if len(b.tc.started) > 0 {
			t.Errorf("started %q", b.tc.started)
		}
	})
	t.Run("what an operator vouches for is believed, and the ledger says who says so", func(t *testing.T) {
		plan := b.looks(func(string) bool { return true })
		plan.Believe = "the fibre to the east is cut"
		res, err := b.Judge(ctx, plan)
		b.must(err)
		acts, err := b.Store.Actions(ctx, store.ActionFilter{Kind: "believe"})
		b.must(err)
		if res.Held != "" || status("planetlab3.quito.example") != policy.StatusOffline || len(acts) != 1 || acts[0].Reason != plan.Believe {
			t.Errorf("held %q, the node is %s, the ledger says %+v", res.Held, status("planetlab3.quito.example"), acts)
		}
		plan = b.looks(func(string) bool { return true })
		plan.PLC, plan.Believe = "no answer", "it was rebooted"
		if res, err := b.Judge(ctx, plan); err != nil || res.Held != "no answer" {
			t.Errorf("with PLC away: held %q, %v", res.Held, err)
		}
	})
}
