package racks

import (
	"strings"

	"github.com/planetlab/monitor/testbed/pcudev/internal/console"
	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
)

// NewCyclades is an AlterPath PM. What it says is from powerman's cyclades-pm10.dev, which drives real ones, and from
// the AlterPath PM User Guide.
func NewCyclades(o device.Options) *console.Unit {
	return &console.Unit{
		Options: o,
		Busy:    "\r\nAnother user is logged in.\r\n",
		Login: func(u *console.Unit, c *console.Console) bool {
			return console.AskBoth(u, c, "\r\nUsername: ", "Password: ", "\r\nInvalid username or password.\r\n")
		},
		Shell: cyclades,
	}
}

func cyclades(u *console.Unit, c *console.Console) {
	for {
		in, ok := c.Ask("pm>", true)
		if !ok {
			return
		}
		verb, which, _ := strings.Cut(strings.ToLower(in), " ")
		first, last, known := cycladesOutlets(u, which)
		switch {
		case verb == "":
		case verb == "exit" || verb == "quit":
			c.Say("Exiting.\r\n")
			return
		case verb != "status" && verb != "on" && verb != "off" && verb != "cycle":
			c.Say("Unknown command.\r\n")
		case !known:
			c.Say("Outlet %s is out of range.\r\n", which)
		case verb == "status":
			c.Say("Outlet\t\tName\t\tStatus\t\tUsers\r\n")
			for n := first; n <= last; n++ {
				c.Say("%d\t\t\t\tUnlocked %s\r\n", n, strings.ToUpper(console.OnOff(u.Outlets, n)))
			}
		default:
			for n := first; n <= last; n++ {
				cycladesTurn(u, c, verb, n)
			}
		}
	}
}

func cycladesTurn(u *console.Unit, c *console.Console, verb string, n int) {
	if verb == "cycle" {
		_ = u.Cycle(u.Outlets, n, u.OffTime)
		c.Say("%d: Outlet turned off.\r\n%d: Outlet turned on.\r\n", n, n)
		return
	}
	_ = u.Set(u.Outlets, n, verb == "on")
	c.Say("%d: Outlet turned %s.\r\n", n, verb)
}

// cycladesOutlets are one outlet, all, or a range of them.
func cycladesOutlets(u *console.Unit, text string) (first, last int, known bool) {
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		return u.Span(text)
	}
	first, ok := u.Outlet(from)
	last, also := u.Outlet(to)
	return first, last, ok && also && first <= last
}
