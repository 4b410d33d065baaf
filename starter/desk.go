package main

import (
	"context"
	"errors"
	"os"

	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/store"
)

// person is who runs this, with the name that he asks to be called by. Whoever can read the configuration holds the keys
// to the database and to Temporal, and so may do everything.
func (a *app) person(called string) access.Who {
	host, _ := os.Hostname()
	return access.Who{
		Name: called, Account: a.account, Role: access.Admin, Sites: []string{access.AllSites}, From: host,
		SignIn: access.ByAccount,
	}
}

func (f *reasonFlags) order(a *app) orders.Order {
	return orders.Order{Who: a.person(f.by), Reason: f.reason}
}

// atDesk gives orders that need only the store.
func (a *app) atDesk(ctx context.Context, do func(context.Context, orders.Desk) error) error {
	return a.withStore(ctx, func(ctx context.Context, db *store.Store) error {
		return flagged(do(ctx, orders.Desk{Store: db, Now: a.now}))
	})
}

// atDeskWithTemporal gives orders that workflows carry out.
func (a *app) atDeskWithTemporal(ctx context.Context, do func(context.Context, orders.Desk) error) error {
	return a.withTemporal(ctx, func(ctx context.Context, tc client.Client) error {
		db, err := a.openStore(ctx)
		if err != nil {
			return err
		}
		defer db.Close()
		return flagged(do(ctx, orders.Desk{Store: db, Temporal: tc, Now: a.now}))
	})
}

// atDeskFor gives orders that are waited for longer than a command is patient: whoever gives them bounds each.
func (a *app) atDeskFor(ctx context.Context, do func(orders.Desk) error) error {
	db, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	tc, err := a.openTemporal(ctx)
	if err != nil {
		return err
	}
	defer tc.Close()
	return flagged(do(orders.Desk{Store: db, Temporal: tc, Now: a.now}))
}

// flagged names the flag where a reason is missing.
func flagged(err error) error {
	if errors.Is(err, orders.ErrNoReason) {
		return badInput("--%w", err)
	}
	return err
}

// noted warns of what else is to be known of an order.
func (a *app) noted(r orders.Receipt) {
	if r.Note != "" {
		a.warn("%s", r.Note)
	}
}
