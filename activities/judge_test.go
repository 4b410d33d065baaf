package activities

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
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
		l := store.NodeLook{Host: n.Hostname, At: time.Now(), State: policy.StateBoot, Category: policy.CategoryProd,
			Reason: "boot", Detail: []byte(`{}`)}
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
		tests = append(tests, store.PCULook{PCUID: p.PCUID, At: time.Now(), OK: !silent(p.Name),
			Reason: "as the test has it"})
	}
	b.must(b.Store.SavePCULooks(b.Context(), tests))
	b.must(b.Store.SaveSeen(b.Context(), store.Seen{Kind: "pcu", Upto: 1 << 30, At: time.Now()}))
	return Plan{Sweep: sweep.ID, Started: sweep.Started, PLC: PLCAnswers}
}

func (b *bench) judge(silent func(host string) bool) SweepResult {
	b.Helper()
	res, err := b.Sweep.Judge(b.Context(), b.looks(silent))
	b.must(err)
	return res
}

func at(sites ...string) func(string) bool {
	return func(host string) bool {
		return slices.ContainsFunc(sites, func(s string) bool { return strings.HasSuffix(host, "."+s+".example") })
	}
}

func TestASweepJudgesTheFleet(t *testing.T) {
	sites := []testbed.Site{{Login: "chennai", Nodes: 40}, {Login: "huji", Nodes: 4}, {Login: "oslo", Nodes: 4},
		{Login: "quito", Nodes: 4}, {Login: "uba", Nodes: 4, NoPCU: true}}
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
				t.Errorf("held %q, opened %d, and the node is %s", res.Held, res.Opened,
					status("planetlab1.chennai.example"))
			}
		}
		if got := b.subjects(); len(got) != 1 || !strings.Contains(got[0], "holds everything back") {
			t.Errorf("the admins got %q", got)
		}
	})

	t.Run("a power cut at one large site is believed", func(t *testing.T) {
		res := b.judge(at("chennai"))
		if res.Held != "" || status("planetlab1.chennai.example") != policy.StatusOffline || res.Opened != 0 {
			t.Errorf("held %q, opened %d, and the node is %s", res.Held, res.Opened,
				status("planetlab1.chennai.example"))
		}
	})
	t.Run("it opens one story, not forty, and none for its PCU", func(t *testing.T) {
		all("chennai", 40, policy.StatusDown, 2.5)
		b.was("pcu", "1001", policy.StatusDown, 2.5)
		b.judge(at("chennai"))
		if len(b.tc.started) != 1 || !strings.HasPrefix(b.tc.started[0],
			"sitedown/chennai none of its 40 nodes answers for 2.5 d") {
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
		slices.Sort(b.tc.started)
		if len(b.tc.started) != 2 || !strings.HasPrefix(b.tc.started[0], "nodedown/planetlab1.chennai.example") {
			t.Errorf("started %q", b.tc.started)
		}
		b.tc.started = nil
	})
	t.Run("what is exempt is not opened, and the ledger says why, once a day", func(t *testing.T) {
		b.must(b.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "node", Target: "planetlab1.oslo.example",
			Reason: "new board"}))
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
		if len(b.tc.started) != 2 || !strings.HasPrefix(b.tc.started[0], "nodedown/") ||
			!strings.HasPrefix(b.tc.started[1], "pcumissing/planetlab1.uba.example") {
			t.Errorf("started %q", b.tc.started)
		}
		b.tc.started = nil
	})
	t.Run(
		"an issue whose workflow was terminated is opened again while there is reason to, and ends in the store "+
			"when there is none", func(t *testing.T) {
			id := "nodedown/planetlab3.quito.example"
			gone := store.Issue{ID: id, RunID: "r", Type: issue.NodeDown, Target: "planetlab3.quito.example",
				Node: "planetlab3.quito.example", Site: "quito", Status: "open",
				Opened: time.Now().Add(-96 * time.Hour), NextAt: time.Now().Add(-23 * time.Hour), Level: 1}
			putIssue(b.T, b.url, gone)
			b.was("node", "planetlab3.quito.example", policy.StatusDown, 5)
			third := func(host string) bool { return host == "planetlab3.quito.example" }
			if b.judge(third); len(b.tc.started) > 0 {
				t.Errorf("it lives, and is opened: %q", b.tc.started)
			}
			b.tc.started, b.tc.updates, b.tc.gone = nil, nil, []string{id}
			if b.judge(third); len(b.tc.started) != 1 || !strings.HasPrefix(b.tc.started[0], id) {
				t.Errorf("started %q", b.tc.started)
			}
			if i, err := b.Store.Issue(ctx, id); err != nil || i.Status != "closed" || i.Level != 0 ||
				!strings.HasPrefix(i.Outcome, "lost") {
				t.Errorf("the store says %+v, %v", i, err)
			}
			gone.RunID, b.tc.started = "r2", nil
			putIssue(b.T, b.url, gone)
			if b.judge(func(string) bool { return false }); len(b.tc.started) > 0 {
				t.Errorf("its target is good, and it is opened: %q", b.tc.started)
			}
			b.tc.gone = nil
		})
	t.Run("a site whose nodes come up in debug mode, or beside a blacklisted one that runs, is not dark",
		func(t *testing.T) {
			b.must(b.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "node", Target: "planetlab4.huji.example",
				Reason: "new board"}))
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
			b.must(b.Store.SaveNodeLooks(ctx,
				[]store.NodeLook{{Host: "planetlab1.huji.example", At: time.Now(), State: policy.StateDebug,
					Category: policy.CategoryProd, Reason: "debug", Detail: []byte(`{}`)}}))
			_, err := b.Sweep.Judge(ctx, plan)
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
			looks = append(looks, store.NodeLook{Host: n.Hostname, At: time.Now(), State: policy.StateBoot,
				Category: policy.CategoryProd, Reason: "boot",
				Detail: fmt.Appendf(nil, `{"troubles":{"dnserror":{"since":%q,"reason":"its name does not resolve"}}}`,
					time.Now().Add(-48*time.Hour).Format(time.RFC3339))})
		}
		b.must(b.Store.SaveNodeLooks(ctx, looks))
		_, err = b.Sweep.Judge(ctx, plan)
		b.must(err)
		if len(b.tc.started) > 0 {
			t.Errorf("started %q", b.tc.started)
		}
	})
	t.Run("what an operator vouches for is believed, and the ledger says who says so", func(t *testing.T) {
		plan := b.looks(func(string) bool { return true })
		plan.Believe = "the fibre to the east is cut"
		res, err := b.Sweep.Judge(ctx, plan)
		b.must(err)
		acts, err := b.Store.Actions(ctx, store.ActionFilter{Kind: "believe"})
		b.must(err)
		if res.Held != "" || status("planetlab3.quito.example") != policy.StatusOffline || len(acts) != 1 ||
			acts[0].Reason != plan.Believe {
			t.Errorf("held %q, the node is %s, the ledger says %+v", res.Held, status("planetlab3.quito.example"), acts)
		}
		plan = b.looks(func(string) bool { return true })
		plan.PLC, plan.Believe = "no answer", "it was rebooted"
		if res, err := b.Sweep.Judge(ctx, plan); err != nil || res.Held != "no answer" {
			t.Errorf("with PLC away: held %q, %v", res.Held, err)
		}
	})
}

func TestASlowWaveOfFailuresIsNotBelieved(t *testing.T) {
	b := newBench(t, testbed.Site{Login: "huji", Nodes: 26}, testbed.Site{Login: "oslo", Nodes: 26},
		testbed.Site{Login: "quito", Nodes: 26})
	ctx := b.Context()
	for _, s := range []string{"huji", "oslo", "quito"} {
		for i := range 26 {
			b.was("node", fmt.Sprintf("planetlab%d.%s.example", i+1, s), policy.StatusGood, 30)
		}
	}
	upTo := func(n int) func(string) bool { // of each site
		return func(host string) bool {
			var i int
			_, err := fmt.Sscanf(host, "planetlab%d.", &i)
			return err == nil && i <= n
		}
	}
	if res := b.judge(upTo(5)); res.Held != "" { // 15 of 78 are 19 %
		t.Fatalf("held: %s", res.Held)
	}
	lease := func(want bool, says string) {
		t.Helper()
		if d, err := b.underLease(ctx); err != nil || d.Do != want || !strings.Contains(d.Reason, says) {
			t.Errorf("the lease: %+v, %v", d, err)
		}
	}
	lease(true, "")
	b.w.Mail.Refuse("noc@plc.example", 451, "try later")
	for range 3 {
		res := b.judge(upTo(10))
		b.w.Mail.Accept("noc@plc.example") // who could not be told at first is told by the next sweep, once
		if !strings.Contains(res.Held, "30 nodes became bad within 1 d, 30 of 78") {
			t.Errorf("held %q", res.Held)
		}
	}
	lease(false, "30 nodes became bad")
	if n, err := b.Store.Node(ctx, "planetlab7.huji.example"); err != nil || n.Record.Status != policy.StatusGood ||
		n.FirstSilent.IsZero() {
		t.Errorf("a held sweep made it %+v, silent since %s, %v", n.Record, n.FirstSilent, err)
	}
	if got := b.subjects(); len(got) != 1 {
		t.Errorf("the admins got %q", got)
	}
	plan := b.looks(upTo(10))
	plan.Believe = "the fibre is cut"
	res, err := b.Sweep.Judge(ctx, plan)
	b.must(err)
	if again := b.judge(upTo(10)); res.Held != "" || again.Held != "" {
		t.Errorf("an operator vouched: held %q, then %q", res.Held, again.Held)
	}
	lease(true, "")
	if res := b.judge(upTo(20)); res.Held == "" {
		t.Error("what became bad after an operator vouched is believed whole")
	}
}

func TestTheFirstSweepOfAFleetThatLooksDeadIsNotBelieved(t *testing.T) {
	b := newBench(t, testbed.Site{Login: "huji", Nodes: 6}, testbed.Site{Login: "oslo", Nodes: 6})
	if res := b.judge(func(host string) bool {
		return !strings.HasPrefix(host, "planetlab1.")
	}); !strings.Contains(res.Held, "10 nodes became bad") {
		t.Errorf("held %q", res.Held)
	}
	plan := b.looks(func(string) bool { return false })
	nodes, err := b.Store.Nodes(b.Context(), 0, 100)
	b.must(err)
	seen := store.Seen{Kind: "node", Upto: 1 << 30, At: time.Now()}
	for _, n := range nodes[:2] {
		seen.Missed = append(seen.Missed, n.NodeID)
	}
	b.must(b.Store.EndSweep(b.Context(), store.Sweep{ID: plan.Sweep, Reason: "the test begins another"}))
	sweep, err := b.Store.StartSweep(b.Context(), "sweep/last")
	b.must(err)
	seen.At = time.Now()
	b.must(b.Store.SaveSeen(b.Context(), seen))
	res, err := b.Sweep.Judge(b.Context(), Plan{Sweep: sweep.ID, Started: sweep.Started, PLC: PLCAnswers})
	b.must(err)
	if res.Held != "2 of 12 nodes could not be looked at: the fault is ours" || res.Nodes != 10 || res.Unseen != 4 {
		t.Errorf("%+v", res)
	}
}

func TestPCUsAndIssueTypesAreDoubtedByThemselves(t *testing.T) {
	sites := []testbed.Site{{Login: "huji", Nodes: 2}, {Login: "oslo", Nodes: 2}, {Login: "quito", Nodes: 2},
		{Login: "turin", Nodes: 2}, {Login: "dakar", Nodes: 2}}
	b := newBench(t, sites...)
	ctx := b.Context()
	for i, s := range sites {
		b.was("node", "planetlab1."+s.Login+".example", policy.StatusGood, 30)
		b.was("node", "planetlab2."+s.Login+".example", policy.StatusGood, 30)
		b.was("pcu", fmt.Sprint(1001+i), policy.StatusGood, 30)
	}
	res := b.judge(func(host string) bool { return strings.HasPrefix(host, "pcu.") })
	p, err := b.Store.PCUByName(ctx, pcu)
	b.must(err)
	if res.Held != "" || !strings.Contains(res.Doubts["pcudown"], "5 of 5 PCUs became bad") ||
		p.Record.Status != policy.StatusGood || p.OK {
		t.Errorf("%+v, and the PCU is %+v", res, p)
	}
	if d, err := b.underLease(ctx); err != nil || !d.Do {
		t.Errorf("the nodes are not believed: %+v, %v", d, err)
	}
	b.wantDoubtTold(1)
	silent := func(host string) bool { return strings.HasPrefix(host, "pcu.") }
	b.judge(silent)
	b.wantDoubtTold(1) // it lasts
	b.judge(func(string) bool { return false })
	if res := b.judge(silent); len(res.Doubts) == 0 {
		t.Errorf("they are silent again, and believed: %+v", res)
	}
	b.wantDoubtTold(2)
	alert := func(typ, target string) AlertAnswer {
		t.Helper()
		answer, err := b.Alerts.Take(ctx, Alert{Type: typ, Target: target, Firing: true, Reason: "an alert"})
		b.must(err)
		return answer
	}
	if a := alert("pcudown", pcu); a.Outcome != AlertIgnored || !strings.Contains(a.Why, "PCUs became bad") {
		t.Errorf("an alert about a PCU: %+v", a)
	}
	if a := alert("nodedown", sick); a.Outcome != AlertIgnored ||
		!strings.Contains(a.Why, "our own look finds it good") {
		t.Errorf("an alert about a node that is good: %+v", a)
	}
	if err := b.w.Break(sick, testbed.Fault{State: fakenode.Filtered}); err != nil {
		t.Fatal(err)
	}
	if a := alert("nodedown", sick); a.Outcome != AlertOpened {
		t.Errorf("an alert about a node that is silent: %+v", a)
	}
	for i := range 5 { // what alerts have opened before
		id := fmt.Sprintf("nodedown/n%d", i)
		putIssue(b.T, b.url, store.Issue{ID: id, RunID: "r", Type: "nodedown", Target: fmt.Sprintf("n%d", i),
			Site: site, Status: "closed", Opened: time.Now()})
	}
	b.sweepEnds(store.Sweep{Believed: true, Counts: map[string]int{"nodes": 10, "pcus": 5}})
	if a := alert("nodedown", sick); a.Outcome != AlertIgnored ||
		!strings.Contains(a.Why, "nodedown would open for 6 of 10") {
		t.Errorf("a flood of alerts: %+v", a)
	}
	b.sweepEnds(store.Sweep{Reason: "PLC refused our login"})
	if a := alert("nodedown", sick); a.Outcome != AlertIgnored || !strings.Contains(a.Why, "PLC refused our login") {
		t.Errorf("an alert without a lease: %+v", a)
	}
}

func TestASweepRespectsAnOperatorsCloseAndWakesWhatWaitsForNothing(t *testing.T) {
	b := newBench(t, testbed.Site{Login: site, Nodes: 4})
	ctx, id := b.Context(), "nodedown/"+sick
	isSick := func(host string) bool { return host == sick }
	b.was("node", sick, policy.StatusDown, 5)
	b.must(b.Store.LeaveClosed(ctx, store.OperatorClosed{Issue: id, By: "ops", Reason: "it is being moved"}))
	for range 2 {
		b.judge(isSick)
	}
	if len(b.tc.started) > 0 {
		t.Errorf("an operator closed it, and %q", b.tc.started)
	}
	b.judge(func(string) bool { return false })
	b.was("node", sick, policy.StatusDown, 5)
	if b.judge(isSick); len(b.tc.started) != 1 {
		t.Errorf("it was good in between, and %q", b.tc.started)
	}

	seq := 0
	waits := func(check string) {
		t.Helper()
		s := issue.State{Opening: issue.Opening{Ref: issue.Ref{ID: id, Run: "r", Type: issue.NodeDown, Node: sick,
			Site: site}, Ladder: mustType(t, issue.NodeDown).Ladder},
			Opened: time.Now(), Status: issue.Open, Blocked: &issue.Block{Check: check, Reason: "as the test has it"}}
		seq++
		s.Seq = seq
		b.must(b.Store.SaveIssue(ctx, s, time.Now()))
		b.tc.signals = nil
		b.judge(isSick)
	}
	b.must(b.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "node", Target: sick, Reason: "new board"}))
	if waits("blacklist"); len(b.tc.signals) > 0 {
		t.Errorf("it is blacklisted still, and told %q", b.tc.signals)
	}
	b.must(b.Store.RemoveBlacklist(ctx, "node", sick))
	if waits("blacklist"); !slices.Equal(b.tc.signals, []string{id + " retry"}) {
		t.Errorf("its blacklist entry was lifted, and it is told %q", b.tc.signals)
	}
	if waits("exempt"); !slices.Equal(b.tc.signals, []string{id + " retry"}) {
		t.Errorf("its exemption was lifted, and it is told %q", b.tc.signals)
	}
	for _, check := range []string{"budget", "booting", "heartbeat", "pcu", "attempts", "no such check", ""} {
		if waits(check); len(b.tc.signals) > 0 {
			t.Errorf("it waits for what no sweep sees, %q, and is told %q", check, b.tc.signals)
		}
	}
	for _, check := range []string{"lease", "answers", "boot state", "covered", "switch", "mode"} {
		if waits(check); !slices.Equal(b.tc.signals, []string{id + " retry"}) {
			t.Errorf("what it waited for is over, %q, and it is told %q", check, b.tc.signals)
		}
	}
	b.inPLC("boot_state", "safeboot")
	b.sync()
	if waits("boot state"); len(b.tc.signals) > 0 {
		t.Errorf("somebody has it at safeboot still, and it is told %q", b.tc.signals)
	}
	b.open(issue.Failboot+"/"+sick, issue.Failboot, sick)
	b.must(b.Store.AddBootRepair(ctx, store.BootRepair{Key: "k", Node: sick, Sequence: "s", Action: "a",
		At: time.Now()}))
	if waits("covered"); len(b.tc.signals) > 0 {
		t.Errorf("its boot is being repaired still, and it is told %q", b.tc.signals)
	}
}

func TestASweepDoesNotOpenAgainWhatRecoveredWhileItLooked(t *testing.T) {
	b := newBench(t, testbed.Site{Login: site, Nodes: 4})
	ctx, id := b.Context(), "nodedown/"+sick
	isSick := func(host string) bool { return host == sick }
	ends := func(why issue.EndKind, run string) {
		b.Helper()
		b.must(b.Store.SaveIssue(ctx, issue.State{Opening: issue.Opening{Ref: issue.Ref{ID: id, Run: run,
			Type: issue.NodeDown, Node: sick, Site: site}, Ladder: mustType(t, issue.NodeDown).Ladder},
			Opened: time.Now(), Status: issue.Closed, End: &issue.End{Why: why}}, time.Now()))
	}
	b.was("node", sick, policy.StatusDown, 5)
	plan := b.looks(isSick)
	ends(issue.EndRecovered, "first")
	if res, err := b.Sweep.Judge(ctx, plan); err != nil || res.Opened > 0 {
		t.Errorf("it recovered after the look, and %d were opened (%v)", res.Opened, err)
	}
	if res := b.judge(isSick); res.Opened != 1 {
		t.Errorf("a sweep that began later sees it down again, and opened %d", res.Opened)
	}
	plan = b.looks(isSick)
	ends(issue.EndLost, "second")
	if res, err := b.Sweep.Judge(ctx, plan); err != nil || res.Opened != 1 {
		t.Errorf("its workflow was lost while the sweep looked, and %d were opened (%v)", res.Opened, err)
	}
}

func mustType(t *testing.T, name string) issue.Type {
	t.Helper()
	typ, known := issue.Lookup(name)
	if !known {
		t.Fatalf("no type %s", name)
	}
	return typ
}

func TestTheAdminsAreToldOnceThatNoSweepWasBelievedForHours(t *testing.T) {
	b := newBench(t)
	watch := func(began time.Time) {
		t.Helper()
		b.must(b.Sweep.watchSweeps(b.Context(), began))
	}
	watch(time.Now())
	if got := b.subjects(); len(got) > 0 {
		t.Fatalf("told %q", got)
	}
	b.Sweep.SweepEvery, b.Policy.Day = 0, 0 // hours are over at once
	b.sweepEnds(store.Sweep{Reason: "PLC refused our login"})
	b.w.Mail.Refuse("noc@plc.example", 451, "try later")
	watch(time.Now())
	// a worker dies of it, and the next try fails
	b.sql(`update action set committed = now() - interval '5 minutes' where key like 'lease/%'`)
	watch(time.Now())
	b.w.Mail.Accept("noc@plc.example")
	watch(time.Now())
	watch(time.Now())
	got := b.w.Mail.Messages()
	if len(got) != 1 || !strings.Contains(got[0].Body, "PLC refused our login") {
		t.Fatalf("told %+v", got)
	}
	b.sweepEnds(store.Sweep{Believed: true})
	watch(time.Now())
	if got := b.subjects(); len(got) != 2 {
		t.Errorf("told %q", got)
	}
	for range 2 { // that a guard holds is another story, and told once
		w, err := b.Store.StartSweep(b.Context(), fmt.Sprintf("sweep/%d", time.Now().UnixNano()))
		b.must(err)
		b.must(b.Sweep.hold(b.Context(), Plan{Sweep: w.ID, Started: time.Now().Add(-time.Minute)},
			SweepResult{Held: "half the fleet is gone"}))
	}
	if got := b.w.Mail.Messages(); len(got) != 3 || !strings.Contains(got[2].Body, "half the fleet is gone") {
		t.Errorf("told %q", b.subjects())
	}
}

// underLease asks the gate's lease alone.
func (b *bench) underLease(ctx context.Context) (policy.Decision, error) {
	l, err := b.Power.gate.lease(ctx)
	b.must(err)
	checks := policy.Gate()
	i := slices.IndexFunc(checks, func(c policy.Check) bool { return c.Name == "lease" })
	return checks[i].Ask(b.Policy, policy.GateFacts{Lease: l}, time.Now()), nil
}

// wantDoubtTold counts the mails to the admins about a doubt.
func (b *bench) wantDoubtTold(times int) {
	b.Helper()
	told := 0
	for _, m := range b.w.Mail.Messages() {
		if strings.Contains(m.Subject, "Monitor holds back every new pcudown") &&
			strings.Contains(m.Body, "5 of 5 PCUs became bad") && slices.Contains(m.To, "noc@plc.example") {
			told++
		}
	}
	if told != times {
		b.Errorf("the admins were told %d times, want %d", told, times)
	}
}
