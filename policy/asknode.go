package policy

import (
	"fmt"
	"time"
)

func askFirewall(_ Policy, f GateFacts, _ time.Time) Decision {
	switch {
	case f.Node.Finding.Firewall:
		return No(time.Time{}, "it is behind a firewall, which no reboot mends: %s", f.Node.Finding.Reason)
	case f.Node.FirewallIssue != "":
		return No(time.Time{}, "%s is open, and no reboot mends a firewall", f.Node.FirewallIssue)
	}
	return Yes("no firewall is seen")
}

func askAnswers(_ Policy, f GateFacts, _ time.Time) Decision {
	n := f.Node
	switch {
	case !n.Looked:
		return No(time.Time{}, "it could not be looked at")
	case n.Finding.Locked:
		return No(time.Time{}, "it is alive and lets nobody in, which no power command mends: %s", n.Finding.Reason)
	case n.Finding.Alive():
		return No(time.Time{}, "it answers: %s", n.Finding.Reason)
	}
	return Yes("it is silent: " + n.Finding.Reason)
}

func askHeartbeat(p Policy, f GateFacts, now time.Time) Decision {
	n := f.Node
	switch {
	case n.NoHeartbeats:
		return Yes("nodes do not report to " + f.from() + ": there is no heartbeat to ask for")
	case !n.AskedPLC:
		return No(time.Time{}, "PLC cannot be asked whether it hears the node")
	}
	if age := now.Sub(n.LastContact); age < p.HeartbeatFresh && n.LastContact.After(n.SilentFrom) {
		return No(n.LastContact.Add(p.HeartbeatFresh),
			"PLC heard from it %s ago: it is alive, and unreachable from here", short(age))
	}
	return Yes("PLC has not heard from it")
}

func askBooting(p Policy, f GateFacts, now time.Time) Decision {
	if age := now.Sub(f.Node.LastBoot); age < p.BootGrace {
		return No(f.Node.LastBoot.Add(p.BootGrace), "it began to boot %s ago", short(age))
	}
	step := p.BootGrace
	if !f.Order.Given() { // a ladder gives it as long as after any power cycle: this one ends only now
		step = max(step, p.MachineStep)
	}
	if age := now.Sub(f.Node.PowerBack); age < step {
		return No(f.Node.PowerBack.Add(step),
			"its power came back %s ago, after Monitor had, or may have, left it off: it may still be coming up", short(age))
	}
	if age := now.Sub(f.Node.TurnedOn); age < step {
		return No(f.Node.TurnedOn.Add(step), "a person turned it on %s ago: it may still be coming up", short(age))
	}
	for _, cycle := range f.Cycles {
		if age := now.Sub(cycle); age < p.BootGrace {
			return No(cycle.Add(p.BootGrace), "its power was cut %s ago: it may still be coming back", short(age))
		}
	}
	return Yes("it is not booting")
}

func askBootState(_ Policy, f GateFacts, _ time.Time) Decision {
	if !f.Node.AskedPLC {
		return No(time.Time{}, "%s cannot be asked for its boot state", f.from())
	}
	if s := CleanBootState(f.Node.BootState); s == "disabled" || s == "safeboot" {
		return No(time.Time{}, "%s has it at %s: it is in somebody's hands", f.from(), s)
	}
	return Yes(f.from() + " has it at " + f.Node.BootState)
}

func askExempt(_ Policy, f GateFacts, now time.Time) Decision {
	switch {
	case f.NodeExemptUntil.After(now):
		return No(f.NodeExemptUntil, "the node is exempt in %s until %s", f.from(),
			f.NodeExemptUntil.UTC().Format(time.DateOnly))
	case f.SiteExemptUntil.After(now):
		return No(f.SiteExemptUntil, "the site is exempt in %s until %s", f.from(),
			f.SiteExemptUntil.UTC().Format(time.DateOnly))
	}
	return Yes("not exempt")
}

func askBlacklist(_ Policy, f GateFacts, _ time.Time) Decision {
	switch {
	case f.Listed.Listed && f.Listed.Downtime:
		return No(f.Listed.Until, "in a downtime: %s", f.Listed.Reason)
	case f.Listed.Listed:
		return No(f.Listed.Until, "exempt: %s", f.Listed.Reason)
	}
	return Yes("not exempt by an order")
}

// askHeldOff asks again now and then: no sweep sees that an outlet is turned on again.
func askHeldOff(p Policy, f GateFacts, now time.Time) Decision {
	if f.Node.HeldOff != "" {
		return No(now.Add(p.Day/4), "%s", f.Node.HeldOff)
	}
	return Yes("nobody has turned its power off by an order")
}

func askPCU(p Policy, f GateFacts, now time.Time) Decision {
	switch {
	case f.PCU.Feeds == 0:
		return No(time.Time{}, "no PCU feeds it")
	case f.PCU.Broken != "":
		return No(time.Time{}, "%s", f.PCU.Broken)
	case f.PCU.Shaky != "": // one failed dry run does not cost a node its reboot
		return No(latest(f.PCU.Again, now.Add(p.Hour()/4)), "%s", f.PCU.Shaky)
	}
	return Yes("its PCU works")
}

func askInstaller(_ Policy, f GateFacts, _ time.Time) Decision {
	if f.PCU.Installer == "" {
		return No(time.Time{}, "nothing can have it installed anew: its PCU cannot choose what it boots from, and there "+
			"is no hook for that")
	}
	return Yes("it is installed anew by " + f.PCU.Installer)
}

func askAttempts(p Policy, f GateFacts, now time.Time) Decision {
	if hardware, why := LikelyHardware(p, f.Cycles, now); hardware {
		return No(time.Time{}, "%s", why)
	}
	return Yes("not power-cycled too often")
}

// LikelyHardware reports whether a node was power-cycled as often as may be and needs it again: no reboot will mend it.
func LikelyHardware(p Policy, cycles []time.Time, now time.Time) (bool, string) {
	count := 0
	for _, t := range cycles {
		if now.Sub(t) < p.RebootWindow {
			count++
		}
	}
	return count >= p.MaxReboots, fmt.Sprintf("power-cycled %d times within %s: likely hardware, not another reboot",
		count, p.Days(p.RebootWindow))
}
