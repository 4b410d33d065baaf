package plc

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// NodeKey reads the secret by which a node proves to PLC who it is.
func (c *Client) NodeKey(ctx context.Context, host string) (Secret, error) {
	r, err := c.one(ctx, "GetNodes", "node_id", host, "node_id", "key")
	return Secret(r.str("key")), err
}

// SetNodeKey makes PLC know a node by another secret, and reads it back.
func (c *Client) SetNodeKey(ctx context.Context, host string, key Secret) error {
	if host == "" || key == "" {
		return errors.New("plc: a node's key needs a host and a key")
	}
	if _, err := c.call(ctx, "UpdateNode", host, map[string]any{"key": key.Reveal()}); err != nil {
		return err
	}
	is, err := c.NodeKey(ctx, host)
	if err != nil {
		return err
	}
	if is != key {
		return fmt.Errorf("plc: the key of %s: %w", host, ErrNotWritten)
	}
	return nil
}

// Network is how PLC has an interface of a node set up.
type Network struct {
	Method, IP, Gateway, Network, Broadcast, Netmask, DNS1, DNS2, MAC string
	Primary                                                           bool
}

// Networks reads the interfaces of a node, the primary one first.
func (c *Client) Networks(ctx context.Context, host string) ([]Network, error) {
	n, err := c.Node(ctx, host)
	if err != nil {
		return nil, err
	}
	v, err := c.read(ctx, "GetInterfaces", map[string]any{"node_id": n.NodeID},
		[]string{"interface_id", "method", "ip", "gateway", "network", "broadcast", "netmask", "dns1", "dns2", "mac", "is_primary"})
	if err != nil {
		return nil, err
	}
	rows, err := rowsOf("GetInterfaces", v, "interface_id")
	if err != nil {
		return nil, err
	}
	out := make([]Network, len(rows))
	for i, r := range rows {
		out[i] = Network{r.str("method"), r.str("ip"), r.str("gateway"), r.str("network"), r.str("broadcast"), r.str("netmask"), r.str("dns1"), r.str("dns2"), r.str("mac"), r.bool("is_primary")}
	}
	slices.SortStableFunc(out, func(a, b Network) int { return btoi(b.Primary) - btoi(a.Primary) })
	return out, nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
