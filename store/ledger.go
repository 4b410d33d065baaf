package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Outcomes of an action.
const (
	Done      = "done"
	Sent      = "sent"  // given to the device or the mail server, not verified
	Asked     = "asked" // people were asked to do it
	Refused   = "refused"
	Failed    = "failed"
	Ambiguous = "ambiguous" // it may have happened; never blindly repeated
	Skipped   = "skipped"   // looked at, and not acted on
)

// Action is one line of the ledger: something Monitor did to the world, or chose not to do.
type Action struct {
	Key      string    `json:"key"` // <workflow id>/<run>/<rung>: one effect, once
	Kind     string    `json:"kind"`
	Issue    string    `json:"issue"`
	Node     string    `json:"node"`
	Site     string    `json:"site"`
	PCU      int       `json:"pcu"`
	Reason   string    `json:"reason"`
	At       time.Time `json:"at"`
	Outcome  string    `json:"outcome"` // empty: intended, and not known to have happened
	Detail   string    `json:"detail"`
	Finished time.Time `json:"finished,omitzero"`
}

const actionSQL = `select key, kind, issue, node, site, pcu, reason, at, outcome, detail, coalesce(finished,` + epoch + `) finished from action `

// Intent writes down what is about to be done. When the key is there already it changes nothing and returns what stands there.
func (s *Store) Intent(ctx context.Context, a Action) (Action, bool, error) {
	if a.Key == "" {
		return a, false, errors.New("ledger: an action needs a key")
	}
	tag, err := s.pool.Exec(ctx, `insert into action (key, kind, issue, node, site, pcu, reason) values ($1,$2,$3,$4,$5,$6,$7) on conflict (key) do nothing`,
		a.Key, a.Kind, a.Issue, a.Node, a.Site, a.PCU, a.Reason)
	if err != nil {
		return a, false, fmt.Errorf("ledger: %w", err)
	}
	stored, err := s.Action(ctx, a.Key)
	return stored, tag.RowsAffected() == 0, err
}

// Action reads one line of the ledger.
func (s *Store) Action(ctx context.Context, key string) (Action, error) {
	return one[Action](ctx, s, "ledger "+key, actionSQL+`where key = $1`, key)
}

// Outcome writes down how an intended action ended. Only an ambiguous outcome may be replaced by a later, better one.
func (s *Store) Outcome(ctx context.Context, key, outcome, detail string) error {
	tag, err := s.pool.Exec(ctx, `update action set outcome = $2, finished = now(),
		detail = case when outcome = 'ambiguous' then detail || '; then ' || $3 else $3 end
		where key = $1 and outcome in ('', 'ambiguous')`, key, outcome, detail)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if tag.RowsAffected() == 0 {
		stored, err := s.Action(ctx, key)
		if err != nil {
			return err
		}
		if stored.Outcome != outcome {
			return fmt.Errorf("ledger: %s already ended as %s, it cannot become %s", key, stored.Outcome, outcome)
		}
	}
	return nil
}

// ActionFilter chooses actions; empty fields choose all.
type ActionFilter struct {
	Kind, Issue, Node, Site string
	Since                   time.Time
	Limit                   int // 0: 100
}

// Actions reads the ledger, newest first.
func (s *Store) Actions(ctx context.Context, f ActionFilter) ([]Action, error) {
	if f.Limit == 0 {
		f.Limit = 100
	}
	return many[Action](ctx, s, "ledger", actionSQL+`where ($1 = '' or kind = $1) and ($2 = '' or issue = $2) and ($3 = '' or node = $3) and ($4 = '' or site = $4)
		and at >= $5 order by id desc limit $6`, f.Kind, f.Issue, f.Node, f.Site, f.Since, f.Limit)
}

// CountActions counts what was really done of a kind since a time, at one site or (site empty) in the fleet.
func (s *Store) CountActions(ctx context.Context, kind, site string, since time.Time) (n int, err error) {
	err = s.pool.QueryRow(ctx, `select count(*) from action where kind = $1 and ($2 = '' or site = $2) and at >= $3 and outcome in ('', 'done', 'sent', 'ambiguous')`, kind, site, since).Scan(&n)
	return n, err
}

// Issue is what the command line and the pages show of an issue.
type Issue struct {
	ID      string    `json:"id"`
	RunID   string    `json:"run_id"`
	Type    string    `json:"type"`
	Target  string    `json:"target"`
	Node    string    `json:"node"`
	Site    string    `json:"site"`
	PCU     int       `json:"pcu"`
	Status  string    `json:"status"`
	Rung    string    `json:"rung"`
	Level   int       `json:"level"`
	Opened  time.Time `json:"opened"`
	Closed  time.Time `json:"closed,omitzero"`
	Next    string    `json:"next"`
	NextAt  time.Time `json:"next_at,omitzero"`
	Outcome string    `json:"outcome"`
	Cause   string    `json:"cause"`
}

const issueSQL = `select id, run_id, type, target, node, site, pcu, status, rung, level, opened, coalesce(closed,` + epoch + `) closed, next,
	coalesce(next_at,` + epoch + `) next_at, outcome, cause from issue `

// UpdateIssue writes where an issue stands.
func (s *Store) UpdateIssue(ctx context.Context, i Issue) error {
	_, err := s.pool.Exec(ctx, `insert into issue (id, run_id, type, target, node, site, pcu, status, rung, level, opened, closed, next, next_at, outcome, cause)
		values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16)
		on conflict (id) do update set run_id=$2, status=$8, rung=$9, level=$10, opened=$11, closed=$12, next=$13, next_at=$14, outcome=$15, cause=$16, site=$6, pcu=$7`,
		i.ID, i.RunID, i.Type, i.Target, i.Node, i.Site, i.PCU, i.Status, i.Rung, i.Level, i.Opened, orNull(i.Closed), i.Next, orNull(i.NextAt), i.Outcome, i.Cause)
	if err != nil {
		return fmt.Errorf("issue %s: %w", i.ID, err)
	}
	return nil
}

// Issue reads one issue.
func (s *Store) Issue(ctx context.Context, id string) (Issue, error) {
	return one[Issue](ctx, s, "issue "+id, issueSQL+`where id = $1`, id)
}

// IssueFilter chooses issues; empty fields choose all.
type IssueFilter struct {
	Status, Type, Site, Node string
	Open                     bool // not closed
	Limit                    int  // 0: 1,000
}

// Issues reads issues, the open ones and the latest first.
func (s *Store) Issues(ctx context.Context, f IssueFilter) ([]Issue, error) {
	if f.Limit == 0 {
		f.Limit = 1000
	}
	return many[Issue](ctx, s, "issues", issueSQL+`where ($1 = '' or status = $1) and ($2 = '' or type = $2) and ($3 = '' or site = $3) and ($4 = '' or node = $4)
		and (not $5 or status <> 'closed') order by (status = 'closed'), opened desc limit $6`, f.Status, f.Type, f.Site, f.Node, f.Open, f.Limit)
}

// Entry is a line of the blacklist; a downtime is one with a start and an end.
type Entry struct {
	Kind     string    `json:"kind"` // node or site
	Target   string    `json:"target"`
	Starts   time.Time `json:"starts"`
	Until    time.Time `json:"until,omitzero"` // zero: never ends
	Owner    string    `json:"owner"`
	Reason   string    `json:"reason"`
	Downtime bool      `json:"downtime"`
}

const entrySQL = `select kind, target, starts, coalesce(until,` + epoch + `) until, owner, reason, downtime from blacklist `

// Blacklisted says whether a node or its site is on the blacklist now.
func (s *Store) Blacklisted(ctx context.Context, node, site string, now time.Time) (Entry, bool, error) {
	list, err := many[Entry](ctx, s, "blacklist", entrySQL+`where ((kind = 'node' and target = $1) or (kind = 'site' and target = $2))
		and starts <= $3 and (until is null or until > $3) order by until desc nulls first limit 1`, node, site, now)
	if err != nil || len(list) == 0 {
		return Entry{}, false, err
	}
	return list[0], true, nil
}

// AddBlacklist adds an entry.
func (s *Store) AddBlacklist(ctx context.Context, e Entry) error {
	if (e.Kind != "node" && e.Kind != "site") || e.Target == "" {
		return fmt.Errorf("blacklist: name a node or a site, not %s %q", e.Kind, e.Target)
	}
	_, err := s.pool.Exec(ctx, `insert into blacklist (kind, target, starts, until, owner, reason, downtime) values ($1,$2,$3,$4,$5,$6,$7)`,
		e.Kind, e.Target, e.Starts, orNull(e.Until), e.Owner, e.Reason, e.Downtime)
	return err
}

// RemoveBlacklist removes all entries of one target.
func (s *Store) RemoveBlacklist(ctx context.Context, kind, target string) error {
	tag, err := s.pool.Exec(ctx, `delete from blacklist where kind = $1 and target = $2`, kind, target)
	if err == nil && tag.RowsAffected() == 0 {
		err = fmt.Errorf("blacklist %s %s: %w", kind, target, ErrNotFound)
	}
	return err
}

// Blacklist reads all entries.
func (s *Store) Blacklist(ctx context.Context) ([]Entry, error) {
	return many[Entry](ctx, s, "blacklist", entrySQL+`order by kind, target, starts`)
}

// LastNotice says when a notice of a kind about a target last went out; the zero time: never.
func (s *Store) LastNotice(ctx context.Context, kind, target string) (time.Time, error) {
	var t *time.Time
	if err := s.pool.QueryRow(ctx, `select max(at) from notice where kind = $1 and target = $2`, kind, target).Scan(&t); err != nil || t == nil {
		return time.Time{}, err
	}
	return *t, nil
}

// Notice is a message that went out about a target.
type Notice struct {
	Kind, Target, Site, MessageID string
	Recipients                    []string
	At                            time.Time
}

// RecordNotice keeps a notice, once for each message and target.
func (s *Store) RecordNotice(ctx context.Context, n Notice) error {
	if n.Recipients == nil {
		n.Recipients = []string{}
	}
	_, err := s.pool.Exec(ctx, `insert into notice (kind, target, site, message_id, recipients, at) values ($1,$2,$3,$4,$5,$6) on conflict do nothing`,
		n.Kind, n.Target, n.Site, n.MessageID, n.Recipients, n.At)
	return err
}

// ErrBusy says that another worker holds the PCU.
var ErrBusy = errors.New("another operation on this PCU is under way")

// pcuLocks is the class of the advisory locks of PCUs.
const pcuLocks = 0x504355

// mostLocks bounds the PCUs that one process holds at once. Each takes a connection, of which Postgres has 100 by default.
const mostLocks = 40

// LockPCU waits until no other worker operates the PCU, at most as long as the context allows. The lock dies with the
// connection, so a worker that dies leaves none behind.
func (s *Store) LockPCU(ctx context.Context, id int) (release func(), err error) {
	select {
	case s.locks <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("pcu %d: %w", id, ErrBusy)
	}
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		<-s.locks
		return nil, err
	}
	end := func() {
		_ = conn.Close(context.WithoutCancel(ctx))
		<-s.locks
	}
	if _, err := conn.Exec(ctx, `select pg_advisory_lock($1, $2)`, pcuLocks, id); err != nil {
		end()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("pcu %d: %w", id, ErrBusy)
		}
		return nil, err
	}
	return end, nil
}
