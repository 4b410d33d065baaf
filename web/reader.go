package web

import (
	"cmp"
	"context"
	"fmt"
	"sort"
	"sync"
	"time"

	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

// reader reads what many pages ask for at once, one time for all of them, and keeps it until something changes that it
// depends on. What is asked for again and again is read anew when it changes, before the pages that are open hear of the
// change: two hundred of them then fetch themselves again, and Postgres is asked once.
type reader struct {
	Options
	live *hub

	mu   sync.Mutex
	kept map[string]*keptRead
}

// keptRead is what was read, and how to read it again.
type keptRead struct {
	topics []string // of changes after which it is old
	read   func(context.Context) (any, error)
	asked  time.Time // when somebody last asked for it

	done    chan struct{} // closed when it was read
	began   time.Time
	changes uint64 // in its topics, when it began
	value   any
	err     error

	next *keptRead // the same, being read anew
}

const (
	keepFor   = 30 * time.Second       // what nobody tells, as when a node was last looked at, is seen after it
	unsureFor = 2 * time.Second        // and anything, while nobody listens for changes
	staleFor  = 3 * time.Second        // so long what is old is shown while it is read anew
	settleFor = 100 * time.Millisecond // changes come together
	wantedFor = time.Minute            // what nobody has asked for so long is not read anew
)

func newReader(o Options, live *hub) *reader {
	r := &reader{Options: o, live: live, kept: map[string]*keptRead{}}
	live.before = r.renew
	return r
}

// readOnce reads by key. A read does not end with the visitor who began it: others wait for it.
func readOnce[T any](ctx context.Context, r *reader, key string, topics []string, read func(context.Context) (T, error)) (T, error) {
	k := r.find(ctx, key, topics, func(ctx context.Context) (any, error) { return read(ctx) })
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

// find is a read that may be shown, or waited for.
func (r *reader) find(ctx context.Context, key string, topics []string, read func(context.Context) (any, error)) *keptRead {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.kept[key]
	if k == nil {
		k = r.begin(ctx, key, &keptRead{topics: topics, read: read})
		r.forget()
	}
	k.asked = time.Now()
	if r.fresh(k) || !k.ended() {
		return k
	}
	if k.next == nil {
		k.next = r.begin(ctx, key, &keptRead{topics: topics, read: read, asked: k.asked})
	}
	if k.err == nil && time.Since(k.began) < staleFor {
		return k
	}
	return k.next
}

func (k *keptRead) ended() bool {
	select {
	case <-k.done:
		return true
	default:
		return false
	}
}

// fresh reports whether nothing that a read depends on has changed since it began.
func (r *reader) fresh(k *keptRead) bool {
	age := time.Since(k.began)
	if !r.live.listens() {
		return age < unsureFor
	}
	return age < settleFor || age < keepFor && k.changes == r.live.changes(k.topics) && (!k.ended() || k.err == nil)
}

// begin starts a read; when it is done it takes the place of the one before.
func (r *reader) begin(ctx context.Context, key string, k *keptRead) *keptRead {
	k.done, k.began, k.changes = make(chan struct{}), time.Now(), r.live.changes(k.topics)
	if r.kept[key] == nil {
		r.kept[key] = k
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longestPage)
		defer cancel()
		k.value, k.err = k.read(ctx)
		r.mu.Lock()
		defer r.mu.Unlock()
		if now := r.kept[key]; now != nil && !now.began.After(k.began) {
			k.asked = later(k.asked, now.asked)
			r.kept[key] = k
		}
		close(k.done)
	}()
	return k
}

// renew reads anew whatever is old and was asked for lately, and waits for it.
func (r *reader) renew(ctx context.Context) {
	r.mu.Lock()
	var wait []*keptRead
	for key, k := range r.kept {
		if time.Since(k.asked) > wantedFor {
			continue
		}
		last := cmp.Or(k.next, k)
		switch {
		case last.changes != r.live.changes(k.topics): // also where one is under way: it may not see the change
			k.next = r.begin(ctx, key, &keptRead{topics: k.topics, read: k.read, asked: k.asked})
		case last == k:
			continue
		}
		wait = append(wait, k.next)
	}
	r.mu.Unlock()
	for _, k := range wait {
		select {
		case <-ctx.Done():
			return
		case <-k.done:
		}
	}
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
		if k.ended() && time.Since(k.asked) > wantedFor {
			delete(r.kept, key)
		}
	}
}

func (r *reader) status(ctx context.Context) (answers.Status, error) {
	return readOnce(ctx, r, "status", []string{"status", "issue", "control", "sweep", "ledger"}, func(ctx context.Context) (answers.Status, error) {
		return answers.ReadStatus(ctx, r.Store)
	})
}

func (r *reader) nodes(ctx context.Context, parts selection.NodeParts) ([]selection.Node, error) {
	return readOnce(ctx, r, fmt.Sprintf("nodes %+v", parts), []string{"status", "issue", "control"}, func(ctx context.Context) ([]selection.Node, error) {
		rows, bad, err := r.Store.NodeRows(ctx, r.Now(), parts)
		r.tellUnreadable(bad)
		return rows, err
	})
}

func (r *reader) sites(ctx context.Context) ([]selection.Site, error) {
	return readOnce(ctx, r, "sites", []string{"status", "issue", "control", "ledger"}, func(ctx context.Context) ([]selection.Site, error) {
		rows, bad, err := r.Store.SiteRows(ctx, r.Now())
		r.tellUnreadable(bad)
		return rows, err
	})
}

func (r *reader) pcus(ctx context.Context) ([]selection.PCU, error) {
	return readOnce(ctx, r, "pcus", []string{"status", "issue"}, func(ctx context.Context) ([]selection.PCU, error) {
		rows, bad, err := r.Store.PCURows(ctx)
		r.tellUnreadable(bad)
		return rows, err
	})
}

// mostRows bounds lists that only grow.
const mostRows = 20_000

func (r *reader) issues(ctx context.Context, closed bool) ([]selection.Issue, error) {
	return readOnce(ctx, r, fmt.Sprint("issues ", closed), []string{"issue"}, func(ctx context.Context) ([]selection.Issue, error) {
		rows, bad, err := r.Store.IssueRows(ctx, closed, mostRows)
		r.tellUnreadable(bad)
		return rows, err
	})
}

func (r *reader) ledger(ctx context.Context) ([]selection.Action, error) {
	return readOnce(ctx, r, "ledger", []string{"ledger"}, func(ctx context.Context) ([]selection.Action, error) {
		rows, bad, err := r.Store.LedgerRows(ctx, mostRows)
		r.tellUnreadable(bad)
		return rows, err
	})
}

// agenda reads all that comes, and gives what comes until a time: every page has its own, of one reading.
func (r *reader) agenda(ctx context.Context, until time.Time) (answers.Agenda, error) {
	a, err := readOnce(ctx, r, "agenda", []string{"issue", "control"}, func(ctx context.Context) (answers.Agenda, error) {
		return answers.ReadAgenda(ctx, r.Store, r.Temporal, "", r.Now(), r.Now().AddDate(100, 0, 0))
	})
	n := sort.Search(len(a.Steps), func(i int) bool { return a.Steps[i].At.After(until) })
	a.Until, a.Steps = until.UTC(), a.Steps[:n:n]
	return a, err
}

func (r *reader) tellUnreadable(bad store.Unreadable) {
	for _, row := range bad {
		r.Log.Warn("a row cannot be read, and is not shown", "row", row)
	}
}
