package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

// findbadView is what a look at the fleet changed of the nodes that were asked for, and of their PCUs.
type findbadView struct {
	Sweep   sweepView    `json:"sweep"`
	Nodes   int          `json:"nodes"`
	PCUs    int          `json:"pcus"`
	Changed []changeView `json:"changed"`
}

// changeView is one node or PCU that is not as it was.
type changeView struct {
	Kind   string   `json:"kind"`
	Name   string   `json:"name"`
	Site   string   `json:"site"`
	Was    string   `json:"was"`
	Became string   `json:"became"`
	Worse  bool     `json:"worse"`
	Opened []string `json:"opened,omitempty"` // types of issues
	Closed []string `json:"closed,omitempty"`
	Why    string   `json:"why"`
}

func (a *app) findbad() *cobra.Command {
	var r selection.Request
	var fail bool
	cmd := &cobra.Command{
		Use: "findbad", Short: "Look at the fleet now, and say which nodes and PCUs are not as they were", Args: takes(),
		Long: "Look at the fleet now, show how far it is, and say what changed: which nodes and PCUs have another status or state, and which\n" +
			"issues were opened and closed. The look is a sweep, and takes in the whole fleet, since one node alone cannot tell whether it\n" +
			"is the node that fails or the network before us; --select says of which nodes, with their PCUs, the changes are told.\n" +
			"Ctrl-C stops the watching, not the sweep.\n\n" + selectHelp,
		Example: "  monitor findbad\n  monitor findbad --select site=princeton --exit-code\n  monitor findbad --select 'planetlab*.example.edu' -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := a.findChanges(cmd.Context(), r)
			if err != nil {
				return err
			}
			if err := a.show(v, func() { a.drawChanges(v) }); err != nil {
				return err
			}
			if worse := v.worse(); fail && len(worse) > 0 {
				return &exitError{exitNotExpected, fmt.Errorf("worse than before: %s", strings.Join(worse, ", "))}
			}
			return nil
		},
	}
	addSelection(cmd, &r, "nodes")
	cmd.Flags().BoolVar(&fail, "exit-code", false, "exit with code 4 when a node or PCU is worse than before")
	return cmd
}

func (v findbadView) worse() []string {
	var names []string
	for _, c := range v.Changed {
		if c.Worse {
			names = append(names, c.Name)
		}
	}
	return names
}

// fleetSight is what the store has of nodes and PCUs, by name.
type fleetSight struct {
	nodes map[string]selection.Node
	pcus  map[string]selection.PCU
}

// findChanges reads, looks, and reads again. Who is asked for is decided by what was known before the look.
func (a *app) findChanges(ctx context.Context, r selection.Request) (v findbadView, err error) {
	opts, err := a.selectOptions()
	if err != nil {
		return v, err
	}
	set, err := selection.NewSet(a.nodeSource().table, r, opts)
	if err != nil {
		return v, badInput("%w", err)
	}
	before, err := a.sight(ctx, set)
	if err != nil {
		return v, err
	}
	if v.Sweep, err = a.look(ctx, false, ""); err != nil {
		return v, err
	}
	after, err := a.sight(ctx, nil)
	if err != nil {
		return v, err
	}
	asked := !r.Empty()
	v.Nodes, v.PCUs, v.Changed = len(before.nodes), len(before.pcus), []changeView{}
	for _, n := range after.nodes {
		was, known := before.nodes[n.Name]
		if !known && asked {
			continue
		}
		if c, changed := changeOfNode(was, n); changed {
			v.Changed = append(v.Changed, c)
		}
	}
	for key, p := range after.pcus {
		was, known := before.pcus[key]
		if !known && asked {
			continue
		}
		if c, changed := changeOfPCU(was, p); changed {
			v.Changed = append(v.Changed, c)
		}
	}
	slices.SortFunc(v.Changed, func(x, y changeView) int {
		return strings.Compare(x.Site+"/"+x.Kind+"/"+x.Name, y.Site+"/"+y.Kind+"/"+y.Name)
	})
	return v, nil
}

// sight reads nodes and PCUs: those that a set picks and the PCUs that feed them, or all.
func (a *app) sight(ctx context.Context, set *selection.Set[selection.Node]) (s fleetSight, err error) {
	var parts selection.NodeParts
	if set != nil {
		parts = selection.NodePartsOf(set.Uses)
	}
	if done, err := a.overAPI(ctx, func(ctx context.Context, r *apiServer) error {
		rows, err := r.remoteNodes(ctx, parts.Details, time.Time{})
		if err != nil {
			return err
		}
		pcus, err := rowsOf[selection.PCU](ctx, r, "/pcus", nil, 0)
		if err == nil {
			s, err = sightIn(set, rows, pcus)
		}
		return err
	}); done {
		return s, err
	}
	err = a.withStore(ctx, func(ctx context.Context, db *store.Store) error {
		rows, _, err := db.NodeRows(ctx, a.now(), parts)
		if err != nil {
			return err
		}
		pcus, _, err := db.PCURows(ctx)
		if err == nil {
			s, err = sightIn(set, rows, pcus)
		}
		return err
	})
	return s, err
}

func sightIn(set *selection.Set[selection.Node], rows []selection.Node, pcus []selection.PCU) (fleetSight, error) {
	s := fleetSight{map[string]selection.Node{}, map[string]selection.PCU{}}
	all := len(rows)
	if set != nil {
		var err error
		if rows, err = pick(set, rows); err != nil {
			return s, err
		}
	}
	for _, n := range rows {
		s.nodes[n.Name] = n
	}
	for _, p := range pcus {
		feeds := slices.ContainsFunc(p.Nodes, func(host string) bool { _, is := s.nodes[host]; return is })
		if feeds || len(rows) == all {
			s.pcus[fmt.Sprint(p.PCUID)] = p
		}
	}
	return s, nil
}

func changeOfNode(was, n selection.Node) (changeView, bool) {
	c := changeView{
		Kind:   "node",
		Name:   n.Name,
		Site:   n.Site,
		Was:    condition(was.Status, was.State),
		Became: condition(n.Status, n.State),
		Why:    n.Why,
		Opened: without(n.Issues, was.Issues),
		Closed: without(was.Issues, n.Issues),
	}
	c.Worse = bad(n.Status) && !bad(was.Status) ||
		n.State == policy.StateDown && was.State != policy.StateDown && was.Name != "" ||
		len(c.Opened) > 0
	return c, c.Was != c.Became || len(c.Opened)+len(c.Closed) > 0
}

func changeOfPCU(was, p selection.PCU) (changeView, bool) {
	c := changeView{
		Kind:   "pcu",
		Name:   p.Name,
		Site:   p.Site,
		Was:    condition(was.Status, dryRun(was)),
		Became: condition(p.Status, dryRun(p)),
		Why:    p.Reason,
		Opened: without(p.Issues, was.Issues),
		Closed: without(was.Issues, p.Issues),
	}
	c.Worse = bad(p.Status) && !bad(was.Status) || was.OK && !p.OK || len(c.Opened) > 0
	return c, c.Was != c.Became || len(c.Opened)+len(c.Closed) > 0
}

func bad(status string) bool { return policy.Status(status).Unhealthy() }

// condition is a status and what the last look saw.
func condition(status, seen string) string {
	return strings.Trim(status+", "+strings.ToLower(seen), ", ")
}

func dryRun(p selection.PCU) string {
	switch {
	case p.SeenAt.Equal(time.Time{}):
		return ""
	case p.OK:
		return "passes"
	}
	return "fails"
}

// without is what stands in the one list and not in the other.
func without(list, other []string) []string {
	var left []string
	for _, s := range list {
		if !slices.Contains(other, s) {
			left = append(left, s)
		}
	}
	return left
}

func (a *app) drawChanges(v findbadView) {
	a.drawSweep(v.Sweep)
	a.changeTable(fmt.Sprintf("nothing changed of %d nodes and %d PCUs", v.Nodes, v.PCUs), v.Changed)
}

func (a *app) changeTable(none string, changes []changeView) {
	var rows []row
	for _, c := range changes {
		var issues []string
		if len(c.Opened) > 0 {
			issues = append(issues, "opened "+strings.Join(c.Opened, ", "))
		}
		if len(c.Closed) > 0 {
			issues = append(issues, "closed "+strings.Join(c.Closed, ", "))
		}
		rows = append(
			rows,
			row{
				c.Kind,
				c.Name,
				c.Site,
				orDash(c.Was),
				orDash(c.Became),
				orDash(strings.Join(issues, "; ")),
				orDash(c.Why),
			},
		)
	}
	a.table(none, row{"KIND", "NAME", "SITE", "WAS", "IS NOW", "ISSUES", "WHY"}, rows)
}
