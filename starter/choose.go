package main

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

// choice is which nodes an order is meant for, and whether it was confirmed.
type choice struct {
	request selection.Request
	yes     bool
}

func (c *choice) add(cmd *cobra.Command) {
	addSelection(cmd, &c.request, "nodes")
	cmd.Flags().BoolVar(&c.yes, "yes", false, "do it to several without asking once more")
}

// addSelection adds the flags by which every command selects rows, with one meaning.
func addSelection(cmd *cobra.Command, r *selection.Request, what string) {
	f := cmd.Flags()
	f.StringArrayVar(&r.Select, "select", nil, "only "+what+" that this `expression` selects; may be given again")
	f.StringArrayVar(&r.Hosts, "hosts", nil, "those whose names stand in this `file`, as with --select; - is the standard input")
	f.StringArrayVar(&r.In, "in", nil, "only "+what+" that this `expression` selects, too; may be given again")
	f.StringArrayVar(&r.NotIn, "not-in", nil, "none of the "+what+" that this `expression` selects; may be given again")
	_ = cmd.MarkFlagFilename("hosts")
}

// nodes are those that the arguments and flags choose. An order without a choice is meant for nothing.
func (c *choice) nodes(ctx context.Context, a *app, db *store.Store, args []string) ([]selection.Node, error) {
	return c.of(a, args, func(parts selection.NodeParts) ([]selection.Node, error) {
		rows, bad, err := db.NodeRows(ctx, a.now(), parts)
		for _, row := range bad {
			a.warn("left out, since it cannot be read: %s", row)
		}
		return rows, err
	})
}

// of is nodes, of rows that are read elsewhere.
func (c *choice) of(a *app, args []string, read func(parts selection.NodeParts) ([]selection.Node, error)) ([]selection.Node, error) {
	r := c.request
	if len(args) > 0 && len(r.Select)+len(r.Hosts) > 0 {
		return nil, badInput("name nodes, or give --select or --hosts, not both")
	}
	r.Select = append(slices.Clone(r.Select), args...)
	if len(r.Select)+len(r.Hosts) == 0 {
		return nil, badInput("name a node, or give --select or --hosts: without a choice nothing is done")
	}
	opts, err := a.selectOptions()
	if err != nil {
		return nil, err
	}
	table := a.nodeSource().table
	set, err := selection.NewSet(table, r, opts)
	if err != nil {
		return nil, badInput("%w", err)
	}
	rows, err := read(selection.NodePartsOf(set.Uses))
	if err != nil {
		return nil, err
	}
	return pick(set, rows)
}

// confirm shows what an order is about, and asks on a terminal. Elsewhere --yes says it.
func (a *app) confirm(yes bool, question string, show func(a *app)) error {
	if yes {
		return nil
	}
	aside := *a // what is shown before the answer is no output
	aside.out = a.err
	show(&aside)
	if !isTerminal(a.in) {
		return badInput("%s Say --yes", question)
	}
	fmt.Fprintf(a.err, "%s [y/N] ", question)
	line, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil || !slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(line))) {
		return &exitError{exitRefused, fmt.Errorf("left: nothing was ordered")}
	}
	return nil
}

func (a *app) drawChosen(nodes []selection.Node) {
	var rows []row
	for _, n := range nodes {
		rows = append(rows, row{n.Name, n.Site, a.state(n.Status), orDash(n.State), orDash(n.PCU), orDash(n.Why)})
	}
	a.table("no nodes", row{"NODE", "SITE", "STATUS", "SEEN", "PCU", "WHY"}, rows)
}
