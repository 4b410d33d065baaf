package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/store"
)

func (a *app) token() *cobra.Command {
	cmd := group("token", "Tokens with which programs, and people on a command line, use the API",
		"  monitor token list\n  monitor token add grafana --role viewer --reason \"the wall in the hall\"")
	cmd.AddCommand(a.tokenAdd(), a.tokenList(), a.tokenRevoke())
	return cmd
}

// tokenView is a token that was just made, with its text, which is not kept.
type tokenView struct {
	store.Token
	Text string `json:"token"`
}

func (a *app) tokenAdd() *cobra.Command {
	var f reasonFlags
	var role, last string
	var sites []string
	roles := namesOf(access.Roles(), func(r access.Role) string { return string(r) })
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Make a token, and print it once", Args: takes("NAME"),
		Long: `Make a token, and print it: once, since only its hash is kept. docs/access.md says what each role may do.

The roles viewer, operator and admin hold at all sites unless --site names some; the role site holds only at those that
are named.`,
		Example: `  monitor token add grafana --role viewer --reason "the wall in the hall"
  monitor token add night-shift --role operator --for 30d --reason "the laptop of the night shift"
  monitor token add princeton-tech --role site --site princeton --for 366d`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("--role", role, roles); err != nil {
				return err
			}
			if role == "" {
				return badInput("--role is missing: say %s", strings.Join(roles, ", "))
			}
			if len(sites) == 0 && role != string(access.Site) {
				sites = []string{access.AllSites}
			}
			good, err := config.ParsePolicyTime(last)
			if err != nil {
				return badInput("--for: %w", err)
			}
			expires := a.now().Add(good).Truncate(time.Second)
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				var given struct {
					Text  string      `json:"token"`
					About store.Token `json:"about"`
				}
				more := map[string]any{"name": args[0], "role": role, "sites": sites, "expires": expires}
				if err := r.post(ctx, "/tokens", f.order(a), more, &given); err != nil {
					return err
				}
				return a.showToken(tokenView{given.About, given.Text})
			}); done {
				return err
			}
			return a.atDesk(cmd.Context(), func(ctx context.Context, d orders.Desk) error {
				_, t, text, err := d.AddToken(ctx, f.order(a), args[0], access.Role(role), sites, expires)
				if err != nil {
					return err
				}
				return a.showToken(tokenView{t, text})
			})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&role, "role", "", "what its holder is: `"+strings.Join(roles, "|")+"`")
	cmd.Flags().StringSliceVar(&sites, "site", nil, "only at the site with this `login_base`; may be given again")
	cmd.Flags().StringVar(&last, "for", "90d", "how `long` it is good, in real time such as 30d, a year at most")
	_ = cmd.RegisterFlagCompletionFunc("role", a.fixed(roles...))
	_ = cmd.RegisterFlagCompletionFunc("site", a.complete(siteNames))
	return cmd
}

func (a *app) showToken(t tokenView) error {
	return a.show(t, func() {
		a.say("%s", t.Text)
		a.warn("this is shown once, and lets whoever has it in as %s of %s until %s", t.Role, strings.Join(t.Sites, ", "), a.when(t.Expires))
	})
}

func (a *app) tokenList() *cobra.Command {
	var l repeated
	cmd := &cobra.Command{
		Use: "list", Short: "List tokens, also those that are over", Args: takes(), Aliases: []string{"ls"},
		Example: "  monitor token list\n  monitor token list -o json",
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return l.repeat(cmd.Context(), a, func() error {
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				var list []store.Token
				if err := r.get(ctx, "/tokens", nil, &list); err != nil {
					return err
				}
				return few(a, &l, list, a.tokenTable)
			}); done {
				return err
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) error {
				list, err := db.Tokens(ctx)
				if err != nil {
					return err
				}
				for i := range list {
					t := &list[i]
					t.Created, t.Expires, t.Used, t.Revoked = t.Created.UTC(), t.Expires.UTC(), t.Used.UTC(), t.Revoked.UTC()
				}
				return few(a, &l, list, a.tokenTable)
			})
		})
	}
	l.addFlags(cmd)
	return cmd
}

func (a *app) tokenTable(list []store.Token) {
	var rows []row
	for _, t := range list {
		now := "good"
		switch {
		case !t.Revoked.IsZero():
			now = "revoked"
		case !t.Good(a.now()):
			now = "over"
		}
		rows = append(rows, row{t.Name, t.Role, strings.Join(t.Sites, ", "), now, t.Expires, t.Used, orDash(t.UsedFrom), t.CreatedBy})
	}
	a.table("there are no tokens", row{"NAME", "ROLE", "SITES", "NOW", "EXPIRES", "LAST USED", "FROM", "MADE BY"}, rows)
}

func (a *app) tokenRevoke() *cobra.Command {
	var f reasonFlags
	cmd := &cobra.Command{
		Use: "revoke NAME", Short: "Shut a token out at once", Args: takes("NAME"), ValidArgsFunction: a.complete(tokenNames),
		Example: "  monitor token revoke night-shift --reason \"the laptop was lost\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			revoked := struct {
				Name string `json:"name"`
			}{args[0]}
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				path := pathOf("tokens", args[0]) + "?" + url.Values{"reason": {f.reason}}.Encode()
				if err := r.send(ctx, http.MethodDelete, path, nil, &orders.Receipt{}); err != nil {
					return err
				}
				return a.show(revoked, func() { a.say("shut out: %s", clean(args[0])) })
			}); done {
				return err
			}
			return a.atDesk(cmd.Context(), func(ctx context.Context, d orders.Desk) error {
				if _, err := d.RevokeToken(ctx, f.order(a), args[0]); err != nil {
					return err
				}
				return a.show(revoked, func() { a.say("shut out: %s", clean(args[0])) })
			})
		},
	}
	f.add(cmd)
	return cmd
}

func tokenNames(ctx context.Context, db *store.Store) ([]string, error) {
	list, err := db.Tokens(ctx)
	return namesOf(list, func(t store.Token) string { return t.Name }), err
}
