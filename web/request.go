package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/version"
)

// request is a visit of a page.
type request struct {
	*http.Request
	now time.Time
	who access.Who
}

// view is what a page shows.
type view struct {
	Template string
	Title    string
	Data     any
	Topics   []string // what it is fetched again for: those of store.Happening, and the names that it is about
	Names    []string
	Code     int // HTTP status; 0: 200

	told  map[string]uint64 // what pages had been told before it was read, by topic
	drawn *drawing          // for several visitors; nil: not yet, and for this one alone

	To   string                    // another page to go to, instead
	Send func(http.ResponseWriter) // something else than a page, as a CSV file
}

// page gathers what a page shows.
type page func(*request) (view, error)

// mistake is an error that is told to the visitor.
type mistake struct {
	code int
	text string
}

func (m mistake) Error() string { return m.text }

// errSignIn sends a stranger to the sign-in page, and from there back.
var errSignIn = mistake{http.StatusUnauthorized, "You are not signed in."}

func notFound(format string, args ...any) error {
	return mistake{http.StatusNotFound, fmt.Sprintf(format, args...)}
}

func badInput(format string, args ...any) error {
	return mistake{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// longestPage bounds the making of a page.
const longestPage = 20 * time.Second

// serve makes a handler of a page.
func (s *Server) serve(p page) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost { // a plan of many orders takes its time
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(longestAct + longestPage))
		}
		ctx, cancel := context.WithTimeout(r.Context(), longestPage)
		defer cancel()
		req := &request{Request: r.WithContext(ctx), now: s.Now(), who: viewerOf(r.Context())}
		told := s.live.toldNow()
		v, err := p(req)
		if errors.Is(err, errSignIn) {
			s.askToSignIn(w, req)
			return
		}
		if err != nil {
			v = s.failed(req, err)
		}
		if v.told = told; v.drawn != nil {
			v.told = v.drawn.told
		}
		s.show(w, req, v)
	})
}

// failed is the page that tells an error. What is not the visitor's mistake is told to the log alone.
func (s *Server) failed(r *request, err error) view {
	m := mistake{code: http.StatusInternalServerError, text: "This page could not be made. Monitor's log says why."}
	switch {
	case errors.As(err, &m):
	case errors.Is(err, store.ErrNotFound):
		m = mistake{http.StatusNotFound, "Monitor knows nothing of that name."}
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
	default:
		s.Log.Warn("a page could not be made", "path", clean.Line(r.URL.Path), "error", err)
	}
	return view{Template: "error", Title: http.StatusText(m.code), Code: m.code, Data: clean.Text(m.text)}
}

// shell is what every page has around it.
type shell struct {
	view
	Head     template.HTML // drawn
	Content  template.HTML
	Nonce    string
	Path     string // of this page, for the navigation
	Self     string // with its query, to be fetched again
	LiveURL  string
	Now      time.Time
	Who      access.Who
	SignedIn bool
	Version  string
	Banners  []banner
	Tabs     []tab
	PLCPages string
}

func (s *Server) show(w http.ResponseWriter, r *request, v view) {
	if v.To != "" {
		http.Redirect(w, r.Request, v.To, http.StatusSeeOther)
		return
	}
	if v.Send != nil {
		v.Send(w)
		return
	}
	d := shell{view: v, Nonce: nonceOf(r.Context()), Path: r.URL.Path, Self: r.URL.RequestURI(), Now: r.now, Who: r.who, SignedIn: !stranger(r.who),
		Version: version.String(), PLCPages: s.PLCPages}
	if len(v.Topics) > 0 {
		d.LiveURL = liveURL(v.Topics, v.Names, v.told)
	}
	if r.who.Known() {
		d.Tabs = tabsFor(r)
		if status, err := s.read.status(r.Context()); err == nil {
			if stranger(r.who) { // they name addresses
				status.Sources, status.Away = nil, nil
			}
			d.Banners = bannersOf(status, s.SweepEvery, r.now)
		} else {
			d.Banners = []banner{{Class: "bad", Text: "Postgres does not answer: what you see may be old."}}
		}
	}
	drawn := v.drawn
	var err error
	if drawn == nil {
		drawn = new(drawing)
		err = s.draw(r, v, drawn)
	}
	d.Head, d.Content, d.Now = drawn.head, drawn.content, drawn.at
	var b bytes.Buffer
	if err == nil {
		err = s.templates[v.Template].ExecuteTemplate(&b, "layout", d)
	}
	if err != nil {
		s.Log.Error("a page could not be drawn", "template", v.Template, "error", err)
		http.Error(w, "this page could not be drawn; Monitor's log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if v.Code != 0 {
		w.WriteHeader(v.Code)
	}
	_, _ = b.WriteTo(w)
}

// tab leads to a part of the pages.
type tab struct {
	URL, Name string
	Here      bool
}

// tabsFor are the parts that a visitor may see something of.
func tabsFor(r *request) (list []tab) {
	for _, t := range []struct {
		url, name string
		verb      access.Verb
	}{
		{"/", "Fleet", access.SeeNodes}, {"/issues", "Issues", access.SeeIssues}, {"/nodes", "Nodes", access.SeeNodes}, {"/sites", "Sites", access.SeeSites},
		{"/pcus", "PCUs", access.SeePCUs}, {"/agenda", "Agenda", access.SeeAgenda}, {"/ledger", "Ledger", access.SeeLedger}, {"/audit", "Audit", access.SeeLedger},
		{"/exempt", "Left alone", access.SeeNodes}, {"/sequences", "Sequences", access.SeeStatus},
	} {
		if r.somewhere(t.verb) == nil {
			list = append(list, tab{t.url, t.name, under(r.URL.Path, t.url)})
		}
	}
	return list
}

// banner is a line above every page, of what keeps Monitor from acting.
type banner struct {
	Class string // bad, warn or note
	Text  string
	At    time.Time
}

func bannersOf(v answers.Status, every time.Duration, now time.Time) []banner {
	var list []banner
	if v.Stopped != "" {
		list = append(list, banner{Class: "bad", Text: "Stopped: " + v.Stopped})
	}
	if v.Mode != "act" && v.Stopped == "" {
		list = append(list, banner{Class: "note", Text: "Monitor only observes: " + v.Why})
	}
	switch {
	case v.Sweep == nil:
		list = append(list, banner{Class: "note", Text: "No sweep has ended yet: nothing is known of the fleet."})
	case v.Sweep.Doubt != "":
		list = append(list, banner{Class: "warn", Text: "The last sweep is not believed, so nothing is done: " +
			v.Sweep.Doubt, At: v.Sweep.Believed})
	case every > 0 && now.Sub(v.Sweep.Ended) > 2*every:
		list = append(list, banner{Class: "warn", Text: "No sweep has ended for long, so nothing is done. The last one ended",
			At: v.Sweep.Ended})
	}
	for _, away := range v.Away {
		what := "The mail server does not take mail, and what is to be said waits: "
		if away.Server == store.ServerTracker {
			what = "Request Tracker does not answer, and what is to be said waits: "
		}
		list = append(list, banner{Class: "warn", Text: what + away.Why + "; that began", At: away.Since})
	}
	for _, source := range v.Sources {
		if source.Trouble != "" {
			list = append(list, banner{Class: "warn", Text: "What " + source.Name + " knows of nodes is not to be had: " + source.Trouble + "; that began",
				At: source.Since})
		}
	}
	return list
}
