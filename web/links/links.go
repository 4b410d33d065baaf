// Package links serves the page behind a link in a mail: whoever opens it sees what it is about, and by its buttons says
// that he is at it, or has the machine rebooted. To open it changes nothing, since mail scanners follow links; to press a
// button twice orders nothing twice. There is no sign-in: the link itself says what its holder may.
package links

import (
	"context"
	_ "embed"
	"errors"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/store"
)

// Prefix is where the pages are; the link follows.
const Prefix = "/links/"

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS []byte

// Reboot has a node rebooted, under the gate.
type Reboot func(ctx context.Context, o orders.Order, node string) (orders.Receipt, error)

// Options are what the pages need.
type Options struct {
	Store  *store.Store
	Links  access.Links
	Pledge func(ctx context.Context, o orders.Order, issue string, until time.Time) (orders.Receipt, error)
	Reboot Reboot // nil: the page has no such button
	From   func(*http.Request) string
	Log    *slog.Logger
	Now    func() time.Time
}

type pages struct {
	Options
	page *template.Template
}

// New serves the pages, below Prefix.
func New(o Options) http.Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.From == nil {
		o.From = func(r *http.Request) string {
			host, _, _ := net.SplitHostPort(r.RemoteAddr)
			return host
		}
	}
	p := &pages{o, template.Must(template.New("page").Parse(pageHTML))} // it is part of the program
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Prefix+"page.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		_, _ = w.Write(pageCSS)
	})
	mux.HandleFunc("GET "+Prefix+"{link}", p.show)
	mux.HandleFunc("POST "+Prefix+"{link}", p.act)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "no-referrer") // the address is the secret
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Robots-Tag", "noindex")
		h.Set("Content-Security-Policy",
			"default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		r.Body = http.MaxBytesReader(w, r.Body, mostBody)
		mux.ServeHTTP(w, r)
	})
}

const mostBody = 4 << 10

// view is what the page shows.
type view struct {
	Title, Said   string
	Issue         *store.Issue
	Since         time.Time
	Least, Most   string // days, for the form
	Due           string
	Until         time.Time // of the link
	CanReboot     bool
	Good, Offered bool // of what was done; the buttons are shown
}

// open reads a link and the issue that it is about. What is wrong with either is said on the page.
func (p *pages) open(r *http.Request) (k access.Link, i store.Issue, v view, status int) {
	now := p.Now()
	k, err := p.Links.Read(r.PathValue("link"), now)
	switch {
	case errors.Is(err, access.ErrExpired):
		return k, i, view{Title: "This link is over", Said: "Links in mails are good for two weeks. The latest mail has one that is good, or answer it."}, http.StatusGone
	case err != nil:
		return k, i, view{Title: "This is no link of ours", Said: "Perhaps your mail program has broken it: copy all of it, or answer the mail."}, http.StatusNotFound
	}
	i, err = p.Store.Issue(r.Context(), k.Issue)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && (i.Status == "closed" || i.Opened.After(k.Made.Add(time.Second)) || i.Site != k.Site):
		return k, i, view{Title: "This is over", Said: "What the mail was about is over. There is nothing to do.", Good: true}, http.StatusGone
	case err != nil:
		p.Log.ErrorContext(r.Context(), "a link's issue cannot be read", "error", err)
		return k, i, view{Title: "Not now", Said: "Monitor cannot be asked now. Try again in a few minutes, or answer the mail."}, http.StatusServiceUnavailable
	}
	return k, i, view{
		Title: i.Target, Issue: &i, Since: i.Opened.UTC(), Until: k.Expires.UTC(), Offered: true,
		Least: now.UTC().AddDate(0, 0, 1).Format(time.DateOnly), Most: now.UTC().Add(orders.LongestPledge).Format(time.DateOnly),
		Due: now.UTC().AddDate(0, 0, 7).Format(time.DateOnly), CanReboot: p.Reboot != nil && i.Node != "",
	}, http.StatusOK
}

func (p *pages) show(w http.ResponseWriter, r *http.Request) {
	_, _, v, status := p.open(r)
	p.write(w, status, v)
}

func (p *pages) act(w http.ResponseWriter, r *http.Request) {
	k, i, v, status := p.open(r)
	if status != http.StatusOK {
		p.write(w, status, v)
		return
	}
	what := r.PostFormValue("do")
	o := orders.Order{
		Who: k.Who(p.From(r)), Reason: r.PostFormValue("reason"), Key: access.LinkKey(r.PathValue("link"), what),
	}
	o.Who.Name = r.PostFormValue("name")
	var given orders.Receipt
	var err error
	switch {
	case what == "pledge":
		var until time.Time
		if until, err = time.Parse(time.DateOnly, r.PostFormValue("until")); err == nil {
			given, err = p.Pledge(r.Context(), o, i.ID, until)
			v.Said = "Thank you. Monitor leaves " + i.Target + " alone until " + until.Format(time.DateOnly) + ", and writes nothing about it."
		}
	case what == "reboot" && v.CanReboot:
		given, err = p.Reboot(r.Context(), o, i.Node)
		v.Said = "The reboot of " + i.Node + " is ordered. Monitor cuts its power once, and watches whether it comes back."
	default:
		err = errors.New("press one of the buttons")
	}
	if given.Before && err == nil {
		v.Said = "This was ordered by this link already, and is not ordered again."
	}
	v.Good, v.Offered = err == nil, err != nil
	if err != nil {
		v.Said, status = p.refusal(r.Context(), err)
	}
	p.write(w, status, v)
}

// refusal is what the holder of a link reads of an order that was not taken.
func (p *pages) refusal(ctx context.Context, err error) (said string, status int) {
	switch orders.KindOf(err) {
	case orders.Refused, orders.NotFound, orders.Forbidden:
		return "That cannot be done now: " + err.Error(), http.StatusConflict
	case orders.Reused:
		return "This link was used for that already, with other words. Answer the mail if it should be otherwise.", http.StatusConflict
	case orders.Invalid:
		return "That cannot be meant: " + err.Error(), http.StatusUnprocessableEntity
	case orders.Silent:
		return "Nobody has answered yet. Press the button again in a minute: nothing is done twice.", http.StatusServiceUnavailable
	}
	if _, isTime := errors.AsType[*time.ParseError](err); isTime {
		return "Say until which day.", http.StatusUnprocessableEntity
	}
	p.Log.ErrorContext(ctx, "what a link orders failed", "error", err)
	return "That did not work. Try again in a few minutes, or answer the mail.", http.StatusInternalServerError
}

func (p *pages) write(w http.ResponseWriter, status int, v view) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if err := p.page.Execute(w, v); err != nil {
		p.Log.Debug("a page was not read to its end", "error", err)
	}
}
