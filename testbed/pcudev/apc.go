// Package pcudev is the testbed's power control units: they speak like the devices they are named after, one session at a
// time, with their state, their timing and their faults.
package pcudev

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Outlets are what a power control unit switches.
type Outlets interface {
	Count() int
	State(n int) (on bool, err error)
	Set(n int, on bool) error
}

// APC is a switched rack with a control console of menus on telnet. Its fields are set before Serve.
type APC struct {
	Menu           []string // the path to the power command, with p for the outlet, as 1 2 p 3
	User, Password string
	Outlets        Outlets
	OffTime        time.Duration // between off and on of a reboot

	mu      sync.Mutex
	session bool
	broken  string
}

// The faults a device can have.
const (
	WrongPassword = "wrong password" // the one in PLC no longer works
	Mute          = "mute"           // takes connections and says nothing
	Strange       = "strange prompt" // some other firmware
	StaysOff      = "stays off"      // power commands end with the outlet off
	Refuses       = "closed"         // hangs up at once
)

// Break gives the device a fault; empty mends it.
func (a *APC) Break(fault string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.broken = fault
}

func (a *APC) fault() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.broken
}

// Serve answers connections until the listener is closed.
func (a *APC) Serve(l net.Listener) error {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		} else if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(3 * time.Minute)) // the console's own idle limit
			a.serve(c)
		}()
	}
}

const banner = "\r\nAmerican Power Conversion               Network Management Card AOS      v2.6.4\r\n" +
	"(c) Copyright 2004 All Rights Reserved  Rack PDU APP                     v2.6.5\r\n"

// console is one telnet session.
type console struct {
	net.Conn
	r *bufio.Reader
}

func (c *console) say(format string, args ...any) { _, _ = fmt.Fprintf(c, format, args...) }

// line reads a line and answers what a client negotiates by saying nothing more: we said what we do at the start.
func (c *console) line(echo bool) (string, error) {
	var b []byte
	for {
		ch, err := c.r.ReadByte()
		if err != nil {
			return "", err
		}
		switch ch {
		case 255: // IAC: command and, for the four negotiations, one option
			cmd, err := c.r.ReadByte()
			if err != nil {
				return "", err
			}
			if cmd >= 251 {
				if _, err := c.r.ReadByte(); err != nil {
					return "", err
				}
			}
		case '\r':
			if next, err := c.r.Peek(1); err == nil && (next[0] == '\n' || next[0] == 0) {
				_, _ = c.r.ReadByte()
			}
			c.say("\r\n")
			return string(b), nil
		case '\n':
			return string(b), nil
		case 0x1b:
			b = append(b, ch)
		default:
			if len(b) > 256 {
				return "", errors.New("line too long")
			}
			b = append(b, ch)
			if echo {
				c.say("%c", ch)
			} else {
				c.say("*")
			}
		}
	}
}

func (a *APC) serve(conn net.Conn) {
	c := &console{conn, bufio.NewReader(conn)}
	switch a.fault() {
	case Refuses:
		return
	case Mute:
		_, _ = c.r.WriteTo(discard{})
		return
	case Strange:
		c.say("\r\nlogin: ")
		_, _ = c.r.WriteTo(discard{})
		return
	}
	a.mu.Lock()
	busy := a.session
	a.session = true
	a.mu.Unlock()
	if busy {
		c.say("%s\r\nSomeone is currently logged into the APC Management Web Server or console.\r\nAccess to the Control Console will be denied until they log out.\r\n", banner)
		return
	}
	defer func() {
		a.mu.Lock()
		a.session = false
		a.mu.Unlock()
	}()
	_, _ = c.Write([]byte{255, 251, 1, 255, 251, 3}) // WILL ECHO, WILL SUPPRESS-GO-AHEAD
	for try := 0; ; try++ {
		c.say("\r\nUser Name : ")
		user, err := c.line(true)
		if err != nil {
			return
		}
		c.say("Password  : ")
		password, err := c.line(false)
		if err != nil {
			return
		}
		if user == a.User && password == a.Password && a.fault() != WrongPassword {
			break
		}
		c.say("\r\nInvalid user name or password.\r\n")
		if try == 2 {
			return
		}
	}
	c.say("%s", banner)
	a.console(c)
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// console walks the menus. Where the path of this firmware goes on, the menu has that line; ESC goes up; 4 leaves the top.
func (a *APC) console(c *console) {
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
		err = a.Outlets.Set(n, false)
		time.AfterFunc(a.OffTime, func() {
			if a.fault() != StaysOff {
				_ = a.Outlets.Set(n, true)
			}
		})
	}
	if err != nil {
		c.say("\r\n        Command failed.\r\n        Invalid outlet.\r\n")
		return true
	}
	c.say("\r\n        Command successfully issued.\r\n\r\n        Press <ENTER> to continue...")
	_, err = c.line(true)
	return err == nil
}
