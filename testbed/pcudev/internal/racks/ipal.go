package racks

import (
	"bufio"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/planetlab/monitor/testbed/pcudev/internal/console"
	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
)

// ipal is Dataprobe's iPAL by its binary protocol.
type ipal struct {
	device.Options
	device.Condition
}

// NewIPAL makes an iPAL that speaks its binary protocol.
func NewIPAL(o device.Options) device.Device { return &ipal{Options: o} }

// Faults are those of every device, and one of its own.
func (*ipal) Faults() []device.Fault {
	return append(device.SpokenFaults(), device.IPALFaults()...)
}

// Serve answers connections until the listener is closed.
func (d *ipal) Serve(l net.Listener) error {
	return device.Accept(l, func(c net.Conn) {
		// Another session shows as an empty answer.
		if d.Dead(c) || !d.Enter() {
			return
		}
		defer d.Leave()
		out := d.Pace(c)
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
					if strings.TrimSuffix(password, "\x1b") != d.Password || d.Has(device.WrongPassword) {
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
			_ = d.Set(d.Outlets, n, command == 'E')
		case 'P':
			_ = d.Cycle(d.Outlets, n, d.OffTime)
		}
	}
	states := ""
	for n := 1; n <= d.Outlets.Count(); n++ {
		switch on, err := d.Outlets.State(n); {
		case d.Has(device.CableError) || err != nil:
			states += "6"
		case on:
			states += "1"
		default:
			states += "0"
		}
	}
	return states
}

// NewIPALTelnet is an iPAL's telnet face: it says nothing until it has heard ENTER, takes an ENTER too many for no
// password, and cannot tell states.
func NewIPALTelnet(o device.Options) *console.Unit {
	return &console.Unit{
		Options: o,
		Busy:    "\r\nAnother session is already open\r\n",
		Login: func(u *console.Unit, c *console.Console) bool {
			for range 2 {
				if _, err := c.Line(false); err != nil {
					return false
				}
			}
			for wrong := 0; wrong < 4; {
				password, ok := c.Ask("\r\nPassword > ", false)
				switch {
				case !ok:
					return false
				case u.Knows(u.User, password):
					return true
				case password != "":
					wrong++
				}
			}
			return false
		},
		Shell: func(u *console.Unit, c *console.Console) {
			for {
				in, ok := c.Ask("\r\nEnter > ", true)
				if !ok || strings.EqualFold(in, "X") {
					c.Say("Bye\r\n")
					return
				}
				if in == "" {
					continue
				}
				n, known := u.Outlet(in[1:])
				switch verb := strings.ToUpper(in[:1]); {
				case !known:
					c.Say("Invalid relay\r\n")
				case verb == "P":
					_ = u.Cycle(u.Outlets, n, u.OffTime)
				case verb == "E" || verb == "D":
					_ = u.Set(u.Outlets, n, verb == "E")
				}
			}
		},
	}
}
