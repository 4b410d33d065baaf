package store

import (
	"slices"
	"testing"
	"time"

	"github.com/planetlab/monitor/selection"
)

// The groups of nodes follow the inventory, and stay where it does not say them.
func TestGroupsOfNodesFollowTheInventory(t *testing.T) {
	s := open(t)
	snap := snapshot
	id := snap.Nodes[0].NodeID
	read := func() []string {
		t.Helper()
		rows, bad, err := s.NodeRows(t.Context(), time.Now(), selection.NodeParts{})
		if err != nil || len(bad) > 0 {
			t.Fatal(bad, err)
		}
		for _, r := range rows {
			if r.NodeID == id {
				return r.Groups
			}
		}
		return nil
	}
	for i, c := range []struct {
		groups map[int][]string
		want   []string
	}{
		{map[int][]string{id: {"Rollout", "Alpha", "Alpha", "a\nb"}}, []string{"Alpha", "Rollout", "a b"}},
		{nil, []string{"Alpha", "Rollout", "a b"}},
		{map[int][]string{id: {"Beta, the second"}}, []string{"Beta, the second"}},
		{map[int][]string{}, []string{}},
	} {
		snap.Taken, snap.NodeGroups = snapshot.Taken.Add(time.Duration(i)*time.Second), c.groups
		if _, err := s.SaveSnapshot(t.Context(), snap, true); err != nil {
			t.Fatal(err)
		}
		if got := read(); !slices.Equal(got, c.want) {
			t.Errorf("%v: the node is in %q, want %q", c.groups, got, c.want)
		}
	}
}
