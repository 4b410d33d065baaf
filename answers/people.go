package answers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/site"
)

// People is what a site's workflow says: who holds its penalty, what pauses it, and what it is told.
type People struct {
	Level       int       `json:"penalty_level"`
	Reason      string    `json:"reason,omitempty"`
	Holds       []string  `json:"holds"` // issues that ask for a level, or only write
	NextStep    time.Time `json:"next_step,omitzero"`
	Paused      bool      `json:"paused"`
	PausedUntil time.Time `json:"paused_until,omitzero"`
	PauseReason string    `json:"pause_reason,omitempty"`
	Ticket      int       `json:"ticket,omitempty"`
	Waits       string    `json:"waits,omitempty"`
	Spared      string    `json:"spared,omitempty"`   // why nothing is denied, whatever issues ask
	Gathered    []string  `json:"gathered,omitempty"` // notices that wait to be said
}

// PeopleOf puts what a site's workflow says into words.
func PeopleOf(s site.State) People {
	v := People{Level: s.Level, Reason: s.Reason, Holds: []string{}, Ticket: s.Ticket.ID, Waits: s.Blocked}
	for _, id := range s.Holders(0) {
		v.Holds = append(v.Holds, fmt.Sprintf("%s at level %d", id, s.Holds[id].Level))
	}
	if p := s.Pause; p != nil {
		v.Paused, v.PausedUntil, v.PauseReason = true, p.Until.UTC(), p.Reason
		if p.By != "" && !p.Answer {
			v.PauseReason += " (" + p.By + ")"
		}
	}
	if s.Wanted() > s.Level && s.Pause == nil { // not before people were told of it, either
		v.NextStep = s.NextTry.UTC()
		if s.Warned != nil {
			v.NextStep = s.Warned.NotBefore.UTC()
		}
	}
	if s.Spared != nil {
		v.Spared = s.Spared.String()
	}
	gathered := s.Pending
	if s.Letter != nil {
		gathered = append(slices.Clone(s.Letter.Notices), gathered...)
	}
	for _, n := range gathered {
		v.Gathered = append(v.Gathered, strings.TrimSpace(n.Kind+" "+n.Ref.Target()))
	}
	return v
}
