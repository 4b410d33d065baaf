package orders

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"

	"github.com/planetlab/monitor/answers"
)

// Kind says what kind of no an order came to.
type Kind string

// The kinds of no. An error without one is a failure.
const (
	Invalid   Kind = "invalid"   // it cannot be meant, whoever gives it
	NotFound  Kind = "not found" // what it is about is not there
	Forbidden Kind = "forbidden" // not for this person
	Refused   Kind = "refused"   // it does not go together with where things stand now
	Reused    Kind = "reused"    // its key names another order
	Silent    Kind = "silent"    // nobody answered in time; it may yet be carried out
)

// Error is a no of a kind.
type Error struct {
	Kind Kind
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// ErrNoReason says that an order lacks the reason that others will ask for.
var ErrNoReason = errors.New("reason is missing")

// KindOf is the kind of an error; empty for nil, and for one that has none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	if err != nil {
		return "failure"
	}
	return ""
}

func invalid(format string, args ...any) error { return &Error{Invalid, fmt.Errorf(format, args...)} }

func notFound(format string, args ...any) error { return &Error{NotFound, fmt.Errorf(format, args...)} }

func refused(format string, args ...any) error { return &Error{Refused, fmt.Errorf(format, args...)} }

// errNoTemporal says that a workflow would have to be asked, and that none was.
var errNoTemporal = errors.New("temporal is not connected, so nothing was asked and nothing is done: give the order again when it is")

// connected refuses, before anything is done, an order that a workflow has to carry out where none can be asked.
func (d Desk) connected() error {
	if d.Temporal == nil {
		return &Error{Silent, errNoTemporal}
	}
	return nil
}

// answered is what a workflow's answer to an order means; absent is what to say where there is no such workflow.
func answered(id string, err, absent error) error {
	var none *serviceerror.NotFound
	var no *temporal.ApplicationError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &none):
		return absent
	case errors.As(err, &no):
		return refused("%s refuses: %s", id, no.Message())
	case answers.Silent(err), errors.Is(err, context.Canceled):
		return &Error{Silent, fmt.Errorf("%s does not answer: is monitor-worker running? The order may yet be carried out", id)}
	}
	return fmt.Errorf("%s: %w", id, err)
}
