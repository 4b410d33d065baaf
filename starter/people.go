package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/site"
)

// peopleOf asks a site's workflow; a site of which nothing is held and to which nothing is said has none.
func (a *app) peopleOf(ctx context.Context, login string) *answers.People {
	tc, err := a.openTemporal(ctx)
	if err == nil {
		defer tc.Close()
		var s site.State
		if s, err = answers.SiteState(ctx, tc, login); err == nil {
			v := answers.PeopleOf(s)
			return &v
		}
	}
	if !errors.Is(err, answers.ErrNoWorkflow) {
		a.warn("what the site is told and denied is not shown: %v", err)
	}
	return nil
}

func (a *app) drawPeople(v answers.People) {
	paused, ticket := "", ""
	if v.Paused {
		paused = v.PauseReason
		if !v.PausedUntil.IsZero() {
			paused += ", until " + a.when(v.PausedUntil)
		}
	}
	if v.Ticket != 0 {
		ticket = fmt.Sprint(v.Ticket)
	}
	a.facts(row{"penalty", fmt.Sprintf("level %d", v.Level)}, row{"why", v.Reason}, row{"issues", strings.Join(v.Holds, ", ")}, row{"spared", v.Spared}, row{"next step", a.when(v.NextStep)},
		row{"paused", paused}, row{"ticket", ticket}, row{"waits", v.Waits}, row{"to be said", strings.Join(v.Gathered, ", ")})
}

func (a *app) siteOrder(name string) *cobra.Command {
	var f reasonFlags
	var w orders.Words
	var until string
	cmd := &cobra.Command{
		Use: name + " LOGIN_BASE", Short: "Let a site's penalty rise again", Args: takes("LOGIN_BASE"), ValidArgsFunction: a.complete(siteNames),
		Example: "  monitor site resume princeton --reason \"the room is ready\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			if until != "" {
				var err error
				if w.Until, err = a.moment(until); err != nil {
					return err
				}
			}
			return a.orderSite(cmd.Context(), f.order(a), args[0], issue.Order(name), w)
		},
	}
	if name == string(issue.OrderPause) {
		cmd.Short = "Hold a site's penalty where it is: it may fall and does not rise"
		cmd.Long = cmd.Short + ".\n\nIts issues go on looking, and writing. To keep Monitor away from a site altogether, use `monitor exempt set site`."
		cmd.Example = "  monitor site pause princeton --until 14d --reason \"they move to a new machine room\""
		cmd.Flags().StringVar(&until, "until", "", "`when` the pause ends by itself: "+momentHelp)
	}
	f.add(cmd)
	cmd.Flag("reason").Usage = "`why`; the site's people are told when the pause is over"
	return cmd
}

func (a *app) orderSite(ctx context.Context, o orders.Order, login string, name issue.Order, w orders.Words) error {
	if done, err := a.overAPI(ctx, func(ctx context.Context, r *apiServer) error {
		var given struct {
			orders.Receipt
			People answers.People `json:"people"`
		}
		if err := r.post(ctx, pathOf("sites", login, string(name)), o, map[string]any{"until": w.Until}, &given); err != nil {
			return err
		}
		a.noted(given.Receipt)
		return a.show(given.People, func() { a.say("%s", clean(login)); a.drawPeople(given.People) })
	}); done {
		return err
	}
	return a.atDeskWithTemporal(ctx, func(ctx context.Context, d orders.Desk) error {
		r, s, err := d.Site(ctx, o, name, login, w)
		if err != nil {
			return err
		}
		a.noted(r)
		v := answers.PeopleOf(s.State)
		return a.show(v, func() { a.say("%s", clean(login)); a.drawPeople(v) })
	})
}
