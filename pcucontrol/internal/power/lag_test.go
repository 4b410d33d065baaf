package power

import (
	"context"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
)

func TestAStateThatLagsIsNotBelieved(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		told     []pcucontrol.State // by each reading after the command; the last one from then on
		kind     pcucontrol.Kind
		verified bool
		atLeast  time.Duration
	}{
		{"on that turns to off and on", []pcucontrol.State{pcucontrol.On, pcucontrol.On, pcucontrol.Off, pcucontrol.On},
			"", true, 0},
		{"off at once, then on", []pcucontrol.State{pcucontrol.Off, pcucontrol.On}, "", true, 0},
		{"on that turns to off and stays so", []pcucontrol.State{pcucontrol.On, pcucontrol.Off}, pcucontrol.Ambiguous,
			false, 0},
		{"on for longer than half of the time that is left", []pcucontrol.State{pcucontrol.On}, "", true,
			1400 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			n := -1
			can := Operations{
				Cycle: func(context.Context) error { return nil },
				Read: func(context.Context) (pcucontrol.State, error) {
					if n++; n == 0 {
						return pcucontrol.On, nil
					}
					return c.told[min(n, len(c.told))-1], nil
				},
			}
			start := time.Now()
			r, err := can.Perform(ctx, pcucontrol.Target{Host: "h"}, pcucontrol.OpCycle)
			if pcucontrol.KindOf(err) != c.kind || r.Verified != c.verified || time.Since(start) < c.atLeast {
				t.Errorf("got %+v, %v after %v", r, err, time.Since(start))
			}
		})
	}
}
