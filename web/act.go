package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/orders"
)

// planView is what would be done, target by target, and the form that says yes.
type planView struct {
	deed
	Plan    plan
	Items   []itemView
	Able    int // how many would not be refused
	Reason  string
	UntilIs string
	Picked  string // of the choice
	Error   string
}

// itemView is one target of a plan, before or after.
type itemView struct {
	Target string
	URL    string
	Does   string
	Note   string
	Error  string
	Kind   orders.Kind
	Before bool
}

func (s *Server) desk() orders.Desk {
	return orders.Desk{Store: s.Store, Temporal: s.Temporal, Now: s.Now}
}

// preview freezes a plan and shows it. It changes nothing.
func (s *Server) preview(r *request) (view, error) {
	if stranger(r.who) {
		return view{}, errSignIn
	}
	verb, of := r.PostFormValue("do"), r.PostFormValue("of")
	d, known := deedOf(verb, of)
	if !known {
		return view{}, badInput("There is no order %q.", verb)
	}
	if err := r.somewhere(d.Verb); err != nil {
		return view{}, err
	}
	targets := []string{""}
	if d.Of != "" {
		var err error
		if targets, err = s.targets(r, d.Of); err != nil {
			return view{}, err
		}
	}
	p := plan{ID: newNonce(), Verb: verb, Of: d.Of, Targets: targets, Made: r.now, Back: nextOf(r.PostFormValue("back"))}
	if d.Step {
		p.Step, _ = strconv.Atoi(r.PostFormValue("step"))
	}
	if err := s.keepPlan(r, p); err != nil {
		return view{}, err
	}
	return s.showPlan(r, planView{deed: d, Plan: p})
}

// targets are those that were ticked, or all rows that the list showed, over all its pages.
func (s *Server) targets(r *request, of string) ([]string, error) {
	targets := r.PostForm["id"]
	if r.PostFormValue("all") != "" {
		var err error
		if targets, err = s.rowsOf(r, of, r.PostFormValue("back")); err != nil {
			return nil, err
		}
	}
	targets = slices.Compact(slices.Sorted(slices.Values(targets)))
	switch {
	case len(targets) == 0:
		return nil, badInput("Nothing was chosen: tick some rows first.")
	case len(targets) > mostTargets:
		return nil, badInput("%d are too many at once: select %d at most.", len(targets), mostTargets)
	}
	for _, t := range targets {
		if !clean.Is(t, clean.MaxLine) || t == "" {
			return nil, badInput("That is the name of nothing.")
		}
	}
	return targets, nil
}

// inParallel bounds how many targets are asked about, or ordered for, at once.
const inParallel = 8

// each does something for every target, some at a time, and keeps their order.
func each(targets []string, do func(i int, target string) itemView) []itemView {
	items := make([]itemView, len(targets))
	var wait sync.WaitGroup
	slots := make(chan struct{}, inParallel)
	for i, t := range targets {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			items[i] = do(i, t)
		})
	}
	wait.Wait()
	return items
}

func (s *Server) showPlan(r *request, v planView) (view, error) {
	w := said{Step: v.Plan.Step, Choice: v.Picked}
	if v.Needs {
		w.Until = r.now.Add(s.Policy.Day) // what it will be does not matter to whether it may be
	}
	if len(v.Choice) > 0 && w.Choice == "" {
		w.Choice = v.Choice[0]
	}
	ctx, cancel := context.WithTimeout(r.Context(), longestPage/2) // what is not answered by then is shown, too
	defer cancel()
	v.Items = each(v.Plan.Targets, func(_ int, t string) itemView {
		o := orders.Order{Who: r.who, Reason: "to see what it would do", DryRun: true}
		receipt, err := v.give(ctx, s.desk(), o, t, w)
		item := itemOf(v.Of, t, receipt, err)
		if v.Until != "" || len(v.Choice) > 0 { // what the form does not say yet
			item.Does = v.Name
		}
		return item
	})
	for _, i := range v.Items {
		if i.Error == "" {
			v.Able++
		}
	}
	code := 0
	if v.Error != "" {
		code = http.StatusBadRequest
	}
	return view{Template: "plan", Title: v.Name, Data: v, Code: code}, nil
}

func itemOf(of, target string, receipt orders.Receipt, err error) itemView {
	item := itemView{Target: target, Does: receipt.Does, Note: receipt.Note, Before: receipt.Before, URL: urlOf(of, target)}
	switch {
	case err != nil:
		item.Error, item.Kind = clean.Line(err.Error()), orders.KindOf(err)
	case receipt.Refused != "":
		item.Error, item.Kind = clean.Line(receipt.Refused), orders.Refused
	}
	return item
}

func urlOf(of, target string) string {
	switch of {
	case "issues":
		return issueURL(target)
	case "nodes":
		return nodeURL(target)
	case "sites":
		return siteURL(target)
	case "pcus":
		return "/jump?q=" + target
	}
	return ""
}

// longestAct bounds the carrying out of a plan. What is left then can be tried again: no order is given twice.
const longestAct = 4 * time.Minute

// resultView is what became of a plan, target by target.
type resultView struct {
	deed
	Plan   plan
	Items  []itemView
	Done   int
	Failed []string
}

// carryOut gives the orders of a plan: for the targets that were shown, and no other. Each order has a key of the plan,
// so that a form that is sent twice orders once.
func (s *Server) carryOut(r *request) (view, error) {
	if stranger(r.who) {
		return view{}, errSignIn
	}
	p, err := s.plan(r, r.PostFormValue("plan"))
	if err != nil {
		return view{}, err
	}
	d, known := deedOf(p.Verb, p.Of)
	if !known {
		return view{}, badInput("There is no order %q.", p.Verb)
	}
	v := planView{deed: d, Plan: p, Reason: strings.TrimSpace(r.PostFormValue("reason")), UntilIs: strings.TrimSpace(r.PostFormValue("until")),
		Picked: r.PostFormValue("choice")}
	w, err := s.said(r, v)
	if err != nil {
		v.Error = err.Error()
		return s.showPlan(r, v)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), longestAct)
	defer cancel()
	out := resultView{deed: d, Plan: p}
	out.Items = each(p.Targets, func(i int, t string) itemView {
		o := orders.Order{Who: r.who, Reason: v.Reason, Key: fmt.Sprintf("web/%s/%d", p.ID, i)}
		receipt, err := d.give(ctx, s.desk(), o, t, w)
		return itemOf(d.Of, t, receipt, err)
	})
	s.read.anew() // who ordered something sees at once what came of it
	s.drawings.anew()
	for _, i := range out.Items {
		if i.Error == "" {
			out.Done++
		} else {
			out.Failed = append(out.Failed, i.Target)
		}
	}
	return view{Template: "result", Title: d.Name, Data: out}, nil
}

// said reads the form.
func (s *Server) said(r *request, v planView) (w said, err error) {
	w = said{Step: v.Plan.Step, Choice: v.Picked}
	switch {
	case v.Reason == "":
		return w, badInput("Say why: it stands in the ledger, and others will ask.")
	case v.Needs && v.UntilIs == "":
		return w, badInput("Say %s.", v.Until)
	case len(v.Choice) > 0 && !slices.Contains(v.Choice, w.Choice):
		return w, badInput("Choose one of %s.", strings.Join(v.Choice, ", "))
	}
	if v.Until != "" && v.UntilIs != "" {
		w.Until, err = s.moment(v.UntilIs, v.Plan.Made)
	}
	return w, err
}

// orderable is what a page offers to order about what it shows.
type orderable struct {
	Of, ID, Back string
	Buttons      []button
}

func (s *Server) orderable(r *request, of, id, site string) orderable {
	o := orderable{Of: of, ID: id, Back: r.URL.RequestURI()}
	for _, b := range buttonsFor(r, of) {
		if r.may(b.Verb, site) {
			o.Buttons = append(o.Buttons, b)
		}
	}
	return o
}

// without takes a button away that makes no sense now.
func (o *orderable) without(verbs ...access.Verb) {
	o.Buttons = slices.DeleteFunc(o.Buttons, func(b button) bool { return slices.Contains(verbs, b.Verb) })
}

// mayStep reports whether steps of the ladder can be vetoed by the visitor.
func mayStep(r *request, site string) bool {
	return !stranger(r.who) && r.may(access.IssueVeto, site)
}
