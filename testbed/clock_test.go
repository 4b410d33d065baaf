package testbed

import (
	"context"
	"math"
	"testing"
	"time"
)

func TestDaysMayChangeTheirLengthWhileSomebodyWaits(t *testing.T) {
	c := newClock(time.Hour)
	came := make(chan bool, 1)
	go func() { came <- c.until(t.Context(), 2) }()
	select {
	case <-came:
		t.Fatal("two days are over at once")
	case <-time.After(50 * time.Millisecond):
	}
	before := c.at(time.Now())
	c.set(10 * time.Millisecond)
	if now := c.at(time.Now()); now < before || before > 0.1 {
		t.Errorf("it was day %f, and is %f", before, now)
	}
	select {
	case is := <-came:
		if !is || c.at(time.Now()) < 2 {
			t.Errorf("%t on day %f", is, c.at(time.Now()))
		}
	case <-time.After(20 * time.Second):
		t.Fatal("short days do not pass")
	}
	first := c.pieces[0]
	if got := c.at(first.from.Add(30 * time.Second)); c.pieces[1].from.Before(first.from.Add(30*time.Second)) == (math.Abs(got-30.0/3600) < 1e-9) {
		t.Errorf("what was is counted anew: %f", got)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if c.until(ended, 1e9) {
		t.Error("a wait outlives its context")
	}
}
