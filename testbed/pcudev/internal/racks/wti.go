package racks

import (
	"strings"

	"github.com/planetlab/monitor/testbed/pcudev/internal/console"
	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
)

// NewWTI is a power switch of Western Telematic's.
func NewWTI(o device.Options, prompt string) *console.Unit {
	return &console.Unit{
		Options: o,
		Busy:    "\r\nAnother session is active.\r\n",
		Own:     device.WTIFaults(),
		Login: func(u *console.Unit, c *console.Console) bool {
			for range 3 {
				c.Say("\r\n")
				if password, ok := c.Ask("Enter Password: ", false); !ok {
					return false
				} else if u.Knows(u.User, password) {
					return true
				}
				c.Say("\r\nInvalid password.\r\n")
			}
			return false
		},
		Shell: func(u *console.Unit, c *console.Console) { wti(u, c, prompt) },
	}
}

func wti(u *console.Unit, c *console.Console, prompt string) {
	c.Say("\r\nInternet Power Switch v1.41h    Site ID: testbed\r\n")
	for {
		in, ok := c.Ask("\r\n"+prompt, true)
		if !ok {
			return
		}
		verb, rest, _ := strings.Cut(strings.ToUpper(in), " ")
		plug, sure := strings.CutSuffix(rest, ",Y")
		first, last, known := u.Span(plug)
		switch {
		case verb == "":
		case verb == "/X":
			c.Say("\r\nDisconnected.\r\n")
			return
		case verb == "/S":
			c.Say(
				"\r\nPlug | Name             | Status  | Boot Delay | Default " +
					"|\r\n-----+------------------+---------+------------+---------+\r\n")
			for n := 1; n <= u.Outlets.Count(); n++ {
				c.Say("  %d  | (undefined)      |   %-3s   |   0.5 secs |   ON    |\r\n", n,
					strings.ToUpper(console.OnOff(u.Outlets, n)))
			}
			c.Say("-----+------------------+---------+------------+---------+\r\n")
		case (verb == "/ON" || verb == "/OFF" || verb == "/BOOT") && known:
			if !sure && !u.Has(device.NoQuestion) {
				if yes, ok := c.Ask("Sure? (Y/N): ", true); !ok {
					return
				} else if !strings.EqualFold(yes, "Y") {
					continue
				}
			}
			for n := first; n <= last; n++ {
				if verb == "/BOOT" {
					_ = u.Cycle(u.Outlets, n, u.OffTime)
				} else {
					_ = u.Set(u.Outlets, n, verb == "/ON")
				}
			}
		case verb == "/ON" || verb == "/OFF" || verb == "/BOOT":
			c.Say("\r\nInvalid Plug\r\n")
		default:
			c.Say("\r\nInvalid Command\r\n")
		}
	}
}
