package answers

import (
	"context"
	"time"

	"github.com/planetlab/monitor/store"
)

// Exemption is one thing that is left alone, and by whose word.
type Exemption struct {
	Kind   string    `json:"kind"`
	Target string    `json:"target"`
	What   string    `json:"what"`  // exempt, or downtime
	Where  string    `json:"where"` // monitor, or inventory
	Now    string    `json:"now"`   // in force, to come, over
	Starts time.Time `json:"starts,omitzero"`
	Until  time.Time `json:"until,omitzero"` // zero: for ever
	By     string    `json:"by"`
	Reason string    `json:"reason"`
}

// Exemptions are all of them, in one place: Monitor's own, whatever command made them, and those of the inventory.
func Exemptions(ctx context.Context, db *store.Store, now time.Time) ([]Exemption, error) {
	entries, err := db.Blacklist(ctx)
	if err != nil {
		return nil, err
	}
	list := []Exemption{}
	for _, e := range entries {
		x := Exemption{Kind: e.Kind, Target: e.Target, What: "exempt", Where: "monitor", Now: "in force",
			Starts: e.Starts.UTC(), Until: e.Until.UTC(), By: e.Owner, Reason: e.Reason}
		if e.Downtime {
			x.What = "downtime"
		}
		switch {
		case e.Starts.After(now):
			x.Now = "to come"
		case !e.Until.IsZero() && !e.Until.After(now):
			x.Now = "over"
		}
		list = append(list, x)
	}
	fromPLC, err := db.ExemptInPLC(ctx, now)
	for _, e := range fromPLC {
		list = append(list, Exemption{Kind: e.Kind, Target: e.Target, What: "exempt", Where: "inventory", Now: "in force",
			Until: e.Until.UTC(), By: "the inventory", Reason: "it stands there so"})
	}
	return list, err
}
