package console

import (
	"io"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
)

// Unit is a device with a text conversation: how it lets one in, and what it does then.
type Unit struct {
	device.Options
	device.Condition
	Own   []device.Fault // beside those of all
	Busy  string
	Login func(u *Unit, c *Console) bool // on telnet and tcp
	Shell func(u *Unit, c *Console)
	Exec  func(u *Unit, command string) string // on ssh, of those that take a command without a shell
}

// Faults are those it can have.
func (u *Unit) Faults() []device.Fault { return slices.Concat(device.SpokenFaults(), u.Own) }

// Serve answers connections until the listener is closed.
func (u *Unit) Serve(l net.Listener) error {
	if u.Transport == "ssh" {
		face := SSHFace{Faults: &u.Condition, Check: u.Knows, Shell: func(rw io.ReadWriter) {
			c := New(u.Pace(rw))
			u.One(c, u.Busy, func() { u.Shell(u, c) })
		}}
		if u.Exec != nil {
			face.exec = func(command string, rw io.ReadWriter) {
				c := New(u.Pace(rw))
				u.One(c, u.Busy, func() { c.Say("%s", u.Exec(u, command)) })
			}
		}
		return ServeSSH(l, face)
	}
	return device.Accept(l, func(conn net.Conn) {
		if u.Dead(conn) {
			return
		}
		c := NewTelnet(u.Pace(conn))
		u.One(c, u.Busy, func() {
			if u.Login(u, c) {
				u.Shell(u, c)
			}
		})
	})
}

// Knows reports whether name and password are right.
func (u *Unit) Knows(user, password string) bool {
	return user == u.User && password == u.Password && !u.Has(device.WrongPassword)
}

// AskBoth asks for name and password up to three times; without a prompt for the name, for the password only.
func AskBoth(u *Unit, c *Console, name, password, wrong string) bool {
	for range 3 {
		who, ok := u.User, true
		if name != "" {
			if who, ok = c.Ask(name, true); !ok {
				return false
			}
		}
		secret, ok := c.Ask(password, false)
		if !ok {
			return false
		}
		if u.Knows(who, secret) {
			return true
		}
		c.Say("%s", wrong)
	}
	return false
}

// Outlet is the number in a text, if there is such an outlet.
func (u *Unit) Outlet(text string) (int, bool) {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	return n, err == nil && n >= 1 && n <= u.Outlets.Count()
}

// OnOff is an outlet's state as most devices write it.
func OnOff(o device.Outlets, n int) string {
	if on, err := o.State(n); err == nil && on {
		return "On"
	}
	return "Off"
}

// Span is one outlet or all, which have different names on different devices.
func (u *Unit) Span(text string) (first, last int, known bool) {
	if slices.Contains([]string{"all", "0", "*"}, strings.TrimSpace(text)) {
		return 1, u.Outlets.Count(), true
	}
	n, known := u.Outlet(text)
	return n, n, known
}
