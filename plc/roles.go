package plc

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Roles reads which roles the client's own account has at PLC; without a login there are none.
func (c *Client) Roles(ctx context.Context) ([]string, error) {
	if c.user == "" {
		return nil, nil
	}
	own := []string{c.user, strings.ToLower(c.user)}
	v, err := c.read(ctx, "GetPersons", own, []string{"person_id", "email", "roles", "peer_id"})
	if err != nil {
		return nil, err
	}
	rows, err := rowsOf("GetPersons", v, "person_id")
	if err != nil {
		return nil, err
	}
	for _, r := range ours(rows) {
		if strings.EqualFold(r.str("email"), c.user) {
			return r.strs("roles"), nil
		}
	}
	return nil, fmt.Errorf("plc GetPersons: the account %s: %w", c.user, ErrNotFound)
}

// mustBeAdmin refuses to go on where PLC would answer less than there is.
func (c *Client) mustBeAdmin(ctx context.Context) error {
	roles, err := c.Roles(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(roles, "admin") {
		return fmt.Errorf("plc: account %q has the roles %q: %w", c.user, roles, ErrNotAdmin)
	}
	return nil
}
