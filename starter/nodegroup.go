package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

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

// groupsAt is where PLC's groups are read and changed: PLC itself, or a server over its API.
type groupsAt interface {
	list(ctx context.Context) ([]orders.GroupView, error)
	show(ctx context.Context, name string) (orders.GroupView, error)
	plan(ctx context.Context, name string, nodes []selection.Node, leave bool) (orders.GroupPlan, error)
	change(ctx context.Context, o orders.Order, g orders.GroupOrder) error
}

// askingGroups has something done where the groups are.
func (a *app) askingGroups(do func(at groupsAt) error) error {
	r, err := a.remote()
	if err != nil {
		return err
	}
	if r != nil {
		return flagged(do(groupsThere{a, r}))
	}
	cfg, err := a.config("plc")
	if err != nil {
		return err
	}
	client, err := connect.PLC(cfg.PLC)
	if err != nil {
		return badInput("%w", err)
	}
	here := &groupsHere{a: a, plc: client, within: cfg.PLC.Timeout}
	defer here.close()
	return flagged(do(here))
}

// groupsHere asks PLC.
type groupsHere struct {
	a      *app
	plc    *plc.Client
	within time.Duration
	ledger *store.Store // opened by the first change
}

func (h *groupsHere) close() {
	if h.ledger != nil {
		h.ledger.Close()
	}
}

func (h *groupsHere) list(ctx context.Context) ([]orders.GroupView, error) {
	ctx, cancel := h.a.within(ctx, h.within)
	defer cancel()
	return orders.ListGroups(ctx, h.plc)
}

func (h *groupsHere) show(ctx context.Context, name string) (orders.GroupView, error) {
	ctx, cancel := h.a.within(ctx, h.within)
	defer cancel()
	return orders.ShowGroup(ctx, h.plc, name)
}

func (h *groupsHere) plan(ctx context.Context, name string, nodes []selection.Node, leave bool) (orders.GroupPlan, error) {
	return orders.PlanGroup(ctx, h.plc, name, targetsOf(nodes), leave) // each call of PLC is bounded by itself
}

func (h *groupsHere) change(ctx context.Context, o orders.Order, g orders.GroupOrder) error {
	if h.ledger == nil {
		var err error
		if h.ledger, err = h.a.openStore(ctx); err != nil {
			return err
		}
	}
	_, err := orders.Desk{Store: h.ledger, Now: h.a.now}.Group(ctx, o, h.plc, g)
	return err
}

// groupsThere asks a server.
type groupsThere struct {
	a  *app
	at *apiServer
}

func (t groupsThere) list(ctx context.Context) (list []orders.GroupView, err error) {
	ctx, cancel := t.a.within(ctx, 2*patience)
	defer cancel()
	err = t.at.get(ctx, "/nodegroups", nil, &list)
	return list, err
}

func (t groupsThere) show(ctx context.Context, name string) (g orders.GroupView, err error) {
	ctx, cancel := t.a.within(ctx, 2*patience)
	defer cancel()
	err = t.at.get(ctx, pathOf("nodegroups", name), nil, &g)
	return g, err
}

// mostPlanned is how many nodes one request plans, so that it ends in time: PLC is asked about each.
const mostPlanned = 50

func (t groupsThere) plan(ctx context.Context, name string, nodes []selection.Node, leave bool) (whole orders.GroupPlan, err error) {
	for some := range slices.Chunk(nodes, mostPlanned) {
		hosts := make([]string, len(some))
		for i, n := range some {
			hosts[i] = n.Name
		}
		var plan orders.GroupPlan
		within, cancel := t.a.within(ctx, 4*patience)
		body := map[string]any{"hosts": hosts, "leave": leave}
		err := t.at.send(within, http.MethodPost, pathOf("nodegroups", name, "plan"), body, &plan)
		cancel()
		if err != nil {
			return whole, err
		}
		if is, was := plan.Group, whole.Group; len(whole.Nodes) > 0 && (is.Tag != was.Tag || is.Value != was.Value) {
			return whole, &exitError{exitRefused, fmt.Errorf("the group %s was changed while this was planned: try again", name)}
		}
		plan.Nodes = append(whole.Nodes, plan.Nodes...)
		whole = plan
	}
	return whole, nil
}

func (t groupsThere) change(ctx context.Context, o orders.Order, g orders.GroupOrder) error {
	ctx, cancel := t.a.within(ctx, 4*patience)
	defer cancel()
	more := map[string]any{"host": g.Host, "leave": g.Leave, "tag": g.Tag, "value": g.Value, "was": g.Was.Value,
		"tag_id": g.Was.TagID}
	return t.at.postOnce(ctx, pathOf("nodegroups", g.Group, "change"), o, more, &orders.Receipt{})
}

func (a *app) nodegroupList() *cobra.Command {
	var l repeated
	cmd := &cobra.Command{
		Use: "list", Short: "List PLC's groups of nodes", Args: takes(), Aliases: []string{"ls"},
		Example: "  monitor nodegroup list\n  monitor nodegroup list --sort -nodes -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return l.repeat(cmd.Context(), a, func() error {
				return a.askingGroups(func(at groupsAt) error {
					list, err := at.list(cmd.Context())
					if err != nil {
						return err
					}
					return few(a, &l, list, a.drawGroups)
				})
			})
		},
	}
	l.addFlags(cmd)
	return cmd
}

func (a *app) drawGroups(list []orders.GroupView) {
	var rows []row
	for _, g := range list {
		rows = append(rows, row{g.Name, orDash(g.Tag), orDash(g.Value), g.Nodes})
	}
	a.table("PLC has no groups of nodes", row{"GROUP", "TAG", "VALUE", "NODES"}, rows)
}

func (a *app) nodegroupShow() *cobra.Command {
	return &cobra.Command{
		Use: "show GROUP", Short: "Show a group of PLC: what makes it, and the nodes in it", Args: takes("GROUP"),
		Example: "  monitor nodegroup show alpha\n  monitor nodegroup show alpha -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.askingGroups(func(at groupsAt) error {
				v, err := at.show(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return a.show(v, func() { a.drawGroup(v) })
			})
		},
	}
}

func (a *app) drawGroup(v orders.GroupView) {
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
	return a.askingGroups(func(at groupsAt) error {
		chosen, err := a.allNodes(ctx, &o.choice, hosts)
		if err != nil {
			return err
		}
		if strings.TrimSpace(o.reason) == "" && !o.dry {
			return badInput("--reason is missing: those who look after the node will ask why it is installed otherwise")
		}
		plan, err := at.plan(ctx, name, chosen, leave)
		if err != nil {
			return err
		}
		coming := plan.Coming()
		if o.dry || coming == 0 {
			return a.show(plan.Nodes, func() { a.drawGroupPlan(plan, leave) })
		}
		if coming > 1 {
			question := fmt.Sprintf("change these %d nodes?", coming)
			if err := a.confirm(o.yes, question, func(a *app) { a.drawGroupPlan(plan, leave) }); err != nil {
				return err
			}
		}
		return a.carryOutGroup(ctx, at, o, plan, leave)
	})
}

func (a *app) drawGroupPlan(plan orders.GroupPlan, leave bool) {
	g := plan.Group
	does := fmt.Sprintf("enter the group %s: their tag %s becomes %q", g.Name, g.Tag, g.Value)
	if leave {
		does = fmt.Sprintf("leave the group %s: their tag %s goes", g.Name, g.Tag)
	}
	a.say("%d of %d nodes would %s", plan.Coming(), len(plan.Nodes), does)
	a.drawGroupChanges(plan.Nodes)
}

func (a *app) drawGroupChanges(list []orders.GroupChange) {
	var rows []row
	for _, p := range list {
		rows = append(rows, row{p.Host, p.Site, a.state(p.State), orDash(p.Was), orDash(p.Value), orDash(strings.Join(p.Leaves, ", ")), orDash(p.Reason)})
	}
	a.table("no nodes", row{"NODE", "SITE", "STATE", "WAS", "BECOMES", "LEAVES", "WHY"}, rows)
}

// carryOutGroup changes one node after the other. What one refuses stops no other.
func (a *app) carryOutGroup(ctx context.Context, at groupsAt, o *groupFlags, plan orders.GroupPlan, leave bool) error {
	g := plan.Group
	for i := range plan.Nodes {
		p := &plan.Nodes[i]
		if p.State != orders.ChangePlanned {
			continue
		}
		err := at.change(ctx, o.order(a), orders.GroupOrder{Group: g.Name, Host: p.Host, Site: p.Site, Leave: leave, Tag: g.Tag,
			Value: g.Value, Was: plc.NodeTag{TagID: p.TagID, Value: p.Was}})
		switch p.State = orders.ChangeDone; {
		case errors.Is(err, plc.ErrMayBeDone), errors.Is(err, errUnanswered), orders.KindOf(err) == orders.Silent:
			p.State = orders.ChangeUnknown
		case err != nil:
			p.State = orders.ChangeRefused
		}
		if err != nil {
			p.Reason = err.Error()
		}
		a.progress("%d of %d: %s %s %s", i+1, len(plan.Nodes), p.Host, p.State, p.Reason)
		if ctx.Err() != nil {
			break
		}
	}
	bad := 0
	for _, p := range plan.Nodes {
		if p.State != orders.ChangeDone && p.State != orders.ChangeNothing {
			bad++
		}
	}
	err := a.show(plan.Nodes, func() { a.drawGroupChanges(plan.Nodes) })
	if bad > 0 {
		err = errors.Join(err, &exitError{exitRefused, fmt.Errorf("not done on %d of %d nodes", bad, len(plan.Nodes))})
	}
	return err
}
