package policy

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
)

// setting is one number of the policy: its key in the configuration and the field that holds it.
type setting[T any] struct {
	key   string
	field *T
	least T // what it must be at the least
}

// times lists every time of the policy, but for Day, which is always real, and the map NoticeEvery.
func (n *Policy) times() []setting[time.Duration] {
	const aboveZero, mayBeZero = 1, 0
	return []setting[time.Duration]{
		{"online_to_good", &n.OnlineToGood, aboveZero},
		{"offline_to_down", &n.OfflineToDown, aboveZero},
		{"failboot_to_down", &n.FailbootToDown, aboveZero},
		{"safeboot_to_failboot", &n.SafebootToFailboot, aboveZero},
		{"disabled_to_down", &n.DisabledToDown, aboveZero},
		{"disabled_recent", &n.DisabledRecent, aboveZero},
		{"good_uptime", &n.GoodUptime, aboveZero},
		{"heartbeat_fresh", &n.HeartbeatFresh, aboveZero},
		{"boot_grace", &n.BootGrace, aboveZero},
		{"pcu_online_to_good", &n.PCUOnlineToGood, aboveZero},
		{"pcu_offline_to_down", &n.PCUOfflineToDown, aboveZero},
		{"site_online_to_good", &n.SiteOnlineToGood, aboveZero},
		{"site_offline_to_down", &n.SiteOfflineToDown, aboveZero},
		{"site_new", &n.SiteNew, aboveZero},
		{"node_down_after", &n.NodeDownAfter, aboveZero},
		{"failboot_after", &n.FailbootAfter, aboveZero},
		{"trouble_after", &n.TroubleAfter, aboveZero},
		{"site_down_before_penalty", &n.SiteDownBeforePenalty, aboveZero},
		{"penalty_step", &n.PenaltyStep, aboveZero},
		{"healthy_delay", &n.HealthyDelay, mayBeZero},
		{"thanks_grace", &n.ThanksGrace, mayBeZero},
		{"machine_step", &n.MachineStep, aboveZero},
		{"people_step", &n.PeopleStep, aboveZero},
		{"admin_step", &n.AdminStep, aboveZero},
		{"reply_pause", &n.ReplyPause, aboveZero},
		{"ticket_look", &n.TicketLook, aboveZero},
		{"group_wait", &n.GroupWait, mayBeZero},
		{"reboot_window", &n.RebootWindow, aboveZero},
		{"owed_after", &n.OwedAfter, aboveZero},
		{"guard.window", &n.Guard.Window, aboveZero},
	}
}

// counts lists every whole number of the policy.
func (n *Policy) counts() []setting[int] {
	return []setting[int]{
		{"site_min_up", &n.SiteMinUp, 1},
		{"site_outage_nodes", &n.SiteOutageNodes, 2},
		{"max_reboots", &n.MaxReboots, 1},
		{"guard.at_least", &n.Guard.AtLeast, 1},
		{"budget.reboots_fleet", &n.Budget.RebootsFleet, 0},
		{"budget.reboots_site", &n.Budget.RebootsSite, 0},
		{"budget.reinstalls_fleet", &n.Budget.ReinstallsFleet, 0},
		{"budget.reinstalls_site", &n.Budget.ReinstallsSite, 0},
		{"budget.penalties_fleet", &n.Budget.PenaltiesFleet, 0},
		{"budget.penalties_site", &n.Budget.PenaltiesSite, 0},
	}
}

// shares lists every share of a whole: above 0, and at most 1.
func (n *Policy) shares() []setting[float64] {
	return []setting[float64]{
		{"guard.share", &n.Guard.Share, 0},
		{"guard.snapshot_share", &n.Guard.SnapshotShare, 0},
	}
}

// lists are those of regular expressions.
func (n *Policy) lists() []setting[[]string] {
	return []setting[[]string]{
		{"kernels.old_bootcd", &n.Kernels.OldBootCD, nil},
		{"kernels.old_prod", &n.Kernels.OldProd, nil},
		{"kernels.current", &n.Kernels.Current, nil},
	}
}

// InRealTime turns a configured policy, whose times count days of 24 hours, into one whose times are real. It is asked
// for once, when a program starts: a policy in real time must not be scaled again.
func (n Policy) InRealTime() Policy {
	scaled := n
	for _, t := range scaled.times() {
		*t.field = n.RealTime(*t.field)
	}
	scaled.NoticeEvery = make(map[string]time.Duration, len(n.NoticeEvery))
	for kind, d := range n.NoticeEvery {
		scaled.NoticeEvery[kind] = n.RealTime(d)
	}
	return scaled
}

// RealTime is how long a configured time really lasts on a policy day of this length. What is above zero stays so,
// however short the day, since a step of no length at all would let issues spin.
func (n Policy) RealTime(d time.Duration) time.Duration {
	lasts := math.Round(float64(d) / float64(24*time.Hour) * float64(n.Day))
	if d > 0 && n.Day > 0 {
		lasts = max(lasts, 1)
	}
	if lasts >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(lasts)
}

// Problem is a setting that cannot be.
type Problem struct {
	Key  string // in the configuration, such as policy.guard.share
	Text string // such as "must be at least 1, not 0"
}

// Problems finds every setting that cannot be, in configured or in real time.
func (n Policy) Problems() []Problem {
	var found []Problem
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			found = append(found, Problem{"policy." + key, fmt.Sprintf(format, args...)})
		}
	}
	_, known := Preset(n.Preset)
	check(known, "preset", "%q is none; there are %s", n.Preset, strings.Join(Presets(), ", "))
	check(n.Day > 0, "day", "must be above zero, not %s", n.Day)
	for _, t := range n.times() {
		check(*t.field > 0 || t.least == 0, t.key, "must be above zero, not %s", *t.field)
		check(*t.field >= 0 || t.least > 0, t.key, "must not be negative, as %s is", *t.field)
	}
	for _, kind := range slices.Sorted(maps.Keys(n.NoticeEvery)) {
		check(n.NoticeEvery[kind] >= 0, "notice_every."+kind, "must not be negative, as %s is", n.NoticeEvery[kind])
	}
	for _, c := range n.counts() {
		check(*c.field >= c.least, c.key, "must be at least %d, not %d", c.least, *c.field)
	}
	for _, s := range n.shares() {
		check(*s.field > 0 && *s.field <= 1, s.key, "must lie above 0 and be at most 1, not %g", *s.field)
	}
	for _, l := range n.lists() {
		for _, expression := range *l.field {
			_, err := regexp.Compile(expression)
			check(err == nil, l.key, "%v", err)
		}
	}
	check(n.PeopleStep >= n.MachineStep, "people_step", "(%s) must not be shorter than policy.machine_step (%s)",
		n.PeopleStep, n.MachineStep)
	return found
}
