package request

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
)

func order(act Act) Input {
	in := Input{Node: "a.example", Act: act, Patience: time.Hour,
		Order: policy.Order{By: "alice", Role: policy.RoleOperator, Reason: "it hangs"}}
	if act == BootState {
		in.State = "boot"
	}
	return in
}

func opening(in Input) Opening {
	return Opening{Site: "s", NodeID: 1, Times: TimesOf(policy.Defaults(24*time.Hour), in), Before: Sight{Saw: "no ssh"}}
}

// A hundred thousand lives: after something was done, or may have been, nothing more is; each ends, and says why.
func TestRequest_RandomLives(t *testing.T) {
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	ends := map[End]int{}
	for seed := range 100_000 {
		r := rand.New(rand.NewPCG(uint64(seed), 3))
		now := start
		in := order(Acts()[r.IntN(3)])
		in.Patience = time.Duration(r.IntN(3)) * time.Hour
		s := Start("request/a.example", "run", in, opening(in), now)
		acted, left, keys := 0, false, map[string]bool{}
		for steps := 0; ; steps++ {
			if steps > 5000 {
				t.Fatalf("seed %d: it does not end: %+v", seed, s)
			}
			next := s.Next(now)
			if next.Do == Finish {
				break
			}
			if r.IntN(60) == 0 {
				before := s.End
				late := s.Leave(now, Cancel{By: "bob"})
				if late == "" && !s.Acted.IsZero() {
					t.Fatalf("seed %d: it is cancelled after it was done", seed)
				}
				if before == "" && s.End == Cancelled && acted > 0 {
					t.Fatalf("seed %d: it says that nothing was done", seed)
				}
				continue
			}
			switch next.Do {
			case Sleep:
				if !next.Until.After(now) {
					t.Fatalf("seed %d: it sleeps until %s, at %s", seed, next.Until, now)
				}
				now = next.Until
			case Try:
				if acted > 0 {
					t.Fatalf("seed %d: it acts again", seed)
				}
				if key := s.Key(); keys[key] && s.Lost == 0 {
					t.Fatalf("seed %d: the key %s names two tries", seed, key)
				} else {
					keys[key] = true
				}
				if left && s.Lost == 0 {
					t.Fatalf("seed %d: it tries though it was cancelled", seed)
				}
				s.Began(now)
				now = now.Add(time.Duration(r.IntN(90)) * time.Second)
				if r.IntN(20) == 0 {
					left = s.Leave(now, Cancel{By: "bob", Reason: "the wrong node"}) == ""
				}
				res := answers(r, now)
				if res.Outcome == issue.Acted {
					acted++
				}
				s.Answered(now, res)
			case Look:
				saw := Sight{At: now, Saw: "looked"}
				switch r.IntN(6) {
				case 0:
					saw = Sight{At: now, Alive: true, Up: true, Saw: "boot", Booted: now.Add(-time.Second)}
				case 1:
					saw = Sight{At: now, Alive: true, Saw: "debug"}
				case 2:
					s.NotSeen(now, "no probe")
					continue
				}
				s.Saw(now, saw)
			}
		}
		ends[s.End]++
		if s.Reason == "" && s.End != Cancelled || s.Ended.IsZero() || len(s.Steps) == 0 || len(s.Steps) > mostSteps {
			t.Fatalf("seed %d: it ends as %+v", seed, s.Story)
		}
		if s.End.Acted() && s.Acted.IsZero() || acted > 0 && !s.End.Acted() && s.End != Asked {
			t.Fatalf("seed %d: it ends as %s, and acted %d times", seed, s.End, acted)
		}
		if s.End == Refused && s.Check == "" {
			t.Fatalf("seed %d: nobody says which check refused: %+v", seed, s.Story)
		}
		if most := s.Found.Times.Return + in.Patience + 3*time.Hour; now.Sub(start) > most {
			t.Fatalf("seed %d: it lasted %s, more than %s", seed, now.Sub(start), most)
		}
	}
	for _, e := range []End{Returned, Done, NotBack, Asked, Unknown, Refused, Failed, Cancelled} {
		if ends[e] == 0 {
			t.Errorf("none of %v ended as %s", ends, e)
		}
	}
}

func answers(r *rand.Rand, now time.Time) issue.Result {
	switch r.IntN(12) {
	case 0, 1, 2:
		return issue.Result{Outcome: issue.Acted, Power: issue.Cycled, Reason: "read back on"}
	case 3:
		return issue.Result{Outcome: issue.Acted, Power: issue.PowerLost, Reason: "the answer was lost"}
	case 4:
		return issue.Result{Outcome: issue.Passed, Reason: "the device is away"}
	case 5:
		return issue.Result{Outcome: issue.Passed, Check: "pcu", Reason: "no PCU feeds it"}
	case 6:
		return issue.Result{Outcome: issue.Wait, Check: "budget", Reason: "the budget is spent", Until: now.Add(time.Hour)}
	case 7:
		return issue.Result{Outcome: issue.Wait, Check: "answers", Reason: "it answers"}
	case 8:
		return issue.Result{Outcome: issue.Wait, Reason: "busy"}
	case 9:
		return issue.Result{Outcome: issue.Unknown, Reason: "no answer in time"}
	case 10:
		return issue.Result{Outcome: issue.Acted, Power: issue.Asked, Reason: "asked the admins"}
	}
	return issue.Result{Outcome: issue.Gone, Reason: "gone"}
}

func TestRequest_Stories(t *testing.T) {
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	live := func(in Input, before Sight, answers []issue.Result, sights ...Sight) State {
		o := opening(in)
		o.Before = before
		now := start
		s := Start("request/a.example", "run", in, o, now)
		for {
			switch next := s.Next(now); next.Do {
			case Sleep:
				now = next.Until
			case Try:
				s.Began(now)
				now = now.Add(time.Minute)
				s.Answered(now, answers[0])
				answers = answers[1:]
			case Look:
				saw := Sight{At: now, Saw: "no ssh"}
				if len(sights) > 0 {
					saw, sights = sights[0], sights[1:]
					if !saw.Booted.IsZero() {
						saw.Booted = now.Add(-time.Second)
					}
				}
				s.Saw(now, saw)
			case Finish:
				return s
			}
		}
	}
	up := Sight{Alive: true, Up: true, Saw: "boot, kernel 6"}
	booted := up
	booted.Booted = start
	cut := issue.Result{Outcome: issue.Acted, Power: issue.Cycled, Reason: "outlet cycled and read back on"}
	lost := issue.Result{Outcome: issue.Acted, Power: issue.PowerLost, Reason: "the answer was lost"}
	none := issue.Result{Outcome: issue.Passed, Check: "pcu", Reason: "no PCU feeds it"}
	soon := order(Reboot)
	soon.Patience = 0
	for _, c := range []struct {
		name    string
		in      Input
		before  Sight
		answers []issue.Result
		sights  []Sight
		end     End
		says    string
	}{
		{"a hung node comes back", order(Reboot), Sight{}, []issue.Result{cut}, []Sight{{Saw: "no ssh"}, up}, Returned, "it is back after"},
		{"a hung node stays away", order(Reboot), Sight{}, []issue.Result{cut}, nil, NotBack, "within 30m0s"},
		{"a node that was up is back only once it has booted", order(Reboot), up, []issue.Result{cut}, []Sight{up, up, booted}, Returned, "boot"},
		{"a node that was up and was never seen to boot", order(Reboot), up, []issue.Result{lost}, []Sight{up, up, up, up, up, up, up, up, up, up, up, up, up, up, up, up, up, up, up, up, up, up, up, up, up, up}, Unknown, "not seen to restart"},
		{"it ends in debug mode", order(Reboot), Sight{}, []issue.Result{cut}, []Sight{{Alive: true, Saw: "debug"}}, NotBack, "no ssh"},
		{"without a PCU it goes over ssh", order(Reboot), up, []issue.Result{none, cut}, []Sight{{Saw: "no ssh"}, up}, Returned, ""},
		{"without any way a reinstallation is left to PLC", order(Reinstall), Sight{}, []issue.Result{none,
			{Outcome: issue.Passed, Reason: "it cannot be entered"}, {Outcome: issue.Acted, Reason: "PLC has it at reinstall"}}, nil, Done, "PLC has it at reinstall"},
		{"without any way a reboot fails", order(Reboot), Sight{}, []issue.Result{none, {Outcome: issue.Passed, Reason: "it cannot be entered"}}, nil, Failed, "no way is left"},
		{"a no of the gate ends it", order(Reboot), up, []issue.Result{{Outcome: issue.Wait, Check: "exempt", Reason: "exempt until May", Until: start.Add(99 * time.Hour)}}, nil, Refused, "exempt until May"},
		{"who has patience waits for a budget", order(Reboot), Sight{}, []issue.Result{{Outcome: issue.Wait, Check: "budget", Reason: "spent"}, cut}, []Sight{up}, Returned, ""},
		{"nobody waits for what takes longer", order(Reboot), Sight{}, []issue.Result{{Outcome: issue.Wait, Check: "budget", Reason: "spent", Until: start.Add(2 * time.Hour)}}, nil, Refused, "spent"},
		{"nobody waits until an answering node is silent", order(Reboot), up, []issue.Result{{Outcome: issue.Wait, Check: "answers", Reason: "it answers"}}, nil, Refused, "it answers"},
		{"who has none does not", soon, Sight{}, []issue.Result{{Outcome: issue.Wait, Check: "budget", Reason: "spent"}}, nil, Refused, "spent"},
		{"a busy PCU leaves the next way", soon, up, []issue.Result{{Outcome: issue.Wait, Reason: "busy"}, cut}, []Sight{{Saw: "no ssh"}, up}, Returned, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := live(c.in, c.before, c.answers, c.sights...)
			if s.End != c.end || !strings.Contains(s.Reason, c.says) {
				t.Errorf("it ends as %s: %s\n%s", s.End, s.Reason, steps(s))
			}
		})
	}
}

func steps(s State) (text string) {
	for _, x := range s.Steps {
		text += fmt.Sprintf("%s %s %s: %s\n", x.At.Format(time.TimeOnly), x.Way, x.What, x.Why)
	}
	return text
}

func TestRequest_WhatCannotBeMeantIsRefused(t *testing.T) {
	for name, change := range map[string]func(*Input){
		"no node":                        func(in *Input) { in.Node = "" },
		"no act":                         func(in *Input) { in.Act = "explode" },
		"no reason":                      func(in *Input) { in.Order.Reason = "" },
		"nobody":                         func(in *Input) { in.Order.By = "" },
		"no role":                        func(in *Input) { in.Order.Role = "" },
		"a site's person who waives":     func(in *Input) { in.Order.Role, in.Order.Waives = policy.RoleSite, []policy.Waiver{policy.EvenIfUp} },
		"an unknown waiver":              func(in *Input) { in.Order.Waives = []policy.Waiver{"all"} },
		"a way that is none":             func(in *Input) { in.Ways = []Way{ByPLC} },
		"a boot state for a reboot":      func(in *Input) { in.State = "boot" },
		"a site's person who disables":   func(in *Input) { in.Act, in.State, in.Order.Role = BootState, "disabled", policy.RoleSite },
		"an escape in the reason":        func(in *Input) { in.Order.Reason = "x\x1b[2J" },
		"a reason of two megabytes":      func(in *Input) { in.Order.Reason = strings.Repeat("x", 2<<20) },
		"a patience that is no duration": func(in *Input) { in.Patience = -1 },
	} {
		in := order(Reboot)
		if err := in.Check(); err != nil {
			t.Fatal(err)
		}
		change(&in)
		if in.Check() == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
