// Package power switches an outlet by whatever commands its device has, reads back, and says only what is known.
package power

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/wait"
	"github.com/planetlab/monitor/pcucontrol/internal/wire"
)

// Operations is what a device can do to one outlet; a nil field is what it has no word for. An error of a command is
// ambiguous where the command went out and no answer came; any other error says that nothing was switched.
type Operations struct {
	Read           func(context.Context) (pcucontrol.State, error)
	On, Off, Cycle func(context.Context) error
	Reset          func(context.Context) error // of a machine, its power staying on
	Shutdown       func(context.Context) error // asks its operating system to end, and to turn it off
	// how long on may be the state of before a cycle, unless off was seen; at least leastLag
	Lag   time.Duration
	Pause time.Duration // between off and on; 0: DefaultOffTime
	Dead  func() bool   // whether no more can be read; nil: something always can
}

// leastLag is how long any device may take from the command to off: many answer at once and switch a moment later.
const leastLag = 3 * time.Second

// Knowing is the same where the state was read already, and need not be read again before switching.
func (s Operations) Knowing(state pcucontrol.State) Operations {
	read, told := s.Read, false
	if read != nil {
		s.Read = func(ctx context.Context) (pcucontrol.State, error) {
			if !told {
				told = true
				return state, nil
			}
			return read(ctx)
		}
	}
	return s
}

// Perform does an operation and reads back, where the device can tell. An outlet found off is turned on rather than
// cycled. A device that cannot cycle, or not with the off time that the target wants, is turned off and on.
func (s Operations) Perform(ctx context.Context, t pcucontrol.Target,
	op pcucontrol.Operation,
) (pcucontrol.Result, error) {
	r := pcucontrol.Result{Before: pcucontrol.Unknown, After: pcucontrol.Unknown}
	command := map[pcucontrol.Operation]func(context.Context) error{pcucontrol.OpOn: s.On, pcucontrol.OpOff: s.Off,
		pcucontrol.OpCycle: s.Cycle, pcucontrol.OpReset: s.Reset, pcucontrol.OpShutdown: s.Shutdown}[op]
	inTwo := op == pcucontrol.OpCycle && s.On != nil && s.Off != nil
	switch {
	case op == pcucontrol.OpCycle && t.OffTime > 0 && !inTwo:
		return r, wire.Fail(t, pcucontrol.Unsupported, "cycle",
			"the device itself decides how long the outlet stays off; leave the off time out")
	case command == nil && !inTwo:
		return r, wire.Unsupported(t, string(op))
	}
	if s.Read != nil {
		state, err := s.Read(ctx)
		if r.Before, r.After = state, state; err != nil {
			return r, err
		}
	}
	switch {
	case op == pcucontrol.OpCycle && r.Before == pcucontrol.Off && s.On != nil:
		r.Note = "found off, turned on"
		return r, s.command(ctx, t, &r, "on", s.On, pcucontrol.On)
	case op == pcucontrol.OpCycle && (command == nil || t.OffTime > 0):
		return r, s.offAndOn(ctx, t, &r)
	case op == pcucontrol.OpCycle:
		return r, s.watchedCycle(ctx, t, &r)
	case op == pcucontrol.OpReset && r.Before == pcucontrol.Off:
		return r, wire.Fail(t, pcucontrol.Refused, "reset", "it is off; turn it on")
	case op == pcucontrol.OpShutdown && r.Before == pcucontrol.Off:
		r.Verified, r.Note = true, "found off"
		return r, nil
	case op == pcucontrol.OpOff || op == pcucontrol.OpShutdown:
		return r, s.command(ctx, t, &r, string(op), command, pcucontrol.Off)
	}
	return r, s.command(ctx, t, &r, string(op), command, pcucontrol.On)
}

// command gives one command and reads back until the outlet is as wanted. An answer that was lost is no loss where the
// outlet is so.
func (s Operations) command(ctx context.Context, t pcucontrol.Target, r *pcucontrol.Result, doing string,
	give func(context.Context) error, want pcucontrol.State,
) error {
	if ctx.Err() != nil {
		return wire.Fail(t, pcucontrol.Timeout, doing, "the time was over before the command")
	}
	sent := give(ctx)
	if sent != nil && pcucontrol.KindOf(sent) != pcucontrol.Ambiguous {
		return sent
	}
	if sent != nil {
		r.After = pcucontrol.Unknown
	}
	if s.Read == nil {
		if sent == nil {
			sentOnly(r)
		}
		return sent
	}
	state, err := s.poll(ctx, s.Read, want)
	if r.After = state; state == want {
		r.Verified = true
		return nil
	}
	return cmp.Or(sent, s.notSo(t, state, err))
}

// notSo is the error of an outlet that is not as was wanted.
func (s Operations) notSo(t pcucontrol.Target, state pcucontrol.State, err error) error {
	detail := "the outlet stays " + string(state)
	var e *pcucontrol.Error
	if errors.As(err, &e) && state == pcucontrol.Unknown {
		detail = e.Error()
	}
	return wire.Fail(t, pcucontrol.Ambiguous, "read back", detail)
}

func sentOnly(r *pcucontrol.Result) { r.Note = strings.TrimPrefix(r.Note+", sent, not verified", ", ") }

// offAndOn is a cycle of two commands. Waiting for off takes at most half of the time, and on is said whatever became
// of off: it does no harm, and an outlet must not stay off because a device is slow, or silent for a while.
func (s Operations) offAndOn(ctx context.Context, t pcucontrol.Target, r *pcucontrol.Result) error {
	pause := cmp.Or(t.OffTime, s.Pause, pcucontrol.DefaultOffTime)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < 3*pause {
		if t.OffTime > 0 {
			return wire.Fail(t, pcucontrol.Timeout, "cycle",
				fmt.Sprintf("an off time of %v needs more time than there is left; nothing was sent", t.OffTime))
		}
		pause = time.Until(deadline) / 4
	}
	half, cancel := wait.Half(ctx)
	defer cancel()
	offErr := s.command(half, t, r, "off", s.Off, pcucontrol.Off)
	if offErr != nil && pcucontrol.KindOf(offErr) != pcucontrol.Ambiguous {
		return offErr
	}
	wasOff, note := r.After == pcucontrol.Off, r.Note
	wait.For(ctx, pause)
	before := r.After
	r.Verified, r.Note = false, ""
	if err := s.command(ctx, t, r, "on", s.On, pcucontrol.On); err != nil {
		if pcucontrol.KindOf(err) != pcucontrol.Ambiguous {
			r.After = before
		}
		return wire.Fail(t, pcucontrol.Ambiguous, "on", "the outlet was turned off; "+err.Error())
	}
	r.Note = cmp.Or(r.Note, note)
	if wasOff || s.Read == nil {
		return offErr
	}
	return cmp.Or(offErr, wire.Fail(t, pcucontrol.Ambiguous, "off", "it was not seen off"))
}

// watchedCycle gives the device's own command once, and reads until the outlet is on again. That is not believed until
// it was off, or as long as the device's answers may be old; an answer that was lost needs to be made up for by having
// seen it off. What stays off is turned on.
func (s Operations) watchedCycle(ctx context.Context, t pcucontrol.Target, r *pcucontrol.Result) error {
	if ctx.Err() != nil {
		return wire.Fail(t, pcucontrol.Timeout, "cycle", "the time was over before the command")
	}
	sent := s.Cycle(ctx)
	switch k := pcucontrol.KindOf(sent); {
	case k == pcucontrol.Unsupported && s.On != nil && s.Off != nil:
		return s.offAndOn(ctx, t, r)
	case sent != nil && k != pcucontrol.Ambiguous:
		return sent
	case s.Read == nil:
		if sent == nil {
			sentOnly(r)
		}
		return sent
	}
	w := s.watch(ctx)
	most, cancel := wait.Part(ctx, 2, 3)
	defer cancel()
	state, err := s.poll(most, w.read, pcucontrol.On)
	r.After = state
	switch {
	case state == pcucontrol.On && (sent == nil || w.wasOff):
		r.Verified = true
		return nil
	case state == pcucontrol.On:
		return sent
	case s.On == nil || ctx.Err() != nil || s.Dead != nil && s.Dead():
		return cmp.Or(sent, s.notSo(t, state, err))
	}
	if err := s.command(ctx, t, r, "on", s.On, pcucontrol.On); err != nil {
		return wire.Fail(t, pcucontrol.Ambiguous, "on",
			"after the cycle the outlet was "+string(state)+"; "+err.Error())
	}
	r.Note = "it did not come on again by itself, and was turned on"
	if w.wasOff {
		return nil
	}
	return sent
}

// watch reads the state after a cycle.
type watch struct {
	of     func(context.Context) (pcucontrol.State, error)
	end    time.Time // until then on may be the state of before
	wasOff bool
}

// watch may take at most half of the time that is left until it believes that an outlet is on.
func (s Operations) watch(ctx context.Context) *watch {
	lag := max(s.Lag, leastLag)
	if deadline, ok := ctx.Deadline(); ok {
		lag = min(lag, time.Until(deadline)/2)
	}
	return &watch{of: s.Read, end: time.Now().Add(lag)}
}

func (w *watch) read(ctx context.Context) (pcucontrol.State, error) {
	state, err := w.of(ctx)
	if w.wasOff = w.wasOff || err == nil && state == pcucontrol.Off; state == pcucontrol.On && !w.wasOff &&
		time.Now().Before(w.end) {
		state = pcucontrol.Unknown
	}
	return state, err
}

// poll reads the state until it is the wanted one or the time is over. The state of many devices lags by seconds, and
// one answer of them may be lost, or that of the command come late and hide it. An outlet that was on when it was last
// heard of may be off by now: it is unknown.
func (s Operations) poll(ctx context.Context, read func(context.Context) (pcucontrol.State, error),
	want pcucontrol.State,
) (pcucontrol.State, error) {
	last := pcucontrol.Unknown
	for pause := 100 * time.Millisecond; ; pause = min(pause*3/2, 2*time.Second) {
		state, err := read(ctx)
		switch {
		case err == nil && state == want:
			return state, nil
		case err == nil:
			last = state
		case last == pcucontrol.On:
			last = pcucontrol.Unknown
		}
		if err != nil && !pcucontrol.KindOf(err).Passing() && pcucontrol.KindOf(err) != pcucontrol.NoOutlet ||
			ctx.Err() != nil ||
			s.Dead != nil && s.Dead() {
			return last, err
		}
		wait.For(ctx, pause)
	}
}

// StateOf is the state that a word means to everybody.
func StateOf(word string) pcucontrol.State {
	switch strings.ToLower(word) {
	case "on":
		return pcucontrol.On
	case "off":
		return pcucontrol.Off
	}
	return pcucontrol.Unknown
}

// LoggedIn is the result of a dry run that reads no state.
func LoggedIn(err error) (pcucontrol.Result, error) {
	r := pcucontrol.Result{Before: pcucontrol.Unknown, After: pcucontrol.Unknown, Verified: err == nil}
	if err == nil {
		r.Note = "logged in"
	}
	return r, err
}
