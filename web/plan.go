package web

import (
	"encoding/json"
	"slices"
	"time"
)

// plan is what somebody is about to order: exactly these targets, however the fleet changes until he says yes. It is
// kept in his session, and nobody else can carry it out.
type plan struct {
	ID      string    `json:"id"`
	Verb    string    `json:"verb"`
	Of      string    `json:"of"`
	Targets []string  `json:"targets"`
	Step    int       `json:"step,omitempty"`
	Made    time.Time `json:"made"`
	Back    string    `json:"back"`
}

const (
	keyPlans    = "plans"
	mostPlans   = 5
	mostTargets = 500
	planFor     = time.Hour
)

func (s *Server) plans(r *request) (list []plan) {
	if json.Unmarshal([]byte(s.sessions.GetString(r.Context(), keyPlans)), &list) != nil {
		return nil
	}
	return list
}

func (s *Server) keepPlan(r *request, p plan) error {
	list := append(s.plans(r), p)
	if len(list) > mostPlans {
		list = slices.Delete(list, 0, len(list)-mostPlans)
	}
	text, err := json.Marshal(list)
	if err == nil {
		s.sessions.Put(r.Context(), keyPlans, string(text))
	}
	return err
}

// plan finds a plan of this visitor that is not too old.
func (s *Server) plan(r *request, id string) (plan, error) {
	for _, p := range s.plans(r) {
		if p.ID == id && id != "" && r.now.Sub(p.Made) < planFor {
			return p, nil
		}
	}
	return plan{}, badInput("This form is too old, or not yours: go back and look again.")
}
