package policy

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestTheDefaultsAreTheNumbersOfTheOriginalPolicy(t *testing.T) {
	n := Defaults(day)
	if problems := n.Problems(); problems != nil {
		t.Fatal(problems)
	}
	for name, c := range map[string]struct {
		d    time.Duration
		days float64
	}{
		"online is good after": {n.OnlineToGood, 0.5}, "offline is down after": {n.OfflineToDown, 2},
		"failboot is down after":     {n.FailbootToDown, 30},
		"safeboot is failboot after": {n.SafebootToFailboot, 60}, "disabled is down after": {n.DisabledToDown, 60},
		"an uptime is good over": {n.GoodUptime, 1},
		"a PCU is good after":    {n.PCUOnlineToGood, 0.5}, "a PCU is down after": {n.PCUOfflineToDown, 2},
		"a site is good after": {n.SiteOnlineToGood, 0.5}, "a site is down after": {n.SiteOfflineToDown, 0.5},
		"a site is new for":    {n.SiteNew, 30},
		"nodedown opens after": {n.NodeDownAfter, 1}, "failboot opens after": {n.FailbootAfter, 0.25},
		"a heartbeat is fresh for": {n.HeartbeatFresh, 45.0 / 1440}, "a boot may take": {n.BootGrace, 15.0 / 1440},
		"an outlet is read again after": {n.OwedAfter, 15.0 / 1440},
		"the guard looks back":          {n.Guard.Window, 1},
		"a site is penalised after":     {n.SiteDownBeforePenalty, 7}, "a step follows after": {n.PenaltyStep, 7},
		"a machine is given": {n.MachineStep, 1}, "people are given": {n.PeopleStep, 7},
		"thanks go out after": {n.ThanksGrace, 1},
	} {
		if got := c.d.Hours() / 24; got != c.days {
			t.Errorf("%s %g d, want %g d", name, got, c.days)
		}
	}
	if n.SiteMinUp != 2 || n.Guard != (Guard{Share: 0.2, AtLeast: 10, Window: day, SnapshotShare: 0.1}) ||
		n.Hour() != time.Hour {
		t.Errorf("a site needs %d nodes, the guard is %+v, an hour %s", n.SiteMinUp, n.Guard, n.Hour())
	}
	if short := Defaults(3 * time.Second); short.OfflineToDown != 6*time.Second ||
		short.Hour() != 125*time.Millisecond {
		t.Errorf("in a demo offline is down after %s, an hour is %s", short.OfflineToDown, short.Hour())
	}
}

func TestANumberThatCannotBeIsNamed(t *testing.T) {
	for want, spoil := range map[string]func(*Policy){
		"policy.day must be above zero, not 0s": func(n *Policy) { n.Day = 0 },
		"policy.offline_to_down must be above zero, not -1s": func(n *Policy) {
			n.OfflineToDown = -time.Second
		},
		"policy.trouble_after must be above zero":   func(n *Policy) { n.TroubleAfter = 0 },
		"policy.reboot_window must be above zero":   func(n *Policy) { n.RebootWindow = 0 },
		"policy.healthy_delay must not be negative": func(n *Policy) { n.HealthyDelay = -1 },
		"policy.group_wait must not be negative":    func(n *Policy) { n.GroupWait = -1 },
		"policy.notice_every.down must not be negative": func(n *Policy) {
			n.NoticeEvery = map[string]time.Duration{"down": -1}
		},
		"policy.site_min_up must be at least 1, not 0":                   func(n *Policy) { n.SiteMinUp = 0 },
		"policy.site_outage_nodes must be at least 2, not 1":             func(n *Policy) { n.SiteOutageNodes = 1 },
		"policy.max_reboots must be at least 1, not 0":                   func(n *Policy) { n.MaxReboots = 0 },
		"policy.guard.share must lie above 0 and be at most 1, not 0":    func(n *Policy) { n.Guard.Share = 0 },
		"policy.guard.share must lie above 0 and be at most 1, not 1.01": func(n *Policy) { n.Guard.Share = 1.01 },
		"policy.guard.at_least must be at least 1, not 0":                func(n *Policy) { n.Guard.AtLeast = 0 },
		"policy.people_step (1h0m0s) must not be shorter":                func(n *Policy) { n.PeopleStep = time.Hour },
		"policy.heartbeat_fresh must be above zero, not 0s":              func(n *Policy) { n.HeartbeatFresh = 0 },
		"policy.boot_grace must be above zero, not -1ns":                 func(n *Policy) { n.BootGrace = -1 },
		"policy.owed_after must be above zero, not 0s":                   func(n *Policy) { n.OwedAfter = 0 },
		"policy.guard.window must be above zero, not 0s":                 func(n *Policy) { n.Guard.Window = 0 },
		"policy.guard.snapshot_share must lie above 0 and be at most 1": func(n *Policy) {
			n.Guard.SnapshotShare = math.NaN()
		},
		"policy.budget.reboots_site must be at least 0, not -1": func(n *Policy) { n.Budget.RebootsSite = -1 },
		"policy.kernels.old_bootcd error parsing regexp": func(n *Policy) {
			n.Kernels.OldBootCD = []string{"("}
		},
		"policy.kernels.old_prod error parsing regexp": func(n *Policy) { n.Kernels.OldProd = []string{"a", "["} },
		"policy.kernels.current error parsing regexp":  func(n *Policy) { n.Kernels.Current = []string{"*"} },
	} {
		n := Defaults(day)
		spoil(&n)
		found := n.Problems()
		if len(found) != 1 || !strings.HasPrefix(found[0].Key+" "+found[0].Text, want) {
			t.Errorf("says %v, want %s", found, want)
		}
	}
	n := Defaults(day)
	n.HealthyDelay, n.ThanksGrace, n.GroupWait, n.Guard.Share, n.MachineStep, n.PeopleStep = 0, 0, 0, 1,
		time.Hour, time.Hour
	if found := n.Problems(); found != nil {
		t.Errorf("numbers at their bounds are refused: %v", found)
	}
}

func TestDaysAreWrittenAsPeopleSayThem(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0 d", 6 * time.Hour: "0.25 d", day: "1 d", 10 * day: "10 d",
		100 * day: "100 d", 36 * time.Hour: "1.5 d", time.Minute: "0 d"} {
		if got := numbers.Days(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}
