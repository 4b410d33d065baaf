package activities

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/inventory"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/store"
)

// Requests is what persons order of one node: to reboot it, to reinstall it, to set its boot state. What cuts power is
// done by Power, under its lock, gate and ledger.
type Requests struct {
	*ledger
	power      *Power
	boot       *Boot
	gate       *gate
	observer   *observer
	bootStates *bootStates
	claims     *claims
	workflows  *workflows
	Inventory  inventory.Keeper
}

// RequestStart asks for a request to be written down: which workflow asks, and what was ordered.
type RequestStart struct {
	ID    string        `json:"id"`
	Run   string        `json:"run"`
	Input request.Input `json:"input"`
}

// OpenRequest finds the node of an order, looks at it, and writes down who ordered what. The claim tells the issues of
// the node that a person is at work on it.
func (a *Requests) OpenRequest(ctx context.Context, in RequestStart) (request.Opening, error) {
	defer heartbeat(ctx)()
	if err := in.Input.Check(); err != nil {
		return request.Opening{}, badRequest("%v", err)
	}
	n, err := a.Store.Node(ctx, in.Input.Node)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && n.Gone:
		return request.Opening{}, noTarget("no node %q is known: check the name, or run `monitor sweep` to "+
			"fetch it", in.Input.Node)
	case err != nil:
		return request.Opening{}, err
	case in.Input.NodeID != 0 && in.Input.NodeID != n.NodeID:
		return request.Opening{}, noTarget("%s is another node by now: it is number %d, and %d was meant",
			n.Hostname, n.NodeID, in.Input.NodeID)
	}
	o := request.Opening{Site: n.Site, NodeID: n.NodeID, PCUID: n.PCUID, Times: request.TimesOf(a.Policy, in.Input)}
	if n.PCUID != 0 {
		p, err := a.Store.PCU(ctx, n.PCUID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return o, err
		}
		o.PCU = p.Name
	}
	if in.Input.Act != request.BootState {
		if o.Before, err = a.sight(ctx, requestRef(in.ID, in.Run, in.Input.Node, o)); err != nil {
			a.Log.Warn("a node could not be looked at", "node", n.Hostname, "error", err)
		}
	}
	if in.Input.DryRun {
		return o, nil
	}
	data, err := json.Marshal(in.Input)
	if err != nil {
		return o, err
	}
	taken, _, _, err := a.Store.Begin(ctx, store.Plan{
		Action: store.Action{Key: in.Input.Line(in.ID, in.Run), Kind: store.KindOrder, Issue: in.ID, RunID: in.Run,
			Node: n.Hostname, Site: n.Site, Data: data, Reason: ordered(in.Input)},
		Claims: []store.Claim{{Kind: store.ClaimRequest, Target: n.Hostname, SetTo: string(in.Input.Act)}},
	})
	if err == nil && taken.RunID != in.Run {
		return o, badRequest("this order was taken before, by run %s: it is carried out once", taken.RunID)
	}
	return o, err
}

// ordered is an order in a line.
func ordered(in request.Input) string {
	what := string(in.Act)
	if in.State != "" {
		what += " " + in.State
	}
	from := ""
	if in.From != "" {
		from = ", from " + in.From
	}
	return clean.Line(fmt.Sprintf("%s orders %s%s: %s", in.Order.By, what, from, in.Order.Reason))
}

func requestRef(id, run, node string, o request.Opening) Ref {
	return Ref{ID: id, Run: run, Type: request.Type, Node: node, Site: o.Site, PCU: o.PCU, PCUID: o.PCUID}
}

// taskOf is a request as the rungs of issues know their work.
func taskOf(s request.State) task {
	ref := requestRef(s.ID, s.Run, s.Input.Node, s.Found)
	state := issue.State{Opening: issue.Opening{Ref: ref, Cause: s.Input.Order.Reason}, Opened: s.Started, Rung: s.Way}
	return task{Request: issue.Request{State: state, Key: s.Key()}, order: s.Input.Order}
}

func (a *Requests) sight(ctx context.Context, ref Ref) (request.Sight, error) {
	seen, err := a.observer.observe(ctx, ref)
	if err != nil {
		return request.Sight{At: a.now(), Saw: clean.Line(err.Error())}, err
	}
	f := seen.facts.Finding
	s := request.Sight{At: seen.at, Alive: f.Alive(), Saw: f.Reason, Up: f.Alive() && f.State != policy.StateDebug && !f.Locked}
	if f.Uptime > 0 {
		s.Booted = a.now().Add(-f.Uptime)
	}
	return s, nil
}

// LookAtRequest takes a fresh look at the node of a request.
func (a *Requests) LookAtRequest(ctx context.Context, s request.State) (request.Sight, error) {
	defer heartbeat(ctx)()
	return a.sight(ctx, taskOf(s).ref())
}

// TryRequest goes one way of a request, once. What an earlier try under the same key has begun is brought to its end.
func (a *Requests) TryRequest(ctx context.Context, s request.State) (issue.Result, error) {
	defer heartbeat(ctx)()
	t := taskOf(s)
	action, err := a.Store.Action(ctx, t.Key)
	if err == nil {
		return a.finish(ctx, t, s, action)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return issue.Result{}, err
	}
	res, err := a.try(ctx, t, s)
	if err != nil && ctx.Err() != nil {
		if _, is := a.Store.Action(context.WithoutCancel(ctx), t.Key); errors.Is(is, store.ErrNotFound) {
			return issue.Result{Outcome: issue.Stopped, Reason: "it was cancelled before anything was done"}, nil
		}
	}
	return res, err
}

// SettleRequest finds out what became of a try whose activity failed or was cancelled. Stopped: nothing was begun.
func (a *Requests) SettleRequest(ctx context.Context, s request.State) (issue.Result, error) {
	defer heartbeat(ctx)()
	t := taskOf(s)
	action, err := a.Store.Action(ctx, t.Key)
	if errors.Is(err, store.ErrNotFound) {
		return issue.Result{Outcome: issue.Stopped, Reason: "nothing was begun"}, nil
	}
	if err != nil {
		return issue.Result{}, err
	}
	res, err := a.finish(ctx, t, s, action)
	if err == nil && res.Outcome == issue.Wait && !action.Begun() {
		res.Outcome = issue.Stopped
	}
	return res, err
}

func (a *Requests) try(ctx context.Context, t task, s request.State) (issue.Result, error) {
	n, err := a.Store.Node(ctx, t.ref().Node)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && n.Gone:
		return issue.Result{Outcome: issue.Gone, Reason: t.ref().Node + " is no longer in " + a.from()}, nil
	case err != nil:
		return issue.Result{}, err
	case n.NodeID != s.Found.NodeID:
		return issue.Result{Outcome: issue.Gone, Reason: t.ref().Node + " is another node by now"}, nil
	}
	switch way := s.NextWay(); {
	case way == request.ByPLC:
		return a.setBootState(ctx, t, s)
	case s.Input.DryRun && way == request.ByPCU:
		return a.wouldCut(ctx, t, s)
	case way == request.ByPCU:
		if t.seen, err = a.observer.observe(ctx, t.ref()); err != nil {
			return issue.Result{}, err
		}
		return a.power.decidePower(ctx, t, powerAct(s.Input.Act))
	}
	return a.restartOverSSH(ctx, t, s)
}

func powerAct(act request.Act) policy.Act {
	if act == request.Reinstall {
		return policy.ActReinstall
	}
	return policy.ActReboot
}

// finish brings to its end what an earlier try has begun.
func (a *Requests) finish(ctx context.Context, t task, s request.State, action store.Action) (issue.Result, error) {
	switch s.NextWay() {
	case request.ByPCU:
		return a.power.finishPower(ctx, t, action)
	case request.BySSH:
		return a.finishSSH(ctx, t, action)
	}
	return a.finishBootState(ctx, t, s, action)
}

// EndRequest writes down how a request ended, gives back what it still holds, and lets the issues of the node go on.
func (a *Requests) EndRequest(ctx context.Context, s request.State) error {
	defer heartbeat(ctx)()
	ref := taskOf(s).ref()
	said, err := a.claims.releaseAll(ctx, ref, "the request has ended")
	if err != nil {
		return err
	}
	outcome := map[request.End]string{request.Returned: store.Done, request.Done: store.Done, request.Asked: store.Asked,
		request.NotBack: store.Done, request.Unknown: store.Ambiguous, request.Refused: store.Refused,
		request.Cancelled: store.Skipped}[s.End]
	detail := string(s.End)
	for _, more := range []string{s.Reason, said} {
		if more != "" {
			detail += "; " + more
		}
	}
	err = a.Store.Settle(ctx, s.Input.Line(s.ID, s.Run), cmp.Or(outcome, store.Failed), clean.Line(detail),
		[]store.ClaimKind{store.ClaimRequest})
	if errors.Is(err, store.ErrNotFound) { // it never opened
		return nil
	}
	if err != nil {
		return err
	}
	open, err := a.Store.Issues(ctx, store.IssueFilter{Node: s.Input.Node, Open: true})
	for _, i := range open { // one that waits for this is due now; the next sweep would see it, too
		_ = a.workflows.signal(ctx, i, SignalRetry)
	}
	return err
}

// requestOf says which order of a person is under way about a node, for the issues that wait for it.
func (a *gate) requestOf(ctx context.Context, host string) (string, error) {
	claims, err := a.Store.Claims(ctx, store.ClaimFilter{Kind: store.ClaimRequest, Target: host})
	if err != nil || len(claims) == 0 {
		return "", err
	}
	return fmt.Sprintf("a person's order is under way since %s: %s to %s it", claims[0].Taken.UTC().Format("15:04 MST"),
		claims[0].Issue, claims[0].SetTo), nil
}

// isRequest reports whether an id is that of a person's order, which is no issue.
func isRequest(id string) bool {
	return strings.HasPrefix(id, request.Type+"/") || strings.HasPrefix(id, request.OutletType+"/")
}
