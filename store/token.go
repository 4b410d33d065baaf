package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Token lets a program, or a person on a command line, in. Its secret is not kept.
type Token struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Role      string    `json:"role"`
	Sites     []string  `json:"sites"`
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
	Reason    string    `json:"reason,omitempty"`
	Expires   time.Time `json:"expires"`
	Used      time.Time `json:"used,omitzero"` // when it was last used, to the minute
	UsedFrom  string    `json:"used_from,omitempty"`
	Revoked   time.Time `json:"revoked,omitzero"`
	Hash      []byte    `json:"-"`
}

const tokenSQL = `select id, name, role, sites, created, created_by, reason, expires,
	coalesce(used,` + epoch + `) used, used_from, coalesce(revoked,` + epoch + `) revoked, hash from token `

// Good reports whether the token lets anybody in at a time.
func (t Token) Good(now time.Time) bool { return t.Revoked.IsZero() && now.Before(t.Expires) }

// Token reads one by its id.
func (s *Store) Token(ctx context.Context, id string) (Token, error) {
	return one[Token](ctx, s, "token "+id, tokenSQL+`where id = $1`, id)
}

// Tokens reads all of them, also those that are over, the latest first.
func (s *Store) Tokens(ctx context.Context) ([]Token, error) {
	return many[Token](ctx, s, "tokens", tokenSQL+`order by created desc, id`)
}

// TokenUsed writes down that a token let somebody in, once a minute at most.
func (s *Store) TokenUsed(ctx context.Context, id, from string, now time.Time) error {
	_, err := s.pool.Exec(ctx, `update token set used = $2, used_from = $3 where id = $1
		and (used is null or used < $2::timestamptz - interval '1 minute' or used_from <> $3)`, id, now, from)
	if err != nil {
		return fmt.Errorf("token %s: %w", id, err)
	}
	return nil
}

// PutToken is the effect that lets a token in.
func PutToken(t Token) Effect {
	return func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `insert into token (id, name, hash, role, sites, created_by, reason, expires)
			values ($1,$2,$3,$4,$5,$6,$7,$8)`, t.ID, t.Name, t.Hash, t.Role, t.Sites, t.CreatedBy, t.Reason, t.Expires)
		return err
	}
}

// RevokeToken is the effect that shuts a token out, by its name; that none has it is ErrNotFound.
func RevokeToken(name string) Effect {
	return func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `update token set revoked = now() where name = $1 and revoked is null`, name)
		if err == nil && tag.RowsAffected() == 0 {
			err = fmt.Errorf("token %s: %w", name, ErrNotFound)
		}
		return err
	}
}
