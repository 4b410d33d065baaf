package plc

import (
	"context"
	"errors"
	"fmt"

	"github.com/planetlab/monitor/policy"
)

// SiteRef names a site: by its id, which stays when PLC renames it, or, where the id is not known (0), by its
// login_base.
type SiteRef struct {
	SiteID    int
	LoginBase string
}

func (s SiteRef) String() string {
	if s.LoginBase != "" {
		return s.LoginBase
	}
	return fmt.Sprintf("%d", s.SiteID)
}

// SetBootState sets a node's boot state and reads it back.
func (c *Client) SetBootState(ctx context.Context, host, state string) error {
	if host == "" {
		return fmt.Errorf("plc: a boot state needs a host; %w", ErrRefused)
	}
	state = policy.CleanBootState(state)
	wrote := c.write(ctx, "UpdateNode", host, map[string]any{"boot_state": state})
	return confirm("boot state of "+host, state, wrote, func() (string, error) {
		n, err := c.Node(ctx, host)
		return n.BootState, err
	})
}

// SiteEnabled says whether a site may create slices.
func (c *Client) SiteEnabled(ctx context.Context, site SiteRef) (bool, error) {
	r, err := c.site(ctx, site)
	return r.bool("enabled"), err
}

// SiteUpdated says whether a site may create slices, and when its row in PLC was last written, in PLC's own time. A row
// that is older than a write of ours does not have that write: PLC was restored from a backup.
func (c *Client) SiteUpdated(ctx context.Context, site SiteRef) (enabled bool, updated int, err error) {
	r, err := c.site(ctx, site)
	return r.bool("enabled"), r.int("last_updated"), err
}

// SetSiteEnabled lets a site create slices, or not, and reads it back.
func (c *Client) SetSiteEnabled(ctx context.Context, site SiteRef, enabled bool) error {
	r, err := c.site(ctx, site)
	if err != nil {
		return fmt.Errorf("%w; %w", err, ErrRefused)
	}
	id := r.int("site_id") // a rename from here on does not lead astray
	wrote := c.write(ctx, "UpdateSite", id, map[string]any{"enabled": enabled})
	return confirm("enabled of site "+r.str("login_base"), enabled, wrote, func() (bool, error) {
		return c.SiteEnabled(ctx, SiteRef{SiteID: id})
	})
}

// site reads a site of our own.
func (c *Client) site(ctx context.Context, site SiteRef) (row, error) {
	var is any
	switch {
	case site.SiteID != 0:
		is = []int{site.SiteID}
	case site.LoginBase != "":
		is = []string{site.LoginBase}
	default: // PLC might take it for all sites
		return nil, errors.New("plc: a site needs its site_id or login_base")
	}
	return c.one(ctx, "GetSites", "site_id", site.String(), is, "site_id", "login_base", "enabled", "last_updated",
		"peer_id")
}

// one reads the row that a list of one id or name means, if it is ours.
func (c *Client) one(ctx context.Context, method, id, called string, is any, fields ...string) (row, error) {
	v, err := c.read(ctx, method, is, fields)
	if err != nil {
		return nil, err
	}
	rows, err := rowsOf(method, v, id)
	switch {
	case err != nil:
		return nil, err
	case len(rows) != 1:
		return nil, fmt.Errorf("plc %s %s: %w", method, called, ErrNotFound)
	case rows[0]["peer_id"] != nil:
		return nil, fmt.Errorf("plc %s %s: %w", method, called, ErrPeer)
	}
	return rows[0], nil
}
