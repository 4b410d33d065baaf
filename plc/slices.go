package plc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// SliceState is a slice as far as its suspension goes.
type SliceState struct {
	Name        string
	Suspended   bool
	Suspensions []int // the ids of its tags enabled=0: by them a suspension of ours is told from one of somebody else
	ExemptUntil time.Time
}

// SliceResult is what became of one slice. Err wraps ErrNotFound for a slice that PLC no longer has, ErrNotOrdinary for
// a system slice, and else tells by ErrRefused or ErrMayBeDone how it failed.
type SliceResult struct {
	Name string
	Err  error
}

// SliceErrors joins what failed. A slice that is gone, or is not to be suspended, leaves nothing to do and is no error.
func SliceErrors(results []SliceResult) error {
	var failed []error
	for _, r := range results {
		if r.Err != nil && !errors.Is(r.Err, ErrNotFound) && !errors.Is(r.Err, ErrNotOrdinary) {
			failed = append(failed, fmt.Errorf("slice %s: %w", r.Name, r.Err))
		}
	}
	return errors.Join(failed...)
}

// SlicesOfSite reads the ordinary slices of a site, by name: those of our own that are no system slices.
func (c *Client) SlicesOfSite(ctx context.Context, site SiteRef) ([]SliceState, error) {
	all, err := c.slicesOf(ctx, site)
	if err != nil {
		return nil, err
	}
	exempt, _, err := c.exemptions(ctx, "slice")
	if err != nil {
		return nil, err
	}
	var out []SliceState
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if s := all[name]; !s.system {
			out = append(out, SliceState{Name: name, Suspended: len(s.suspensions) > 0, Suspensions: s.suspensions,
				ExemptUntil: exempt[s.id]})
		}
	}
	return out, nil
}

// SuspendSlices suspends those of a site's ordinary slices that are named, by the slice tag enabled=0, and reads it
// back. One that is refused does not stop the others. The second result is an error of the call as a whole.
func (c *Client) SuspendSlices(ctx context.Context, site SiteRef, names []string) ([]SliceResult, error) {
	return c.eachSlice(ctx, site, names, true, func(s slice) error {
		switch {
		case s.system:
			return ErrNotOrdinary
		case len(s.suspensions) > 0:
			return nil
		}
		return c.write(ctx, "AddSliceTag", s.id, "enabled", "0")
	})
}

// RestoreSlices lifts the suspension of those of a site's slices that are named: it deletes each of their enabled=0
// slice tags, of which there may be several, and reads it back. Slices that somebody else had suspended are not ours to
// name. A slice that was made a system slice after it was suspended is restored, too, or nobody ever would.
func (c *Client) RestoreSlices(ctx context.Context, site SiteRef, names []string) ([]SliceResult, error) {
	return c.eachSlice(ctx, site, names, false, func(s slice) error {
		var failed []error
		for _, tag := range s.suspensions {
			if err := c.write(ctx, "DeleteSliceTag", tag); err != nil {
				failed = append(failed, err)
			}
		}
		return errors.Join(failed...)
	})
}

// eachSlice does something to each slice that is named, and then reads all of them back. No names: nothing.
func (c *Client) eachSlice(
	ctx context.Context, site SiteRef, names []string, suspended bool, do func(slice) error,
) ([]SliceResult, error) {
	if len(names) == 0 {
		return nil, nil
	}
	was, err := c.slicesOf(ctx, site)
	if err != nil {
		return nil, err
	}
	results := make([]SliceResult, len(names))
	for i, name := range names {
		results[i].Name = name
		if s, there := was[name]; !there {
			results[i].Err = ErrNotFound
		} else if ctx.Err() != nil {
			results[i].Err = fmt.Errorf("not tried: %w; %w", ctx.Err(), ErrRefused)
		} else {
			results[i].Err = do(s)
		}
	}
	is, err := c.slicesOf(ctx, site)
	for i, r := range results {
		results[i].Err = settle(r.Err, is, r.Name, suspended, err)
	}
	return results, err
}

// settle says what became of one slice, by what PLC reads back.
func settle(wrote error, is map[string]slice, name string, suspended bool, unread error) error {
	switch {
	case errors.Is(wrote, ErrNotFound), errors.Is(wrote, ErrNotOrdinary):
		return wrote
	case unread != nil && wrote == nil:
		return fmt.Errorf("not read back: %w", ErrMayBeDone)
	case unread != nil:
		return wrote
	}
	s, there := is[name]
	switch {
	case !there: // it went meanwhile, and its tags with it
		return ErrNotFound
	case (len(s.suspensions) > 0) == suspended:
		return nil
	case wrote != nil:
		return wrote
	}
	return ErrNotWritten
}

// slice is one of our own with what its tags say. suspensions are the ids of its tags enabled=0.
type slice struct {
	id          int
	system      bool
	suspensions []int
}

// slicesOf reads a site's slices by name. Without the role admin PLC would show no tags, and every slice would look
// lifted: so the role is asked for after they were read.
func (c *Client) slicesOf(ctx context.Context, site SiteRef) (map[string]slice, error) {
	at, err := c.site(ctx, site)
	if err != nil {
		return nil, err
	}
	filter := map[string]any{"site_id": at.int("site_id"), "peer_id": nil}
	v, err := c.read(ctx, "GetSlices", filter, []string{"slice_id", "name", "peer_id"})
	if err != nil {
		return nil, err
	}
	rows, err := rowsOf("GetSlices", v, "slice_id")
	if err != nil {
		return nil, err
	}
	byID := map[int]slice{}
	for _, r := range ours(rows) {
		byID[r.int("slice_id")] = slice{id: r.int("slice_id")}
	}
	if err := c.readTags(ctx, byID); err != nil {
		return nil, err
	}
	if err := c.mustBeAdmin(ctx); err != nil {
		return nil, err
	}
	out := map[string]slice{}
	for _, r := range ours(rows) {
		out[r.str("name")] = byID[r.int("slice_id")]
	}
	return out, nil
}

// readTags adds to slices what their slice tags say. A tag with a node or a node group is a sliver tag of somebody
// else's: it is left out here, since PLC takes no nil in a filter of tags.
func (c *Client) readTags(ctx context.Context, byID map[int]slice) error {
	if len(byID) == 0 {
		return nil
	}
	filter := map[string]any{"slice_id": slices.Sorted(maps.Keys(byID)), "tagname": []string{"enabled", "system"}}
	v, err := c.read(ctx, "GetSliceTags", filter,
		[]string{"slice_tag_id", "slice_id", "tagname", "value", "node_id", "nodegroup_id"})
	if err != nil {
		return err
	}
	rows, err := rowsOf("GetSliceTags", v, "slice_tag_id")
	for _, r := range rows {
		s, ours := byID[r.int("slice_id")]
		if !ours || sliver(r) {
			continue
		}
		switch value := strings.TrimSpace(r.str("value")); r.str("tagname") + "=" + value {
		case "enabled=0":
			s.suspensions = append(s.suspensions, r.int("slice_tag_id"))
		case "system=1":
			s.system = true
		}
		byID[s.id] = s
	}
	return err
}

// sliver reports whether a tag is of a slice on some nodes only.
func sliver(r row) bool { return r["node_id"] != nil || r["nodegroup_id"] != nil }
