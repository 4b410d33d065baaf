package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/store"
)

const pcuNamed = `Without --pcus and --host, targets are names of Monitor's own records: a PCU, PCU:OUTLET, or a node, which stands for the outlets
that feed it. A worker then does it, with the password that Monitor holds and under its lock; what switches passes the
gate, needs --reason, and stands in the ledger.`

// namedOrder is what the flags say of targets that Monitor's own records name.
type namedOrder struct {
	reasonFlags
	yes, evenUp, evenTry bool
	expect               string // of a status; empty: any
}

func (o *namedOrder) addFlags(cmd *cobra.Command) {
	o.reasonFlags.add(cmd)
	cmd.Flags().BoolVar(&o.yes, "yes", false, "of Monitor's own records: do it to several without asking once more")
	cmd.Flags().BoolVar(&o.evenUp, "even-if-up", false, "of Monitor's own records: also where a node that it feeds answers")
	cmd.Flags().BoolVar(&o.evenTry, "even-if-tried", false, "of Monitor's own records: also where a node was power-cycled too often lately")
}

func (o *namedOrder) waives() (list []policy.Waiver) {
	if o.evenUp {
		list = append(list, policy.EvenIfUp)
	}
	if o.evenTry {
		list = append(list, policy.EvenIfTried)
	}
	return list
}

// operateNamed does one operation to outlets that Monitor's own records name.
func (a *app) operateNamed(ctx context.Context, o *namedOrder, operation request.Operation, args []string, outlet int) error {
	if operation.Switches() && strings.TrimSpace(o.reason) == "" {
		return badInput("--reason is missing: the ledger keeps it")
	}
	var targets []request.Outlet
	err := a.withStore(ctx, func(ctx context.Context, db *store.Store) error {
		for _, name := range args {
			found, err := outletsNamed(ctx, db, name, operation, outlet)
			if err != nil {
				return err
			}
			targets = append(targets, found...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if operation.Switches() && len(targets) > 1 {
		question := fmt.Sprintf("%s these %d outlets?", operation, len(targets))
		if err := a.confirm(o.yes, question, func(a *app) { a.drawOrderedOutlets(targets) }); err != nil {
			return err
		}
	}
	list := make([]request.OutletAnswer, len(targets))
	err = a.atDeskFor(ctx, func(d orders.Desk) error {
		var all sync.WaitGroup
		for i, t := range targets {
			all.Go(func() { list[i] = a.operateOne(ctx, d, o, t) })
		}
		all.Wait()
		return nil
	})
	if err != nil {
		return err
	}
	var shown error
	if len(list) == 1 {
		shown = a.show(list[0], func() { a.drawOutletAnswers(list) })
	} else {
		shown = a.show(list, func() { a.drawOutletAnswers(list) })
	}
	return errors.Join(outletVerdict(list, o.expect), shown)
}

func (a *app) operateOne(ctx context.Context, d orders.Desk, o *namedOrder, t request.Outlet) request.OutletAnswer {
	ctx, cancel := a.within(ctx, 2*pcuPatience)
	defer cancel()
	_, answer, err := d.Outlet(ctx, o.order(a), t, o.waives())
	if err != nil {
		answer.Error = answers.ReasonOf(err)
	}
	return answer
}

// outletsNamed is what a name stands for.
func outletsNamed(ctx context.Context, db *store.Store, name string, op request.Operation, outlet int) ([]request.Outlet, error) {
	of := func(id, outlet int) (request.Outlet, error) {
		p, err := db.PCU(ctx, id)
		return request.Outlet{PCU: p.Name, PCUID: id, Outlet: outlet, Operation: op}, err
	}
	n, err := db.Node(ctx, name)
	switch {
	case err == nil && len(n.Feeds) == 0:
		return nil, notFound("no PCU feeds %s: see `monitor node show %s`", name, name)
	case err == nil:
		var list []request.Outlet
		for _, f := range n.Feeds {
			one, err := of(f.PCUID, f.Outlet)
			if err != nil {
				return nil, err
			}
			list = append(list, one)
		}
		return list, nil
	case !errors.Is(err, store.ErrNotFound):
		return nil, err
	}
	pcu := name
	if before, after, found := numberedOutlet(name); found {
		pcu, outlet = before, after
	}
	p, err := db.PCUByName(ctx, pcu)
	if errors.Is(err, store.ErrNotFound) {
		return nil, notFound("no PCU and no node %s is known: see `monitor query pcus`; a file of PCUs is given with --pcus", pcu)
	}
	if err != nil {
		return nil, err
	}
	if outlet == 0 && op != request.Test {
		return nil, badInput("name the outlet, as %s:1", pcu)
	}
	one, err := of(p.PCUID, outlet)
	return []request.Outlet{one}, err
}

// numberedOutlet splits PCU:OUTLET; an address with colons in it is none.
func numberedOutlet(name string) (pcu string, outlet int, found bool) {
	i := strings.LastIndex(name, ":")
	if i < 0 {
		return name, 0, false
	}
	number, err := strconv.Atoi(name[i+1:])
	return name[:i], number, err == nil && number > 0
}

func (a *app) drawOrderedOutlets(list []request.Outlet) {
	var rows []row
	for _, t := range list {
		rows = append(rows, row{t.PCU, t.Outlet})
	}
	a.table("", row{"PCU", "OUTLET"}, rows)
}

func (a *app) drawOutletAnswers(list []request.OutletAnswer) {
	var rows []row
	for _, v := range list {
		verified := "no"
		if v.Verified {
			verified = "yes"
		}
		target := v.PCU
		if v.Outlet.Outlet > 0 {
			target = fmt.Sprintf("%s:%d", v.PCU, v.Outlet.Outlet)
		}
		rows = append(rows, row{target, orDash(strings.Join(v.Nodes, ", ")), a.state(v.Before), a.state(v.After), verified,
			orDash(cmp.Or(v.Refused, v.Error, v.Note))})
	}
	a.table("no targets", row{"TARGET", "FEEDS", "BEFORE", "AFTER", "VERIFIED", "NOTE"}, rows)
}

// outletVerdict is the error of all operations: of one alone, its own exit code.
func outletVerdict(list []request.OutletAnswer, expect string) error {
	bad := slices.DeleteFunc(slices.Clone(list), func(v request.OutletAnswer) bool { return v.Error == "" && v.Refused == "" })
	if len(bad) == 0 {
		for _, v := range list {
			if expect != "" && v.After != expect {
				return &exitError{exitNotExpected, fmt.Errorf("not %s as expected: %s:%d is %s", expect, v.PCU, v.Outlet.Outlet, v.After)}
			}
		}
		return nil
	}
	v := bad[0]
	text := cmp.Or(v.Refused, v.Error)
	if v.Check != "" {
		text = "refused by the gate (" + v.Check + "): " + text
	}
	if len(list) > 1 {
		text = fmt.Sprintf("%d of %d failed, the first one, %s:%d: %s", len(bad), len(list), v.PCU, v.Outlet.Outlet, text)
	}
	code := exitFailure
	if e, known := exitOf(pcucontrol.Kind(v.Kind)); known && len(bad) == 1 {
		code = e.code
	}
	if v.Refused != "" && !slices.ContainsFunc(bad, func(v request.OutletAnswer) bool { return v.Refused == "" }) {
		code = exitRefused
	}
	return &exitError{code, errors.New(text)}
}
