// Package nut drives outlets by the server of Network UPS Tools, upsd, which speaks for UPSes and power distribution
// units of many makes. Its protocol: RFC 9271, and "Network protocol information" in NUT's developer guide. The names
// of variables and commands: "NUT command and variable naming scheme" there.
package nut

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/power"
	"github.com/planetlab/monitor/pcucontrol/internal/wire"
)

// Driver drives outlets and groups of them. The user name may say which unit is meant where the server has several, as
// in admin@rack1; an outlet's name may be the device's own, or a group's, or group.2 for the second one.
type Driver struct{}

// leastLag is how long a state may lag behind a command: the server asks the unit that often, where it does not say.
const leastLag = 5 * time.Second

// Test reads all that the server tells of the unit. It asks nobody for a password before something is switched.
func (Driver) Test(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	const note = "it answers; whether the name and the password may switch is known only by switching"
	r, err := look(ctx, t)
	if r.Verified = err == nil; r.Verified {
		r.Note = note
	}
	return r, err
}

// Status reads the outlet.
func (Driver) Status(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	return look(ctx, t)
}

func look(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	r := pcucontrol.Result{Before: pcucontrol.Unknown, After: pcucontrol.Unknown}
	s, err := open(ctx, t)
	if err != nil {
		return r, err
	}
	defer s.close()
	if t.Outlet == 0 && t.OutletName == "" {
		return r, nil
	}
	o, err := s.find()
	if err != nil {
		return r, err
	}
	r.Before, r.After = o.state, o.state
	r.Verified = o.state != pcucontrol.Unknown
	return r, nil
}

// KnowsNames says that outlets are found by their names here.
func (Driver) KnowsNames() bool { return true }

// List reads all outlets, and the groups, which have no number.
func (Driver) List(ctx context.Context, t pcucontrol.Target) ([]pcucontrol.OutletState, error) {
	s, err := open(ctx, t)
	if err != nil {
		return nil, err
	}
	defer s.close()
	var found []pcucontrol.OutletState
	for _, o := range s.outlets() {
		name := o.name
		if o.number == 0 && name == "" {
			name = strings.TrimPrefix(o.prefix, "outlet.")
		}
		found = append(found, pcucontrol.OutletState{Outlet: o.number, Name: name, State: o.state})
	}
	return found, nil
}

// Switch gives an instant command or, where the unit has none for it, sets the outlet's switch.
func (Driver) Switch(ctx context.Context, t pcucontrol.Target, op pcucontrol.Operation) (pcucontrol.Result, error) {
	r := pcucontrol.Result{Before: pcucontrol.Unknown, After: pcucontrol.Unknown}
	s, err := open(ctx, t)
	if err != nil {
		return r, err
	}
	defer s.close()
	o, err := s.find()
	if err != nil {
		return r, err
	}
	can := power.Operations{
		On: s.order(o, "on"), Off: s.order(o, "off"), Cycle: s.order(o, "cycle"), Lag: s.lag(),
		Dead: func() bool { return s.gone },
	}
	if o.tells != "" {
		can.Read = func(ctx context.Context) (pcucontrol.State, error) { return s.read(ctx, o) }
	}
	return can.Knowing(o.state).Perform(ctx, t, op)
}

// order is the command for a verb; nil if the unit has none.
func (s *session) order(o outlet, verb string) func(context.Context) error {
	command := o.prefix + ".load." + verb
	line := "INSTCMD " + quoted(s.unit) + " " + command
	if !slices.Contains(s.commands, command) {
		if verb == "cycle" || !slices.Contains(s.writable, o.prefix+".switch") {
			return nil
		}
		line = "SET VAR " + quoted(s.unit) + " " + o.prefix + ".switch " + quoted(verb)
	}
	return func(ctx context.Context) error {
		sent, err := s.say(ctx, verb, line)
		if err == nil {
			_, err = s.answer(ctx, verb)
		}
		if !sent || s.refused {
			return err
		}
		return wire.Unsure(s.t, verb, err)
	}
}

// lag is how long the unit's state may lag: the driver asks it every so many seconds, and tells the server.
func (s *session) lag() time.Duration {
	lag := leastLag
	for _, name := range []string{"driver.parameter.pollinterval", "driver.parameter.pollfreq"} {
		if n, err := strconv.Atoi(s.vars[name]); err == nil && n > 0 && n < 600 {
			lag = max(lag, time.Duration(n+1)*time.Second)
		}
	}
	return lag
}
