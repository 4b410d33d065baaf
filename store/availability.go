package store

import (
	"context"
	"fmt"
	"time"
)

// UpOn is how many nodes were up at the end of one day, of how many whose status is known.
type UpOn struct {
	Until time.Time
	Up    int
	Of    int
}

// Availability reads how many of today's nodes were up at the end of each of the last so many days of a length, the
// earliest first. It goes back from what is by the changes that were written, which is one query.
func (s *Store) Availability(ctx context.Context, now time.Time, day time.Duration, days int) ([]UpOn, error) {
	out := make([]UpOn, days)
	for i := range out {
		out[i].Until = now.Add(-time.Duration(days-1-i) * day)
	}
	if days == 0 {
		return out, nil
	}
	var up, of int
	err := s.pool.QueryRow(ctx, `select count(*) filter (where status in ('online', 'good')),
		count(*) filter (where status <> '') from node where not gone`).Scan(&up, &of)
	if err != nil {
		return nil, fmt.Errorf("availability: %w", err)
	}
	rows, err := s.pool.Query(ctx, `select least(floor(extract(epoch from $1 - at) / $2::float8), $3)::int as ago,
			sum((became in ('online', 'good'))::int - (was in ('online', 'good'))::int)::int,
			sum((became <> '')::int - (was <> '')::int)::int
		from history join node on hostname = target and not gone
		where kind = 'node' and at > $1 - make_interval(secs => $2::float8 * $3) and at <= $1 group by ago`,
		now, day.Seconds(), days)
	if err != nil {
		return nil, fmt.Errorf("availability: %w", err)
	}
	defer rows.Close()
	came, known := make([]int, days+1), make([]int, days+1)
	for rows.Next() {
		var ago, d, k int
		if err := rows.Scan(&ago, &d, &k); err != nil {
			return nil, fmt.Errorf("availability: %w", err)
		}
		if ago >= 0 && ago <= days {
			came[ago], known[ago] = d, k
		}
	}
	for ago := range days { // what came within the last day was not yet at the end of the day before
		out[days-1-ago].Up, out[days-1-ago].Of = up, of
		up, of = up-came[ago], of-known[ago]
	}
	return out, rows.Err()
}

// StatusHistory reads how the status of a target changed since a time, the earliest first, with the change before
// that.
func (s *Store) StatusHistory(ctx context.Context, kind, target string, since time.Time) ([]Passage, error) {
	return many[Passage](ctx, s, "history of "+target, `(select at, kind, target, was, became, reason from history
		where kind = $1 and target = $2 and at < $3 order by at desc, id desc limit 1)
		union all (select at, kind, target, was, became, reason from (select * from history
			where kind = $1 and target = $2 and at >= $3 order by at desc, id desc limit 2000) late order by at, id)`,
		kind, target, since)
}
