package web

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/store"
)

// explainView is what `monitor explain` says of a target, and `monitor why-not` of an act, where one was asked about.
type explainView struct {
	answers.Explanation
	Asked   string // as the address names it: a name, or an issue
	URL     string // of the page of the target, or of the issue
	Acts    []string
	Act, At string                   // of the form
	Answer  *activities.WhyNotAnswer // to it
	Error   string
	MayDone bool
}

func explainURL(target string) string { return "/explain?" + url.Values{"target": {target}}.Encode() }

// explain asks a worker, which looks at the target first: for those alone who have signed in. It is not live: whoever
// wants to know again asks again.
func (s *Server) explain(r *request) (view, error) {
	if err := r.somewhere(access.SeeReasons); err != nil {
		return view{}, err
	}
	q := r.URL.Query()
	v := explainView{Asked: strings.TrimSpace(q.Get("target")), Act: q.Get("act"), At: strings.TrimSpace(q.Get("at"))}
	t, err := answers.Find(r.Context(), s.Store, v.Asked)
	if errors.Is(err, store.ErrNotFound) || err == nil && r.must(access.SeeReasons, t.Site) != nil {
		return view{}, notFound("Nothing is called %q: no node, site, PCU or issue.", v.Asked)
	}
	if err != nil {
		return view{}, err
	}
	v.URL, v.Acts = s.urlOfTarget(r, t, v.Asked), answers.ActsOf(t.Kind)
	tc := s.Temporal
	if stranger(r.who) {
		tc = nil
	}
	code := 0
	if v.Act != "" {
		if v.Answer, v.Error, err = s.whyNot(r, tc, t, v.Act, v.At); err != nil {
			return view{}, err
		}
		if v.Error != "" {
			code = http.StatusBadRequest
		}
		tc = nil // one question at a time: what comes next is not asked, too
	}
	if v.Explanation, err = answers.Explain(r.Context(), s.Store, tc, t, r.now); err != nil {
		return view{}, err
	}
	if tc == nil && v.Answer == nil && v.Error == "" {
		v.Missing = "Why things are not done is not shown: only a worker can say, and none can be asked."
	}
	if v.MayDone = r.may(access.SeeLedger, t.Site); !v.MayDone {
		v.Done, v.Held = nil, nil
	}
	if !r.may(access.SeeMail, t.Site) {
		v.People = nil
	}
	return view{Template: "explain", Title: "Why: " + v.Asked, Data: &v, Code: code}, nil
}

// whyNot asks the gate about an act. What cannot be meant, and that nobody answers, is told on the page.
func (s *Server) whyNot(r *request, tc client.Client, t answers.Target, act, at string) (answer *activities.WhyNotAnswer, wrong string, err error) {
	var when time.Time
	if at != "" {
		if when, err = s.moment(at, r.now); err != nil {
			return nil, err.Error(), nil
		}
	}
	question, err := answers.Question(t, act, when)
	if err != nil {
		return nil, clean.Line(err.Error()), nil
	}
	if tc == nil {
		return nil, "Only a worker can say, and none can be asked.", nil
	}
	a, err := answers.WhyNot(r.Context(), tc, question)
	switch {
	case errors.Is(err, answers.ErrNobody):
		return nil, clean.Line(err.Error()), nil
	case err != nil:
		return nil, "", err
	}
	return &a, "", nil
}

// urlOfTarget is the page of what was asked about.
func (s *Server) urlOfTarget(r *request, t answers.Target, asked string) string {
	switch {
	case t.Type != "":
		return issueURL(asked)
	case t.Kind == answers.KindSite:
		return siteURL(t.Name)
	case t.Kind == answers.KindPCU:
		if p, err := s.Store.PCUByName(r.Context(), t.Name); err == nil {
			return pcuURL(p.PCUID)
		}
	}
	return nodeURL(t.Name)
}
