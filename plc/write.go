package plc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

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

// SliceState is a slice as far as its suspension goes.
type SliceState struct {
	Name        string
	Suspended   bool
	ExemptUntil time.Time
}

// SlicesOfSite reads the slices of a site, by name.
func (c *Client) SlicesOfSite(ctx context.Context, loginBase string) ([]SliceState, error) {
	ids, err := c.slicesOf(ctx, loginBase)
	if err != nil {
		return nil, err
	}
	exempt, _, err := c.exemptions(ctx, "slice")
	if err != nil {
		return nil, err
	}
	var out []SliceState
	for name, id := range ids {
		tags, err := c.suspensions(ctx, id)
		if err != nil {
			return nil, err
		}
		out = append(out, SliceState{Name: name, Suspended: len(tags) > 0, ExemptUntil: exempt[id]})
	}
	slices.SortFunc(out, func(a, b SliceState) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// SuspendSlices suspends those of a site's slices that are named and are not suspended yet, by the tag enabled=0.
func (c *Client) SuspendSlices(ctx context.Context, loginBase string, names []string) error {
	return c.eachSlice(ctx, loginBase, names, func(id int, name string) error {
		tags, err := c.suspensions(ctx, id)
		if err != nil || len(tags) > 0 {
			return err
		}
		if _, err := c.call(ctx, "AddSliceTag", id, "enabled", "0"); err != nil {
			return err
		}
		if tags, err = c.suspensions(ctx, id); err == nil && len(tags) == 0 {
			err = fmt.Errorf("plc: suspend %s: %w", name, ErrNotWritten)
		}
		return err
	})
}

// RestoreSlices lifts the suspension of those of a site's slices that are named: it deletes each of their enabled=0 tags, of which
// there may be several. Slices that somebody else had suspended are not ours to name.
func (c *Client) RestoreSlices(ctx context.Context, loginBase string, names []string) error {
	return c.eachSlice(ctx, loginBase, names, func(id int, name string) error {
		tags, err := c.suspensions(ctx, id)
		if err != nil {
			return err
		}
		for _, tag := range tags {
			if _, err := c.call(ctx, "DeleteSliceTag", tag); err != nil && !errors.Is(err, ErrInvalid) {
				return err
			}
		}
		if tags, err = c.suspensions(ctx, id); err == nil && len(tags) > 0 {
			err = fmt.Errorf("plc: restore %s: %w", name, ErrNotWritten)
		}
		return err
	})
}

// eachSlice does something to the slices that are named and that PLC still has. No names: nothing.
func (c *Client) eachSlice(ctx context.Context, loginBase string, names []string, do func(id int, name string) error) error {
	if len(names) == 0 {
		return nil
	}
	ids, err := c.slicesOf(ctx, loginBase)
	if err != nil {
		return err
	}
	for _, name := range names {
		if id, there := ids[name]; there {
			if err := do(id, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// slicesOf gives the ids of a site's slices by their names.
func (c *Client) slicesOf(ctx context.Context, loginBase string) (map[string]int, error) {
	site, err := c.one(ctx, "GetSites", "site_id", loginBase, "site_id")
	if err != nil {
		return nil, err
	}
	v, err := c.read(ctx, "GetSlices", map[string]any{"site_id": site.int("site_id")}, []string{"slice_id", "name"})
	if err != nil {
		return nil, err
	}
	rows, err := rowsOf("GetSlices", v, "slice_id")
	out := map[string]int{}
	for _, r := range rows {
		out[r.str("name")] = r.int("slice_id")
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
