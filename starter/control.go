package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// reasonFlags are who gives an order to the fleet, and why.
type reasonFlags struct{ by, reason string }

func (f *reasonFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.reason, "reason", "", "`why`; the ledger keeps it")
	cmd.Flags().StringVar(&f.by, "by", "", "`who` gives the order (beside the account that runs this)")
}

func (f *reasonFlags) control(a *app, name, value string) store.Control {
	return store.Control{Name: name, Value: value, By: a.who(f.by), Reason: f.reason}
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
			if strings.TrimSpace(f.reason) == "" {
				return badInput("--reason is missing: those who find Monitor stopped will ask why")
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) error {
				before, err := db.Controls(ctx)
				if err != nil {
					return err
				}
				if why := before.Stopped(); why != "" {
					a.warn("it was stopped already: %s", why)
				}
				return a.giveControl(ctx, db, f.control(a, store.ControlStop, "stopped"))
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
			return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) error {
				before, err := db.Controls(ctx)
				if err != nil {
					return err
				}
				if before.Stopped() == "" {
					a.warn("it was not stopped; nothing is changed")
					return a.showControls(ctx, db)
				}
				return a.giveControl(ctx, db, f.control(a, store.ControlStop, ""))
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
	var site, typ string
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
			return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) error {
				if len(args) == 0 {
					return a.showControls(ctx, db)
				}
				if !slices.Contains(words, args[0]) {
					return badInput("%q is no mode: say %s", args[0], strings.Join(words, ", "))
				}
				name, err := modeName(ctx, db, site, typ)
				if err != nil {
					return err
				}
				return a.giveControl(ctx, db, f.control(a, name, strings.TrimSuffix(args[0], ordinary)))
			})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&site, "site", "", "only for the site with this `login_base`")
	cmd.Flags().StringVar(&typ, "type", "", "only for this `type` of issue")
	_ = cmd.RegisterFlagCompletionFunc("site", a.complete(siteNames))
	_ = cmd.RegisterFlagCompletionFunc("type", a.fixed(issueTypes()...))
	return cmd
}

// modeName is the name of the order of a mode. A part that nobody knows would be narrowed by nothing, so it is refused.
func modeName(ctx context.Context, db *store.Store, site, typ string) (string, error) {
	switch {
	case site != "" && typ != "":
		return "", badInput("give --site or --type, not both: two orders narrow more than one")
	case site != "":
		return store.ControlOf(store.ControlMode, store.PartSite, site), knownSite(ctx, db, site)
	case typ != "":
		return store.ControlOf(store.ControlMode, store.PartType, typ), checkType(typ)
	}
	return store.ControlMode, nil
}

func (a *app) giveControl(ctx context.Context, db *store.Store, c store.Control) error {
	if err := db.SetControl(ctx, c); err != nil {
		return err
	}
	return a.showControls(ctx, db)
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
