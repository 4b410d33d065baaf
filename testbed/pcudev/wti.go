package pcudev

import "strings"

// newWTI is a power switch of Western Telematic's.
func newWTI(o Options, prompt string) *unit {
	return &unit{Options: o, busy: "\r\nAnother session is active.\r\n", own: wtiFaults(), login: func(u *unit, c *console) bool {
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
		first, last, known := u.span(plug)
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
			if !sure && !u.has(NoQuestion) {
				if yes, ok := c.ask("Sure? (Y/N): ", true); !ok {
					return
				} else if !strings.EqualFold(yes, "Y") {
					continue
				}
			}
			for n := first; n <= last; n++ {
				if verb == "/BOOT" {
					_ = u.cycle(u.Outlets, n, u.OffTime)
				} else {
					_ = u.set(u.Outlets, n, verb == "/ON")
				}
			}
		case verb == "/ON" || verb == "/OFF" || verb == "/BOOT":
			c.say("\r\nInvalid Plug\r\n")
		default:
			c.say("\r\nInvalid Command\r\n")
		}
	}
}
