package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/workflows"
)

// peopleView is what a site's workflow says: who holds its penalty, what pauses it, and what it is told.
type peopleView struct {
	Level       int       `json:"penalty_level"`
	Reason      string    `json:"reason,omitempty"`
	Holds       []string  `json:"holds"` // issues that ask for a level, or only write
	NextStep    time.Time `json:"next_step,omitzero"`
	Paused      bool      `json:"paused"`
	PausedUntil time.Time `json:"paused_until,omitzero"`
	PauseReason string    `json:"pause_reason,omitempty"`
	Ticket      int       `json:"ticket,omitempty"`
	Waits       string    `json:"waits,omitempty"`
	Spared      string    `json:"spared,omitempty"`   // why nothing is denied, whatever issues ask
	Gathered    []string  `json:"gathered,omitempty"` // notices that wait to be said
}

func viewOfPeople(s site.State) peopleView {
	v := peopleView{Level: s.Level, Reason: s.Reason, Holds: []string{}, Ticket: s.Ticket.ID, Waits: s.Blocked}
	for _, id := range s.Holders(0) {
		v.Holds = append(v.Holds, fmt.Sprintf("%s at level %d", id, s.Holds[id].Level))
	}
	if p := s.Pause; p != nil {
		v.Paused, v.PausedUntil, v.PauseReason = true, p.Until.UTC(), p.Reason
		if p.By != "" && !p.Answer {
			v.PauseReason += " (" + p.By + ")"
		}
	}
	if s.Wanted() > s.Level && s.Pause == nil { // not before people were told of it, either
		v.NextStep = s.NextTry.UTC()
		if s.Warned != nil {
			v.NextStep = s.Warned.NotBefore.UTC()
		}
	}
	if s.Spared != nil {
		v.Spared = s.Spared.String()
	}
	gathered := s.Pending
	if s.Letter != nil {
		gathered = append(slices.Clone(s.Letter.Notices), gathered...)
	}
	for _, n := range gathered {
		v.Gathered = append(v.Gathered, strings.TrimSpace(n.Kind+" "+n.Ref.Target()))
	}
	return v
}

// peopleOf asks a site's workflow; a site of which nothing is held and to which nothing is said has none.
func (a *app) peopleOf(ctx context.Context, login string) *peopleView {
	tc, err := a.openTemporal(ctx)
	if err == nil {
		defer tc.Close()
		var s site.State
		if s, err = answers.SiteState(ctx, tc, login); err == nil {
			v := viewOfPeople(s)
			return &v
		}
	}
	if !errors.Is(err, answers.ErrNoWorkflow) {
		a.warn("what the site is told and denied is not shown: %v", err)
	}
	return nil
}

func (a *app) drawPeople(v peopleView) {
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
	var c issue.Command
	var until string
	cmd := &cobra.Command{
		Use: name + " LOGIN_BASE", Short: "Let a site's penalty rise again", Args: takes("LOGIN_BASE"), ValidArgsFunction: a.complete(siteNames),
		Example: "  monitor site resume princeton --reason \"the room is ready\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			if until != "" {
				var err error
				if c.Until, err = a.moment(until); err != nil {
					return err
				}
			}
			c.By = a.who(c.By)
			return a.orderSite(cmd.Context(), args[0], name, c)
		},
	}
	if name == string(issue.OrderPause) {
		cmd.Short = "Hold a site's penalty where it is: it may fall and does not rise"
		cmd.Long = cmd.Short + ".\n\nIts issues go on looking, and writing. To keep Monitor away from a site altogether, use `monitor blacklist add site`."
		cmd.Example = "  monitor site pause princeton --until 14d --reason \"they move to a new machine room\""
		cmd.Flags().StringVar(&until, "until", "", "`when` the pause ends by itself: "+momentHelp)
	}
	cmd.Flags().StringVar(&c.Reason, "reason", "", "`why`; the site's people are told when the pause is over")
	cmd.Flags().StringVar(&c.By, "by", "", "`who` gives the order (beside the account that runs this)")
	return cmd
}

func (a *app) orderSite(ctx context.Context, login, name string, c issue.Command) error {
	return a.withTemporal(ctx, func(ctx context.Context, tc client.Client) error {
		id := site.ID(login)
		handle, err := tc.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{WorkflowID: id, UpdateName: name, Args: []any{c}, WaitForStage: client.WorkflowUpdateStageCompleted})
		var s workflows.SiteAnswer
		if err == nil {
			err = handle.Get(ctx, &s)
		}
		var none *serviceerror.NotFound
		if errors.As(err, &none) {
			return notFound("no issue asks anything of site %s, so there is nothing to %s: see `monitor site show %s`, and `monitor blacklist add site` to keep Monitor away", login, name, login)
		}
		if err != nil {
			return orderError(id, err)
		}
		v := viewOfPeople(s.State)
		if s.TooLate != "" {
			a.warn("%s came too late: %s", name, s.TooLate)
		}
		return a.show(v, func() { a.say("%s", clean(login)); a.drawPeople(v) })
	})
}
