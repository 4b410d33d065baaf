package site

import (
	"strings"
	"testing"
	"time"
)

// Whoever asks why a site's level does not rise is told no where the site would not take the step.
func TestMayRise_SaysNoWhereNoStepIsTaken(t *testing.T) {
	now := begin.Add(8 * 24 * time.Hour)
	for says, change := range map[string]func(*State){
		"it is its turn":                func(*State) {},
		"the answer of a step was lost": func(s *State) { s.Unsure = true },
		"have not been told of it yet":  func(s *State) { s.Warned = &Warning{Level: 2, Reaches: 1} },
		"its ticket":                    func(s *State) { s.Looking = now.Add(time.Hour) },
		"asks again then":               func(s *State) { s.NextTry = now.Add(time.Hour) },
	} {
		s := knows(1)
		s.Unsure, s.Warned, s.Looking, s.NextTry = false, nil, time.Time{}, time.Time{}
		change(&s)
		if d := s.MayRise(now); !strings.Contains(d.Reason, says) || d.Do != (says == "it is its turn") {
			t.Errorf("want %q, said %v: %s", says, d.Do, d.Reason)
		}
	}
}
