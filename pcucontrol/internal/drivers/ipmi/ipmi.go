// Package ipmi drives baseboard management controllers by RMCP+, which is IPMI 2.0 over UDP.
package ipmi

import (
	"context"
	"fmt"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/power"
	"github.com/planetlab/monitor/pcucontrol/internal/wire"
)

// Driver drives a baseboard management controller by RMCP+ (IPMI 2.0 over UDP). It switches one machine: the outlet has
// no meaning to it.
type Driver struct{ suites *suiteMemory }

// New drives BMCs, and remembers which cipher suite each of them took.
func New() Driver { return Driver{&suiteMemory{}} }

// Commands of the chassis (network function 0) and what chassis control takes. Source: IPMI 2.0, 28.2 and 28.3.
const (
	chassis        = 0x00
	chassisStatus  = 0x01
	chassisControl = 0x02
	setBootOptions = 0x08
	getBootOptions = 0x09

	powerDown    = 0x00
	powerUp      = 0x01
	powerCycle   = 0x02
	hardReset    = 0x03
	softShutdown = 0x05
)

// lag is how long the state may lag behind a cycle that a BMC has begun.
const lag = 5 * time.Second

// Test logs in and switches nothing.
func (d Driver) Test(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	return d.look(ctx, t, privilegeOperator, "logged in with the right to switch")
}

// Status reads the state.
func (d Driver) Status(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	return d.look(ctx, t, privilegeUser, "")
}

func (d Driver) look(ctx context.Context, t pcucontrol.Target, privilege byte, note string) (pcucontrol.Result, error) {
	r := pcucontrol.Result{Before: pcucontrol.Unknown, After: pcucontrol.Unknown}
	s, err := open(ctx, t, privilege, d.suites)
	if err != nil {
		return r, err
	}
	defer s.close()
	if r.After, err = s.state(ctx); err != nil {
		return r, err
	}
	r.Before, r.Verified, r.Note = r.After, true, note
	return r, nil
}

// state is bit 0 of the first byte of the chassis status.
func (s *session) state(ctx context.Context) (pcucontrol.State, error) {
	data, err := s.command(ctx, "chassis status", chassis, chassisStatus)
	switch {
	case err != nil:
		return pcucontrol.Unknown, err
	case len(data) < 3:
		return pcucontrol.Unknown, s.fail(pcucontrol.Unexpected, "chassis status",
			fmt.Sprintf("%d bytes for an answer", len(data)))
	case data[0]&1 == 1:
		return pcucontrol.On, nil
	}
	return pcucontrol.Off, nil
}

// Switch prefers the BMC's own cycle, which leaves no host off when we die or the network does. On a host that is off,
// some BMCs refuse it and some ignore it.
func (d Driver) Switch(ctx context.Context, t pcucontrol.Target, op pcucontrol.Operation) (pcucontrol.Result, error) {
	s, err := open(ctx, t, privilegeOperator, d.suites)
	if err != nil {
		return pcucontrol.Result{Before: pcucontrol.Unknown, After: pcucontrol.Unknown}, err
	}
	defer s.close()
	return power.Operations{
		Read: s.state, On: s.switchTo("power on", powerUp), Off: s.switchTo("power off", powerDown),
		Cycle: s.switchOnce(
			"power cycle",
			powerCycle,
		), Reset: s.switchOnce("hard reset", hardReset), Shutdown: s.switchOnce("soft shutdown", softShutdown),
		Lag: lag,
	}.Perform(ctx, t, op)
}

// switchTo gives a command that may be said again until it is answered. One said again is refused by some, for the
// first was carried out: that refusal means nothing.
func (s *session) switchTo(word string, code byte) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := s.command(ctx, word, chassis, chassisControl, code)
		if err != nil && s.repeated {
			return wire.Ambiguous(s.t, word, err)
		}
		if pcucontrol.KindOf(err) == pcucontrol.Unsupported {
			return s.fail(pcucontrol.Refused, word, err.Error())
		}
		return wire.Unsure(s.t, word, err)
	}
}

// switchOnce gives a command that must not be carried out twice.
func (s *session) switchOnce(word string, code byte) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := s.commandOnce(ctx, word, onceWaits(), chassis, chassisControl, code)
		return wire.Unsure(s.t, word, err)
	}
}

// Boot options, parameter 5 (boot flags): valid, for the next boot only, and the device. Source: IPMI 2.0, 28.12 and
// 28.13.
const (
	bootFlags      = 5
	bootFlagsValid = 0x80
)

// bootDevices are the device selectors of the boot flags.
func bootDevices() map[pcucontrol.BootDevice]byte {
	return map[pcucontrol.BootDevice]byte{pcucontrol.BootNetwork: 0x04, pcucontrol.BootDisk: 0x08,
		pcucontrol.BootDefault: 0x00}
}

// BootOnce sets the boot flags for one boot, and reads them back.
func (d Driver) BootOnce(ctx context.Context, t pcucontrol.Target, device pcucontrol.BootDevice) error {
	s, err := open(ctx, t, privilegeOperator, d.suites)
	if err != nil {
		return err
	}
	defer s.close()
	selector := bootDevices()[device]
	if _, err := s.command(ctx, "set the boot device", chassis, setBootOptions, bootFlags, bootFlagsValid, selector, 0,
		0, 0); err != nil {
		return err
	}
	data, err := s.command(ctx, "read the boot device", chassis, getBootOptions, bootFlags, 0, 0)
	switch {
	case err != nil:
		return err
	case len(data) >= 4 && device == pcucontrol.BootDefault && data[2]&bootFlagsValid == 0: // used up already
	case len(data) < 4 || data[2]&bootFlagsValid == 0 || data[3]&0x3c != selector:
		return s.fail(pcucontrol.Refused, "read the boot device", fmt.Sprintf("it did not take %s: % x", device, data))
	}
	return nil
}
