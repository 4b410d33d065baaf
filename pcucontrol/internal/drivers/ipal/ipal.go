// Package ipal drives Dataprobe's iPAL by its binary protocol.
package ipal

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/power"
	"github.com/planetlab/monitor/pcucontrol/internal/secret"
	"github.com/planetlab/monitor/pcucontrol/internal/wire"
)

// Driver drives Dataprobe's iPAL by its binary protocol on tcp: ESC password ESC data command, answered with a digit an
// outlet: 1 on, 0 off, 6 a broken cable to the outlet box.
type Driver struct{}

var answer = regexp.MustCompile(`^[0-9]+`)

// Silence of so long is the end of an answer; one that has the digit of the outlet is not waited for. What came by then is
// all of the outlets, so that it must be longer than a slow line falls silent in the midst of them.
const silent = time.Second

// call sends one command on a connection of its own and returns the digits, at least as many as the outlet wants. The
// device ends its answers by falling silent.
func (Driver) call(ctx context.Context, t pcucontrol.Target, doing, data string, command byte) (string, error) {
	conn, err := wire.Dial(ctx, t)
	if err != nil {
		return "", err
	}
	s := wire.NewSession(ctx, t, conn, conn, conn, "")
	defer s.Close()
	s.Trace(">", fmt.Sprintf("%s%c", data, command))
	if _, err := io.WriteString(conn, "\x1b"+t.Password+"\x1b"+data+string(command)); err != nil {
		return "", s.Fail(pcucontrol.Unexpected, doing, "the device hung up")
	}
	var heard []byte
	silence := (<-chan time.Time)(nil)
	for {
		select {
		case chunk, ok := <-s.Chunks:
			if heard = append(heard, chunk...); len(heard) > 64 {
				return "", s.Fail(pcucontrol.Unexpected, doing,
					"too long an answer: "+wire.Tail(secret.Mask(string(heard), t.Password)))
			}
			switch {
			case t.Outlet > 0 && len(answer.Find(heard)) >= t.Outlet:
				return digits(s, doing, heard)
			case ok:
				silence = time.After(silent)
			case ctx.Err() != nil:
				return "", s.Fail(pcucontrol.Timeout, doing, "no answer in time")
			case len(heard) == 0:
				return "", s.Fail(pcucontrol.Busy, doing, "an empty answer: another session is open")
			default:
				return digits(s, doing, heard)
			}
		case <-silence:
			return digits(s, doing, heard)
		case <-ctx.Done():
			return "", s.Fail(pcucontrol.Timeout, doing, "no answer in time")
		}
	}
}

func digits(s *wire.Session, doing string, heard []byte) (string, error) {
	s.Trace("<", string(heard))
	if d := answer.Find(heard); d != nil {
		return string(d), nil
	}
	// It has no word for a wrong password: what is no state is that.
	return "", s.Fail(pcucontrol.Auth, doing,
		"no states in the answer: "+wire.Tail(secret.Mask(string(heard), s.Target.Password)))
}

func (d Driver) state(ctx context.Context, t pcucontrol.Target, doing, data string,
	command byte,
) (pcucontrol.State, error) {
	states, err := d.call(ctx, t, doing, data, command)
	if err != nil || t.Outlet == 0 {
		return pcucontrol.Unknown, err
	}
	if t.Outlet > len(states) {
		return pcucontrol.Unknown, wire.Fail(t, pcucontrol.NoOutlet, doing,
			fmt.Sprintf("it has %d outlets", len(states)))
	}
	switch states[t.Outlet-1] {
	case '1':
		return pcucontrol.On, nil
	case '0':
		return pcucontrol.Off, nil
	case '6':
		return pcucontrol.Unknown, wire.Fail(t, pcucontrol.Refused, doing, "the device reports a cable error")
	}
	return pcucontrol.Unknown, wire.Fail(t, pcucontrol.Unexpected, doing,
		"state "+strconv.Quote(states[t.Outlet-1:t.Outlet]))
}

// Test logs in and switches nothing.
func (d Driver) Test(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	return d.Status(ctx, t)
}

// Status reads the state.
func (d Driver) Status(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	state, err := d.state(ctx, t, "status", "", 'O')
	return pcucontrol.Result{Before: state, After: state, Verified: err == nil}, err
}

// List is what a status tells.
func (d Driver) List(ctx context.Context, t pcucontrol.Target) ([]pcucontrol.OutletState, error) {
	states, err := d.call(ctx, t, "list", "", 'O')
	var found []pcucontrol.OutletState
	for i, s := range states {
		found = append(
			found,
			pcucontrol.OutletState{
				Outlet: i + 1,
				State:  map[rune]pcucontrol.State{'1': pcucontrol.On, '0': pcucontrol.Off}[s],
			},
		)
		if found[i].State == "" {
			found[i].State = pcucontrol.Unknown
		}
	}
	return found, err
}

// Switch uses E on, D off, P pulse (off and on again). A pulse is not for an outlet that is off.
func (d Driver) Switch(ctx context.Context, t pcucontrol.Target, op pcucontrol.Operation) (pcucontrol.Result, error) {
	command := func(command byte) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := d.call(ctx, t, string(op), strconv.Itoa(t.Outlet), command)
			// the password was right, and the session free, a moment ago: this answer says nothing
			if k := pcucontrol.KindOf(err); k == pcucontrol.Auth || k == pcucontrol.Busy {
				err = wire.Fail(t, pcucontrol.Unexpected, string(op), err.Error())
			}
			return wire.Unsure(t, string(op), err)
		}
	}
	read := func(ctx context.Context) (pcucontrol.State, error) { return d.state(ctx, t, "status", "", 'O') }
	return power.Operations{Read: read, On: command('E'), Off: command('D'), Cycle: command('P')}.Perform(ctx, t, op)
}
