package pcucontrol

import (
	"context"
)

// Driver is what a model can do by one transport; the target has its transport and port filled in. Operations a device
// has no word for answer Unsupported.
type Driver interface {
	Test(ctx context.Context, t Target) (Result, error)
	Status(ctx context.Context, t Target) (Result, error)
	Switch(ctx context.Context, t Target, op Operation) (Result, error)
}

// Operation is what a driver is asked to do to an outlet.
type Operation string

// The operations; Reset and Shutdown are for machines.
const (
	OpOn    Operation = "on"
	OpOff   Operation = "off"
	OpCycle Operation = "cycle"

	OpReset    Operation = "reset"
	OpShutdown Operation = "shutdown"
)

// Lister is a driver that reads all outlets at once.
type Lister interface {
	List(ctx context.Context, t Target) ([]OutletState, error)
}

// Namer is a driver that knows outlets by their names itself.
type Namer interface{ KnowsNames() bool }

// Booter is a driver that can choose what a machine boots from the next time, and reads it back.
type Booter interface {
	BootOnce(ctx context.Context, t Target, device BootDevice) error
}

func noWord(t Target, what string) error {
	return &Error{Unsupported, t.Host, what, "the device has no word for it"}
}
