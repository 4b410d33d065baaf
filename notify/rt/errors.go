package rt

import (
	"errors"
	"fmt"
	"net/http"
)

// Failure says what kind of error a call met, and so what a caller may do about it.
type Failure string

// The kinds of failure.
const (
	Away      Failure = "away"      // Request Tracker does not answer: nothing was changed, try again later
	Ambiguous Failure = "ambiguous" // the answer was lost: the change may have been made, look before trying again
	Conflict  Failure = "conflict"  // somebody else changed the ticket meanwhile: look at it again
	Auth      Failure = "auth"      // the token is not taken: an admin must act
	Denied    Failure = "denied"    // the token's user may not do this, or the queue does not exist
	Missing   Failure = "missing"   // there is no such ticket
	Refused   Failure = "refused"   // the request cannot be met, or RT said yes and did not do it
)

// Error is a failed call. It never holds the token.
type Error struct {
	Failure Failure
	Call    string // such as "POST ticket/12/correspond"
	Code    int    // the HTTP status, or 0 if there was no answer
	Text    string // what RT said, or what happened
}

func (e *Error) Error() string {
	if e.Code != 0 {
		return fmt.Sprintf("request tracker: %s: %d: %s", e.Call, e.Code, e.Text)
	}
	return fmt.Sprintf("request tracker: %s: %s", e.Call, e.Text)
}

// FailureOf returns the kind of failure behind err, or "" if err is not an [Error].
func FailureOf(err error) Failure {
	var e *Error
	if errors.As(err, &e) {
		return e.Failure
	}
	return ""
}

// Unsent says that a failed call surely changed nothing. Every other failed change may have been made.
func Unsent(err error) bool {
	switch FailureOf(err) {
	case Away, Conflict, Auth, Denied, Missing, Refused:
		return true
	}
	return false
}

// failureOf reads an HTTP status. A change that ends in a 500 or behind a gateway that gave up may have been made.
func failureOf(method string, code int) Failure {
	switch code {
	case http.StatusUnauthorized:
		return Auth
	case http.StatusForbidden:
		return Denied
	case http.StatusNotFound:
		return Missing
	case http.StatusPreconditionFailed:
		return Conflict
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return Away
	}
	switch {
	case code < 500:
		return Refused
	case method == http.MethodGet:
		return Away
	}
	return Ambiguous
}
