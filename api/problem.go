package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/store"
)

// kind is one type of problem. Programs tell them apart by their type, so that none is ever renamed.
type kind struct {
	name   string
	status int
	title  string
	about  string
}

// The types of problems.
var (
	stranger    = kind{"sign-in", 401, "Nobody is signed in", "Send a good token: `Authorization: Bearer TOKEN`."}
	forbidden   = kind{"not-allowed", 403, "Not allowed", "The role of the token may not do this, or not at this site."}
	crossOrigin = kind{"cross-origin", 403, "Another site's page", "A browser sent this on behalf of another site."}
	notFound    = kind{"not-found", 404, "Not found", "There is no such thing, or none that one may see."}
	badMethod   = kind{"method", 405, "Not this method", "The operation is there, under another method."}
	refused     = kind{"refused", 409, "Refused", "The order does not go together with where things stand now."}
	changed     = kind{"changed", 412, "Changed meanwhile", "What `If-Match` names is not what is there now: look again."}
	tooLarge    = kind{"too-large", 413, "Too large", "The body is larger than the API takes."}
	invalid     = kind{"invalid", 422, "Cannot be meant", "A field, a parameter or an expression is wrong: see `detail`."}
	reused      = kind{"key-reused", 422, "The key is another order's", "Give each order an `Idempotency-Key` of its own."}
	tokenInURL  = kind{"token-in-address", 400, "A token in the address", "Addresses are logged: revoke it, and use a header."}
	malformed   = kind{"malformed", 400, "Cannot be read", "The request is no good HTTP or JSON."}
	tooMany     = kind{"too-many", 429, "Too many requests", "Wait as `Retry-After` says."}
	broken      = kind{"failed", 500, "Failed", "It is written in the log of the server."}
	silent      = kind{"no-answer", 503, "No answer", "Temporal, a worker or the database did not answer in time. An order " +
		"may yet be carried out: send it again under the same `Idempotency-Key`."}
)

func kinds() []kind {
	return []kind{malformed, tokenInURL, stranger, forbidden, crossOrigin, notFound, badMethod, refused, changed, tooLarge,
		invalid, reused, tooMany, broken, silent}
}

func (k kind) uri() string { return Prefix + "/docs#problem-" + k.name }

func problem(k kind, detail string) *huma.ErrorModel {
	return &huma.ErrorModel{Type: k.uri(), Title: k.title, Status: k.status, Detail: clean.Text(detail)}
}

// typed gives the problems that the library makes the type that they are of.
func typed(_ huma.Context, status string, v any) (any, error) {
	p, is := v.(*huma.ErrorModel)
	if !is || p.Type != "" {
		return v, nil
	}
	k := broken
	switch n, _ := strconv.Atoi(status); n {
	case http.StatusBadRequest, http.StatusUnsupportedMediaType, http.StatusNotAcceptable, http.StatusRequestTimeout:
		k = malformed
	case http.StatusRequestEntityTooLarge:
		k = tooLarge
	case http.StatusUnprocessableEntity:
		k = invalid
	}
	p.Type, p.Title = k.uri(), k.title
	for _, e := range p.Errors { // what was sent is not sent back
		e.Value = nil
		e.Message = clean.Line(e.Message)
	}
	return p, nil
}

// problemOf is what an error means to whoever asked.
func problemOf(err error) *huma.ErrorModel {
	var p *huma.ErrorModel
	if errors.As(err, &p) {
		return p
	}
	switch orders.KindOf(err) {
	case orders.Invalid:
		return problem(invalid, err.Error())
	case orders.NotFound:
		return problem(notFound, err.Error())
	case orders.Forbidden:
		return problem(forbidden, err.Error())
	case orders.Refused:
		return problem(refused, err.Error())
	case orders.Reused:
		return problem(reused, err.Error())
	case orders.Silent:
		return problem(silent, err.Error())
	}
	switch {
	case errors.Is(err, access.ErrRefused):
		return problem(forbidden, err.Error())
	case errors.Is(err, store.ErrNotFound):
		return problem(notFound, err.Error())
	case answers.Silent(err), errors.Is(err, answers.ErrNobody):
		return problem(silent, err.Error())
	}
	return problem(broken, "why is written in the log of the server")
}

// writeProblem answers where the library is not reached.
func writeProblem(w http.ResponseWriter, p *huma.ErrorModel) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}
