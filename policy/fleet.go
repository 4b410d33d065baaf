package policy

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// SiteSeen is how a sweep found the nodes of one site. Blacklisted and disabled ones are not missed and not counted,
// but one that is alive shows that the site is not dark.
type SiteSeen struct {
	Site     string
	Nodes    int
	Alive    int
	Missed   []time.Time // since when each silent node is offline or down
	NewlyBad int         // those that became bad inside the guard's window, and still are
}

// Dark says whether no node of a site answers, and whether the site is large enough for that to be one story.
func (s SiteSeen) Dark(n Policy) bool {
	return s.Alive == 0 && s.Nodes >= n.SiteOutageNodes && len(s.Missed) == s.Nodes
}

// SweepSeen is what a sweep found, as far as it decides whether the sweep is believed.
type SweepSeen struct {
	PLC     string // what is wrong with PLC or with what it sent; empty: nothing
	Nodes   int    // in the fleet
	Unseen  int    // of those, not looked at
	Sites   []SiteSeen
	Vouched bool // an operator says that the fleet really is as it looks
}

// BelieveSweep doubts the observer first: when too much of the fleet became bad inside the window, when too little of
// it was looked at, or when PLC is not to be relied on, nothing is done. A site that is wholly dark counts once, since
// a power cut takes all of it; an observer that sees every site dark, or too large a share of them, is doubted all the
// same. What became bad is counted over a window, not in one sweep: a slow wave of failures is as suspicious as a quick
// one.
func BelieveSweep(n Policy, s SweepSeen) Decision {
	bad, parts, fell, dark := 0, 0, 0, 0
	for _, site := range s.Sites {
		bad += site.NewlyBad
		switch {
		case !site.Dark(n):
			parts, fell = parts+site.Nodes, fell+site.NewlyBad
		case site.NewlyBad > 0:
			parts, fell, dark = parts+1, fell+1, dark+1
		default:
			parts++
		}
	}
	g := n.Guard
	switch {
	case s.PLC != "":
		return No(time.Time{}, "%s", s.PLC)
	case float64(s.Unseen) > g.SnapshotShare*float64(s.Nodes):
		return No(time.Time{}, "%d of %d nodes could not be looked at: the fault is ours", s.Unseen, s.Nodes)
	case s.Vouched:
		return Yes("an operator vouches for it")
	case bad < g.floor(s.Nodes):
	case float64(fell) > g.most(parts):
		return No(time.Time{},
			"%d nodes became bad within %s, %d of %d where a dark site counts once: the fault may be ours",
			bad, n.Days(g.Window), fell, parts)
	case dark > 1 && float64(dark) > g.most(len(s.Sites)):
		return No(time.Time{}, "%d of %d sites went dark within %s: the fault may be ours", dark, len(s.Sites),
			n.Days(g.Window))
	}
	return Yes("the fleet looks as it may")
}

// BelievePCUs is BelieveSweep for PCUs: a broken route to all of them, or a wrong key, must not reach every site. The
// nodes of such a sweep may be believed.
func BelievePCUs(n Policy, newlyBad, unseen, pcus int) Decision {
	switch {
	case float64(unseen) > n.Guard.SnapshotShare*float64(pcus):
		return No(time.Time{}, "%d of %d PCUs could not be tried: the fault is ours", unseen, pcus)
	case n.Guard.tooMany(newlyBad, pcus):
		return No(time.Time{}, "%d of %d PCUs became bad within %s: the fault may be ours", newlyBad, pcus,
			n.Days(n.Guard.Window))
	}
	return Yes("the PCUs look as they may")
}

// BelieveMany doubts the observer, too, when one type of issue would open for a large share of the fleet inside the
// window: a name server of ours that fails, a wrong expression for old kernels, or an alert rule that matches
// everything must not reach every site. No type is exempt. Fresh are those that would open now and those opened inside
// the window, without what an operator vouched for.
func BelieveMany(n Policy, typ string, fresh, fleet int) Decision {
	if n.Guard.tooMany(fresh, fleet) {
		return No(time.Time{}, "%s would open for %d of %d within %s: the fault may be ours", typ, fresh, fleet,
			n.Days(n.Guard.Window))
	}
	return Yes("few enough")
}

// leastDoubt is the number of things that may be bad in the smallest fleet without a doubt about who looks.
const leastDoubt = 3

// largeFleet is where the share of a fleet that may become bad in a day begins to shrink. A fifth of a hundred is a bad
// day; a fifth of a hundred thousand never was. From here on the number grows with the square root of the fleet: a
// fifth of 1,000, 6 % of 10,000, 2 % of 100,000.
const largeFleet = 1000

// floor is how many must be bad before anything is doubted: AtLeast, or half of a fleet that is too small for that.
func (g Guard) floor(fleet int) int {
	return min(g.AtLeast, max(leastDoubt, (fleet+1)/2))
}

// most is how many of so many may become bad inside the window.
func (g Guard) most(of int) float64 {
	if of > largeFleet {
		return g.Share * math.Sqrt(largeFleet*float64(of))
	}
	return g.Share * float64(of)
}

func (g Guard) tooMany(bad, of int) bool {
	return bad >= g.floor(of) && float64(bad) > g.most(of)
}

// SiteOutage says whether a whole site went down together, so that its nodes tell one story, and whether that story may
// open. Nodes that were down before do not hinder it.
func SiteOutage(n Policy, s SiteSeen, now time.Time) (why string, outage, open bool) {
	if !s.Dark(n) {
		return "", false, false
	}
	last := slices.MaxFunc(s.Missed, time.Time.Compare)
	together := slices.DeleteFunc(slices.Clone(s.Missed), func(t time.Time) bool {
		return last.Sub(t) > n.NodeDownAfter
	})
	if len(together) < n.SiteOutageNodes {
		return "", false, false
	}
	age := now.Sub(slices.MinFunc(together, time.Time.Compare))
	why = fmt.Sprintf("none of its %d nodes answers for %s, and %d went silent together", s.Nodes, n.Days(age),
		len(together))
	return why, true, age >= n.NodeDownAfter
}
