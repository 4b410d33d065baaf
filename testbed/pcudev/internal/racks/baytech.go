package racks

import (
	"fmt"
	"strings"
	"time"

	"github.com/planetlab/monitor/testbed/pcudev/internal/console"
	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
)

// BayTech is an RPC of BayTech's, or a DS-RPC with a menu before it.
type BayTech struct {
	Prompt string
	Choice string // of the menu; empty: there is none
	Hangs  byte   // until this key
}

// BayTechs are the units that are known, by the names of their models.
func BayTechs() map[string]BayTech {
	return map[string]BayTech{
		"BayTechRPC3NC":     {Prompt: "RPC3-NC>"},
		"BayTechRPC16":      {Prompt: "RPC-16>"},
		"BayTechGeorgeTown": {Prompt: "RPC-16>"},
		"BayTech":           {Prompt: "DS-RPC>", Choice: "5"},
		"BayTechCtrlC":      {Prompt: "DS-RPC>", Choice: "5", Hangs: 3},
		"BayTechCtrlCUnibe": {Prompt: "DS-RPC>", Choice: "3", Hangs: 3},
		"BayTech5CtrlC":     {Prompt: "DS-RPC>", Choice: "5", Hangs: '\r'},
	}
}

// NewBayTech makes a unit; drops hangs up on the first connection.
func NewBayTech(o device.Options, b BayTech, drops bool) *console.Unit {
	u := &console.Unit{
		Options: o,
		Busy:    "\r\nPort in use.\r\n",
		Login:   baytechLogin,
		Shell:   b.shell,
		Own:     device.BayTechFaults(b.Choice != ""),
	}
	u.Drops = drops
	return u
}

func baytechLogin(u *console.Unit, c *console.Console) bool {
	name, password := "\r\nEnter user name: ", "\r\nEnter Password: "
	switch {
	case u.Has(device.AsksNothing):
		return true
	case u.Has(device.OldRPC):
		name, password = "", "\r\nEnter password>"
	case u.Has(device.AsksPassword):
		name = ""
	}
	if !console.AskBoth(u, c, name, password, "\r\nInvalid login.\r\n") {
		return false
	}
	for u.Has(device.OldRPC) {
		c.Say("\r\n   Outlet Control.....1\r\n   Configure..........2\r\n   Logout.............6\r\n\r\n")
		switch in, ok := c.Ask("Enter Selection>", true); {
		case !ok || in == "6":
			return false
		case in == "1":
			return true
		}
	}
	return true
}

func (b BayTech) shell(u *console.Unit, c *console.Console) {
	key := b.Hangs
	if u.Has(device.HangsCtrlC) {
		key = 3
	}
	if key != 0 && !c.WaitFor(key) {
		return
	}
	if b.Choice == "" {
		c.Say("\r\n\r\n%s Series\r\n(C) 2002 by BayTech\r\nF4.00\r\n\r\n", strings.Trim(b.Prompt, ">"))
		b.commands(u, c)
		return
	}
	for {
		c.Say(
			"\r\nDevice A (1)\r\nStatus (2)\r\nUnit (3)\r\nAttributes (4)\r\nControl Outlets (%s "+
				",1).........%s\r\nLogout (T)\r\n\r\n",
			b.Choice, b.Choice)
		in, ok := c.Ask("Enter Request :", true)
		switch {
		case !ok || strings.EqualFold(in, "T"):
			c.Say("\r\nBye\r\n")
			return
		case in != b.Choice:
			continue
		case u.Has(device.AsksAgain):
			if who, ok := c.Ask("\r\nEnter user name: ", true); !ok || who != u.User {
				return
			}
		}
		if !b.commands(u, c) {
			return
		}
	}
}

// commands is the command line; it ends with Logout.
func (b BayTech) commands(u *console.Unit, c *console.Console) bool {
	for turn := 0; ; turn++ {
		prompt := b.Prompt
		switch {
		case u.Has(device.Alternates):
			prompt = []string{"RPC-28>", "RPC-28A>"}[turn%2]
		case u.Has(device.OldRPC):
			prompt = "RPC-3>"
		}
		in, ok := c.Ask(prompt, true)
		if !ok {
			return false
		}
		verb, rest, _ := strings.Cut(strings.ToLower(in), " ")
		first, last, known := u.Span(rest)
		switch {
		case verb == "":
		case verb == "logout" || verb == "logoff" || verb == "exit":
			if b.Choice == "" {
				c.Say("\r\nBye\r\n")
			}
			return true
		case verb == "status":
			b.status(u, c)
		case (verb == "on" || verb == "off" || verb == "reboot") && known:
			if !u.Has(device.NoQuestion) {
				if yes, ok := c.Ask(fmt.Sprintf("\r\n%s Outlet  %s   (Y/N)? ", strings.ToUpper(verb[:1])+verb[1:],
					rest), true); !ok {
					return false
				} else if !strings.EqualFold(yes, "y") {
					continue
				}
			}
			for n := first; n <= last; n++ {
				b.power(u, c, verb, n)
			}
		default:
			c.Say("\r\nInput error\r\n\r\n")
		}
	}
}

func (b BayTech) status(u *console.Unit, c *console.Console) {
	c.Say(
		"\r\n\r\n   Average Power:     338 Watts\r\nTrue RMS Voltage:   120.9 Volts\r\n Circuit Breaker:       " +
			"Good\r\n\r\n")
	if u.Has(device.OldRPC) {
		c.Say("Selection   Outlet            Outlet   Power\r\n  Number    Name              Number   Status\r\n")
	}
	for n := 1; n <= u.Outlets.Count(); n++ {
		if u.Has(device.OldRPC) {
			c.Say("    %-3d     Outlet %-9d   %-3d     %-3s  \r\n", n, n, n, console.OnOff(u.Outlets, n))
			continue
		}
		c.Say("%2d)...Outlet %2d       : %-3s          \r\n", n, n, console.OnOff(u.Outlets, n))
	}
	c.Say("\r\nType \"Help\" for a list of commands\r\n\r\n")
}

// power switches. A reboot counts down over backspaces, and leaves what is off off.
func (b BayTech) power(u *console.Unit, c *console.Console, verb string, n int) {
	on, err := u.Outlets.State(n)
	switch {
	case err != nil:
	case verb != "reboot":
		err = u.Set(u.Outlets, n, verb == "on")
	case on:
		err = u.Cycle(u.Outlets, n, u.OffTime)
		c.Say("\r\nRebooting...  9")
		for i := 8; i >= 0; i-- {
			time.Sleep(u.OffTime / 8)
			c.Say("\b%d", i)
		}
		c.Say("\r\n")
	}
	if err != nil {
		c.Say("\r\nInput error\r\n\r\n")
	}
}
