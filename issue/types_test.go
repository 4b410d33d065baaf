package issue

import (
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/policy"
)

var (
	numbers = policy.Defaults(24 * time.Hour)
	now     = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
)

const just = time.Second

func ago(days float64) time.Time { return now.Add(-time.Duration(days * float64(24*time.Hour))) }

func lookup(t *testing.T, name string) Type {
	t.Helper()
	typ, known := Lookup(name)
	if !known {
		t.Fatalf("no type %s", name)
	}
	return typ
}

func TestWhichIssuesMayOpenForANode(t *testing.T) {
	down := policy.Finding{Category: policy.CategoryError, State: policy.StateDown, Reason: "no ssh: timeout"}
	debug := policy.Finding{Category: policy.CategoryProd, State: policy.StateDebug, Reason: "debug"}
	up := policy.Finding{Category: policy.CategoryProd, State: policy.StateBoot, Reason: "boot"}
	walled := policy.Finding{Category: policy.CategoryProd, State: policy.StateDown, Firewall: true,
		Reason: "runs, but port 80 is filtered"}
	oldCD := policy.Finding{Category: policy.CategoryOldBootCD, State: policy.StateDebug, Reason: "debug, kernel 2.4"}
	locked := policy.Finding{Category: policy.CategoryError, State: policy.StateDown, Locked: true,
		Reason: "no ssh: key denied"}
	seen := func(typ string, since time.Time) map[string]policy.Symptom {
		return map[string]policy.Symptom{typ: {Since: since, Reason: "seen"}}
	}
	for name, c := range map[string]struct {
		f    policy.NodeFacts
		want string
	}{
		"good: none": {policy.NodeFacts{Record: is(policy.StatusGood, ago(9)),
			Finding: up, HasPCU: true}, ""},
		"offline just before a day: none": {
			policy.NodeFacts{Record: is(policy.StatusOffline, ago(1).Add(just)), Finding: down, HasPCU: true}, "",
		},
		"offline for a day: nodedown": {policy.NodeFacts{Record: is(policy.StatusOffline, ago(1)),
			Finding: down, HasPCU: true}, "nodedown"},
		"down: nodedown": {policy.NodeFacts{Record: is(policy.StatusDown, ago(3)),
			Finding: down, HasPCU: true}, "nodedown"},
		"offline without a PCU: nodedown alone": {policy.NodeFacts{Record: is(policy.StatusOffline, ago(1.5)),
			Finding: down}, "nodedown"},
		"down without a PCU: pcumissing, too": {policy.NodeFacts{Record: is(policy.StatusDown, ago(2)),
			Finding: down}, "nodedown pcumissing"},
		"up without a PCU: none": {policy.NodeFacts{Record: is(policy.StatusGood, ago(9)),
			Finding: up}, ""},
		"behind a firewall: no nodedown": {policy.NodeFacts{Record: is(policy.StatusDown, ago(3)),
			Finding: walled, Symptoms: seen(Firewall, ago(3))}, "firewall"},
		"behind a firewall just before a day: none": {policy.NodeFacts{Record: is(policy.StatusDown, ago(3)),
			Finding: walled, Symptoms: seen(Firewall, ago(1).Add(just))}, ""},
		"behind a firewall for a day: firewall": {policy.NodeFacts{Record: is(policy.StatusDown, ago(3)),
			Finding: walled, Symptoms: seen(Firewall, ago(1))}, "firewall"},
		"locked for a day: nodeconfig alone": {policy.NodeFacts{Record: is(policy.StatusDown, ago(3)),
			Finding: locked, Symptoms: seen(NodeConfig, ago(1))}, "nodeconfig"},
		"locked just before a day: none": {policy.NodeFacts{Record: is(policy.StatusDown, ago(3)),
			Finding: locked, Symptoms: seen(NodeConfig, ago(1).Add(just))}, ""},
		"locked and disabled: none": {policy.NodeFacts{Record: is(policy.StatusDisabled, ago(9)),
			Finding: locked, Symptoms: seen(NodeConfig, ago(9))}, ""},
		"in debug just before a quarter of a day: none": {
			policy.NodeFacts{Record: is(policy.StatusFailboot, ago(0.25).Add(just)), Finding: debug}, "",
		},
		"in debug for a quarter of a day: failboot": {policy.NodeFacts{Record: is(policy.StatusFailboot, ago(0.25)),
			Finding: debug}, "failboot"},
		"on an old boot CD: oldbootcd, not failboot": {policy.NodeFacts{Record: is(policy.StatusFailboot, ago(0.25)),
			Finding: oldCD}, "oldbootcd"},
		"on an old boot CD a moment ago: none": {
			policy.NodeFacts{Record: is(policy.StatusFailboot, ago(0.25).Add(just)), Finding: oldCD}, "",
		},
		"on an old boot CD, disabled: none": {policy.NodeFacts{Record: is(policy.StatusDisabled, ago(9)),
			Finding: oldCD}, ""},
		"down by age and in debug mode: no nodedown": {policy.NodeFacts{Record: is(policy.StatusDown, ago(30)),
			Finding: debug}, ""},
		"a read-only root for a day: filesystem": {policy.NodeFacts{Record: is(policy.StatusGood, ago(9)),
			Finding: up, Symptoms: seen(Filesystem, ago(1))}, "filesystem"},
		"a read-only root a moment ago: none": {policy.NodeFacts{Record: is(policy.StatusGood, ago(9)),
			Finding: up, Symptoms: seen(Filesystem, ago(1).Add(just))}, ""},
		"a name that is wrong for a day: dnserror": {policy.NodeFacts{Record: is(policy.StatusGood, ago(9)),
			Finding: up, Symptoms: seen(DNSError, ago(1))}, "dnserror"},
		"a name that is wrong since just now: none": {policy.NodeFacts{Record: is(policy.StatusGood, ago(9)),
			Finding: up, Symptoms: seen(DNSError, now)}, ""},
		"troubles of a disabled node: none": {policy.NodeFacts{Record: is(policy.StatusDisabled, ago(9)),
			Finding: down, Symptoms: seen(DNSError, ago(8))}, ""},
		"troubles of a node in safeboot: none": {policy.NodeFacts{Record: is(policy.StatusSafeboot, ago(9)),
			Finding: debug, Symptoms: seen(DNSError, ago(8))}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.f.Host, c.f.Site = "planetlab1.huji.example", "huji"
			var got []string
			for _, typ := range Types() {
				if typ.Call == nil || typ.Target != OfNode {
					continue
				}
				why, open := typ.Call(numbers, Facts{Node: c.f}, now)
				if open {
					got = append(got, typ.Name)
				}
				if open != (why != "") {
					t.Errorf("%s: open %v because of %q", typ.Name, open, why)
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%q may open, want %q", got, c.want)
			}
		})
	}
}

func TestPCUDownOpensForAPCUThatIsDown(t *testing.T) {
	for status, want := range map[policy.Status]bool{policy.StatusOnline: false, policy.StatusGood: false,
		policy.StatusOffline: false, policy.StatusDown: true} {
		why, open := lookup(t, PCUDown).Call(numbers,
			Facts{PCU: PCUFacts{Name: "pcu1", Record: policy.Record{Status: status, Changed: ago(4)},
				Reason: "wrong password"}}, now)
		if open != want || open && why != "down for 4 d: wrong password" {
			t.Errorf("%s: open %v, %q", status, open, why)
		}
	}
}

func TestWhenTheTargetOfAnIssueIsGoodAgain(t *testing.T) {
	up := policy.NodeFacts{Finding: policy.Finding{Category: policy.CategoryProd, State: policy.StateBoot,
		Reason: "boot"}}
	dead := policy.NodeFacts{Finding: policy.Finding{Category: policy.CategoryError, State: policy.StateDown,
		Reason: "no ssh"}}
	debug := policy.NodeFacts{Finding: policy.Finding{Category: policy.CategoryProd, State: policy.StateDebug,
		Reason: "debug"}}
	oldCD := policy.NodeFacts{Finding: policy.Finding{Category: policy.CategoryOldBootCD, State: policy.StateDebug,
		Reason: "kernel 2.4"}}
	walled := policy.NodeFacts{Finding: policy.Finding{Category: policy.CategoryProd, State: policy.StateDown,
		Firewall: true, Reason: "port 80 is filtered"}}
	locked := policy.NodeFacts{Finding: policy.Finding{Category: policy.CategoryError, State: policy.StateDown,
		Locked: true, Reason: "no ssh: key denied"}}
	with := func(f policy.NodeFacts, typ string) policy.NodeFacts {
		f.Symptoms = map[string]policy.Symptom{typ: {Since: ago(1), Reason: "still " + typ}}
		return f
	}
	fed := dead
	fed.HasPCU = true
	for _, typ := range []string{NodeDown, Failboot, BadHardware, NodeConfig, MinimalHardware, NoBlockDevice,
		UnknownSequence, Firewall} {
		for name, c := range map[string]struct {
			f    policy.NodeFacts
			want bool
		}{"up": {up, true}, "silent": {dead, false}, "in debug mode": {debug, false},
			"behind a firewall": {walled, false}, "on an old boot CD": {oldCD, false}, "locked": {locked, false}} {
			if ok, why := lookup(t, typ).Recovered(Facts{Node: c.f}); ok != c.want || why == "" {
				t.Errorf("%s of a node that is %s: good %v (%q)", typ, name, ok, why)
			}
		}
	}
	for name, c := range map[string]struct {
		typ  string
		f    policy.NodeFacts
		want bool
	}{
		"oldbootcd on an old boot CD":                       {OldBootCD, oldCD, false},
		"oldbootcd in debug mode of a new one":              {OldBootCD, debug, true},
		"oldbootcd of a node that runs":                     {OldBootCD, up, true},
		"oldbootcd of a silent node":                        {OldBootCD, dead, false},
		"pcumissing of a silent node without a PCU":         {PCUMissing, dead, false},
		"pcumissing of a silent node that has one now":      {PCUMissing, fed, true},
		"pcumissing of a node that runs":                    {PCUMissing, up, true},
		"filesystem with a root that is read-only":          {Filesystem, with(up, Filesystem), false},
		"filesystem with a root that is not":                {Filesystem, up, true},
		"filesystem of a silent node: nobody knows":         {Filesystem, dead, false},
		"filesystem of a node behind a firewall, seen good": {Filesystem, walled, true},
		"dnserror with a name that is wrong":                {DNSError, with(up, DNSError), false},
		"dnserror with a name that is right":                {DNSError, up, true},
		"dnserror of a node in debug mode: not its story":   {DNSError, debug, true},
		"dnserror of a silent node: not its story":          {DNSError, dead, true},
		"dnserror beside another trouble":                   {DNSError, with(up, Filesystem), true},
	} {
		if ok, why := lookup(t, c.typ).Recovered(Facts{Node: c.f}); ok != c.want || why == "" {
			t.Errorf("%s: good %v (%q)", name, ok, why)
		}
	}
}

func TestWhenASiteMayBeTold(t *testing.T) {
	for name, c := range map[string]struct {
		typ    string
		r      policy.Record
		opened time.Time
		want   bool
		until  time.Time
	}{
		"nodedown while it is offline": {NodeDown, is(policy.StatusOffline, ago(1)), ago(0),
			false, ago(-1)},
		"nodedown once it is down": {NodeDown, is(policy.StatusDown, ago(2)), ago(1),
			true, time.Time{}},
		"firewall while it is offline": {Firewall, is(policy.StatusOffline, ago(1.5)), ago(0),
			false, ago(-0.5)},
		"pcumissing once it is down": {PCUMissing, is(policy.StatusDown, ago(2)), ago(0),
			true, time.Time{}},
		"pcudown while it is offline": {PCUDown, is(policy.StatusOffline, ago(1)), ago(0),
			false, ago(-1)},
		"pcudown once it is down": {PCUDown, is(policy.StatusDown, ago(2)), ago(0),
			true, time.Time{}},
		"sitedown while its nodes are offline": {SiteDown, is(policy.StatusOffline, ago(1)), ago(0),
			false, ago(-1)},
		"badhardware of a node a day in debug mode": {BadHardware, is(policy.StatusFailboot, ago(1)), ago(0.5),
			false, ago(-1)},
		"badhardware of a node 2 d in debug mode": {BadHardware, is(policy.StatusFailboot, ago(2)), ago(0.5),
			true, time.Time{}},
		"filesystem of a good node, opened now": {Filesystem, is(policy.StatusGood, ago(90)), ago(0),
			false, ago(-2)},
		"filesystem just before 2 d": {Filesystem, is(policy.StatusGood, ago(90)),
			ago(2).Add(just), false, now.Add(just)},
		"filesystem at 2 d": {Filesystem, is(policy.StatusGood, ago(90)), ago(2), true, time.Time{}},
		"oldbootcd of a node that was disabled meanwhile": {OldBootCD, is(policy.StatusDisabled, ago(1)), ago(2),
			true, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			d := lookup(t, c.typ).MayNotifySite(numbers, c.r, c.opened, now)
			if d.Do != c.want || !d.Until.Equal(c.until) || d.Reason == "" {
				t.Errorf("is %+v, want %v until %s", d, c.want, c.until)
			}
		})
	}
}

func TestEveryTypeButTheOnesForAdminsHasATimeForItsNotice(t *testing.T) {
	for _, typ := range []string{PCUDown, SiteDown, Failboot, BadHardware, DNSError, NodeConfig, OldBootCD, Firewall,
		MinimalHardware, NoBlockDevice, PCUMissing, Filesystem} {
		if numbers.NoticeEvery[lookup(t, typ).NoticeKind()] == 0 {
			t.Errorf("%s has none", typ)
		}
	}
}

func is(s policy.Status, since time.Time) policy.Record {
	return policy.Record{Status: s, Changed: since}
}
