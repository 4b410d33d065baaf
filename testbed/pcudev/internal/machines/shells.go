package machines

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/planetlab/monitor/testbed/pcudev/internal/console"
	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
)

// drac is a Dell remote access card's shell; it switches the first outlet.
type drac struct {
	mu      sync.Mutex
	goesOff time.Time // when a host that lags is off
}

// NewDRAC is the shell of a DRAC.
func NewDRAC(o device.Options) *console.Unit {
	d := &drac{}
	return &console.Unit{
		Options: o,
		Busy:    "\r\nThe maximum number of user sessions is reached.\r\n",
		Own:     device.DRACFaults(),
		Shell:   d.shell,
		Exec:    d.answer,
	}
}

func (d *drac) shell(u *console.Unit, c *console.Console) {
	c.Say("\r\nDell Remote Access Controller 5 (DRAC 5)\r\n\r\n")
	for {
		prompt := "$ "
		if u.Has(device.OtherPrompt) {
			prompt = "/admin1-> "
		}
		in, ok := c.Ask(prompt, true)
		c.AfterCR = c.AfterCR && !u.Has(device.TwoLines)
		if !ok || in == "exit" {
			c.Say("Bye\r\n")
			return
		}
		c.Say("%s", d.answer(u, in))
	}
}

// answer is the answer to one command.
func (d *drac) answer(u *console.Unit, in string) string {
	word := "racadm "
	if u.Has(device.NoRacadm) {
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
	if verb == "powerdown" && u.Has(device.Lags) {
		d.goesOff = time.Now().Add(u.OffTime)
	}
	return dracPower(u, verb) + "\r\n"
}

func dracPower(u *console.Unit, verb string) string {
	on := console.OnOff(u.Outlets, 1) == "On"
	switch {
	case verb == "powerstatus":
		return "Server power status: " + strings.ToUpper(console.OnOff(u.Outlets, 1))
	case verb == "powerup" && !on, verb == "powerdown" && on:
		_ = u.Set(u.Outlets, 1, verb == "powerup")
	case verb == "graceshutdown" && on:
		_ = u.Set(u.Outlets, 1, false)
	case (verb == "powercycle" || verb == "hardreset") && on:
		_ = u.Cycle(u.Outlets, 1, u.OffTime)
	case verb == "powerup":
		return "Server is already powered ON."
	case verb == "powerdown" || verb == "powercycle":
		return "Server is already powered OFF."
	default:
		return "ERROR: Invalid serveraction."
	}
	return "Server power operation successful"
}

// NewILOShell is the ssh face of HP's iLO; it switches the first outlet.
func NewILOShell(o device.Options) *console.Unit {
	return &console.Unit{
		Options: o,
		Busy:    "\r\nThe maximum number of sessions is reached.\r\n",
		Exec: func(u *console.Unit, in string) string {
			where := "/"
			return iloAnswer(u, in, &where)
		},
		Shell: func(u *console.Unit, c *console.Console) {
			where := "/"
			c.Say("User:%s logged-in to testbed\r\niLO 2 Advanced 2.05\r\n", u.User)
			for {
				in, ok := c.Ask("</"+strings.Trim(where, "/")+">hpiLO-> ", true)
				if !ok || in == "exit" {
					c.Say("\r\nstatus=0\r\nCLI session stopped\r\n")
					return
				}
				if in != "" {
					c.Say("%s", iloAnswer(u, in, &where))
				}
			}
		},
	}
}

func iloAnswer(u *console.Unit, in string, where *string) string {
	text, good := iloCommand(u, in, where)
	if !good {
		return fmt.Sprintf("\r\nstatus=2\r\nstatus_tag=COMMAND PROCESSING FAILED\r\nerror_tag=%s\r\n", text)
	}
	return fmt.Sprintf("\r\nstatus=0\r\nstatus_tag=COMMAND COMPLETED\r\n\r\n%s\r\n", text)
}

func iloCommand(u *console.Unit, in string, where *string) (string, bool) {
	state := console.OnOff(u.Outlets, 1)
	switch strings.TrimSuffix(strings.Replace(in, " system1", " /system1", 1), " hard") {
	case "SMCLP":
	case "cd /system1":
		*where = "/system1"
	case "show /system1":
		return "/system1\r\n  Properties\r\n    name=testbed\r\n    enabledstate=" + map[string]string{"On": "enabled",
			"Off": "disabled"}[state], true
	case "power":
		return "power: server power is currently: " + state, true
	case "start /system1", "power on":
		_ = u.Set(u.Outlets, 1, true)
	case "stop /system1", "power off":
		_ = u.Set(u.Outlets, 1, false)
	case "reset", "reset /system1", "power reset":
		if state == "Off" {
			return "Server power is off.", false
		}
		_ = u.Cycle(u.Outlets, 1, u.OffTime)
	default:
		return "COMMAND NOT RECOGNIZED", false
	}
	return "", true
}
