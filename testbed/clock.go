package testbed

import (
	"context"
	"slices"
	"sync"
	"time"
)

// clock counts the policy days of a world, whose length may change on the way.
type clock struct {
	mu      sync.Mutex
	pieces  []piece       // the first began with the world
	changed chan struct{} // closed when the length changes
}

// piece is a time during which days had one length.
type piece struct {
	from time.Time
	past float64 // days that were over by then
	day  time.Duration
}

func newClock(day time.Duration) *clock {
	return &clock{pieces: []piece{{time.Now(), 0, day}}, changed: make(chan struct{})}
}

// at is which day it was at a time.
func (c *clock) at(t time.Time) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pieces[0]
	for _, later := range slices.Backward(c.pieces) {
		if !later.from.After(t) {
			p = later
			break
		}
	}
	return p.past + t.Sub(p.from).Seconds()/p.day.Seconds()
}

// set gives all days from now on another length.
func (c *clock) set(day time.Duration) {
	now := time.Now()
	past := c.at(now)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pieces = append(c.pieces, piece{now, past, day})
	close(c.changed)
	c.changed = make(chan struct{})
}

// until waits for a day, however the length of days changes; false: the context ended before.
func (c *clock) until(ctx context.Context, day float64) bool {
	for {
		c.mu.Lock()
		last, changed := c.pieces[len(c.pieces)-1], c.changed
		c.mu.Unlock()
		left := day - c.at(time.Now())
		if left <= 0 {
			return ctx.Err() == nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		case <-time.After(time.Duration(left * float64(last.day))):
		}
	}
}

// DayAt is which policy day of the world it was at a time.
func (w *World) DayAt(t time.Time) float64 { return w.clock.at(t) }

// Day is how long a policy day lasts now.
func (w *World) Day() time.Duration {
	w.clock.mu.Lock()
	defer w.clock.mu.Unlock()
	return w.clock.pieces[len(w.clock.pieces)-1].day
}

// SetDay changes how long a policy day lasts: what comes of a script, and each boot from now on, keeps to it.
func (w *World) SetDay(day time.Duration) {
	w.clock.set(day)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.boot = day / 3
}
