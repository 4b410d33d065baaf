package plc

import (
	"context"
	"errors"
	"fmt"

	"github.com/planetlab/monitor/policy"
)

// ErrNotFound says that PLC has no such row.
var ErrNotFound = errors.New("PLC has no such row")

// ErrNotWritten says that PLC answered success and the change is not there.
var ErrNotWritten = errors.New("PLC accepted the change but did not make it")

// Node reads one node by its exact name.
func (c *Client) Node(ctx context.Context, host string) (Node, error) {
	r, err := c.one(ctx, "GetNodes", "node_id", host, "node_id", "hostname", "site_id", "boot_state", "run_level", "model", "last_contact", "pcu_ids", "ports", "ssh_rsa_key")
	return nodeOf(r), err
}

// SetBootState sets a node's boot state and reads it back.
func (c *Client) SetBootState(ctx context.Context, host, state string) error {
	if host == "" {
		return errors.New("plc: a boot state needs a host")
	}
	state = policy.CleanBootState(state)
	if _, err := c.call(ctx, "UpdateNode", host, map[string]any{"boot_state": state}); err != nil {
		return err
	}
	n, err := c.Node(ctx, host)
	if err != nil {
		return err
	}
	if n.BootState != state {
		return fmt.Errorf("plc: boot state of %s is %s, not %s: %w", host, n.BootState, state, ErrNotWritten)
	}
	return nil
}

// SiteEnabled says whether a site may create slices.
func (c *Client) SiteEnabled(ctx context.Context, loginBase string) (bool, error) {
	r, err := c.one(ctx, "GetSites", "site_id", loginBase, "site_id", "enabled")
	return r.bool("enabled"), err
}

// SetSiteEnabled lets a site create slices, or not, and reads it back.
func (c *Client) SetSiteEnabled(ctx context.Context, loginBase string, enabled bool) error {
	if loginBase == "" {
		return errors.New("plc: a site needs a login_base")
	}
	if _, err := c.call(ctx, "UpdateSite", loginBase, map[string]any{"enabled": enabled}); err != nil {
		return err
	}
	is, err := c.SiteEnabled(ctx, loginBase)
	if err != nil {
		return err
	}
	if is != enabled {
		return fmt.Errorf("plc: enabled of site %s is %v: %w", loginBase, is, ErrNotWritten)
	}
	return nil
}

// SuspendSlices suspends every slice of a site that is not, by the tag enabled=0, and names those it suspended.
func (c *Client) SuspendSlices(ctx context.Context, loginBase string) ([]string, error) {
	slices, err := c.slicesOf(ctx, loginBase)
	if err != nil {
		return nil, err
	}
	var done []string
	for id, name := range slices {
		tags, err := c.suspensions(ctx, id)
		if err != nil {
			return done, err
		}
		if len(tags) > 0 {
			continue
		}
		if _, err := c.call(ctx, "AddSliceTag", id, "enabled", "0"); err != nil {
			return done, err
		}
		if tags, err = c.suspensions(ctx, id); err != nil {
			return done, err
		} else if len(tags) == 0 {
			return done, fmt.Errorf("plc: suspend %s: %w", name, ErrNotWritten)
		}
		done = append(done, name)
	}
	return done, nil
}

// RestoreSlices lifts the suspension of every slice of a site: it deletes each of their enabled=0 tags, of which there may be several.
func (c *Client) RestoreSlices(ctx context.Context, loginBase string) error {
	slices, err := c.slicesOf(ctx, loginBase)
	if err != nil {
		return err
	}
	for id, name := range slices {
		tags, err := c.suspensions(ctx, id)
		if err != nil {
			return err
		}
		for _, tag := range tags {
			if _, err := c.call(ctx, "DeleteSliceTag", tag); err != nil && !errors.Is(err, ErrInvalid) {
				return err
			}
		}
		if tags, err = c.suspensions(ctx, id); err != nil {
			return err
		} else if len(tags) > 0 {
			return fmt.Errorf("plc: restore %s: %w", name, ErrNotWritten)
		}
	}
	return nil
}

// SuspendedSlices names the slices of a site that are suspended.
func (c *Client) SuspendedSlices(ctx context.Context, loginBase string) ([]string, error) {
	slices, err := c.slicesOf(ctx, loginBase)
	if err != nil {
		return nil, err
	}
	var out []string
	for id, name := range slices {
		tags, err := c.suspensions(ctx, id)
		if err != nil {
			return nil, err
		}
		if len(tags) > 0 {
			out = append(out, name)
		}
	}
	return out, nil
}

func (c *Client) slicesOf(ctx context.Context, loginBase string) (map[int]string, error) {
	site, err := c.one(ctx, "GetSites", "site_id", loginBase, "site_id")
	if err != nil {
		return nil, err
	}
	v, err := c.read(ctx, "GetSlices", map[string]any{"site_id": site.int("site_id")}, []string{"slice_id", "name"})
	if err != nil {
		return nil, err
	}
	rows, err := rowsOf("GetSlices", v, "slice_id")
	out := map[int]string{}
	for _, r := range rows {
		out[r.int("slice_id")] = r.str("name")
	}
	return out, err
}

func (c *Client) suspensions(ctx context.Context, slice int) ([]int, error) {
	v, err := c.read(ctx, "GetSliceTags", map[string]any{"slice_id": slice, "tagname": "enabled", "value": "0"}, []string{"slice_tag_id"})
	if err != nil {
		return nil, err
	}
	rows, err := rowsOf("GetSliceTags", v, "slice_tag_id")
	ids := make([]int, len(rows))
	for i, r := range rows {
		ids[i] = r.int("slice_tag_id")
	}
	return ids, err
}

// one reads the row of one name. An empty name is refused here, since PLC might take it for everything.
func (c *Client) one(ctx context.Context, method, id, name string, fields ...string) (row, error) {
	if name == "" {
		return nil, fmt.Errorf("plc %s: empty name", method)
	}
	v, err := c.read(ctx, method, []string{name}, fields)
	if err != nil {
		return nil, err
	}
	rows, err := rowsOf(method, v, id)
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, fmt.Errorf("plc %s %s: %w", method, name, ErrNotFound)
	}
	return rows[0], nil
}
