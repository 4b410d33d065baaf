// Package device is what every device of the testbed is made of: its options, its outlets, and what can be wrong with
// it.
package device

import (
	"net"
	"time"
)

// Outlets are what a power control unit switches.
type Outlets interface {
	Count() int
	State(n int) (on bool, err error)
	Set(n int, on bool) error
}

// Booted are outlets of machines that want to know from what they were told to boot, before they do.
type Booted interface{ BootsFrom(n int, device string) }

// Device is one power control unit.
type Device interface {
	// Network is tcp or udp, and says which of the two serves answers.
	Network() string
	// Serve answers connections until the listener is closed.
	Serve(l net.Listener) error
	// ServePacket answers datagrams until the socket is closed.
	ServePacket(c net.PacketConn) error
	// Break gives the device a fault, or several with commas between; empty mends it.
	Break(fault string)
	// Faults are those it can have.
	Faults() []Fault
}

// Options say what a device is.
type Options struct {
	Model          string // as PLC names it, of Models
	Transport      string // of those the model has; empty: its first
	User, Password string
	Outlets        Outlets
	OffTime        time.Duration // between off and on of a reboot
}
