package policy

import (
	"strings"
	"time"
)

func askTarget(_ Policy, f GateFacts, _ time.Time) Decision {
	if !f.Exists {
		return No(time.Time{}, "%s does not have %s any more", f.from(), f.Target)
	}
	return Yes("it is in " + f.from())
}

func askOrder(_ Policy, f GateFacts, _ time.Time) Decision {
	if f.Ordered != "" {
		return No(time.Time{}, "%s", f.Ordered)
	}
	return Yes("nobody ordered otherwise")
}

func askRecovered(_ Policy, f GateFacts, _ time.Time) Decision {
	if f.Recovered != "" {
		return No(time.Time{}, "it is good again: %s", f.Recovered)
	}
	return Yes("it is not good")
}

func askSwitch(_ Policy, f GateFacts, _ time.Time) Decision {
	if f.Stopped != "" {
		return No(time.Time{}, "Monitor is stopped: %s", f.Stopped)
	}
	return Yes("Monitor may act")
}

func askMode(_ Policy, f GateFacts, _ time.Time) Decision {
	if f.Mode != ModeAct {
		if f.ModeWhy != "" {
			return No(time.Time{}, "observe mode: would %s (%s)", f.Act, f.ModeWhy)
		}
		return No(time.Time{}, "observe mode: would %s", f.Act)
	}
	return Yes("the mode is act")
}

// leaseIntervals is how many intervals a believed sweep lasts: one may be late, two are a fault.
const leaseIntervals = 2

// Until is when the lease ends.
func (l Lease) Until() time.Time { return l.Believed.Add(leaseIntervals * l.Every) }

func askLease(_ Policy, f GateFacts, now time.Time) Decision {
	l := f.Lease
	again := now.Add(max(l.Every, time.Minute))
	switch {
	case l.Believed.IsZero() && l.Doubt == "":
		return No(again, "no sweep has ended yet")
	case l.Doubt != "":
		return No(again, "the last sweep is not believed: %s", l.Doubt)
	case now.After(l.Until()):
		return No(again, "the last believed sweep ended %s ago, and one is due every %s",
			short(now.Sub(l.Believed)), short(l.Every))
	}
	return Yes("the last believed sweep is fresh")
}

func askCovered(_ Policy, f GateFacts, _ time.Time) Decision {
	if f.CoveredBy != "" {
		return No(time.Time{}, "%s", f.CoveredBy)
	}
	return Yes("no other issue speaks for it")
}

// short is a duration as people write it: 3h and not 3h0m0s.
func short(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
