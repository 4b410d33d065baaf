package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/store"
)

const kindNode, kindSite, kindPCU = "node", "site", "pcu"

func (a *app) blacklist() *cobra.Command {
	cmd := group("blacklist", "Nodes, sites and PCUs that are looked at but not acted on",
		"  monitor blacklist list\n  monitor blacklist add node planetlab1.example.edu --until 3d --reason \"being moved\"")
	cmd.AddCommand(a.blacklistList(), a.blacklistAdd(), a.blacklistRemove())
	return cmd
}

func (a *app) blacklistList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the blacklist, downtimes included", Args: takes(), Aliases: []string{"ls"},
		Example: "  monitor blacklist list\n  monitor blacklist list -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				var list []store.BlacklistEntry
				if err := r.get(ctx, "/silences", nil, &list); err != nil {
					return err
				}
				return a.show(list, func() { a.blacklistTable(list) })
			}); done {
				return err
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) error {
				list, err := db.Blacklist(ctx)
				if err != nil {
					return err
				}
				for i := range list {
					list[i].Starts, list[i].Until = list[i].Starts.UTC(), list[i].Until.UTC()
				}
				return a.show(list, func() { a.blacklistTable(list) })
			})
		},
	}
}

func (a *app) blacklistTable(list []store.BlacklistEntry) {
	var rows []row
	for _, e := range list {
		var until any = "for ever"
		if !e.Until.IsZero() {
			until = e.Until
		}
		now, what := "in force", "blacklist"
		switch {
		case e.Starts.After(a.now()):
			now = "to come"
		case !e.Until.IsZero() && !e.Until.After(a.now()):
			now = "over"
		}
		if e.Downtime {
			what = "downtime"
		}
		rows = append(rows, row{e.Kind, e.Target, what, now, e.Starts, until, orDash(e.Owner), orDash(e.Reason)})
	}
	a.table("the blacklist is empty", row{"KIND", "TARGET", "WHAT", "NOW", "FROM", "UNTIL", "BY", "REASON"}, rows)
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

func (a *app) blacklistAdd() *cobra.Command {
	var f reasonFlags
	var e store.BlacklistEntry
	var from, until string
	cmd := &cobra.Command{
		Use: "add node|site|pcu TARGET", Args: takes("node, site or pcu", "TARGET"),
		Short:             "Put a node, a site or a PCU on the blacklist, or announce a downtime",
		ValidArgsFunction: a.completeEntry(),
		Long: "Put a node, a site or a PCU on the blacklist: it is looked at, and neither rebooted, reinstalled nor written about.\n" +
			"A PCU on it is not used. It holds until it is removed, or until --until. With --downtime it is a planned one, which has an end.",
		Example: `  monitor blacklist add node planetlab1.example.edu --reason "being moved"
  monitor blacklist add site princeton --downtime --from 2026-12-24 --until 2026-12-27 --reason "power works"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			e.Kind, e.Target = args[0], args[1]
			if err := a.period(&e, from, until); err != nil {
				return err
			}
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				var given silenced
				more := map[string]any{"kind": e.Kind, "target": e.Target, "from": e.Starts, "until": e.Until, "downtime": e.Downtime}
				if err := r.post(ctx, "/silences", f.order(a), more, &given); err != nil {
					return err
				}
				return a.show(given.Silence, func() { a.say("blacklisted: %s", clean(a.entryLine(&given.Silence))) })
			}); done {
				return err
			}
			return a.atDesk(cmd.Context(), func(ctx context.Context, d orders.Desk) error {
				_, e, err := d.Blacklist(ctx, f.order(a), e)
				if err != nil {
					return err
				}
				return a.show(e, func() { a.say("blacklisted: %s", clean(a.entryLine(&e))) })
			})
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "`when` it starts (default now): "+momentHelp)
	cmd.Flags().StringVar(&until, "until", "", "`when` it ends by itself: "+momentHelp)
	f.add(cmd)
	cmd.Flags().BoolVar(&e.Downtime, "downtime", false, "it is a planned downtime; --until is needed")
	return cmd
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

func (a *app) blacklistRemove() *cobra.Command {
	var f reasonFlags
	cmd := &cobra.Command{
		Use: "remove node|site|pcu TARGET", Args: takes("node, site or pcu", "TARGET"),
		Short:   "Take a node, a site or a PCU off the blacklist, with all its downtimes",
		Aliases: []string{"rm"}, ValidArgsFunction: a.completeEntry(),
		Example: "  monitor blacklist remove node planetlab1.example.edu\n  monitor blacklist remove site princeton",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkKind(args[0]); err != nil {
				return err
			}
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				return a.takeBack(ctx, r, f.order(a), "silences", args[0], args[1], "off the blacklist")
			}); done {
				return err
			}
			return a.atDesk(cmd.Context(), func(ctx context.Context, d orders.Desk) error {
				if _, err := d.Unsilence(ctx, f.order(a), args[0], args[1]); err != nil {
					return err
				}
				removed := struct {
					Kind   string `json:"kind"`
					Target string `json:"target"`
				}{args[0], args[1]}
				return a.show(removed, func() { a.say("off the blacklist: %s %s", removed.Kind, clean(removed.Target)) })
			})
		},
	}
	f.add(cmd)
	return cmd
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
