package policy

import (
	"fmt"
	"time"
)

// Decision is an answer with its reason. Until is when asking again may give another answer; zero when nothing in sight
// will change it.
type Decision struct {
	Do     bool
	Until  time.Time
	Reason string
}

// Yes is a decision to do something, and why.
func Yes(reason string) Decision { return Decision{Do: true, Reason: reason} }

// No is a decision not to do something, until when, and why.
func No(until time.Time, format string, a ...any) Decision {
	return Decision{Until: until, Reason: fmt.Sprintf(format, a...)}
}

func yes(reason string) Decision                           { return Yes(reason) }
func no(until time.Time, format string, a ...any) Decision { return No(until, format, a...) }

// MayActFacts are what forbids Monitor to act on a target.
type MayActFacts struct {
	NodeExemptUntil, SiteExemptUntil time.Time
	Blacklisted, Downtime            bool
	BlacklistUntil                   time.Time // zero: never ends
	BlacklistReason                  string
}

// MayAct looks at exemptions, the blacklist and downtimes.
func MayAct(f MayActFacts, now time.Time) Decision {
	switch {
	case f.NodeExemptUntil.After(now):
		return no(f.NodeExemptUntil, "the node is exempt in PLC until %s", f.NodeExemptUntil.UTC().Format(time.DateOnly))
	case f.SiteExemptUntil.After(now):
		return no(f.SiteExemptUntil, "the site is exempt in PLC until %s", f.SiteExemptUntil.UTC().Format(time.DateOnly))
	case f.Blacklisted && f.Downtime:
		return no(f.BlacklistUntil, "in a downtime: %s", f.BlacklistReason)
	case f.Blacklisted:
		return no(f.BlacklistUntil, "blacklisted: %s", f.BlacklistReason)
	}
	return yes("nothing forbids it")
}

func (s Spent) within(fleet, site int, what string, until time.Time) (Decision, bool) {
	switch {
	case s.Fleet >= fleet:
		return no(until, "the fleet's budget of %d %s an hour is spent", fleet, what), false
	case s.Site >= site:
		return no(until, "the site's budget of %d %s an hour is spent", site, what), false
	}
	return Decision{}, true
}

// MayReboot says whether a node may be power-cycled once more. Recent are its power cycles, any order.
func MayReboot(n Policy, recent []time.Time, spent Spent, now time.Time) Decision {
	if d, ok := tooOften(n, recent, now); !ok {
		return d
	}
	if d, ok := spent.within(n.Budget.RebootsFleet, n.Budget.RebootsSite, "reboots", now.Add(n.Hour())); !ok {
		return d
	}
	return yes("within the budget")
}

// MayReinstall is MayReboot for a reinstall, which also counts as a reboot.
func MayReinstall(n Policy, recent []time.Time, spent Spent, now time.Time) Decision {
	if d, ok := tooOften(n, recent, now); !ok {
		return d
	}
	if d, ok := spent.within(n.Budget.ReinstallsFleet, n.Budget.ReinstallsSite, "reinstalls", now.Add(n.Hour())); !ok {
		return d
	}
	return yes("within the budget")
}

func tooOften(n Policy, recent []time.Time, now time.Time) (Decision, bool) {
	if hardware, why := LikelyHardware(n, recent, now); hardware {
		return no(time.Time{}, "%s", why), false
	}
	return Decision{}, true
}

// MayNotify keeps the same notice about the same target from going out twice within its time.
func NoticeDue(n Policy, kind string, last, now time.Time) Decision {
	every := n.NoticeEvery[kind]
	if next := last.Add(every); !last.IsZero() && now.Before(next) {
		return no(next, "the same notice went out less than %s ago", n.Days(every))
	}
	return yes("due")
}

// SiteFacts are what a penalty is decided on.
type SiteFacts struct {
	MayActFacts
	Up                 int // nodes that are not down; blacklisted ones count as up
	Record             SiteRecord
	Pending            bool
	Created, LastRaise time.Time
}

// MayPenalize says whether a site's penalty level may be raised by one step.
func MayPenalize(n Policy, s SiteFacts, spent Spent, now time.Time) Decision {
	if may := MayAct(s.MayActFacts, now); !may.Do {
		return may
	}
	down := now.Sub(s.Record.Changed)
	switch {
	case s.Pending:
		return no(time.Time{}, "a pending site is never penalised")
	case s.Record.Status == StatusNew:
		return no(s.Created.Add(n.SiteNew), "the site is new")
	case s.Up >= n.SiteMinUp:
		return no(time.Time{}, "%d nodes are up and %d are enough", s.Up, n.SiteMinUp)
	case s.Record.Status != StatusDown:
		return no(now.Add(n.SiteOfflineToDown), "the site is %s, not down", s.Record.Status)
	case down < n.SiteDownBeforePenalty:
		return no(s.Record.Changed.Add(n.SiteDownBeforePenalty), "the site is down for %s, less than %s", n.Days(down), n.Days(n.SiteDownBeforePenalty))
	case !s.LastRaise.IsZero() && now.Sub(s.LastRaise) < n.PenaltyStep:
		return no(s.LastRaise.Add(n.PenaltyStep), "the last step was less than %s ago", n.Days(n.PenaltyStep))
	}
	if d, ok := spent.within(n.Budget.PenaltiesFleet, n.Budget.PenaltiesSite, "penalty steps", now.Add(n.Hour())); !ok {
		return d
	}
	return yes(fmt.Sprintf("the site is down for %s with %s up", n.Days(down), nodes(s.Up)))
}

// Top is the highest penalty level: slices suspended.
const Top = 2

// Audience is who is written to at a penalty level, by their roles in PLC.
func Audience(level int) []string {
	switch {
	case level <= 0:
		return []string{"tech"}
	case level == 1:
		return []string{"tech", "pi"}
	}
	return []string{"tech", "pi", "user"}
}
