package policy

import (
	"strings"
	"testing"
	"time"
)

// fell is a site of which so many nodes have just fallen silent.
func fell(nodes, newly int) SiteSeen {
	s := SiteSeen{Site: "s", Nodes: nodes, NewlyDown: newly}
	for range newly {
		s.Missed = append(s.Missed, now)
	}
	return s
}

func many(n int, s SiteSeen) []SiteSeen {
	out := make([]SiteSeen, n)
	for i := range out {
		out[i] = s
	}
	return out
}

func TestTheFleetGuardDoubtsTheObserverFirst(t *testing.T) {
	for name, c := range map[string]struct {
		sites []SiteSeen
		plc   bool
		do    bool
	}{
		"PLC does not answer":                                   {many(10, fell(4, 0)), false, false},
		"all is well":                                           {many(10, fell(4, 0)), true, true},
		"an empty fleet":                                        {nil, true, true},
		"nine of ten nodes: too few to tell":                    {[]SiteSeen{fell(10, 9)}, true, true},
		"ten of forty, one here and one there":                  {many(10, fell(4, 1)), true, false},
		"ten of fifty is a fifth, and not more":                 {many(10, fell(5, 1)), true, true},
		"eleven of fifty is more":                               {append(many(9, fell(5, 1)), fell(5, 2)), true, false},
		"a power cut at one site of forty in a fleet of eighty": {append(many(10, fell(4, 0)), fell(40, 40)), true, true},
		"a power cut at a site that is most of the fleet":       {append(many(4, fell(1, 0)), fell(40, 40)), true, true},
		"thirty-nine of that site's forty: not wholly dark":     {append(many(10, fell(4, 0)), fell(40, 39)), true, false},
		"an observer that sees every site dark":                 {many(10, fell(4, 4)), true, false},
		"an observer that sees five large sites dark, and all":  {many(5, fell(40, 40)), true, false},
		"an observer that sees every small site dark":           {many(20, fell(2, 2)), true, false},
		"two sites of twelve lose power in one storm":           {append(many(10, fell(40, 0)), many(2, fell(40, 40))...), true, true},
		"three sites of twelve go dark in one sweep":            {append(many(9, fell(4, 0)), many(3, fell(4, 4))...), true, false},
		"one site of two":                                       {[]SiteSeen{fell(40, 0), fell(40, 40)}, true, true},
		"half of the sites go dark":                             {append(many(6, fell(4, 0)), many(6, fell(4, 4))...), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			if d := FleetGuard(numbers, c.sites, c.plc); d.Do != c.do || d.Reason == "" {
				t.Errorf("is %+v", d)
			}
		})
	}
}

func TestADarkSiteOfOldIsNoNews(t *testing.T) {
	dark := SiteSeen{Nodes: 40}
	for range 40 {
		dark.Missed = append(dark.Missed, ago(30))
	}
	if d := FleetGuard(numbers, append(many(3, dark), fell(4, 0)), true); !d.Do {
		t.Errorf("holds: %s", d.Reason)
	}
}

func TestOneTypeForALargeShareOfTheFleetIsDoubted(t *testing.T) {
	for name, c := range map[string]struct {
		typ          string
		fresh, fleet int
		do           bool
	}{
		"nine of ten: too few to tell":             {DNSError, 9, 10, true},
		"ten of fifty is a fifth, and not more":    {DNSError, 10, 50, true},
		"eleven of fifty, our name server fails":   {DNSError, 11, 50, false},
		"a wrong expression for old kernels":       {OldBootCD, 1000, 1000, false},
		"a fleet of which half is down, as it was": {NodeDown, 500, 1000, true},
		"a fleet without PCUs":                     {PCUMissing, 500, 1000, true},
	} {
		if d := MayOpenMany(numbers, c.typ, c.fresh, c.fleet); d.Do != c.do || d.Reason == "" {
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
		"three of three, a day ago":                          {SiteSeen{Nodes: 3, Missed: at(1, 1, 1)}, true, true},
		"three of three, just before a day":                  {SiteSeen{Nodes: 3, Missed: at(0.99, 0.98, 0.97)}, true, false},
		"the first a day ago, the others since":              {SiteSeen{Nodes: 3, Missed: at(1, 0.5, 0.1)}, true, true},
		"three of four: one is up":                           {SiteSeen{Nodes: 4, Missed: at(1, 1, 1)}, false, false},
		"three of three, and a blacklisted one runs":         {SiteSeen{Nodes: 3, Alive: 1, Missed: at(1, 1, 1)}, false, false},
		"two of two: too small":                              {SiteSeen{Nodes: 2, Missed: at(1, 1)}, false, false},
		"three and one that was down long before":            {SiteSeen{Nodes: 4, Missed: at(1, 40, 1, 1)}, true, true},
		"two and one that was down long before":              {SiteSeen{Nodes: 3, Missed: at(1, 40, 1)}, false, false},
		"one after the other over weeks":                     {SiteSeen{Nodes: 3, Missed: at(20, 10, 1)}, false, false},
		"the second and third just within a day of the last": {SiteSeen{Nodes: 3, Missed: at(2, 2, 1)}, true, true},
		"one more than a day before the last":                {SiteSeen{Nodes: 3, Missed: []time.Time{ago(2).Add(-just), ago(1), ago(1)}}, false, false},
		"a site without nodes":                               {SiteSeen{}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			c.s.Site = "huji"
			v, outage, open := SiteOutage(numbers, c.s, now)
			if outage != c.outage || open != c.open {
				t.Errorf("outage %v, open %v; want %v, %v", outage, open, c.outage, c.open)
			}
			if outage && (v.Type != SiteDown || v.Target != "huji" || v.Site != "huji" || v.Node != "" || !strings.Contains(v.Reason, "went silent together")) {
				t.Errorf("the verdict is %+v", v)
			}
		})
	}
}
