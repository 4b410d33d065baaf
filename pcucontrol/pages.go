package pcucontrol

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// page is one request to a device with web pages, as data. In its texts {outlet} is the outlet, {index} the same counted from 0, {user} and
// {password} are from the record, and any other {name} is one of the file's vars.
type page struct {
	Get     string            `json:"get"` // a path, with a query where it needs one; the same for the others
	Post    string            `json:"post"`
	Put     string            `json:"put"`
	Patch   string            `json:"patch"`
	Headers map[string]string `json:"headers"`
	Form    map[string]string `json:"form"`
	Body    string            `json:"body"`
	Type    string            `json:"type"`   // of the body
	Status  int               `json:"status"` // the one expected; by default any 2xx
	Expect  string            `json:"expect"` // must be in the answer; otherwise the device refused
	Lists   string            `json:"lists"`  // is in pages that tell states: one without it, or that there is not, leaves the state unknown
	Read    string            `json:"read"`   // finds the state; nothing found: no such outlet
	Each    string            `json:"each"`   // finds each outlet, as in a step
	Errors  []meaning         `json:"errors"`
	Open    bool              `json:"open"`   // for everybody to read: nobody is told who calls
	Commit  bool              `json:"commit"` // from here on the power may be switched
}

// request is the method and the path.
func (p page) request() (method, path string) {
	for _, r := range [][2]string{{"GET", p.Get}, {"POST", p.Post}, {"PUT", p.Put}, {"PATCH", p.Patch}} {
		if r[1] != "" {
			method, path = r[0], r[1]
		}
	}
	return method, path
}

// loggingIn is what the pages of a dry run are for.
const loggingIn = "log in"

// pages drives a device by its web pages.
type pages struct{ c conversation }

// checkPages finds what would only fail in the middle of a call.
func (c conversation) checkPages() error {
	if !slices.Contains([]login{"", loginNone, loginBasic, loginChallenge, loginLocked}, c.Auth) {
		return mistake(fmt.Errorf("%q is not none, basic, challenge or locked", c.Auth), "auth")
	}
	if len(c.Pages["test"]) == 0 || len(c.Pages["cycle"]) == 0 && (len(c.Pages["on"]) == 0 || len(c.Pages["off"]) == 0) {
		return mistake(errors.New("test is needed, and cycle or on and off"), "pages")
	}
	for name, list := range c.Pages {
		power := isPower(name)
		if !power && !slices.Contains([]string{"test", "status", "list"}, name) {
			return mistake(fmt.Errorf("%q is not test, status, list, on, off, cycle, reset or shutdown", name), "pages", name)
		}
		if power != slices.ContainsFunc(list, func(p page) bool { return p.Commit }) {
			return mistake(errors.New("on, off, cycle, reset and shutdown need a page with commit, and no others may have one"), "pages", name)
		}
		for i, p := range list {
			if _, path := p.request(); !strings.HasPrefix(path, "/") || path != p.Get+p.Post+p.Put+p.Patch {
				return mistake(errors.New("each needs one of get, post, put and patch, with a path"), "pages", name, i)
			}
			if len(p.Form) > 0 && p.Body != "" {
				return mistake(errors.New("a form is a body; there cannot be both"), "pages", name, i)
			}
			if err := c.checkPageTexts(p); err != nil {
				return below(err, "pages", name, i)
			}
			if err := c.checkStep(step{Hear: p.Lists, Read: p.Read, Each: p.Each, Expect: p.Expect, Errors: p.Errors}); err != nil {
				return below(err, "pages", name, i)
			}
		}
	}
	return nil
}

// checkPageTexts finds placeholders that nothing fills.
func (c conversation) checkPageTexts(p page) error {
	texts := map[string][]string{"get": {p.Get}, "post": {p.Post}, "put": {p.Put}, "patch": {p.Patch}, "body": {p.Body}}
	for name, value := range p.Form {
		texts["form"] = append(texts["form"], name, value)
	}
	for _, value := range p.Headers {
		texts["headers"] = append(texts["headers"], value)
	}
	for key, list := range texts {
		for _, text := range list {
			if err := c.checkText(text); err != nil {
				return mistake(err, key)
			}
		}
	}
	return nil
}

// run asks for pages and returns the state as last read.
func (d pages) run(ctx context.Context, w *web, doing string, list []page) (State, error) {
	state, committed := Unknown, false
	for _, p := range list {
		s, meant, err := d.ask(ctx, w, doing, p)
		switch {
		case err != nil && committed:
			return state, ambiguous(w.t, doing, err)
		case err != nil && p.Commit && !meant:
			return state, unsure(w.t, doing, err)
		case err != nil:
			return state, err
		}
		committed = committed || p.Commit
		if p.Read != "" {
			state = s
		}
	}
	return state, nil
}

// ask asks for one page; meant is whether an error was the device's own word.
func (d pages) ask(ctx context.Context, w *web, doing string, p page) (state State, meant bool, err error) {
	method, path := p.request()
	path, body, kind := d.c.fill(path, w.t, url.QueryEscape), d.c.fill(p.Body, w.t, writing(p.Type)), p.Type
	if len(p.Form) > 0 {
		form := url.Values{}
		for name, value := range p.Form {
			form.Set(d.c.fill(name, w.t, asItIs), d.c.fill(value, w.t, asItIs))
		}
		body, kind = form.Encode(), "application/x-www-form-urlencoded"
	}
	if p.Open {
		defer w.anonymously()()
	}
	clear(w.header)
	for name, value := range p.Headers {
		w.header.Set(name, d.c.fill(value, w.t, asItIs))
	}
	a, err := w.call(ctx, doing, method, path, kind, body)
	if err != nil {
		return Unknown, false, err
	}
	if method != "GET" && p.Status == 0 {
		if a, err = w.onward(ctx, doing, path, a); err != nil && p.Commit {
			return Unknown, true, ambiguous(w.t, doing, err)
		}
	}
	if err != nil {
		return Unknown, false, err
	}
	return d.understand(w, doing, p, a)
}

// writing is how a value is written into a body of a type.
func writing(contentType string) func(string) string {
	switch {
	case strings.Contains(contentType, "json"):
		return jsonText
	case strings.Contains(contentType, "xml"):
		return xmlText
	case strings.Contains(contentType, "urlencoded"):
		return url.QueryEscape
	}
	return asItIs
}

// jsonText writes a text into a string of JSON.
func jsonText(s string) string {
	b, _ := json.Marshal(s) // a string has no error
	return string(b[1 : len(b)-1])
}

// pattern is one that was checked when it was read.
func (d pages) pattern(text string, t Target) *regexp.Regexp {
	r, _ := d.c.pattern(text, t)
	return r
}

// understand finds errors, what was expected, and the state in an answer.
func (d pages) understand(w *web, doing string, p page, a reply) (state State, meant bool, err error) {
	for _, e := range slices.Concat(p.Errors, d.c.Errors) {
		if m := d.pattern(e.Hear, w.t).FindString(a.body); m != "" {
			return Unknown, true, w.fail(e.Kind, doing, e.told(mask(lastLine(m), w.t.Password)))
		}
	}
	if p.Open && a.status == http.StatusUnauthorized {
		return Unknown, true, w.fail(Unexpected, doing, "it asks who calls where no such device does")
	}
	switch err := w.judge(doing, a); {
	case p.Lists != "" && (a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed):
		return Unknown, false, nil
	case p.Status == 0 && err != nil:
		return Unknown, KindOf(err) != Unexpected, err
	case p.Status != 0 && a.status != p.Status:
		err = cmp.Or(err, w.fail(Unexpected, doing, fmt.Sprintf("status %d, not %d", a.status, p.Status)))
		return Unknown, KindOf(err) != Unexpected, err
	case p.Expect != "" && !d.pattern(p.Expect, w.t).MatchString(a.body):
		if doing == loggingIn {
			return Unknown, true, w.fail(Unexpected, doing, "this is not a page of such a device; heard: "+tail(mask(a.body, w.t.Password)))
		}
		if p.Commit { // it says neither that it did nor that it did not
			return Unknown, false, w.fail(Unexpected, doing, "heard: "+tail(mask(a.body, w.t.Password)))
		}
		return Unknown, true, w.fail(Refused, doing, "heard: "+tail(mask(a.body, w.t.Password)))
	case p.Read == "" || p.Lists != "" && !d.pattern(p.Lists, w.t).MatchString(a.body):
		return Unknown, false, nil
	}
	m := d.pattern(p.Read, w.t).FindStringSubmatch(a.body)
	if m == nil {
		return Unknown, !p.Commit, w.fail(NoOutlet, doing, fmt.Sprintf("it says nothing of outlet %d", w.t.Outlet))
	}
	return d.c.States.of(m[1]), false, nil
}

func (d pages) test(ctx context.Context, t Target) (Result, error) {
	w := newWeb(t, d.c.Auth, false)
	defer w.close()
	_, err := d.run(ctx, w, loggingIn, d.c.Pages["test"])
	return loggedIn(err)
}

func (d pages) list(ctx context.Context, t Target) ([]OutletState, error) {
	w := newWeb(t, d.c.Auth, false)
	defer w.close()
	var found []OutletState
	for _, p := range d.c.Pages["list"] {
		method, path := p.request()
		a, err := w.call(ctx, "list", method, d.c.fill(path, t, url.QueryEscape), "", "")
		if err == nil {
			_, _, err = d.understand(w, "list", p, a)
		}
		if err != nil {
			return nil, err
		}
		if p.Each != "" {
			found = append(found, d.c.outlets(d.pattern(p.Each, t), a.body)...)
		}
	}
	if found == nil {
		return nil, unsupported(t, "list")
	}
	return found, nil
}

func (d pages) status(ctx context.Context, t Target) (Result, error) {
	r := Result{Before: Unknown, After: Unknown}
	if len(d.c.Pages["status"]) == 0 {
		return r, unsupported(t, "status")
	}
	w := newWeb(t, d.c.Auth, false)
	defer w.close()
	state, err := d.run(ctx, w, "status", d.c.Pages["status"])
	return Result{Before: state, After: state, Verified: err == nil && state != Unknown}, err
}

// set reads first, where there is a page for it. A device whose page tells no state is switched as one that has no such page.
func (d pages) set(ctx context.Context, t Target, op operation) (Result, error) {
	w := newWeb(t, d.c.Auth, false)
	defer w.close()
	look, doing := d.c.Pages["status"], "status"
	if len(look) == 0 {
		look, doing = d.c.Pages["test"], loggingIn
	}
	before, err := d.run(ctx, w, doing, look)
	if err == nil && before == Unknown && doing != loggingIn { // it may be something else's page
		_, err = d.run(ctx, w, loggingIn, d.c.Pages["test"])
	}
	if err != nil {
		return Result{Before: Unknown, After: Unknown}, err
	}
	can := switches{}
	if before != Unknown {
		can.read = func(ctx context.Context) (State, error) { return d.run(ctx, w, "status", look) }
	}
	do := func(op operation) func(context.Context) error {
		list := d.c.Pages[string(op)]
		if len(list) == 0 {
			return nil
		}
		return func(ctx context.Context) error {
			_, err := d.run(ctx, w, string(op), list)
			return err
		}
	}
	can.on, can.off, can.cycle = do(opOn), do(opOff), do(opCycle)
	can.reset, can.shutdown, can.pause = do(opReset), do(opShutdown), time.Duration(d.c.Pause)
	return can.knowing(before).set(ctx, t, op)
}
