package policy

import (
	"testing"
	"time"
)

const day = 24 * time.Hour

var (
	numbers = Defaults(day)
	now     = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
)

func ago(days float64) time.Time { return now.Add(-time.Duration(days * float64(day))) }

// just is the least time that makes an age pass, or not pass, its threshold.
const just = time.Nanosecond

func TestANodeChangesItsStatus(t *testing.T) {
	long := 5 * day
	for name, c := range map[string]struct {
		was  NodeRecord
		seen NodeSeen
		want NodeRecord
	}{
		"a new node that is down starts offline": {NodeRecord{}, NodeSeen{State: StateDown},
			NodeRecord{StatusOffline, now}},
		"a new node that runs is online": {NodeRecord{}, NodeSeen{State: StateBoot},
			NodeRecord{StatusOnline, now}},
		"a new node in debug mode is failboot": {NodeRecord{}, NodeSeen{State: StateDebug},
			NodeRecord{StatusFailboot, now}},
		"a new node that PLC has disabled and down": {NodeRecord{}, NodeSeen{State: StateDown, BootState: "disabled"},
			NodeRecord{StatusDisabled, now}},
		"a new node long up is good since it booted": {NodeRecord{}, NodeSeen{State: StateBoot, Uptime: long},
			NodeRecord{StatusGood, ago(5)}},

		"online and silent becomes offline": {NodeRecord{StatusOnline, ago(0.1)}, NodeSeen{State: StateDown},
			NodeRecord{StatusOffline, now}},
		"good and silent becomes offline": {NodeRecord{StatusGood, ago(90)}, NodeSeen{State: StateDown},
			NodeRecord{StatusOffline, now}},
		"failboot and silent becomes offline": {NodeRecord{StatusFailboot, ago(3)}, NodeSeen{State: StateDown},
			NodeRecord{StatusOffline, now}},
		"safeboot and silent becomes offline": {NodeRecord{StatusSafeboot, ago(3)}, NodeSeen{State: StateDown},
			NodeRecord{StatusOffline, now}},
		"offline and silent stays so since then": {NodeRecord{StatusOffline, ago(1)}, NodeSeen{State: StateDown},
			NodeRecord{StatusOffline, ago(1)}},
		"down and silent stays so since then": {NodeRecord{StatusDown, ago(9)}, NodeSeen{State: StateDown},
			NodeRecord{StatusDown, ago(9)}},
		"disabled and silent stays so since then": {NodeRecord{StatusDisabled, ago(9)}, NodeSeen{State: StateDown},
			NodeRecord{StatusDisabled, ago(9)}},
		"disabled stays so when PLC says boot again": {NodeRecord{StatusDisabled, ago(9)},
			NodeSeen{State: StateDown, BootState: "boot"}, NodeRecord{StatusDisabled, ago(9)}},

		"silent and disabled in PLC is disabled": {NodeRecord{StatusGood, ago(9)},
			NodeSeen{State: StateDown, BootState: "disabled"}, NodeRecord{StatusDisabled, now}},
		"offline and disabled in PLC is disabled": {NodeRecord{StatusOffline, ago(1)},
			NodeSeen{State: StateDown, BootState: "disabled"}, NodeRecord{StatusDisabled, now}},
		"down and disabled in PLC is disabled": {NodeRecord{StatusDown, ago(9)},
			NodeSeen{State: StateDown, BootState: "disabled"}, NodeRecord{StatusDisabled, now}},
		"the old name disable means disabled": {NodeRecord{StatusOnline, ago(1)},
			NodeSeen{State: StateDown, BootState: "disable"}, NodeRecord{StatusDisabled, now}},
		"disabled in PLC counts just before 60 d": {NodeRecord{StatusDown, ago(60).Add(just)},
			NodeSeen{State: StateDown, BootState: "disabled"}, NodeRecord{StatusDisabled, now}},
		"disabled in PLC no longer counts at 60 d": {NodeRecord{StatusDown, ago(60)},
			NodeSeen{State: StateDown, BootState: "disabled"}, NodeRecord{StatusDown, ago(60)}},
		"good for 60 d, disabled in PLC and silent: offline": {NodeRecord{StatusGood, ago(60)},
			NodeSeen{State: StateDown, BootState: "disabled"}, NodeRecord{StatusOffline, now}},
		"a running node that PLC disables stays good": {NodeRecord{StatusGood, ago(9)},
			NodeSeen{State: StateBoot, BootState: "disabled"}, NodeRecord{StatusGood, ago(9)}},

		"good and in debug mode is failboot": {NodeRecord{StatusGood, ago(9)},
			NodeSeen{State: StateDebug, BootState: "boot"}, NodeRecord{StatusFailboot, now}},
		"offline and in debug mode is failboot": {NodeRecord{StatusOffline, ago(1)},
			NodeSeen{State: StateDebug, BootState: "boot"}, NodeRecord{StatusFailboot, now}},
		"down and in debug mode is failboot": {NodeRecord{StatusDown, ago(9)},
			NodeSeen{State: StateDebug, BootState: "reinstall"}, NodeRecord{StatusFailboot, now}},
		"disabled and in debug mode, PLC says boot": {NodeRecord{StatusDisabled, ago(9)},
			NodeSeen{State: StateDebug, BootState: "boot"}, NodeRecord{StatusFailboot, now}},
		"failboot stays so since then": {NodeRecord{StatusFailboot, ago(3)},
			NodeSeen{State: StateDebug, BootState: "boot"}, NodeRecord{StatusFailboot, ago(3)}},
		"in debug mode and disabled in PLC is disabled": {NodeRecord{StatusFailboot, ago(3)},
			NodeSeen{State: StateDebug, BootState: "disabled"}, NodeRecord{StatusDisabled, now}},
		"in debug mode and safeboot in PLC is safeboot": {NodeRecord{StatusOnline, ago(3)},
			NodeSeen{State: StateDebug, BootState: "safeboot"}, NodeRecord{StatusSafeboot, now}},
		"the old name diag means safeboot": {NodeRecord{StatusOnline, ago(3)},
			NodeSeen{State: StateDebug, BootState: "diag"}, NodeRecord{StatusSafeboot, now}},
		"the old name diagnose means safeboot": {NodeRecord{StatusOnline, ago(3)},
			NodeSeen{State: StateDebug, BootState: "diagnose"}, NodeRecord{StatusSafeboot, now}},
		"the old name dbg means failboot": {NodeRecord{StatusOnline, ago(3)},
			NodeSeen{State: StateDebug, BootState: "dbg"}, NodeRecord{StatusFailboot, now}},
		"disabled in PLC for ever keeps debug disabled": {NodeRecord{StatusDisabled, ago(59)},
			NodeSeen{State: StateDebug, BootState: "disabled"}, NodeRecord{StatusDisabled, ago(59)}},
		"safeboot stays so while PLC asks, before 60 d": {NodeRecord{StatusSafeboot, ago(60).Add(just)},
			NodeSeen{State: StateDebug, BootState: "safeboot"}, NodeRecord{StatusSafeboot, ago(60).Add(just)}},
		"safeboot is failboot at 60 d, its time anew": {NodeRecord{StatusSafeboot, ago(60)},
			NodeSeen{State: StateDebug, BootState: "safeboot"}, NodeRecord{StatusFailboot, now}},
		"failboot is not down just before 30 d": {NodeRecord{StatusFailboot, ago(30).Add(just)},
			NodeSeen{State: StateDebug}, NodeRecord{StatusFailboot, ago(30).Add(just)}},
		"failboot is down at 30 d, its time kept": {NodeRecord{StatusFailboot, ago(30)},
			NodeSeen{State: StateDebug}, NodeRecord{StatusDown, ago(30)}},
		"offline that answers is online": {NodeRecord{StatusOffline, ago(1)},
			NodeSeen{State: StateBoot, Uptime: time.Hour}, NodeRecord{StatusOnline, now}},
		"down that answers is online": {NodeRecord{StatusDown, ago(9)},
			NodeSeen{State: StateBoot, Uptime: time.Hour}, NodeRecord{StatusOnline, now}},
		"failboot that boots is online": {NodeRecord{StatusFailboot, ago(9)},
			NodeSeen{State: StateBoot}, NodeRecord{StatusOnline, now}},
		"disabled that boots is online": {NodeRecord{StatusDisabled, ago(9)},
			NodeSeen{State: StateBoot}, NodeRecord{StatusOnline, now}},
		"an uptime of just over 1 d is good since then": {NodeRecord{StatusOffline, ago(1)},
			NodeSeen{State: StateBoot, Uptime: day + just}, NodeRecord{StatusGood, now.Add(-day - just)}},
		"an uptime of 1 d is not over it": {NodeRecord{StatusOffline, ago(1)},
			NodeSeen{State: StateBoot, Uptime: day}, NodeRecord{StatusOnline, now}},
		"online is not good just before half a day": {NodeRecord{StatusOnline, ago(0.5).Add(just)},
			NodeSeen{State: StateBoot}, NodeRecord{StatusOnline, ago(0.5).Add(just)}},
		"online is good at half a day, its time kept": {NodeRecord{StatusOnline, ago(0.5)},
			NodeSeen{State: StateBoot}, NodeRecord{StatusGood, ago(0.5)}},
		"good stays good since then": {NodeRecord{StatusGood, ago(40)},
			NodeSeen{State: StateBoot, Uptime: long}, NodeRecord{StatusGood, ago(40)}},
		"offline is not down just before 2 d": {NodeRecord{StatusOffline, ago(2).Add(just)},
			NodeSeen{State: StateDown}, NodeRecord{StatusOffline, ago(2).Add(just)}},
		"offline is down at 2 d, its time kept": {NodeRecord{StatusOffline, ago(2)},
			NodeSeen{State: StateDown}, NodeRecord{StatusDown, ago(2)}},
		"disabled is not down just before 60 d": {NodeRecord{StatusDisabled, ago(60).Add(just)},
			NodeSeen{State: StateDown}, NodeRecord{StatusDisabled, ago(60).Add(just)}},
		"disabled is down at 60 d, its time anew": {NodeRecord{StatusDisabled, ago(60)},
			NodeSeen{State: StateDown}, NodeRecord{StatusDown, now}},
		"never contacted is not down at 2 d": {NodeRecord{StatusOffline, ago(2)},
			NodeSeen{State: StateDown, NeverContacted: true}, NodeRecord{StatusOffline, ago(2)}},
		"never contacted is not down just before 60 d": {NodeRecord{StatusOffline, ago(60).Add(just)},
			NodeSeen{State: StateDown, NeverContacted: true}, NodeRecord{StatusOffline, ago(60).Add(just)}},
		"never contacted is down at 60 d, its time anew": {NodeRecord{StatusOffline, ago(60)},
			NodeSeen{State: StateDown, NeverContacted: true}, NodeRecord{StatusDown, now}},
		"a look that says nothing changes nothing": {NodeRecord{StatusGood, ago(40)}, NodeSeen{},
			NodeRecord{StatusGood, ago(40)}},
	} {
		t.Run(name, func(t *testing.T) {
			got, reason := NextNode(numbers, c.was, c.seen, now)
			if got != c.want {
				t.Errorf("%+v seen as %+v becomes %+v, want %+v", c.was, c.seen, got, c.want)
			}
			if reason == "" || (got.Status != c.was.Status && c.was.Status != "" && reason == "as before") {
				t.Errorf("the reason is %q", reason)
			}
		})
	}
}

func TestAStatusByAgeHoldsUntilSomethingNewIsSeen(t *testing.T) {
	debug := NodeSeen{State: StateDebug, BootState: "boot"}
	asked := NodeSeen{State: StateDebug, BootState: "safeboot"}
	disabled := NodeSeen{State: StateDown, BootState: "disabled"}
	again := func(s NodeSeen) NodeSeen { s.AsBefore = true; return s }
	for name, c := range map[string]struct {
		was  NodeRecord
		seen NodeSeen
		want Status
	}{
		"down after 30 d of debug mode, debug mode still": {NodeRecord{StatusDown, ago(31)},
			again(debug), StatusDown},
		"down, and debug mode is new": {NodeRecord{StatusDown, ago(31)}, debug, StatusFailboot},
		"down after 30 d of debug mode, and it boots": {NodeRecord{StatusDown, ago(31)},
			again(NodeSeen{State: StateBoot}), StatusOnline},
		"down after 30 d of debug mode, and PLC disables it": {NodeRecord{StatusDown, ago(31)},
			NodeSeen{State: StateDebug, BootState: "disabled"}, StatusDisabled},
		"down after 60 d disabled, disabled and silent still": {NodeRecord{StatusDown, ago(1)},
			again(disabled), StatusDown},
		"down, and PLC disables it now": {NodeRecord{StatusDown, ago(1)}, disabled, StatusDisabled},
		"failboot after 60 d of safeboot, both still": {NodeRecord{StatusFailboot, ago(1)}, again(asked),
			StatusFailboot},
		"failboot after 60 d of safeboot, then 30 d more": {NodeRecord{StatusFailboot, ago(30)},
			again(asked), StatusDown},
		"failboot, and PLC asks for safeboot now": {NodeRecord{StatusFailboot, ago(1)}, asked, StatusSafeboot},
		"failboot, and it falls silent": {NodeRecord{StatusFailboot, ago(1)},
			NodeSeen{State: StateDown}, StatusOffline},
		"offline ages though nothing is new": {NodeRecord{StatusOffline, ago(2)},
			again(NodeSeen{State: StateDown}), StatusDown},
		"good that a sweep not believed saw silent, twice": {NodeRecord{StatusGood, ago(9)},
			again(NodeSeen{State: StateDown}), StatusOffline},
	} {
		t.Run(name, func(t *testing.T) {
			if got, reason := NextNode(numbers, c.was, c.seen, now); got.Status != c.want || reason == "" {
				t.Errorf("becomes %s (%s), want %s", got.Status, reason, c.want)
			}
		})
	}
}

func TestWhichNodesCountForTheirSite(t *testing.T) {
	down := NodeRecord{StatusDown, ago(3)}
	for name, c := range map[string]struct {
		r      NodeRecord
		f      Finding
		listed bool
		want   bool
	}{
		"down":                          {down, Finding{State: StateDown}, false, false},
		"down, and blacklisted":         {down, Finding{State: StateDown}, true, true},
		"down, alive and locked":        {down, Finding{State: StateDown, Locked: true}, false, true},
		"down, for a firewall hides it": {down, Finding{State: StateDown, Firewall: true}, false, false},
		"offline is not down yet":       {NodeRecord{StatusOffline, ago(1)}, Finding{State: StateDown}, false, true},
	} {
		if got := CountsAsUp(c.r, c.f, c.listed); got != c.want {
			t.Errorf("a node that is %s counts as up: %v", name, got)
		}
	}
}

func TestAPCUChangesItsStatus(t *testing.T) {
	for name, c := range map[string]struct {
		was  PCURecord
		ok   bool
		want PCURecord
	}{
		"a new one that passes is online": {PCURecord{}, true, PCURecord{StatusOnline, now}},
		"a new one that fails is offline": {PCURecord{}, false, PCURecord{StatusOffline, now}},
		"online that passes stays so": {PCURecord{StatusOnline, ago(0.2)}, true,
			PCURecord{StatusOnline, ago(0.2)}},
		"online is not good just before half a day": {PCURecord{StatusOnline, ago(0.5).Add(just)}, true,
			PCURecord{StatusOnline, ago(0.5).Add(just)}},
		"online is good at half a day": {PCURecord{StatusOnline, ago(0.5)}, true,
			PCURecord{StatusGood, ago(0.5)}},
		"good that fails is offline": {PCURecord{StatusGood, ago(9)}, false, PCURecord{StatusOffline, now}},
		"online that fails is offline": {PCURecord{StatusOnline, ago(0.1)}, false,
			PCURecord{StatusOffline, now}},
		"offline is not down just before 2 d": {PCURecord{StatusOffline, ago(2).Add(just)}, false,
			PCURecord{StatusOffline, ago(2).Add(just)}},
		"offline is down at 2 d":        {PCURecord{StatusOffline, ago(2)}, false, PCURecord{StatusDown, ago(2)}},
		"offline that passes is online": {PCURecord{StatusOffline, ago(1)}, true, PCURecord{StatusOnline, now}},
		"down that passes is online":    {PCURecord{StatusDown, ago(9)}, true, PCURecord{StatusOnline, now}},
		"down that fails stays down":    {PCURecord{StatusDown, ago(9)}, false, PCURecord{StatusDown, ago(9)}},
	} {
		t.Run(name, func(t *testing.T) {
			if got, reason := NextPCU(numbers, c.was, c.ok, now); got != c.want || reason == "" {
				t.Errorf("becomes %+v (%q), want %+v", got, reason, c.want)
			}
		})
	}
}

func TestASiteChangesItsStatus(t *testing.T) {
	old := ago(300)
	for name, c := range map[string]struct {
		was     SiteRecord
		up      int
		created time.Time
		want    SiteRecord
	}{
		"two nodes are enough": {SiteRecord{}, 2, old, SiteRecord{StatusOnline, now}},
		"one node is not":      {SiteRecord{}, 1, old, SiteRecord{StatusOffline, now}},
		"online is not good just before half a day": {SiteRecord{StatusOnline, ago(0.5).Add(just)}, 2, old,
			SiteRecord{StatusOnline, ago(0.5).Add(just)}},
		"online is good at half a day": {SiteRecord{StatusOnline, ago(0.5)}, 5, old,
			SiteRecord{StatusGood, ago(0.5)}},
		"good that loses a node too many is offline": {SiteRecord{StatusGood, ago(9)}, 1, old,
			SiteRecord{StatusOffline, now}},
		"offline is not down just before half a day": {SiteRecord{StatusOffline, ago(0.5).Add(just)}, 0, old,
			SiteRecord{StatusOffline, ago(0.5).Add(just)}},
		"offline is down at half a day": {SiteRecord{StatusOffline, ago(0.5)}, 0, old,
			SiteRecord{StatusDown, ago(0.5)}},
		"down with enough nodes is online": {SiteRecord{StatusDown, ago(9)}, 2, old,
			SiteRecord{StatusOnline, now}},
		"a young site that was never online is new": {SiteRecord{}, 0, ago(1), SiteRecord{StatusNew, now}},
		"it stays new just before 30 d": {SiteRecord{StatusNew, ago(29)}, 1, ago(30).Add(just),
			SiteRecord{StatusNew, ago(29)}},
		"it is offline at 30 d": {SiteRecord{StatusNew, ago(30)}, 1, ago(30),
			SiteRecord{StatusOffline, now}},
		"a new site with enough nodes is online": {SiteRecord{StatusNew, ago(3)}, 2, ago(3),
			SiteRecord{StatusOnline, now}},
		"a young site that was online before is new": {SiteRecord{StatusGood, ago(3)}, 0, ago(10),
			SiteRecord{StatusNew, now}},
		"a young site that was offline is new": {SiteRecord{StatusOffline, ago(1)}, 0, ago(10),
			SiteRecord{StatusNew, now}},
		"a site whose age is not known is not new": {SiteRecord{StatusGood, ago(3)}, 0, time.Time{},
			SiteRecord{StatusOffline, now}},
	} {
		t.Run(name, func(t *testing.T) {
			if got, reason := NextSite(numbers, c.was, c.up, c.created, now); got != c.want || reason == "" {
				t.Errorf("becomes %+v (%q), want %+v", got, reason, c.want)
			}
		})
	}
}

func TestBootStatesAreSpokenWithTheirNamesOfToday(t *testing.T) {
	for old, want := range map[string]string{
		"diag": "safeboot", "diagnose": "safeboot", "rins": "reinstall", "disable": "disabled", "dbg": "failboot",
		"boot": "boot", "safeboot": "safeboot", "reinstall": "reinstall", "disabled": "disabled",
		"failboot": "failboot", "": "",
	} {
		if got := CleanBootState(old); got != want {
			t.Errorf("%q is %q, want %q", old, got, want)
		}
	}
}
