package orders

import (
	"context"
	"errors"
	"fmt"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/store"
)

// Node is what somebody orders of a node.
type Node struct {
	Act      request.Act
	State    string // of the act bootstate
	Waives   []policy.Waiver
	Ways     []request.Way
	Patience time.Duration
	Return   time.Duration
	NodeID   int // the node that is meant, should PLC give its name to another one; 0: whichever has the name
}

// verbs are what access knows the acts by.
var verbs = map[request.Act]access.Verb{request.Reboot: access.NodeReboot, request.Reinstall: access.NodeReinstall,
	request.BootState: access.NodeBootState}

// input is the order as its workflow gets it.
func (n Node) input(o Order, host string) request.Input {
	return request.Input{Node: host, NodeID: n.NodeID, Act: n.Act, State: n.State, From: o.Who.From, Ways: n.Ways,
		Order:    policy.Order{By: o.by(), Role: roleOf(o.Who), Reason: o.reason(), Waives: n.Waives},
		Patience: n.Patience, Return: n.Return, DryRun: o.DryRun}
}

// roleOf is what somebody is to the gate: who has no more than his own site passes over none of its checks.
func roleOf(w access.Who) policy.Role {
	switch w.Role {
	case access.Operator, access.Admin:
		return policy.RoleOperator
	case access.Site:
		return policy.RoleSite
	}
	return ""
}

// Node gives an order to a node, which a workflow of its own carries out: the receipt names its run. The node takes one
// order at a time. A dry run asks the gate: see WouldNode.
func (d Desk) Node(ctx context.Context, o Order, n Node, host string) (Receipt, error) {
	a, err := d.aboutNodeOrder(ctx, o, n, host)
	if err != nil {
		return Receipt{}, err
	}
	var run string
	a.do = func(ctx context.Context, key string) (string, error) {
		in := n.input(o, host)
		in.Key = key
		w, err := d.startRequest(ctx, in)
		if err != nil {
			return "", err
		}
		run = w.GetRunID()
		return "", nil
	}
	r, err := d.give(ctx, o, a)
	r.Run = run
	return r, err
}

func (d Desk) aboutNodeOrder(ctx context.Context, o Order, n Node, host string) (act, error) {
	a, err := d.aboutTarget(ctx, answers.KindNode, host)
	if err != nil {
		return a, err
	}
	a.verb, a.why = verbs[n.Act], "the ledger keeps it, and the issues of the node tell it"
	a.issue = request.ID(host)
	a.does = fmt.Sprintf("%s node %s", n.Act, host)
	if n.State != "" {
		a.does = fmt.Sprintf("set the boot state of node %s to %s", host, n.State)
	}
	a.words = map[string]any{"act": n.Act}
	for name, value := range map[string]any{"state": n.State, "waives": n.Waives, "ways": n.Ways} {
		a.words[name] = value
	}
	if o.reason() != "" { // whose lack is told in its own words
		if err := n.input(o, host).Check(); err != nil && access.Allowed(o.Who, a.verb, a.site) {
			return a, &Error{Invalid, err}
		}
	}
	return a, nil
}

// ErrUnderWay says that another order to the same node is under way.
var ErrUnderWay = errors.New("another order to this node is under way")

func (d Desk) startRequest(ctx context.Context, in request.Input) (client.WorkflowRun, error) {
	if err := d.connected(); err != nil {
		return nil, err
	}
	o := client.StartWorkflowOptions{
		ID: request.ID(in.Node), TaskQueue: activities.TaskQueue,
		WorkflowIDConflictPolicy:                 enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowIDReusePolicy:                    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		StaticSummary:                            fmt.Sprintf("%s of %s for %s", in.Act, in.Node, in.Order.By),
	}
	if in.DryRun { // it disturbs nobody
		o.ID = fmt.Sprintf("%s/would/%d", request.ID(in.Node), time.Now().UnixNano())
	}
	if in.Key != "" { // the answer to the same order was lost, and the order may be over by now
		taken, err := d.Store.Action(ctx, in.Line("", ""))
		if err == nil {
			return d.Temporal.GetWorkflow(ctx, o.ID, taken.RunID), nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	run, err := d.Temporal.ExecuteWorkflow(ctx, o, request.Type, in)
	var running *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &running) {
		s, askErr := answers.Request(ctx, d.Temporal, in.Node, running.RunId)
		if askErr == nil && s.Input.Key == in.Key && in.Key != "" { // the answer to the same order was lost
			return d.Temporal.GetWorkflow(ctx, o.ID, running.RunId), nil
		}
		return nil, refused("%w: see `monitor node request %s`", ErrUnderWay, in.Node)
	}
	if err != nil {
		return nil, fmt.Errorf("order a %s of %s: %w", in.Act, in.Node, err)
	}
	return run, nil
}

// WouldNode asks the gate what an order would come to, and does nothing.
func (d Desk) WouldNode(ctx context.Context, o Order, n Node, host string) (s request.Story, err error) {
	o.DryRun = true
	a, err := d.aboutNodeOrder(ctx, o, n, host)
	if err != nil {
		return s, err
	}
	if _, err := d.give(ctx, o, a); err != nil { // asks who may, and for the reason
		return s, err
	}
	run, err := d.startRequest(ctx, n.input(o, host))
	if err == nil {
		err = run.Get(ctx, &s)
	}
	return s, answered(request.ID(host), err, err)
}

// gateIn is how long the gate may take to say what it would say: it looks at the node first.
const gateIn = 10 * time.Second

// PreviewNode is the dry run of an order to a node: what the gate would say to it stands in the receipt, as a refusal or
// in the note, and also that it could not be asked in time.
func (d Desk) PreviewNode(ctx context.Context, o Order, n Node, host string) (Receipt, error) {
	o.DryRun = true
	r, err := d.Node(ctx, o, n, host)
	if err != nil || d.Temporal == nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(ctx, gateIn)
	defer cancel()
	switch s, err := d.WouldNode(ctx, o, n, host); {
	case err != nil:
		r.Note = "the gate could not be asked now, and is asked again before anything is done"
	case !s.End.Good():
		r.Refused = s.Reason
	default:
		r.Note = s.Reason
	}
	return r, nil
}

// NodeIfItMay gives an order if the gate would let it pass now, so that a no does not use its key up.
func (d Desk) NodeIfItMay(ctx context.Context, o Order, n Node, host string) (Receipt, error) {
	_, err := d.Store.Action(ctx, o.keyed())
	if errors.Is(err, store.ErrNotFound) {
		var r Receipt
		if r, err = d.PreviewNode(ctx, o, n, host); err == nil && r.Refused != "" {
			err = refused("%s", r.Refused)
		}
	}
	if err != nil {
		return Receipt{}, err
	}
	return d.Node(ctx, o, n, host)
}

// CancelNode leaves the order to a node that is under way, if nothing was done yet.
func (d Desk) CancelNode(ctx context.Context, o Order, host string) (Receipt, request.Answer, error) {
	var answer request.Answer
	a, err := d.aboutTarget(ctx, answers.KindNode, host)
	if err != nil {
		return Receipt{}, answer, err
	}
	a.verb, a.issue, a.does = access.NodeCancel, request.ID(host), "cancel the order to node "+host
	a.do = func(ctx context.Context, key string) (string, error) {
		id := request.ID(host)
		err := d.tell(ctx, id, request.UpdateCancel, key, request.Cancel{By: o.by(), Reason: o.reason()}, &answer)
		if err := answered(id, err, notFound("no order to %s is under way", host)); err != nil {
			return "", err
		}
		if answer.TooLate != "" {
			return "", refused("not cancelled: %s", answer.TooLate)
		}
		return "", nil
	}
	r, err := d.give(ctx, o, a)
	return r, answer, err
}

// tell sends an Update to a workflow, which takes one with the same key only once, and waits for its answer.
func (d Desk) tell(ctx context.Context, id, name, key string, arg, answer any) error {
	if err := d.connected(); err != nil {
		return err
	}
	h, err := d.Temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{UpdateID: key, WorkflowID: id, UpdateName: name,
		Args: []any{arg}, WaitForStage: client.WorkflowUpdateStageCompleted})
	if err == nil {
		err = h.Get(ctx, answer)
	}
	return err
}
