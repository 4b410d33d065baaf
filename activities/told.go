package activities

import (
	"context"
	"time"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/sources"
)

// Sources are those of facts about nodes, and the bounds within which they are read.
type Sources struct {
	List    []sources.Source
	Timeout time.Duration // of one reading
	Fresh   time.Duration // how old a fact may be
}

// readSources begins to read all sources, beside the inventory. What it gives waits for them and keeps what they said,
// when the nodes are known. A source that is away is noted: no sweep fails, and no node is bad, because of it.
func (a *Sweep) readSources(ctx context.Context) (keep func()) {
	read := make(chan []sources.Reading, 1)
	go func() { read <- sources.Read(ctx, a.Sources.List, a.Sources.Timeout, a.Sources.Fresh) }()
	return func() {
		readings := <-read
		for _, r := range readings {
			switch {
			case r.Err != nil:
				a.Log.Warn("a source of facts was not read", "source", r.Source, "why", clean.Line(r.Err.Error()))
			case r.Note != "":
				a.Log.Warn("a part of a source of facts was not taken", "source", r.Source, "why", r.Note)
			}
		}
		if err := a.Store.SaveReadings(ctx, readings, a.Sources.Fresh, a.now()); err != nil {
			a.Log.Warn("what sources say of nodes was not kept", "error", err)
		}
	}
}
