package pcucontrol

import (
	"context"
	"slices"
	"strings"
	"time"
)

// switches is what a device can do to one outlet; a nil field is what it has no word for. An error of on, off and cycle is ambiguous
// where the command went out and no answer came.
type switches struct {
	read           func(context.Context) (State, error)
	on, off, cycle func(context.Context) error
	lag            time.Duration // how long on may be the state of before a cycle, unless off was seen; at least leastLag
}

// leastLag is how long any device may take from the command to off: many answer at once and switch a moment later.
const leastLag = 3 * time.Second

// knowing is the same where the state was read already, and need not be read again before switching.
func (s switches) knowing(state State) switches {
	read, told := s.read, false
	if read != nil {
		s.read = func(ctx context.Context) (State, error) {
			if !told {
				told = true
				return state, nil
			}
			return read(ctx)
		}
	}
	return s
}

// lagging does not believe that it is on after a cycle until it was off, or as long as the device's answers may be old. That is at
// most half of the time that is left.
func (s switches) lagging(ctx context.Context) switches {
	if deadline, ok := ctx.Deadline(); ok {
		s.lag = min(s.lag, time.Until(deadline)/2)
	}
	read, end, wasOff := s.read, time.Now().Add(s.lag), false
	s.read = func(ctx context.Context) (State, error) {
		state, err := read(ctx)
		if wasOff = wasOff || state == Off; state == On && !wasOff && time.Now().Before(end) {
			state = Unknown
		}
		return state, err
	}
	return s
}

// set does an operation and reads back, where the device can tell: an outlet found off is turned on rather than cycled, and a device
// that cannot cycle is turned off and on.
func (s switches) set(ctx context.Context, t Target, op operation) (Result, error) {
	r := Result{Before: Unknown, After: Unknown}
	command := map[operation]func(context.Context) error{opOn: s.on, opOff: s.off, opCycle: s.cycle}[op]
	inTwo := op == opCycle && command == nil && s.on != nil && s.off != nil
	if command == nil && !inTwo {
		return r, unsupported(t, string(op))
	}
	if s.read != nil {
		state, err := s.read(ctx)
		if r.Before, r.After = state, state; err != nil {
			return r, err
		}
	}
	want := On
	switch {
	case op == opOff:
		want = Off
	case op == opCycle && r.Before == Off && s.on != nil:
		command, r.Note = s.on, "found off, turned on"
	case inTwo:
		if err := s.power(ctx, t, &r, "off", s.off, Off); err != nil {
			return r, err
		}
		if err := s.power(ctx, t, &r, "on", s.on, On); err != nil { // whatever it is, the outlet is not as it was
			return r, &Error{Ambiguous, t.Host, "on", "the outlet was turned off; " + err.Error()}
		}
		return r, nil
	case op == opCycle && s.read != nil:
		s.lag = max(s.lag, leastLag)
		s = s.lagging(ctx)
	}
	return r, s.power(ctx, t, &r, string(op), command, want)
}

func (s switches) power(ctx context.Context, t Target, r *Result, doing string, command func(context.Context) error, want State) error {
	if ctx.Err() != nil {
		return &Error{Timeout, t.Host, doing, "the time was over before the command"}
	}
	if err := command(ctx); err != nil {
		return err
	}
	if s.read == nil {
		r.Note = strings.TrimPrefix(r.Note+", sent, not verified", ", ")
		return nil
	}
	state, err := poll(ctx, func() (State, error) { return s.read(ctx) }, want)
	if r.After = state; state == want {
		r.Verified = true
		return nil
	}
	detail := "the outlet stays " + string(state)
	if err != nil && state == Unknown {
		detail = err.Error()
	}
	return &Error{Ambiguous, t.Host, "read back", mask(detail, t.Password)}
}

// of is the state that a device's word means.
func (s states) of(word string) State {
	word = strings.ToLower(word)
	switch {
	case word == "on" || slices.Contains(s.On, word):
		return On
	case word == "off" || slices.Contains(s.Off, word):
		return Off
	}
	return Unknown
}
