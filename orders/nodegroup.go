package orders

import (
	"context"
	"fmt"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/remote"
)

// GroupOrder says which node enters or leaves a group of PLC.
type GroupOrder struct {
	Group, Host, Site string
	Leave             bool
	Tag, Was, Value   string // what it does to a tag of the node
}

// Group has a node enter or leave a group of PLC, by a function that changes it there. It is done where it is ordered, and
// not while Monitor is stopped or observes; a node that is exempt is left alone. Nothing is owed for it: what a person has
// ordered stays until a person orders otherwise.
func (d Desk) Group(ctx context.Context, o Order, g GroupOrder, change func(context.Context) error) (Receipt, error) {
	does := fmt.Sprintf("put %s into the group %s: %s becomes %q, which was %q", g.Host, g.Group, g.Tag, g.Value, g.Was)
	if g.Leave {
		does = fmt.Sprintf("take %s out of the group %s: %s, which was %q, goes", g.Host, g.Group, g.Tag, g.Was)
	}
	a := act{verb: access.NodeGroup, site: g.Site, target: g.Host, node: g.Host, does: does,
		why: "those who look after the node will ask why it is installed otherwise"}
	a.words = map[string]any{"group": g.Group, "leave": g.Leave, "tag": g.Tag, "was": g.Was, "value": g.Value}
	a.check = func(ctx context.Context) error { return d.mayGroup(ctx, g) }
	a.do = func(ctx context.Context, _ string) (string, error) { return "", change(ctx) }
	return d.give(ctx, o, a)
}

// mayGroup says whether a node may enter or leave a group now.
func (d Desk) mayGroup(ctx context.Context, g GroupOrder) error {
	controls, err := d.Store.Controls(ctx)
	if err != nil {
		return err
	}
	if why := controls.Stopped(); why != "" {
		return refused("Monitor is stopped: %s", why)
	}
	if mode, why := controls.Mode(controls.Configured(), g.Site, ""); mode != policy.ModeAct {
		return refused("observe mode: %s", why)
	}
	why, err := d.exempt(ctx, remote.Node{Host: g.Host, Site: g.Site})
	if err == nil && why != "" {
		err = refused("%s", why)
	}
	return err
}
