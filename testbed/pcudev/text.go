package pcudev

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// More faults, of devices with a conversation.
const (
	AsksAgain  = "asks the user name again" // after logging in
	NoQuestion = "asks no question"         // acts without (Y/N)?
	Slow       = "slow"                     // a byte at a time
)

// unit is a device with a text conversation: how it lets one in, and what it does then.
type unit struct {
	Options
	faults
	busy  string
	login func(u *unit, c *console) bool // on telnet and tcp
	shell func(u *unit, c *console)
	drops bool // the first connection
	seen  bool
}

// Serve answers connections until the listener is closed.
func (u *unit) Serve(l net.Listener) error {
	if u.Transport == "ssh" {
		return serveSSH(l, sshFace{faults: &u.faults, check: u.knows, shell: func(rw io.ReadWriter) {
			c := newConsole(u.pace(rw))
			u.one(c, u.busy, func() { u.shell(u, c) })
		}})
	}
	return accept(l, func(conn net.Conn) {
		if u.dead(conn) || u.dropFirst() {
			return
		}
		c := newTelnet(u.pace(conn))
		u.one(c, u.busy, func() {
			if u.login(u, c) {
				u.shell(u, c)
			}
		})
	})
}

func (u *unit) dropFirst() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	drop := u.drops && !u.seen
	u.seen = true
	return drop
}

func (u *unit) knows(user, password string) bool {
	return user == u.User && password == u.Password && u.fault() != WrongPassword
}

// pace makes a slow device's output come a byte at a time.
func (u *unit) pace(rw io.ReadWriter) io.ReadWriter {
	if u.fault() == Slow {
		return drip{rw}
	}
	return rw
}

type drip struct{ io.ReadWriter }

func (d drip) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := d.ReadWriter.Write(p[i : i+1]); err != nil {
			return i, err
		}
		time.Sleep(time.Millisecond)
	}
	return len(p), nil
}

// ask prompts for one line.
func (c *console) ask(prompt string, echo bool) (string, bool) {
	c.say("%s", prompt)
	text, err := c.line(echo)
	return strings.TrimSpace(text), err == nil
}

// askBoth asks for name and password up to three times.
func askBoth(u *unit, c *console, name, password, wrong string) bool {
	for range 3 {
		who, ok := c.ask(name, true)
		if !ok {
			return false
		}
		secret, ok := c.ask(password, false)
		if !ok {
			return false
		}
		if u.knows(who, secret) {
			return true
		}
		c.say("%s", wrong)
	}
	return false
}

// outlet is the number in a text, if there is such an outlet.
func (u *unit) outlet(text string) (int, bool) {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	return n, err == nil && n >= 1 && n <= u.Outlets.Count()
}

func onOff(o Outlets, n int) string {
	if on, err := o.State(n); err == nil && on {
		return "On"
	}
	return "Off"
}

// baytech is an RPC of BayTech's, or a DS-RPC with a menu before it.
type baytech struct {
	prompt string
	choice string // of the menu; empty: there is none
	hangs  byte   // until this key
}

func newBayTech(o Options, b baytech, drops bool) *unit {
	return &unit{Options: o, busy: "\r\nPort in use.\r\n", drops: drops, shell: b.shell, login: func(u *unit, c *console) bool {
		return askBoth(u, c, "\r\nEnter user name: ", "Enter Password: ", "\r\nInvalid login.\r\n")
	}}
}

func (b baytech) shell(u *unit, c *console) {
	for b.hangs != 0 {
		key, err := c.r.ReadByte()
		if err != nil {
			return
		}
		if key == b.hangs {
			break
		}
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

// commands is the command line; it ends with Logout.
func (b baytech) commands(u *unit, c *console) bool {
	for {
		in, ok := c.ask(b.prompt, true)
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
		err = u.Outlets.Set(n, verb == "on")
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

// newWTI is a power switch of Western Telematic's.
func newWTI(o Options, prompt string) *unit {
	return &unit{Options: o, busy: "\r\nAnother session is active.\r\n", login: func(u *unit, c *console) bool {
		for range 3 {
			c.say("\r\n")
			if password, ok := c.ask("Enter Password: ", false); !ok {
				return false
			} else if u.knows(u.User, password) {
				return true
			}
			c.say("\r\nInvalid password.\r\n")
		}
		return false
	}, shell: func(u *unit, c *console) { wti(u, c, prompt) }}
}

func wti(u *unit, c *console, prompt string) {
	c.say("\r\nInternet Power Switch v1.41h    Site ID: testbed\r\n")
	for {
		in, ok := c.ask("\r\n"+prompt, true)
		if !ok {
			return
		}
		verb, rest, _ := strings.Cut(strings.ToUpper(in), " ")
		plug, sure := strings.CutSuffix(rest, ",Y")
		n, known := u.outlet(plug)
		switch {
		case verb == "":
		case verb == "/X":
			c.say("\r\nDisconnected.\r\n")
			return
		case verb == "/S":
			c.say("\r\nPlug | Name             | Status  | Boot Delay | Default |\r\n-----+------------------+---------+------------+---------+\r\n")
			for n := 1; n <= u.Outlets.Count(); n++ {
				c.say("  %d  | (undefined)      |   %-3s   |   0.5 secs |   ON    |\r\n", n, strings.ToUpper(onOff(u.Outlets, n)))
			}
			c.say("-----+------------------+---------+------------+---------+\r\n")
		case (verb == "/ON" || verb == "/OFF" || verb == "/BOOT") && known:
			if !sure && u.fault() != NoQuestion {
				if yes, ok := c.ask("Sure? (Y/N): ", true); !ok {
					return
				} else if !strings.EqualFold(yes, "Y") {
					continue
				}
			}
			if verb == "/BOOT" {
				_ = u.cycle(u.Outlets, n, u.OffTime)
			} else {
				_ = u.Outlets.Set(n, verb == "/ON")
			}
		case verb == "/ON" || verb == "/OFF" || verb == "/BOOT":
			c.say("\r\nInvalid Plug\r\n")
		default:
			c.say("\r\nInvalid Command\r\n")
		}
	}
}

// newAPCCLI is a rack of APC's with the command line of AOS 5.
func newAPCCLI(o Options) *unit {
	const banner = "\r\nSchneider Electric                      Network Management Card AOS      v6.5.6\r\n(c) Copyright 2017 All Rights Reserved  RPDU 2g                          v6.5.6\r\n\r\n"
	return &unit{Options: o, busy: banner + "Someone is already logged in. Access denied.\r\n", login: func(u *unit, c *console) bool {
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
					err = u.Outlets.Set(n, true)
				case "oloff":
					err = u.Outlets.Set(n, false)
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

// span is one outlet or all.
func (u *unit) span(text string) (first, last int, known bool) {
	if strings.TrimSpace(text) == "all" {
		return 1, u.Outlets.Count(), true
	}
	n, known := u.outlet(text)
	return n, n, known
}

// newIPALTelnet is an iPAL's telnet face: it says nothing until it has heard ENTER, and cannot tell states.
func newIPALTelnet(o Options) *unit {
	return &unit{Options: o, busy: "\r\nAnother session is already open\r\n", login: func(u *unit, c *console) bool {
		for range 2 {
			if _, err := c.line(false); err != nil {
				return false
			}
		}
		for range 4 {
			if password, ok := c.ask("\r\nPassword > ", false); !ok {
				return false
			} else if u.knows(u.User, password) {
				return true
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
				_ = u.Outlets.Set(n, verb == "E")
			}
		}
	}}
}

// newDRAC is a Dell remote access card's shell; it switches the first outlet.
func newDRAC(o Options) *unit {
	return &unit{Options: o, busy: "\r\nThe maximum number of user sessions is reached.\r\n", shell: func(u *unit, c *console) {
		c.say("\r\nDell Remote Access Controller 5 (DRAC 5)\r\n\r\n")
		for {
			in, ok := c.ask("$ ", true)
			if !ok || in == "exit" {
				c.say("Bye\r\n")
				return
			}
			verb, isPower := strings.CutPrefix(in, "racadm serveraction ")
			switch {
			case in == "":
			case in == "racadm getsysinfo":
				c.say("RAC Information:\r\nFirmware Version = 1.33\r\n\r\n")
			case isPower:
				c.say("%s\r\n", dracPower(u, verb))
			default:
				c.say("ERROR: Invalid subcommand specified.\r\n")
			}
		}
	}}
}

func dracPower(u *unit, verb string) string {
	on := onOff(u.Outlets, 1) == "On"
	switch {
	case verb == "powerstatus":
		return "Server power status: " + strings.ToUpper(onOff(u.Outlets, 1))
	case verb == "powerup" && !on, verb == "powerdown" && on:
		_ = u.Outlets.Set(1, verb == "powerup")
	case verb == "powercycle" && on:
		_ = u.cycle(u.Outlets, 1, u.OffTime)
	case verb == "powerup":
		return "Server is already powered ON."
	case verb == "powerdown" || verb == "powercycle":
		return "Server is already powered OFF."
	default:
		return "ERROR: Invalid serveraction."
	}
	return "Server power operation successful"
}

// newILOShell is the ssh face of HP's iLO; it switches the first outlet.
func newILOShell(o Options) *unit {
	return &unit{Options: o, busy: "\r\nThe maximum number of sessions is reached.\r\n", shell: func(u *unit, c *console) {
		where := "/"
		c.say("User:%s logged-in to testbed\r\niLO 2 Advanced 2.05\r\n", u.User)
		for {
			in, ok := c.ask("</"+strings.Trim(where, "/")+">hpiLO-> ", true)
			if !ok || in == "exit" {
				c.say("\r\nstatus=0\r\nCLI session stopped\r\n")
				return
			}
			text, good := iloCommand(u, in, &where)
			if in == "" {
				continue
			}
			if good {
				c.say("\r\nstatus=0\r\nstatus_tag=COMMAND COMPLETED\r\n\r\n%s\r\n", text)
			} else {
				c.say("\r\nstatus=2\r\nstatus_tag=COMMAND PROCESSING FAILED\r\nerror_tag=%s\r\n", text)
			}
		}
	}}
}

func iloCommand(u *unit, in string, where *string) (string, bool) {
	state := onOff(u.Outlets, 1)
	switch strings.TrimSuffix(strings.Replace(in, " system1", " /system1", 1), " hard") {
	case "SMCLP":
	case "cd /system1":
		*where = "/system1"
	case "show /system1":
		return "/system1\r\n  Properties\r\n    name=testbed\r\n    enabledstate=" + map[string]string{"On": "enabled", "Off": "disabled"}[state], true
	case "power":
		return "power: server power is currently: " + state, true
	case "start /system1", "power on":
		_ = u.Outlets.Set(1, true)
	case "stop /system1", "power off":
		_ = u.Outlets.Set(1, false)
	case "reset", "reset /system1":
		if state == "Off" {
			return "Server power is off.", false
		}
		_ = u.cycle(u.Outlets, 1, u.OffTime)
	default:
		return "COMMAND NOT RECOGNIZED", false
	}
	return "", true
}
