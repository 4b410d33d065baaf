package answers

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/store"
)

// Status is the whole fleet on one screen.
type Status struct {
	Controls
	Sweep     *LastSweep          `json:"sweep,omitempty"` // none: no sweep has ended yet
	Nodes     []store.StatusCount `json:"nodes"`
	Issues    []store.IssueCount  `json:"issues"`
	Penalised []Penalty           `json:"penalised"`
	Sources   []store.SourceState `json:"sources,omitempty"` // of facts, as the last sweep found them
	Away      []store.Away        `json:"away,omitempty"`    // servers by which people are told
}

// LastSweep is how the last sweep ended, and since when none has been believed.
type LastSweep struct {
	Ended    time.Time `json:"ended"`
	Believed time.Time `json:"believed,omitzero"` // when the last one ended that was
	Doubt    string    `json:"doubt,omitempty"`   // why a later one was not
	// Doubts are what the last one does not believe, by type of issue or by rule (nodefact/NAME), and why: no such issue opens.
	Doubts map[string]string `json:"doubts,omitempty"`
}

// readLastSweep reads it; nil: no sweep has ended.
func readLastSweep(ctx context.Context, db *store.Store) (*LastSweep, error) {
	last, err := db.LastSweep(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v := LastSweep{Ended: last.Ended.UTC(), Doubts: last.Doubts}
	v.Believed, v.Doubt, err = db.LastBelieved(ctx)
	v.Believed = v.Believed.UTC()
	return &v, err
}

type Penalty struct {
	Site  string `json:"site"`
	Level int    `json:"level"`
}

// ReadStatus reads it from the store.
func ReadStatus(ctx context.Context, db *store.Store) (v Status, err error) {
	controls, err := db.Controls(ctx)
	if err != nil {
		return v, err
	}
	v.Controls, v.Away = controlsOf(controls), controls.Away()
	if v.Sweep, err = readLastSweep(ctx, db); err != nil {
		return v, err
	}
	if v.Nodes, err = db.CountNodes(ctx); err != nil {
		return v, err
	}
	if v.Issues, err = db.CountIssues(ctx); err != nil {
		return v, err
	}
	if v.Sources, err = db.Sources(ctx); err != nil {
		return v, err
	}
	for i := range v.Sources {
		v.Sources[i].Read, v.Sources[i].Since = v.Sources[i].Read.UTC(), v.Sources[i].Since.UTC()
	}
	v.Penalised = []Penalty{}
	sites, err := db.Sites(ctx)
	for _, s := range sites {
		if s.PenaltyLevel > 0 && !s.Gone {
			v.Penalised = append(v.Penalised, Penalty{s.LoginBase, s.PenaltyLevel})
		}
	}
	for i := range v.Nodes {
		v.Nodes[i].Status = cmp.Or(v.Nodes[i].Status, "unseen") // no sweep has judged it
	}
	slices.SortFunc(v.Nodes, func(x, y store.StatusCount) int { return strings.Compare(x.Status, y.Status) })
	slices.SortFunc(v.Issues, func(x, y store.IssueCount) int { return strings.Compare(x.Type+x.Status, y.Type+y.Status) })
	return v, err
}
