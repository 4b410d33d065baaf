package store

import (
	"context"
	"fmt"
	"time"
)

// IssueCount is how many issues of one type have one status.
type IssueCount struct {
	Type   string `json:"type"`
	Status string `json:"status"`
	Count  int    `json:"count"`
}

// CountIssues counts issues that are not closed.
func (s *Store) CountIssues(ctx context.Context) ([]IssueCount, error) {
	return many[IssueCount](ctx, s, "count issues",
		`select type, status, count(*)::int as count from issue where status <> 'closed' group by type, status`)
}

// StatusCount is how many nodes have one status.
type StatusCount struct {
	Status string `json:"status"`
	Count  int    `json:"count"`
}

// CountNodes counts the nodes that PLC has, by status.
func (s *Store) CountNodes(ctx context.Context) ([]StatusCount, error) {
	return many[StatusCount](ctx, s, "count nodes",
		`select status, count(*)::int as count from node where not gone group by status`)
}

// OpenedSince counts the issues of each type that were opened since a time, closed or not.
func (s *Store) OpenedSince(ctx context.Context, since time.Time) (map[string]int, error) {
	rows, err := s.pool.Query(ctx, `select type, count(*) from issue where opened > $1 group by type`, since)
	if err != nil {
		return nil, fmt.Errorf("count opened issues: %w", err)
	}
	defer rows.Close()
	out := map[string]int{}
	for rows.Next() {
		var typ string
		var n int
		if err := rows.Scan(&typ, &n); err != nil {
			return nil, fmt.Errorf("count opened issues: %w", err)
		}
		out[typ] = n
	}
	return out, rows.Err()
}
