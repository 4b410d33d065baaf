package racks

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/planetlab/monitor/testbed/pcudev/internal/console"
	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
)

// nutUnit is the one unit of the server.
const nutUnit = "rack"

// nut is a server of Network UPS Tools with one unit, whose outlets it switches. Its words are those of RFC 9271.
type nut struct {
	device.Options
	device.Condition
}

// NewNUT makes a server.
func NewNUT(o device.Options) device.Device { return &nut{Options: o} }

// Faults are those of every device, and one of its own.
func (*nut) Faults() []device.Fault { return append(device.SpokenFaults(), device.NUTFaults()...) }

// Serve answers connections until the listener is closed.
func (d *nut) Serve(l net.Listener) error {
	return device.Accept(l, func(c net.Conn) {
		if d.Dead(c) {
			return
		}
		s := nutSession{d: d, out: d.Pace(c)}
		in := bufio.NewScanner(c)
		for in.Scan() {
			line := strings.Fields(strings.ReplaceAll(in.Text(), `"`, ""))
			if len(line) == 0 {
				continue
			}
			if !s.answer(line) {
				return
			}
		}
	})
}

// nutSession is one client's.
type nutSession struct {
	d              *nut
	out            io.ReadWriter
	user, password string
}

func (s *nutSession) say(format string, args ...any) { _, _ = fmt.Fprintf(s.out, format+"\n", args...) }

// answer is false when the client has left.
func (s *nutSession) answer(line []string) bool {
	about := strings.Join(line[:min(2, len(line))], " ")
	switch {
	case line[0] == "LOGOUT":
		s.say("OK Goodbye")
		return false
	case line[0] == "USERNAME" && len(line) == 2:
		s.user = line[1]
		s.say("OK")
	case line[0] == "PASSWORD" && len(line) == 2:
		s.password = line[1]
		s.say("OK") // whether it is right is told by what it may do
	case about == "LIST UPS":
		s.say("BEGIN LIST UPS\nUPS %s \"a rack of the testbed\"\nEND LIST UPS", nutUnit)
	case len(line) < 3 && line[0] != "INSTCMD":
		s.say("ERR INVALID-ARGUMENT")
	case line[0] == "LIST" && line[2] != nutUnit, line[0] == "GET" && line[2] != nutUnit,
		line[0] == "SET" && line[2] != nutUnit, line[0] == "INSTCMD" && line[1] != nutUnit:
		s.say("ERR UNKNOWN-UPS")
	case line[0] == "LIST":
		s.list(line[1])
	case about == "GET VAR" && len(line) == 4:
		s.get(line[3])
	case line[0] == "INSTCMD" && len(line) == 3 || about == "SET VAR" && len(line) == 5:
		s.order(line)
	default:
		s.say("ERR UNKNOWN-COMMAND")
	}
	return true
}

func (s *nutSession) list(what string) {
	s.say("BEGIN LIST %s %s", what, nutUnit)
	for n := 1; n <= s.d.Outlets.Count(); n++ {
		switch switches := s.d.Has(device.OnlySwitches); {
		case what == "VAR" && switches:
			s.say(`VAR %s outlet.%d.switch "%s"`, nutUnit, n, s.state(n))
		case what == "VAR":
			s.say(`VAR %s outlet.%d.desc "Outlet %d"`, nutUnit, n, n)
			s.say(`VAR %s outlet.%d.status "%s"`, nutUnit, n, s.state(n))
		case what == "RW" && switches:
			s.say(`RW %s outlet.%d.switch "%s"`, nutUnit, n, s.state(n))
		case what == "CMD" && !switches:
			for _, verb := range []string{"on", "off", "cycle"} {
				s.say("CMD %s outlet.%d.load.%s", nutUnit, n, verb)
			}
		}
	}
	s.say("END LIST %s %s", what, nutUnit)
}

func (s *nutSession) state(n int) string { return strings.ToLower(console.OnOff(s.d.Outlets, n)) }

// outlet is the number in a name such as outlet.3.status, and what follows it.
func (s *nutSession) outlet(name string) (n int, rest string, known bool) {
	words := strings.SplitN(name, ".", 3)
	if len(words) < 3 || words[0] != "outlet" {
		return 0, "", false
	}
	n, err := strconv.Atoi(words[1])
	return n, words[2], err == nil && n >= 1 && n <= s.d.Outlets.Count()
}

func (s *nutSession) get(name string) {
	if n, what, known := s.outlet(name); known && (what == "status" || what == "switch") {
		s.say(`VAR %s %s "%s"`, nutUnit, name, s.state(n))
		return
	}
	s.say("ERR VAR-NOT-SUPPORTED")
}

// order is an instant command, or a variable to set.
func (s *nutSession) order(line []string) {
	d := s.d
	name := line[len(line)-1]
	verb, sets := "", line[0] == "SET"
	if sets {
		name, verb = line[3], line[4]
	}
	n, what, known := s.outlet(name)
	if !sets {
		verb = strings.TrimPrefix(what, "load.")
	}
	switch {
	case s.user == "":
		s.say("ERR USERNAME-REQUIRED")
	case s.password == "":
		s.say("ERR PASSWORD-REQUIRED")
	case s.user != d.User || s.password != d.Password || d.Has(device.WrongPassword):
		s.say("ERR ACCESS-DENIED")
	case d.Has(device.Busy):
		s.say("ERR DRIVER-NOT-CONNECTED")
	case !known, sets != d.Has(device.OnlySwitches), verb != "on" && verb != "off" && verb != "cycle":
		s.say("ERR CMD-NOT-SUPPORTED")
	case verb == "cycle":
		s.say("OK")
		_ = d.Cycle(d.Outlets, n, d.OffTime)
	default:
		s.say("OK")
		_ = d.Set(d.Outlets, n, verb == "on")
	}
}
