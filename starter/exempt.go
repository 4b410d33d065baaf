package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/store"
)

const kindNode, kindSite, kindPCU = "node", "site", "pcu"

func (a *app) exempt() *cobra.Command {
	cmd := group("exempt", "What is left alone, and by whose word: nodes, sites, PCUs, slices, persons", `  monitor exempt list
  monitor exempt set node planetlab1.example.edu --until 3d --reason "being moved"
  monitor exempt set person tech@princeton.example --reason "asked to be left out"`)
	cmd.Long = `What is left alone, and by whose word. A node or a site that is exempt is looked at, and neither acted on nor written about;
a PCU is not used; a slice is not suspended; a person is not written to. "monitor silence" writes the same list for a time,
and what the inventory has exempt is shown with it.`
	cmd.AddCommand(a.exemptList(), a.exemptSet(), a.exemptRemove())
	return cmd
}

func (a *app) exemptList() *cobra.Command {
	var kind string
	var all bool
	var l repeated
	cmd := &cobra.Command{
		Use: "list", Short: "List what is exempt now or will be, by Monitor's own list and by the inventory's", Args: takes(), Aliases: []string{"ls"},
		Example: "  monitor exempt list\n  monitor exempt list --kind node --all -o json\n  monitor exempt list --sort until,-target",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("--kind", kind, store.ExemptKinds()); err != nil {
				return err
			}
			show := func(list []answers.Exemption) error {
				list = slices.DeleteFunc(list, func(x answers.Exemption) bool {
					return kind != "" && x.Kind != kind || !all && x.Now == "over"
				})
				return few(a, &l, list, a.drawExemptions)
			}
			return l.repeat(cmd.Context(), a, func() error {
				if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
					var list []answers.Exemption
					if err := r.get(ctx, "/exemptions", nil, &list); err != nil {
						return err
					}
					return show(list)
				}); done {
					return err
				}
				return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) error {
					list, err := answers.Exemptions(ctx, db, a.now())
					if err != nil {
						return err
					}
					return show(list)
				})
			})
		},
	}
	l.addFlags(cmd)
	cmd.Flags().StringVar(&kind, "kind", "", "only of this `kind`: "+strings.Join(store.ExemptKinds(), ", "))
	cmd.Flags().BoolVar(&all, "all", false, "also what is over")
	_ = cmd.RegisterFlagCompletionFunc("kind", a.fixed(store.ExemptKinds()...))
	return cmd
}

func (a *app) drawExemptions(list []answers.Exemption) {
	var rows []row
	for _, x := range list {
		var until any = "for ever"
		if !x.Until.IsZero() {
			until = x.Until
		}
		rows = append(rows, row{x.Kind, x.Target, x.What, x.Where, x.Now, until, orDash(x.By), orDash(x.Reason)})
	}
	a.table("nothing is exempt", row{"KIND", "TARGET", "WHAT", "WHERE", "NOW", "UNTIL", "BY", "REASON"}, rows)
}

func (a *app) exemptSet() *cobra.Command {
	var e store.BlacklistEntry
	var f reasonFlags
	var from, until string
	cmd := &cobra.Command{
		Use: "set node|site|pcu|slice|person TARGET", Args: takes("the kind", "TARGET"), ValidArgsFunction: a.completeEntry(),
		Short: "Leave a node, a site, a PCU, a slice or a person alone, for a time or for ever",
		Long: "Leave a node, a site, a PCU, a slice or a person alone, until --until or until it is removed. With --downtime it is a planned\n" +
			"one, which has an end.",
		Example: `  monitor exempt set node planetlab1.example.edu --until 3d --reason "being moved"
  monitor exempt set site princeton --downtime --from 2026-12-24 --until 2026-12-27 --reason "power works"
  monitor exempt set slice princeton_codeen --reason "the conference demo"
  monitor exempt set person tech@princeton.example --reason "asked to be left out"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			e.Kind, e.Target = args[0], args[1]
			if err := a.period(&e, from, until); err != nil {
				return err
			}
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				var given silenced
				more := map[string]any{"kind": e.Kind, "target": e.Target, "from": e.Starts, "until": e.Until, "downtime": e.Downtime}
				if err := r.post(ctx, "/exemptions", f.order(a), more, &given); err != nil {
					return err
				}
				return a.show(given.Silence, func() { a.say("exempt: %s", clean(a.entryLine(&given.Silence))) })
			}); done {
				return err
			}
			return a.atSiteDesk(cmd.Context(), e.Kind, func(ctx context.Context, d orders.Desk) error {
				_, e, err := d.Exempt(ctx, f.order(a), e)
				if err != nil {
					return err
				}
				return a.show(e, func() { a.say("exempt: %s", clean(a.entryLine(&e))) })
			})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&from, "from", "", "`when` it starts (default now): "+momentHelp)
	cmd.Flags().StringVar(&until, "until", "", "`when` it ends by itself: "+momentHelp)
	cmd.Flags().BoolVar(&e.Downtime, "downtime", false, "it is a planned downtime; --until is needed")
	return cmd
}

// entryLine is an entry in a few words; none is empty.
func (a *app) entryLine(e *store.BlacklistEntry) string {
	if e == nil {
		return ""
	}
	s := e.Kind + " " + e.Target
	if e.Starts.After(a.now()) {
		s += ", from " + a.when(e.Starts)
	}
	if e.Until.IsZero() {
		s += ", for ever"
	} else {
		s += ", until " + a.when(e.Until)
	}
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	if e.Owner != "" {
		s += " (" + e.Owner + ")"
	}
	return s
}

// period sets when an entry starts and ends.
func (a *app) period(e *store.BlacklistEntry, from, until string) (err error) {
	e.Starts = a.now().UTC().Truncate(time.Millisecond)
	if from != "" {
		if e.Starts, err = a.readMoment(from); err != nil {
			return err
		}
	}
	if until != "" {
		if e.Until, err = a.moment(until); err != nil {
			return err
		}
	}
	switch {
	case e.Downtime && until == "":
		return badInput("a downtime has an end: give --until")
	case until != "" && !e.Until.After(e.Starts):
		return badInput("it would end before it starts: from %s until %s", a.stamp(e.Starts), a.stamp(e.Until))
	}
	return checkKind(e.Kind)
}

func checkKind(kind string) error {
	if !slices.Contains(store.ExemptKinds(), kind) {
		return badInput("nodes, sites, PCUs, slices and persons may be exempt: write node, site, pcu, slice or person, not %q", kind)
	}
	return nil
}

// atSiteDesk gives an order that a site's workflow should hear of at once, where there is one; without Temporal it is
// given all the same.
func (a *app) atSiteDesk(ctx context.Context, kind string, do func(context.Context, orders.Desk) error) error {
	return a.atDesk(ctx, func(ctx context.Context, d orders.Desk) error {
		if kind == store.OfSite || kind == store.OfSlice {
			tc, err := a.openTemporalSoon(ctx)
			if err != nil {
				a.warn("the site sees it with its next look: %v", err)
			} else {
				defer tc.Close()
				d.Temporal = tc
			}
		}
		return do(ctx, d)
	})
}

func (a *app) exemptRemove() *cobra.Command {
	var f reasonFlags
	cmd := &cobra.Command{
		Use: "remove node|site|pcu|slice|person TARGET", Args: takes("the kind", "TARGET"), Aliases: []string{"rm"}, ValidArgsFunction: a.completeEntry(),
		Short:   "End every exemption of a target that stands in Monitor's own list",
		Example: "  monitor exempt remove node planetlab1.example.edu --reason \"it stands in its new room\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkKind(args[0]); err != nil {
				return err
			}
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				return a.takeBack(ctx, r, f.order(a), "exemptions", args[0], args[1], "no longer exempt")
			}); done {
				return err
			}
			return a.atSiteDesk(cmd.Context(), args[0], func(ctx context.Context, d orders.Desk) error {
				if _, err := d.EndExemption(ctx, f.order(a), args[0], args[1]); err != nil {
					return err
				}
				return a.show(targetView{args[0], args[1]}, func() { a.say("no longer exempt: %s %s", args[0], args[1]) })
			})
		},
	}
	f.add(cmd)
	return cmd
}

func (a *app) disabled() *cobra.Command {
	var l repeated
	cmd := &cobra.Command{
		Use: "disabled", Short: "List what is out of service, and by whose hand: nodes, sites, slices", Args: takes(),
		Long: "List what is out of service: nodes whose boot state is disabled or safeboot, sites that may create no slices, and slices that\n" +
			"Monitor has suspended. Where Monitor did it, its issue or site stands there; all else was done by others.",
		Example: "  monitor disabled\n  monitor disabled -o json",
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return l.repeat(cmd.Context(), a, func() error {
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				var list []store.Disabled
				if err := r.get(ctx, "/disabled", nil, &list); err != nil {
					return err
				}
				return few(a, &l, list, a.drawDisabled)
			}); done {
				return err
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) error {
				list, err := db.Disabled(ctx)
				if err != nil {
					return err
				}
				for i := range list {
					list[i].Since = list[i].Since.UTC()
				}
				return few(a, &l, list, a.drawDisabled)
			})
		})
	}
	l.addFlags(cmd)
	return cmd
}

func (a *app) drawDisabled(list []store.Disabled) {
	var rows []row
	for _, d := range list {
		by := "not Monitor"
		if d.By != "" {
			by = "Monitor, for " + d.By
		}
		rows = append(rows, row{d.Kind, d.Target, d.Site, d.What, by, d.Since})
	}
	a.table("nothing is disabled", row{"KIND", "TARGET", "SITE", "WHAT", "BY", "SINCE"}, rows)
}

func (a *app) completeEntry() cobra.CompletionFunc {
	return a.completeKind(store.ExemptKinds(), func(kind string) lister {
		switch kind {
		case kindSite:
			return siteNames
		case kindPCU:
			return pcuNames
		case store.OfSlice, store.OfPerson:
			return nothing
		}
		return hostNames
	})
}
