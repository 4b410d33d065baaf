package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/store"
)

const forgetAbout = `Monitor keeps the ssh host key, and a certificate nobody vouches for, that a PCU shows the first time, and drives it no more once it
shows another. Forget them when the PCU was replaced or made anew, and only then: otherwise somebody may be between you and it.`

func (a *app) pcuForget() *cobra.Command {
	var f reasonFlags
	cmd := &cobra.Command{
		Use: "forget <pcu>", Short: "Let a PCU that was replaced show a new host key or certificate", Args: takes("<pcu>"), Example: "  monitor pcu forget pcu1.example.edu",
		Long: forgetAbout + "\n\nThe database is needed; the device is not called.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				var given orders.Receipt
				if err := r.post(ctx, pathOf("pcus", args[0], "forget"), f.order(a), nil, &given); err != nil {
					return err
				}
				return a.show(given, func() { a.say("%s may show itself anew", clean(args[0])) })
			}); done {
				return err
			}
			return a.atDesk(cmd.Context(), func(ctx context.Context, d orders.Desk) error {
				p, err := d.Store.PCUByName(ctx, args[0])
				if errors.Is(err, store.ErrNotFound) {
					return notFound("no PCU %s is known: see `monitor site show`", args[0])
				} else if err != nil {
					return err
				}
				pins, err := d.Store.PCUPins(ctx, p.PCUID)
				if err == nil {
					_, err = d.ForgetPCU(ctx, f.order(a), args[0])
				}
				if err != nil {
					return err
				}
				view := struct {
					PCU       string `json:"pcu"`
					Forgotten int    `json:"forgotten"`
				}{p.Name, len(pins)}
				return a.show(view, func() {
					if len(pins) == 0 {
						a.say("%s had shown nothing that was kept", clean(p.Name))
						return
					}
					a.say("%s may show itself anew: %d kept before", clean(p.Name), len(pins))
				})
			})
		},
	}
	f.add(cmd)
	return cmd
}
