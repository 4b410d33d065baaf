package policy

import (
	"fmt"
	"time"
)

func askSite(p Policy, f GateFacts, now time.Time) Decision {
	s := f.Site
	down := now.Sub(s.Record.Changed)
	switch {
	case s.Pending:
		return No(time.Time{}, "a pending site is never penalised")
	case s.Record.Status == StatusNew || now.Sub(s.Created) < p.SiteNew:
		return No(latest(s.Created.Add(p.SiteNew), now.Add(p.SiteOfflineToDown)), "the site is new")
	case s.Up >= p.SiteMinUp:
		return No(time.Time{}, "%d nodes are up and %d are enough", s.Up, p.SiteMinUp)
	case s.Record.Status != StatusDown:
		return No(now.Add(p.SiteOfflineToDown), "the site is %s, not down", s.Record.Status)
	case down < p.SiteDownBeforePenalty:
		return No(s.Record.Changed.Add(p.SiteDownBeforePenalty), "the site is down for %s, less than %s", p.Days(down),
			p.Days(p.SiteDownBeforePenalty))
	}
	return Yes(fmt.Sprintf("the site is down for %s with %s up", p.Days(down), nodes(s.Up)))
}

func askTold(_ Policy, f GateFacts, now time.Time) Decision {
	switch {
	case f.Site.Told.IsZero():
		return No(time.Time{}, "nobody at the site has been told of it yet")
	case now.Before(f.Site.NotBefore):
		return No(f.Site.NotBefore, "its people were told that it comes not before %s",
			f.Site.NotBefore.UTC().Format(time.RFC3339))
	}
	return Yes("its people were told")
}

func askStep(p Policy, f GateFacts, now time.Time) Decision {
	if last := f.Site.LastRaise; !last.IsZero() && now.Sub(last) < p.PenaltyStep {
		return No(last.Add(p.PenaltyStep), "the last step was less than %s ago", p.Days(p.PenaltyStep))
	}
	return Yes("the last step is long enough ago")
}

// BudgetOf is how many of an act a policy hour allows, in the fleet and at one site.
func (p Policy) BudgetOf(a Act) (fleet, site int) {
	switch a {
	case ActReboot, ActRestart, ActRebootSSH:
		return p.Budget.RebootsFleet, p.Budget.RebootsSite
	case ActReinstall, ActWipe, ActReinstallSSH:
		return p.Budget.ReinstallsFleet, p.Budget.ReinstallsSite
	case ActPenalize:
		return p.Budget.PenaltiesFleet, p.Budget.PenaltiesSite
	}
	return 0, 0
}

func askBudget(p Policy, f GateFacts, now time.Time) Decision {
	fleet, site := p.BudgetOf(f.Act)
	switch {
	case f.Spent.Fleet >= fleet:
		return No(now.Add(p.Hour()), "the fleet's budget of %d an hour to %s is spent", fleet, f.Act)
	case f.Spent.Site >= site:
		return No(now.Add(p.Hour()), "the site's budget of %d an hour to %s is spent", site, f.Act)
	}
	return Yes("within the budget")
}
