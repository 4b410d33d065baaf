// Package racks has the switched racks that speak in lines.
package racks

import (
	"io"
	"net"
	"time"

	"github.com/planetlab/monitor/testbed/pcudev/internal/console"
	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
)

// APC is a switched rack with a control console of menus on telnet and ssh. Its fields are set before Serve. Behind the
// last outlet its lists have one more choice that switches all of them, as the real ones do.
type APC struct {
	Menu           []string // the path to the power command, with p for the outlet, as 1 2 p 3
	User, Password string
	Outlets        device.Outlets
	OffTime        time.Duration // between off and on of a reboot

	SSH bool // Serve speaks ssh
	device.Condition
}

// Faults are those of every device that talks.
func (*APC) Faults() []device.Fault { return device.SpokenFaults() }

// Serve answers connections until the listener is closed.
func (a *APC) Serve(l net.Listener) error {
	if a.SSH {
		return a.ServeSSH(l)
	}
	return device.Accept(l, func(c net.Conn) {
		if a.Dead(c) {
			return
		}
		t := console.NewTelnet(a.Pace(c))
		a.One(t, busyAPC, func() {
			if a.login(t) {
				a.menus(t)
			}
		})
	})
}

// ServeSSH answers ssh connections; the session is the same one that telnet would take.
func (a *APC) ServeSSH(l net.Listener) error {
	check := func(user, password string) bool {
		return user == a.User && password == a.Password && !a.Has(device.WrongPassword)
	}
	return console.ServeSSH(l, console.SSHFace{Faults: &a.Condition, Check: check, Shell: func(rw io.ReadWriter) {
		c := console.New(a.Pace(rw))
		a.One(c, busyAPC, func() {
			c.Say("%s", banner)
			a.menus(c)
		})
	}})
}

const busyAPC = banner + "\r\nSomeone is currently logged into the APC Management Web Server or console.\r\nAccess " +
	"to the Control Console will be denied until they log out.\r\n"

const banner = "\r\nAmerican Power Conversion               Network Management Card AOS      v2.6.4\r\n" +
	"(c) Copyright 2004 All Rights Reserved  Rack PDU APP                     v2.6.5\r\n"

func (a *APC) login(c *console.Console) bool {
	for range 3 {
		c.Say("\r\n\rUser Name : ")
		user, err := c.Line(true)
		if err != nil {
			return false
		}
		c.Say("\rPassword  : ")
		password, err := c.Line(false)
		if err != nil {
			return false
		}
		if user == a.User && password == a.Password && !a.Has(device.WrongPassword) {
			c.Say("%s", banner)
			return true
		}
		c.Say("\r\nInvalid user name or password.\r\n")
	}
	return false
}
