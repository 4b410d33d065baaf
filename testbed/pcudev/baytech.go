package pcudev

import (
	"fmt"
	"strings"
	"time"
)

// baytech is an RPC of BayTech's, or a DS-RPC with a menu before it.
type baytech struct {
	prompt string
	choice string // of the menu; empty: there is none
	hangs  byte   // until this key
}

func newBayTech(o Options, b baytech, drops bool) *unit {
	u := &unit{Options: o, busy: "\r\nPort in use.\r\n", login: baytechLogin, shell: b.shell, own: baytechFaults(b.choice != "")}
	u.drops = drops
	return u
}

func baytechLogin(u *unit, c *console) bool {
	name, password := "\r\nEnter user name: ", "\r\nEnter Password: "
	switch {
	case u.has(AsksNothing):
		return true
	case u.has(OldRPC):
		name, password = "", "\r\nEnter password>"
	case u.has(AsksPassword):
		name = ""
	}
	if !askBoth(u, c, name, password, "\r\nInvalid login.\r\n") {
		return false
	}
	for u.has(OldRPC) {
		c.say("\r\n   Outlet Control.....1\r\n   Configure..........2\r\n   Logout.............6\r\n\r\n")
		switch in, ok := c.ask("Enter Selection>", true); {
		case !ok || in == "6":
			return false
		case in == "1":
			return true
		}
	}
	return true
}

func (b baytech) shell(u *unit, c *console) {
	key := b.hangs
	if u.has(HangsCtrlC) {
		key = 3
	}
	if key != 0 && !c.waitFor(key) {
		return
	}
	if b.choice == "" {
		c.say("\r\n\r\n%s Series\r\n(C) 2002 by BayTech\r\nF4.00\r\n\r\n", strings.Trim(b.prompt, ">"))
		b.commands(u, c)
		return
	}
	for {
		c.say("\r\nDevice A (1)\r\nStatus (2)\r\nUnit (3)\r\nAttributes (4)\r\nControl Outlets (%s ,1).........%s\r\nLogout (T)\r\n\r\n", b.choice, b.choice)
		in, ok := c.ask("Enter Request :", true)
		switch {
		case !ok || strings.EqualFold(in, "T"):
			c.say("\r\nBye\r\n")
			return
		case in != b.choice:
			continue
		case u.has(AsksAgain):
			if who, ok := c.ask("\r\nEnter user name: ", true); !ok || who != u.User {
				return
			}
		}
		if !b.commands(u, c) {
			return
		}
	}
}

// waitFor hears nothing but one key.
func (c *console) waitFor(key byte) bool {
	for {
		if in, err := c.r.ReadByte(); err != nil || in == key {
			c.afterCR = in == '\r'
			return err == nil
		}
	}
}

// commands is the command line; it ends with Logout.
func (b baytech) commands(u *unit, c *console) bool {
	for turn := 0; ; turn++ {
		prompt := b.prompt
		switch {
		case u.has(Alternates):
			prompt = []string{"RPC-28>", "RPC-28A>"}[turn%2]
		case u.has(OldRPC):
			prompt = "RPC-3>"
		}
		in, ok := c.ask(prompt, true)
		if !ok {
			return false
		}
		verb, rest, _ := strings.Cut(strings.ToLower(in), " ")
		first, last, known := u.span(rest)
		switch {
		case verb == "":
		case verb == "logout" || verb == "logoff" || verb == "exit":
			if b.choice == "" {
				c.say("\r\nBye\r\n")
			}
			return true
		case verb == "status":
			b.status(u, c)
		case (verb == "on" || verb == "off" || verb == "reboot") && known:
			if !u.has(NoQuestion) {
				if yes, ok := c.ask(fmt.Sprintf("\r\n%s Outlet  %s   (Y/N)? ", strings.ToUpper(verb[:1])+verb[1:], rest), true); !ok {
					return false
				} else if !strings.EqualFold(yes, "y") {
					continue
				}
			}
			for n := first; n <= last; n++ {
				b.power(u, c, verb, n)
			}
		default:
			c.say("\r\nInput error\r\n\r\n")
		}
	}
}

func (b baytech) status(u *unit, c *console) {
	c.say("\r\n\r\n   Average Power:     338 Watts\r\nTrue RMS Voltage:   120.9 Volts\r\n Circuit Breaker:       Good\r\n\r\n")
	if u.has(OldRPC) {
		c.say("Selection   Outlet            Outlet   Power\r\n  Number    Name              Number   Status\r\n")
	}
	for n := 1; n <= u.Outlets.Count(); n++ {
		if u.has(OldRPC) {
			c.say("    %-3d     Outlet %-9d   %-3d     %-3s  \r\n", n, n, n, onOff(u.Outlets, n))
			continue
		}
		c.say("%2d)...Outlet %2d       : %-3s          \r\n", n, n, onOff(u.Outlets, n))
	}
	c.say("\r\nType \"Help\" for a list of commands\r\n\r\n")
}

// power switches. A reboot counts down over backspaces, and leaves what is off off.
func (b baytech) power(u *unit, c *console, verb string, n int) {
	on, err := u.Outlets.State(n)
	switch {
	case err != nil:
	case verb != "reboot":
		err = u.set(u.Outlets, n, verb == "on")
	case on:
		err = u.cycle(u.Outlets, n, u.OffTime)
		c.say("\r\nRebooting...  9")
		for i := 8; i >= 0; i-- {
			time.Sleep(u.OffTime / 8)
			c.say("\b%d", i)
		}
		c.say("\r\n")
	}
	if err != nil {
		c.say("\r\nInput error\r\n\r\n")
	}
}
