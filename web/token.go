package web

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/store"
)

// tokenWho says whose API token a text is. One that is none, is unknown, wrong or over is refused alike, by the same
// work.
func (s *Server) tokenWho(ctx context.Context, text, from string) (signedIn, error) {
	id, hash, isToken := access.ParseToken(text)
	token, err := s.Store.Token(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		token, err = store.Token{Hash: make([]byte, sha256.Size)}, nil
	}
	if err != nil {
		return signedIn{}, err
	}
	if same := access.SameHash(hash[:], token.Hash); !same || !isToken || !token.Good(s.Now()) {
		return signedIn{}, errRefused
	}
	name := "token " + token.Name
	return signedIn{Token: id, Who: access.Who{Name: name, Account: name, Role: access.Role(token.Role), Sites: token.Sites,
		SignIn: access.ByToken}}, s.Store.TokenUsed(ctx, id, from, s.Now())
}

// tokenRole reads again what a token may do; nothing, if it is over.
func (s *Server) tokenRole(ctx context.Context, id string) (access.Role, []string, error) {
	token, err := s.Store.Token(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && !token.Good(s.Now()) {
		return "", nil, nil
	}
	return access.Role(token.Role), token.Sites, err
}
