package answers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// Agenda is all that comes if nothing changes.
type Agenda struct {
	Until   time.Time    `json:"until"`
	Steps   []AgendaStep `json:"steps"`             // by time
	Vetoed  []AgendaStep `json:"vetoed"`            // what operators will not have
	Paused  []AgendaStep `json:"paused"`            // of what nothing comes until somebody resumes it
	Unread  []string     `json:"unread,omitempty"`  // open issues of which nobody knows yet what comes
	Missing string       `json:"missing,omitempty"` // why the penalties to come are not all there
}

// AgendaStep is one coming act. Each is asked of the gate again when its time has come.
type AgendaStep struct {
	At     time.Time    `json:"at,omitzero"` // not before
	Site   string       `json:"site"`
	Issue  string       `json:"issue,omitempty"` // empty: of the site
	Step   int          `json:"step,omitempty"`  // for issue veto
	Do     issue.Action `json:"do,omitempty"`
	What   string       `json:"what"`
	Waits  string       `json:"waits,omitempty"` // why it did not come already
	Reason string       `json:"reason,omitempty"`
}

// ReadAgenda reads what comes until a time, of one site or of all. The issues stand in the store; the penalties to come are asked of the
// workflows of those sites of which anything is held. Those that do not answer leave a word in Missing.
func ReadAgenda(ctx context.Context, db *store.Store, tc client.Client, login string, now, until time.Time) (Agenda, error) {
	v := Agenda{Until: until.UTC(), Steps: []AgendaStep{}, Vetoed: []AgendaStep{}, Paused: []AgendaStep{}}
	open, err := db.Issues(ctx, store.IssueFilter{Open: true, Site: login, Limit: everything})
	if err != nil {
		return v, err
	}
	sites := map[string]bool{}
	for _, i := range open {
		sites[i.Site] = true
		memory, err := i.Memory()
		if err != nil || len(memory.Ladder.Rungs) == 0 { // an issue whose workflow has not said yet where it stands
			v.Unread = append(v.Unread, i.ID)
			continue
		}
		v.take(memory)
	}
	v.takePenalties(ctx, tc, slices.Sorted(maps.Keys(sites)), now)
	v.Steps = slices.DeleteFunc(v.Steps, func(s AgendaStep) bool { return s.At.After(until) })
	slices.SortStableFunc(v.Steps, func(x, y AgendaStep) int {
		if c := x.At.Compare(y.At); c != 0 {
			return c
		}
		return strings.Compare(x.Site+x.Issue, y.Site+y.Issue)
	})
	return v, nil
}

// everything is a limit above any fleet.
const everything = 1 << 30

// take adds what comes of an issue.
func (v *Agenda) take(s issue.State) {
	id, login := s.Ref.ID, s.Ref.Site
	if !s.RecoveredAt.IsZero() {
		what, at := s.NextAt()
		v.Steps = append(v.Steps, AgendaStep{At: at.UTC(), Site: login, Issue: id, What: what})
		return
	}
	for i, c := range s.Coming() {
		step := AgendaStep{At: c.At.UTC(), Site: login, Issue: id, Step: c.Step, Do: c.Do, What: s.Ladder.Rungs[c.Step-1].String()}
		if i == 0 && s.Blocked != nil {
			step.Waits = s.Blocked.Reason
		}
		v.Steps = append(v.Steps, step)
	}
	for _, veto := range s.Vetoes {
		v.Vetoed = append(v.Vetoed, AgendaStep{
			Site: login, Issue: id, Step: veto.Step, What: s.Ladder.Rungs[veto.Step-1].String(), Reason: veto.String(),
		})
	}
	if p := s.Pause; p != nil && p.Until.IsZero() {
		v.Paused = append(v.Paused, AgendaStep{Site: login, Issue: id, What: s.NextRung().String(), Reason: p.String()})
	}
}

// takePenalties adds the penalties that come. The first site that does not answer ends the asking: the others would not, either.
func (v *Agenda) takePenalties(ctx context.Context, tc client.Client, sites []string, now time.Time) {
	for _, login := range sites {
		s, err := SiteState(ctx, tc, login)
		if errors.Is(err, ErrNoWorkflow) {
			continue
		}
		if err != nil {
			v.Missing = "coming penalties are not shown: " + err.Error()
			return
		}
		for _, c := range s.Coming(now) {
			if c.What == site.ComesStep || c.What == site.ComesResume {
				v.Steps = append(v.Steps, AgendaStep{At: c.At.UTC(), Site: login, What: comingOfSite(c)})
			}
		}
	}
}

func comingOfSite(c site.Coming) string {
	if c.What == site.ComesResume {
		return "the pause of its penalty ends"
	}
	return fmt.Sprintf("penalty level %d, for %s", c.Level, strings.Join(c.Targets, ", "))
}
