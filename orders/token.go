package orders

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/store"
)

// LongestToken is how long a token may be good: a secret that nobody renews is a secret that nobody watches.
const LongestToken = 366 * 24 * time.Hour

// AddToken makes a token. Its text is answered here, and cannot be had again.
func (d Desk) AddToken(ctx context.Context, o Order, name string, role access.Role, sites []string,
	expires time.Time) (r Receipt, t store.Token, text string, err error) {
	return d.addToken(ctx, o, access.TokenManage, name, role, sites, expires)
}

// OwnToken makes a token of the role that its giver has, for as long as is said: whoever has shown who he is works with it.
func (d Desk) OwnToken(ctx context.Context, o Order, good time.Duration) (Receipt, store.Token, string, error) {
	now := d.now()
	name := "login of " + clean.Bounded(strings.ReplaceAll(o.Who.Account, "/", "_"), 50) + " at " + now.UTC().Format("2006-01-02T15:04:05.000")
	return d.addToken(ctx, o, access.TokenOwn, name, o.Who.Role, o.Who.Sites, now.Add(good))
}

func (d Desk) addToken(ctx context.Context, o Order, verb access.Verb, name string, role access.Role, sites []string,
	expires time.Time) (r Receipt, t store.Token, text string, err error) {
	now := d.now()
	switch {
	case strings.TrimSpace(name) == "" || !clean.Is(name, 100) || strings.ContainsAny(name, "/\n"):
		return r, t, "", invalid("%q is no name for a token: give it one of at most 100 characters, without a slash", name)
	case !expires.After(now):
		return r, t, "", invalid("the token would be over before it began: %s", expires.UTC().Format(time.RFC3339))
	case expires.After(now.Add(LongestToken)):
		return r, t, "", invalid("a token is good for a year at most: give an earlier day")
	}
	if err := access.CheckScope(role, sites); err != nil {
		return r, t, "", invalid("%w", err)
	}
	for _, site := range sites {
		if site == access.AllSites {
			continue
		}
		if _, err := d.Store.Site(ctx, site); errors.Is(err, store.ErrNotFound) {
			return r, t, "", notFound("no site %s is known: see `monitor site list`", site)
		} else if err != nil {
			return r, t, "", err
		}
	}
	text, id, hash := access.NewToken()
	t = store.Token{
		ID: id, Name: name, Role: string(role), Sites: sites, Created: now, CreatedBy: o.by(), Reason: o.reason(),
		Expires: expires.UTC(), Hash: hash[:],
	}
	r, err = d.give(ctx, o, act{
		verb: verb, target: name, effect: store.PutToken(t),
		does:  "let the token " + name + " in as " + string(role) + " of " + strings.Join(sites, ", "),
		words: map[string]any{"token": "add", "token_role": role, "token_sites": sites, "expires": t.Expires.Format(time.RFC3339)},
	})
	const unique = "23505" // Postgres: unique_violation
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == unique {
		err = refused("a token %s is there already: revoke it first, or give another name", name)
	}
	if err != nil || o.DryRun || r.Before { // of one that was made before, the text is nobody's any more
		text = ""
	}
	return r, t, text, err
}

// RevokeToken shuts a token out at once.
func (d Desk) RevokeToken(ctx context.Context, o Order, name string) (Receipt, error) {
	r, err := d.give(ctx, o, act{
		verb: access.TokenManage, target: name, effect: store.RevokeToken(name),
		does: "shut the token " + name + " out", words: map[string]any{"token": "revoke"},
	})
	if errors.Is(err, store.ErrNotFound) {
		err = notFound("no token %s is good: see `monitor token list`", name)
	}
	return r, err
}
