package store

import (
	"context"
	"fmt"
	"time"
)

// ReleaseOutlet ends what the commands of an issue, or of anybody where that is empty, owe an outlet. It is back when it
// is on, or was turned on unread.
func (s *Store) ReleaseOutlet(ctx context.Context, issue, outlet string, back bool, how string) error {
	if _, err := s.pool.Exec(ctx, `update claim set released = now(), back = $4, how = $5
		where kind = $1 and ($2 = '' or issue = $2) and target = $3 and released is null`, ClaimOutlet, issue, outlet, back,
		how); err != nil {
		return fmt.Errorf("outlet %s of %s: %w", outlet, issue, err)
	}
	return nil
}

// PowerBack is when the last of these outlets was back that Monitor had left off, or may have; zero: none was.
func (s *Store) PowerBack(ctx context.Context, outlets []string) (at time.Time, err error) {
	if err = s.pool.QueryRow(ctx, `select coalesce(max(released),`+epoch+`) from claim
		where kind = $1 and target = any($2) and back`, ClaimOutlet, outlets).Scan(&at); err != nil {
		return at, fmt.Errorf("power of %v: %w", outlets, err)
	}
	return at, nil
}

// OutletOrder is the last order of a person that switched an outlet, or may have.
type OutletOrder struct {
	Feed
	Operation string // on, off or cycle
	Reason    string
	Committed time.Time
}

// OutletOrders reads the last order to each of some outlets.
func (s *Store) OutletOrders(ctx context.Context, of []Feed) (map[Feed]OutletOrder, error) {
	return s.outletOrders(ctx, `data->'feeds' <@ $1::jsonb`, feedsText(of))
}

// AllOutletOrders reads the last order to each outlet.
func (s *Store) AllOutletOrders(ctx context.Context) (map[Feed]OutletOrder, error) {
	return s.outletOrders(ctx, `true`)
}

func (s *Store) outletOrders(ctx context.Context, which string, args ...any) (map[Feed]OutletOrder, error) {
	list, err := many[OutletOrder](ctx, s, "orders to outlets", `select distinct on (pcu_id, outlet)
			(feed->>'pcu_id')::int pcu_id, (feed->>'outlet')::int outlet, coalesce(data->>'operation', '') operation,
			reason, committed
		from action, jsonb_array_elements(data->'feeds') feed
		where issue like 'outlet/%' and committed is not null and outcome <> 'failed' and `+which+`
		order by pcu_id, outlet, committed desc, id desc`, args...)
	orders := make(map[Feed]OutletOrder, len(list))
	for _, o := range list {
		orders[o.Feed] = o
	}
	return orders, err
}
