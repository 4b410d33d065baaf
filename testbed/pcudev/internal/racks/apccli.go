package racks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/planetlab/monitor/testbed/pcudev/internal/console"
	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
)

// NewAPCCLI is a rack of APC's with the command line of AOS 5.
func NewAPCCLI(o device.Options) *console.Unit {
	const banner = "\r\nSchneider Electric                      Network Management Card AOS      v6.5.6\r\n(c) " +
		"Copyright 2017 All Rights Reserved  RPDU 2g                          v6.5.6\r\n\r\n"
	return &console.Unit{
		Options: o,
		Busy:    banner + "Someone is already logged in. Access denied.\r\n",
		Own:     device.APCCLIFaults(),
		Login: func(u *console.Unit, c *console.Console) bool {
			return console.AskBoth(u, c, "\r\nUser Name : ", "Password  : ", "\r\nInvalid user name or password.\r\n")
		},
		Shell: func(u *console.Unit, c *console.Console) {
			c.Say("%s", banner)
			apcCLI(u, c)
		},
	}
}

func apcCLI(u *console.Unit, c *console.Console) {
	for {
		in, ok := c.Ask("\r\napc>", true)
		if !ok {
			return
		}
		verb, rest, _ := strings.Cut(strings.ToLower(in), " ")
		if old := slices.Contains([]string{"status", "on", "off", "reboot"}, verb); old && u.Has(device.OldCLI) {
			verb = "ol" + verb
		} else if u.Has(device.OldCLI) && strings.HasPrefix(verb, "ol") {
			verb = "unknown"
		}
		first, last, known := u.Span(rest)
		switch {
		case verb == "":
		case verb == "exit" || verb == "quit" || verb == "bye" || verb == "4":
			c.Say("\r\nBye\r\n")
			return
		case !strings.HasPrefix(verb, "ol"):
			c.Say("E101: Command Not Found\r\n")
		case !known:
			c.Say("E102: Parameter Error\r\n")
		case verb == "olstatus":
			c.Say("E000: Success\r\n")
			for n := first; n <= last; n++ {
				c.Say(" %d: Outlet %d: %s\r\n", n, n, console.OnOff(u.Outlets, n))
			}
		default:
			err := fmt.Errorf("no such command")
			for n := first; n <= last; n++ {
				switch verb {
				case "olon":
					err = u.Set(u.Outlets, n, true)
				case "oloff":
					err = u.Set(u.Outlets, n, false)
				case "olreboot":
					err = u.Cycle(u.Outlets, n, u.OffTime)
				}
			}
			if err != nil {
				c.Say("E101: Command Not Found\r\n")
				continue
			}
			c.Say("E000: Success\r\n")
		}
	}
}
