package pcudev

import (
	"io"
	"slices"
	"time"
)

// Fault is something that can be wrong with a device, or a habit of its firmware; Break takes its name.
type Fault struct{ Name, About string }

// The faults of devices with a conversation, and of some of them.
const (
	Slow         = "slow"                       // a byte at a time
	DropsFirst   = "drops the first connection" // the next one is answered
	NoQuestion   = "asks no question"           // acts without (Y/N)?
	AsksAgain    = "asks the user name again"   // after logging in
	AsksPassword = "asks a password only"
	AsksNothing  = "asks for no login"
	OldCLI       = "is of the first AOS 5"    // its commands have no ol before them
	OldRPC       = "is an old RPC-3"          // asks a password, then for a selection; lists outlets in columns
	HangsCtrlC   = "hangs until Ctrl-C"       // after the password
	Alternates   = "alternates prompts"       // RPC-28> and RPC-28A>
	NoRacadm     = "wants no racadm"          // commands come without that word
	TwoLines     = "reads CR LF as two lines" // as a terminal with ICRNL
	OtherPrompt  = "has another prompt"       // /admin1-> instead of $
)

func commonFaults() []Fault {
	return []Fault{
		{WrongPassword, "the right password is refused"},
		{Busy, "somebody else is logged in (port in use)"},
		{Mute, "takes connections and says nothing"},
		{Refuses, "hangs up at once"},
		{Strange, "shows the prompt of something else"},
		{Babbles, "talks without end"},
		{StaysOff, "what was turned off does not come on again"},
	}
}

// datagramFaults are those of devices that have no prompt.
func datagramFaults() []Fault {
	return slices.DeleteFunc(commonFaults(), func(f Fault) bool { return f.Name == Strange })
}

func spokenFaults() []Fault {
	return append(commonFaults(), Fault{Slow, "talks a byte at a time"}, Fault{DropsFirst, "hangs up once, then answers"})
}

// Faults are those that any device can have.
func Faults() []Fault {
	seen := map[string]bool{}
	var all []Fault
	for _, f := range slices.Concat(spokenFaults(), baytechFaults(true), wtiFaults(), apcCLIFaults(), dracFaults(), ipalFaults(), tlsFaults(),
		twoTongues(), redfishFaults(), epowerswitchFaults()) {
		if !seen[f.Name] {
			seen[f.Name] = true
			all = append(all, f)
		}
	}
	return all
}

func baytechFaults(menu bool) []Fault {
	list := []Fault{
		{NoQuestion, "BayTech, WTI: acts without (Y/N)?"},
		{AsksPassword, "BayTech, by telnet: asks for no name"},
		{AsksNothing, "BayTech, by telnet: lets everybody in"},
		{OldRPC, "BayTech, by telnet: asks a password and a selection, prompts RPC-3>, lists in columns"},
		{HangsCtrlC, "BayTech: silent after the password until Ctrl-C"},
		{Alternates, "BayTech: prompts RPC-28> and RPC-28A> by turns"},
	}
	if menu {
		list = append(list, Fault{AsksAgain, "BayTech with a menu: asks for the name once more after the choice"})
	}
	return list
}

func wtiFaults() []Fault { return []Fault{{NoQuestion, "acts without Sure?"}} }

func apcCLIFaults() []Fault {
	return []Fault{{OldCLI, "APCControl: its commands have no ol before them"}}
}

func dracFaults() []Fault {
	return []Fault{{TwoLines, "DRAC: prompts twice for a line that ends in CR LF"}, {NoRacadm, "DRAC: wants its commands without racadm"}, {OtherPrompt, "DRAC: prompts /admin1->"},
		{Lags, "DRAC: says Powering OFF for a while; Redfish: tells the state of a second ago"}}
}

func ipalFaults() []Fault {
	return []Fault{{CableError, "iPAL: reports a broken cable to every outlet"}}
}

func tlsFaults() []Fault { return []Fault{{OldTLS, "https: speaks TLS 1.0 only"}} }

func twoTongues() []Fault {
	return []Fault{{OldFirmware, "iLO: no RIBCL by HTTP POST; AMT: no WS-Management"}}
}

func redfishFaults() []Fault {
	return []Fault{{Lags, ""}, {NoPowerCycle, "Redfish: has no PowerCycle among the reset types"}, {NoSessions, "Redfish: Basic only"},
		{Several, "Redfish: one system for each outlet"}, {UUIDs, "Redfish: one system for each outlet, their ids being UUIDs"}, {ActionInfo, "Redfish: the reset types are in a resource of their own"}}
}

func epowerswitchFaults() []Fault {
	return []Fault{{ToldUnasked, "ePowerSwitchNew: hangs when a login is given before it asked"}}
}

// Faults are those it can have.
func (s *site) Faults() []Fault {
	list := slices.Concat(spokenFaults(), s.own)
	if s.Transport == "https" {
		list = append(list, tlsFaults()...)
	}
	return list
}

// dropFirst is whether to hang up on this connection because it is the first.
func (f *faults) dropFirst() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	drop := (f.drops || f.isBroken(DropsFirst)) && !f.seen
	f.seen = true
	return drop
}

// pace makes a slow device's output come a byte at a time.
func (f *faults) pace(rw io.ReadWriter) io.ReadWriter {
	if f.has(Slow) {
		return drip{rw}
	}
	return rw
}

type drip struct{ io.ReadWriter }

func (d drip) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := d.ReadWriter.Write(p[i : i+1]); err != nil {
			return i, err
		}
		time.Sleep(time.Millisecond)
	}
	return len(p), nil
}

// set switches an outlet; one that stays off hears no on.
func (f *faults) set(o Outlets, n int, on bool) error {
	if on && f.has(StaysOff) {
		_, err := o.State(n)
		return err
	}
	f.order(n)
	return o.Set(n, on)
}
