package pcucontrol

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"time"
)

// ipal drives Dataprobe's iPAL by its binary protocol on tcp: ESC password ESC data command, answered with a digit an outlet: 1 on, 0
// off, 6 a broken cable to the outlet box.
type ipal struct{}

var ipalAnswer = regexp.MustCompile(`^[0-9]+`)

// call sends one command on a connection of its own and returns the digits, at least as many as the outlet wants. The device ends its
// answers by falling silent.
func (ipal) call(ctx context.Context, t Target, doing, data string, command byte) (string, error) {
	conn, err := dial(ctx, t)
	if err != nil {
		return "", err
	}
	s := newSession(ctx, t, conn, conn, conn, "")
	defer s.Close()
	s.trace(">", fmt.Sprintf("%s%c", data, command))
	if _, err := io.WriteString(conn, "\x1b"+t.Password+"\x1b"+data+string(command)); err != nil {
		return "", s.fail(Unexpected, doing, "the device hung up")
	}
	var heard []byte
	silence := (<-chan time.Time)(nil)
	for {
		select {
		case chunk, ok := <-s.chunks:
			if heard = append(heard, chunk...); len(heard) > 64 {
				return "", s.fail(Unexpected, doing, "too long an answer: "+tail(mask(string(heard), t.Password)))
			}
			switch {
			case t.Outlet > 0 && len(ipalAnswer.Find(heard)) >= t.Outlet:
				return digits(s, doing, heard)
			case ok:
				silence = time.After(300 * time.Millisecond)
			case ctx.Err() != nil:
				return "", s.fail(Timeout, doing, "no answer in time")
			case len(heard) == 0:
				return "", s.fail(Busy, doing, "an empty answer: another session is open")
			default:
				return digits(s, doing, heard)
			}
		case <-silence:
			return digits(s, doing, heard)
		case <-ctx.Done():
			return "", s.fail(Timeout, doing, "no answer in time")
		}
	}
}

func digits(s *session, doing string, heard []byte) (string, error) {
	s.trace("<", string(heard))
	if d := ipalAnswer.Find(heard); d != nil {
		return string(d), nil
	}
	// It has no word for a wrong password: what is no state is that.
	return "", s.fail(Auth, doing, "no states in the answer: "+tail(mask(string(heard), s.t.Password)))
}

func (d ipal) state(ctx context.Context, t Target, doing, data string, command byte) (State, error) {
	states, err := d.call(ctx, t, doing, data, command)
	if err != nil || t.Outlet == 0 {
		return Unknown, err
	}
	if t.Outlet > len(states) {
		return Unknown, &Error{NoOutlet, t.Host, doing, fmt.Sprintf("it has %d outlets", len(states))}
	}
	switch states[t.Outlet-1] {
	case '1':
		return On, nil
	case '0':
		return Off, nil
	case '6':
		return Unknown, &Error{Refused, t.Host, doing, "the device reports a cable error"}
	}
	return Unknown, &Error{Unexpected, t.Host, doing, "state " + strconv.Quote(states[t.Outlet-1:t.Outlet])}
}

func (d ipal) test(ctx context.Context, t Target) (Result, error) { return d.status(ctx, t) }

func (d ipal) status(ctx context.Context, t Target) (Result, error) {
	state, err := d.state(ctx, t, "status", "", 'O')
	return Result{Before: state, After: state, Verified: err == nil}, err
}

// list is what a status tells.
func (d ipal) list(ctx context.Context, t Target) ([]OutletState, error) {
	states, err := d.call(ctx, t, "list", "", 'O')
	var found []OutletState
	for i, s := range states {
		found = append(found, OutletState{Outlet: i + 1, State: map[rune]State{'1': On, '0': Off}[s]})
		if found[i].State == "" {
			found[i].State = Unknown
		}
	}
	return found, err
}

// set uses E on, D off, P pulse (off and on again). A pulse is not for an outlet that is off.
func (d ipal) set(ctx context.Context, t Target, op operation) (Result, error) {
	do := func(command byte) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := d.call(ctx, t, string(op), strconv.Itoa(t.Outlet), command)
			if k := KindOf(err); k == Auth || k == Busy { // the password was right, and the session free, a moment ago: this answer says nothing
				err = &Error{Unexpected, t.Host, string(op), err.Error()}
			}
			return unsure(t, string(op), err)
		}
	}
	read := func(ctx context.Context) (State, error) { return d.state(ctx, t, "status", "", 'O') }
	return switches{read: read, on: do('E'), off: do('D'), cycle: do('P')}.set(ctx, t, op)
}
