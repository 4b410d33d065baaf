package web

import (
	"strconv"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/answers"
)

// agendaView is all that comes if nothing changes.
type agendaView struct {
	answers.Agenda
	Days    []agendaDay
	Ahead   int
	MayVeto bool
	Back    string
	Choices []option
}

// agendaDay are the acts of one day.
type agendaDay struct {
	Day   time.Time
	Steps []answers.AgendaStep
	More  int // that are not shown
}

// mostSteps bounds what one page of the agenda shows.
const mostSteps = 500

func (s *Server) agenda(r *request) (view, error) {
	if err := r.somewhere(access.SeeAgenda); err != nil {
		return view{}, err
	}
	ahead, err := strconv.Atoi(r.URL.Query().Get("days"))
	if err != nil || ahead < 1 || ahead > 365 {
		ahead = 14
	}
	a, err := s.read.agenda(r.Context(), r.now.Add(time.Duration(ahead)*s.Policy.Day))
	if err != nil {
		return view{}, err
	}
	site := func(x *answers.AgendaStep) string { return x.Site }
	a.Steps, a.Vetoed, a.Paused = ownRows(r, a.Steps, site), ownRows(r, a.Vetoed, site), ownRows(r, a.Paused, site)
	v := agendaView{Agenda: a, Ahead: ahead, Back: r.URL.RequestURI(), MayVeto: !stranger(r.who) && r.somewhere(access.IssueVeto) == nil}
	for i, x := range a.Steps {
		day := r.now.Add(max(0, x.At.Sub(r.now)).Truncate(max(s.Policy.Day, time.Hour))) // of a demo, whose days are seconds, an hour
		if n := len(v.Days); n == 0 || !v.Days[n-1].Day.Equal(day) {
			v.Days = append(v.Days, agendaDay{Day: day})
		}
		d := &v.Days[len(v.Days)-1]
		if i < mostSteps {
			d.Steps = append(d.Steps, x)
		} else {
			d.More++
		}
	}
	for _, n := range []int{1, 7, 14, 30, 90} {
		v.Choices = append(v.Choices, option{plural(n, "day", "days"), "/agenda?days=" + strconv.Itoa(n), n == ahead})
	}
	return view{Template: "agenda", Title: "Agenda", Data: &v, Topics: []string{"issue", "control"}}, nil
}
