package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/planetlab/monitor/issue"
)

// Issue is one episode of an issue, as the command line and the pages show it. The same id may have had earlier ones.
type Issue struct {
	ID      string          `json:"id"`
	RunID   string          `json:"run_id"`
	Type    string          `json:"type"`
	Target  string          `json:"target"`
	Node    string          `json:"node"`
	Site    string          `json:"site"`
	PCUID   int             `json:"pcu"`
	Status  string          `json:"status"`
	Rung    string          `json:"rung"`
	Level   int             `json:"level"` // asked of the site; what the site is denied stands in its own row
	Opened  time.Time       `json:"opened"`
	Closed  time.Time       `json:"closed,omitzero"`
	Next    string          `json:"next"`
	NextAt  time.Time       `json:"next_at,omitzero"`
	Outcome string          `json:"outcome"`
	Cause   string          `json:"cause"`
	State   json.RawMessage `json:"-"` // an issue.State
}

// Memory is all that the issue remembers, as its workflow last said.
func (i Issue) Memory() (s issue.State, err error) {
	if len(i.State) > 0 {
		err = json.Unmarshal(i.State, &s)
	}
	if err != nil {
		err = fmt.Errorf("state of %s: %w", i.ID, err)
	}
	return s, err
}

const issueColumns = `id, run_id, type, target, node, site, pcu as pcuid, status, rung, level, opened,
	coalesce(closed,` + epoch + `) closed, next,
	coalesce(next_at,` + epoch + `) next_at, outcome, cause, state`

// SaveIssue writes where an issue stands, with the events that the store does not have yet. An older state never
// replaces a newer one.
func (s *Store) SaveIssue(ctx context.Context, st issue.State, now time.Time) error {
	next, at := st.NextAt()
	row := Issue{ID: st.Ref.ID, RunID: st.Ref.Run, Type: st.Ref.Type, Target: st.Ref.Target(), Node: st.Ref.Node,
		Site: st.Ref.Site, PCUID: st.Ref.PCUID,
		Status: string(st.Status), Rung: st.NextRung().String(), Level: st.Level, Opened: st.Opened, Next: next,
		NextAt: at, Cause: st.Cause}
	if st.Status == issue.Closed {
		row.Closed, row.Outcome = now, st.End.String()
	}
	events := st.Unsaved()
	st.Events = nil
	state, err := json.Marshal(st)
	if err != nil {
		return err
	}
	b := &pgx.Batch{}
	b.Queue(`insert into issue (id, run_id, type, target, node, site, pcu, status, rung, level, opened, closed, next,
		next_at, outcome, cause, seq, state)
		values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18)
		on conflict (id, run_id) do update set status=$8, rung=$9, level=$10, closed=coalesce(issue.closed, $12),
		next=$13, next_at=$14, outcome=$15, cause=$16,
			site=$6, pcu=$7, seq=$17, state=$18 where issue.seq <= $17 and issue.status <> 'closed'`,
		row.ID, row.RunID, row.Type, row.Target, row.Node, row.Site, row.PCUID, row.Status, row.Rung, row.Level,
		row.Opened, orNull(row.Closed), row.Next, orNull(row.NextAt),
		row.Outcome, row.Cause, st.Seq, state)
	// An id has one life at a time: what another run has left open is lost.
	b.Queue(`update issue set status='closed', closed=$3, level=0, next='', next_at=null, outcome=$4
		where id=$1 and run_id<>$2 and status<>'closed' and opened <= $5`,
		row.ID, row.RunID, now, issue.End{Why: issue.EndLost}.String(), row.Opened)
	for _, e := range events {
		text, err := json.Marshal(e)
		if err != nil {
			return err
		}
		b.Queue(`insert into issue_event (id, run_id, seq, at, event) values ($1,$2,$3,$4,$5)
			on conflict (id, run_id, seq) do update set event=$5`, row.ID, row.RunID, e.Seq, e.At, text)
	}
	return s.send(ctx, "issue "+row.ID, b)
}

// CloseLost closes an episode whose workflow is gone, in the store.
func (s *Store) CloseLost(ctx context.Context, i Issue, why string, now time.Time) error {
	_, err := s.pool.Exec(ctx, `update issue set status='closed', closed=$3, level=0, next='', next_at=null, outcome=$4
		where id=$1 and run_id=$2 and status<>'closed'`,
		i.ID, i.RunID, now, issue.End{Why: issue.EndLost, Reason: why}.String())
	if err != nil {
		return fmt.Errorf("issue %s: %w", i.ID, err)
	}
	return nil
}

// Issue reads the latest episode of an issue.
func (s *Store) Issue(ctx context.Context, id string) (Issue, error) {
	return one[Issue](ctx, s, "issue "+id,
		`select `+issueColumns+` from issue where id = $1 order by opened desc limit 1`, id)
}

// Episodes reads all episodes of an issue, the latest first.
func (s *Store) Episodes(ctx context.Context, id string) ([]Issue, error) {
	return many[Issue](ctx, s, "episodes of "+id,
		`select `+issueColumns+` from issue where id = $1 order by opened desc`, id)
}

// Timeline reads what happened in one episode, in order.
func (s *Store) Timeline(ctx context.Context, id, run string) ([]issue.Event, error) {
	rows, err := s.pool.Query(ctx, `select event from issue_event where id = $1 and run_id = $2 order by seq`, id, run)
	if err != nil {
		return nil, fmt.Errorf("timeline of %s: %w", id, err)
	}
	events, err := pgx.CollectRows(rows, pgx.RowTo[issue.Event])
	if err != nil {
		return nil, fmt.Errorf("timeline of %s: %w", id, err)
	}
	return events, nil
}

// RecoveredSince are the ids of issues that closed after the time because their targets were seen good.
func (s *Store) RecoveredSince(ctx context.Context, since time.Time) (map[string]bool, error) {
	rows, err := s.pool.Query(ctx, `select distinct id from issue where closed > $1 and outcome = $2`, since,
		issue.End{Why: issue.EndRecovered}.String())
	if err != nil {
		return nil, fmt.Errorf("issues that recovered: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("issues that recovered: %w", err)
	}
	out := make(map[string]bool, len(ids))
	for _, id := range ids {
		out[id] = true
	}
	return out, nil
}

// IssueFilter chooses issues; empty fields choose all.
type IssueFilter struct {
	Status, Type, Site, Node string
	Open                     bool // not closed
	Limit                    int  // 0: 1,000
}

// Issues reads episodes, the open ones and the latest first.
func (s *Store) Issues(ctx context.Context, f IssueFilter) ([]Issue, error) {
	if f.Limit == 0 {
		f.Limit = 1000
	}
	return many[Issue](ctx, s, "issues",
		`select `+issueColumns+` from issue where ($1 = '' or status = $1) and ($2 = '' or type = $2) and
			($3 = '' or site = $3) and ($4 = '' or node = $4)
		and (not $5 or status <> 'closed')
		order by (status = 'closed'), opened desc limit $6`, f.Status, f.Type, f.Site, f.Node, f.Open, f.Limit)
}
