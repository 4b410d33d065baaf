package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// againstOpening says why nobody opens an issue beside a sweep, which knows this of all of them at once: an operator
// has closed it, or its type is doubted. Empty: nothing is against it, or it is open.
func (a *gate) againstOpening(ctx context.Context, ref Ref) (why string, closed bool, err error) {
	if open, err := a.isOpen(ctx, ref.ID); err != nil || open {
		return "", false, err
	}
	if why, err = a.closedByOperator(ctx, ref); err != nil || why != "" {
		return why, true, err
	}
	why, err = a.doubts(ctx, ref.Type)
	return why, false, err
}

// closedByOperator says whether an operator has closed the issue, which holds until its target was good once.
func (a *gate) closedByOperator(ctx context.Context, ref Ref) (string, error) {
	closed, err := a.Store.LeftClosed(ctx)
	if c, left := closed[ref.ID]; err == nil && left {
		return fmt.Sprintf("%s closed it, and its target was not good since: %s", cmp.Or(c.By, "an operator"),
			c.Reason), nil
	}
	return "", err
}

// doubts says whether a type of issue is doubted, by the last sweep or because one more of it would be too many.
func (a *gate) doubts(ctx context.Context, typ string) (string, error) {
	last, err := a.Store.LastSweep(ctx)
	if err != nil && !errors.Is(err, store.ErrNotFound) { // without a sweep there is no lease
		return "", err
	}
	if why := last.Doubts[typ]; why != "" {
		return "the last sweep believes nothing of " + typ + ": " + why, nil
	}
	since := a.now().Add(-a.Policy.Guard.Window)
	vouched, err := a.Store.LastVouched(ctx)
	if err != nil {
		return "", err
	}
	opened, err := a.Store.OpenedSince(ctx, later(since, vouched))
	if err != nil {
		return "", err
	}
	of, err := a.fleetOf(ctx, typ, last)
	if err != nil {
		return "", err
	}
	d := policy.BelieveMany(a.Policy, typ, opened[typ]+1, of)
	if d.Do {
		return "", nil
	}
	return d.Reason, nil
}

// fleetOf is how many targets a type of issue has.
func (a *gate) fleetOf(ctx context.Context, typ string, last store.Sweep) (int, error) {
	t, _ := issue.Lookup(typ)
	switch t.Target {
	case issue.OfPCU:
		return last.Counts["pcus"], nil
	case issue.OfSite:
		sites, err := a.Store.Sites(ctx)
		return len(sites), err
	}
	return last.Counts["nodes"], nil
}
