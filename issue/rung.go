package issue

import "time"

// Outcome is what became of a rung.
type Outcome string

// The outcomes.
const (
	Acted     Outcome = "acted"   // done, or sent and not verified: the ladder yields
	Passed    Outcome = "passed"  // its condition does not hold, or it can never be done: the next rung is due at once
	Wait      Outcome = "wait"    // the same rung again at Until
	Recovered Outcome = "good"    // the target is back: nothing was done
	Gone      Outcome = "gone"    // the target is no longer in PLC
	Stopped   Outcome = "stopped" // an operator's order came before the point of no return: nothing was done
	Unknown   Outcome = "unknown" // the activity failed or was lost: the same rung, under the same key, finds out
)

// Power is what is known of a power cycle that a rung was to do.
type Power string

// What became of a power cycle.
const (
	NoPower Power = ""
	Cycled  Power = "cycled" // read back on, or the device took the command and cannot tell
	// the answer was lost: it may have happened, and counts as none when a rung asks whether one failed
	PowerLost Power = "ambiguous"
	Asked     Power = "asked"    // people were asked to do it
	LeftOff   Power = "left off" // the outlet could not be turned on again; it is owed
)

// Result is the outcome of a rung, with its reason for people.
type Result struct {
	Outcome Outcome   `json:"outcome"`
	Reason  string    `json:"reason"`
	Until   time.Time `json:"until,omitzero"`
	Check   string    `json:"check,omitempty"` // the check of the gate that said no
	Power   Power     `json:"power,omitempty"`
	// Told: the site's people were, or are about to be, written to.
	Told bool `json:"told,omitempty"`
	// Level is the penalty level that the issue asks of its site from now on.
	Level int `json:"level,omitempty"`
	// Deeds are what was done, for those who are told of it.
	Deeds []Deed `json:"deeds,omitempty"`
	// Site is where the target belongs now, when that is another site than before.
	Site string `json:"site,omitempty"`
}

// Deed is something that was done about a target, as data; package notify makes words of it.
type Deed struct {
	At   time.Time `json:"at"`
	What DeedKind  `json:"what"`
	// How says how it went or what it was about, by the kind of deed: an issue's id, a repair's name, a boot state.
	How   string    `json:"how,omitempty"`
	Until time.Time `json:"until,omitzero"`
	By    string    `json:"by,omitempty"` // who asked for it, when a person did
}

// DeedKind names what was done.
type DeedKind string

// The kinds of deeds.
const (
	DeedRebooted      DeedKind = "rebooted"        // through its PCU; How: a Power
	DeedReinstall     DeedKind = "reinstall"       // set to reinstall and power-cycled; How: a Power
	DeedDisabled      DeedKind = "disabled"        // in PLC; How: the boot state before
	DeedPCUDownOpened DeedKind = "pcu issue"       // How: the PCU's name
	DeedRepaired      DeedKind = "boot repair"     // How: the action of bootman
	DeedTriedRepair   DeedKind = "tried repair"    // as above, and its answer was lost
	DeedBootFound     DeedKind = "boot finding"    // How: the issue that tells people of it
	DeedWaited        DeedKind = "waited"          // a pause until Until, which By asked for; How: its reason
	DeedAskedAdmins   DeedKind = "asked admins"    // to switch the power by hand; How: the PCU's name
	DeedUnreachable   DeedKind = "pcu unreachable" // no power command could be given; How: why
)

// Request asks an activity for one rung of an issue. Key names the effect in the ledger and stays the same over
// retries.
type Request struct {
	State State  `json:"state"`
	Rung  Rung   `json:"rung"`
	Key   string `json:"key"`
}

// After is where the issue stands once a rung has answered so: what the store is to show of it.
func (r Request) After(now time.Time, res Result) State {
	s := r.State.clone()
	s.Ran(now, res)
	return s
}
