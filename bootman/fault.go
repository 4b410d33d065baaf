package bootman

import "slices"

// Fault is what a boot failed at where that is no trouble of the machine: its boot medium, or what PLC answered.
type Fault string

// The faults.
const (
	NoConfig    Fault = "no configuration" // the boot medium has no configuration file that can be read
	NotKnown    Fault = "not known"        // PLC answers that it has no such node
	KeyRefused  Fault = "key refused"      // PLC refuses the key by which the node names itself
	PLCFails    Fault = "PLC fails"        // PLC answers with an error of its own
	OtherFault  Fault = "other"            // of the machine or its network
	NoFaultSeen Fault = ""                 // no step of the sequence says what went wrong
)

// faultless are the steps of a boot that goes well, and those that only say that something failed.
var faultless = []string{"bminit", "cfg", "auth", "getplc", "update", "update2", "update3", "update4", "hardware",
	"installinit", "installinit2", "installdisk", "installbootfs", "installcfg", "installstop", "validate",
	"rebuildinitrd", "netcfg", "disk", "debug", "done", "exception", "implementerror", "bootcheckfail",
	"bootupdatefail", "authfail2", "protoerror2"}

// FaultOf reads from a sequence what its boot failed at first: what comes later may only follow from that.
func FaultOf(sequence string) Fault {
	if sequence == "" {
		return NoFaultSeen
	}
	steps := stepsOf(sequence)
	for _, step := range steps {
		switch {
		case step == "nocfg", step == "noconfig", step == "noparseconfig":
			return NoConfig
		case step == "nonode":
			return NotKnown
		case step == "authfail":
			return KeyRefused
		case step == "protoerror":
			return PLCFails
		case !slices.Contains(faultless, step):
			return OtherFault
		}
	}
	if slices.Contains(steps, "protoerror2") { // the server's own page, below whatever failed for it
		return PLCFails
	}
	return NoFaultSeen
}
