package plc

import (
	"errors"
	"fmt"

	"github.com/planetlab/monitor/plc/xmlrpc"
)

// Fault is an error that PLC answered.
type Fault = xmlrpc.Fault

// Why a call did not do what was asked.
var (
	ErrUnavailable = errors.New("PLC is not available")                     // it may be later
	ErrAuth        = errors.New("PLC refused the login or role")            // fault 103
	ErrPermission  = errors.New("PLC denied permission")                    // fault 108
	ErrInvalid     = errors.New("PLC found an argument invalid or missing") // fault 102
	ErrRedirected  = errors.New("PLC sends elsewhere, where the password must not go")
	ErrNotXMLRPC   = xmlrpc.ErrNotXMLRPC

	// ErrNotAdmin says that the account lacks the role admin. PLC then leaves out what the account may not see, without
	// a fault: no list can be believed.
	ErrNotAdmin = errors.New("the account lacks the role admin at PLC: give it the role")
	// ErrNotFound says that PLC has no such row.
	ErrNotFound = errors.New("PLC has no such row")
	// ErrPeer says that the row is a peer's, which is not ours to judge or change.
	ErrPeer = fmt.Errorf("%w of its own: it is a peer's", ErrNotFound)
	// ErrNotOrdinary says that a slice is a system slice, which is never suspended.
	ErrNotOrdinary = errors.New("it is a system slice")
)

// What became of a change that failed: the error of every change is one of these two.
var (
	// ErrRefused says that PLC surely did not make the change.
	ErrRefused = errors.New("nothing was changed")
	// ErrMayBeDone says that PLC may have made the change, or may still make it: the answer was lost.
	ErrMayBeDone = errors.New("it may have been done")
	// ErrNotWritten says that PLC answered success and the change is not there. It is an ErrRefused.
	ErrNotWritten = fmt.Errorf("PLC accepted the change but did not make it: %w", ErrRefused)
)

// meaning says what a fault is to callers, and whether PLC may have done the work all the same: after an error of its
// database (106) or its own (111) nobody knows.
func meaning(f *Fault) (err error, mayBeDone bool) {
	switch f.Code {
	case 102:
		return fmt.Errorf("%w: %w", ErrInvalid, f), false
	case 103:
		return fmt.Errorf("%w: %w", ErrAuth, f), false
	case 106, 111:
		return fmt.Errorf("%w: %w", ErrUnavailable, f), true
	case 108:
		return fmt.Errorf("%w: %w", ErrPermission, f), false
	}
	return f, false
}

// confirm ends a change by what PLC reads back, which counts for more than what it answered: a lost answer may have
// been a yes, and a yes may have changed nothing.
func confirm[T comparable](what string, want T, wrote error, readBack func() (T, error)) error {
	if errors.Is(wrote, ErrRefused) {
		return wrote
	}
	is, err := readBack()
	switch {
	case err == nil && is == want:
		return nil
	case wrote != nil:
		return wrote
	case err != nil:
		return fmt.Errorf("read back %s: %w; %w", what, err, ErrMayBeDone)
	}
	return fmt.Errorf("plc: %s is %v, not %v: %w", what, is, want, ErrNotWritten)
}
