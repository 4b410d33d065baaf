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

func yes(reason string) Decision { return Decision{Do: true, Reason: reason} }
func no(until time.Time, format string, a ...any) Decision {
	return Decision{Until: until, Reason: fmt.Sprintf(format, a...)}
}

// Verdict is a problem that has passed its threshold.
type Verdict struct {
	Type   string
	Target string
	Node   string
	Site   string
	PCU    string
	Reason string
}

// NodeVerdict says whether nodedown may open for a node that a sweep just saw.
func NodeVerdict(n Numbers, host, site string, r NodeRecord, f Finding, now time.Time) (Verdict, bool) {
	age := now.Sub(r.Changed)
	if !r.Status.Bad() || f.Firewall || age < n.NodeDownAfter {
		return Verdict{}, false
	}
	return Verdict{Type: "nodedown", Target: host, Node: host, Site: site, Reason: fmt.Sprintf("%s for %s: %s", r.Status, n.Days(age), f.Reason)}, true
}

// PCUVerdict says whether pcudown may open for a PCU whose dry run a sweep just tried.
func PCUVerdict(n Numbers, name, site string, r PCURecord, why string, now time.Time) (Verdict, bool) {
	if r.Status != IsDown {
		return Verdict{}, false
	}
	return Verdict{Type: "pcudown", Target: name, PCU: name, Site: site, Reason: fmt.Sprintf("%s for %s: %s", r.Status, n.Days(now.Sub(r.Changed)), why)}, true
}

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

// Spent is what was already done in the last policy hour.
type Spent struct{ Fleet, Site int }

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
func MayReboot(n Numbers, recent []time.Time, spent Spent, now time.Time) Decision {
	if d, ok := tooOften(n, recent, now); !ok {
		return d
	}
	if d, ok := spent.within(n.Budget.RebootsFleet, n.Budget.RebootsSite, "reboots", now.Add(n.Hour())); !ok {
		return d
	}
	return yes("within the budget")
}

// MayReinstall is MayReboot for a reinstall, which also counts as a reboot.
func MayReinstall(n Numbers, recent []time.Time, spent Spent, now time.Time) Decision {
	if d, ok := tooOften(n, recent, now); !ok {
		return d
	}
	if d, ok := spent.within(n.Budget.ReinstallsFleet, n.Budget.ReinstallsSite, "reinstalls", now.Add(n.Hour())); !ok {
		return d
	}
	return yes("within the budget")
}

func tooOften(n Numbers, recent []time.Time, now time.Time) (Decision, bool) {
	count := 0
	for _, t := range recent {
		if now.Sub(t) < n.RebootWindow {
			count++
		}
	}
	if count >= n.MaxReboots {
		return no(time.Time{}, "power-cycled %d times within %s: likely hardware, not another reboot", count, n.Days(n.RebootWindow)), false
	}
	return Decision{}, true
}

// MayNotify keeps the same notice about the same target from going out twice within its time.
func MayNotify(n Numbers, kind string, last, now time.Time) Decision {
	every := n.NoticeEvery[kind]
	if next := last.Add(every); !last.IsZero() && now.Before(next) {
		return no(next, "the same notice went out less than %s ago", n.Days(every))
	}
	return yes("due")
}

// SiteFacts are what a penalty is decided on.
type SiteFacts struct {
	Up                           int
	Record                       SiteRecord
	Pending, Exempt, Blacklisted bool
	ExemptUntil                  time.Time
	Created, LastRaise           time.Time
}

// MayPenalize says whether a site's penalty level may be raised by one step.
func MayPenalize(n Numbers, s SiteFacts, spent Spent, now time.Time) Decision {
	down := now.Sub(s.Record.Changed)
	switch {
	case s.Pending:
		return no(time.Time{}, "a pending site is never penalised")
	case s.Exempt:
		return no(s.ExemptUntil, "the site is exempt in PLC")
	case s.Blacklisted:
		return no(time.Time{}, "the site is blacklisted")
	case s.Record.Status == New:
		return no(s.Created.Add(n.SiteNew), "the site is new")
	case s.Up >= n.SiteMinUp:
		return no(time.Time{}, "%d nodes are up and %d are enough", s.Up, n.SiteMinUp)
	case s.Record.Status != IsDown:
		return no(now.Add(n.SiteOfflineToDown), "the site is %s, not down", s.Record.Status)
	case down < n.SiteDownBeforePenalty:
		return no(s.Record.Changed.Add(n.SiteDownBeforePenalty), "the site is down for %s, less than %s", n.Days(down), n.Days(n.SiteDownBeforePenalty))
	case !s.LastRaise.IsZero() && now.Sub(s.LastRaise) < n.PenaltyStep:
		return no(s.LastRaise.Add(n.PenaltyStep), "the last step was less than %s ago", n.Days(n.PenaltyStep))
	}
	if d, ok := spent.within(n.Budget.PenaltiesFleet, n.Budget.PenaltiesSite, "penalty steps", now.Add(n.Hour())); !ok {
		return d
	}
	return yes(fmt.Sprintf("the site is down for %s with %d nodes up", n.Days(down), s.Up))
}

// FleetGuard doubts the observer first: when too much of the fleet is newly down, or PLC does not answer, nothing is done.
func FleetGuard(n Numbers, newlyDown, fleet int, plcAnswers bool) Decision {
	switch {
	case !plcAnswers:
		return no(time.Time{}, "PLC does not answer")
	case newlyDown >= n.Guard.AtLeast && float64(newlyDown) > n.Guard.Share*float64(fleet):
		return no(time.Time{}, "%d of %d nodes went down at once: the fault may be ours", newlyDown, fleet)
	}
	return yes("the fleet looks as it may")
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
