package pcucontrol

import (
	"context"
	"time"
)

// defaultDeadline bounds a call whose context has no deadline.
const defaultDeadline = 90 * time.Second

// Test logs in and goes as far as it can without switching anything.
func (c *Catalog) Test(ctx context.Context, t Target) (Result, error) {
	return c.run(ctx, t, false, func(ctx context.Context, d Driver, t Target) (Result, error) { return d.Test(ctx, t) })
}

// Status reads the outlet, where the device can tell.
func (c *Catalog) Status(ctx context.Context, t Target) (Result, error) {
	return c.run(ctx, t, true,
		func(ctx context.Context, d Driver, t Target) (Result, error) { return d.Status(ctx, t) })
}

// TurnOn turns the outlet on.
func (c *Catalog) TurnOn(ctx context.Context, t Target) (Result, error) {
	return c.operate(ctx, t, OpOn)
}

// TurnOff turns the outlet off.
func (c *Catalog) TurnOff(ctx context.Context, t Target) (Result, error) {
	return c.operate(ctx, t, OpOff)
}

// Cycle turns the outlet off and on again; one found off is turned on. Where an answer is lost on the way, the rest of
// the time, and a short while after a cancel, is spent on turning it on.
func (c *Catalog) Cycle(ctx context.Context, t Target) (Result, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	r, err := c.operate(ctx, t, OpCycle)
	if KindOf(err) != Ambiguous || r.After == On {
		return r, err
	}
	return c.bringBack(ctx, t, r, err)
}

// Reset resets a machine whose power stays on.
func (c *Catalog) Reset(ctx context.Context, t Target) (Result, error) {
	return c.operate(ctx, t, OpReset)
}

// Shutdown asks a machine's operating system to end and to turn it off, and waits until it is off. One that does not
// end in time is ambiguous: it was asked.
func (c *Catalog) Shutdown(ctx context.Context, t Target) (Result, error) {
	return c.operate(ctx, t, OpShutdown)
}

func (c *Catalog) operate(ctx context.Context, t Target, op Operation) (Result, error) {
	return c.run(ctx, t, true,
		func(ctx context.Context, d Driver, t Target) (Result, error) { return d.Switch(ctx, t, op) })
}
