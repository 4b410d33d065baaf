package orders

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/remote"
)

// States of a change of a group.
const (
	ChangePlanned = "planned"
	ChangeDone    = "done"
	ChangeNothing = "nothing" // it is as it would be ordered
	ChangeRefused = "refused"
	ChangeUnknown = "unknown" // it may have been done
)

// GroupChange is what becomes of a node that enters or leaves a group of PLC.
type GroupChange struct {
	Host   string   `json:"host"`
	Site   string   `json:"site"`
	Was    string   `json:"was"`              // of its tag
	TagID  int      `json:"tag_id,omitempty"` // of that tag; 0: the node had none
	Value  string   `json:"value"`            // of its tag, as ordered
	Leaves []string `json:"leaves,omitempty"` // groups that it is then in no more
	State  string   `json:"state" enum:"planned,done,nothing,refused,unknown"`
	Reason string   `json:"reason,omitempty"`
}

// GroupView is a group of PLC's nodes.
type GroupView struct {
	Name  string   `json:"name"`
	Tag   string   `json:"tag" doc:"What makes it: its nodes have this tag; empty: it is made in another way."`
	Value string   `json:"value" doc:"And this value of the tag."`
	Nodes int      `json:"nodes" doc:"How many."`
	Hosts []string `json:"hosts,omitempty" doc:"Our own nodes in it, by name; not in a list of groups."`
	Peers int      `json:"peers,omitempty" doc:"How many of the nodes are of peers; not in a list of groups."`
}

func viewOf(g plc.NodeGroup) GroupView {
	return GroupView{Name: g.Name, Tag: g.Tag, Value: g.Value, Nodes: len(g.NodeIDs)}
}

// ListGroups reads PLC's groups of nodes, by name.
func ListGroups(ctx context.Context, c *plc.Client) ([]GroupView, error) {
	list, err := c.Groups(ctx)
	views := []GroupView{}
	for _, g := range list {
		views = append(views, viewOf(g))
	}
	slices.SortFunc(views, func(x, y GroupView) int { return cmp.Compare(x.Name, y.Name) })
	return views, err
}

// ShowGroup reads a group of PLC with its nodes.
func ShowGroup(ctx context.Context, c *plc.Client, name string) (GroupView, error) {
	g, err := groupNamed(ctx, c, name)
	if err != nil {
		return GroupView{}, err
	}
	hosts, err := c.HostsOf(ctx, g.NodeIDs)
	v := viewOf(g)
	v.Hosts, v.Peers = slices.Sorted(maps.Values(hosts)), len(g.NodeIDs)-len(hosts)
	return v, err
}

// groupNamed reads a group; of one that is not there it says where to look.
func groupNamed(ctx context.Context, c *plc.Client, name string) (plc.NodeGroup, error) {
	g, err := c.Group(ctx, name)
	if errors.Is(err, plc.ErrNotFound) {
		err = notFound("PLC has no group %s: see `monitor nodegroup list`", name)
	}
	return g, err
}

func taggedGroup(ctx context.Context, c *plc.Client, name string) (plc.NodeGroup, error) {
	g, err := groupNamed(ctx, c, name)
	if err == nil && g.Tag == "" {
		err = invalid("%s: %w", name, plc.ErrUntagged)
	}
	return g, err
}

// GroupPlan is what would become of nodes that enter or leave a group.
type GroupPlan struct {
	Group GroupView     `json:"group"`
	Nodes []GroupChange `json:"nodes"`
}

// Coming is how many nodes would be changed.
func (p GroupPlan) Coming() (n int) {
	for _, c := range p.Nodes {
		if c.State == ChangePlanned {
			n++
		}
	}
	return n
}

// PlanGroup says what would change of each node if it entered or left a group of PLC, as PLC has it now.
func PlanGroup(ctx context.Context, c *plc.Client, name string, nodes []remote.Node, leave bool) (
	GroupPlan, error) {
	plan := GroupPlan{Nodes: []GroupChange{}}
	g, err := taggedGroup(ctx, c, name)
	if err != nil {
		return plan, err
	}
	plan.Group = viewOf(g)
	all, err := c.Groups(ctx)
	if err != nil {
		return plan, err
	}
	for _, n := range nodes {
		p := GroupChange{Host: n.Host, Site: n.Site, State: ChangePlanned}
		tag, err := c.NodeTag(ctx, n.Host, g.Tag)
		switch {
		case errors.Is(err, plc.ErrNotFound):
			p.State, p.Reason = ChangeRefused, "PLC has no such node of its own"
		case err != nil:
			return plan, err
		}
		p.Was, p.TagID = tag.Value, tag.TagID
		in := tag.TagID != 0 && p.Was == g.Value
		if !leave {
			p.Value = g.Value
		}
		if in != leave && p.State == ChangePlanned {
			p.State, p.Value = ChangeNothing, p.Was
			p.Reason = map[bool]string{false: "it is in the group", true: "it is not in the group"}[leave]
		}
		for _, other := range all {
			was := tag.TagID != 0 && other.Tag == g.Tag && other.Value == p.Was
			if p.State == ChangePlanned && was && (other.Name != g.Name || leave) {
				p.Leaves = append(p.Leaves, other.Name)
			}
		}
		plan.Nodes = append(plan.Nodes, p)
	}
	return plan, nil
}

// GroupOrder says which node enters or leaves a group of PLC, as that was planned.
type GroupOrder struct {
	Group, Host, Site string
	Leave             bool
	Tag, Value        string      // what makes the group
	Was               plc.NodeTag // the node's
}

// Group has a node enter or leave a group of PLC. It is done where it is ordered, and not while Monitor is stopped or
// observes; a node that is exempt is left alone, and what was changed since it was planned, a node's tag or the group, is
// refused. Nothing is owed for it: what a person has ordered stays until a person orders otherwise.
func (d Desk) Group(ctx context.Context, o Order, c *plc.Client, g GroupOrder) (Receipt, error) {
	does := fmt.Sprintf("put %s into the group %s: %s becomes %q, which was %q", g.Host, g.Group, g.Tag, g.Value,
		g.Was.Value)
	value := g.Value
	if g.Leave {
		value = ""
		does = fmt.Sprintf("take %s out of the group %s: %s, which was %q, goes", g.Host, g.Group, g.Tag, g.Was.Value)
	}
	a := act{verb: access.NodeGroup, site: g.Site, target: g.Host, node: g.Host, does: does,
		why: "those who look after the node will ask why it is installed otherwise"}
	a.words = map[string]any{"group": g.Group, "leave": g.Leave, "tag": g.Tag, "was": g.Was.Value, "value": value}
	a.check = func(ctx context.Context) error {
		if err := d.mayBegin(ctx, remote.Node{Host: g.Host, Site: g.Site}); err != nil {
			return err
		}
		now, err := taggedGroup(ctx, c, g.Group)
		if err == nil && (now.Tag != g.Tag || now.Value != g.Value) {
			err = refused("the group %s is made by %s = %q now, which is not what was planned", g.Group, now.Tag, now.Value)
		}
		return err
	}
	a.do = func(ctx context.Context, _ string) (string, error) {
		var err error
		if g.Leave {
			err = c.DeleteNodeTag(ctx, g.Host, g.Tag, g.Was)
		} else {
			err = c.SetNodeTag(ctx, g.Host, g.Tag, g.Was, g.Value)
		}
		if errors.Is(err, plc.ErrRefused) {
			err = &Error{Refused, err}
		}
		return "", err
	}
	return d.give(ctx, o, a)
}
