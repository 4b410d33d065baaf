package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
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

// otherNames is said where a name was taken for one of Monitor's own records, and that may be the mistake.
const otherNames = "a name of a file of PCUs needs --pcus or " + pcusVariable

// operateNamed does one operation to outlets that Monitor's own records name.
func (a *app) operateNamed(ctx context.Context, o *namedOrder, operation request.Operation, args []string, outlet int) error {
	if operation.Switches() && strings.TrimSpace(o.reason) == "" {
		return badInput("--reason is missing: the ledger keeps it; %s", otherNames)
	}
	var targets []request.Outlet
	for _, name := range args {
		found, err := a.outletsNamed(ctx, name, operation, outlet)
		if err != nil && a.code(err) == exitUsage {
			return badInput("%w; %s", err, otherNames)
		}
		if err != nil {
			return err
		}
		targets = append(targets, found...)
	}
	if operation.Switches() && len(targets) > 1 {
		question := fmt.Sprintf("%s these %d outlets?", operation, len(targets))
		if err := a.confirm(o.yes, question, func(a *app) { a.drawOrderedOutlets(targets) }); err != nil {
			return err
		}
	}
	list := make([]request.OutletAnswer, len(targets))
	operateAll := func(give func(context.Context, request.Outlet) (request.OutletAnswer, error)) {
		var all sync.WaitGroup
		for i, t := range targets {
			all.Go(func() {
				ctx, cancel := a.within(ctx, 2*pcuPatience)
				defer cancel()
				var err error
				if list[i], err = give(ctx, t); err != nil {
					list[i].Error = answers.ReasonOf(err)
				}
			})
		}
		all.Wait()
	}
	r, err := a.remote()
	if r != nil {
		operateAll(func(ctx context.Context, t request.Outlet) (request.OutletAnswer, error) {
			return r.operate(ctx, o, o.order(a), t)
		})
	} else if err == nil {
		err = a.atDeskFor(ctx, func(d orders.Desk) error {
			operateAll(func(ctx context.Context, t request.Outlet) (request.OutletAnswer, error) {
				_, answer, err := d.Outlet(ctx, o.order(a), t, o.waives())
				return answer, err
			})
			return nil
		})
	}
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

// operate does one operation over the API.
func (r *apiServer) operate(ctx context.Context, o *namedOrder, order orders.Order, t request.Outlet) (request.OutletAnswer, error) {
	given := struct {
		Answer request.OutletAnswer `json:"answer"`
	}{request.OutletAnswer{Outlet: t}}
	err := r.post(ctx, pathOf("pcus", t.PCU, "operate"), order, map[string]any{"operation": t.Operation, "outlet": t.Outlet,
		"even_if_up": o.evenUp, "even_if_tried": o.evenTry}, &given)
	return given.Answer, err
}

// outletsNamed is what a name stands for; the flag --outlet names the outlet of a PCU alone.
func (a *app) outletsNamed(ctx context.Context, name string, op request.Operation, outlet int) (targets []request.Outlet, err error) {
	var list []answers.Outlet
	done, err := a.overAPI(ctx, func(ctx context.Context, r *apiServer) error {
		return r.get(ctx, "/outlets", url.Values{"target": {name}}, &list)
	})
	if !done {
		err = a.withStore(ctx, func(ctx context.Context, db *store.Store) (err error) {
			list, err = answers.Outlets(ctx, db, name)
			return err
		})
	}
	if errors.Is(err, store.ErrNotFound) || orders.KindOf(err) == orders.NotFound {
		return nil, notFound("%w: see `monitor query pcus`; a file of PCUs is given with --pcus", err)
	}
	for _, o := range list {
		t := request.Outlet{PCU: o.PCU, PCUID: o.PCUID, Outlet: cmp.Or(o.Outlet, outlet), Operation: op}
		if t.Outlet == 0 && op != request.Test {
			return nil, badInput("name the outlet, as %s:1", o.PCU)
		}
		targets = append(targets, t)
	}
	return targets, err
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
