package web

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

// reader reads what many pages ask for at once, one time for all of them: two hundred pages that are open fetch
// themselves again when something changes, and Postgres is asked once.
type reader struct {
	Options
	live *hub

	mu   sync.Mutex
	kept map[string]*keptRead
}

// keptRead is a read that is under way, or was done a moment ago.
type keptRead struct {
	done    chan struct{}
	began   time.Time
	changes uint64 // of the store, when it began
	value   any
	err     error
}

// keepFor is how old a read may be that no change has made stale. A change that nobody told, as when the connection
// that listens was lost, is seen after it.
const keepFor = 2 * time.Second

// settleFor is how long a read serves although something changed: a sweep changes a thousand things in a second.
const settleFor = 250 * time.Millisecond

func newReader(o Options, live *hub) *reader {
	return &reader{Options: o, live: live, kept: map[string]*keptRead{}}
}

// readOnce reads by key. The read does not end with the visitor who began it: others wait for it.
func readOnce[T any](ctx context.Context, r *reader, key string, read func(context.Context) (T, error)) (T, error) {
	r.mu.Lock()
	k := r.kept[key]
	if age := time.Duration(0); k != nil {
		age = time.Since(k.began)
		if age > keepFor || age > settleFor && k.changes != r.live.changes() {
			k = nil
		}
	}
	if k == nil {
		k = &keptRead{done: make(chan struct{}), began: time.Now(), changes: r.live.changes()}
		r.kept[key] = k
		r.forget()
		go func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longestPage)
			defer cancel()
			defer close(k.done)
			k.value, k.err = read(ctx)
		}()
	}
	r.mu.Unlock()
	var none T
	select {
	case <-ctx.Done():
		return none, ctx.Err()
	case <-k.done:
	}
	if k.err != nil {
		return none, k.err
	}
	v, is := k.value.(T)
	if !is {
		return none, fmt.Errorf("web: two reads have the name %s", key)
	}
	return v, nil
}

// anew lets go of all reads: the next page shows what is now.
func (r *reader) anew() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.kept)
}

// forget lets go of reads that serve nobody any more.
func (r *reader) forget() {
	for key, k := range r.kept {
		if time.Since(k.began) > 10*keepFor {
			delete(r.kept, key)
		}
	}
}

func (r *reader) status(ctx context.Context) (answers.Status, error) {
	return readOnce(ctx, r, "status", func(ctx context.Context) (answers.Status, error) {
		return answers.ReadStatus(ctx, r.Store)
	})
}

func (r *reader) nodes(ctx context.Context, details bool) ([]selection.Node, error) {
	key := "nodes"
	if details {
		key = "nodes with details"
	}
	return readOnce(ctx, r, key, func(ctx context.Context) ([]selection.Node, error) {
		rows, bad, err := r.Store.NodeRows(ctx, r.Now(), details)
		r.tellUnreadable(bad)
		return rows, err
	})
}

func (r *reader) sites(ctx context.Context) ([]selection.Site, error) {
	return readOnce(ctx, r, "sites", func(ctx context.Context) ([]selection.Site, error) {
		rows, bad, err := r.Store.SiteRows(ctx, r.Now())
		r.tellUnreadable(bad)
		return rows, err
	})
}

func (r *reader) pcus(ctx context.Context) ([]selection.PCU, error) {
	return readOnce(ctx, r, "pcus", func(ctx context.Context) ([]selection.PCU, error) {
		rows, bad, err := r.Store.PCURows(ctx)
		r.tellUnreadable(bad)
		return rows, err
	})
}

// mostRows bounds lists that only grow.
const mostRows = 20_000

func (r *reader) issues(ctx context.Context, closed bool) ([]selection.Issue, error) {
	return readOnce(ctx, r, fmt.Sprint("issues ", closed), func(ctx context.Context) ([]selection.Issue, error) {
		rows, bad, err := r.Store.IssueRows(ctx, closed, mostRows)
		r.tellUnreadable(bad)
		return rows, err
	})
}

func (r *reader) ledger(ctx context.Context) ([]selection.Action, error) {
	return readOnce(ctx, r, "ledger", func(ctx context.Context) ([]selection.Action, error) {
		rows, bad, err := r.Store.LedgerRows(ctx, mostRows)
		r.tellUnreadable(bad)
		return rows, err
	})
}

func (r *reader) agenda(ctx context.Context, until time.Time) (answers.Agenda, error) {
	key := "agenda " + until.Truncate(time.Minute).Format(time.RFC3339)
	return readOnce(ctx, r, key, func(ctx context.Context) (answers.Agenda, error) {
		return answers.ReadAgenda(ctx, r.Store, r.Temporal, "", r.Now(), until)
	})
}

func (r *reader) tellUnreadable(bad store.Unreadable) {
	for _, row := range bad {
		r.Log.Warn("a row cannot be read, and is not shown", "row", row)
	}
}
