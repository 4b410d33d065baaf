package policy

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// acts are all that Monitor may do.
func acts() []Act {
	return []Act{ActOpen, ActReboot, ActReinstall, ActRepair, ActRestart, ActWipe, ActDisable, ActNotify, ActPenalize}
}

// allowed are facts under which an act passes.
func allowed(act Act, now time.Time) GateFacts {
	long := now.AddDate(0, -3, 0)
	f := GateFacts{
		Act: act, Issue: "nodedown/a.example", Target: "a.example", Exists: true, Mode: ModeAct,
		Lease: Lease{Believed: now.Add(-time.Minute), Every: 30 * time.Minute},
		Node: NodeGate{Looked: true, Finding: Finding{State: StateDown, Reason: "no ssh"},
			SilentFrom: now.Add(-72 * time.Hour), AskedPLC: true, BootState: "boot", LastContact: long, LastBoot: long},
		PCU: PCUGate{Feeds: 1, Installer: "PLC"},
		Site: SiteGate{Record: Record{Status: StatusDown, Changed: long}, Created: now.AddDate(-3, 0, 0), To: 1,
			Told: now.AddDate(0, 0, -8), NotBefore: now.AddDate(0, 0, -1)},
	}
	return f
}

func gateTimes(t *testing.T) int {
	if text := os.Getenv("MONITOR_HISTORIES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 100_000
}

// spoil changes facts at random, most of them rarely, so that acts still pass now and then.
func spoil(r *rand.Rand, f *GateFacts, p Policy, now time.Time) {
	may := func(do func()) {
		if r.IntN(12) == 0 {
			do()
		}
	}
	ago := func(d time.Duration) time.Time { return now.Add(-time.Duration(r.Int64N(int64(2*d))) + d/50) }
	may(func() { f.Exists = false })
	may(func() { f.Ordered = "an order came" })
	may(func() { f.Recovered = "up" })
	may(func() { f.Stopped = "a fire" })
	may(func() { f.Mode = []Mode{ModeObserve, "", "advise", "ACT"}[r.IntN(4)] })
	may(func() { f.Lease.Believed = ago(time.Hour) })
	may(func() { f.Lease = Lease{} })
	may(func() { f.Lease.Doubt = "half the fleet is gone" })
	may(func() { f.CoveredBy = "sitedown/s speaks for it" })
	may(func() {
		f.Node.Finding = []Finding{{State: StateBoot}, {State: StateDebug}, {State: StateDown, Locked: true},
			{State: StateDown, Firewall: true}, {}}[r.IntN(5)]
	})
	may(func() { f.Node.Looked = false })
	may(func() { f.Node.AskedPLC = false })
	may(func() {
		f.Node.BootState = []string{"disabled", "disable", "safeboot", "reinstall", "dbg", ""}[r.IntN(6)]
	})
	may(func() { f.Node.LastContact = ago(p.HeartbeatFresh) })
	may(func() { f.Node.SilentFrom = ago(p.HeartbeatFresh) })
	may(func() { f.Node.LastBoot = ago(p.BootGrace) })
	may(func() { f.Node.PowerBack = ago(p.MachineStep) })
	may(func() { f.Node.TurnedOn = ago(p.MachineStep) })
	may(func() { f.Node.HeldOff = "alice turned its outlet off" })
	may(func() { f.Node.FirewallIssue = "firewall/a.example" })
	may(func() {
		f.PCU = []PCUGate{{}, {Feeds: 2, Broken: "down"},
			{Feeds: 1, Shaky: "offline", Again: now.Add(time.Hour)}}[r.IntN(3)]
	})
	may(func() { f.NodeExemptUntil = ago(24 * time.Hour) })
	may(func() { f.SiteExemptUntil = ago(24 * time.Hour) })
	may(func() { f.Listed = Listing{Listed: true, Downtime: r.IntN(2) == 0, Reason: "new board"} })
	for range r.IntN(3) {
		may(func() { f.Cycles = append(f.Cycles, ago(p.RebootWindow), ago(p.RebootWindow)) })
	}
	may(func() { f.Spent = Spent{r.IntN(40), r.IntN(8)} })
	may(func() { f.Site.Up = r.IntN(4) })
	may(func() { f.Site.Pending = true })
	may(func() { f.Site.Created = ago(p.SiteNew) })
	may(func() {
		f.Site.Record = Record{[]Status{StatusNew, StatusGood, StatusOffline, StatusDown, ""}[r.IntN(5)],
			ago(p.SiteDownBeforePenalty)}
	})
	may(func() { f.PCU.Installer = "" })
	may(func() { f.From, f.Node.NoHeartbeats = "the inventory", true })
	may(func() { f.Site.Told = time.Time{} })
	may(func() { f.Site.NotBefore = ago(24 * time.Hour) })
	may(func() { f.Site.LastRaise = ago(p.PenaltyStep) })
}

func TestGate_RandomFacts(t *testing.T) {
	p := Defaults(24 * time.Hour)
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	passed := map[Act]int{}
	for seed := range gateTimes(t) {
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		act := acts()[r.IntN(len(acts()))]
		f := allowed(act, now)
		spoil(r, &f, p, now)
		answer, all := Ask(p, f, now), AskAll(p, f, now)
		must := func(ok bool, format string, a ...any) {
			if !ok {
				t.Helper()
				t.Fatalf("seed %d, %s: %s\n%+v", seed, act, fmt.Sprintf(format, a...), f)
			}
		}
		first := CheckAnswer{Decision: Decision{Do: true}}
		for _, c := range all {
			must(c.Reason != "", "check %q answers %v without a reason", c.Name, c.Do)
			must(c.Do || c.Until.IsZero() || c.Until.After(now), "check %q is to be asked again at %s, which is past",
				c.Name, c.Until)
			if !c.Do && first.Do {
				first = c
			}
		}
		must(answer.Do == first.Do && (answer.Do || answer.Check == first.Name && answer.Decision == first.Decision),
			"one by one it is %+v, all at once %+v", answer, first)
		if !answer.Do {
			continue
		}
		passed[act]++
		must(f.Exists && f.Ordered == "" && f.Recovered == "" && f.CoveredBy == "", "it passed")
		must(f.Stopped == "", "it acts though Monitor is stopped")
		must(act == ActOpen || f.Mode == ModeAct, "it acts in mode %q", f.Mode)
		must(!f.Lease.Believed.IsZero() && f.Lease.Doubt == "" && now.Sub(f.Lease.Believed) <= 2*f.Lease.Every,
			"it acts without a lease")
		must(!f.NodeExemptUntil.After(now) && !f.SiteExemptUntil.After(now), "it acts on what is exempt")
		must(!f.Listed.Listed, "it acts on what is listed")
		if slices.Contains(machineActs(), act) {
			must(f.Node.AskedPLC && !slices.Contains([]string{"disabled", "safeboot"},
				CleanBootState(f.Node.BootState)), "it acts on a node in somebody's hands")
		}
		if slices.Contains(counted(), act) {
			lately := 0
			for _, c := range f.Cycles {
				if now.Sub(c) < p.RebootWindow {
					lately++
				}
			}
			must(lately < p.MaxReboots, "cycle %d in the window", lately+1)
		}
		if fleet, site := p.BudgetOf(act); fleet > 0 {
			must(f.Spent.Fleet < fleet && f.Spent.Site < site, "it is over its budget")
		}
		switch act {
		case ActReboot, ActReinstall:
			must(f.Node.Looked && !f.Node.Finding.Alive() && !f.Node.Finding.Locked,
				"power is cut from a node that answers")
			must(!f.Node.Finding.Firewall && f.Node.FirewallIssue == "",
				"power is cut from a node that it does not help")
			must(f.Node.NoHeartbeats || now.Sub(f.Node.LastContact) >= p.HeartbeatFresh || !f.Node.LastContact.After(f.Node.SilentFrom),
				"power is cut from a node that PLC hears")
			must(now.Sub(f.Node.LastBoot) >= p.BootGrace, "power is cut from a node that boots")
			must(f.PCU.Feeds > 0 && f.PCU.Broken == "" && f.PCU.Shaky == "", "there is no PCU to do it")
			must(act == ActReboot || f.PCU.Installer != "", "nothing would install it")
		case ActPenalize:
			s := f.Site
			must(!s.Pending && s.Record.Status == StatusDown && s.Up < p.SiteMinUp && now.Sub(s.Created) >= p.SiteNew,
				"such a site is not penalised")
			must(!s.Told.IsZero() && !now.Before(s.NotBefore), "nobody was told, or it comes too soon")
			must(s.LastRaise.IsZero() || now.Sub(s.LastRaise) >= p.PenaltyStep, "two steps at once")
		}
	}
	for _, act := range acts() {
		if passed[act] == 0 {
			t.Errorf("%s never passed: nothing was tested of it", act)
		}
	}
}

func TestGate_WhatIsNotKnownForbids(t *testing.T) {
	p := Defaults(24 * time.Hour)
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, act := range acts() {
		if a := Ask(p, GateFacts{Act: act}, now); a.Do {
			t.Errorf("%s passes though nothing is known", act)
		}
		if a := Ask(p, allowed(act, now), now); !a.Do {
			t.Errorf("%s does not pass at all: %+v", act, a)
		}
	}
	everybody, actors := acts(), slices.DeleteFunc(acts(), func(a Act) bool { return a == ActOpen })
	for _, c := range []struct {
		unknown string
		forget  func(*GateFacts)
		forbids []Act
	}{
		{"whether PLC has the target", func(f *GateFacts) { f.Exists = false }, everybody},
		{"the mode", func(f *GateFacts) { f.Mode = "" }, actors},
		{"when a sweep was believed", func(f *GateFacts) { f.Lease.Believed = time.Time{} }, everybody},
		{"how often a sweep is due", func(f *GateFacts) { f.Lease.Every = 0 }, everybody},
		{"how the node looks", func(f *GateFacts) { f.Node.Looked = false }, power()},
		{"what PLC says of the node", func(f *GateFacts) {
			f.Node = NodeGate{Looked: true, Finding: f.Node.Finding}
		}, machineActs()},
		{"since when it is silent, while PLC hears it", func(f *GateFacts) {
			f.Node.SilentFrom, f.Node.LastContact = time.Time{}, now
		}, power()},
		{"which PCU feeds it", func(f *GateFacts) { f.PCU = PCUGate{} }, power()},
		{"what would install it", func(f *GateFacts) { f.PCU.Installer = "" }, []Act{ActReinstall}},
		{"whether people were told", func(f *GateFacts) { f.Site.Told = time.Time{} }, []Act{ActPenalize}},
		{"how the site does", func(f *GateFacts) { f.Site = SiteGate{} }, []Act{ActPenalize}},
	} {
		for _, act := range acts() {
			f := allowed(act, now)
			c.forget(&f)
			if a := Ask(p, f, now); a.Do == slices.Contains(c.forbids, act) {
				t.Errorf("%s, not knowing %s: %+v", act, c.unknown, a)
			}
		}
	}
}

// Without PLC there is no heartbeat to ask for, which the check says and no act waits for; that the inventory was not
// read forbids all the same.
func TestGate_WithoutPLC(t *testing.T) {
	p := Defaults(24 * time.Hour)
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, act := range power() {
		f := allowed(act, now)
		f.From, f.PCU.Installer = "the inventory", "the boot device of bmc-n1"
		f.Node.NoHeartbeats, f.Node.LastContact, f.Node.LastBoot = true, time.Time{}, time.Time{}
		if a := Ask(p, f, now); !a.Do {
			t.Errorf("%s: %+v", act, a)
		}
		for _, c := range AskAll(p, f, now) {
			if strings.Contains(c.Reason, "PLC") {
				t.Errorf("%s, %s speaks of PLC, which is not there: %s", act, c.Name, c.Reason)
			}
		}
		f.Node.AskedPLC = false
		if a := Ask(p, f, now); a.Do || a.Check != "boot state" ||
			a.Reason != "the inventory cannot be asked for its boot state" {
			t.Errorf("%s, where the inventory was not read: %+v", act, a)
		}
	}
}

func TestGate_ThePageIsWhatTheGateIs(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "gate.md"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(page)) != strings.TrimSpace(GateMarkdown()) {
		t.Error("docs/gate.md is not what the gate is: run `make docs`")
	}
	names := map[string]bool{}
	for _, c := range Gate() {
		if c.Name == "" || c.Asks == "" || names[c.Name] ||
			!strings.Contains(string(page), "| "+c.Name+" | "+c.Asks+" |") {
			t.Errorf("check %q, which asks %q, has no line of its own", c.Name, c.Asks)
		}
		names[c.Name] = true
	}
}
