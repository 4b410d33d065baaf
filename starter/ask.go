package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/orders"
)

// give gives an order to an issue and prints its new status.
func (a *app) give(ctx context.Context, o orders.Order, id string, name issue.Order, w orders.Words) error {
	return a.atDeskWithTemporal(ctx, func(ctx context.Context, d orders.Desk) error {
		r, s, err := d.Issue(ctx, o, name, id, w)
		if orders.KindOf(err) == orders.Silent {
			return fmt.Errorf("%w: look with `monitor issue show %s`", err, id)
		}
		if err != nil {
			return err
		}
		v := answers.NewIssue(id)
		v.Answer(s)
		if name == issue.OrderClose {
			a.awaitClosing(ctx, d.Temporal, &v, r.Run)
		}
		return a.show(v, func() { a.drawIssue(v) })
	})
}

// awaitClosing waits until a closed issue has let its site go, which needs PLC and may take longer than we do.
func (a *app) awaitClosing(ctx context.Context, tc client.Client, v *answers.Issue, run string) {
	err := tc.GetWorkflow(ctx, v.ID, run).Get(ctx, nil)
	if err == nil {
		err = v.Ask(ctx, tc)
	}
	if err != nil {
		a.warn("%s has the order and is not closed yet: look with `monitor issue show %s`", v.ID, v.ID)
	}
}

func (a *app) issueOpen() *cobra.Command {
	var known issue.Input
	cmd := &cobra.Command{
		Use: "open TYPE TARGET", Short: "Open an issue by hand, as a sweep would", Args: takes("TYPE", "TARGET"), ValidArgsFunction: a.completeTarget(),
		Long: "Open an issue by hand, as a sweep would. An issue looks before it acts: one about a healthy target closes by itself.\nWhere one is open already, this says so and changes nothing.",
		Example: `  monitor issue open nodedown planetlab1.example.edu
  monitor issue open pcudown pcu1.example.edu
  monitor issue open badhardware planetlab1.example.edu --cause "the SMART test failed" --evidence "sda: 212 pending sectors"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := orders.CheckType(args[0]); err != nil {
				return err
			}
			return a.atDeskWithTemporal(cmd.Context(), func(ctx context.Context, d orders.Desk) error {
				return a.openIssue(ctx, d, args[0], args[1], known)
			})
		},
	}
	cmd.Flags().StringVar(&known.Cause, "cause", "", "`why` it is open (default what the last sweep saw)")
	cmd.Flags().StringArrayVar(&known.Evidence, "evidence", nil, "a `line` for the people who are told; may be given again")
	return cmd
}

func (a *app) openIssue(ctx context.Context, d orders.Desk, typ, target string, known issue.Input) error {
	r, opened, err := d.Open(ctx, orders.Order{Who: a.person("")}, typ, target, known.Cause, known.Evidence)
	if err != nil {
		return err
	}
	a.noted(r)
	v := answers.NewIssue(opened.ID)
	if err := a.awaitOpening(ctx, d.Temporal, &v); err != nil {
		return err
	}
	return a.show(v, func() { a.drawIssue(v) })
}

// awaitOpening follows an issue until it knows its target or has failed for want of it.
func (a *app) awaitOpening(ctx context.Context, tc client.Client, v *answers.Issue) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := v.Ask(ctx, tc); err != nil {
			v.Status = "started"
			a.warn("%s is started, but %v", v.ID, err)
			return nil
		}
		switch v.Status {
		case string(issue.Open), string(issue.Paused):
			if len(v.Timeline) > 0 { // its first line is written when the target is known
				return nil
			}
		case string(issue.Closed):
			return nil
		default:
			return notOpened(ctx, tc, v)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func notOpened(ctx context.Context, tc client.Client, v *answers.Issue) error {
	var failure *temporal.ApplicationError
	if errors.As(tc.GetWorkflow(ctx, v.ID, v.RunID).Get(ctx, nil), &failure) && failure.Type() == activities.ErrNoSuchTarget {
		return notFound("%s did not open: %s", v.ID, failure.Message())
	}
	return fmt.Errorf("%s did not open: %s", v.ID, v.Outcome)
}
