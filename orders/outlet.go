package orders

import (
	"context"
	"fmt"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
)

// Outlet does one operation on one outlet by Monitor's own records, and waits for what comes of it. What the gate or the
// device refuses stands in the answer.
func (d Desk) Outlet(ctx context.Context, o Order, in request.Outlet, waives []policy.Waiver) (Receipt, request.OutletAnswer,
	error) {
	answer := request.OutletAnswer{Outlet: in}
	a, err := d.aboutTarget(ctx, answers.KindPCU, in.PCU)
	if err != nil {
		return Receipt{}, answer, err
	}
	in.PCUID, in.From = a.pcu, o.Who.From
	in.Order = policy.Order{By: o.by(), Role: roleOf(o.Who), Reason: o.reason(), Waives: waives}
	a.verb = access.PCUOperate
	a.does = fmt.Sprintf("%s outlet %d of PCU %s", in.Operation, in.Outlet, in.PCU)
	a.words = map[string]any{"operation": in.Operation, "outlet": in.Outlet, "waives": waives}
	if in.Operation.Switches() {
		a.why = "the ledger keeps it"
	}
	a.check = func(context.Context) error {
		if err := in.Check(); err != nil {
			return &Error{Invalid, err}
		}
		return nil
	}
	if !in.Operation.Switches() { // to look is no order
		look := !o.DryRun
		o.DryRun = true
		r, err := d.give(ctx, o, a)
		if err == nil && r.Refused == "" && look {
			answer, err = d.operate(ctx, in, fmt.Sprintf("look/%s/%d", in.PCU, d.now().UnixNano()))
		}
		return r, answer, err
	}
	asked := false
	a.do = func(ctx context.Context, key string) (_ string, err error) {
		asked = true
		if answer, err = d.operate(ctx, in, key); err != nil {
			return "", err
		}
		switch {
		case answer.Refused != "":
			return "", refused("%s", answer.Refused)
		case answer.Error != "":
			return "it failed: " + answer.Error, nil
		}
		return "", nil
	}
	r, err := d.give(ctx, o, a)
	if r.Before && !asked && d.Temporal != nil { // what it came to then
		if run := d.Temporal.GetWorkflow(ctx, request.OutletType+"/"+r.Key, ""); run.Get(ctx, &answer) != nil {
			answer = request.OutletAnswer{Outlet: in}
		}
	}
	if answer.Refused != "" && KindOf(err) == Refused { // the answer says it, and which check
		err = nil
	}
	return r, answer, err
}

// operate has a worker do it, and waits.
func (d Desk) operate(ctx context.Context, in request.Outlet, key string) (answer request.OutletAnswer, err error) {
	answer.Outlet = in
	if err := d.connected(); err != nil {
		return answer, err
	}
	run, err := d.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: request.OutletType + "/" + key, TaskQueue: activities.TaskQueue,
		// an order whose answer was lost comes again under its key: it is asked what became of it, and not done twice
		WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		StaticSummary:         fmt.Sprintf("%s outlet %d of %s for %s", in.Operation, in.Outlet, in.PCU, in.Order.By),
	}, request.OutletType, in)
	if err == nil {
		err = run.Get(ctx, &answer)
	}
	return answer, answered(in.PCU, err, err)
}
