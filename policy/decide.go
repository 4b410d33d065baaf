package policy

import (
	"fmt"
	"time"
)

// Decision is an answer with its reason. Until is when asking again may give another answer; zero when nothing in sight
// will change it.
type Decision struct {
	Do     bool      `json:"do"`
	Until  time.Time `json:"until,omitzero"`
	Reason string    `json:"reason"`
}

// Yes is a decision to do something, and why.
func Yes(reason string) Decision { return Decision{Do: true, Reason: reason} }

// No is a decision not to do something, until when, and why.
func No(until time.Time, format string, a ...any) Decision {
	return Decision{Until: until, Reason: fmt.Sprintf(format, a...)}
}

// NoticeDue keeps the same notice about the same target from going out twice within its time.
func NoticeDue(n Policy, kind string, last, now time.Time) Decision {
	every := n.NoticeEvery[kind]
	if next := last.Add(every); !last.IsZero() && now.Before(next) {
		return No(next, "the same notice went out less than %s ago", n.Days(every))
	}
	return Yes("due")
}

// Top is the highest penalty level: slices suspended.
const Top = 2

// Audience is who is written to at a penalty level, by their roles in PLC.
func Audience(level int) []string {
	switch {
	case level <= 0:
		return []string{"tech"}
	case level == 1:
		return []string{"tech", "pi"}
	}
	return []string{"tech", "pi", "user"}
}
