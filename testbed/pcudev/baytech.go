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
	name := "\r\nEnter user name: "
	if u.fault() == AsksPassword {
		name = ""
	}
	if !askBoth(u, c, name, "\r\nEnter Password: ", "\r\nInvalid login.\r\n") {
		return false
	}
	for u.fault() == AsksChoice {
		c.say("\r\nOutlets..........1\r\nUnit.............2\r\n")
		if in, ok := c.ask("Enter Selection>", true); !ok {
			return false
		} else if in == "1" {
			break
		}
	}
	return true
}

func (b baytech) shell(u *unit, c *console) {
	key := b.hangs
	if u.fault() == HangsCtrlC {
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
		case u.fault() == AsksAgain:
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
			return err == nil
		}
	}
}

// commands is the command line; it ends with Logout.
func (b baytech) commands(u *unit, c *console) bool {
	for turn := 0; ; turn++ {
		prompt := b.prompt
		if u.fault() == Alternates {
			prompt = []string{"RPC-28>", "RPC-28A>"}[turn%2]
		}
		in, ok := c.ask(prompt, true)
		if !ok {
			return false
		}
		verb, rest, _ := strings.Cut(strings.ToLower(in), " ")
		n, known := u.outlet(rest)
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
			if u.fault() != NoQuestion {
				if yes, ok := c.ask(fmt.Sprintf("\r\n%s Outlet  %d   (Y/N)? ", strings.ToUpper(verb[:1])+verb[1:], n), true); !ok {
					return false
				} else if !strings.EqualFold(yes, "y") {
					continue
				}
			}
			b.power(u, c, verb, n)
		default:
			c.say("\r\nInput error\r\n\r\n")
		}
	}
}

func (b baytech) status(u *unit, c *console) {
	c.say("\r\n\r\n   Average Power:     338 Watts\r\nTrue RMS Voltage:   120.9 Volts\r\n Circuit Breaker:       Good\r\n\r\n")
	for n := 1; n <= u.Outlets.Count(); n++ {
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
