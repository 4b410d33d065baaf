package pcucontrol

import (
	"context"
	"fmt"
)

// BootDevice is what a machine boots from.
type BootDevice string

// The devices to boot from.
const (
	BootNetwork BootDevice = "network"
	BootDisk    BootDevice = "disk"
	// BootDefault takes back what was chosen for the next time: the machine boots as it is set up to.
	BootDefault BootDevice = "default"
)

// BootOnce makes a machine boot from a device the next time, and only then. It switches nothing.
func (c *Catalog) BootOnce(ctx context.Context, t Target, device BootDevice) (Result, error) {
	if device != BootNetwork && device != BootDisk && device != BootDefault {
		return Result{}, &Error{Unsupported, t.Host, "boot once",
			fmt.Sprintf("%q is not %s, %s or %s", device, BootNetwork, BootDisk, BootDefault)}
	}
	return c.run(ctx, t, true, func(ctx context.Context, d Driver, t Target) (Result, error) {
		r := Result{Before: Unknown, After: Unknown}
		b, ok := d.(Booter)
		if !ok {
			return r, noWord(t, "boot once")
		}
		err := b.BootOnce(ctx, t, device)
		if r.Verified = err == nil; r.Verified && device == BootDefault {
			r.Note = "boots as it is set up to, read back"
		} else if r.Verified {
			r.Note = fmt.Sprintf("boots from %s the next time, read back", device)
		}
		return r, err
	})
}
