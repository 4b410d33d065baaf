package answers

import (
	"context"
	"maps"
	"slices"

	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// Controls is what Monitor may do now.
type Controls struct {
	Stopped string          `json:"stopped"` // why; empty: it is not
	Mode    policy.Mode     `json:"mode"`
	Why     string          `json:"why,omitempty"` // where a narrower mode than act comes from
	Orders  []store.Control `json:"orders"`        // those in force
}

// ReadControls reads what is ordered, and what the worker is configured to do, which it wrote down when it started.
func ReadControls(ctx context.Context, db *store.Store) (Controls, error) {
	controls, err := db.Controls(ctx)
	return controlsOf(controls), err
}

func controlsOf(controls store.Controls) Controls {
	v := Controls{Stopped: controls.Stopped(), Orders: []store.Control{}}
	v.Mode, v.Why = controls.Mode(controls.Configured(), "", "")
	for _, name := range slices.Sorted(maps.Keys(controls)) {
		if c := controls[name]; c.IsOrder() {
			c.At = c.At.UTC()
			v.Orders = append(v.Orders, c)
		}
	}
	return v
}
