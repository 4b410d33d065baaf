package site

import (
	"time"

	"github.com/planetlab/monitor/policy"
)

// MayRise says whether the site would ask the gate for its next step up at a time, for those who ask why it does not.
// Whether people were told, and what holds the step, the gate says.
func (s State) MayRise(at time.Time) policy.Decision {
	switch {
	case s.Unsure:
		return policy.No(s.NextRead, "the answer of a step was lost: what is in force is read first")
	case s.Warned != nil && !s.Warned.toAll(s.Rules):
		return policy.No(s.widenAt(), "those to whom the step speaks for the first time have not been told of it yet")
	case s.Looking.After(at):
		return policy.No(s.Looking, "its ticket, in which somebody may have answered, could not be looked at")
	case s.NextTry.After(at):
		return policy.No(s.NextTry, "its workflow has asked already, and asks again then")
	}
	return policy.Yes("it is its turn")
}
