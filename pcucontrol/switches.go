package pcucontrol

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// switches is what a device can do to one outlet; a nil field is what it has no word for. An error of a command is ambiguous where the
// command went out and no answer came; any other error says that nothing was switched.
type switches struct {
	read           func(context.Context) (State, error)
	on, off, cycle func(context.Context) error
	reset          func(context.Context) error // of a machine, its power staying on
	shutdown       func(context.Context) error // asks its operating system to end, and to turn it off
	lag            time.Duration               // how long on may be the state of before a cycle, unless off was seen; at least leastLag
	pause          time.Duration               // between off and on; 0: defaultOffTime
	dead           func() bool                 // whether no more can be read; nil: something always can
}

// leastLag is how long any device may take from the command to off: many answer at once and switch a moment later.
const leastLag = 3 * time.Second

// defaultOffTime lets the capacitors of a power supply run empty.
const defaultOffTime = 3 * time.Second

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

// set does an operation and reads back, where the device can tell. An outlet found off is turned on rather than cycled. A device that
// cannot cycle, or not with the off time that the target wants, is turned off and on.
func (s switches) set(ctx context.Context, t Target, op operation) (Result, error) {
	r := Result{Before: Unknown, After: Unknown}
	command := map[operation]func(context.Context) error{opOn: s.on, opOff: s.off, opCycle: s.cycle, opReset: s.reset, opShutdown: s.shutdown}[op]
	inTwo := op == opCycle && s.on != nil && s.off != nil
	switch {
	case op == opCycle && t.OffTime > 0 && !inTwo:
		return r, &Error{Unsupported, t.Host, "cycle", "the device itself decides how long the outlet stays off; leave the off time out"}
	case command == nil && !inTwo:
		return r, unsupported(t, string(op))
	}
	if s.read != nil {
		state, err := s.read(ctx)
		if r.Before, r.After = state, state; err != nil {
			return r, err
		}
	}
	switch {
	case op == opCycle && r.Before == Off && s.on != nil:
		r.Note = "found off, turned on"
		return r, s.power(ctx, t, &r, "on", s.on, On)
	case op == opCycle && (command == nil || t.OffTime > 0):
		return r, s.offAndOn(ctx, t, &r)
	case op == opCycle:
		return r, s.watchedCycle(ctx, t, &r)
	case op == opReset && r.Before == Off:
		return r, &Error{Refused, t.Host, "reset", "it is off; turn it on"}
	case op == opShutdown && r.Before == Off:
		r.Verified, r.Note = true, "found off"
		return r, nil
	case op == opOff || op == opShutdown:
		return r, s.power(ctx, t, &r, string(op), command, Off)
	}
	return r, s.power(ctx, t, &r, string(op), command, On)
}

// power gives one command and reads back until the outlet is as wanted. An answer that was lost is no loss where the outlet is so.
func (s switches) power(ctx context.Context, t Target, r *Result, doing string, command func(context.Context) error, want State) error {
	if ctx.Err() != nil {
		return &Error{Timeout, t.Host, doing, "the time was over before the command"}
	}
	sent := command(ctx)
	if sent != nil && KindOf(sent) != Ambiguous {
		return sent
	}
	if sent != nil {
		r.After = Unknown
	}
	if s.read == nil {
		if sent == nil {
			r.sentOnly()
		}
		return sent
	}
	state, err := s.poll(ctx, s.read, want)
	if r.After = state; state == want {
		r.Verified = true
		return nil
	}
	return cmp.Or(sent, s.notSo(t, state, err))
}

// notSo is the error of an outlet that is not as was wanted.
func (s switches) notSo(t Target, state State, err error) error {
	detail := "the outlet stays " + string(state)
	var e *Error
	if errors.As(err, &e) && state == Unknown {
		detail = e.Error()
	}
	return &Error{Ambiguous, t.Host, "read back", detail}
}

func (r *Result) sentOnly() { r.Note = strings.TrimPrefix(r.Note+", sent, not verified", ", ") }

// offAndOn is a cycle of two commands. Waiting for off takes at most half of the time, and on is said whatever became of off: it does no
// harm, and an outlet must not stay off because a device is slow, or silent for a while.
func (s switches) offAndOn(ctx context.Context, t Target, r *Result) error {
	pause := cmp.Or(t.OffTime, s.pause, defaultOffTime)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < 3*pause {
		if t.OffTime > 0 {
			return &Error{Timeout, t.Host, "cycle", fmt.Sprintf("an off time of %v needs more time than there is left; nothing was sent", t.OffTime)}
		}
		pause = time.Until(deadline) / 4
	}
	half, cancel := halfOf(ctx)
	defer cancel()
	offErr := s.power(half, t, r, "off", s.off, Off)
	if offErr != nil && KindOf(offErr) != Ambiguous {
		return offErr
	}
	wasOff, note := r.After == Off, r.Note
	settle(ctx, pause)
	before := r.After
	r.Verified, r.Note = false, ""
	if err := s.power(ctx, t, r, "on", s.on, On); err != nil {
		if KindOf(err) != Ambiguous {
			r.After = before
		}
		return &Error{Ambiguous, t.Host, "on", "the outlet was turned off; " + err.Error()}
	}
	r.Note = cmp.Or(r.Note, note)
	if wasOff || s.read == nil {
		return offErr
	}
	return cmp.Or(offErr, error(&Error{Ambiguous, t.Host, "off", "it was not seen off"}))
}

// watchedCycle gives the device's own command once, and reads until the outlet is on again. That is not believed until it was off, or as
// long as the device's answers may be old; an answer that was lost needs to be made up for by having seen it off. What stays off is
// turned on.
func (s switches) watchedCycle(ctx context.Context, t Target, r *Result) error {
	if ctx.Err() != nil {
		return &Error{Timeout, t.Host, "cycle", "the time was over before the command"}
	}
	sent := s.cycle(ctx)
	switch k := KindOf(sent); {
	case k == Unsupported && s.on != nil && s.off != nil:
		return s.offAndOn(ctx, t, r)
	case sent != nil && k != Ambiguous:
		return sent
	case s.read == nil:
		if sent == nil {
			r.sentOnly()
		}
		return sent
	}
	w := s.watch(ctx)
	most, cancel := partOf(ctx, 2, 3)
	defer cancel()
	state, err := s.poll(most, w.read, On)
	r.After = state
	switch {
	case state == On && (sent == nil || w.wasOff):
		r.Verified = true
		return nil
	case state == On:
		return sent
	case s.on == nil || ctx.Err() != nil || s.dead != nil && s.dead():
		return cmp.Or(sent, s.notSo(t, state, err))
	}
	if err := s.power(ctx, t, r, "on", s.on, On); err != nil {
		return &Error{Ambiguous, t.Host, "on", "after the cycle the outlet was " + string(state) + "; " + err.Error()}
	}
	r.Note = "it did not come on again by itself, and was turned on"
	if w.wasOff {
		return nil
	}
	return sent
}

// watch reads the state after a cycle.
type watch struct {
	of     func(context.Context) (State, error)
	end    time.Time // until then on may be the state of before
	wasOff bool
}

// watch may take at most half of the time that is left until it believes that an outlet is on.
func (s switches) watch(ctx context.Context) *watch {
	lag := max(s.lag, leastLag)
	if deadline, ok := ctx.Deadline(); ok {
		lag = min(lag, time.Until(deadline)/2)
	}
	return &watch{of: s.read, end: time.Now().Add(lag)}
}

func (w *watch) read(ctx context.Context) (State, error) {
	state, err := w.of(ctx)
	if w.wasOff = w.wasOff || err == nil && state == Off; state == On && !w.wasOff && time.Now().Before(w.end) {
		state = Unknown
	}
	return state, err
}

// poll reads the state until it is the wanted one or the time is over. The state of many devices lags by seconds, and one answer of them
// may be lost, or that of the command come late and hide it. An outlet that was on when it was last heard of may be off by now: it is unknown.
func (s switches) poll(ctx context.Context, read func(context.Context) (State, error), want State) (State, error) {
	last := Unknown
	for pause := 100 * time.Millisecond; ; pause = min(pause*3/2, 2*time.Second) {
		state, err := read(ctx)
		switch {
		case err == nil && state == want:
			return state, nil
		case err == nil:
			last = state
		case last == On:
			last = Unknown
		}
		if err != nil && !passing(err) && KindOf(err) != NoOutlet || ctx.Err() != nil || s.dead != nil && s.dead() {
			return last, err
		}
		settle(ctx, pause)
	}
}

// passing says whether the same question may be answered in a while.
func passing(err error) bool {
	return slices.Contains([]Kind{Timeout, Unreachable, Unexpected, Busy}, KindOf(err))
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

// halfOf leaves the other half of the time for what comes after.
func halfOf(ctx context.Context) (context.Context, context.CancelFunc) { return partOf(ctx, 1, 2) }

// partOf is a part of the time that is left.
func partOf(ctx context.Context, part, of time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)*part/of)
}
