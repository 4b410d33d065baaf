package web

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/store"
)

// issueView is one life of an issue.
type issueView struct {
	store.Issue
	State     issue.State
	Known     bool // the state: an issue whose workflow has not said yet where it stands has none
	About     string
	Blocked   string
	Ladder    []rungView
	Coming    []issue.Coming
	Vetoes    []issue.Veto
	Timeline  []eventView
	Strip     strip
	Mails     []mailView
	MayMails  bool
	Actions   []store.Action
	Episodes  []store.Issue
	Temporal  string
	TargetURL string
	Orders    orderable
	MayStep   bool
}

// rungView is a line of the ladder, and what became of it.
type rungView struct {
	Step    int
	Text    string
	Yield   string
	Mark    string // done, passed, next, veto or ahead
	Outcome string
	Reason  string
	At      time.Time // when it answered last, or is due
	Tries   int
	Due     bool // At lies ahead
	Veto    string
	Last    bool // after it nothing comes, and so it cannot be vetoed
}

// eventView is a line of the timeline, with how the target was then.
type eventView struct {
	issue.Event
	Text   string
	Target string // its status
}

// mailView is a message as it was sent.
type mailView struct {
	Key     string
	At      time.Time
	Outcome string
	Subject string
	Text    string
	To      []string
	Detail  string
}

// letter is as much of the data of a notice as a page shows.
type letter struct {
	Message struct {
		Subject, Text string
		To            []string
	} `json:"message"`
}

func (s *Server) issue(r *request) (view, error) {
	id := r.PathValue("type") + "/" + r.PathValue("target")
	if _, known := issue.Lookup(r.PathValue("type")); !known {
		return view{}, notFound("There is no issue type %q.", r.PathValue("type"))
	}
	if err := r.somewhere(access.SeeIssues); err != nil {
		return view{}, err
	}
	episodes, err := s.Store.Episodes(r.Context(), id)
	if err != nil {
		return view{}, err
	}
	run := r.URL.Query().Get("run")
	i := slices.IndexFunc(episodes, func(e store.Issue) bool { return run == "" || e.RunID == run })
	if i < 0 || r.must(access.SeeIssues, episodes[i].Site) != nil {
		return view{}, notFound("There is no issue %s.", id)
	}
	v := issueView{Issue: episodes[i], Episodes: slices.Delete(slices.Clone(episodes), i, i+1)}
	if err := v.read(s, r); err != nil {
		return view{}, err
	}
	return view{Template: "issue", Title: id, Data: &v, Topics: []string{"issue", "ledger"}, Names: []string{id}}, nil
}

func (v *issueView) read(s *Server, r *request) error {
	ctx := r.Context()
	typ, _ := issue.Lookup(v.Type)
	v.About, v.TargetURL = typ.About, targetURL(typ.Target, v.Issue)
	if state, err := v.Memory(); err == nil && len(state.Ladder.Rungs) > 0 {
		v.State, v.Known, v.Vetoes = state, true, state.Vetoes
		v.Coming = state.Coming()
		if state.Blocked != nil && !strings.Contains(v.Next, state.Blocked.Reason) {
			v.Blocked = state.Blocked.Reason
		}
	}
	events, err := s.Store.Timeline(ctx, v.ID, v.RunID)
	if err != nil {
		return err
	}
	v.Ladder = ladderOf(v.State, v.Known, v.Coming, events)
	kind, target := kindOf(typ.Target, v.Issue)
	changes, err := s.Store.StatusHistory(ctx, kind, target, v.Opened.Add(-s.Policy.Day))
	if err != nil {
		return err
	}
	for _, e := range events {
		v.Timeline = append(v.Timeline, eventView{Event: e, Text: e.String(), Target: statusAt(changes, e.At)})
	}
	end := v.Closed
	if end.IsZero() {
		end = r.now
	}
	v.Strip = drawLife(v.Target, changes, v.Opened, end)
	if r.may(access.SeeLedger, v.Site) {
		if v.Actions, err = s.Store.Actions(ctx, store.ActionFilter{Issue: v.ID, Run: v.RunID, Limit: 200}); err != nil {
			return err
		}
	}
	if v.MayMails = r.may(access.SeeMail, v.Site); v.MayMails {
		v.Mails = mailsIn(v.Actions)
	}
	if s.TemporalUI != "" && r.may(access.SeeLedger, "") {
		v.Temporal = temporalURL(s.TemporalUI, cmp.Or(s.Namespace, "default"), v.ID, v.RunID)
	}
	if v.Status != string(issue.Closed) {
		v.Orders, v.MayStep = s.orderable(r, "issues", v.ID, v.Site), mayStep(r, v.Site)
		if v.Status != string(issue.Paused) {
			v.Orders.without(access.IssueResume)
		}
	}
	return nil
}

func temporalURL(ui, namespace, id, run string) string {
	return fmt.Sprintf("%s/namespaces/%s/workflows/%s/%s/history", strings.TrimRight(ui, "/"), url.PathEscape(namespace),
		url.PathEscape(id), url.PathEscape(run))
}

func targetURL(kind issue.TargetKind, i store.Issue) string {
	switch kind {
	case issue.OfPCU:
		return pcuURL(i.PCUID)
	case issue.OfSite:
		return siteURL(i.Site)
	}
	return nodeURL(i.Node)
}

// kindOf is what the history of the target is kept under.
func kindOf(kind issue.TargetKind, i store.Issue) (string, string) {
	switch kind {
	case issue.OfPCU:
		return "pcu", fmt.Sprint(i.PCUID)
	case issue.OfSite:
		return "site", i.Site
	}
	return "node", i.Node
}

func statusAt(changes []store.Passage, at time.Time) string {
	status := ""
	for i, c := range changes {
		if i == 0 {
			status = c.Was
		}
		if c.At.After(at) {
			break
		}
		status = c.Became
	}
	return status
}

// ladderOf is the whole ladder: what became of the rungs that were tried, by the timeline, and when the others come, by
// the forecast.
func ladderOf(s issue.State, known bool, coming []issue.Coming, events []issue.Event) []rungView {
	if !known {
		return nil
	}
	rungs := make([]rungView, len(s.Ladder.Rungs))
	at := 0
	for i, r := range s.Ladder.Rungs {
		rungs[i] = rungView{Step: i + 1, Text: r.String(), Yield: string(r.Yield), Mark: "ahead", Last: i == len(rungs)-1}
	}
	for _, e := range events {
		if e.Kind == issue.EventBack {
			at = 0
		}
		if e.Kind != issue.EventRung {
			continue
		}
		i := rungNamed(s, e.Rung, at)
		if i < 0 {
			continue
		}
		r := &rungs[i]
		r.Outcome, r.Reason, r.At, r.Tries = string(e.Outcome), e.Reason, e.At, r.Tries+max(e.Times, 1)
		switch e.Outcome {
		case issue.Acted:
			r.Mark, at = "done", i+1
		case issue.Passed:
			r.Mark, at = "passed", i+1
		default:
			at = i
		}
	}
	if s.Status != issue.Closed && s.RecoveredAt.IsZero() && s.Rung < len(rungs) {
		rungs[s.Rung].Mark = "next"
	}
	for _, c := range coming {
		if r := &rungs[c.Step-1]; r.Mark == "ahead" || r.Mark == "next" {
			r.At, r.Due = c.At, true
		}
	}
	for _, veto := range s.Vetoes {
		if veto.Step >= 1 && veto.Step <= len(rungs) {
			rungs[veto.Step-1].Mark, rungs[veto.Step-1].Veto = "veto", veto.String()
		}
	}
	return rungs
}

// rungNamed is the rung of that text, at or after the one where the issue stood; else any.
func rungNamed(s issue.State, text string, at int) int {
	for i := min(at, len(s.Ladder.Rungs)); i < len(s.Ladder.Rungs); i++ {
		if s.Ladder.Rungs[i].String() == text {
			return i
		}
	}
	return slices.IndexFunc(s.Ladder.Rungs, func(r issue.Rung) bool { return r.String() == text })
}

// drawLife is a picture of the target's state over the life of an issue.
func drawLife(target string, changes []store.Passage, from, to time.Time) strip {
	s := strip{Title: "State of " + target, From: from}
	whole := to.Sub(from)
	if whole <= 0 {
		return s
	}
	for _, x := range stretches(changes, from, to) {
		if x.state == "" {
			continue
		}
		s.Bars = append(s.Bars, bar{X: 720 * x.from.Sub(from).Seconds() / whole.Seconds(), W: max(1, 720*x.to.Sub(x.from).Seconds()/whole.Seconds()),
			H: 24, Tone: tone(x.state), At: x.from, Title: fmt.Sprintf("%s from %s, for %s", x.state, x.from.UTC().Format("2006-01-02 15:04:05 UTC"), span(x.to.Sub(x.from)))})
	}
	return s
}

// mailsIn are the messages among lines of the ledger, as they were made.
func mailsIn(actions []store.Action) (mails []mailView) {
	for _, a := range actions {
		if a.Kind != store.KindNotice {
			continue
		}
		m := mailView{Key: a.Key, At: a.At, Outcome: cmp.Or(a.Outcome, "under way"), Subject: a.Reason, Detail: a.Detail}
		var l letter
		if json.Unmarshal(a.Data, &l) == nil && l.Message.Subject != "" {
			m.Subject, m.Text, m.To = l.Message.Subject, l.Message.Text, l.Message.To
		}
		mails = append(mails, m)
	}
	return mails
}

// entryView is one line of the ledger.
type entryView struct {
	store.Action
	Mail     *mailView
	Text     string // the data, as JSON
	IssueURL string
}

func (s *Server) entry(r *request) (view, error) {
	if err := r.somewhere(access.SeeLedger); err != nil {
		return view{}, err
	}
	a, err := s.Store.Action(r.Context(), r.URL.Query().Get("key"))
	if errors.Is(err, store.ErrNotFound) || err == nil && r.must(access.SeeLedger, a.Site) != nil {
		return view{}, mistake{http.StatusNotFound, "The ledger has no such line."}
	}
	if err != nil {
		return view{}, err
	}
	v := entryView{Action: a}
	if _, known := issue.Lookup(strings.SplitN(a.Issue, "/", 2)[0]); known {
		v.IssueURL = issueURL(a.Issue)
	}
	if mails := mailsIn([]store.Action{a}); len(mails) > 0 && r.may(access.SeeMail, a.Site) {
		v.Mail = &mails[0]
	} else if a.Kind != store.KindNotice && len(a.Data) > 0 {
		var data any
		if json.Unmarshal(a.Data, &data) == nil {
			text, _ := json.MarshalIndent(data, "", "  ")
			v.Text = string(text)
		}
	}
	return view{Template: "entry", Title: "Ledger: " + string(a.Kind), Data: &v, Topics: []string{"ledger"}, Names: []string{a.Issue}}, nil
}
