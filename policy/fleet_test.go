package policy

import (
	"strings"
	"testing"
	"time"
)

// fell is a site of which so many nodes have just fallen silent.
func fell(nodes, newly int) SiteSeen {
	s := SiteSeen{Site: "s", Nodes: nodes, NewlyBad: newly, Alive: nodes - newly}
	for range newly {
		s.Missed = append(s.Missed, now)
	}
	return s
}

// waned is a site of which so many nodes became bad, one here and one there, and answer all the same.
func waned(nodes, newly int) SiteSeen {
	return SiteSeen{Site: "s", Nodes: nodes, NewlyBad: newly, Alive: nodes}
}

func many(n int, s SiteSeen) []SiteSeen {
	out := make([]SiteSeen, n)
	for i := range out {
		out[i] = s
	}
	return out
}

func swept(sites []SiteSeen) SweepSeen {
	s := SweepSeen{Sites: sites}
	for _, x := range sites {
		s.Nodes += x.Nodes
	}
	return s
}

func TestTheFleetGuardDoubtsTheObserverFirst(t *testing.T) {
	for name, c := range map[string]struct {
		sites []SiteSeen
		do    bool
	}{
		"all is well":                                          {many(10, fell(4, 0)), true},
		"an empty fleet":                                       {nil, true},
		"ten of forty, one here and one there":                 {many(10, fell(4, 1)), false},
		"nine of forty: too few to tell":                       {append(many(9, fell(4, 1)), fell(4, 0)), true},
		"ten of fifty is a fifth, and not more":                {many(10, fell(5, 1)), true},
		"eleven of fifty is more":                              {append(many(9, fell(5, 1)), fell(5, 2)), false},
		"eleven of fifty that answer, in debug mode or locked": {append(many(9, waned(5, 1)), waned(5, 2)), false},

		"a power cut at one site of forty in a fleet of eighty": {append(many(10, fell(4, 0)), fell(40, 40)), true},
		"a power cut at a site that is most of the fleet":       {append(many(4, fell(1, 0)), fell(40, 40)), true},
		"thirty-nine of that site's forty: not wholly dark":     {append(many(10, fell(4, 0)), fell(40, 39)), false},
		"an observer that sees every site dark":                 {many(10, fell(4, 4)), false},
		"an observer that sees five large sites dark, and all":  {many(5, fell(40, 40)), false},
		"an observer that sees every small site dark":           {many(20, fell(2, 2)), false},
		"two sites of twelve lose power in one storm": {
			append(many(10, fell(40, 0)), many(2, fell(40, 40))...), true,
		},
		"three sites of twelve go dark": {append(many(9, fell(4, 0)), many(3, fell(4, 4))...), false},
		"one site of two":               {[]SiteSeen{fell(40, 0), fell(40, 40)}, true},
		"half of the sites go dark":     {append(many(6, fell(4, 0)), many(6, fell(4, 4))...), false},

		"two nodes of a fleet of five":            {[]SiteSeen{fell(3, 1), fell(2, 1)}, true},
		"three nodes of a fleet of five":          {[]SiteSeen{fell(3, 2), fell(2, 1)}, false},
		"all nodes of a fleet of five, at a site": {[]SiteSeen{fell(5, 5)}, false},
		"a fleet of one node":                     {[]SiteSeen{fell(1, 1)}, true},
		"nine of ten":                             {[]SiteSeen{fell(10, 9)}, false},
		"1 % of 100,000":                          {append(many(24000, fell(4, 0)), many(1000, fell(4, 1))...), true},
		"3 % of 100,000":                          {append(many(22000, fell(4, 0)), many(3000, fell(4, 1))...), false},
	} {
		t.Run(name, func(t *testing.T) {
			if d := BelieveSweep(numbers, swept(c.sites)); d.Do != c.do || d.Reason == "" {
				t.Errorf("is %+v", d)
			}
			if s := swept(c.sites); s.Nodes > 0 {
				s.Vouched = true
				if d := BelieveSweep(numbers, s); !d.Do {
					t.Errorf("an operator's word does not help: %+v", d)
				}
			}
		})
	}
}

func TestASweepThatMissesMuchOrLacksPLCIsNotBelieved(t *testing.T) {
	for name, c := range map[string]struct {
		s    SweepSeen
		says string
	}{
		"a tenth was not looked at": {SweepSeen{Nodes: 1000, Unseen: 100}, ""},
		"more than a tenth": {SweepSeen{Nodes: 1000, Unseen: 101},
			"101 of 1000 nodes could not be looked at: the fault is ours"},
		"nothing was looked at, vouched for": {SweepSeen{Nodes: 5, Unseen: 5, Vouched: true},
			"5 of 5 nodes could not be looked at: the fault is ours"},
		"the password is wrong, vouched for": {SweepSeen{Nodes: 5, PLC: "PLC refused our login", Vouched: true},
			"PLC refused our login"},
		"everything at once: PLC comes first": {SweepSeen{Nodes: 5, Unseen: 5, PLC: "PLC does not answer"},
			"PLC does not answer"},
	} {
		if d := BelieveSweep(numbers, c.s); d.Do != (c.says == "") || c.says != "" && d.Reason != c.says {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestNewsOfPCUsIsDoubtedByItself(t *testing.T) {
	for name, c := range map[string]struct {
		bad, unseen, pcus int
		do                bool
	}{
		"none":                               {0, 0, 0, true},
		"one of two":                         {1, 0, 2, true},
		"three of five":                      {3, 0, 5, false},
		"nine of a hundred":                  {9, 0, 100, true},
		"a broken route to all":              {100, 0, 100, false},
		"a tenth could not be tried":         {0, 10, 100, true},
		"more than a tenth were never tried": {0, 11, 100, false},
	} {
		if d := BelievePCUs(numbers, c.bad, c.unseen, c.pcus); d.Do != c.do || d.Reason == "" {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestADarkSiteOfOldIsNoNews(t *testing.T) {
	dark := SiteSeen{Nodes: 40}
	for range 40 {
		dark.Missed = append(dark.Missed, ago(30))
	}
	if d := BelieveSweep(numbers, swept(append(many(3, dark), fell(4, 0)))); !d.Do {
		t.Errorf("holds: %s", d.Reason)
	}
}

func TestOneTypeForALargeShareOfTheFleetIsDoubted(t *testing.T) {
	for name, c := range map[string]struct {
		typ          string
		fresh, fleet int
		do           bool
	}{
		"nine of forty: too few to tell":         {"dnserror", 9, 40, true},
		"ten of fifty is a fifth, and not more":  {"dnserror", 10, 50, true},
		"eleven of fifty, our name server fails": {"dnserror", 11, 50, false},
		"a wrong expression for old kernels":     {"oldbootcd", 1000, 1000, false},
		"nodes are no exception":                 {"nodedown", 500, 1000, false},
		"nor are nodes without a PCU":            {"pcumissing", 500, 1000, false},
		"nor PCUs":                               {"pcudown", 50, 100, false},
		"nor whole sites":                        {"sitedown", 50, 100, false},
		"two of two":                             {"nodedown", 2, 2, true},
	} {
		if d := BelieveMany(numbers, c.typ, c.fresh, c.fleet); d.Do != c.do || d.Reason == "" {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestASiteThatGoesDownAsAWholeTellsOneStory(t *testing.T) {
	at := func(days ...float64) (out []time.Time) {
		for _, d := range days {
			out = append(out, ago(d))
		}
		return out
	}
	for name, c := range map[string]struct {
		s            SiteSeen
		outage, open bool
	}{
		"three of three, a day ago": {SiteSeen{Nodes: 3, Missed: at(1, 1, 1)}, true, true},
		"three of three, just before a day": {
			SiteSeen{Nodes: 3, Missed: at(0.99, 0.98, 0.97)}, true, false,
		},
		"the first a day ago, the others since": {SiteSeen{Nodes: 3, Missed: at(1, 0.5, 0.1)}, true, true},
		"three of four: one is up":              {SiteSeen{Nodes: 4, Missed: at(1, 1, 1)}, false, false},
		"three of three, and a blacklisted one runs": {SiteSeen{Nodes: 3, Alive: 1, Missed: at(1, 1, 1)},
			false, false},
		"two of two: too small":                              {SiteSeen{Nodes: 2, Missed: at(1, 1)}, false, false},
		"three and one that was down long before":            {SiteSeen{Nodes: 4, Missed: at(1, 40, 1, 1)}, true, true},
		"two and one that was down long before":              {SiteSeen{Nodes: 3, Missed: at(1, 40, 1)}, false, false},
		"one after the other over weeks":                     {SiteSeen{Nodes: 3, Missed: at(20, 10, 1)}, false, false},
		"the second and third just within a day of the last": {SiteSeen{Nodes: 3, Missed: at(2, 2, 1)}, true, true},
		"one more than a day before the last": {
			SiteSeen{Nodes: 3, Missed: []time.Time{ago(2).Add(-just), ago(1), ago(1)}}, false, false,
		},
		"a site without nodes": {SiteSeen{}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			c.s.Site = "huji"
			why, outage, open := SiteOutage(numbers, c.s, now)
			if outage != c.outage || open != c.open {
				t.Errorf("outage %v, open %v; want %v, %v", outage, open, c.outage, c.open)
			}
			if outage && !strings.Contains(why, "went silent together") {
				t.Errorf("says %q", why)
			}
		})
	}
}
