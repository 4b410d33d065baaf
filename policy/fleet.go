package policy

import (
	"fmt"
	"slices"
	"time"
)

// SiteSeen is how a sweep found the nodes of one site. Blacklisted and disabled ones are not missed and not counted, but one
// that is alive shows that the site is not dark.
type SiteSeen struct {
	Site      string
	Nodes     int
	Alive     int
	Missed    []time.Time // since when each silent node is offline or down
	NewlyDown int         // those that were fine until this sweep
}

// dark says whether no node of a site answers, and whether the site is large enough for that to be one story.
func (s SiteSeen) dark(n Policy) bool {
	return s.Alive == 0 && s.Nodes >= n.SiteOutageNodes && len(s.Missed) == s.Nodes
}

// FleetGuard doubts the observer first: when too much of the fleet is newly down, or PLC does not answer, nothing is done.
// A site that is wholly dark counts once, since a power cut takes all of it; an observer that sees every site dark, or too
// large a share of them, still holds.
func FleetGuard(n Policy, sites []SiteSeen, plcAnswers bool) Decision {
	nodes, parts, fell, dark := 0, 0, 0, 0
	for _, s := range sites {
		nodes += s.NewlyDown
		switch {
		case !s.dark(n):
			parts, fell = parts+s.Nodes, fell+s.NewlyDown
		case s.NewlyDown > 0:
			parts, fell, dark = parts+1, fell+1, dark+1
		default:
			parts++
		}
	}
	switch {
	case !plcAnswers:
		return no(time.Time{}, "PLC does not answer")
	case nodes < n.Guard.AtLeast:
	case float64(fell) > n.Guard.Share*float64(parts):
		return no(time.Time{}, "%d nodes went down at once, %d of %d where a dark site counts once: the fault may be ours", nodes, fell, parts)
	case dark > 1 && float64(dark) > n.Guard.Share*float64(len(sites)):
		return no(time.Time{}, "%d of %d sites went dark at once: the fault may be ours", dark, len(sites))
	}
	return yes("the fleet looks as it may")
}

// MayOpenMany doubts the observer, too, when one type of issue would open for a large share of the fleet at once: a name server of
// ours that fails, or a wrong expression for old kernels, must not reach every site. What a site may lack for years, as PCUs, or what
// the fleet guard has seen already, is believed.
func MayOpenMany(n Policy, typ string, fresh, fleet int) Decision {
	switch typ {
	case NodeDown, PCUDown, SiteDown, PCUMissing:
		return yes("believed")
	}
	if fresh >= n.Guard.AtLeast && float64(fresh) > n.Guard.Share*float64(fleet) {
		return no(time.Time{}, "%s would open for %d of %d nodes at once: the fault may be ours", typ, fresh, fleet)
	}
	return yes("few enough")
}

// SiteOutage says whether a whole site went down together, so that its nodes tell one story, and whether that story may open. Nodes
// that were down before do not hinder it.
func SiteOutage(n Policy, s SiteSeen, now time.Time) (v Verdict, outage, open bool) {
	if !s.dark(n) {
		return v, false, false
	}
	last := slices.MaxFunc(s.Missed, time.Time.Compare)
	together := slices.DeleteFunc(slices.Clone(s.Missed), func(t time.Time) bool { return last.Sub(t) > n.NodeDownAfter })
	if len(together) < n.SiteOutageNodes {
		return v, false, false
	}
	age := now.Sub(slices.MinFunc(together, time.Time.Compare))
	reason := fmt.Sprintf("none of its %d nodes answers for %s, and %d went silent together", s.Nodes, n.Days(age), len(together))
	v = Verdict{Type: SiteDown, Target: s.Site, Site: s.Site, Reason: reason}
	return v, true, age >= n.NodeDownAfter
}
