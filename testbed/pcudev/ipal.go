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

// Serve answers connections until the listener is closed.
func (d *ipal) Serve(l net.Listener) error {
	return accept(l, func(c net.Conn) {
		// Another session shows as an empty answer.
		if d.dead(c) || !d.enter() {
			return
		}
		defer d.leave()
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
					if strings.TrimSuffix(password, "\x1b") != d.Password || d.fault() == WrongPassword {
						_, _ = io.WriteString(c, "\x15")
						return
					}
					_, _ = io.WriteString(c, d.command(data, b))
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
			_ = d.Outlets.Set(n, command == 'E')
		case 'P':
			_ = d.cycle(d.Outlets, n, d.OffTime)
		}
	}
	states := ""
	for n := 1; n <= d.Outlets.Count(); n++ {
		switch on, err := d.Outlets.State(n); {
		case d.fault() == CableError || err != nil:
			states += "6"
		case on:
			states += "1"
		default:
			states += "0"
		}
	}
	return states
}
