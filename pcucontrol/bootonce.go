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
)

// booter is a driver that can choose what a machine boots from the next time, and reads it back.
type booter interface {
	bootOnce(ctx context.Context, t Target, device BootDevice) error
}

// BootOnce makes a machine boot from a device the next time, and only then. It switches nothing.
func (c *Catalog) BootOnce(ctx context.Context, t Target, device BootDevice) (Result, error) {
	if device != BootNetwork && device != BootDisk {
		return Result{}, &Error{Unsupported, t.Host, "boot once", fmt.Sprintf("%q is not %s or %s", device, BootNetwork, BootDisk)}
	}
	return c.do(ctx, t, true, func(ctx context.Context, d driver, t Target) (Result, error) {
		r := Result{Before: Unknown, After: Unknown}
		b, ok := d.(booter)
		if !ok {
			return r, unsupported(t, "boot once")
		}
		err := b.bootOnce(ctx, t, device)
		if r.Verified = err == nil; r.Verified {
			r.Note = fmt.Sprintf("boots from %s the next time, read back", device)
		}
		return r, err
	})
}
