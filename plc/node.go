package plc

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/planetlab/monitor/policy"
)

// Node reads one node of our own by its exact name.
func (c *Client) Node(ctx context.Context, host string) (n Node, err error) {
	err = c.withNodeFields(ctx, func(fields []string) error {
		r, err := c.node(ctx, host, append(slices.Clip(fields), "ssh_rsa_key")...)
		n = nodeOf(r)
		return err
	})
	return n, err
}

// node reads some fields of a node. An empty name is refused here, since PLC might take it for everything.
func (c *Client) node(ctx context.Context, host string, fields ...string) (row, error) {
	if host == "" {
		return nil, errors.New("plc: a node needs its hostname")
	}
	return c.one(ctx, "GetNodes", "node_id", host, []string{host}, fields...)
}

func nodeOf(r row) Node {
	return Node{
		NodeID:              r.int("node_id"),
		Hostname:            r.str("hostname"),
		SiteID:              r.int("site_id"),
		BootState:           policy.CleanBootState(r.str("boot_state")),
		RunLevel:            r.str("run_level"),
		Model:               r.str("model"),
		PCUIDs:              r.ints("pcu_ids"),
		Ports:               r.ints("ports"),
		LastContact:         r.time("last_contact"),
		LastBoot:            r.time("last_boot"),
		LastDownload:        r.time("last_download"),
		LastPCUReboot:       r.time("last_pcu_reboot"),
		LastPCUConfirmation: r.time("last_pcu_confirmation"),
		SSHKey:              r.str("ssh_rsa_key"),
	}
}

// Fields of nodes that every PLC has, and those that came later.
func oldNodeFields() []string {
	return []string{
		"node_id", "hostname", "site_id", "boot_state", "model", "last_contact", "pcu_ids", "ports", "peer_id",
	}
}

func newNodeFields() []string {
	return []string{"run_level", "last_boot", "last_download", "last_pcu_reboot", "last_pcu_confirmation"}
}

// withNodeFields asks for all fields of nodes. A PLC that lacks one of them faults the whole call: then it is asked
// once which it has, and that is remembered.
func (c *Client) withNodeFields(ctx context.Context, ask func(fields []string) error) error {
	fields := slices.Concat(oldNodeFields(), newNodeFields())
	if known := c.nodeFields.Load(); known != nil {
		fields = *known
	}
	err := ask(fields)
	if !errors.Is(err, ErrInvalid) {
		return err
	}
	has := oldNodeFields()
	for _, f := range newNodeFields() {
		// Of no node, since only the field is in question.
		switch _, lacks := c.read(ctx, "GetNodes", []int{}, []string{f}); {
		case lacks == nil:
			has = append(has, f)
		case !errors.Is(lacks, ErrInvalid):
			return lacks
		}
	}
	if slices.Equal(has, fields) { // it is not the fields that PLC finds invalid
		return err
	}
	c.nodeFields.Store(&has)
	return ask(has)
}

// NodeKey reads the secret by which a node proves to PLC who it is.
func (c *Client) NodeKey(ctx context.Context, host string) (Secret, error) {
	r, err := c.node(ctx, host, "node_id", "key", "peer_id")
	if err != nil {
		return "", err
	}
	if _, shown := r["key"]; !shown {
		return "", fmt.Errorf("plc: the key of %s is not shown: %w", host, ErrNotAdmin)
	}
	return Secret(r.str("key")), nil
}

// SetNodeKey makes PLC know a node by another secret, and reads it back.
func (c *Client) SetNodeKey(ctx context.Context, host string, key Secret) error {
	if host == "" || key == "" {
		return fmt.Errorf("plc: a node's key needs a host and a key; %w", ErrRefused)
	}
	wrote := c.write(ctx, "UpdateNode", host, map[string]any{"key": key.Reveal()})
	return confirm("the key of "+host, key, wrote, func() (Secret, error) { return c.NodeKey(ctx, host) })
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
		[]string{"interface_id", "method", "ip", "gateway", "network", "broadcast", "netmask", "dns1", "dns2", "mac",
			"is_primary"})
	if err != nil {
		return nil, err
	}
	rows, err := rowsOf("GetInterfaces", v, "interface_id")
	if err != nil {
		return nil, err
	}
	out := make([]Network, len(rows))
	for i, r := range rows {
		out[i] = Network{
			Method:    r.str("method"),
			IP:        r.str("ip"),
			Gateway:   r.str("gateway"),
			Network:   r.str("network"),
			Broadcast: r.str("broadcast"),
			Netmask:   r.str("netmask"),
			DNS1:      r.str("dns1"),
			DNS2:      r.str("dns2"),
			MAC:       r.str("mac"),
			Primary:   r.bool("is_primary"),
		}
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
