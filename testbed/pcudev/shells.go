package pcudev

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// drac is a Dell remote access card's shell; it switches the first outlet.
type drac struct {
	mu      sync.Mutex
	goesOff time.Time // when a host that lags is off
}

func newDRAC(o Options) *unit {
	d := &drac{}
	return &unit{Options: o, busy: "\r\nThe maximum number of user sessions is reached.\r\n", own: dracFaults(), shell: d.shell, exec: d.answer}
}

func (d *drac) shell(u *unit, c *console) {
	c.say("\r\nDell Remote Access Controller 5 (DRAC 5)\r\n\r\n")
	for {
		prompt := "$ "
		if u.has(OtherPrompt) {
			prompt = "/admin1-> "
		}
		in, ok := c.ask(prompt, true)
		c.afterCR = c.afterCR && !u.has(TwoLines)
		if !ok || in == "exit" {
			c.say("Bye\r\n")
			return
		}
		c.say("%s", d.answer(u, in))
	}
}

// answer is the answer to one command.
func (d *drac) answer(u *unit, in string) string {
	word := "racadm "
	if u.has(NoRacadm) {
		word = ""
	}
	verb, isPower := strings.CutPrefix(in, word+"serveraction ")
	switch {
	case in == "":
		return ""
	case in == word+"getsysinfo":
		return "RAC Information:\r\nFirmware Version = 1.33\r\n\r\n"
	case !isPower:
		return "ERROR: Invalid subcommand specified.\r\n"
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if verb == "powerstatus" && time.Now().Before(d.goesOff) {
		return "Server power status: Powering OFF\r\n"
	}
	if verb == "powerdown" && u.has(Lags) {
		d.goesOff = time.Now().Add(u.OffTime)
	}
	return dracPower(u, verb) + "\r\n"
}

func dracPower(u *unit, verb string) string {
	on := onOff(u.Outlets, 1) == "On"
	switch {
	case verb == "powerstatus":
		return "Server power status: " + strings.ToUpper(onOff(u.Outlets, 1))
	case verb == "powerup" && !on, verb == "powerdown" && on:
		_ = u.set(u.Outlets, 1, verb == "powerup")
	case verb == "graceshutdown" && on:
		_ = u.set(u.Outlets, 1, false)
	case (verb == "powercycle" || verb == "hardreset") && on:
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
	return &unit{Options: o, busy: "\r\nThe maximum number of sessions is reached.\r\n", exec: func(u *unit, in string) string {
		where := "/"
		return iloAnswer(u, in, &where)
	}, shell: func(u *unit, c *console) {
		where := "/"
		c.say("User:%s logged-in to testbed\r\niLO 2 Advanced 2.05\r\n", u.User)
		for {
			in, ok := c.ask("</"+strings.Trim(where, "/")+">hpiLO-> ", true)
			if !ok || in == "exit" {
				c.say("\r\nstatus=0\r\nCLI session stopped\r\n")
				return
			}
			if in != "" {
				c.say("%s", iloAnswer(u, in, &where))
			}
		}
	}}
}

func iloAnswer(u *unit, in string, where *string) string {
	text, good := iloCommand(u, in, where)
	if !good {
		return fmt.Sprintf("\r\nstatus=2\r\nstatus_tag=COMMAND PROCESSING FAILED\r\nerror_tag=%s\r\n", text)
	}
	return fmt.Sprintf("\r\nstatus=0\r\nstatus_tag=COMMAND COMPLETED\r\n\r\n%s\r\n", text)
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
		_ = u.set(u.Outlets, 1, true)
	case "stop /system1", "power off":
		_ = u.set(u.Outlets, 1, false)
	case "reset", "reset /system1", "power reset":
		if state == "Off" {
			return "Server power is off.", false
		}
		_ = u.cycle(u.Outlets, 1, u.OffTime)
	default:
		return "COMMAND NOT RECOGNIZED", false
	}
	return "", true
}
