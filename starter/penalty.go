package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/store"
)

// penaltyView is an order about a site's level, and what it does.
type penaltyView struct {
	Site   string                  `json:"site"`
	Was    int                     `json:"was"`
	Level  *int                    `json:"level"` // null: the order was taken back
	Until  time.Time               `json:"until,omitzero"`
	Would  []string                `json:"would"`
	Gate   activities.WhyNotAnswer `json:"gate,omitzero"`
	DryRun bool                    `json:"dry_run"`
}

func (a *app) sitePenalty() *cobra.Command {
	var f reasonFlags
	var level int
	var until string
	var yes, end, dry bool
	cmd := &cobra.Command{
		Use: "penalty LOGIN_BASE --level N | LOGIN_BASE --end", Args: takes("LOGIN_BASE"), ValidArgsFunction: a.complete(siteNames),
		Short: "Set a site's penalty level by hand, or take that back",
		Long: `Set a site's penalty level by hand, whatever its issues ask, until a time or until it is taken back. It falls at once. It
rises step by step: the site's people are told first, as before any step, and the gate is asked, of which an operator
passes over only that the site is short of nodes. What the level does is shown first: which slices are suspended, or run
again.`,
		Example: `  monitor site penalty princeton --level 0 --reason "their new machine room" --until 14d
  monitor site penalty princeton --level 2 --reason "misuse of their slices" --dry-run
  monitor site penalty princeton --end --reason "they have answered"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if end == cmd.Flags().Changed("level") {
				return badInput("give --level, 0 to 2, or --end, to take the order back")
			}
			if strings.TrimSpace(f.reason) == "" {
				return badInput("--reason is missing: the ledger keeps it, and the site's people are told of it")
			}
			p := penaltyOrder{Order: f.order(a), site: args[0], level: level, end: end, yes: yes}
			p.DryRun = dry
			if until != "" {
				var err error
				if p.until, err = a.moment(until); err != nil {
					return err
				}
			}
			return a.atDeskFor(cmd.Context(), func(d orders.Desk) error {
				ctx, cancel := a.within(cmd.Context(), 4*patience) // a worker asks PLC first
				defer cancel()
				return a.orderPenalty(ctx, d, p)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().IntVar(&level, "level", 0, "the `level`: 0 denies nothing, 1 new slices, 2 suspends the slices")
	cmd.Flags().StringVar(&until, "until", "", "`when` the order ends by itself: "+momentHelp)
	cmd.Flags().BoolVar(&end, "end", false, "take the order back: the level is what the issues ask again")
	cmd.Flags().BoolVar(&yes, "yes", false, "do it without asking once more")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "show what it would do, and do nothing")
	return cmd
}

// penaltyOrder is what the flags say of a level.
type penaltyOrder struct {
	orders.Order
	site     string
	level    int
	until    time.Time
	end, yes bool
}

func (a *app) orderPenalty(ctx context.Context, d orders.Desk, p penaltyOrder) error {
	row, err := d.Store.Site(ctx, p.site)
	if errors.Is(err, store.ErrNotFound) {
		return notFound("no site %s is known: see `monitor site list`", p.site)
	}
	if err != nil {
		return err
	}
	v := penaltyView{Site: p.site, Was: row.PenaltyLevel, Until: p.until.UTC(), DryRun: p.DryRun, Would: []string{}}
	if p.end {
		if _, err := d.EndPenalty(ctx, p.Order, p.site); err != nil {
			return err
		}
		return a.show(v, func() { a.say("the level of %s is what its issues ask again; it is at %d", p.site, v.Was) })
	}
	v.Level = &p.level
	if v.Gate, err = d.WouldPenalize(ctx, p.Order, p.site, p.level); err != nil {
		return err
	}
	v.Would = append(v.Would, v.Gate.Would...)
	if !p.DryRun {
		question := fmt.Sprintf("Set %s from level %d to %d?", p.site, v.Was, p.level)
		if err := a.confirm(p.yes, question, func(a *app) { a.drawPenalty(v) }); err != nil {
			return err
		}
	}
	if _, err := d.Penalty(ctx, p.Order, p.site, p.level, p.until); err != nil {
		return err
	}
	return a.show(v, func() { a.drawPenalty(v) })
}

func (a *app) drawPenalty(v penaltyView) {
	what := "ordered"
	if v.DryRun {
		what = "not ordered: a dry run"
	}
	a.say("%s: level %d to %d (%s)", v.Site, v.Was, *v.Level, what)
	for _, line := range v.Would {
		a.say("  %s", line)
	}
	if len(v.Would) == 0 {
		a.say("  nothing changes in PLC")
	}
	if *v.Level > v.Was {
		a.facts(row{"next step", a.verdict(v.Gate)}, row{"until", a.when(v.Until)})
	}
}
