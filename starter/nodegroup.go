package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

func (a *app) nodegroup() *cobra.Command {
	cmd := group("nodegroup", "List and show PLC's groups of nodes, and put nodes into them", `  monitor nodegroup list
  monitor nodegroup add alpha planetlab1.example.edu --reason "it tries the new image"`)
	cmd.Long = `List and show PLC's groups of nodes, put nodes into them and take nodes out. In PLC a group is the nodes that have a tag with a
value: a node enters it by getting that value, and leaves the groups of the value that it had. "monitor query --select
group=NAME" selects by groups as the last sweep read them.`
	cmd.AddCommand(a.nodegroupList(), a.nodegroupShow(), a.nodegroupChange(false), a.nodegroupChange(true))
	return cmd
}

// groupView is a group of PLC.
type groupView struct {
	Name  string   `json:"name"`
	Tag   string   `json:"tag"`
	Value string   `json:"value"`
	Nodes int      `json:"nodes"`
	Hosts []string `json:"hosts,omitempty"`
	Peers int      `json:"peers,omitempty"` // how many of the nodes are of peers
}

func viewOf(g plc.NodeGroup) groupView {
	return groupView{Name: g.Name, Tag: g.Tag, Value: g.Value, Nodes: len(g.NodeIDs)}
}

// askingPLC has PLC asked within the command's time.
func (a *app) askingPLC(ctx context.Context, ask func(ctx context.Context, c *plc.Client) error) error {
	cfg, err := a.config("plc")
	if err != nil {
		return err
	}
	client, err := connect.PLC(cfg.PLC)
	if err != nil {
		return badInput("%w", err)
	}
	ctx, cancel := a.within(ctx, cfg.PLC.Timeout)
	defer cancel()
	return ask(ctx, client)
}

func (a *app) nodegroupList() *cobra.Command {
	var l repeated
	cmd := &cobra.Command{
		Use: "list", Short: "List PLC's groups of nodes", Args: takes(), Aliases: []string{"ls"},
		Example: "  monitor nodegroup list\n  monitor nodegroup list --sort -nodes -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return l.repeat(cmd.Context(), a, func() error {
				return a.askingPLC(cmd.Context(), func(ctx context.Context, c *plc.Client) error {
					list, err := c.Groups(ctx)
					if err != nil {
						return err
					}
					var views []groupView
					for _, g := range list {
						views = append(views, viewOf(g))
					}
					slices.SortFunc(views, func(x, y groupView) int { return cmp.Compare(x.Name, y.Name) })
					return few(a, &l, views, a.drawGroups)
				})
			})
		},
	}
	l.addFlags(cmd)
	return cmd
}

func (a *app) drawGroups(list []groupView) {
	var rows []row
	for _, g := range list {
		rows = append(rows, row{g.Name, orDash(g.Tag), orDash(g.Value), g.Nodes})
	}
	a.table("PLC has no groups of nodes", row{"GROUP", "TAG", "VALUE", "NODES"}, rows)
}

// groupNamed reads a group; of one that is not there it says where to look.
func groupNamed(ctx context.Context, c *plc.Client, name string) (plc.NodeGroup, error) {
	g, err := c.Group(ctx, name)
	if errors.Is(err, plc.ErrNotFound) {
		err = notFound("PLC has no group %s: see `monitor nodegroup list`", name)
	}
	return g, err
}

func (a *app) nodegroupShow() *cobra.Command {
	return &cobra.Command{
		Use: "show GROUP", Short: "Show a group of PLC: what makes it, and the nodes in it", Args: takes("GROUP"),
		Example: "  monitor nodegroup show alpha\n  monitor nodegroup show alpha -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.askingPLC(cmd.Context(), func(ctx context.Context, c *plc.Client) error {
				g, err := groupNamed(ctx, c, args[0])
				if err != nil {
					return err
				}
				hosts, err := c.HostsOf(ctx, g.NodeIDs)
				if err != nil {
					return err
				}
				v := viewOf(g)
				for _, h := range hosts {
					v.Hosts = append(v.Hosts, h)
				}
				slices.Sort(v.Hosts)
				v.Peers = len(g.NodeIDs) - len(hosts)
				return a.show(v, func() { a.drawGroup(v) })
			})
		},
	}
}

func (a *app) drawGroup(v groupView) {
	a.say("%s", v.Name)
	made, peers := "", ""
	if v.Tag != "" {
		made = fmt.Sprintf("the tag %s is %q", v.Tag, v.Value)
	}
	if v.Peers > 0 {
		peers = fmt.Sprintf("%d more", v.Peers)
	}
	a.facts(row{"made by", made}, row{"nodes", v.Nodes}, row{"of peers", peers})
	for _, h := range v.Hosts {
		a.say("  %s", h)
	}
}

// groupFlags are what the flags say of a change of a group.
type groupFlags struct {
	choice
	reasonFlags
	dry bool
}

// groupChange is what becomes of a node.
type groupChange struct {
	Host   string   `json:"host"`
	Site   string   `json:"site"`
	Was    string   `json:"was"`              // of its tag
	Value  string   `json:"value"`            // of its tag, as ordered
	Leaves []string `json:"leaves,omitempty"` // groups that it is then in no more
	State  string   `json:"state"`            // planned, done, nothing, refused, unknown
	Reason string   `json:"reason,omitempty"`

	tag plc.NodeTag
}

func (a *app) nodegroupChange(leave bool) *cobra.Command {
	var o groupFlags
	use, short := "add GROUP [HOST...]", "Put nodes into a group of PLC"
	example := `  monitor nodegroup add alpha planetlab1.example.edu --reason "it tries the new image"
  monitor nodegroup add alpha --select site=princeton --reason "all of them try it" --dry-run`
	if leave {
		use, short = "remove GROUP [HOST...]", "Take nodes out of a group of PLC"
		example = `  monitor nodegroup remove alpha planetlab1.example.edu --reason "the image is bad"
  monitor nodegroup remove alpha --select group=alpha --reason "the image is bad" --dry-run`
	}
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.MinimumNArgs(1), Example: example, ValidArgsFunction: a.complete(nothing),
		Long: short + `: what changes is shown and counted first, with the groups that a node leaves thereby, and confirmed where it is more
than one. Each node has a line of the ledger and a result of its own; one whose tag was changed meanwhile is refused, one that
is exempt is left alone, and nothing is done while Monitor is stopped or observes. Monitor does not undo it: what is ordered
here stays until somebody orders otherwise.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.changeGroup(cmd.Context(), &o, args[0], args[1:], leave)
		},
	}
	o.choice.add(cmd)
	o.reasonFlags.add(cmd)
	cmd.Flags().BoolVar(&o.dry, "dry-run", false, "show what would change, and change nothing")
	return cmd
}

func (a *app) changeGroup(ctx context.Context, o *groupFlags, name string, hosts []string, leave bool) error {
	if _, err := a.config("plc"); err != nil {
		return err
	}
	var chosen []selection.Node
	err := a.withStore(ctx, func(ctx context.Context, db *store.Store) (err error) {
		chosen, err = o.nodes(ctx, a, db, hosts)
		return err
	})
	if err != nil {
		return err
	}
	if strings.TrimSpace(o.reason) == "" && !o.dry {
		return badInput("--reason is missing: those who look after the node will ask why it is installed otherwise")
	}
	whole := ctx // many nodes take longer than a command is patient; each call of PLC is bounded by itself
	return a.askingPLC(ctx, func(ctx context.Context, c *plc.Client) error {
		g, plan, err := a.planGroup(ctx, c, name, chosen, leave)
		if err != nil {
			return err
		}
		coming := 0
		for _, p := range plan {
			if p.State == "planned" {
				coming++
			}
		}
		if o.dry || coming == 0 {
			return a.show(plan, func() { a.drawGroupPlan(plan, coming, g, leave) })
		}
		if coming > 1 {
			question := fmt.Sprintf("change these %d nodes?", coming)
			if err := a.confirm(o.yes, question, func(a *app) { a.drawGroupPlan(plan, coming, g, leave) }); err != nil {
				return err
			}
		}
		return a.carryOutGroup(whole, c, o, g, plan, leave)
	})
}

// planGroup says what would change of each node, as PLC has it now.
func (a *app) planGroup(ctx context.Context, c *plc.Client, name string, chosen []selection.Node, leave bool) (
	g plc.NodeGroup, plan []groupChange, err error) {
	if g, err = groupNamed(ctx, c, name); err != nil {
		return g, nil, err
	}
	if g.Tag == "" {
		return g, nil, badInput("%s: %w", name, plc.ErrUntagged)
	}
	all, err := c.Groups(ctx)
	if err != nil {
		return g, nil, err
	}
	for _, n := range chosen {
		p := groupChange{Host: n.Name, Site: n.Site, State: "planned"}
		p.tag, err = c.NodeTag(ctx, n.Name, g.Tag)
		switch {
		case errors.Is(err, plc.ErrNotFound):
			p.State, p.Reason = "refused", "PLC has no such node of its own"
		case err != nil:
			return g, nil, err
		}
		p.Was = p.tag.Value
		in := p.tag.TagID != 0 && p.Was == g.Value
		if !leave {
			p.Value = g.Value
		}
		if in != leave && p.State == "planned" {
			p.State, p.Reason, p.Value = "nothing", map[bool]string{false: "it is in the group", true: "it is not in the group"}[leave], p.Was
		}
		for _, other := range all {
			if p.State == "planned" && p.tag.TagID != 0 && other.Tag == g.Tag && other.Value == p.Was && (other.Name != g.Name || leave) {
				p.Leaves = append(p.Leaves, other.Name)
			}
		}
		plan = append(plan, p)
	}
	return g, plan, nil
}

func (a *app) drawGroupPlan(plan []groupChange, coming int, g plc.NodeGroup, leave bool) {
	does := fmt.Sprintf("enter the group %s: their tag %s becomes %q", g.Name, g.Tag, g.Value)
	if leave {
		does = fmt.Sprintf("leave the group %s: their tag %s goes", g.Name, g.Tag)
	}
	a.say("%d of %d nodes would %s", coming, len(plan), does)
	a.drawGroupChanges(plan)
}

func (a *app) drawGroupChanges(list []groupChange) {
	var rows []row
	for _, p := range list {
		rows = append(rows, row{p.Host, p.Site, a.state(p.State), orDash(p.Was), orDash(p.Value), orDash(strings.Join(p.Leaves, ", ")), orDash(p.Reason)})
	}
	a.table("no nodes", row{"NODE", "SITE", "STATE", "WAS", "BECOMES", "LEAVES", "WHY"}, rows)
}

// carryOutGroup changes one node after the other. What one refuses stops no other.
func (a *app) carryOutGroup(ctx context.Context, c *plc.Client, o *groupFlags, g plc.NodeGroup, plan []groupChange, leave bool) error {
	db, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	desk := orders.Desk{Store: db, Now: a.now}
	bad := 0
	for i := range plan {
		p := &plan[i]
		if p.State != "planned" {
			if p.State == "refused" {
				bad++
			}
			continue
		}
		order := orders.GroupOrder{Group: g.Name, Host: p.Host, Site: p.Site, Leave: leave, Tag: g.Tag, Was: p.Was, Value: p.Value}
		_, err := desk.Group(ctx, o.order(a), order, func(ctx context.Context) error {
			var err error
			if leave {
				err = c.DeleteNodeTag(ctx, p.Host, g.Tag, p.tag)
			} else {
				err = c.SetNodeTag(ctx, p.Host, g.Tag, p.tag, g.Value)
			}
			if errors.Is(err, plc.ErrRefused) {
				err = &orders.Error{Kind: orders.Refused, Err: err}
			}
			return err
		})
		switch p.State = "done"; {
		case errors.Is(err, plc.ErrMayBeDone):
			p.State = "unknown"
		case err != nil:
			p.State = "refused"
		}
		if err != nil {
			p.Reason = err.Error()
			bad++
		}
		a.progress("%d of %d: %s %s %s", i+1, len(plan), p.Host, p.State, p.Reason)
		if ctx.Err() != nil {
			break
		}
	}
	err = a.show(plan, func() { a.drawGroupChanges(plan) })
	if bad > 0 {
		err = errors.Join(err, &exitError{exitRefused, fmt.Errorf("not done on %d of %d nodes", bad, len(plan))})
	}
	return err
}
