package plc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Account is a person of our own, as PLC has him now.
type Account struct {
	PersonID int
	Email    string
	Roles    []string
	SiteIDs  []int
	Enabled  bool
}

// Account reads the person with an address; ErrNotFound: there is none. Capitals make no difference.
func (c *Client) Account(ctx context.Context, email string) (Account, error) {
	if email == "" {
		return Account{}, errors.New("plc: an account needs its address")
	}
	spellings := slices.Compact([]string{email, strings.ToLower(email)})
	v, err := c.read(ctx, "GetPersons", spellings, []string{"person_id", "email", "roles", "site_ids", "enabled", "peer_id"})
	if err != nil {
		return Account{}, err
	}
	rows, err := rowsOf("GetPersons", v, "person_id")
	if err != nil {
		return Account{}, err
	}
	for _, r := range ours(rows) {
		if strings.EqualFold(r.str("email"), email) {
			return Account{r.int("person_id"), r.str("email"), r.strs("roles"), r.ints("site_ids"), r.bool("enabled")}, nil
		}
	}
	return Account{}, fmt.Errorf("plc GetPersons: the account: %w", ErrNotFound)
}

// CheckPassword answers nil when PLC takes a password for that of an account, and ErrAuth when it does not. It is asked
// as that account, not as the client's own.
func (c *Client) CheckPassword(ctx context.Context, email string, password Secret) error {
	if email == "" || password == "" {
		return ErrAuth
	}
	own := Client{url: c.url, user: email, http: c.http, timeout: c.timeout, wait: c.wait,
		auth: map[string]any{"AuthMethod": "password", "Username": email, "AuthString": password.Reveal()}}
	_, _, err := own.call(ctx, "AuthCheck")
	return err
}
