package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// reasonFlags are who gives an order to the fleet, and why.
type reasonFlags struct{ by, reason string }

func (f *reasonFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.reason, "reason", "", "`why`; the ledger keeps it")
	cmd.Flags().StringVar(&f.by, "by", "", "`who` gives the order (beside the account that runs this)")
}

func (a *app) stop() *cobra.Command {
	var f reasonFlags
	cmd := &cobra.Command{
		Use: "stop", Short: "Stop every act of Monitor on the world, at once", Args: takes(),
		Long: `Stop every act of Monitor on the world: nothing is rebooted, reinstalled, repaired, written to a site or penalised until
"monitor start". An act that is under way is held back if it has not reached its point of no return; one that is past it
is finished, so that no outlet stays off. Sweeps and the fleet guard go on, open issues keep their place, what is good
again is closed, and limits are lifted.`,
		Example: `  monitor stop --reason "power works in the east, until Friday"`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.control(cmd.Context(), f.order(a), "/stop", nil, func(ctx context.Context, d orders.Desk) (orders.Receipt, error) {
				return d.Stop(ctx, f.order(a))
			})
		},
	}
	f.add(cmd)
	return cmd
}

func (a *app) start() *cobra.Command {
	var f reasonFlags
	cmd := &cobra.Command{
		Use: "start", Short: "Let Monitor act again after a stop", Args: takes(),
		Long: "Let Monitor act again after a stop. Open issues go on with the next sweep, with what is still true then;\nnothing is made up for.",
		Example: `  monitor start
  monitor start --reason "the power is back"`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.control(cmd.Context(), f.order(a), "/start", nil, func(ctx context.Context, d orders.Desk) (orders.Receipt, error) {
				return d.Start(ctx, f.order(a))
			})
		},
	}
	f.add(cmd)
	return cmd
}

// ordinary is the word that takes the order of a mode back.
const ordinary = "default"

func (a *app) mode() *cobra.Command {
	var f reasonFlags
	var part orders.Part
	words := []string{string(policy.ModeObserve), string(policy.ModeAct), ordinary}
	cmd := &cobra.Command{
		Use: "mode [observe|act|default]", Short: "Show or order what Monitor may do: observe or act",
		Long: `Show or order what Monitor may do: observe looks, decides and says what it would do; act does it. An order holds for the
whole fleet, for one site, or for one type of issue. The narrowest counts, and none can widen what the configuration
allows. "default" takes an order back.`,
		Example: `  monitor mode
  monitor mode observe --site princeton --reason "their new firewall is being tried"
  monitor mode observe --type badhardware --reason "too many false alarms"
  monitor mode default --site princeton`,
		ValidArgsFunction: a.fixed(words...),
		Args:              cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				if done, err := a.overAPI(cmd.Context(), a.remoteControls); done {
					return err
				}
				return a.withStore(cmd.Context(), a.showControls)
			}
			if !slices.Contains(words, args[0]) {
				return badInput("%q is no mode: say %s", args[0], strings.Join(words, ", "))
			}
			if part.Site != "" && part.Type != "" {
				return badInput("give --site or --type, not both: two orders narrow more than one")
			}
			path, more := "/mode", map[string]any{"mode": args[0]}
			if part.Site != "" {
				path = pathOf("sites", part.Site, "mode")
			} else if part.Type != "" {
				more["type"] = part.Type
			}
			return a.control(cmd.Context(), f.order(a), path, more, func(ctx context.Context, d orders.Desk) (orders.Receipt, error) {
				return d.Mode(ctx, f.order(a), part, policy.Mode(strings.TrimSuffix(args[0], ordinary)))
			})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&part.Site, "site", "", "only for the site with this `login_base`")
	cmd.Flags().StringVar(&part.Type, "type", "", "only for this `type` of issue")
	_ = cmd.RegisterFlagCompletionFunc("site", a.complete(siteNames))
	_ = cmd.RegisterFlagCompletionFunc("type", a.fixed(issueTypes()...))
	return cmd
}

// control gives an order that holds for the fleet or a part of it, and shows what is ordered then.
func (a *app) control(ctx context.Context, o orders.Order, path string, more map[string]any,
	give func(context.Context, orders.Desk) (orders.Receipt, error)) error {
	if done, err := a.overAPI(ctx, func(ctx context.Context, r *apiServer) error {
		var given orders.Receipt
		if err := r.post(ctx, path, o, more, &given); err != nil {
			return err
		}
		a.noted(given)
		return a.remoteControls(ctx, r)
	}); done {
		return err
	}
	return a.atDesk(ctx, func(ctx context.Context, d orders.Desk) error {
		r, err := give(ctx, d)
		if err != nil {
			return err
		}
		a.noted(r)
		return a.showControls(ctx, d.Store)
	})
}

func (a *app) remoteControls(ctx context.Context, r *apiServer) error {
	var v answers.Controls
	if err := r.get(ctx, "/controls", nil, &v); err != nil {
		return err
	}
	return a.show(v, func() { a.drawControls(v) })
}

func (a *app) showControls(ctx context.Context, db *store.Store) error {
	v, err := answers.ReadControls(ctx, db)
	if err != nil {
		return err
	}
	return a.show(v, func() { a.drawControls(v) })
}

func (a *app) drawControls(v answers.Controls) {
	switch {
	case v.Stopped != "":
		a.say("%s: %s", a.state("stopped"), clean(v.Stopped))
	case v.Mode == policy.ModeAct:
		a.say("Monitor may act")
	default:
		a.say("Monitor only observes: %s", clean(v.Why))
	}
	var rows []row
	for _, c := range v.Orders {
		if part, isMode := strings.CutPrefix(c.Name, store.ControlMode); isMode {
			part = strings.TrimPrefix(part, "/")
			if part == "" {
				part = "the fleet"
			}
			rows = append(rows, row{fmt.Sprintf("%s for %s", c.Value, strings.Replace(part, "/", " ", 1)), c.At, orDash(c.By), orDash(c.Reason)})
		}
	}
	if len(rows) > 0 {
		a.table("", row{"MODE", "ORDERED", "BY", "REASON"}, rows)
	}
}
