package web

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/clean"
)

// OIDC says which OpenID Connect provider people may sign in with.
type OIDC struct {
	Issuer, ClientID, ClientSecret string
	Name                           string // of the button
	Callback                       string // URL of ours to which it sends people back
	RolesClaim                     string
	Viewers, Operators, Admins     []string // groups
	HTTP                           *http.Client
}

// oidcClient signs people in by the code flow with PKCE (RFC 7636). The provider is asked for its keys when somebody
// first signs in, so that Monitor starts while it is away.
type oidcClient struct {
	OIDC
	name string

	mu       sync.Mutex
	provider *oidc.Provider
}

const keyFlow = "oidc"

// flow is what a session remembers while its visitor is at the provider.
type flow struct {
	State, Nonce, Verifier, Next string
}

func (c *oidcClient) connect(ctx context.Context) (*oidc.Provider, *oauth2.Config, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.provider == nil {
		p, err := oidc.NewProvider(c.with(context.WithoutCancel(ctx)), c.Issuer)
		if err != nil {
			return nil, nil, fmt.Errorf("the provider %s: %w", c.Issuer, err)
		}
		c.provider = p
	}
	return c.provider, &oauth2.Config{ClientID: c.ClientID, ClientSecret: c.ClientSecret, Endpoint: c.provider.Endpoint(),
		RedirectURL: c.Callback, Scopes: []string{oidc.ScopeOpenID, "email", "profile"}}, nil
}

func (c *oidcClient) with(ctx context.Context) context.Context {
	if c.HTTP == nil {
		return ctx
	}
	return oidc.ClientContext(ctx, c.HTTP)
}

// startOIDC sends a visitor to the provider.
func (s *Server) startOIDC(r *request) (view, error) {
	if s.oidc == nil {
		return view{}, notFound("There is no sign-in with OpenID Connect here.")
	}
	_, oauth, err := s.oidc.connect(r.Context())
	if err != nil {
		return view{}, err
	}
	f := flow{State: newNonce(), Nonce: newNonce(), Verifier: oauth2.GenerateVerifier(), Next: nextOf(r.URL.Query().Get("next"))}
	text, err := json.Marshal(f)
	if err != nil {
		return view{}, err
	}
	s.sessions.Put(r.Context(), keyFlow, string(text))
	return view{To: oauth.AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier))}, nil
}

// endOIDC takes a visitor back from the provider.
func (s *Server) endOIDC(r *request) (view, error) {
	var f flow
	text := s.sessions.PopString(r.Context(), keyFlow)
	if s.oidc == nil || text == "" || json.Unmarshal([]byte(text), &f) != nil {
		return s.notSignedIn(r, errors.New("nobody began to sign in here"))
	}
	q := r.URL.Query()
	if subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(f.State)) != 1 {
		return s.notSignedIn(r, errors.New("the provider's answer is not for this sign-in"))
	}
	if q.Get("error") != "" {
		return s.notSignedIn(r, errors.New("the provider says "+clean.Line(q.Get("error"))))
	}
	in, err := s.oidc.whoIs(r.Context(), s, q.Get("code"), f)
	if err == nil {
		err = s.signIn(r.Context(), in)
	}
	if err != nil {
		return s.notSignedIn(r, err)
	}
	s.Log.Info("signed in", "who", in.Who.String(), "role", string(in.Who.Role), "by", in.Who.SignIn, "from", r.who.From)
	return view{To: f.Next}, nil
}

func (s *Server) notSignedIn(r *request, err error) (view, error) {
	s.Log.Warn("a sign-in was refused", "by", access.ByOIDC, "from", r.who.From, "error", clean.Err(err))
	s.flash(r.Context(), "You are not signed in: "+clean.Line(err.Error()))
	return view{To: "/sign-in"}, nil
}

// whoIs exchanges the code, checks what the provider signed, and says who that is here.
func (c *oidcClient) whoIs(ctx context.Context, s *Server, code string, f flow) (in signedIn, err error) {
	provider, oauth, err := c.connect(ctx)
	if err != nil {
		return in, err
	}
	ctx = c.with(ctx)
	token, err := oauth.Exchange(ctx, code, oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return in, errors.New("the provider did not take its code back")
	}
	raw, _ := token.Extra("id_token").(string)
	signed, err := provider.Verifier(&oidc.Config{ClientID: c.ClientID}).Verify(ctx, raw)
	if err != nil {
		return in, fmt.Errorf("what the provider signed: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(signed.Nonce), []byte(f.Nonce)) != 1 {
		return in, errors.New("what the provider signed is not for this sign-in")
	}
	var claims map[string]any
	if err := signed.Claims(&claims); err != nil {
		return in, err
	}
	email, _ := claims["email"].(string)
	if verified, is := claims["email_verified"].(bool); is && !verified {
		email = ""
	}
	in.Who = access.Who{Name: clean.Line(email), Account: clean.Line(signed.Subject), SignIn: access.ByOIDC}
	if in.Who.Name == "" {
		in.Who.Name = in.Who.Account
	}
	return in, c.giveRole(ctx, s, &in, email, groupsIn(claims[c.RolesClaim]))
}

// giveRole says what somebody may do: by his groups at the provider, else by what his address is at PLC.
func (c *oidcClient) giveRole(ctx context.Context, s *Server, in *signedIn, email string, groups []string) error {
	in1 := func(list []string) bool {
		return slices.ContainsFunc(list, func(g string) bool { return slices.Contains(groups, g) })
	}
	in.Who.Sites = []string{access.AllSites}
	switch {
	case in1(c.Admins):
		in.Who.Role = access.Admin
	case in1(c.Operators):
		in.Who.Role = access.Operator
	case in1(c.Viewers):
		in.Who.Role = access.Viewer
	case email != "" && s.rolesOf != nil:
		role, sites, err := s.rolesOf(ctx, strings.ToLower(email))
		if err != nil {
			return err
		}
		in.Email, in.Who.Role, in.Who.Sites = strings.ToLower(email), role, sites
	}
	if in.Who.Role == "" {
		return errors.New("your account has no role here")
	}
	return nil
}

func groupsIn(claim any) (groups []string) {
	switch v := claim.(type) {
	case string:
		return []string{v}
	case []any:
		for _, g := range v {
			if text, is := g.(string); is {
				groups = append(groups, text)
			}
		}
	}
	return groups
}
