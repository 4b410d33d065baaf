package device

import (
	"slices"
)

// The faults a device can have.
const (
	WrongPassword = "wrong password" // the one in PLC no longer works
	Mute          = "mute"           // takes connections and says nothing
	Strange       = "strange prompt" // some other firmware
	StaysOff      = "stays off"      // power commands end with the outlet off
	Refuses       = "closed"         // hangs up at once
	Babbles       = "babbles"        // talks without end
	Busy          = "busy"           // somebody else is logged in
)

// ToldUnasked makes an ePowerSwitch hang when it is told who calls before it has asked.
const ToldUnasked = "hangs when told unasked"

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

// DatagramFaults are those of devices that have no prompt.
func DatagramFaults() []Fault {
	return slices.DeleteFunc(commonFaults(), func(f Fault) bool { return f.Name == Strange })
}

// SpokenFaults are those of devices that one talks with.
func SpokenFaults() []Fault {
	return append(commonFaults(), Fault{Slow, "talks a byte at a time"},
		Fault{DropsFirst, "hangs up once, then answers"})
}

// BayTechFaults are those of BayTech's units; menu says whether it has one before the prompt.
func BayTechFaults(menu bool) []Fault {
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

// WTIFaults are those of Western Telematic's.
func WTIFaults() []Fault { return []Fault{{NoQuestion, "acts without Sure?"}} }

// APCCLIFaults are those of APC's command line.
func APCCLIFaults() []Fault {
	return []Fault{{OldCLI, "APCControl: its commands have no ol before them"}}
}

// DRACFaults are those of a DRAC.
func DRACFaults() []Fault {
	return []Fault{
		{TwoLines, "DRAC: prompts twice for a line that ends in CR LF"},
		{NoRacadm, "DRAC: wants its commands without racadm"},
		{OtherPrompt, "DRAC: prompts /admin1->"},
		{Lags, "DRAC: says Powering OFF for a while; Redfish: tells the state of a second ago"},
	}
}

// IPALFaults are those of an iPAL.
func IPALFaults() []Fault {
	return []Fault{{CableError, "iPAL: reports a broken cable to every outlet"}}
}

// TLSFaults are those of whatever speaks TLS.
func TLSFaults() []Fault { return []Fault{{OldTLS, "https: speaks TLS 1.0 only"}} }

// TwoTonguesFaults are those of devices of two protocols.
func TwoTonguesFaults() []Fault {
	return []Fault{{OldFirmware, "iLO: no RIBCL by HTTP POST; AMT: no WS-Management; Tasmota: status 200 for a wrong " +
		"password"}}
}

// RedfishFaults are those of a service of Redfish.
func RedfishFaults() []Fault {
	return []Fault{
		{Lags, ""},
		{NoPowerCycle, "Redfish: has no PowerCycle among the reset types"},
		{NoSessions, "Redfish: Basic only"},
		{Several, "Redfish: one system for each outlet"},
		{UUIDs, "Redfish: one system for each outlet, their ids being UUIDs"},
		{ActionInfo, "Redfish: the reset types are in a resource of their own"},
	}
}

// EPowerSwitchFaults are those of an ePowerSwitch.
func EPowerSwitchFaults() []Fault {
	return []Fault{{ToldUnasked, "ePowerSwitchNew: hangs when a login is given before it asked"}}
}

// CableError makes an iPAL report a broken cable to every outlet.
const CableError = "cable error"

// Faults of a Redfish service.
const (
	Lags         = "state lags"         // PowerState tells of a second ago
	NoPowerCycle = "no PowerCycle"      // among the allowable reset types
	NoSessions   = "no sessions"        // Basic only
	Several      = "several systems"    // one for each outlet, in no order
	UUIDs        = "ids are UUIDs"      // of the systems, one for each outlet
	ActionInfo   = "types by reference" // the allowable reset types are in a resource of their own
)

// More faults, of devices that speak HTTP.
const (
	OldTLS      = "old TLS"      // version 1.0 and no other
	OldFirmware = "old firmware" // does not know the newer of its two protocols
)

// OnlySwitches leaves a server of NUT without instant commands: its outlets have switches to set.
const OnlySwitches = "has switches only"

// NUTFaults are those of a server of Network UPS Tools.
func NUTFaults() []Fault {
	return []Fault{{OnlySwitches, "NUT: has no instant commands, but switches to set"}}
}

// ManagedEPDU makes Eaton's rack one of before the third generation.
const ManagedEPDU = "is a managed ePDU"

// EatonFaults are those of Eaton's racks.
func EatonFaults() []Fault {
	return []Fault{{ManagedEPDU, "Eaton: is an ePDU of before the third generation, whose rows are counted from " +
		"nought"}}
}

// TasmotaFaults are those of Tasmota.
func TasmotaFaults() []Fault { return TwoTonguesFaults() }

// AllFaults are those that any device can have.
func AllFaults() []Fault {
	seen := map[string]bool{}
	var all []Fault
	for _, f := range slices.Concat(SpokenFaults(), BayTechFaults(true), WTIFaults(), APCCLIFaults(), DRACFaults(),
		IPALFaults(),
		TLSFaults(), TwoTonguesFaults(), RedfishFaults(), EPowerSwitchFaults(), NUTFaults(), EatonFaults()) {
		if !seen[f.Name] {
			seen[f.Name] = true
			all = append(all, f)
		}
	}
	return all
}
