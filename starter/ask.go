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
	if done, err := a.overAPI(ctx, func(ctx context.Context, r *apiServer) error {
		return a.giveRemotely(ctx, r, o, id, string(name), w)
	}); done {
		return err
	}
	return a.atDeskWithTemporal(ctx, func(ctx context.Context, d orders.Desk) error {
		r, s, err := d.Issue(ctx, o, name, id, w)
		if err != nil {
			return lookLater(err, id)
		}
		v := answers.NewIssue(id)
		v.Answer(s)
		if name == issue.OrderClose {
			a.awaitClosing(ctx, d.Temporal, &v, r.Run)
		}
		return a.show(v, func() { a.drawIssue(v) })
	})
}

// lookLater says where to look for what became of an order that nobody answered.
func lookLater(err error, id string) error {
	if orders.KindOf(err) == orders.Silent {
		return fmt.Errorf("%w: look with `monitor issue show %s`", err, id)
	}
	return err
}

// giveRemotely gives an order to an issue over the API.
func (a *app) giveRemotely(ctx context.Context, r *apiServer, o orders.Order, id, name string, w orders.Words) error {
	more := map[string]any{"until": w.Until}
	if w.Step != 0 {
		more["step"] = w.Step
	}
	var given struct {
		orders.Receipt
		Issue *answers.Issue `json:"issue"`
	}
	if err := r.post(ctx, issuePath(id, name), o, more, &given); err != nil {
		return lookLater(err, id)
	}
	a.noted(given.Receipt)
	v := answers.NewIssue(id)
	if given.Issue != nil {
		v = *given.Issue
	}
	if name == string(issue.OrderClose) { // until it has let its site go
		for v.Status != string(issue.Closed) {
			if err := r.get(ctx, issuePath(id), nil, &v); err != nil || ctx.Err() != nil {
				a.warn("%s has the order and is not closed yet: look with `monitor issue show %s`", id, id)
				break
			}
			v.Actions, v.Earlier = nil, nil
			time.Sleep(100 * time.Millisecond)
		}
	}
	return a.show(v, func() { a.drawIssue(v) })
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
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				return a.openRemotely(ctx, r, args[0], args[1], known)
			}); done {
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

// openRemotely opens an issue over the API, and follows it until it knows its target.
func (a *app) openRemotely(ctx context.Context, r *apiServer, typ, target string, known issue.Input) error {
	more := map[string]any{"type": typ, "target": target, "cause": known.Cause, "evidence": known.Evidence}
	if known.Evidence == nil {
		delete(more, "evidence")
	}
	var given struct {
		orders.Receipt
		ID string `json:"id"`
	}
	if err := r.post(ctx, "/issues", orders.Order{}, more, &given); err != nil {
		return err
	}
	a.noted(given.Receipt)
	v := answers.NewIssue(given.ID)
	for len(v.Timeline) == 0 {
		if err := r.get(ctx, issuePath(given.ID), nil, &v); err != nil {
			if ctx.Err() != nil {
				break
			}
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	v.Actions, v.Earlier = nil, nil
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
