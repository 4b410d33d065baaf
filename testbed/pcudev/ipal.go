package pcudev

import (
	"bufio"
	"io"
	"net"
	"strconv"
	"strings"
)

// CableError makes an iPAL report a broken cable to every outlet.
const CableError = "cable error"

// ipal is Dataprobe's iPAL by its binary protocol.
type ipal struct {
	Options
	faults
}

// Faults are those of every device, and one of its own.
func (*ipal) Faults() []Fault {
	return append(spokenFaults(), ipalFaults()...)
}

// Serve answers connections until the listener is closed.
func (d *ipal) Serve(l net.Listener) error {
	return accept(l, func(c net.Conn) {
		// Another session shows as an empty answer.
		if d.dead(c) || !d.enter() {
			return
		}
		defer d.leave()
		out := d.pace(c)
		r := bufio.NewReader(c)
		for {
			if _, err := r.ReadString(0x1b); err != nil {
				return
			}
			password, err := r.ReadString(0x1b)
			if err != nil {
				return
			}
			data := ""
			for {
				b, err := r.ReadByte()
				if err != nil {
					return
				}
				if b < '0' || b > '9' {
					if strings.TrimSuffix(password, "\x1b") != d.Password || d.has(WrongPassword) {
						_, _ = io.WriteString(out, "\x15")
						return
					}
					_, _ = io.WriteString(out, d.command(data, b))
					break
				}
				data += string(b)
			}
		}
	})
}

func (d *ipal) command(data string, command byte) string {
	n, err := strconv.Atoi(data)
	if known := err == nil && n >= 1 && n <= d.Outlets.Count(); known {
		switch command {
		case 'E', 'D':
			_ = d.set(d.Outlets, n, command == 'E')
		case 'P':
			_ = d.cycle(d.Outlets, n, d.OffTime)
		}
	}
	states := ""
	for n := 1; n <= d.Outlets.Count(); n++ {
		switch on, err := d.Outlets.State(n); {
		case d.has(CableError) || err != nil:
			states += "6"
		case on:
			states += "1"
		default:
			states += "0"
		}
	}
	return states
}

// newIPALTelnet is an iPAL's telnet face: it says nothing until it has heard ENTER, takes an ENTER too many for no password, and cannot tell
// states.
func newIPALTelnet(o Options) *unit {
	return &unit{Options: o, busy: "\r\nAnother session is already open\r\n", login: func(u *unit, c *console) bool {
		for range 2 {
			if _, err := c.line(false); err != nil {
				return false
			}
		}
		for wrong := 0; wrong < 4; {
			password, ok := c.ask("\r\nPassword > ", false)
			switch {
			case !ok:
				return false
			case u.knows(u.User, password):
				return true
			case password != "":
				wrong++
			}
		}
		return false
	}, shell: func(u *unit, c *console) {
		for {
			in, ok := c.ask("\r\nEnter > ", true)
			if !ok || strings.EqualFold(in, "X") {
				c.say("Bye\r\n")
				return
			}
			if in == "" {
				continue
			}
			n, known := u.outlet(in[1:])
			switch verb := strings.ToUpper(in[:1]); {
			case !known:
				c.say("Invalid relay\r\n")
			case verb == "P":
				_ = u.cycle(u.Outlets, n, u.OffTime)
			case verb == "E" || verb == "D":
				_ = u.set(u.Outlets, n, verb == "E")
			}
		}
	}}
}
