// Package pcucontrol drives power control units: it tests a login, reads an outlet, and switches it. It knows nothing
// of the rest of Monitor, and never guesses: what was sent but not answered is ambiguous, what no device told is
// unverified.
//
// Package models has the catalog of what can be driven:
//
//	catalog, err := models.Open() // or with folders of an operator's own model files
//	result, err := catalog.Cycle(ctx, pcucontrol.Target{
//		Model: "APCControl", Host: "10.0.0.5", User: "apc", Password: secret, Outlet: 3,
//	})
//
// Every error is an *Error. Its Kind says what to do about it; one that is Ambiguous, that the command may have been
// carried out.
//
// A call goes from a Catalog, which finds the model, by a Route, which has a device behind it, to a Driver, which
// knows its protocol. Drivers live in internal/drivers and, for devices that are described as data, in internal/script.
package pcucontrol

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
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

	// OffTime is how long a cycle leaves the outlet off; 0 leaves that to the device or, where it is turned off and on
	// by two commands, is the model's own pause. A device that only has a command of its own for both takes no other.
	OffTime time.Duration

	// ConnectTimeout bounds the making of one connection; 0 is 15 seconds.
	ConnectTimeout time.Duration

	// SeenHostKey receives the ssh host key that the device shows, in authorized_keys form, for a caller that keeps it.
	SeenHostKey func(key string)
	// KnownHostKey is the ssh host key to insist on, in authorized_keys form; empty takes what the device shows.
	KnownHostKey string
	// KnownCertificate is the TLS certificate to insist on, the SHA-256 of it in hexadecimal; empty asks the system's
	// authorities.
	KnownCertificate string
	// SeenCertificate receives the fingerprint of the certificate that the device shows, trusted or not: one to keep is
	// that of a call that worked.
	SeenCertificate func(fingerprint string)
	// Legacy permits what old devices still speak: weak ssh algorithms, old TLS, and certificates that nobody vouches
	// for.
	Legacy bool
	// Trace receives the conversation, with the password masked.
	Trace func(line string)

	// NoClearText keeps the password from transports on which everybody on the way can read it, as telnet.
	NoClearText bool
	// MayConnect is asked about each address of the host before anything is sent there; its error refuses the address.
	// Nil takes any. A connection that Dial makes is Dial's business.
	MayConnect func(netip.Addr) error

	// Dial makes the connection to a device that speaks TCP; nil makes it directly.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
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

// Passing reports whether the same question may be answered in a while.
func (k Kind) Passing() bool { return k == Timeout || k == Unreachable || k == Unexpected || k == Busy }

// Error is every error of this package. Ambiguous means that a power command may have been carried out; every other
// kind, that none was.
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

// DefaultOffTime is how long an outlet stays off where neither the target nor the model says; it lets the capacitors of
// a power supply run empty.
const DefaultOffTime = 3 * time.Second
