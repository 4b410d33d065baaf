package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/remote"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

// body is a run as it is sent to a server.
func (o *runFlags) body(nodes []selection.Node, script string) map[string]any {
	hosts := make([]string, len(nodes))
	for i, n := range nodes {
		hosts[i] = n.Name
	}
	return map[string]any{"script": script, "hosts": hosts, "parallel": o.Parallel, "per_site": o.PerSite, "keep_bytes": o.Keep,
		"pace_seconds": o.Pace.Seconds(), "limit_seconds": o.Limit.Seconds()}
}

// checkRun asks whether it may run, and runs nothing.
func (a *app) checkRun(ctx context.Context, o *runFlags, order orders.Order, chosen []selection.Node, script string) error {
	order.DryRun = true
	var given orders.Receipt
	done, err := a.overAPI(ctx, func(ctx context.Context, r *apiServer) error {
		return r.post(ctx, "/runs?dryRun=true", order, o.body(chosen, script), &given)
	})
	if !done {
		err = a.atDesk(ctx, func(ctx context.Context, d orders.Desk) (err error) {
			given, _, err = d.Run(ctx, order, orders.Job{Options: o.Options, Nodes: targetsOf(chosen), Script: script})
			return err
		})
	}
	if err == nil && given.Refused != "" {
		err = &exitError{exitRefused, errors.New(given.Refused)}
	}
	return err
}

func targetsOf(chosen []selection.Node) (nodes []remote.Node) {
	for _, n := range chosen {
		nodes = append(nodes, remote.Node{Host: n.Name, IP: n.IP, Site: n.Site})
	}
	return nodes
}

// runThere has a server carry it out, and tells each node's end as it comes. Ctrl-C asks the server to call it off.
func (a *app) runThere(ctx context.Context, r *apiServer, o *runFlags, order orders.Order, chosen []selection.Node, script string) error {
	last := context.WithoutCancel(ctx) // a run that may have begun is not left behind
	within, cancel := a.within(last, 2*patience)
	defer cancel()
	var given struct {
		ID string `json:"id"`
	}
	if err := r.postOnce(within, "/runs", order, o.body(chosen, script), &given); err != nil {
		return flagged(err)
	}
	a.progress("run %s has begun at %s", given.ID, r.Server)
	if err := a.watchRun(ctx, r, given.ID, order, len(chosen)); err != nil {
		return fmt.Errorf("%w: `monitor run show %s` tells more", err, given.ID)
	}
	within, cancel = a.within(last, 2*patience)
	defer cancel()
	var v runView
	if err := r.get(within, pathOf("runs", given.ID), nil, &v); err != nil {
		return err
	}
	if len(v.List) == 1 { // of one alone, all that was kept
		if err := r.get(within, pathOf("runs", given.ID, "nodes", v.List[0].Host), nil, &v.List[0]); err != nil {
			return err
		}
	}
	return a.showRun(v)
}

// How often a run at a server is looked at, how long the server may be away meanwhile, and how long it may take to end a
// run that was called off.
const (
	lookEvery  = 500 * time.Millisecond
	mayBeAway  = 2 * time.Minute
	calledSoon = time.Minute
)

// watchRun tells each node's end, until the run has ended.
func (a *app) watchRun(ctx context.Context, r *apiServer, id string, order orders.Order, nodes int) error {
	last, interrupted := context.WithoutCancel(ctx), ctx.Done()
	told, heard, over := map[string]bool{}, time.Now(), time.Time{}
	every := lookEvery * time.Duration(1+nodes/100)
	for {
		v, err := r.readRun(last, id)
		switch {
		case err == nil:
			heard = time.Now()
		case time.Since(heard) > mayBeAway:
			return err
		}
		for _, n := range v.List {
			if n.State != "planned" && n.State != "running" && !told[n.Host] {
				told[n.Host] = true
				a.progress("%d of %d: %s %s %s", len(told), len(v.List), n.Host, n.State, n.Reason)
			}
		}
		if err == nil && !v.Ended.IsZero() {
			return nil
		}
		if !over.IsZero() && time.Since(over) > calledSoon {
			return errors.New("it was called off, and has not ended yet")
		}
		select {
		case <-interrupted:
			interrupted, over = nil, time.Now()
			a.progress("calling it off")
			if err := a.cancelRun(last, r, id, orders.Order{Who: order.Who, Reason: "Ctrl-C"}); err != nil && orders.KindOf(err) != orders.Refused {
				return fmt.Errorf("it goes on: call it off with `monitor run cancel %s`: %w", id, err)
			}
		case <-time.After(every):
		}
	}
}

// readRun reads how far a run is, without what nodes said.
func (r *apiServer) readRun(ctx context.Context, id string) (v runView, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = r.get(ctx, pathOf("runs", id), url.Values{"brief": {"true"}}, &v)
	return v, err
}

func (a *app) cancelRun(ctx context.Context, r *apiServer, id string, order orders.Order) error {
	ctx, cancel := a.within(ctx, patience)
	defer cancel()
	return flagged(r.post(ctx, pathOf("runs", id, "cancel"), order, nil, &orders.Receipt{}))
}

func (a *app) runCancel() *cobra.Command {
	var f reasonFlags
	cmd := &cobra.Command{
		Use: "cancel ID", Short: "Call off a run: where it has not begun, it is skipped", Args: takes("ID"), ValidArgsFunction: a.complete(runIDs),
		Long: "Call off a run, wherever it is carried out: its process sees that within seconds. Where it has not begun, it is skipped;\n" +
			"what is under way on a node may go on running there.",
		Example: `  monitor run cancel 20261124-140300.000 --reason "the wrong script"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var given orders.Receipt
			done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				return r.post(ctx, pathOf("runs", args[0], "cancel"), f.order(a), nil, &given)
			})
			if !done {
				err = a.atDesk(cmd.Context(), func(ctx context.Context, d orders.Desk) (err error) {
					given, err = d.CancelRun(ctx, f.order(a), args[0])
					return err
				})
			}
			if err != nil {
				return err
			}
			return a.show(given, func() { a.say("called off: run %s; see `monitor run show %s`", args[0], args[0]) })
		},
	}
	f.add(cmd)
	return cmd
}

// showRun shows a run that was just seen to its end.
func (a *app) showRun(v runView) error {
	err := a.show(v, func() { a.drawRun(v, true) })
	if bad := len(v.List) - v.Nodes[string(remote.Done)]; bad > 0 {
		err = errors.Join(err, fmt.Errorf("not done on %d of %d nodes: `monitor run show %s` tells more", bad, len(v.List), v.ID))
	}
	return err
}

// allNodes are those that an order is meant for, from wherever this call works.
func (a *app) allNodes(ctx context.Context, c *choice, args []string) (chosen []selection.Node, err error) {
	done, err := a.overAPI(ctx, func(ctx context.Context, r *apiServer) (err error) {
		chosen, err = c.of(a, args, func(parts selection.NodeParts) ([]selection.Node, error) {
			return r.remoteNodes(ctx, parts.Details, time.Time{})
		})
		return err
	})
	if !done {
		err = a.withStore(ctx, func(ctx context.Context, db *store.Store) (err error) {
			chosen, err = c.nodes(ctx, a, db, args)
			return err
		})
	}
	return chosen, err
}
