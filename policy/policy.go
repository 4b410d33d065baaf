// Package policy decides and never acts: what a look at a node means, how its status changes, when an issue may open,
// what an issue may do next. It is pure: time and facts come in, decisions with reasons for people come out.
package policy

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Policy are every threshold of Monitor. Durations are real time, already scaled by the length of a policy day.
type Policy struct {
	Day time.Duration // a policy day: 24 h in life, seconds in a demo

	// Hysteresis of nodes.
	OnlineToGood       time.Duration
	OfflineToDown      time.Duration
	FailbootToDown     time.Duration
	SafebootToFailboot time.Duration
	DisabledToDown     time.Duration // also for nodes that never made contact
	DisabledRecent     time.Duration // a node disabled in PLC stays disabled this long after its last change
	GoodUptime         time.Duration // an uptime above this makes a node good at once

	// Hysteresis of PCUs and sites.
	PCUOnlineToGood   time.Duration
	PCUOfflineToDown  time.Duration
	SiteMinUp         int // nodes a site needs
	SiteOnlineToGood  time.Duration
	SiteOfflineToDown time.Duration
	SiteNew           time.Duration // a site younger than this that was never online is new

	// Thresholds.
	NodeDownAfter         time.Duration
	FailbootAfter         time.Duration
	TroubleAfter          time.Duration // firewall, filesystem, dnserror and locked nodes open when they are seen for this long
	SiteOutageNodes       int           // so many nodes of a site that go down together, and no other up, are one story
	SiteDownBeforePenalty time.Duration
	PenaltyStep           time.Duration // between two penalty steps of one site

	// Steps of the ladders.
	HealthyDelay time.Duration // a target must be good this long before its issue closes
	ThanksGrace  time.Duration // and this long before the site is thanked
	MachineStep  time.Duration
	PeopleStep   time.Duration
	AdminStep    time.Duration
	ReplyPause   time.Duration            // a site's answer holds its penalties for at most this long
	TicketLook   time.Duration            // between two looks at whether a site has answered its ticket
	GroupWait    time.Duration            // notices of one site inside this become one message
	NoticeEvery  map[string]time.Duration // least time between two notices of a kind about one target

	RebootWindow time.Duration
	MaxReboots   int // power cycles of one node inside RebootWindow

	Guard   Guard
	Budget  Budget
	Kernels Kernels
}

// Guard is when a sweep's bad news is too much to believe.
type Guard struct {
	Share   float64 // share of the fleet newly down, 0 to 1
	AtLeast int     // and at least so many nodes
}

// Budget is how much Monitor may do to the world in a policy hour.
type Budget struct {
	RebootsFleet, RebootsSite       int
	ReinstallsFleet, ReinstallsSite int
	PenaltiesFleet, PenaltiesSite   int
}

// Kernels are regular expressions over `uname -a`; the first list that matches names the category.
type Kernels struct {
	OldBootCD []string // nodes so old that only a new boot CD helps
	OldProd   []string
	Current   []string
}

// Hour is a policy hour.
func (n Policy) Hour() time.Duration { return n.Day / 24 }

// Defaults are the numbers of the original PlanetLab policy, for a policy day of the given length.
func Defaults(day time.Duration) Policy {
	d := func(days float64) time.Duration { return time.Duration(days * float64(day)) }
	return Policy{
		Day:          day,
		OnlineToGood: d(0.5), OfflineToDown: d(2), FailbootToDown: d(30), SafebootToFailboot: d(60), DisabledToDown: d(60),
		DisabledRecent: d(60), GoodUptime: d(1),
		PCUOnlineToGood: d(0.5), PCUOfflineToDown: d(2),
		SiteMinUp: 2, SiteOnlineToGood: d(0.5), SiteOfflineToDown: d(0.5), SiteNew: d(30),
		NodeDownAfter: d(1), FailbootAfter: d(0.25), TroubleAfter: d(1), SiteOutageNodes: 3, SiteDownBeforePenalty: d(7), PenaltyStep: d(7),
		HealthyDelay: d(0.25), ThanksGrace: d(1), MachineStep: d(1), PeopleStep: d(7), AdminStep: d(1),
		ReplyPause: d(30), TicketLook: d(0.5), GroupWait: d(5.0 / 1440),
		NoticeEvery: map[string]time.Duration{
			"down": d(3.5), "badhardware": d(7), "nodeconfig": d(3.5), "oldbootcd": d(3.5), "dnserror": d(1),
			"minimalhardware": d(7), "noblockdevice": d(3.5), "pcudown": d(3),
			"sitedown": d(3.5), "failboot": d(3.5), "firewall": d(3.5), "pcumissing": d(7), "filesystem": d(3.5),
		},
		RebootWindow: d(7), MaxReboots: 2,
		Guard:  Guard{Share: 0.2, AtLeast: 10},
		Budget: Budget{RebootsFleet: 30, RebootsSite: 5, ReinstallsFleet: 10, ReinstallsSite: 2, PenaltiesFleet: 10, PenaltiesSite: 1},
		Kernels: Kernels{
			OldBootCD: []string{` 2\.4\.`, ` 2\.6\.8\b`},
			OldProd:   []string{` 2\.6\.1[02]\b`},
			Current:   []string{` (2\.6\.(2[0-9]|3[0-9])|[3-9]\.\d+|\d\d\.\d+)\b`},
		},
	}
}

// Validate says which number cannot be, by its name, or nil.
func (n Policy) Validate() error {
	type number struct {
		name string
		d    time.Duration
	}
	for _, x := range []number{
		{"day", n.Day}, {"online_to_good", n.OnlineToGood}, {"offline_to_down", n.OfflineToDown}, {"failboot_to_down", n.FailbootToDown},
		{"safeboot_to_failboot", n.SafebootToFailboot}, {"disabled_to_down", n.DisabledToDown}, {"disabled_recent", n.DisabledRecent},
		{"good_uptime", n.GoodUptime}, {"pcu_online_to_good", n.PCUOnlineToGood}, {"pcu_offline_to_down", n.PCUOfflineToDown},
		{"site_online_to_good", n.SiteOnlineToGood}, {"site_offline_to_down", n.SiteOfflineToDown}, {"site_new", n.SiteNew},
		{"node_down_after", n.NodeDownAfter}, {"failboot_after", n.FailbootAfter}, {"trouble_after", n.TroubleAfter},
		{"site_down_before_penalty", n.SiteDownBeforePenalty}, {"penalty_step", n.PenaltyStep}, {"machine_step", n.MachineStep},
		{"people_step", n.PeopleStep}, {"admin_step", n.AdminStep}, {"reboot_window", n.RebootWindow},
		{"reply_pause", n.ReplyPause}, {"ticket_look", n.TicketLook},
	} {
		if x.d <= 0 {
			return fmt.Errorf("policy.%s must be above zero, not %s", x.name, x.d)
		}
	}
	for _, x := range []number{{"healthy_delay", n.HealthyDelay}, {"thanks_grace", n.ThanksGrace}, {"group_wait", n.GroupWait}} {
		if x.d < 0 {
			return fmt.Errorf("policy.%s must not be negative, as %s is", x.name, x.d)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(n.NoticeEvery)) {
		if d := n.NoticeEvery[kind]; d < 0 {
			return fmt.Errorf("policy.notice_every.%s must not be negative, as %s is", kind, d)
		}
	}
	switch {
	case n.SiteMinUp < 1:
		return fmt.Errorf("policy.site_min_up must be at least 1, not %d", n.SiteMinUp)
	case n.SiteOutageNodes < 2:
		return fmt.Errorf("policy.site_outage_nodes must be at least 2, not %d", n.SiteOutageNodes)
	case n.MaxReboots < 1:
		return fmt.Errorf("policy.max_reboots must be at least 1, not %d", n.MaxReboots)
	case n.Guard.Share <= 0 || n.Guard.Share > 1:
		return fmt.Errorf("policy.guard.share must lie above 0 and be at most 1, not %g", n.Guard.Share)
	case n.Guard.AtLeast < 1:
		return fmt.Errorf("policy.guard.at_least must be at least 1, not %d", n.Guard.AtLeast)
	case n.PeopleStep < n.MachineStep:
		return fmt.Errorf("policy.people_step (%s) must not be shorter than policy.machine_step (%s)", n.PeopleStep, n.MachineStep)
	}
	return n.Kernels.validate()
}

func (k Kernels) validate() error {
	for _, x := range []struct {
		name string
		list []string
	}{{"old_bootcd", k.OldBootCD}, {"old_prod", k.OldProd}, {"current", k.Current}} {
		for _, re := range x.list {
			if _, err := regexp.Compile(re); err != nil {
				return fmt.Errorf("policy.kernels.%s: %w", x.name, err)
			}
		}
	}
	return nil
}

// Days writes a duration in policy days, as "2 d" or "0.25 d".
func (n Policy) Days(d time.Duration) string {
	s := strconv.FormatFloat(float64(d)/float64(n.Day), 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") + " d"
}
