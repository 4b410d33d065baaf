package pcudev

import (
	"fmt"
	"slices"
	"strings"
)

// newAPCCLI is a rack of APC's with the command line of AOS 5.
func newAPCCLI(o Options) *unit {
	const banner = "\r\nSchneider Electric                      Network Management Card AOS      v6.5.6\r\n(c) Copyright 2017 All Rights Reserved  RPDU 2g                          v6.5.6\r\n\r\n"
	return &unit{Options: o, busy: banner + "Someone is already logged in. Access denied.\r\n", own: apcCLIFaults(), login: func(u *unit, c *console) bool {
		return askBoth(u, c, "\r\nUser Name : ", "Password  : ", "\r\nInvalid user name or password.\r\n")
	}, shell: func(u *unit, c *console) {
		c.say("%s", banner)
		apcCLI(u, c)
	}}
}

func apcCLI(u *unit, c *console) {
	for {
		in, ok := c.ask("\r\napc>", true)
		if !ok {
			return
		}
		verb, rest, _ := strings.Cut(strings.ToLower(in), " ")
		if old := slices.Contains([]string{"status", "on", "off", "reboot"}, verb); old && u.has(OldCLI) {
			verb = "ol" + verb
		} else if u.has(OldCLI) && strings.HasPrefix(verb, "ol") {
			verb = "unknown"
		}
		first, last, known := u.span(rest)
		switch {
		case verb == "":
		case verb == "exit" || verb == "quit" || verb == "bye" || verb == "4":
			c.say("\r\nBye\r\n")
			return
		case !strings.HasPrefix(verb, "ol"):
			c.say("E101: Command Not Found\r\n")
		case !known:
			c.say("E102: Parameter Error\r\n")
		case verb == "olstatus":
			c.say("E000: Success\r\n")
			for n := first; n <= last; n++ {
				c.say(" %d: Outlet %d: %s\r\n", n, n, onOff(u.Outlets, n))
			}
		default:
			err := fmt.Errorf("no such command")
			for n := first; n <= last; n++ {
				switch verb {
				case "olon":
					err = u.set(u.Outlets, n, true)
				case "oloff":
					err = u.set(u.Outlets, n, false)
				case "olreboot":
					err = u.cycle(u.Outlets, n, u.OffTime)
				}
			}
			if err != nil {
				c.say("E101: Command Not Found\r\n")
				continue
			}
			c.say("E000: Success\r\n")
		}
	}
}
