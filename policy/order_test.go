package policy

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// An order passes over what the list says, and over nothing else: whoever gives it, exempt, blacklist, switch, mode,
// lease and budgets hold.
func TestOrder_PassesOverWhatTheListSaysAndNothingElse(t *testing.T) {
	p := Defaults(24 * time.Hour)
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	ordered := append(acts(), ActRebootSSH, ActReinstallSSH, ActBootState, ActOutlet)
	all := []Waiver{EvenIfUp, EvenIfTried}
	for seed := range 50_000 {
		r := rand.New(rand.NewPCG(uint64(seed), 11))
		f := allowed(ordered[r.IntN(len(ordered))], now)
		spoil(r, &f, p, now)
		plain := AskAll(p, f, now)
		f.Order = Order{By: "alice", Role: []Role{RoleOperator, RoleSite, ""}[r.IntN(3)], Waives: all[:r.IntN(3)]}
		byOrder := AskAll(p, f, now)
		for _, c := range plain {
			i := slices.IndexFunc(byOrder, func(x CheckAnswer) bool { return x.Name == c.Name })
			may := f.Order.Role == RoleOperator && slices.ContainsFunc(Waivers(), func(w Waived) bool {
				return w.Check == c.Name && (w.Asked == "" || slices.Contains(f.Order.Waives, w.Asked)) &&
					(len(w.For) == 0 || slices.Contains(w.For, f.Act))
			})
			if i < 0 && !may {
				t.Fatalf("seed %d: %+v passes over %s before %s", seed, f.Order, c.Name, f.Act)
			}
			if i >= 0 && byOrder[i].Decision != c.Decision &&
				!(c.Name == "booting" && (byOrder[i].Do || byOrder[i].Until.Before(c.Until))) { // a ladder gives it longer
				t.Fatalf("seed %d: %s answers %+v to a person, else %+v", seed, c.Name, byOrder[i], c)
			}
		}
		if !Ask(p, f, now).Do {
			continue
		}
		if f.Stopped != "" || f.Mode != ModeAct && f.Act != ActOpen || f.Listed.Listed || f.NodeExemptUntil.After(now) ||
			f.SiteExemptUntil.After(now) || f.Lease.Believed.IsZero() {
			t.Fatalf("seed %d: it passes with %+v", seed, f)
		}
	}
}

func TestOrder_WaiversNameChecksOfTheGate(t *testing.T) {
	for _, w := range Waivers() {
		if !slices.ContainsFunc(Gate(), func(c Check) bool { return c.Name == w.Check }) {
			t.Errorf("the gate has no check %q", w.Check)
		}
		if w.Why == "" || !strings.Contains(GateMarkdown(), "| "+w.Check+" | ") {
			t.Errorf("%s is not explained", w.Check)
		}
	}
}

// A node that answers is rebooted for an operator who says so, and for nobody else.
func TestOrder_OnlyAnOperatorWhoSaysSoRebootsANodeThatAnswers(t *testing.T) {
	p := Defaults(24 * time.Hour)
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	f := allowed(ActReboot, now)
	f.Node.Finding = Finding{State: StateBoot, Reason: "boot"}
	f.Node.LastContact = now
	for _, c := range []struct {
		name  string
		order Order
		check string
	}{
		{"Monitor itself", Order{}, "answers"},
		{"an operator", Order{By: "alice", Role: RoleOperator}, "answers"},
		{"an operator who says so", Order{By: "alice", Role: RoleOperator, Waives: []Waiver{EvenIfUp}}, ""},
		{"somebody of the site", Order{By: "bob", Role: RoleSite, Waives: []Waiver{EvenIfUp}}, "answers"},
	} {
		f.Order = c.order
		if a := Ask(p, f, now); a.Check != c.check || a.Do != (c.check == "") {
			t.Errorf("%s: %+v", c.name, a)
		}
	}
}
