package orders

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// Penalty is the level that an operator wants a site to have, whatever its issues ask.
type Penalty struct {
	Site   string
	Level  int
	Reason string
	Until  time.Time // zero: until it is taken back
}

// PreviewPenalty asks a worker what the level would change, and what the gate says to the next step towards it.
func PreviewPenalty(ctx context.Context, tc client.Client, who Who, p Penalty) (activities.WhyNotAnswer, error) {
	return answers.WhyNot(ctx, tc, activities.WhyNotRequest{Act: policy.ActPenalize, Target: p.Site, Level: &p.Level,
		Order: policy.Order{By: signature(who), Role: policy.RoleOperator, Reason: p.Reason}})
}

// SetPenalty orders the level. It falls to it at once; it rises to it step by step, after the site's people were told,
// and through the gate. Sweeps respect it until it ends.
func SetPenalty(ctx context.Context, db *store.Store, tc client.Client, who Who, p Penalty) error {
	switch {
	case p.Level < 0 || p.Level > policy.Top:
		return fmt.Errorf("a penalty level is 0 to %d, not %d", policy.Top, p.Level)
	case strings.TrimSpace(p.Reason) == "":
		return fmt.Errorf("an order says why")
	}
	if _, err := db.Site(ctx, p.Site); err != nil {
		return err
	}
	return givePenalty(ctx, db, tc, p.Site, store.Control{Name: store.PenaltyControl(p.Site), Value: strconv.Itoa(p.Level),
		By: signature(who), Reason: strings.TrimSpace(p.Reason), Until: p.Until})
}

// EndPenalty takes the order back: the level is what the issues ask again.
func EndPenalty(ctx context.Context, db *store.Store, tc client.Client, who Who, login, reason string) error {
	controls, err := db.Controls(ctx)
	if err != nil {
		return err
	}
	if _, ordered := controls[store.PenaltyControl(login)]; !ordered {
		return fmt.Errorf("nobody has ordered a level for site %s: %w", login, store.ErrNotFound)
	}
	return givePenalty(ctx, db, tc, login, store.Control{Name: store.PenaltyControl(login), By: signature(who), Reason: reason})
}

func givePenalty(ctx context.Context, db *store.Store, tc client.Client, login string, c store.Control) error {
	if err := db.SetControl(ctx, c); err != nil {
		return err
	}
	return lookAtSite(ctx, tc, login)
}
