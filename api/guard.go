package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/planetlab/monitor/access"
)

// Bounds of a request.
const (
	mostBody   = 64 << 10  // an order is a few hundred bytes
	mostRun    = 512 << 10 // a script, and 10,000 nodes by their names
	bodyWithin = 5 * time.Second
	mostTime   = 75 * time.Second // an order to an issue waits for the rung that is under way
	mostURL    = 70 << 10         // a filter may have 64 kB
)

// How much one account may ask: a page of the command line is one request, and a busy script is a few a second.
const (
	perSecond = 20
	burst     = 100
)

// Authenticator says who sends a request. A stranger is the zero Who, without an error.
type Authenticator interface {
	Authenticate(r *http.Request) (access.Who, error)
}

// ErrTooMany says that somebody has failed to sign in so often that he has to wait.
var ErrTooMany = errors.New("too many failures: wait a minute")

// guard stands before all operations: it bounds what comes, asks who sends it, and lets no stranger in.
type guard struct {
	who    Authenticator
	next   http.Handler
	origin *http.CrossOriginProtection
	rates  *rates
	log    *slog.Logger
}

func newGuard(o Options, next http.Handler) http.Handler {
	return &guard{
		who: o.Who, next: next, origin: http.NewCrossOriginProtection(), log: o.Log,
		rates: &rates{limit: perSecond, burst: burst, now: o.Now, byName: map[string]*rate.Limiter{}},
	}
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; "+
		"form-action 'none'")
	switch {
	case len(r.RequestURI) > mostURL:
		writeProblem(w, problem(malformed, "the address is too long"))
		return
	case carriesToken(r):
		writeProblem(w, problem(tokenInURL, "revoke this token: it may stand in logs already"))
		return
	}
	if err := g.origin.Check(r); err != nil { // a session's cookie goes along with what other sites' pages send
		writeProblem(w, problem(crossOrigin, "send it from a page of this server, or from a program"))
		return
	}
	who, err := g.who.Authenticate(r)
	switch {
	case errors.Is(err, ErrTooMany):
		h.Set("Retry-After", "60")
		writeProblem(w, problem(tooMany, err.Error()))
		return
	case err != nil:
		g.log.ErrorContext(r.Context(), "nobody can sign in", "error", err)
		writeProblem(w, problem(silent, "it cannot be said now who you are"))
		return
	case !who.Known():
		h.Set("WWW-Authenticate", `Bearer realm="Monitor"`)
		writeProblem(w, problem(stranger, "a good token is needed"))
		return
	}
	if !g.rates.allow(who.SignIn + " " + who.Account) {
		h.Set("Retry-After", "1")
		writeProblem(w, problem(tooMany, "an account may ask a few times a second"))
		return
	}
	ctx := context.WithValue(r.Context(), whoKey{}, who)
	if r.URL.Path != Prefix+"/events" { // which lasts
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, mostTime)
		defer cancel()
	}
	most := int64(mostBody)
	if r.URL.Path == Prefix+"/runs" || strings.HasPrefix(r.URL.Path, Prefix+"/nodegroups/") {
		most = mostRun
	}
	r.Body = http.MaxBytesReader(w, r.Body, most+1)
	g.next.ServeHTTP(w, r.WithContext(ctx))
}

type whoKey struct{}

// whoOf is who sends the request; the guard has put him there.
func whoOf(ctx context.Context) access.Who {
	who, _ := ctx.Value(whoKey{}).(access.Who)
	return who
}

// carriesToken reports whether an address holds a secret, under a name that asks for one or in any place.
func carriesToken(r *http.Request) bool {
	for name, values := range r.URL.Query() {
		switch strings.ToLower(name) {
		case "token", "access_token", "authorization", "api_key", "apikey", "password":
			return true
		}
		for _, v := range values {
			if _, _, is := access.ParseToken(v); is {
				return true
			}
		}
	}
	return false
}

// rates counts what each of many does. Those of which nothing was heard for a while are forgotten.
type rates struct {
	limit rate.Limit
	burst int
	now   func() time.Time

	mu     sync.Mutex
	byName map[string]*rate.Limiter
}

// mostNames is how many are counted before the idle ones are forgotten.
const mostNames = 10_000

func (r *rates) of(name string) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, known := r.byName[name]
	if !known {
		if len(r.byName) >= mostNames {
			for old, x := range r.byName {
				if x.TokensAt(r.now()) >= float64(r.burst) {
					delete(r.byName, old)
				}
			}
		}
		l = rate.NewLimiter(r.limit, r.burst)
		r.byName[name] = l
	}
	return l
}

func (r *rates) allow(name string) bool { return r.of(name).AllowN(r.now(), 1) }

// Address is where a request comes from, without the port. Behind a proxy that is what the proxy says last, on the last
// line of X-Forwarded-For: what stands before it is anybody's word.
func Address(r *http.Request, proxied bool) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil { // the peer of a socket has no address
		host = "this machine"
	}
	if lines := r.Header.Values("X-Forwarded-For"); proxied && len(lines) > 0 {
		last := lines[len(lines)-1]
		last = strings.TrimSpace(last[strings.LastIndex(last, ",")+1:])
		if net.ParseIP(last) != nil {
			return last
		}
	}
	return host
}
