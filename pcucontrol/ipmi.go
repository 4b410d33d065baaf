package pcucontrol

import (
	"context"
	"fmt"
	"time"
)

// ipmi drives a baseboard management controller by RMCP+ (IPMI 2.0 over UDP). It switches one machine: the outlet has no
// meaning to it.
type ipmi struct{ suites *suiteMemory }

// Commands of the chassis (network function 0) and what chassis control takes. Source: IPMI 2.0, 28.2 and 28.3.
const (
	chassisStatus  = 0x01
	chassisControl = 0x02
	powerDown      = 0x00
	powerUp        = 0x01
)

func (d ipmi) test(ctx context.Context, t Target) (Result, error) {
	return d.look(ctx, t, privilegeOperator, "logged in with the right to switch")
}

func (d ipmi) status(ctx context.Context, t Target) (Result, error) {
	return d.look(ctx, t, privilegeUser, "")
}

func (d ipmi) look(ctx context.Context, t Target, privilege byte, note string) (Result, error) {
	r := Result{Before: Unknown, After: Unknown}
	s, err := openRMCP(ctx, t, privilege, d.suites)
	if err != nil {
		return r, err
	}
	defer s.close()
	if r.After, err = d.state(ctx, s); err != nil {
		return r, err
	}
	r.Before, r.Verified, r.Note = r.After, true, note
	return r, nil
}

// state is bit 0 of the first byte of the chassis status.
func (ipmi) state(ctx context.Context, s *rmcp) (State, error) {
	data, err := s.command(ctx, "chassis status", 0, chassisStatus)
	switch {
	case err != nil:
		return Unknown, err
	case len(data) < 3:
		return Unknown, s.fail(Unexpected, "chassis status", fmt.Sprintf("%d bytes for an answer", len(data)))
	case data[0]&1 == 1:
		return On, nil
	}
	return Off, nil
}

// set never sends the BMC's own power cycle: on a host that is off some refuse it, some ignore it, and a lost answer could
// cycle twice. Off and on may each be said again.
func (d ipmi) set(ctx context.Context, t Target, op operation) (Result, error) {
	r := Result{Before: Unknown, After: Unknown}
	s, err := openRMCP(ctx, t, privilegeOperator, d.suites)
	if err != nil {
		return r, err
	}
	defer s.close()
	if r.Before, err = d.state(ctx, s); err != nil {
		return r, err
	}
	r.After = r.Before
	switch {
	case op == opOff:
		err = d.switchTo(ctx, s, &r, Off)
	case op == opOn || r.Before == Off:
		if op == opCycle {
			r.Note = "found off, turned on"
		}
		err = d.switchTo(ctx, s, &r, On)
	default:
		err = d.cycle(ctx, s, &r)
	}
	r.Verified = err == nil
	return r, err
}

// cycle spends at most half of its time on waiting for off: the host must not stay off because a BMC is slow to say so.
func (d ipmi) cycle(ctx context.Context, s *rmcp, r *Result) error {
	half := ctx
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		half, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	offErr := d.switchTo(half, s, r, Off)
	if k := KindOf(offErr); offErr != nil && k != Ambiguous {
		return offErr
	}
	if err := d.switchTo(ctx, s, r, On); err != nil {
		return s.fail(Ambiguous, "power on", "the host was turned off; "+err.Error())
	}
	return offErr
}

func (d ipmi) switchTo(ctx context.Context, s *rmcp, r *Result, want State) error {
	word, code := "power off", byte(powerDown)
	if want == On {
		word, code = "power on", powerUp
	}
	if ctx.Err() != nil {
		return s.fail(Timeout, word, "the time was over before the command")
	}
	_, err := s.command(ctx, word, 0, chassisControl, code)
	switch KindOf(err) {
	case "":
	case Timeout, Unreachable, Unexpected:
		return ambiguous(s.t, word, err)
	default:
		return err
	}
	state, err := poll(ctx, func() (State, error) { return d.state(ctx, s) }, want)
	if state != Unknown {
		r.After = state
	}
	if state == want {
		return nil
	}
	detail := "the host stays " + string(r.After)
	if err != nil {
		detail = err.Error()
	}
	return s.fail(Ambiguous, word, detail)
}

// poll reads the state until it is the wanted one or the time is over. The state of many devices lags by seconds.
func poll(ctx context.Context, read func() (State, error), want State) (State, error) {
	last := Unknown
	for pause := 100 * time.Millisecond; ; pause = min(pause*3/2, 2*time.Second) {
		state, err := read()
		if err == nil && state != Unknown {
			last = state
		}
		if err == nil && state == want {
			return state, nil
		}
		if err != nil && KindOf(err) != Timeout || ctx.Err() != nil {
			return last, err
		}
		settle(ctx, pause)
	}
}
