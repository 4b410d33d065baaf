package script

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

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/power"
	"github.com/planetlab/monitor/pcucontrol/internal/secret"
	"github.com/planetlab/monitor/pcucontrol/internal/web"
	"github.com/planetlab/monitor/pcucontrol/internal/wire"
	"github.com/planetlab/monitor/pcucontrol/internal/xmltext"
)

// page is one request to a device with web pages, as data. In its texts {outlet} is the outlet, {index} the same
// counted from 0, {user} and {password} are from the record, and any other {name} is one of the file's vars.
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

// loggingIn is what the first steps of a text are for, and the pages of a dry run.
const loggingIn = "log in"

// pageDriver drives a device by its web pages.
type pageDriver struct{ c Conversation }

// checkPages finds what would only fail in the middle of a call.
func (c Conversation) checkPages() error {
	if !slices.Contains([]web.Login{"", web.LoginNone, web.LoginBasic, web.LoginChallenge, web.LoginLocked}, c.Auth) {
		return mistake(fmt.Errorf("%q is not none, basic, challenge or locked", c.Auth), "auth")
	}
	if len(c.Pages["test"]) == 0 ||
		len(c.Pages["cycle"]) == 0 && (len(c.Pages["on"]) == 0 || len(c.Pages["off"]) == 0) {
		return mistake(errors.New("test is needed, and cycle or on and off"), "pages")
	}
	for name, list := range c.Pages {
		power := isPower(name)
		if !power && !slices.Contains([]string{"test", "status", "list"}, name) {
			return mistake(fmt.Errorf("%q is not test, status, list, on, off, cycle, reset or shutdown", name), "pages",
				name)
		}
		if power != slices.ContainsFunc(list, func(p page) bool { return p.Commit }) {
			return mistake(
				errors.New("on, off, cycle, reset and shutdown need a page with commit, and no others may have one"),
				"pages", name)
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
			if err := c.checkStep(step{Hear: p.Lists, Read: p.Read, Each: p.Each, Expect: p.Expect,
				Errors: p.Errors}); err != nil {
				return below(err, "pages", name, i)
			}
		}
	}
	return nil
}

// checkPageTexts finds placeholders that nothing fills.
func (c Conversation) checkPageTexts(p page) error {
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
func (d pageDriver) run(ctx context.Context, w *web.Client, doing string, list []page) (pcucontrol.State, error) {
	state, committed := pcucontrol.Unknown, false
	for _, p := range list {
		s, meant, err := d.ask(ctx, w, doing, p)
		switch {
		case err != nil && committed:
			return state, wire.Ambiguous(w.Target, doing, err)
		case err != nil && p.Commit && !meant:
			return state, wire.Unsure(w.Target, doing, err)
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
func (d pageDriver) ask(
	ctx context.Context, w *web.Client, doing string, p page,
) (state pcucontrol.State, meant bool, err error) {
	a, err := d.fetch(ctx, w, doing, p)
	if err != nil {
		return pcucontrol.Unknown, pcucontrol.KindOf(err) == pcucontrol.Ambiguous, err
	}
	return d.understand(w, doing, p, a)
}

// fetch is what a device answers to the request of a page.
func (d pageDriver) fetch(ctx context.Context, w *web.Client, doing string, p page) (web.Reply, error) {
	method, path := p.request()
	path, body, kind := d.c.fill(path, w.Target, url.QueryEscape), d.c.fill(p.Body, w.Target, writing(p.Type)), p.Type
	if len(p.Form) > 0 {
		form := url.Values{}
		for name, value := range p.Form {
			form.Set(d.c.fill(name, w.Target, asItIs), d.c.fill(value, w.Target, asItIs))
		}
		body, kind = form.Encode(), "application/x-www-form-urlencoded"
	}
	if p.Open {
		defer w.Anonymously()()
	}
	clear(w.Header)
	for name, value := range p.Headers {
		w.Header.Set(name, d.c.fill(value, w.Target, asItIs))
	}
	a, err := w.Call(ctx, doing, method, path, kind, body)
	if err != nil || method == "GET" || p.Status != 0 {
		return a, err
	}
	if a, err = w.Onward(ctx, doing, path, a); err != nil && p.Commit {
		return a, wire.Ambiguous(w.Target, doing, err)
	}
	return a, err
}

// writing is how a value is written into a body of a type.
func writing(contentType string) func(string) string {
	switch {
	case strings.Contains(contentType, "json"):
		return jsonText
	case strings.Contains(contentType, "xml"):
		return xmltext.Escape
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
func (d pageDriver) pattern(text string, t pcucontrol.Target) *regexp.Regexp {
	r, _ := d.c.pattern(text, t)
	return r
}

// understand finds errors, what was expected, and the state in an answer.
func (d pageDriver) understand(w *web.Client, doing string, p page,
	a web.Reply,
) (state pcucontrol.State, meant bool, err error) {
	for _, e := range slices.Concat(p.Errors, d.c.Errors) {
		if m := d.pattern(e.Hear, w.Target).FindString(a.Body); m != "" {
			return pcucontrol.Unknown, true, w.Fail(e.Kind, doing, e.told(secret.Mask(lastLine(m), w.Target.Password)))
		}
	}
	if p.Open && a.Status == http.StatusUnauthorized {
		if p.Expect != "" && d.pattern(p.Expect, w.Target).MatchString(a.Body) { // it asks in words that are its own
			return pcucontrol.Unknown, false, nil
		}
		return pcucontrol.Unknown, true, w.Fail(pcucontrol.Unexpected, doing,
			"it asks who calls where no such device does")
	}
	switch err := w.Judge(doing, a); {
	case p.Lists != "" && (a.Status == http.StatusNotFound || a.Status == http.StatusMethodNotAllowed):
		return pcucontrol.Unknown, false, nil
	case p.Status == 0 && err != nil:
		return pcucontrol.Unknown, pcucontrol.KindOf(err) != pcucontrol.Unexpected, err
	case p.Status != 0 && a.Status != p.Status:
		err = cmp.Or(err, w.Fail(pcucontrol.Unexpected, doing, fmt.Sprintf("status %d, not %d", a.Status, p.Status)))
		return pcucontrol.Unknown, pcucontrol.KindOf(err) != pcucontrol.Unexpected, err
	case p.Expect != "" && !d.pattern(p.Expect, w.Target).MatchString(a.Body):
		if doing == loggingIn {
			return pcucontrol.Unknown, true, w.Fail(pcucontrol.Unexpected, doing,
				"this is not a page of such a device; heard: "+wire.Tail(secret.Mask(a.Body, w.Target.Password)))
		}
		if p.Commit { // it says neither that it did nor that it did not
			return pcucontrol.Unknown, false, w.Fail(pcucontrol.Unexpected, doing,
				"heard: "+wire.Tail(secret.Mask(a.Body, w.Target.Password)))
		}
		return pcucontrol.Unknown, true, w.Fail(pcucontrol.Refused, doing,
			"heard: "+wire.Tail(secret.Mask(a.Body, w.Target.Password)))
	case p.Read == "" || p.Lists != "" && !d.pattern(p.Lists, w.Target).MatchString(a.Body):
		return pcucontrol.Unknown, false, nil
	}
	m := d.pattern(p.Read, w.Target).FindStringSubmatch(a.Body)
	if m == nil {
		return pcucontrol.Unknown, !p.Commit, w.Fail(pcucontrol.NoOutlet, doing,
			fmt.Sprintf("it says nothing of outlet %d", w.Target.Outlet))
	}
	return d.c.States.of(m[1]), false, nil
}

// Test asks for the pages of a dry run.
func (d pageDriver) Test(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	w := web.New(t, d.c.Auth, false)
	defer w.Close()
	_, err := d.run(ctx, w, loggingIn, d.c.Pages["test"])
	return power.LoggedIn(err)
}

// List asks for the pages that show all outlets.
func (d pageDriver) List(ctx context.Context, t pcucontrol.Target) ([]pcucontrol.OutletState, error) {
	w := web.New(t, d.c.Auth, false)
	defer w.Close()
	var found []pcucontrol.OutletState
	for _, p := range d.c.Pages["list"] {
		a, err := d.fetch(ctx, w, "list", p)
		if err == nil {
			_, _, err = d.understand(w, "list", p, a)
		}
		if err != nil {
			return nil, err
		}
		if p.Each != "" {
			found = append(found, d.c.outlets(d.pattern(p.Each, t), a.Body)...)
		}
	}
	if found == nil {
		return nil, wire.Unsupported(t, "list")
	}
	return found, nil
}

// Status asks for the pages that show the outlet.
func (d pageDriver) Status(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	r := pcucontrol.Result{Before: pcucontrol.Unknown, After: pcucontrol.Unknown}
	if len(d.c.Pages["status"]) == 0 {
		return r, wire.Unsupported(t, "status")
	}
	w := web.New(t, d.c.Auth, false)
	defer w.Close()
	state, err := d.run(ctx, w, "status", d.c.Pages["status"])
	return pcucontrol.Result{Before: state, After: state, Verified: err == nil && state != pcucontrol.Unknown}, err
}

// Switch reads first, where there is a page for it. A device whose page tells no state is switched as one that has no
// such page.
func (d pageDriver) Switch(ctx context.Context, t pcucontrol.Target,
	op pcucontrol.Operation,
) (pcucontrol.Result, error) {
	w := web.New(t, d.c.Auth, false)
	defer w.Close()
	look, doing := d.c.Pages["status"], "status"
	if len(look) == 0 {
		look, doing = d.c.Pages["test"], loggingIn
	}
	before, err := d.run(ctx, w, doing, look)
	if err == nil && before == pcucontrol.Unknown && doing != loggingIn { // it may be something else's page
		_, err = d.run(ctx, w, loggingIn, d.c.Pages["test"])
	}
	if err != nil {
		return pcucontrol.Result{Before: pcucontrol.Unknown, After: pcucontrol.Unknown}, err
	}
	can := power.Operations{}
	if before != pcucontrol.Unknown {
		can.Read = func(ctx context.Context) (pcucontrol.State, error) { return d.run(ctx, w, "status", look) }
	}
	command := func(op pcucontrol.Operation) func(context.Context) error {
		list := d.c.Pages[string(op)]
		if len(list) == 0 {
			return nil
		}
		return func(ctx context.Context) error {
			_, err := d.run(ctx, w, string(op), list)
			return err
		}
	}
	can.On, can.Off, can.Cycle = command(pcucontrol.OpOn), command(pcucontrol.OpOff), command(pcucontrol.OpCycle)
	can.Reset, can.Shutdown = command(pcucontrol.OpReset), command(pcucontrol.OpShutdown)
	can.Pause = time.Duration(d.c.Pause)
	return can.Knowing(before).Perform(ctx, t, op)
}
