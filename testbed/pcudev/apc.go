package pcudev

import (
	"io"
	"net"
	"time"
)

// APC is a switched rack with a control console of menus on telnet and ssh. Its fields are set before Serve. Behind the last outlet
// its lists have one more choice that switches all of them, as the real ones do.
type APC struct {
	Menu           []string // the path to the power command, with p for the outlet, as 1 2 p 3
	User, Password string
	Outlets        Outlets
	OffTime        time.Duration // between off and on of a reboot

	ssh bool // Serve speaks ssh
	faults
}

// Faults are those of every device that talks.
func (*APC) Faults() []Fault { return spokenFaults() }

// Serve answers connections until the listener is closed.
func (a *APC) Serve(l net.Listener) error {
	if a.ssh {
		return a.ServeSSH(l)
	}
	return accept(l, func(c net.Conn) {
		if a.dead(c) {
			return
		}
		t := newTelnet(a.pace(c))
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
		return user == a.User && password == a.Password && !a.has(WrongPassword)
	}
	return serveSSH(l, sshFace{faults: &a.faults, check: check, shell: func(rw io.ReadWriter) {
		c := newConsole(a.pace(rw))
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
		c.say("\r\n\rUser Name : ")
		user, err := c.line(true)
		if err != nil {
			return false
		}
		c.say("\rPassword  : ")
		password, err := c.line(false)
		if err != nil {
			return false
		}
		if user == a.User && password == a.Password && !a.has(WrongPassword) {
			c.say("%s", banner)
			return true
		}
		c.say("\r\nInvalid user name or password.\r\n")
	}
	return false
}
