package plc_test

import (
	"testing"

	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/testbed/fakeplc"
)

func TestNodeKeys(t *testing.T) {
	db, c := fleet(t)
	ctx := t.Context()
	if err := c.SetNodeKey(ctx, "n2.example", "new key"); err != nil || db.Get("Nodes", "node_id", 2)["key"] != "new key" || db.Get("Nodes", "node_id", 3)["key"] != nil {
		t.Errorf("node key: %v", err)
	}
	if key, err := c.NodeKey(ctx, "n2.example"); err != nil || key.Reveal() != "new key" {
		t.Errorf("the node key reads %q, %v", key.Reveal(), err)
	}
	for _, bad := range [][2]string{{"", "key"}, {"n2.example", ""}, {"n99.example", "key"}} {
		if err := c.SetNodeKey(ctx, bad[0], plc.Secret(bad[1])); err == nil {
			t.Errorf("node key %q was taken", bad)
		}
	}
}

func TestNetworksOfOneNode(t *testing.T) {
	db, c := fleet(t)
	db.Add("Interfaces", fakeplc.Row{"node_id": 1, "ip": "10.0.0.2", "is_primary": false})
	db.Add("Interfaces", fakeplc.Row{"node_id": 1, "ip": "10.0.0.1", "is_primary": true, "method": "static", "dns1": "10.0.0.53", "mac": "00:01:02:03:04:05"})
	db.Add("Interfaces", fakeplc.Row{"node_id": 2, "ip": "10.0.0.3", "is_primary": true})
	list, err := c.Networks(t.Context(), "n1.example")
	if err != nil || len(list) != 2 || list[0].IP != "10.0.0.1" || list[0].DNS1 != "10.0.0.53" || list[0].Method != "static" || list[1].IP != "10.0.0.2" {
		t.Errorf("networks are %+v, %v", list, err)
	}
	if _, err := c.Networks(t.Context(), ""); err == nil {
		t.Error("no name gives every network")
	}
}
