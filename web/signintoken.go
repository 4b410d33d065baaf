package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/plc"
)

// TokenGood is how long a token is good that a password was exchanged for. What its owner may do at PLC is not asked again
// while it is, so that it is no longer than a day.
const TokenGood = 24 * time.Hour

// mostSignIn bounds what a program sends to sign in.
const mostSignIn = 4 << 10

// givenToken is what a program is answered that signs in for a person.
type givenToken struct {
	Token   string      `json:"token"`
	Name    string      `json:"name"`
	Role    access.Role `json:"role"`
	Sites   []string    `json:"sites"`
	Expires time.Time   `json:"expires"`
}

// giveToken exchanges a password at PLC for a token of the same person's role, under the same limits and in the same time
// as the form for signing in. The password goes to PLC and nowhere else.
func (s *Server) giveToken(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	var in struct {
		Account  string     `json:"account"`
		Password plc.Secret `json:"password"`
	}
	if kind := r.Header.Get("Content-Type"); kind != "application/json" {
		refuseToken(w, http.StatusUnsupportedMediaType, "send JSON")
		return
	}
	text := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostSignIn))
	text.DisallowUnknownFields()
	if err := text.Decode(&in); err != nil {
		refuseToken(w, http.StatusBadRequest, "that is no account with a password: send both, in JSON")
		return
	}
	if s.PLC == nil {
		refuseToken(w, http.StatusConflict, "this server takes no passwords of PLC: sign in with a token")
		return
	}
	account := strings.ToLower(strings.TrimSpace(in.Account))
	var given givenToken
	from := s.from(r)
	wait, err := s.try(r.Context(), account, from, func() (access.Who, error) {
		is, err := s.checkPassword(r.Context(), account, in.Password)
		if err != nil {
			return is.Who, err
		}
		who := is.Who
		who.From = from
		o := orders.Order{Who: who, Reason: "monitor login"}
		_, t, token, err := s.desk().OwnToken(r.Context(), o, TokenGood)
		given = givenToken{token, t.Name, access.Role(t.Role), t.Sites, t.Expires}
		return who, err
	})
	switch {
	case wait > 0:
		refuseToken(w, http.StatusTooManyRequests, "too many tries went wrong: try again in "+span(wait))
	case errors.Is(err, errRefused):
		refuseToken(w, http.StatusUnauthorized, "that was not accepted: the account or the password is wrong, or has no role here")
	case err != nil:
		refuseToken(w, http.StatusServiceUnavailable, "Monitor cannot check that now: try again in a while")
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(given)
	}
}

// refuseToken answers a problem of RFC 9457.
func refuseToken(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "title": http.StatusText(status), "detail": clean.Text(detail)})
}
