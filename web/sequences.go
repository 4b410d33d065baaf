package web

import (
	"context"
	"slices"
	"strings"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/store"
)

// sequencesView are the boot sequences that are known, and those that were found.
type sequencesView struct {
	Known   []sequenceView
	Unknown []sequenceView
	Orders  orderable // of none in particular
}

type sequenceView struct {
	store.BootSequence
	Count store.SequenceCount
}

func (s *Server) sequences(r *request) (view, error) {
	if err := r.must(access.SeeStatus, ""); err != nil {
		return view{}, err
	}
	known, err := readOnce(r.Context(), s.read, "sequences", []string{"ledger"}, s.Store.BootSequences)
	if err != nil {
		return view{}, err
	}
	found, err := readOnce(r.Context(), s.read, "sequences found", nil, func(ctx context.Context) ([]store.SequenceCount, error) {
		return s.Store.CountSequences(ctx)
	})
	if err != nil {
		return view{}, err
	}
	counts := map[string]store.SequenceCount{}
	for _, c := range found {
		counts[c.Sequence] = c
	}
	v := sequencesView{Orders: s.orderable(r, "sequences", "", "")}
	for _, k := range known {
		v.Known = append(v.Known, sequenceView{k, counts[k.Sequence]})
		delete(counts, k.Sequence)
	}
	for _, c := range counts {
		v.Unknown = append(v.Unknown, sequenceView{store.BootSequence{Sequence: c.Sequence}, c})
	}
	order := func(a, b sequenceView) int {
		if c := b.Count.Logs - a.Count.Logs; c != 0 {
			return c
		}
		return strings.Compare(a.Sequence, b.Sequence)
	}
	slices.SortStableFunc(v.Known, order)
	slices.SortStableFunc(v.Unknown, order)
	return view{Template: "sequences", Title: "Boot sequences", Data: &v}, nil
}
