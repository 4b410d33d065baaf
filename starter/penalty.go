package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
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
			if r, err := a.remote(); err != nil {
				return err
			} else if r != nil {
				ctx, cancel := a.within(cmd.Context(), 4*patience)
				defer cancel()
				return flagged(a.orderPenaltyRemotely(ctx, r, p))
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
	if v.Gate, err = d.WouldPenalize(ctx, p.Order, p.site, p.level); err != nil {
		return err
	}
	return a.confirmPenalty(p, v, func() error {
		_, err := d.Penalty(ctx, p.Order, p.site, p.level, p.until)
		return err
	})
}

// confirmPenalty shows what a level would do, and gives the order where that is wished.
func (a *app) confirmPenalty(p penaltyOrder, v penaltyView, give func() error) error {
	v.Level = &p.level
	v.Would = append(v.Would, v.Gate.Would...)
	if !p.DryRun {
		question := fmt.Sprintf("Set %s from level %d to %d?", p.site, v.Was, p.level)
		if err := a.confirm(p.yes, question, func(a *app) { a.drawPenalty(v) }); err != nil {
			return err
		}
	}
	if err := give(); err != nil {
		return err
	}
	return a.show(v, func() { a.drawPenalty(v) })
}

// orderPenaltyRemotely is orderPenalty over the API.
func (a *app) orderPenaltyRemotely(ctx context.Context, r *apiServer, p penaltyOrder) error {
	path := pathOf("sites", p.site, "penalty")
	more := map[string]any{"level": p.level, "until": p.until}
	v := penaltyView{Site: p.site, Until: p.until.UTC(), DryRun: p.DryRun, Would: []string{}}
	var given struct {
		Was  int                     `json:"was"`
		Gate activities.WhyNotAnswer `json:"gate"`
	}
	if p.end {
		query := url.Values{"reason": {p.Reason}, "dryRun": {strconv.FormatBool(p.DryRun)}}
		if err := r.send(ctx, http.MethodDelete, path+"?"+query.Encode(), nil, &given); err != nil {
			return err
		}
		v.Was = given.Was
		return a.show(v, func() { a.say("the level of %s is what its issues ask again; it is at %d", p.site, v.Was) })
	}
	if err := r.post(ctx, path+"?dryRun=true", p.Order, more, &given); err != nil {
		return err
	}
	v.Was, v.Gate = given.Was, given.Gate
	return a.confirmPenalty(p, v, func() error {
		if p.DryRun {
			return nil
		}
		return r.post(ctx, path, p.Order, more, &given)
	})
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
		a.say("  nothing changes for its slices")
	}
	if *v.Level > v.Was {
		a.facts(row{"next step", a.verdict(v.Gate)}, row{"until", a.when(v.Until)})
	}
}
