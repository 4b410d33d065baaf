package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func types(list []Verdict) string {
	var out []string
	for _, v := range list {
		out = append(out, v.Type)
	}
	return strings.Join(out, " ")
}

func TestWhichIssuesMayOpenForANode(t *testing.T) {
	down := Finding{Category: CategoryError, State: StateDown, Reason: "no ssh: timeout"}
	debug := Finding{Category: CategoryProd, State: StateDebug, Reason: "debug"}
	up := Finding{Category: CategoryProd, State: StateBoot, Reason: "boot"}
	walled := Finding{Category: CategoryProd, State: StateDown, Firewall: true, Reason: "runs, but port 80 is filtered"}
	oldCD := Finding{Category: CategoryOldBootCD, State: StateDebug, Reason: "debug, kernel 2.4"}
	locked := Finding{Category: CategoryError, State: StateDown, Locked: true, Reason: "no ssh: key denied"}
	seen := func(typ string, since time.Time) map[string]Symptom { return map[string]Symptom{typ: {since, "seen"}} }
	for name, c := range map[string]struct {
		f    NodeFacts
		want string
	}{
		"good: none":                                    {NodeFacts{Record: Record{StatusGood, ago(9)}, Finding: up, HasPCU: true}, ""},
		"offline just before a day: none":               {NodeFacts{Record: Record{StatusOffline, ago(1).Add(just)}, Finding: down, HasPCU: true}, ""},
		"offline for a day: nodedown":                   {NodeFacts{Record: Record{StatusOffline, ago(1)}, Finding: down, HasPCU: true}, "nodedown"},
		"down: nodedown":                                {NodeFacts{Record: Record{StatusDown, ago(3)}, Finding: down, HasPCU: true}, "nodedown"},
		"offline without a PCU: nodedown alone":         {NodeFacts{Record: Record{StatusOffline, ago(1.5)}, Finding: down}, "nodedown"},
		"down without a PCU: pcumissing, too":           {NodeFacts{Record: Record{StatusDown, ago(2)}, Finding: down}, "nodedown pcumissing"},
		"up without a PCU: none":                        {NodeFacts{Record: Record{StatusGood, ago(9)}, Finding: up}, ""},
		"behind a firewall: no nodedown":                {NodeFacts{Record: Record{StatusDown, ago(3)}, Finding: walled, Symptoms: seen(Firewall, ago(3))}, "firewall"},
		"behind a firewall just before a day: none":     {NodeFacts{Record: Record{StatusDown, ago(3)}, Finding: walled, Symptoms: seen(Firewall, ago(1).Add(just))}, ""},
		"behind a firewall for a day: firewall":         {NodeFacts{Record: Record{StatusDown, ago(3)}, Finding: walled, Symptoms: seen(Firewall, ago(1))}, "firewall"},
		"locked for a day: nodeconfig alone":            {NodeFacts{Record: Record{StatusDown, ago(3)}, Finding: locked, Symptoms: seen(NodeConfig, ago(1))}, "nodeconfig"},
		"locked just before a day: none":                {NodeFacts{Record: Record{StatusDown, ago(3)}, Finding: locked, Symptoms: seen(NodeConfig, ago(1).Add(just))}, ""},
		"locked and disabled: none":                     {NodeFacts{Record: Record{StatusDisabled, ago(9)}, Finding: locked, Symptoms: seen(NodeConfig, ago(9))}, ""},
		"in debug just before a quarter of a day: none": {NodeFacts{Record: Record{StatusFailboot, ago(0.25).Add(just)}, Finding: debug}, ""},
		"in debug for a quarter of a day: failboot":     {NodeFacts{Record: Record{StatusFailboot, ago(0.25)}, Finding: debug}, "failboot"},
		"on an old boot CD: oldbootcd, not failboot":    {NodeFacts{Record: Record{StatusFailboot, ago(0.25)}, Finding: oldCD}, "oldbootcd"},
		"on an old boot CD a moment ago: none":          {NodeFacts{Record: Record{StatusFailboot, ago(0.25).Add(just)}, Finding: oldCD}, ""},
		"on an old boot CD, disabled: none":             {NodeFacts{Record: Record{StatusDisabled, ago(9)}, Finding: oldCD}, ""},
		"down by age and in debug mode: no nodedown":    {NodeFacts{Record: Record{StatusDown, ago(30)}, Finding: debug}, ""},
		"a read-only root for a day: filesystem":        {NodeFacts{Record: Record{StatusGood, ago(9)}, Finding: up, Symptoms: seen(Filesystem, ago(1))}, "filesystem"},
		"a read-only root a moment ago: none":           {NodeFacts{Record: Record{StatusGood, ago(9)}, Finding: up, Symptoms: seen(Filesystem, ago(1).Add(just))}, ""},
		"a name that is wrong for a day: dnserror":      {NodeFacts{Record: Record{StatusGood, ago(9)}, Finding: up, Symptoms: seen(DNSError, ago(1))}, "dnserror"},
		"a name that is wrong since just now: none":     {NodeFacts{Record: Record{StatusGood, ago(9)}, Finding: up, Symptoms: seen(DNSError, now)}, ""},
		"troubles of a disabled node: none":             {NodeFacts{Record: Record{StatusDisabled, ago(9)}, Finding: down, Symptoms: seen(DNSError, ago(8))}, ""},
		"troubles of a node in safeboot: none":          {NodeFacts{Record: Record{StatusSafeboot, ago(9)}, Finding: debug, Symptoms: seen(DNSError, ago(8))}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.f.Host, c.f.Site = "planetlab1.huji.example", "huji"
			got := NodeVerdicts(numbers, c.f, now)
			if types(got) != c.want {
				t.Errorf("%s may open, want %s", types(got), c.want)
			}
			for _, v := range got {
				if v.Target != c.f.Host || v.Node != c.f.Host || v.Site != "huji" || v.Reason == "" {
					t.Errorf("the verdict is %+v", v)
				}
			}
		})
	}
}

func TestPCUDownOpensForAPCUThatIsDown(t *testing.T) {
	for status, want := range map[Status]bool{StatusOnline: false, StatusGood: false, StatusOffline: false, StatusDown: true} {
		v, open := PCUVerdict(numbers, "pcu1", "huji", Record{status, ago(4)}, "wrong password", now)
		if open != want || open && (v.Type != PCUDown || v.PCU != "pcu1" || v.Reason != "down for 4 d: wrong password") {
			t.Errorf("%s: open %v, %+v", status, open, v)
		}
	}
}

func TestWhenTheTargetOfAnIssueIsGoodAgain(t *testing.T) {
	up := NodeFacts{Finding: Finding{Category: CategoryProd, State: StateBoot, Reason: "boot"}}
	dead := NodeFacts{Finding: Finding{Category: CategoryError, State: StateDown, Reason: "no ssh"}}
	debug := NodeFacts{Finding: Finding{Category: CategoryProd, State: StateDebug, Reason: "debug"}}
	oldCD := NodeFacts{Finding: Finding{Category: CategoryOldBootCD, State: StateDebug, Reason: "kernel 2.4"}}
	walled := NodeFacts{Finding: Finding{Category: CategoryProd, State: StateDown, Firewall: true, Reason: "port 80 is filtered"}}
	locked := NodeFacts{Finding: Finding{Category: CategoryError, State: StateDown, Locked: true, Reason: "no ssh: key denied"}}
	with := func(f NodeFacts, typ string) NodeFacts {
		f.Symptoms = map[string]Symptom{typ: {ago(1), "still " + typ}}
		return f
	}
	fed := dead
	fed.HasPCU = true
	for _, typ := range []string{NodeDown, FailbootIssue, BadHardware, NodeConfig, MinimalHardware, NoBlockDevice, UnknownSequence, Firewall} {
		for name, c := range map[string]struct {
			f    NodeFacts
			want bool
		}{"up": {up, true}, "silent": {dead, false}, "in debug mode": {debug, false}, "behind a firewall": {walled, false}, "on an old boot CD": {oldCD, false}, "locked": {locked, false}} {
			if ok, why := Recovered(typ, c.f); ok != c.want || why == "" {
				t.Errorf("%s of a node that is %s: good %v (%q)", typ, name, ok, why)
			}
		}
	}
	for name, c := range map[string]struct {
		typ  string
		f    NodeFacts
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
		"dnserror of a node in debug mode":                  {DNSError, debug, false},
		"dnserror of a silent node":                         {DNSError, dead, false},
		"dnserror beside another trouble":                   {DNSError, with(up, Filesystem), true},
	} {
		if ok, why := Recovered(c.typ, c.f); ok != c.want || why == "" {
			t.Errorf("%s: good %v (%q)", name, ok, why)
		}
	}
}

func TestWhenASiteMayBeTold(t *testing.T) {
	for name, c := range map[string]struct {
		typ    string
		r      Record
		opened time.Time
		want   bool
		until  time.Time
	}{
		"nodedown while it is offline":                    {NodeDown, Record{StatusOffline, ago(1)}, ago(0), false, ago(-1)},
		"nodedown once it is down":                        {NodeDown, Record{StatusDown, ago(2)}, ago(1), true, time.Time{}},
		"firewall while it is offline":                    {Firewall, Record{StatusOffline, ago(1.5)}, ago(0), false, ago(-0.5)},
		"pcumissing once it is down":                      {PCUMissing, Record{StatusDown, ago(2)}, ago(0), true, time.Time{}},
		"pcudown while it is offline":                     {PCUDown, Record{StatusOffline, ago(1)}, ago(0), false, ago(-1)},
		"pcudown once it is down":                         {PCUDown, Record{StatusDown, ago(2)}, ago(0), true, time.Time{}},
		"sitedown while its nodes are offline":            {SiteDown, Record{StatusOffline, ago(1)}, ago(0), false, ago(-1)},
		"badhardware of a node a day in debug mode":       {BadHardware, Record{StatusFailboot, ago(1)}, ago(0.5), false, ago(-1)},
		"badhardware of a node 2 d in debug mode":         {BadHardware, Record{StatusFailboot, ago(2)}, ago(0.5), true, time.Time{}},
		"filesystem of a good node, opened now":           {Filesystem, Record{StatusGood, ago(90)}, ago(0), false, ago(-2)},
		"filesystem just before 2 d":                      {Filesystem, Record{StatusGood, ago(90)}, ago(2).Add(just), false, now.Add(just)},
		"filesystem at 2 d":                               {Filesystem, Record{StatusGood, ago(90)}, ago(2), true, time.Time{}},
		"oldbootcd of a node that was disabled meanwhile": {OldBootCD, Record{StatusDisabled, ago(1)}, ago(2), true, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			d := MayNotifySite(numbers, c.typ, c.r, c.opened, now)
			if d.Do != c.want || !d.Until.Equal(c.until) || d.Reason == "" {
				t.Errorf("is %+v, want %v until %s", d, c.want, c.until)
			}
		})
	}
}

func TestANoticeGoesOutOnlyOnceInItsTime(t *testing.T) {
	for kind, days := range map[string]float64{
		"down": 3.5, "badhardware": 7, "nodeconfig": 3.5, "oldbootcd": 3.5, "dnserror": 1, "minimalhardware": 7, "noblockdevice": 3.5, "pcudown": 3,
		"sitedown": 3.5, "failboot": 3.5, "firewall": 3.5, "pcumissing": 7, "filesystem": 3.5,
	} {
		if d := NoticeDue(numbers, kind, time.Time{}, now); !d.Do {
			t.Errorf("the first %s is held: %s", kind, d.Reason)
		}
		if d := NoticeDue(numbers, kind, ago(days).Add(just), now); d.Do || !d.Until.Equal(now.Add(just)) || !strings.Contains(d.Reason, fmt.Sprintf("%g d", days)) {
			t.Errorf("%s just before %g d: %+v", kind, days, d)
		}
		if d := NoticeDue(numbers, kind, ago(days), now); !d.Do {
			t.Errorf("%s at %g d is held: %s", kind, days, d.Reason)
		}
	}
	if d := NoticeDue(numbers, "penalty", now, now); !d.Do {
		t.Error("a kind without a time is held")
	}
}

func TestEveryTypeButTheOnesForAdminsHasATimeForItsNotice(t *testing.T) {
	for _, typ := range []string{PCUDown, SiteDown, FailbootIssue, BadHardware, DNSError, NodeConfig, OldBootCD, Firewall, MinimalHardware, NoBlockDevice, PCUMissing, Filesystem} {
		if numbers.NoticeEvery[typ] == 0 {
			t.Errorf("%s has none", typ)
		}
	}
}

func TestWhoIsWrittenTo(t *testing.T) {
	for level, want := range map[int][]string{-1: {"tech"}, 0: {"tech"}, 1: {"tech", "pi"}, 2: {"tech", "pi", "user"}, 3: {"tech", "pi", "user"}} {
		if got := Audience(level); !slices.Equal(got, want) {
			t.Errorf("at level %d: %v", level, got)
		}
	}
}
