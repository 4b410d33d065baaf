package machines

import (
	"slices"
	"strings"

	"github.com/planetlab/monitor/testbed/pcudev/internal/console"
	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
)

// NewILOM is the shell of Sun's ILOM; it switches the first outlet.
func NewILOM(o device.Options) *console.Unit {
	return &console.Unit{
		Options: o,
		Busy:    "\r\nThe maximum number of sessions is reached.\r\n",
		Shell: func(u *console.Unit, c *console.Console) {
			c.Say("\r\nOracle(R) Integrated Lights Out Manager\r\nVersion 3.2 testbed\r\n\r\n")
			for {
				in, ok := c.Ask("-> ", true)
				if !ok || in == "exit" {
					c.Say("Bye\r\n")
					return
				}
				if in != "" {
					ilom(u, c, strings.Fields(in))
				}
			}
		},
	}
}

func ilom(u *console.Unit, c *console.Console, words []string) {
	on := console.OnOff(u.Outlets, 1) == "On"
	said := func(word string) bool { return slices.Contains(words, word) }
	verb, target := words[0], words[len(words)-1]
	switch {
	case verb == "show" && said("/SYS") && (target == "power_state" || said("-d") && said("properties")):
		c.Say("\r\n  /SYS\r\n    Properties:\r\n        power_state = %s\r\n\r\n", console.OnOff(u.Outlets, 1))
		return
	case target != "/SYS" || verb != "start" && verb != "stop" && verb != "reset":
		c.Say("%s: Invalid command syntax\r\n", verb)
		return
	}
	if !said("-script") { // that asks nothing
		yes, ok := c.Ask("Are you sure you want to "+verb+" /SYS (y/n)? ", true)
		if !ok || !strings.EqualFold(yes, "y") {
			c.Say("Command aborted.\r\n")
			return
		}
	}
	switch {
	case verb == "start" && on:
		c.Say("start: Target already started\r\n")
	case verb == "stop" && !on:
		c.Say("stop: Target already stopped\r\n")
	case verb == "reset" && !on:
		c.Say("reset: Target is stopped; it was refused\r\n")
	case verb == "reset":
		_ = u.Cycle(u.Outlets, 1, u.OffTime)
		c.Say("Performing reset on /SYS\r\n")
	default:
		_ = u.Set(u.Outlets, 1, verb == "start")
		c.Say("%sing /SYS\r\n", map[string]string{"start": "Start", "stop": "Stopp"}[verb])
	}
}
