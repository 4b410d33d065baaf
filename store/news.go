package store

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Line is a line of the ledger with its number, which grows from line to line.
type Line struct {
	ID int64 `json:"seq"`
	Action
}

const lineSQL = `select id, ` + actionColumns + ` from action `

// mostUnread is how many lines a subscriber may be behind before he is dropped: he then asks for what he missed.
const mostUnread = 1000

// Happening says what changed in the store: the topic, and the names where they are few.
type Happening struct {
	Topic string   `json:"topic"`           // ledger, issue, status, sweep or control; "all": anything may have changed
	Names []string `json:"names,omitempty"` // ids of issues, or targets; none: many, or the topic has none
}

// Topics beside those that the triggers name.
const (
	Everything = "all"  // notices may have been lost, and anything may have changed
	Deaf       = "deaf" // nobody listens now, and nothing is told until Everything is
)

// News tells at once what changes: to subscribers every line of the ledger that is written, goes on or ends, and to
// watchers what of the fleet is otherwise than before. There is one connection that listens, however many there are of
// either. A line is told at least once; one that goes on is told again.
type News struct {
	store *Store
	log   *slog.Logger

	mu       sync.Mutex
	subs     map[chan Line]bool
	watchers []func(Happening)
	hears    bool
}

// NewsOf makes the news of a store, which tell nothing before Run runs.
func NewsOf(s *Store, log *slog.Logger) *News {
	return &News{store: s, log: log, subs: map[chan Line]bool{}}
}

// Watch has whatever changes told from now on. What is told must not wait. When the connection is lost, Deaf is told, and
// Everything when it is there again.
func (n *News) Watch(tell func(Happening)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.watchers = append(n.watchers, tell)
	if n.hears {
		tell(Happening{Topic: Everything})
	}
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

// turn says whether it hears from now on. Either way lines may have been missed, and so all subscribers are dropped, who
// would not know which.
func (n *News) turn(hears bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.subs {
		n.drop(c)
	}
	n.hears = hears
	topic := Deaf
	if hears {
		topic = Everything
	}
	for _, tell := range n.watchers {
		tell(Happening{Topic: topic})
	}
}

// Run listens until the context ends. While the database is away it tries again.
func (n *News) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := n.listen(ctx); err != nil && ctx.Err() == nil {
			n.log.Warn("no news of what changes; trying again", "error", err)
		}
		n.turn(false)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// The channels of the triggers: a notice for each line of the ledger, with its number, and one for each statement that
// changed something, with the topic and the names.
const (
	linesChannel   = "ledger"
	changesChannel = "monitor_pages"
	listenSQL      = "listen " + linesChannel + "; listen " + changesChannel
)

func (n *News) listen(ctx context.Context) error {
	pooled, err := n.store.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	conn := pooled.Hijack() // it is ours alone until it breaks
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, listenSQL); err != nil {
		return err
	}
	n.turn(true)
	for {
		told, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		ids := n.hear(told, nil)
		for len(ids) > 0 && len(ids) < mostUnread { // lines that come together are read together
			soon, cancel := context.WithTimeout(ctx, gatherFor)
			told, err := conn.WaitForNotification(soon)
			cancel()
			if err != nil {
				if ctx.Err() == nil && soon.Err() != nil {
					break
				}
				return err
			}
			ids = n.hear(told, ids)
		}
		if err := n.tell(ctx, ids); err != nil {
			return err
		}
	}
}

// hear passes a change on to watchers; the number of a line it adds to those to be read.
func (n *News) hear(told *pgconn.Notification, ids []int64) []int64 {
	if told.Channel == linesChannel {
		return append(ids, number(told.Payload))
	}
	topic, names, _ := strings.Cut(told.Payload, "\n")
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, tell := range n.watchers {
		tell(Happening{Topic: topic, Names: strings.FieldsFunc(names, func(r rune) bool { return r == '\n' })})
	}
	return ids
}

// gatherFor is how long it waits for more lines before it reads them.
const gatherFor = 20 * time.Millisecond

func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64) // the trigger sends numbers
	return n
}

func (n *News) tell(ctx context.Context, ids []int64) error {
	n.mu.Lock()
	idle := len(n.subs) == 0 || len(ids) == 0
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
