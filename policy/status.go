package policy

import (
	"fmt"
	"time"
)

// Status is what a node, a PCU or a site is, with hysteresis: one lost probe changes little.
type Status string

// NodeStatus is another name of Status, for the records of nodes.
type NodeStatus = Status

// The statuses. Failboot, safeboot and disabled are for nodes, new is for sites.
const (
	StatusOffline  Status = "offline"
	StatusOnline   Status = "online"
	StatusDown     Status = "down"
	StatusGood     Status = "good"
	StatusFailboot Status = "failboot"
	StatusSafeboot Status = "safeboot"
	StatusDisabled Status = "disabled"
	StatusNew      Status = "new"
)

// Record is a status and since when it holds.
type Record struct {
	Status  Status
	Changed time.Time
}

// Records of the three kinds of things that have a status.
type (
	NodeRecord = Record
	PCURecord  = Record
	SiteRecord = Record
)

// Unhealthy says whether something is missed: offline or down.
func (s Status) Unhealthy() bool { return s == StatusOffline || s == StatusDown }

// Healthy says whether something works: online or good.
func (s Status) Healthy() bool { return s == StatusOnline || s == StatusGood }

// Faulty says whether something is not as it should be, and nobody's hands are on it: a node in debug mode is, too.
func (s Status) Faulty() bool { return s.Unhealthy() || s == StatusFailboot }

// NodeSeen is what the status machine of a node looks at.
type NodeSeen struct {
	State          string // Down, Debug or Boot
	BootState      string // in PLC
	Uptime         time.Duration
	NeverContacted bool // PLC has no last contact
	// AsBefore says that state and boot state are those that were seen when the record was last judged: a status that
	// came by age then holds.
	AsBefore bool
}

// byAge says whether a status may have come by age alone, so that only something new undoes it.
func (s NodeSeen) byAge(was Status) bool {
	return s.AsBefore && (was == StatusDown || was == StatusFailboot && s.State == StateDebug)
}

// CleanBootState gives PLC's name of today for a boot state that may be an old one.
func CleanBootState(s string) string {
	switch s {
	case "diag", "diagnose":
		return "safeboot"
	case "rins":
		return "reinstall"
	case "disable":
		return "disabled"
	case "dbg":
		return "failboot"
	}
	return s
}

// NextNode is the status of a node after a look, and why. First what was seen moves it, then its age.
func NextNode(n Policy, was NodeRecord, seen NodeSeen, now time.Time) (NodeRecord, string) {
	if was.Status == "" {
		was = NodeRecord{StatusOffline, now}
	}
	r, reason := was, "as before"
	become := func(s Status, at time.Time, why string) {
		if r.Status != s {
			r, reason = NodeRecord{s, at}, why
		}
	}
	bootState := CleanBootState(seen.BootState)
	switch state := seen.State; {
	case state != StateBoot && seen.byAge(was.Status):
	case state == StateDown:
		disabled := bootState == "disabled" && now.Sub(was.Changed) < n.DisabledRecent
		switch {
		case disabled && was.Status != StatusDisabled:
			become(StatusDisabled, now, "down, and set disabled")
		case !disabled && was.Status != StatusOffline && was.Status != StatusDown && was.Status != StatusDisabled:
			become(StatusOffline, now, "stopped answering")
		}
	case state == StateDebug:
		switch bootState {
		case "disabled":
			become(StatusDisabled, now, "in debug mode, and set disabled")
		case "safeboot":
			become(StatusSafeboot, now, "in debug mode, and set to safeboot")
		default:
			become(StatusFailboot, now, "in debug mode")
		}
	case state == StateBoot:
		if was.Status != StatusOnline && was.Status != StatusGood {
			if seen.Uptime > n.GoodUptime {
				become(StatusGood, now.Add(-seen.Uptime), "up for "+n.Days(seen.Uptime))
			} else {
				become(StatusOnline, now, "answers again")
			}
		}
	}
	age := now.Sub(r.Changed)
	later := func(s Status, after time.Duration, at time.Time) {
		if age >= after {
			become(s, at, fmt.Sprintf("%s for %s", r.Status, n.Days(age)))
		}
	}
	switch {
	case r.Status == StatusOnline:
		later(StatusGood, n.OnlineToGood, r.Changed)
	case r.Status == StatusDisabled, r.Status == StatusOffline && seen.NeverContacted:
		// a node that was never installed is not missed as soon
		later(StatusDown, n.DisabledToDown, now)
	case r.Status == StatusOffline:
		later(StatusDown, n.OfflineToDown, r.Changed)
	case r.Status == StatusFailboot:
		later(StatusDown, n.FailbootToDown, r.Changed)
	case r.Status == StatusSafeboot:
		later(StatusFailboot, n.SafebootToFailboot, now)
	}
	return r, reason
}

// NextPCU is the status of a PCU after a dry run, and why.
func NextPCU(n Policy, was PCURecord, ok bool, now time.Time) (PCURecord, string) {
	return next(was, ok, n.PCUOnlineToGood, n.PCUOfflineToDown, now, "dry run passes", "dry run fails", n)
}

// CountsAsUp says whether a node counts as up when its site is judged: one that is not down, that is left alone,
// or that is alive and lets nobody in.
func CountsAsUp(r NodeRecord, f Finding, leftAlone bool) bool {
	return leftAlone || r.Status != StatusDown || f.Locked
}

// NextSite is the status of a site with so many nodes up, and why. A site is new, and not missed, for the whole of its
// first days, even if it was online before.
func NextSite(n Policy, was SiteRecord, up int, created, now time.Time) (SiteRecord, string) {
	enough := up >= n.SiteMinUp
	if !enough && now.Sub(created) < n.SiteNew {
		if was.Status != StatusNew {
			was = SiteRecord{StatusNew, now}
		}
		return was, "a new site with " + nodes(up) + " up"
	}
	return next(was, enough, n.SiteOnlineToGood, n.SiteOfflineToDown, now,
		nodes(up)+" up", fmt.Sprintf("%s up, %d needed", nodes(up), n.SiteMinUp), n)
}

// next moves a two-sided status: online ages to good, offline to down, both keeping their time.
func next(was Record, ok bool, toGood, toDown time.Duration, now time.Time, yes, no string, n Policy) (Record, string) {
	r, reason := was, "as before"
	switch {
	case ok && !was.Status.Healthy():
		r, reason = Record{StatusOnline, now}, yes
	case !ok && !was.Status.Unhealthy():
		r, reason = Record{StatusOffline, now}, no
	}
	age := now.Sub(r.Changed)
	switch {
	case r.Status == StatusOnline && age >= toGood:
		r, reason = Record{StatusGood, r.Changed}, "online for "+n.Days(age)
	case r.Status == StatusOffline && age >= toDown:
		r, reason = Record{StatusDown, r.Changed}, "offline for "+n.Days(age)
	}
	return r, reason
}

func nodes(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}
