// Package policy decides and never acts: what a look at a node means, how its status changes, when an issue may open,
// what an issue may do next. It is pure: time and facts come in, decisions with reasons for people come out.
package policy

import (
	"strconv"
	"strings"
	"time"
)

// Policy is every threshold of Monitor, and its tags are the keys of the configuration's section policy.
//
// A configuration counts times in policy days of 24 hours: its offline_to_down of 2d is 48 hours, however short the Day
// on which a demo runs. [Policy.InRealTime] makes the policy that programs decide by, whose times are real.
type Policy struct {
	Preset string `yaml:"preset"` // the set of numbers from which those are taken that are not set on their own

	Day time.Duration `yaml:"day"` // the real length of a policy day: 24 h in life, seconds in a demo

	// Hysteresis of nodes.
	OnlineToGood       time.Duration `yaml:"online_to_good"`
	OfflineToDown      time.Duration `yaml:"offline_to_down"`
	FailbootToDown     time.Duration `yaml:"failboot_to_down"`
	SafebootToFailboot time.Duration `yaml:"safeboot_to_failboot"`
	DisabledToDown     time.Duration `yaml:"disabled_to_down"` // also for nodes that never made contact
	// disabled in PLC counts for this long after its last change
	DisabledRecent time.Duration `yaml:"disabled_recent"`
	GoodUptime     time.Duration `yaml:"good_uptime"`     // an uptime above this makes a node good at once
	HeartbeatFresh time.Duration `yaml:"heartbeat_fresh"` // PLC heard a silent node within this: unreachable, not down
	BootGrace      time.Duration `yaml:"boot_grace"`      // a node that began to boot within this is booting, not down

	// Hysteresis of PCUs and sites.
	PCUOnlineToGood   time.Duration `yaml:"pcu_online_to_good"`
	PCUOfflineToDown  time.Duration `yaml:"pcu_offline_to_down"`
	SiteMinUp         int           `yaml:"site_min_up"` // nodes a site needs
	SiteOnlineToGood  time.Duration `yaml:"site_online_to_good"`
	SiteOfflineToDown time.Duration `yaml:"site_offline_to_down"`
	SiteNew           time.Duration `yaml:"site_new"` // a site younger than this that was never online is new

	// Thresholds.
	NodeDownAfter time.Duration `yaml:"node_down_after"`
	FailbootAfter time.Duration `yaml:"failboot_after"`
	// how long firewall, filesystem, dnserror must be seen
	TroubleAfter          time.Duration `yaml:"trouble_after"`
	SiteOutageNodes       int           `yaml:"site_outage_nodes"` // as many that go down together are one outage
	SiteDownBeforePenalty time.Duration `yaml:"site_down_before_penalty"`
	PenaltyStep           time.Duration `yaml:"penalty_step"` // between two penalty steps of one site

	// Steps of the ladders.
	// a target must be good this long before its issue closes
	HealthyDelay time.Duration `yaml:"healthy_delay"`
	ThanksGrace  time.Duration `yaml:"thanks_grace"` // and this long before the site is thanked
	MachineStep  time.Duration `yaml:"machine_step"`
	PeopleStep   time.Duration `yaml:"people_step"`
	AdminStep    time.Duration `yaml:"admin_step"`
	// a site's answer holds its penalties for at most this long
	ReplyPause time.Duration `yaml:"reply_pause"`
	// between two looks at whether a site has answered its ticket
	TicketLook  time.Duration            `yaml:"ticket_look"`
	GroupWait   time.Duration            `yaml:"group_wait"`   // notices of one site inside this become one message
	NoticeEvery map[string]time.Duration `yaml:"notice_every"` // least time between two of a kind about one target

	// Power.
	RebootWindow time.Duration `yaml:"reboot_window"`
	MaxReboots   int           `yaml:"max_reboots"` // power cycles of one node inside RebootWindow
	OwedAfter    time.Duration `yaml:"owed_after"`  // an outlet owed on is read again after this

	Guard   Guard   `yaml:"guard"`
	Budget  Budget  `yaml:"budget"`
	Kernels Kernels `yaml:"kernels"`
}

// Guard is when bad news is too much to believe.
type Guard struct {
	Share   float64       `yaml:"share"`    // share of the fleet newly down inside Window, 0 to 1
	AtLeast int           `yaml:"at_least"` // and at least so many nodes
	Window  time.Duration `yaml:"window"`   // counted over this, so that a slow wave trips it too
	// SnapshotShare is the share of the nodes, sites, PCUs or persons that an answer of PLC may lack against the one
	// before.
	SnapshotShare float64 `yaml:"snapshot_share"`
}

// Budget is how much Monitor may do to the world in a policy hour.
type Budget struct {
	RebootsFleet    int `yaml:"reboots_fleet"`
	RebootsSite     int `yaml:"reboots_site"`
	ReinstallsFleet int `yaml:"reinstalls_fleet"`
	ReinstallsSite  int `yaml:"reinstalls_site"`
	PenaltiesFleet  int `yaml:"penalties_fleet"`
	PenaltiesSite   int `yaml:"penalties_site"`
}

// Kernels are regular expressions over `uname -a`; the first list that matches names the category.
type Kernels struct {
	OldBootCD []string `yaml:"old_bootcd"` // nodes so old that only a new boot CD helps
	OldProd   []string `yaml:"old_prod"`
	Current   []string `yaml:"current"`
}

// Hour is a policy hour.
func (n Policy) Hour() time.Duration { return n.Day / 24 }

// Defaults are the numbers of the original PlanetLab policy, for a policy day of the given length.
func Defaults(day time.Duration) Policy {
	n := configured()
	n.Day = day
	return n.InRealTime()
}

// configured is the default policy as a configuration holds it.
func configured() Policy {
	const day = 24 * time.Hour
	return Policy{
		Preset:       PresetMyOps,
		Day:          day,
		OnlineToGood: 12 * time.Hour, OfflineToDown: 2 * day, FailbootToDown: 30 * day, SafebootToFailboot: 60 * day,
		DisabledToDown: 60 * day,
		DisabledRecent: 60 * day, GoodUptime: day, HeartbeatFresh: 45 * time.Minute, BootGrace: 15 * time.Minute,
		PCUOnlineToGood: 12 * time.Hour, PCUOfflineToDown: 2 * day,
		SiteMinUp: 2, SiteOnlineToGood: 12 * time.Hour, SiteOfflineToDown: 12 * time.Hour, SiteNew: 30 * day,
		NodeDownAfter: day, FailbootAfter: 6 * time.Hour, TroubleAfter: day, SiteOutageNodes: 3,
		SiteDownBeforePenalty: 7 * day, PenaltyStep: 7 * day,
		HealthyDelay: 6 * time.Hour, ThanksGrace: day, MachineStep: day, PeopleStep: 7 * day, AdminStep: day,
		ReplyPause: 30 * day, TicketLook: 12 * time.Hour, GroupWait: 5 * time.Minute,
		NoticeEvery: map[string]time.Duration{
			"down": 7 * day / 2, "badhardware": 7 * day, "nodeconfig": 7 * day / 2, "oldbootcd": 7 * day / 2,
			"dnserror":        day,
			"minimalhardware": 7 * day, "noblockdevice": 7 * day / 2, "pcudown": 3 * day,
			"sitedown": 7 * day / 2, "failboot": 7 * day / 2, "firewall": 7 * day / 2, "pcumissing": 7 * day,
			"filesystem": 7 * day / 2,
		},
		RebootWindow: 7 * day, MaxReboots: 2, OwedAfter: 15 * time.Minute,
		Guard: Guard{Share: 0.2, AtLeast: 10, Window: day, SnapshotShare: 0.1},
		Budget: Budget{RebootsFleet: 30, RebootsSite: 5, ReinstallsFleet: 10, ReinstallsSite: 2, PenaltiesFleet: 10,
			PenaltiesSite: 1},
		Kernels: Kernels{
			OldBootCD: []string{` 2\.4\.`, ` 2\.6\.8\b`},
			OldProd:   []string{` 2\.6\.1[02]\b`},
			Current:   []string{` (2\.6\.(2[0-9]|3[0-9])|[3-9]\.\d+|\d\d\.\d+)\b`},
		},
	}
}

// Days writes a duration in policy days, as "2 d" or "0.25 d".
func (n Policy) Days(d time.Duration) string {
	s := strconv.FormatFloat(float64(d)/float64(n.Day), 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") + " d"
}
