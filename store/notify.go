package store

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"
)

// Line is a line of the ledger with its number, which grows from line to line.
type Line struct {
	ID int64 `json:"seq"`
	Action
}

const lineSQL = `select id, ` + actionColumns + ` from action `

// mostUnread is how many lines a subscriber may be behind before he is dropped: he then asks for what he missed.
const mostUnread = 1000

// News tells subscribers at once of every line of the ledger that is written, goes on or ends. There is one connection
// that listens, however many subscribe. A line is told at least once; one that goes on is told again.
type News struct {
	store *Store
	log   *slog.Logger

	mu   sync.Mutex
	subs map[chan Line]bool
}

// NewsOf makes the news of a store, which tell nothing before Run runs.
func NewsOf(s *Store, log *slog.Logger) *News {
	return &News{store: s, log: log, subs: map[chan Line]bool{}}
}

// Subscribe hands over the lines that come from now on, until cancel is called. The channel is closed then, and also
// when the subscriber is too slow, or when lines may have been missed since the database was away: he then subscribes
// again and reads with LinesSince what he missed.
func (n *News) Subscribe() (lines <-chan Line, cancel func()) {
	c := make(chan Line, mostUnread)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.subs[c] = true
	return c, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.drop(c)
	}
}

func (n *News) drop(c chan Line) {
	if n.subs[c] {
		delete(n.subs, c)
		close(c)
	}
}

func (n *News) dropAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.subs {
		n.drop(c)
	}
}

// Run listens until the context ends. While the database is away it tries again, and drops all subscribers, who would
// not know what they missed.
func (n *News) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := n.listen(ctx); err != nil && ctx.Err() == nil {
			n.log.Warn("no news of the ledger; trying again", "error", err)
		}
		n.dropAll()
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (n *News) listen(ctx context.Context) error {
	pooled, err := n.store.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	conn := pooled.Hijack() // it is ours alone until it breaks
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, `listen ledger`); err != nil {
		return err
	}
	n.dropAll() // what they missed before
	for {
		told, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		ids := []int64{number(told.Payload)}
		for len(ids) < mostUnread { // those that came together are read together
			soon, cancel := context.WithTimeout(ctx, gatherFor)
			told, err := conn.WaitForNotification(soon)
			cancel()
			if err != nil {
				if ctx.Err() == nil && soon.Err() != nil {
					break
				}
				return err
			}
			ids = append(ids, number(told.Payload))
		}
		if err := n.tell(ctx, ids); err != nil {
			return err
		}
	}
}

// gatherFor is how long it waits for more lines before it reads them.
const gatherFor = 20 * time.Millisecond

func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64) // the trigger sends numbers
	return n
}

func (n *News) tell(ctx context.Context, ids []int64) error {
	n.mu.Lock()
	idle := len(n.subs) == 0
	n.mu.Unlock()
	if idle {
		return nil
	}
	lines, err := many[Line](ctx, n.store, "ledger", lineSQL+`where id = any($1) order by id`, ids)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.subs {
		for _, l := range lines {
			select {
			case c <- l:
			default:
				n.drop(c)
			}
			if !n.subs[c] {
				break
			}
		}
	}
	return nil
}

// overlap is how far back LinesSince reads beyond the line that somebody has seen: transactions write down their lines
// in another order than they end, and none lasts longer.
const overlap = time.Minute

// LinesSince are the lines after one that somebody has seen, in order, and those that were written or ended about that
// time, so that none is missed: some are told again. There are at most limit; more says that there would be more.
func (s *Store) LinesSince(ctx context.Context, seen int64, limit int) (lines []Line, more bool, err error) {
	lines, err = many[Line](ctx, s, "ledger", lineSQL+`where id > $1 - 5000 and (id > $1 or greatest(at, finished)
		>= (select at from action where id <= $1 order by id desc limit 1) - $3::interval) order by id limit $2`,
		seen, limit+1, overlap)
	if more = len(lines) > limit; more {
		lines = lines[:limit]
	}
	return lines, more, err
}

// LastLine is the number of the newest line; 0 where there is none.
func (s *Store) LastLine(ctx context.Context) (id int64, err error) {
	err = s.pool.QueryRow(ctx, `select coalesce(max(id), 0) from action`).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("ledger: %w", err)
	}
	return id, nil
}
