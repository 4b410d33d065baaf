package web

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/api"
	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/store"
)

const (
	sessionFor   = 12 * time.Hour   // then one signs in again
	rolesFor     = 5 * time.Minute  // then a visitor's roles are read again
	rolesAtMost  = 30 * time.Minute // so long a role holds while PLC cannot be asked
	keyWho       = "who"
	keyFlash     = "said"
	cookieName   = "monitor"
	secureCookie = "__Host-monitor" // a browser takes it only over TLS, from this host alone (RFC 6265bis, 4.1.3.2)
)

// signedIn is what a session holds of its visitor.
type signedIn struct {
	Who     access.Who `json:"who"`
	Email   string     `json:"email,omitempty"` // by which PLC knows him
	Token   string     `json:"token,omitempty"` // the id of the token that he showed
	Checked time.Time  `json:"checked"`         // when his roles were last read
}

func newSessions(db *store.Store, secure bool, log *slog.Logger) *scs.SessionManager {
	m := scs.New()
	m.Store = &recent{Sessions: store.Sessions{Store: db}, read: map[string]remembered{}}
	m.Lifetime = sessionFor
	m.Cookie = scs.SessionCookie{Name: cookieName, HttpOnly: true, Path: "/", Persist: false, SameSite: http.SameSiteLaxMode, Secure: secure}
	if secure {
		m.Cookie.Name = secureCookie
	}
	m.ErrorFunc = func(w http.ResponseWriter, r *http.Request, err error) {
		if r.Context().Err() == nil {
			log.Warn("a session cannot be read or kept", "error", err)
		}
		http.Error(w, "Monitor cannot find out who you are now: try again", http.StatusServiceUnavailable)
	}
	m.HashTokenInStore = false // the store hashes it
	return m
}

// identify finds out who visits: by a session, by a token in the header, or, where pages are public, nobody in
// particular.
func (s *Server) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := s.recognise(r)
		if err != nil {
			s.Log.Warn("a visitor could not be recognised", "error", err)
			http.Error(w, "Monitor cannot find out who you are now: try again", http.StatusServiceUnavailable)
			return
		}
		if !who.Known() && s.Public == PublicFull {
			who = access.Who{Name: "not signed in", Account: public, Role: access.Viewer, Sites: []string{access.AllSites}}
		}
		who.From = s.from(r)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), viewerKey, who)))
	})
}

func (s *Server) recognise(r *http.Request) (access.Who, error) {
	in, is := s.signedIn(r.Context())
	if !is {
		return access.Who{}, nil
	}
	if s.Now().Sub(in.Checked) < rolesFor {
		return in.Who, nil
	}
	switch {
	case in.Token != "":
		return s.readRolesAgain(r.Context(), in, in.Token, s.tokenRole)
	case in.Email != "" && s.rolesOf != nil:
		return s.readRolesAgain(r.Context(), in, in.Email, s.rolesOf)
	}
	return in.Who, nil // by groups at the provider, which are read anew at the next sign-in
}

func (s *Server) signedIn(ctx context.Context) (in signedIn, is bool) {
	text := s.sessions.GetString(ctx, keyWho)
	if text == "" || json.Unmarshal([]byte(text), &in) != nil {
		return in, false
	}
	return in, in.Who.Known()
}

// readRolesAgain ends what somebody may do soon after it was taken from him.
func (s *Server) readRolesAgain(ctx context.Context, in signedIn, of string,
	read func(context.Context, string) (access.Role, []string, error)) (access.Who, error) {
	role, sites, err := read(ctx, of)
	switch {
	case err != nil && s.Now().Sub(in.Checked) < rolesAtMost:
		s.Log.Warn("roles cannot be read again yet", "error", err)
		return in.Who, nil
	case err != nil || role == "":
		return access.Who{}, s.sessions.Destroy(ctx)
	}
	in.Who.Role, in.Who.Sites, in.Checked = role, sites, s.Now()
	return in.Who, s.keep(ctx, in)
}

func (s *Server) keep(ctx context.Context, in signedIn) error {
	text, err := json.Marshal(in)
	if err == nil {
		s.sessions.Put(ctx, keyWho, string(text))
	}
	return err
}

// signIn makes a visitor somebody. The token of his session is a new one, so that one that was planted before is worth
// nothing (OWASP, Session Fixation).
func (s *Server) signIn(ctx context.Context, in signedIn) error {
	if err := s.sessions.RenewToken(ctx); err != nil {
		return err
	}
	in.Checked = s.Now()
	return s.keep(ctx, in)
}

// from is where a visitor calls from.
func (s *Server) from(r *http.Request) string { return clean.Line(api.Address(r, s.BehindProxy)) }

// flash is said once, on the next page that a visitor sees.
func (s *Server) flash(ctx context.Context, text string) {
	s.sessions.Put(ctx, keyFlash, clean.Line(text))
}
