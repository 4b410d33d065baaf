package plc

import (
	"context"
	"errors"
	"fmt"
)

// NodeGroup is a group of nodes: those that have a tag with a value. To put a node into it is to tag the node so.
type NodeGroup struct {
	ID         int
	Name       string
	Tag, Value string
	NodeIDs    []int
}

// ErrUntagged says that a group is made in another way than by a tag, as in releases of PLC before 5.
var ErrUntagged = errors.New("this group of PLC is not made by a tag, so its nodes cannot be changed from here")

// Groups reads all groups of nodes, by id.
func (c *Client) Groups(ctx context.Context) ([]NodeGroup, error) {
	if err := c.mustBeAdmin(ctx); err != nil {
		return nil, err
	}
	return c.nodeGroups(ctx, map[string]any{})
}

// Group reads one group by its exact name.
func (c *Client) Group(ctx context.Context, name string) (NodeGroup, error) {
	if name == "" {
		return NodeGroup{}, errors.New("plc: a group of nodes needs its name")
	}
	if err := c.mustBeAdmin(ctx); err != nil {
		return NodeGroup{}, err
	}
	list, err := c.nodeGroups(ctx, []string{name})
	if err == nil && len(list) != 1 {
		err = fmt.Errorf("plc GetNodeGroups %s: %w", name, ErrNotFound)
	}
	if err != nil {
		return NodeGroup{}, err
	}
	return list[0], nil
}

func (c *Client) nodeGroups(ctx context.Context, filter any) (list []NodeGroup, err error) {
	v, err := c.read(ctx, "GetNodeGroups", filter, []string{"nodegroup_id", "groupname", "tagname", "value", "node_ids"})
	if err != nil {
		return nil, err
	}
	rows, err := rowsOf("GetNodeGroups", v, "nodegroup_id")
	for _, r := range rows {
		list = append(list, NodeGroup{r.int("nodegroup_id"), r.str("groupname"), r.str("tagname"), r.str("value"), r.ints("node_ids")})
	}
	return list, err
}

// HostsOf reads the names of our own nodes among these, by id. Those of peers have none here.
func (c *Client) HostsOf(ctx context.Context, ids []int) (map[int]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	v, err := c.read(ctx, "GetNodes", ids, []string{"node_id", "hostname", "peer_id"})
	if err != nil {
		return nil, err
	}
	rows, err := rowsOf("GetNodes", v, "node_id")
	hosts := map[int]string{}
	for _, r := range ours(rows) {
		hosts[r.int("node_id")] = r.str("hostname")
	}
	return hosts, err
}

// NodeTag is a tag of a node; one without a TagID is not there.
type NodeTag struct {
	TagID int
	Value string
}

// NodeTag reads a tag of a node of our own.
func (c *Client) NodeTag(ctx context.Context, host, tag string) (NodeTag, error) {
	n, err := c.node(ctx, host, "node_id", "peer_id")
	if err != nil {
		return NodeTag{}, err
	}
	return c.nodeTag(ctx, n.int("node_id"), tag)
}

// nodeTag reads a tag of a node. Whoever may not see tags would see none, and every node as one without it: so the role is
// asked for after they were read.
func (c *Client) nodeTag(ctx context.Context, node int, tag string) (NodeTag, error) {
	v, err := c.read(ctx, "GetNodeTags", map[string]any{"node_id": node, "tagname": tag}, []string{"node_tag_id", "value"})
	if err != nil {
		return NodeTag{}, err
	}
	rows, err := rowsOf("GetNodeTags", v, "node_tag_id")
	if err == nil {
		err = c.mustBeAdmin(ctx)
	}
	if err != nil || len(rows) == 0 {
		return NodeTag{}, err
	}
	return NodeTag{rows[0].int("node_tag_id"), rows[0].str("value")}, nil
}

// ErrOtherwise says that a tag is not as it was when the change was planned.
var ErrOtherwise = fmt.Errorf("it is not as it was when this was planned; %w", ErrRefused)

// SetNodeTag gives a tag of a node of our own another value, and reads it back. It must still be as it was, or be as it shall
// become: an order whose answer was lost is given again.
func (c *Client) SetNodeTag(ctx context.Context, host, tag string, was NodeTag, value string) error {
	node, is, err := c.tagNow(ctx, host, tag)
	if err != nil || is.TagID != 0 && is.Value == value {
		return err
	}
	if is != was {
		return fmt.Errorf("plc: %s of %s: %w", tag, host, ErrOtherwise)
	}
	var wrote error
	if was.TagID == 0 {
		wrote = c.write(ctx, "AddNodeTag", node, tag, value)
	} else {
		wrote = c.write(ctx, "UpdateNodeTag", was.TagID, value)
	}
	return confirm(tag+" of "+host, value, wrote, func() (string, error) {
		is, err := c.nodeTag(ctx, node, tag)
		return is.Value, err
	})
}

// DeleteNodeTag takes a tag from a node of our own, and reads it back. It must still be as it was, or be gone.
func (c *Client) DeleteNodeTag(ctx context.Context, host, tag string, was NodeTag) error {
	node, is, err := c.tagNow(ctx, host, tag)
	if err != nil || is.TagID == 0 {
		return err
	}
	if is != was {
		return fmt.Errorf("plc: %s of %s: %w", tag, host, ErrOtherwise)
	}
	wrote := c.write(ctx, "DeleteNodeTag", was.TagID)
	return confirm(tag+" of "+host, NodeTag{}, wrote, func() (NodeTag, error) { return c.nodeTag(ctx, node, tag) })
}

// tagNow reads a node's id and a tag of it before a change. Where they cannot be read, nothing is changed.
func (c *Client) tagNow(ctx context.Context, host, tag string) (node int, is NodeTag, err error) {
	n, err := c.node(ctx, host, "node_id", "peer_id")
	if err == nil {
		node = n.int("node_id")
		is, err = c.nodeTag(ctx, node, tag)
	}
	if err != nil {
		err = fmt.Errorf("%w; %w", err, ErrRefused)
	}
	return node, is, err
}
