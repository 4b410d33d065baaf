package pcucontrol

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// page is one request to a device with web pages, as data.
type page struct {
	Get    string            `json:"get"`  // path
	Post   string            `json:"post"` // path
	Form   map[string]string `json:"form"`
	Body   string            `json:"body"`
	Type   string            `json:"type"`   // of the body
	Bare   bool              `json:"bare"`   // without a login
	Status int               `json:"status"` // the one expected; by default any 2xx
	Expect string            `json:"expect"` // must be in the answer; otherwise the device refused
	Read   string            `json:"read"`   // finds the state; nothing found: no such outlet
	Errors []meaning         `json:"errors"`
	Commit bool              `json:"commit"` // from here on the power may be switched
}

// pages drives a device by its web pages.
type pages struct{ c conversation }

func verifyChain(state tls.ConnectionState, host string) error {
	intermediates := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		intermediates.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: host, Intermediates: intermediates})
	return err
}

// checkPages finds what would only fail in the middle of a call.
func (c conversation) checkPages() error {
	if !slices.Contains([]login{"", loginNone, loginBasic, loginChallenge}, c.Auth) {
		return fmt.Errorf("auth: %q is not none, basic or challenge", c.Auth)
	}
	if len(c.Pages["test"]) == 0 || len(c.Pages["cycle"]) == 0 && (len(c.Pages["on"]) == 0 || len(c.Pages["off"]) == 0) {
		return fmt.Errorf("pages: test is needed, and cycle or on and off")
	}
	for name, list := range c.Pages {
		power := slices.Contains([]string{"on", "off", "cycle"}, name)
		if !power && name != "test" && name != "status" {
			return fmt.Errorf("pages: %q is not test, status, on, off or cycle", name)
		}
		if power != slices.ContainsFunc(list, func(p page) bool { return p.Commit }) {
			return fmt.Errorf("pages: %s: on, off and cycle need a page with commit, and no others may have one", name)
		}
		for _, p := range list {
			if !strings.HasPrefix(p.Get+p.Post, "/") || p.Get != "" && p.Post != "" {
				return fmt.Errorf("pages: %s: each needs get or post, and a path", name)
			}
			if err := c.checkStep(step{Read: p.Read, Expect: p.Expect, Errors: p.Errors}); err != nil {
				return err
			}
		}
	}
	return nil
}

// run asks for pages and returns the state as last read.
func (d pages) run(ctx context.Context, w *web, doing string, list []page) (State, error) {
	state, committed := Unknown, false
	for _, p := range list {
		committed = committed || p.Commit
		s, meant, err := d.ask(ctx, w, doing, p)
		if err != nil && committed && !meant {
			return state, unsure(w.t, doing, err)
		}
		if err != nil {
			return state, err
		}
		if p.Read != "" {
			state = s
		}
	}
	return state, nil
}

func (d pages) ask(ctx context.Context, w *web, doing string, p page) (state State, meant bool, err error) {
	method, path, body, kind := "GET", d.c.fill(p.Get, w.t, url.QueryEscape), d.c.fill(p.Body, w.t, asItIs), p.Type
	if p.Post != "" {
		method, path = "POST", d.c.fill(p.Post, w.t, url.QueryEscape)
	}
	if len(p.Form) > 0 {
		form := url.Values{}
		for name, value := range p.Form {
			form.Set(d.c.fill(name, w.t, asItIs), d.c.fill(value, w.t, asItIs))
		}
		body, kind = form.Encode(), "application/x-www-form-urlencoded"
	}
	ask := w.call
	if p.Bare {
		used, wanted := w.use, w.login
		w.use, w.login = "", loginNone
		defer func() { w.use, w.login = used, wanted }()
	}
	a, err := ask(ctx, doing, method, path, kind, body)
	if err != nil {
		return Unknown, false, err
	}
	if p.Status != 0 && a.status != p.Status {
		return Unknown, false, w.fail(Unexpected, doing, fmt.Sprintf("status %d, not %d", a.status, p.Status))
	}
	if p.Status == 0 {
		if err := w.judge(doing, a); err != nil {
			return Unknown, KindOf(err) != Unexpected, err
		}
	}
	return d.understand(w, doing, p, a.body)
}

func (d pages) understand(w *web, doing string, p page, body string) (state State, meant bool, err error) {
	compile := func(text string) *regexp.Regexp {
		r, _ := d.c.pattern(text, w.t) // checked when read
		return r
	}
	for _, e := range slices.Concat(p.Errors, d.c.Errors) {
		if m := compile(e.Hear).FindString(body); m != "" {
			return Unknown, true, w.fail(e.Kind, doing, "the device says: "+lastLine(m))
		}
	}
	if p.Expect != "" && !compile(p.Expect).MatchString(body) {
		return Unknown, true, w.fail(Refused, doing, "heard: "+tail(mask(body, w.t.Password)))
	}
	if p.Read == "" {
		return Unknown, false, nil
	}
	m := compile(p.Read).FindStringSubmatch(body)
	if m == nil {
		return Unknown, true, w.fail(NoOutlet, doing, fmt.Sprintf("it says nothing of outlet %d", w.t.Outlet))
	}
	return d.c.States.of(m[1]), false, nil
}

func (d pages) test(ctx context.Context, t Target) (Result, error) {
	w := newWeb(t, d.c.Auth)
	defer w.close()
	_, err := d.run(ctx, w, "log in", d.c.Pages["test"])
	return Result{Before: Unknown, After: Unknown, Verified: err == nil, Note: "logged in"}, err
}

func (d pages) status(ctx context.Context, t Target) (Result, error) {
	r := Result{Before: Unknown, After: Unknown}
	if len(d.c.Pages["status"]) == 0 {
		return r, unsupported(t, "status")
	}
	w := newWeb(t, d.c.Auth)
	defer w.close()
	state, err := d.run(ctx, w, "status", d.c.Pages["status"])
	return Result{Before: state, After: state, Verified: err == nil && state != Unknown}, err
}

func (d pages) set(ctx context.Context, t Target, op operation) (Result, error) {
	w := newWeb(t, d.c.Auth)
	defer w.close()
	can := switches{}
	if list := d.c.Pages["status"]; len(list) > 0 {
		can.read = func(ctx context.Context) (State, error) { return d.run(ctx, w, "status", list) }
	} else if _, err := d.run(ctx, w, "log in", d.c.Pages["test"]); err != nil {
		return Result{Before: Unknown, After: Unknown}, err
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
	return can.set(ctx, t, op)
}
