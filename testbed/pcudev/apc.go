package pcudev

import (
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// APC is a switched rack with a control console of menus on telnet and ssh. Its fields are set before Serve.
type APC struct {
	Menu           []string // the path to the power command, with p for the outlet, as 1 2 p 3
	User, Password string
	Outlets        Outlets
	OffTime        time.Duration // between off and on of a reboot

	ssh bool // Serve speaks ssh
	faults
}

// Serve answers connections until the listener is closed.
func (a *APC) Serve(l net.Listener) error {
	if a.ssh {
		return a.ServeSSH(l)
	}
	return accept(l, func(c net.Conn) {
		if a.dead(c) {
			return
		}
		t := newTelnet(c)
		a.one(t, busyAPC, func() {
			if a.login(t) {
				a.menus(t)
			}
		})
	})
}

// ServeSSH answers ssh connections; the session is the same one that telnet would take.
func (a *APC) ServeSSH(l net.Listener) error {
	check := func(user, password string) bool {
		return user == a.User && password == a.Password && a.fault() != WrongPassword
	}
	return serveSSH(l, sshFace{faults: &a.faults, check: check, shell: func(rw io.ReadWriter) {
		c := newConsole(rw)
		a.one(c, busyAPC, func() {
			c.say("%s", banner)
			a.menus(c)
		})
	}})
}

const busyAPC = banner + "\r\nSomeone is currently logged into the APC Management Web Server or console.\r\nAccess to the Control Console will be denied until they log out.\r\n"

const banner = "\r\nAmerican Power Conversion               Network Management Card AOS      v2.6.4\r\n" +
	"(c) Copyright 2004 All Rights Reserved  Rack PDU APP                     v2.6.5\r\n"

func (a *APC) login(c *console) bool {
	for range 3 {
		c.say("\r\nUser Name : ")
		user, err := c.line(true)
		if err != nil {
			return false
		}
		c.say("Password  : ")
		password, err := c.line(false)
		if err != nil {
			return false
		}
		if user == a.User && password == a.Password && a.fault() != WrongPassword {
			c.say("%s", banner)
			return true
		}
		c.say("\r\nInvalid user name or password.\r\n")
	}
	return false
}

// menus walks the menus. Where the path of this firmware goes on, the menu has that line; ESC goes up; 4 leaves the top.
func (a *APC) menus(c *console) {
	var path []string
	for {
		a.show(c, path)
		c.say("> ")
		in, err := c.line(true)
		if err != nil {
			return
		}
		in = strings.TrimSpace(in)
		switch {
		case strings.HasPrefix(in, "\x1b"):
			if len(path) > 0 {
				path = path[:len(path)-1]
			}
		case in == "":
		case len(path) == 0 && in == "4":
			c.say("\r\nConnection Closed - Bye\r\n")
			return
		case len(path) == len(a.Menu)-1:
			if !a.power(c, path, in) {
				return
			}
		case a.Menu[len(path)] == "p":
			n, err := strconv.Atoi(in)
			if err != nil || n < 1 || n > a.Outlets.Count() {
				c.say("\r\nInvalid selection.\r\n")
				continue
			}
			path = append(path, in)
		case a.Menu[len(path)] == in:
			path = append(path, in)
		default:
			c.say("\r\nInvalid selection.\r\n")
		}
	}
}

func (a *APC) outlet(path []string) int {
	n, _ := strconv.Atoi(path[slices.Index(a.Menu, "p")])
	return n
}

func (a *APC) show(c *console, path []string) {
	if len(path) == 0 {
		c.say("\r\n------- Control Console -------------------------------------------------------\r\n\r\n" +
			"     1- Device Manager\r\n     2- Network\r\n     3- System\r\n     4- Logout\r\n\r\n" +
			"     <ESC>- Main Menu, <ENTER>- Refresh, <CTRL-L>- Event Log\r\n")
		return
	}
	if slices.Index(a.Menu, "p") < len(path) {
		n := a.outlet(path)
		on, err := a.Outlets.State(n)
		state := "OFF"
		if on {
			state = "ON"
		}
		if err != nil {
			state = "UNKNOWN"
		}
		c.say("\r\n------- Outlet %d -------------------------------------------------------\r\n\r\n        Name         : Outlet %d\r\n        Outlet       : %d\r\n        State        : %s\r\n\r\n", n, n, n, state)
		if len(path) == len(a.Menu)-1 {
			c.say("     1- Immediate On\r\n     2- Immediate Off\r\n     %s- Immediate Reboot\r\n", a.Menu[len(a.Menu)-1])
		} else {
			c.say("     %s- Control Outlet\r\n", a.Menu[len(path)])
		}
	} else if a.Menu[len(path)] == "p" {
		for n := range a.Outlets.Count() {
			c.say("     %d- Outlet %d\r\n", n+1, n+1)
		}
	} else {
		c.say("\r\n     %s- Outlet Management\r\n", a.Menu[len(path)])
	}
	c.say("\r\n     ?- Help, <ESC>- Back, <ENTER>- Refresh, <CTRL-L>- Event Log\r\n")
}

func (a *APC) power(c *console, path []string, in string) bool {
	n := a.outlet(path)
	word := map[string]string{"1": "On", "2": "Off", a.Menu[len(a.Menu)-1]: "Reboot"}[in]
	if word == "" {
		c.say("\r\nInvalid selection.\r\n")
		return true
	}
	c.say("\r\n        -----------------------------------------------------------------------\r\n        Immediate %s\r\n\r\n"+
		"        This command will immediately %s outlet %d.\r\n\r\n        Enter 'YES' to continue or <ENTER> to cancel : ", word, strings.ToLower(word), n)
	yes, err := c.line(true)
	if err != nil {
		return false
	}
	if yes != "YES" {
		return true
	}
	switch {
	case word == "Off":
		err = a.Outlets.Set(n, false)
	case word == "On":
		err = a.Outlets.Set(n, true)
	default:
		err = a.cycle(a.Outlets, n, a.OffTime)
	}
	if err != nil {
		c.say("\r\n        Command failed.\r\n        Invalid outlet.\r\n")
		return true
	}
	c.say("\r\n        Command successfully issued.\r\n\r\n        Press <ENTER> to continue...")
	_, err = c.line(true)
	return err == nil
}
