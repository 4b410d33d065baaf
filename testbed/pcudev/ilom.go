package pcudev

import "strings"

// newILOM is the shell of Sun's ILOM; it switches the first outlet.
func newILOM(o Options) *unit {
	return &unit{Options: o, busy: "\r\nThe maximum number of sessions is reached.\r\n", shell: func(u *unit, c *console) {
		c.say("\r\nOracle(R) Integrated Lights Out Manager\r\nVersion 3.2 testbed\r\n\r\n")
		for {
			in, ok := c.ask("-> ", true)
			if !ok || in == "exit" {
				c.say("Bye\r\n")
				return
			}
			if in != "" {
				ilom(u, c, strings.Fields(in))
			}
		}
	}}
}

func ilom(u *unit, c *console, words []string) {
	on := onOff(u.Outlets, 1) == "On"
	verb, target := words[0], words[len(words)-1]
	switch {
	case verb == "show" && len(words) == 3 && words[1] == "/SYS" && target == "power_state":
		c.say("\r\n  /SYS\r\n    Properties:\r\n        power_state = %s\r\n\r\n", onOff(u.Outlets, 1))
		return
	case target != "/SYS" || verb != "start" && verb != "stop" && verb != "reset":
		c.say("%s: Invalid command syntax\r\n", verb)
		return
	}
	if yes, ok := c.ask("Are you sure you want to "+verb+" /SYS (y/n)? ", true); !ok || !strings.EqualFold(yes, "y") {
		c.say("Command aborted.\r\n")
		return
	}
	switch {
	case verb == "start" && on:
		c.say("start: Target already started\r\n")
	case verb == "stop" && !on:
		c.say("stop: Target already stopped\r\n")
	case verb == "reset" && !on:
		c.say("reset: Target is stopped; it was refused\r\n")
	case verb == "reset":
		_ = u.cycle(u.Outlets, 1, u.OffTime)
		c.say("Performing reset on /SYS\r\n")
	default:
		_ = u.set(u.Outlets, 1, verb == "start")
		c.say("%sing /SYS\r\n", map[string]string{"start": "Start", "stop": "Stopp"}[verb])
	}
}
