package activities

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/sources"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
)

// A rule opens an issue for a node of which it has held for long enough, with the fact and who said it. What is not known
// opens nothing and ends nothing.
func TestRulesOpenIssuesFromFacts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "facts")
	const id = "nodefact/" + sick
	b := benchWith(t, func(_ *testbed.World, o *Options) {
		o.Sources = Sources{List: []sources.Source{sources.Lines{File: path}}, Timeout: 5 * time.Second, Fresh: time.Hour}
		o.Rules = Rules{List: map[string]string{"disk_full": "@here,facts.disk>95", "fans": "facts.fans > 0 && site == '" + site + "'"},
			Groups: map[string]string{"here": "site=" + site}}
	})
	for _, host := range []string{sick, strings.Replace(sick, "1.", "2.", 1)} {
		b.was("node", host, policy.StatusGood, 30)
	}
	say := func(facts string) {
		t.Helper()
		b.must(os.WriteFile(path, []byte(`{"node": "`+sick+`", "facts": `+facts+"}\n"), 0o600))
	}
	runs := func(string) bool { return false }
	// sweep reads the sources, and judges a fleet that runs.
	sweep := func() SweepResult {
		t.Helper()
		b.Sweep.readSources(b.Context())()
		b.tc.started, b.tc.signals = nil, nil
		return b.judge(runs)
	}
	holds := func() (policy.Symptom, bool) {
		t.Helper()
		n, err := b.Store.Node(b.Context(), sick)
		b.must(err)
		return n.Rule()
	}
	look := func(good bool, says string) {
		t.Helper()
		seen, err := b.Issues.observer.observe(b.Context(), Ref{ID: id, Type: issue.NodeFact, Node: sick, Site: site})
		b.must(err)
		if seen.good != good || !strings.Contains(seen.reason, says) {
			t.Errorf("a look finds it good %v: %s, want %v and %q", seen.good, seen.reason, good, says)
		}
	}

	say(`{"disk": 94, "fans": 0}`)
	sweep()
	if s, held := holds(); held {
		t.Fatalf("no rule holds, and yet %+v", s)
	}
	say(`{"disk": 97}`)
	if sweep(); len(b.tc.started) > 0 {
		t.Errorf("it opens at once: %q", b.tc.started)
	}
	first, held := holds()
	if !held || !strings.HasPrefix(first.Reason, "disk_full: ") || !strings.Contains(first.Reason, "facts.disk is 97 (by lines at ") {
		t.Fatalf("%+v, %v", first, held)
	}
	rows, _, err := b.Store.NodeRows(b.Context(), time.Now(), selection.NodeParts{})
	b.must(err)
	for _, r := range rows {
		if slices.Contains(r.Symptoms, issue.NodeFact) != (r.Name == sick) {
			t.Errorf("%s has the symptoms %q", r.Name, r.Symptoms)
		}
	}
	first.Since = time.Now().Add(-2 * b.Policy.TroubleAfter).Truncate(time.Millisecond) // as if it had been told days ago
	b.must(b.Store.SaveRuled(b.Context(), nil))
	b.must(b.Store.SaveRuled(b.Context(), []store.Ruled{{Node: sick, Since: first.Since, Reason: first.Reason}}))

	b.must(os.Remove(path)) // the source is away, and what it said is still fresh
	if res := sweep(); len(b.tc.started) != 1 || !strings.HasPrefix(b.tc.started[0], id+" for ") ||
		!strings.Contains(b.tc.started[0], "disk_full: ") {
		s, held := holds()
		t.Fatalf("started %q, %+v, %+v %v", b.tc.started, res, s, held)
	}
	if s, _ := holds(); !s.Since.Equal(first.Since) {
		t.Errorf("it holds since %s, not %s", s.Since, first.Since)
	}
	b.open(id, issue.NodeFact, sick)
	look(false, "disk_full")

	say(`{"fans": "three"}`) // nothing is said of its disk, and what is said of its fans makes no sense
	if sweep(); len(b.tc.signals) > 0 || len(b.tc.started) > 0 {
		t.Errorf("what is not known ends it, or opens it: %q, %q", b.tc.signals, b.tc.started)
	}
	if s, held := holds(); !held || !s.Stale || !s.Since.Equal(first.Since) {
		t.Errorf("%+v, %v", s, held)
	}
	look(false, "disk_full")
	b.closed(id) // by itself it would not
	if sweep(); len(b.tc.started) > 0 {
		t.Errorf("what is not known opens %q", b.tc.started)
	}
	b.open(id, issue.NodeFact, sick)

	say(`{"disk": 12, "fans": 0}`)
	if sweep(); !slices.Equal(b.tc.signals, []string{id + " " + SignalRecovered}) {
		t.Errorf("told %q", b.tc.signals)
	}
	look(true, "no rule holds")

	t.Run("a node that a sweep did not look at is not asked about", func(t *testing.T) {
		say(`{"disk": 99}`)
		b.Sweep.readSources(b.Context())()
		plan := b.looks(runs)
		plan.Started = time.Now().Add(time.Hour)
		b.must(b.Sweep.askRules(b.Context(), plan))
		if s, held := holds(); held {
			t.Errorf("%+v", s)
		}
		b.must(b.Sweep.EndSweep(b.Context(), SweepEnd{Sweep: plan.Sweep}))
	})
	t.Run("a rule that is taken out holds no more", func(t *testing.T) {
		sweep()
		if _, held := holds(); !held {
			t.Fatal("it does not hold")
		}
		b.Sweep.Rules = Rules{}
		sweep()
		if s, held := holds(); held {
			t.Errorf("%+v", s)
		}
	})
}

// A rule that holds for too much of the fleet opens nothing: the fault may be the rule's, or the source's. It is held alone:
// what other rules find opens meanwhile, also on the nodes that the bad one names.
func TestEachRuleIsUnderTheFleetGuardAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "facts")
	b := benchWith(t, func(_ *testbed.World, o *Options) {
		o.Sources = Sources{List: []sources.Source{sources.Lines{File: path}}, Timeout: 5 * time.Second, Fresh: time.Hour}
		o.Rules = Rules{List: map[string]string{"disk_full": "facts.disk>95", "fans": "facts.fans>0"}}
		o.Policy.TroubleAfter = 0
	}, testbed.Site{Login: site, Nodes: 20})
	node := func(i int) string { return fmt.Sprintf("planetlab%d.%s.example", i, site) }
	bad := func(is bool) int { return map[bool]int{true: 97}[is] }
	// say has the disks of the first so many be full, and the fans of others fail.
	say := func(full int, fans ...int) {
		t.Helper()
		var text strings.Builder
		for i := 1; i <= 20; i++ {
			b.was("node", node(i), policy.StatusGood, 30)
			fmt.Fprintf(&text, `{"node": %q, "facts": {"disk": %d, "fans": %d}}`+"\n", node(i), bad(i <= full), bad(slices.Contains(fans, i)))
		}
		b.must(os.WriteFile(path, []byte(text.String()), 0o600))
		b.Sweep.readSources(b.Context())()
	}
	runs := func(string) bool { return false }
	const disks, fans = "nodefact/disk_full", "nodefact/fans"
	whyNot := func(host, says string) {
		t.Helper()
		v, err := b.Explainer.WhyNot(b.Context(), WhyNotRequest{Act: policy.ActOpen, Type: issue.NodeFact, Target: host})
		b.must(err)
		if v.Do != (says == "") || !strings.Contains(v.Reason, says) {
			t.Errorf("why no issue of %s: %s", host, v.Reason)
		}
	}

	say(12, 3, 15)
	res := b.judge(runs)
	if len(res.Doubts) != 1 || !strings.Contains(res.Doubts[disks], "12 of 20") {
		t.Errorf("it doubts %v", res.Doubts)
	}
	slices.Sort(b.tc.started)
	if len(b.tc.started) != 2 || !strings.HasPrefix(b.tc.started[0], "nodefact/"+node(15)+" ") || !strings.HasPrefix(b.tc.started[1], "nodefact/"+node(3)+" ") {
		t.Fatalf("the other rule opened %q", b.tc.started)
	}
	for _, s := range b.tc.started { // the bad rule is no reason for any
		if !strings.Contains(s, "fans: facts.fans is 97") || strings.Contains(s, "disk_full") {
			t.Errorf("it was opened for %q", s)
		}
	}
	whyNot(node(1), "the last sweep believes nothing of the rule disk_full: nodefact/disk_full would open for 12 of 20")
	whyNot(node(15), "")
	whyNot(node(16), "what the last sweep saw does not call for it")
	last, err := b.Store.LastSweep(b.Context())
	if b.must(err); last.Doubts[disks] == "" || !last.Believed {
		t.Errorf("the store has %+v", last)
	}
	if got := b.subjects(); len(got) != 1 || !strings.Contains(got[0], "holds back every new nodefact/disk_full") {
		t.Errorf("the admins got %q", got)
	}

	b.open("nodefact/"+node(3), issue.NodeFact, node(3))
	b.open("nodefact/"+node(15), issue.NodeFact, node(15))
	b.tc.started = nil
	say(12, 3, 15)
	if res := b.judge(runs); len(b.tc.started) > 0 || res.Doubts[disks] == "" || len(b.subjects()) != 1 {
		t.Errorf("the next sweep opened %q, doubts %v, and the admins got %q", b.tc.started, res.Doubts, b.subjects())
	}

	t.Run("a rule that holds for ever more nodes, few at a time, is held too", func(t *testing.T) {
		b.tc.started = nil
		say(0, 3, 15, 4, 5, 6, 7, 8, 9, 10, 11, 12)
		if res := b.judge(runs); len(b.tc.started) > 0 || !strings.Contains(res.Doubts[fans], "11 of 20") || len(res.Doubts) != 1 {
			t.Errorf("opened %q, doubts %v", b.tc.started, res.Doubts)
		}
	})
	t.Run("both rules may be bad", func(t *testing.T) {
		b.tc.started = nil
		say(20, 3, 15, 4, 5, 6, 7, 8, 9, 10, 11, 12)
		if res := b.judge(runs); len(b.tc.started) > 0 || res.Doubts[disks] == "" || res.Doubts[fans] == "" {
			t.Errorf("opened %q, doubts %v", b.tc.started, res.Doubts)
		}
	})
	t.Run("who vouches lets it pass", func(t *testing.T) {
		b.tc.started = nil
		say(12, 3, 15)
		plan := b.looks(runs)
		plan.Believe = "the backup filled them"
		if res, err := b.Sweep.Judge(b.Context(), plan); err != nil || len(res.Doubts) > 0 || res.Opened != 11 {
			t.Errorf("opened %d, doubts %v, %v", res.Opened, res.Doubts, err)
		}
	})
}

// Each rule must hold for long enough by itself: that another one holds of the node already is no reason.
func TestEachRuleMustHoldForLongEnough(t *testing.T) {
	path := filepath.Join(t.TempDir(), "facts")
	b := benchWith(t, func(_ *testbed.World, o *Options) {
		o.Sources = Sources{List: []sources.Source{sources.Lines{File: path}}, Timeout: 5 * time.Second, Fresh: time.Hour}
		o.Rules = Rules{List: map[string]string{"disk_full": "facts.disk>95", "fans": "facts.fans>0"}}
	})
	b.was("node", sick, policy.StatusGood, 30)
	sweep := func(facts string) map[string]policy.Symptom {
		t.Helper()
		b.must(os.WriteFile(path, []byte(`{"node": "`+sick+`", "facts": `+facts+"}\n"), 0o600))
		b.Sweep.readSources(b.Context())()
		b.tc.started = nil
		b.judge(func(string) bool { return false })
		n, err := b.Store.Node(b.Context(), sick)
		b.must(err)
		return n.Rules()
	}
	sweep(`{"disk": 97, "fans": 0}`)
	b.sql(`update ruled set since = now() - interval '9 days',
		rules = jsonb_set(rules, '{disk_full,since}', to_jsonb(now() - interval '9 days'))`)
	b.Sweep.Rules.List = map[string]string{"fans": "facts.fans>0"} // the old one is taken out
	if held := sweep(`{"disk": 97, "fans": 2}`); len(b.tc.started) > 0 || len(held) != 1 || time.Since(held["fans"].Since) > time.Hour {
		t.Errorf("a rule of a moment ago opened %q, of %v", b.tc.started, held)
	}
	b.Sweep.Rules.List = map[string]string{"disk_full": "facts.disk>95", "fans": "facts.fans>0"}
	sweep(`{"disk": 97, "fans": 2}`)
	b.sql(`update ruled set rules = jsonb_set(rules, '{fans,since}', to_jsonb(now() - interval '9 days'))`)
	held := sweep(`{"fans": 2}`) // its disk is not known any more
	if len(b.tc.started) != 1 || !strings.Contains(b.tc.started[0], "fans: ") || strings.Contains(b.tc.started[0], "disk_full") {
		t.Errorf("opened %q", b.tc.started)
	}
	if !held["disk_full"].Stale || held["fans"].Stale {
		t.Errorf("it holds %+v", held)
	}
}
