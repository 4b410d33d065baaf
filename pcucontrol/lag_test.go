package pcucontrol

import (
	"context"
	"testing"
	"time"
)

func TestAStateThatLagsIsNotBelieved(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		told     []State // by each reading after the command; the last one from then on
		kind     Kind
		verified bool
		atLeast  time.Duration
	}{
		{"on that turns to off and on", []State{On, On, Off, On}, "", true, 0},
		{"off at once, then on", []State{Off, On}, "", true, 0},
		{"on that turns to off and stays so", []State{On, Off}, Ambiguous, false, 0},
		{"on for longer than half of the time that is left", []State{On}, "", true, 1400 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			n := -1
			can := switches{cycle: func(context.Context) error { return nil }, read: func(context.Context) (State, error) {
				if n++; n == 0 {
					return On, nil
				}
				return c.told[min(n, len(c.told))-1], nil
			}}
			start := time.Now()
			r, err := can.set(ctx, Target{Host: "h"}, opCycle)
			if KindOf(err) != c.kind || r.Verified != c.verified || time.Since(start) < c.atLeast {
				t.Errorf("got %+v, %v after %v", r, err, time.Since(start))
			}
		})
	}
}
