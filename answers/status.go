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
	last, err := db.LastSweep(ctx)
	switch {
	case err == nil:
		v.Sweep = &LastSweep{Ended: last.Ended.UTC()}
		if v.Sweep.Believed, v.Sweep.Doubt, err = db.LastBelieved(ctx); err != nil {
			return v, err
		}
		v.Sweep.Believed = v.Sweep.Believed.UTC()
	case !errors.Is(err, store.ErrNotFound):
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
