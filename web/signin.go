package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/plc"
)

// PLC is as much of PLC's API as signing in needs.
type PLC interface {
	// CheckPassword answers nil when PLC takes the password, and plc.ErrAuth when it does not.
	CheckPassword(ctx context.Context, email string, password plc.Secret) error
	// Account reads who somebody is; plc.ErrNotFound: nobody.
	Account(ctx context.Context, email string) (plc.Account, error)
}

// People says who is what, beside what PLC says.
type People struct {
	Operators, Admins []string // addresses
}

// askToSignIn leads a stranger to the sign-in page, and from there back to where he wanted to go.
func (s *Server) askToSignIn(w http.ResponseWriter, r *request) {
	if s.Public == PublicStatus && r.URL.Path == "/" {
		http.Redirect(w, r.Request, "/status", http.StatusSeeOther)
		return
	}
	http.Redirect(w, r.Request, "/sign-in?"+url.Values{"next": {r.URL.RequestURI()}}.Encode(), http.StatusSeeOther)
}

// signInView is the page for signing in.
type signInView struct {
	PLC, Token bool
	OIDC       string // the name of the provider
	OIDCURL    string
	Next       string
	Account    string
	Error      string
	Status     bool
}

func (s *Server) signInPage(r *request) (view, error) {
	next := nextOf(r.URL.Query().Get("next"))
	if !stranger(r.who) {
		return view{To: next}, nil
	}
	v := s.signInView(next)
	if why := s.sessions.PopString(r.Context(), keyFlash); why != "" {
		v.Error = why
	}
	return view{Template: "signin", Title: "Sign in", Data: v}, nil
}

func (s *Server) signInView(next string) signInView {
	v := signInView{PLC: s.PLC != nil, Token: true, Next: next, Status: s.Public != PublicOff}
	if s.oidc != nil {
		v.OIDC, v.OIDCURL = s.oidc.name, "/sign-in/oidc?"+url.Values{"next": {next}}.Encode()
	}
	return v
}

// nextOf is where to go after signing in: only a page of ours (CWE-601).
func nextOf(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "" || u.Host != "" || u.Opaque != "" || u.User != nil ||
		!strings.HasPrefix(text, "/") || strings.HasPrefix(text, "//") || strings.ContainsAny(text, "\\\r\n\t") ||
		strings.HasPrefix(u.Path, "/sign-") || strings.HasPrefix(u.Path, "/live") {
		return "/"
	}
	return u.RequestURI()
}

// A refusal takes as long as the slowest answer usually does, so that its time does not tell what was wrong.
const refusalTakes = 700 * time.Millisecond

// errRefused is all that a visitor hears of why he is not let in.
var errRefused = errors.New("that was not accepted: the account, the password or the token is wrong, or has no role here")

func (s *Server) takeSignIn(r *request) (view, error) {
	next := nextOf(r.PostFormValue("next"))
	account := strings.ToLower(strings.TrimSpace(r.PostFormValue("account")))
	wait, err := s.try(r.Context(), account, r.who.From, func() (access.Who, error) {
		in, err := s.check(r, account)
		if err == nil {
			err = s.signIn(r.Context(), in)
		}
		return in.Who, err
	})
	if wait == 0 && err == nil {
		return view{To: next}, nil
	}
	v := s.signInView(next)
	v.Account = clean.Line(account)
	code := http.StatusServiceUnavailable
	switch {
	case wait > 0:
		v.Error, code = "Too many tries went wrong: try again in "+span(wait)+".", http.StatusTooManyRequests
	case errors.Is(err, errRefused):
		v.Error, code = "That was not accepted: the account, the password or the token is wrong, or has no role here.", http.StatusUnauthorized
	default:
		v.Error = "Monitor cannot check that now. Try again in a while."
	}
	return view{Template: "signin", Title: "Sign in", Data: v, Code: code}, nil
}

// try lets somebody try to sign in. Whoever has failed too often must wait, and each refusal takes as long as another.
func (s *Server) try(ctx context.Context, account, from string, check func() (access.Who, error)) (wait time.Duration, err error) {
	began, now := time.Now(), s.Now()
	if wait := max(s.byAccount.wait(account, now), s.byAddress.wait(from, now)); wait > 0 {
		return wait, nil
	}
	who, err := check()
	if err == nil {
		s.byAccount.passed(account)
		s.Log.Info("signed in", "who", who.String(), "role", string(who.Role), "by", who.SignIn, "from", from)
		return 0, nil
	}
	if errors.Is(err, errRefused) {
		s.byAccount.failed(account, now)
		s.byAddress.failed(from, now)
	}
	s.Log.Warn("a sign-in was refused", "account", clean.Line(account), "from", from, "error", err)
	select {
	case <-time.After(refusalTakes - time.Since(began)):
	case <-ctx.Done():
	}
	return 0, err
}

// check finds out who somebody is by what he typed.
func (s *Server) check(r *request, account string) (signedIn, error) {
	if token := strings.TrimSpace(r.PostFormValue("token")); token != "" {
		return s.tokenWho(r.Context(), token, r.who.From)
	}
	return s.checkPassword(r.Context(), account, plc.Secret(r.PostFormValue("password")))
}

// checkPassword asks PLC. The password goes there and nowhere else.
func (s *Server) checkPassword(ctx context.Context, account string, password plc.Secret) (signedIn, error) {
	if s.PLC == nil || account == "" {
		return signedIn{}, errRefused
	}
	err := s.PLC.CheckPassword(ctx, account, password)
	if errors.Is(err, plc.ErrAuth) {
		return signedIn{}, errRefused
	}
	if err != nil {
		return signedIn{}, err
	}
	role, sites, err := s.rolesOf(ctx, account)
	if err == nil && role == "" {
		err = errRefused
	}
	return signedIn{Email: account, Who: access.Who{Name: account, Account: account, Role: role, Sites: sites,
		SignIn: access.ByPLC}}, err
}

// plcRoles is what an account at PLC may do here; no role: nothing.
func (s *Server) plcRoles(ctx context.Context, email string) (access.Role, []string, error) {
	everywhere := []string{access.AllSites}
	known := func(list []string) bool {
		return slices.ContainsFunc(list, func(a string) bool { return strings.EqualFold(a, email) })
	}
	a, err := s.PLC.Account(ctx, email)
	switch {
	case errors.Is(err, plc.ErrNotFound):
		return "", nil, nil
	case err != nil:
		return "", nil, err
	case !a.Enabled:
		return "", nil, nil
	case slices.Contains(a.Roles, "admin") || known(s.People.Admins):
		return access.Admin, everywhere, nil
	case known(s.People.Operators):
		return access.Operator, everywhere, nil
	}
	sites, err := s.loginBases(ctx, a.SiteIDs)
	switch {
	case err != nil || len(sites) == 0:
		return "", nil, err
	case slices.Contains(a.Roles, "tech") || slices.Contains(a.Roles, "pi"):
		return access.Site, sites, nil
	case slices.Contains(a.Roles, "user"):
		return access.Viewer, sites, nil
	}
	return "", nil, nil
}

func (s *Server) loginBases(ctx context.Context, ids []int) (logins []string, err error) {
	rows, err := s.read.sites(ctx)
	for _, x := range rows {
		if slices.Contains(ids, x.SiteID) {
			logins = append(logins, x.LoginBase)
		}
	}
	return logins, err
}

func (s *Server) signOut(r *request) (view, error) {
	return view{To: "/sign-in"}, s.sessions.Destroy(r.Context())
}
