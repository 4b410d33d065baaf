package pcudev

import (
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
)

// unit is a device with a text conversation: how it lets one in, and what it does then.
type unit struct {
	Options
	faults
	own   []Fault // beside those of all
	busy  string
	login func(u *unit, c *console) bool // on telnet and tcp
	shell func(u *unit, c *console)
	exec  func(u *unit, command string) string // on ssh, of those that take a command without a shell
}

// Faults are those it can have.
func (u *unit) Faults() []Fault { return slices.Concat(spokenFaults(), u.own) }

// Serve answers connections until the listener is closed.
func (u *unit) Serve(l net.Listener) error {
	if u.Transport == "ssh" {
		face := sshFace{faults: &u.faults, check: u.knows, shell: func(rw io.ReadWriter) {
			c := newConsole(u.pace(rw))
			u.one(c, u.busy, func() { u.shell(u, c) })
		}}
		if u.exec != nil {
			face.exec = func(command string, rw io.ReadWriter) {
				c := newConsole(u.pace(rw))
				u.one(c, u.busy, func() { c.say("%s", u.exec(u, command)) })
			}
		}
		return serveSSH(l, face)
	}
	return accept(l, func(conn net.Conn) {
		if u.dead(conn) {
			return
		}
		c := newTelnet(u.pace(conn))
		u.one(c, u.busy, func() {
			if u.login(u, c) {
				u.shell(u, c)
			}
		})
	})
}

func (u *unit) knows(user, password string) bool {
	return user == u.User && password == u.Password && !u.has(WrongPassword)
}

// ask prompts for one line.
func (c *console) ask(prompt string, echo bool) (string, bool) {
	c.say("%s", prompt)
	text, err := c.line(echo)
	return strings.TrimSpace(text), err == nil
}

// askBoth asks for name and password up to three times; without a prompt for the name, for the password only.
func askBoth(u *unit, c *console, name, password, wrong string) bool {
	for range 3 {
		who, ok := u.User, true
		if name != "" {
			if who, ok = c.ask(name, true); !ok {
				return false
			}
		}
		secret, ok := c.ask(password, false)
		if !ok {
			return false
		}
		if u.knows(who, secret) {
			return true
		}
		c.say("%s", wrong)
	}
	return false
}

// outlet is the number in a text, if there is such an outlet.
func (u *unit) outlet(text string) (int, bool) {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	return n, err == nil && n >= 1 && n <= u.Outlets.Count()
}

func onOff(o Outlets, n int) string {
	if on, err := o.State(n); err == nil && on {
		return "On"
	}
	return "Off"
}

// span is one outlet or all, which have different names on different devices.
func (u *unit) span(text string) (first, last int, known bool) {
	if slices.Contains([]string{"all", "0", "*"}, strings.TrimSpace(text)) {
		return 1, u.Outlets.Count(), true
	}
	n, known := u.outlet(text)
	return n, n, known
}
