package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/orders"
)

func (a *app) pledge() *cobra.Command {
	var f reasonFlags
	var until string
	cmd := &cobra.Command{
		Use: "pledge ISSUE --until TIME", Short: "Promise to see to an issue until a time, which pauses it", Args: takes("ISSUE"),
		Long: `Promise to see to an issue until a time: until then nothing is done to its target, and nobody is written to about it. It is
for the people of a site, who may promise a month at most; operators have "monitor issue pause", which has no bound.`,
		Example:           "  monitor pledge nodedown/planetlab1.example.edu --until 2026-12-04 --reason \"a new disk is ordered\"",
		ValidArgsFunction: a.complete(openIssues),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := orders.CheckID(args[0]); err != nil {
				return err
			}
			if until == "" {
				return badInput("--until is missing: a promise has an end")
			}
			at, err := a.moment(until)
			if err != nil {
				return err
			}
			return a.pledgeUntil(cmd.Context(), f.order(a), args[0], at)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&until, "until", "", "`when` you will have seen to it: "+momentHelp)
	return cmd
}

func (a *app) pledgeUntil(ctx context.Context, o orders.Order, id string, until time.Time) error {
	if done, err := a.overAPI(ctx, func(ctx context.Context, r *apiServer) error {
		return a.giveRemotely(ctx, r, o, id, "pledge", orders.Words{Until: until})
	}); done {
		return err
	}
	return a.atDeskWithTemporal(ctx, func(ctx context.Context, d orders.Desk) error {
		_, s, err := d.Pledge(ctx, o, id, until)
		if err != nil {
			return lookLater(err, id)
		}
		v := answers.NewIssue(id)
		v.Answer(s)
		return a.show(v, func() { a.drawIssue(v) })
	})
}
