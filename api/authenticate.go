package api

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/store"
)

// Failures to sign in that one address may make: a person mistypes, a program guesses.
const (
	failuresPerMinute = 10
	failuresAtOnce    = 10
)

// Tokens lets those in who send a good token in the header Authorization.
type Tokens struct {
	store    *store.Store
	proxied  bool
	now      func() time.Time
	failures *rates
}

// NewTokens makes it. Proxied says that every request comes through a proxy of ours, which says from where.
func NewTokens(s *store.Store, proxied bool, now func() time.Time) *Tokens {
	return &Tokens{store: s, proxied: proxied, now: now, failures: &rates{
		limit: rate.Every(time.Minute / failuresPerMinute), burst: failuresAtOnce, now: now,
		byName: map[string]*rate.Limiter{},
	}}
}

// Authenticate looks a token up. What is no token, an unknown one, a wrong secret, and one that is over are answered
// alike, by the same work.
func (t *Tokens) Authenticate(r *http.Request) (access.Who, error) {
	header := r.Header.Values("Authorization")
	if len(header) == 0 {
		return access.Who{}, nil
	}
	from := Address(r, t.proxied)
	failed := t.failures.of(from)
	if failed.TokensAt(t.now()) < 1 {
		return access.Who{}, ErrTooMany
	}
	who, good, err := t.lookUp(r, header, from)
	if err != nil {
		return access.Who{}, err
	}
	if !good {
		failed.AllowN(t.now(), 1)
		return access.Who{}, nil
	}
	return who, nil
}

func (t *Tokens) lookUp(r *http.Request, header []string, from string) (who access.Who, good bool, err error) {
	scheme, text, _ := strings.Cut(header[0], " ")
	id, hash, isToken := access.ParseToken(strings.TrimSpace(text))
	token, err := t.store.Token(r.Context(), id)
	if errors.Is(err, store.ErrNotFound) {
		token, err = store.Token{Hash: make([]byte, sha256.Size)}, nil
	}
	if err != nil {
		return who, false, err
	}
	now := t.now()
	same := access.SameHash(hash[:], token.Hash)
	if !same || !isToken || len(header) > 1 || !strings.EqualFold(scheme, "Bearer") || !token.Good(now) {
		return who, false, nil
	}
	if err := t.store.TokenUsed(r.Context(), id, from, now); err != nil {
		return who, false, err
	}
	return access.Who{
		Account: "token " + token.Name, Role: access.Role(token.Role), Sites: token.Sites, From: from,
		SignIn: access.ByToken,
	}, true, nil
}
