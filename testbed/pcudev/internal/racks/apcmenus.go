package racks

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/planetlab/monitor/testbed/pcudev/internal/console"
)

const (
	keyEscape = "\x1b" // one menu up
	keyCtrlC  = "\x03" // to the main menu
	pageLines = 16     // of a list, before it waits for ENTER
)

// menus walks the menus. Where the path of this firmware goes on, the menu has that line; ESC goes up; 4 leaves the
// top.
func (a *APC) menus(c *console.Console) {
	c.Keys = keyEscape + keyCtrlC
	var path []string
	for {
		in, err := a.show(c, path)
		if err == nil && in == "" {
			c.Say("> ")
			in, err = c.Line(true)
		}
		if err != nil {
			return
		}
		in = strings.TrimSpace(in)
		switch {
		case in == keyCtrlC:
			path = nil
		case in == keyEscape:
			path = path[:max(0, len(path)-1)]
		case in == "":
		case len(path) == 0 && in == "4":
			c.Say("\r\nConnection Closed - Bye\r\n")
			return
		case len(path) == len(a.Menu)-1:
			if !a.power(c, path, in) {
				return
			}
		case a.Menu[len(path)] == "p":
			n, err := strconv.Atoi(in)
			if err != nil || n < 1 || n > a.Outlets.Count()+1 {
				c.Say("\r\nInvalid selection.\r\n")
				continue
			}
			path = append(path, in)
		case a.Menu[len(path)] == in:
			path = append(path, in)
		default:
			c.Say("\r\nInvalid selection.\r\n")
		}
	}
}

// outlets are the first and the last that a path chooses.
func (a *APC) outlets(path []string) (first, last int) {
	n, _ := strconv.Atoi(path[slices.Index(a.Menu, "p")])
	if n > a.Outlets.Count() {
		return 1, a.Outlets.Count()
	}
	return n, n
}

// show draws a menu; key is what was pressed to leave a list that waits for ENTER.
func (a *APC) show(c *console.Console, path []string) (key string, err error) {
	level := len(path)
	switch p := slices.Index(a.Menu, "p"); {
	case level == 0:
		c.Say("\r\n------- Control Console -------------------------------------------------------\r\n\r\n" +
			"     1- Device Manager\r\n     2- Network\r\n     3- System\r\n     4- Logout\r\n\r\n" +
			"     <ESC>- Main Menu, <ENTER>- Refresh, <CTRL-L>- Event Log\r\n")
		return "", nil
	case level == p:
		if key, err = a.list(c); key != "" || err != nil {
			return key, err
		}
	case level > p:
		a.showOutlet(c, path)
	default:
		c.Say("\r\n------- %s -------------------------------------------------------\r\n\r\n%s",
			[...]string{"", "Device Manager", "Outlet Management"}[level], a.choices(level))
	}
	c.Say("\r\n     <ESC>- Back, <ENTER>- Refresh, <CTRL-L>- Event Log\r\n")
	return "", nil
}

// choices are the lines of a menu on the way to the outlets, in the words that tell the firmwares apart.
func (a *APC) choices(level int) string {
	switch strings.Join(a.Menu[level:level+2], " ") {
	case "2 p":
		return "     1- Phase Monitor\r\n     2- Outlet Control\r\n     3- Power Supply Status\r\n"
	case "2 1":
		return "     1- Phase Management\r\n     2- Outlet Management\r\n     3- Power Supply Status\r\n"
	case "3 p":
		return "     1- Phase Monitor/Configuration\r\n     2- Outlet Restriction\r\n     3- Outlet " +
			"Control/Configuration\r\n     4- Power Supply Status\r\n"
	}
	if a.Menu[level+2] == "1" {
		return "     1- Outlet Control/Configuration\r\n     2- Outlet Restriction\r\n"
	}
	return "     1- Outlet Control\r\n"
}

func (a *APC) list(c *console.Console) (key string, err error) {
	c.Say("\r\n------- Outlet Control --------------------------------------------------------\r\n\r\n")
	for n := 1; n <= a.Outlets.Count(); n++ {
		c.Say("     %d- %-31s %s\r\n", n, fmt.Sprintf("Outlet %d", n), strings.ToUpper(console.OnOff(a.Outlets, n)))
		if n%pageLines == 0 {
			if key, err = c.Pause(); key != "" || err != nil {
				return key, err
			}
		}
	}
	c.Say("     %d- Master Control\r\n", a.Outlets.Count()+1)
	return "", nil
}

func (a *APC) showOutlet(c *console.Console, path []string) {
	first, last := a.outlets(path)
	if first == last {
		state := "UNKNOWN"
		if _, err := a.Outlets.State(first); err == nil {
			state = strings.ToUpper(console.OnOff(a.Outlets, first))
		}
		c.Say(
			"\r\n------- Outlet %d -------------------------------------------------------\r\n\r\n        Name       "+
				"  : Outlet %[1]d\r\n        Outlet       : %[1]d\r\n        State        : %s\r\n\r\n",
			first, state)
	} else {
		c.Say("\r\n------- Master Control --------------------------------------------------\r\n\r\n")
	}
	if len(path) < len(a.Menu)-1 {
		c.Say("     1- Control Outlet\r\n     2- Configure Outlet\r\n")
		return
	}
	for i, what := range a.commands() {
		c.Say("     %d- %s\r\n", i+1, what)
	}
}

// commands are the choices of an outlet's menu. Those of the MasterSwitch, whose reboot is 4, are others than those of
// the racks.
func (a *APC) commands() []string {
	if a.Menu[len(a.Menu)-1] == "4" {
		return []string{"Immediate On", "Delayed On", "Immediate Off", "Immediate Reboot", "Delayed Reboot",
			"Delayed Off", "Shutdown", "Cancel"}
	}
	return []string{"Immediate On", "Immediate Off", "Immediate Reboot", "Delayed On", "Delayed Off", "Delayed Reboot",
		"Cancel"}
}

// power asks whether it is meant, and switches.
func (a *APC) power(c *console.Console, path []string, in string) bool {
	first, last := a.outlets(path)
	choice, err := strconv.Atoi(in)
	if err != nil || choice < 1 || choice > len(a.commands()) {
		c.Say("\r\nInvalid selection.\r\n")
		return true
	}
	what := a.commands()[choice-1]
	which := fmt.Sprintf("outlet %d", first)
	if first != last {
		which = "all outlets"
	}
	c.Say("\r\n        -----------------------------------------------------------------------\r\n        %s\r\n\r\n"+
		"        This command will do so to %s.\r\n\r\n        Enter 'YES' to continue or <ENTER> to cancel : ", what,
		which)
	yes, err := c.Line(true)
	if err != nil {
		return false
	}
	if yes != "YES" {
		return true
	}
	for n := first; n <= last && err == nil; n++ {
		switch _, verb, _ := strings.Cut(what, " "); verb { // a delay of no time is what they are delivered with
		case "Reboot":
			err = a.Cycle(a.Outlets, n, a.OffTime)
		case "On", "Off":
			err = a.Set(a.Outlets, n, verb == "On")
		}
	}
	if err != nil {
		c.Say("\r\n        Command failed.\r\n        Invalid outlet.\r\n")
		return true
	}
	c.Say("\r\n        Command successfully issued.\r\n")
	_, err = c.Pause()
	return err == nil
}
