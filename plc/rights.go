package plc

import (
	"context"
	"errors"
	"fmt"
)

// Right is one call that Monitor makes, and whether the account may make it.
type Right struct {
	Call string // method of PLCAPI
	For  string // what Monitor uses it for
	Rows int    // what a call that reads has answered
	Err  error  // why the account may not, or why that is not known; nil: it may
}

// nobody is an id that no row of PLC has: what is asked of it changes nothing.
const nobody = -1

// Rights tries each call that Monitor makes, without changing anything: those that read read ids alone; those that write
// are given a row that does not exist, which PLC refuses only to those who might have written.
func (c *Client) Rights(ctx context.Context) []Right {
	var out []Right
	for _, r := range []struct {
		call, id, why string
		own           bool // of a kind that peers have, too
	}{
		{"GetSites", "site_id", "to know the sites", true}, {"GetNodes", "node_id", "to know the nodes", true},
		{"GetInterfaces", "interface_id", "to know where nodes are", false},
		{"GetPCUs", "pcu_id", "to know what switches their power", false},
		{"GetPersons", "person_id", "to know whom to write to", true},
		{"GetSlices", "slice_id", "to know what a penalty suspends", true},
		{"GetNodeGroups", "nodegroup_id", "to know the groups of nodes", false},
		{"GetNodeTags", "node_tag_id", "to know what is exempt", false},
		{"GetSiteTags", "site_tag_id", "to know what is exempt", false},
		{"GetPersonTags", "person_tag_id", "to know who is exempt", false},
		{"GetSliceTags", "slice_tag_id", "to know what is suspended", false},
	} {
		filter := map[string]any{r.id: nobody} // tags are many, and only whether they may be read is asked
		if r.own || r.call == "GetInterfaces" || r.call == "GetPCUs" {
			filter = map[string]any{}
		}
		if r.own {
			filter = ownOnly()
		}
		v, err := c.read(ctx, r.call, filter, []string{r.id})
		right := Right{Call: r.call, For: r.why, Err: err}
		if err == nil {
			rows, odd := rowsOf(r.call, v, r.id)
			right.Rows, right.Err = len(rows), odd
		}
		out = append(out, right)
	}
	for _, w := range []struct {
		call, why string
		args      []any
	}{
		{"UpdateNode", "to have a node reinstalled, or disabled", []any{nobody, map[string]any{"boot_state": "boot"}}},
		{"UpdateSite", "to deny a site new slices", []any{nobody, map[string]any{"enabled": true}}},
		{"AddSliceTag", "to suspend slices", []any{nobody, "enabled", "0"}},
		{"DeleteSliceTag", "to give slices back", []any{nobody}},
		{"AddNodeTag", "to put a node into a group", []any{nobody, "enabled", "0"}},
		{"UpdateNodeTag", "to put a node into another group", []any{nobody, "0"}},
		{"DeleteNodeTag", "to take a node out of a group", []any{nobody}},
	} {
		out = append(out, Right{Call: w.call, For: w.why, Err: mayWrite(c.write(ctx, w.call, w.args...))})
	}
	return out
}

// mayWrite reads the answer to a change of nothing.
func mayWrite(err error) error {
	switch {
	case errors.Is(err, ErrInvalid): // it looked for the row, which it does for those who may
		return nil
	case err == nil:
		return errors.New("PLC says that it has changed what does not exist: it cannot be trusted")
	}
	return fmt.Errorf("not known to be allowed: %w", err)
}
