package main

import (
	"context"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/notify/bounce"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

func (a *app) mail() *cobra.Command {
	cmd := group("mail", "Take mail that came back", "  monitor mail bounced < letter.eml")
	cmd.AddCommand(a.mailBounced())
	return cmd
}

// bouncedView is what a letter of a mail server has come to.
type bouncedView struct {
	Site string   `json:"site,omitempty"`
	Dead []string `json:"out_of_reach"`
	Why  string   `json:"why_not,omitempty"` // nothing is kept of it
}

func (a *app) mailBounced() *cobra.Command {
	return &cobra.Command{
		Use: "bounced [FILE]", Short: "Read a mail server's letter that somebody could not be reached, from a file or standard input",
		Long: `Read a mail server's letter that somebody could not be reached (RFC 3464, or Exim's own). What it says of the people of
the site that was written to is kept as evidence: the admins are told with the next sweep, and what is written to the
others names him for two weeks. Any other letter is left alone, and that is no error, so that a mail server may hand
over everything that comes to the sender's address.`,
		Example: `  monitor mail bounced < letter.eml
  monitor mail bounced letter.eml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := a.in
			if len(args) > 0 {
				f, err := os.Open(args[0])
				if err != nil {
					return badInput("%w", err)
				}
				defer f.Close()
				in = f
			}
			letter, err := readLetter(in)
			if err != nil {
				return err
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) error {
				view, err := a.keepBounce(ctx, db, letter)
				if err != nil {
					return err
				}
				return a.show(view, func() {
					if view.Why != "" {
						a.say("left alone: %s", clean(view.Why))
						return
					}
					a.say("out of reach at %s: %s", clean(view.Site), clean(strings.Join(view.Dead, ", ")))
				})
			})
		},
	}
}

func readLetter(in io.Reader) (bounce.Letter, error) {
	letter, err := bounce.Read(in)
	if err != nil {
		return letter, badInput("%w", err)
	}
	return letter, nil
}

// keepBounce writes down whom a letter says is out of reach. Anybody may write such a letter, so that it must bring back
// a message of ours, and counts for the people of that message's site alone.
func (a *app) keepBounce(ctx context.Context, db *store.Store, letter bounce.Letter) (bouncedView, error) {
	view := bouncedView{Dead: []string{}}
	if len(letter.Failures) == 0 {
		view.Why = "it does not say that somebody could not be reached"
		return view, nil
	}
	var err error
	if view.Site, err = db.SiteOfMessage(ctx, letter.Returned); err != nil {
		return view, err
	}
	if view.Site == "" {
		view.Why = "it brings back no message of ours"
		return view, nil
	}
	cfg, err := a.config("database")
	if err != nil {
		return view, err
	}
	people, _, err := db.Contacts(ctx, view.Site, policy.Audience(policy.Top), a.now())
	if err != nil {
		return view, err
	}
	for _, f := range letter.Failures {
		for _, p := range people {
			if !strings.EqualFold(p.Email, f.To) {
				continue
			}
			sign, err := activities.OutOfReach(cfg.Policy.InRealTime(), view.Site, p.Email, f.Why, a.now())
			if err == nil {
				_, _, err = db.Intent(ctx, sign)
			}
			if err != nil {
				return view, err
			}
			view.Dead = append(view.Dead, p.Email)
		}
	}
	if len(view.Dead) == 0 {
		view.Why = "it names nobody of " + view.Site
	}
	return view, nil
}
