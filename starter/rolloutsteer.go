package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/rollout"
)

func (a *app) rolloutWatch() *cobra.Command {
	return &cobra.Command{
		Use: "watch NAME", Short: "Watch a roll-out to its end; Ctrl-C stops the watching, not the roll-out", Args: takes("NAME"), ValidArgsFunction: a.complete(rolloutNames),
		Example: "  monitor rollout watch new-image",
		RunE:    func(cmd *cobra.Command, args []string) error { return a.watchRollout(cmd.Context(), args[0]) },
	}
}

// watchRollout tells each change until the roll-out has ended or waits for an operator, and exits with 0 where all
// nodes are done.
func (a *app) watchRollout(ctx context.Context, name string) error {
	last := ""
	for {
		v, err := a.wholeRollout(ctx, name)
		if err != nil {
			return err
		}
		if now := v.Status + ": " + progressOf(v.Rollout); now != last {
			a.progress("%s", now)
			last = now
		}
		if !v.Runs || v.Status == string(rollout.Stopped) || v.Status == string(rollout.Paused) {
			err := a.show(v, func() { a.drawRollout(v) })
			if v.Nodes[rollout.Done] != v.Plan.Count {
				err = errors.Join(err, fmt.Errorf("%s is %s: %s", name, v.Status, progressOf(v.Rollout)))
			}
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (a *app) rolloutSteer(order, short, example string) *cobra.Command {
	var f reasonFlags
	cmd := &cobra.Command{
		Use: order + " NAME", Short: short, Args: takes("NAME"), ValidArgsFunction: a.complete(rolloutNames), Example: example,
		RunE: func(cmd *cobra.Command, args []string) error {
			show := func(s rollout.State) error {
				s.Started, s.Due = s.Started.UTC(), s.Due.UTC()
				return a.show(s, func() { a.say("%s is %s: %s", args[0], string(s.Status), s.Why) })
			}
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				var given struct {
					State rollout.State `json:"state"`
				}
				if err := r.post(ctx, pathOf("rollouts", args[0], order), f.order(a), nil, &given); err != nil {
					return err
				}
				return show(given.State)
			}); done {
				return err
			}
			return a.atDeskWithTemporal(cmd.Context(), func(ctx context.Context, d orders.Desk) error {
				_, s, err := d.SteerRollout(ctx, f.order(a), args[0], order)
				if err != nil {
					return err
				}
				return show(s)
			})
		},
	}
	f.add(cmd)
	return cmd
}

func (a *app) rolloutRetry() *cobra.Command {
	var f reasonFlags
	cmd := &cobra.Command{
		Use: "retry NAME", Short: "Begin again with the nodes that failed, and those that were never begun", Args: takes("NAME"), ValidArgsFunction: a.complete(rolloutNames),
		Long: "Begin again with the nodes of a roll-out that failed, and those that were never begun, by the same plan. A node of which\n" +
			"nobody knows whether it was done is left out: give the order to it alone, once somebody has looked.",
		Example: `  monitor rollout retry new-image --reason "the boot server is mended"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			v := struct {
				Name  string `json:"name"`
				Nodes int    `json:"nodes"`
			}{Name: args[0]}
			done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				return r.post(ctx, pathOf("rollouts", args[0], "retry"), f.order(a), nil, &v)
			})
			if !done {
				err = a.atDeskWithTemporal(cmd.Context(), func(ctx context.Context, d orders.Desk) (err error) {
					_, v.Nodes, err = d.RetryRollout(ctx, f.order(a), args[0])
					return err
				})
			}
			if err != nil {
				return err
			}
			return a.show(v, func() { a.say("%s has begun again, with %d nodes", v.Name, v.Nodes) })
		},
	}
	f.add(cmd)
	return cmd
}
