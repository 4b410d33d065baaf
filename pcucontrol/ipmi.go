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

// ipmiLag is how long the state may lag behind a cycle that a BMC has begun.
const ipmiLag = 5 * time.Second

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
	if r.After, err = s.state(ctx); err != nil {
		return r, err
	}
	r.Before, r.Verified, r.Note = r.After, true, note
	return r, nil
}

// state is bit 0 of the first byte of the chassis status.
func (s *rmcp) state(ctx context.Context) (State, error) {
	data, err := s.command(ctx, "chassis status", chassis, chassisStatus)
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

// set prefers the BMC's own cycle, which leaves no host off when we die or the network does. On a host that is off, some BMCs refuse it
// and some ignore it.
func (d ipmi) set(ctx context.Context, t Target, op operation) (Result, error) {
	s, err := openRMCP(ctx, t, privilegeOperator, d.suites)
	if err != nil {
		return Result{Before: Unknown, After: Unknown}, err
	}
	defer s.close()
	return switches{
		read: s.state, on: s.switchTo("power on", powerUp), off: s.switchTo("power off", powerDown),
		cycle: s.switchOnce("power cycle", powerCycle), reset: s.switchOnce("hard reset", hardReset), shutdown: s.switchOnce("soft shutdown", softShutdown),
		lag: ipmiLag,
	}.set(ctx, t, op)
}

// switchTo gives a command that may be said again until it is answered. One said again is refused by some, for the first was carried out:
// that refusal means nothing.
func (s *rmcp) switchTo(word string, code byte) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := s.command(ctx, word, chassis, chassisControl, code)
		if err != nil && s.repeated {
			return ambiguous(s.t, word, err)
		}
		if KindOf(err) == Unsupported {
			return s.fail(Refused, word, err.Error())
		}
		return unsure(s.t, word, err)
	}
}

// switchOnce gives a command that must not be carried out twice.
func (s *rmcp) switchOnce(word string, code byte) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := s.commandOnce(ctx, word, onceWaits(), chassis, chassisControl, code)
		return unsure(s.t, word, err)
	}
}

// Boot options, parameter 5 (boot flags): valid, for the next boot only, and the device. Source: IPMI 2.0, 28.12 and 28.13.
const (
	bootFlags      = 5
	bootFlagsValid = 0x80
)

// ipmiBootDevices are the device selectors of the boot flags.
func ipmiBootDevices() map[BootDevice]byte {
	return map[BootDevice]byte{BootNetwork: 0x04, BootDisk: 0x08}
}

func (d ipmi) bootOnce(ctx context.Context, t Target, device BootDevice) error {
	s, err := openRMCP(ctx, t, privilegeOperator, d.suites)
	if err != nil {
		return err
	}
	defer s.close()
	selector := ipmiBootDevices()[device]
	if _, err := s.command(ctx, "set the boot device", chassis, setBootOptions, bootFlags, bootFlagsValid, selector, 0, 0, 0); err != nil {
		return err
	}
	data, err := s.command(ctx, "read the boot device", chassis, getBootOptions, bootFlags, 0, 0)
	switch {
	case err != nil:
		return err
	case len(data) < 4 || data[2]&bootFlagsValid == 0 || data[3]&0x3c != selector:
		return s.fail(Refused, "read the boot device", fmt.Sprintf("it did not take %s: % x", device, data))
	}
	return nil
}
