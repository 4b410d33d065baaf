package plc_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/testbed/fakeplc"
)

func TestNodesEnterAndLeaveGroupsByTheirTag(t *testing.T) {
	db, c := fleet(t)
	ctx := t.Context()
	for _, name := range []string{"alpha", "beta"} {
		db.Add("NodeGroups", fakeplc.Row{"groupname": name, "tagname": "deployment", "value": name})
	}
	db.Add("NodeTags", fakeplc.Row{"node_id": 1, "tagname": "deployment", "value": "beta"})
	members := func(name string) []int {
		t.Helper()
		g, err := c.Group(ctx, name)
		if err != nil || g.Tag != "deployment" || g.Value != name {
			t.Fatalf("%+v, %v", g, err)
		}
		slices.Sort(g.NodeIDs)
		return g.NodeIDs
	}
	for _, host := range []string{"n1.example", "n2.example"} {
		was, err := c.NodeTag(ctx, host, "deployment")
		if err != nil || (was.TagID != 0) != (host == "n1.example") {
			t.Fatalf("%+v, %v", was, err)
		}
		if err := c.SetNodeTag(ctx, host, "deployment", was, "alpha"); err != nil {
			t.Fatal(err)
		}
		if err := c.SetNodeTag(ctx, host, "deployment", was, "alpha"); err != nil {
			t.Errorf("the same order again, whose answer was lost: %v", err)
		}
		if err := c.SetNodeTag(ctx, host, "deployment", was, "beta"); !errors.Is(err, plc.ErrOtherwise) || !errors.Is(err, plc.ErrRefused) {
			t.Errorf("by an old plan %s goes elsewhere: %v", host, err)
		}
	}
	if a, b := members("alpha"), members("beta"); !slices.Equal(a, []int{1, 2}) || len(b) > 0 {
		t.Fatalf("alpha has %v, beta %v", a, b)
	}
	hosts, err := c.HostsOf(ctx, members("alpha"))
	if err != nil || hosts[1] != "n1.example" || hosts[2] != "n2.example" {
		t.Errorf("%v, %v", hosts, err)
	}
	is, err := c.NodeTag(ctx, "n1.example", "deployment")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteNodeTag(ctx, "n1.example", "deployment", plc.NodeTag{}); !errors.Is(err, plc.ErrOtherwise) {
		t.Errorf("by an old plan a tag goes: %v", err)
	}
	if err := c.DeleteNodeTag(ctx, "n1.example", "deployment", is); err != nil || !slices.Equal(members("alpha"), []int{2}) {
		t.Errorf("%v, and alpha has %v", err, members("alpha"))
	}
	if err := c.DeleteNodeTag(ctx, "n1.example", "deployment", is); err != nil {
		t.Errorf("the same order again, whose answer was lost: %v", err)
	}
}

func TestWhatPLCMakesOfATagIsReadBack(t *testing.T) {
	db, c := fleet(t)
	ctx := t.Context()
	id := db.Add("NodeTags", fakeplc.Row{"node_id": 1, "tagname": "deployment", "value": "beta"})
	was := plc.NodeTag{TagID: id, Value: "beta"}
	db.DropWrites("value")
	if err := c.SetNodeTag(ctx, "n1.example", "deployment", was, "alpha"); !errors.Is(err, plc.ErrNotWritten) {
		t.Errorf("what PLC dropped is %v", err)
	}
	db.DropWrites()
	db.LoseAnswers("UpdateNodeTag", 1)
	if err := c.SetNodeTag(ctx, "n1.example", "deployment", was, "alpha"); err != nil {
		t.Errorf("a lost answer, though it was done: %v", err)
	}
	if err := c.SetNodeTag(ctx, "n2.example", "nosuch", plc.NodeTag{}, "alpha"); !errors.Is(err, plc.ErrRefused) || !errors.Is(err, plc.ErrInvalid) {
		t.Errorf("a type of tags that is not there: %v", err)
	}
	db.Set("Nodes", 3, "peer_id", 1)
	if err := c.SetNodeTag(ctx, "n3.example", "deployment", plc.NodeTag{}, "alpha"); !errors.Is(err, plc.ErrPeer) || !errors.Is(err, plc.ErrRefused) {
		t.Errorf("a peer's node: %v", err)
	}
	db.SetRoles("tech")
	if _, err := c.NodeTag(ctx, "n1.example", "deployment"); !errors.Is(err, plc.ErrNotAdmin) {
		t.Errorf("without the role the tag is %v", err)
	}
}
