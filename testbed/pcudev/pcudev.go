// Package pcudev is the testbed's power control units: they speak like the devices they are named after, one session at
// a time, with their state, their timing and their faults. New makes one of any model.
package pcudev

import (
	"github.com/planetlab/monitor/testbed/pcudev/internal/agent"
	"github.com/planetlab/monitor/testbed/pcudev/internal/bmc"
	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
	"github.com/planetlab/monitor/testbed/pcudev/internal/racks"
)

// What every device is made of, and what it is to its users.
type (
	Device     = device.Device
	Options    = device.Options
	Outlets    = device.Outlets
	Fault      = device.Fault
	Rack       = device.Rack
	Identity   = device.Identity
	PowerEvent = device.PowerEvent
)

// Devices that are made by hand where New's are not enough.
type (
	APC      = racks.APC
	BMC      = bmc.BMC
	SNMPRack = agent.Rack
)

// The privileges of a BMC's account that tell reading from switching.
const (
	User     = bmc.User
	Operator = bmc.Operator
)

// NewRack makes a rack of outlets that are on, but for those named.
func NewRack(outlets int, off ...int) (*Rack, error) { return device.NewRack(outlets, off...) }

// Faults are those that any device can have.
func Faults() []Fault { return device.AllFaults() }

// The names of faults and habits, for Break; Faults tells what they are.
const (
	WrongPassword = device.WrongPassword
	Mute          = device.Mute
	Strange       = device.Strange
	StaysOff      = device.StaysOff
	Refuses       = device.Refuses
	Babbles       = device.Babbles
	Busy          = device.Busy
	Slow          = device.Slow
	DropsFirst    = device.DropsFirst
	NoQuestion    = device.NoQuestion
	AsksAgain     = device.AsksAgain
	AsksPassword  = device.AsksPassword
	AsksNothing   = device.AsksNothing
	OldCLI        = device.OldCLI
	OldRPC        = device.OldRPC
	HangsCtrlC    = device.HangsCtrlC
	Alternates    = device.Alternates
	NoRacadm      = device.NoRacadm
	TwoLines      = device.TwoLines
	OtherPrompt   = device.OtherPrompt
	Lags          = device.Lags
	NoPowerCycle  = device.NoPowerCycle
	NoSessions    = device.NoSessions
	Several       = device.Several
	UUIDs         = device.UUIDs
	ActionInfo    = device.ActionInfo
	OldTLS        = device.OldTLS
	OldFirmware   = device.OldFirmware
	CableError    = device.CableError
	ToldUnasked   = device.ToldUnasked
	OnlySwitches  = device.OnlySwitches
	ManagedEPDU   = device.ManagedEPDU
)
