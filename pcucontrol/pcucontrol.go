// Package pcucontrol drives power control units: it tests a login, reads an outlet, and switches it. It needs nothing else
// of Monitor, and never guesses: what was sent but not answered is ambiguous, what no device told is unverified.
package pcucontrol

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// State of an outlet.
type State string

// The states of an outlet. Unknown is the answer of devices that cannot tell.
const (
	Unknown State = "unknown"
	On      State = "on"
	Off     State = "off"
)

// Target is one outlet of one PCU.
type Target struct {
	Model string
	Host  string // name or address
	Port  int    // 0: the transport's own

	// Transport is the one to use, of those the model has; empty tries each in the model's order.
	Transport string

	User     string
	Password string // where ssh is spoken, it may be a private key, as PEM
	Outlet   int    // as printed on the device, from 1; 0 where there is but one machine

	// OutletName names the outlet where Outlet is 0, as the device does; of Redfish, the id or the name of a system.
	OutletName string

	// OffTime is how long a cycle leaves the outlet off; 0 leaves that to the device or, where it is turned off and on by two commands, is
	// the model's own pause. A device that only has a command of its own for both takes no other.
	OffTime time.Duration

	// ConnectTimeout bounds the making of one connection; 0 is 15 seconds.
	ConnectTimeout time.Duration

	// SeenHostKey receives the ssh host key that the device shows, in authorized_keys form, for a caller that keeps it.
	SeenHostKey func(key string)
	// KnownHostKey is the ssh host key to insist on, in authorized_keys form; empty takes what the device shows.
	KnownHostKey string
	// KnownCertificate is the TLS certificate to insist on, the SHA-256 of it in hexadecimal; empty asks the system's authorities.
	KnownCertificate string
	// SeenCertificate receives the fingerprint of the certificate that the device shows, trusted or not: one to keep is that of a call that
	// worked.
	SeenCertificate func(fingerprint string)
	// Legacy permits what old devices still speak: weak ssh algorithms, old TLS, and certificates that nobody vouches for.
	Legacy bool
	// Trace receives the conversation, with the password masked.
	Trace func(line string)

	met *meeting // a connection that is there already
}

// Result says what is known after an operation.
type Result struct {
	Verified bool     `json:"verified"` // the device itself confirmed it
	Before   State    `json:"before"`
	After    State    `json:"after"`
	Tried    []string `json:"tried"` // transports and their ports, in order
	Note     string   `json:"note,omitempty"`

	Feeds []FeedResult `json:"feeds,omitempty"` // of CycleAll, in the order of the targets
}

// Kind sorts errors by what a caller would do about them.
type Kind string

// The kinds of errors.
const (
	Auth         Kind = "auth"
	NoOutlet     Kind = "no such outlet"
	Busy         Kind = "busy"
	Refused      Kind = "refused"
	Timeout      Kind = "timeout"
	Unreachable  Kind = "unreachable"
	Unexpected   Kind = "unexpected"
	Ambiguous    Kind = "ambiguous"
	UnknownModel Kind = "unknown model"
	Unsupported  Kind = "unsupported"
)

// Error is every error of this package. Ambiguous means that a power command may have been carried out; every other kind, that none was.
type Error struct {
	Kind   Kind
	Host   string
	Doing  string
	Detail string // never holds a password
}

func (e *Error) Error() string {
	s := fmt.Sprintf("pcu %s: %s: %s", e.Host, e.Doing, e.Kind)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// RetrySafe says whether the same call may simply be made again: nothing was switched, and time may help.
func (e *Error) RetrySafe() bool {
	return e.Kind == Busy || e.Kind == Timeout || e.Kind == Unreachable
}

// KindOf is the kind of an error of this package, or empty.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

// driver is what a model can do by one transport; the target has its transport and port filled in. Operations a device has no
// word for answer Unsupported.
type driver interface {
	test(ctx context.Context, t Target) (Result, error)
	status(ctx context.Context, t Target) (Result, error)
	set(ctx context.Context, t Target, op operation) (Result, error)
}

type operation string

const (
	opOn    operation = "on"
	opOff   operation = "off"
	opCycle operation = "cycle"

	opReset    operation = "reset"
	opShutdown operation = "shutdown"
)

// defaultDeadline bounds a call whose context has no deadline.
const defaultDeadline = 90 * time.Second

// Test logs in and goes as far as it can without switching anything.
func (c *Catalog) Test(ctx context.Context, t Target) (Result, error) {
	return c.do(ctx, t, false, func(ctx context.Context, d driver, t Target) (Result, error) { return d.test(ctx, t) })
}

// Status reads the outlet, where the device can tell.
func (c *Catalog) Status(ctx context.Context, t Target) (Result, error) {
	return c.do(ctx, t, true, func(ctx context.Context, d driver, t Target) (Result, error) { return d.status(ctx, t) })
}

// TurnOn turns the outlet on.
func (c *Catalog) TurnOn(ctx context.Context, t Target) (Result, error) { return c.set(ctx, t, opOn) }

// TurnOff turns the outlet off.
func (c *Catalog) TurnOff(ctx context.Context, t Target) (Result, error) { return c.set(ctx, t, opOff) }

// Cycle turns the outlet off and on again; one found off is turned on. Where an answer is lost on the way, the rest of the time, and a short
// while after a cancel, is spent on turning it on.
func (c *Catalog) Cycle(ctx context.Context, t Target) (Result, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	r, err := c.set(ctx, t, opCycle)
	if KindOf(err) != Ambiguous || r.After == On {
		return r, err
	}
	return c.bringBack(ctx, t, r, err)
}

// Reset resets a machine whose power stays on.
func (c *Catalog) Reset(ctx context.Context, t Target) (Result, error) { return c.set(ctx, t, opReset) }

// Shutdown asks a machine's operating system to end and to turn it off, and waits until it is off. One that does not end in time is
// ambiguous: it was asked.
func (c *Catalog) Shutdown(ctx context.Context, t Target) (Result, error) {
	return c.set(ctx, t, opShutdown)
}

func (c *Catalog) set(ctx context.Context, t Target, op operation) (Result, error) {
	return c.do(ctx, t, true, func(ctx context.Context, d driver, t Target) (Result, error) { return d.set(ctx, t, op) })
}

// Test logs in and goes as far as it can without switching anything, by the built-in models.
func Test(ctx context.Context, t Target) (Result, error) { return builtin().Test(ctx, t) }

// Status reads the outlet, where the device can tell, by the built-in models.
func Status(ctx context.Context, t Target) (Result, error) { return builtin().Status(ctx, t) }

// TurnOn turns the outlet on, by the built-in models.
func TurnOn(ctx context.Context, t Target) (Result, error) { return builtin().TurnOn(ctx, t) }

// TurnOff turns the outlet off, by the built-in models.
func TurnOff(ctx context.Context, t Target) (Result, error) { return builtin().TurnOff(ctx, t) }

// Cycle turns the outlet off and on again, by the built-in models; one found off is turned on.
func Cycle(ctx context.Context, t Target) (Result, error) { return builtin().Cycle(ctx, t) }

// CycleAll power-cycles a node that has several power feeds, by the built-in models.
func CycleAll(ctx context.Context, feeds []Target) (Result, error) {
	return builtin().CycleAll(ctx, feeds)
}

// Models lists the built-in models, by name.
func Models() []ModelInfo { return builtin().Models() }

// Resolve is the built-in model that drives a record with this model name.
func Resolve(name string) (ModelInfo, error) { return builtin().Resolve(name) }
