package rollout

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
)

func plan(nodes, group, most int) Plan {
	return Plan{Name: "new-kernel", Act: request.Reboot, Count: nodes, Group: group, Most: most,
		Order: policy.Order{By: "alice", Role: policy.RoleOperator, Reason: "new kernel"}}
}

// Twenty thousand lives: no node is begun twice or beside the plan, nothing begins while it is paused, stopped or over,
// and it comes to an end.
func TestRollout_RandomLives(t *testing.T) {
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	ends := map[Status]int{}
	for seed := range 20_000 {
		r := rand.New(rand.NewPCG(uint64(seed), 5))
		p := plan(1+r.IntN(40), 1+r.IntN(10), r.IntN(5))
		p.Rest = time.Duration(r.IntN(3)) * time.Minute
		if r.IntN(4) == 0 {
			p.Limit = time.Duration(1+r.IntN(3)) * time.Hour
		}
		now, s := start, Start(p, start)
		planned := make([]bool, p.Count) // begun
		steer := Steer{By: "bob", Reason: "because"}
		for steps := 0; ; steps++ {
			if steps > 3000 {
				t.Fatalf("seed %d: it does not end: %+v", seed, s)
			}
			if r.IntN(15) == 0 {
				before := s.Status
				err := []func(Steer) error{s.Pause, s.Resume, s.Resume, s.Cancel}[r.IntN(4)](steer)
				if err != nil && s.Status != before {
					t.Fatalf("seed %d: refused, and yet %s became %s", seed, before, s.Status)
				}
				if before.Over() && err == nil {
					t.Fatalf("seed %d: it takes an order though it is %s", seed, before)
				}
			}
			next := s.Next(now)
			if next.Do == Finish {
				break
			}
			if next.Do == Sleep {
				if next.Until.IsZero() { // only an operator ends this
					if s.Status != Paused && s.Status != Stopped {
						t.Fatalf("seed %d: it sleeps for ever, and is %s", seed, s.Status)
					}
					if err := s.Resume(steer); err != nil {
						t.Fatal(err)
					}
					continue
				}
				now = next.Until
				continue
			}
			if s.Status != Running {
				t.Fatalf("seed %d: a group begins though it is %s", seed, s.Status)
			}
			var begin, skipped []Node
			for i := range planned {
				if len(begin) == p.Group {
					break
				}
				if planned[i] {
					continue
				}
				planned[i] = true
				n := Node{Seq: i + 1, State: Begun}
				if r.IntN(10) == 0 {
					skipped = append(skipped, n)
				} else {
					begin = append(begin, n)
				}
			}
			s.Began(begin, skipped)
			for _, n := range begin {
				now = now.Add(time.Minute)
				s.NodeEnded(now, n.Seq, []NodeState{Done, Done, Done, Failed, Unknown}[r.IntN(5)], "as the test has it")
				s.NodeEnded(now, n.Seq, Failed, "a second word") // which is not heard
			}
			if len(begin) > 0 && r.IntN(5) == 0 {
				s.Missed(begin[0].Seq, "not up in time")
			}
			s.GroupEnded(now)
		}
		ends[s.Status]++
		begun := 0
		for _, b := range planned {
			if b {
				begun++
			}
		}
		c := s.Count
		if total := c.Done + c.Failed + c.Skipped + c.Unknown; total != begun {
			t.Fatalf("seed %d: %d nodes are begun, and %d have an end: %+v", seed, begun, total, c)
		}
		if s.Status == Ended && begun != p.Count || s.Why == "" {
			t.Fatalf("seed %d: it ends with %d of %d begun: %s", seed, begun, p.Count, s.Why)
		}
	}
	for _, e := range []Status{Ended, Cancelled, TimeOver} {
		if ends[e] == 0 {
			t.Errorf("none of %v ended as %s", ends, e)
		}
	}
}

func TestRollout_StopsAfterTooManyFailuresAndAResumeLetsAsManyMoreFail(t *testing.T) {
	now := time.Now()
	s := Start(plan(10, 2, 1), now)
	fail := func() {
		s.Began([]Node{{Seq: s.Number + 1, State: Begun}}, nil)
		s.NodeEnded(now, s.Number, Failed, "away")
		s.GroupEnded(now)
	}
	fail()
	if s.Status != Running {
		t.Fatalf("after one failure it is %s", s.Status)
	}
	fail()
	if s.Status != Stopped || s.Next(now).Do != Sleep || !strings.Contains(s.Why, "2 nodes have failed, and 1 may") {
		t.Fatalf("after two it is %s: %s", s.Status, s.Why)
	}
	if err := s.Pause(Steer{By: "bob"}); err == nil {
		t.Error("a roll-out that is stopped is paused")
	}
	if err := s.Resume(Steer{By: "bob", Reason: "known"}); err != nil || s.Next(now).Do != Begin {
		t.Fatalf("resumed it is %s, %v", s.Status, err)
	}
	fail()
	if s.Status != Running {
		t.Errorf("after one failure more it is %s", s.Status)
	}
}

func TestRollout_WhatANodesRequestCameTo(t *testing.T) {
	for _, c := range []struct {
		story request.Story
		want  NodeState
	}{
		{request.Story{End: request.Returned}, Done},
		{request.Story{End: request.Done}, Done},
		{request.Story{End: request.NotBack}, Failed},
		{request.Story{End: request.Failed}, Failed},
		{request.Story{End: request.Unknown}, Unknown},
		{request.Story{End: request.Cancelled}, Planned},
		{request.Story{End: request.Refused, Check: "exempt"}, Skipped},
		{request.Story{End: request.Refused, Check: "blacklist"}, Skipped},
		{request.Story{End: request.Refused, Check: "answers"}, Failed},
	} {
		if got, why := After(c.story); got != c.want || why == "" {
			t.Errorf("%s (%s) is %s: %q", c.story.End, c.story.Check, got, why)
		}
	}
}

func TestRollout_WhatCannotBeMeantIsRefused(t *testing.T) {
	for name, change := range map[string]func(*Plan){
		"no name":                    func(p *Plan) { p.Name = "" },
		"a path for a name":          func(p *Plan) { p.Name = "../x" },
		"no nodes":                   func(p *Plan) { p.Count = 0 },
		"groups of none":             func(p *Plan) { p.Group = 0 },
		"groups of thousands":        func(p *Plan) { p.Group = 5000 },
		"no reason":                  func(p *Plan) { p.Order.Reason = "" },
		"an act that is none":        func(p *Plan) { p.Act = "explode" },
		"negative failures":          func(p *Plan) { p.Most = -1 },
		"an escape in its condition": func(p *Plan) { p.Wait = "\x1b[2J" },
	} {
		p := plan(10, 2, 1)
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
		change(&p)
		if p.Check() == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
