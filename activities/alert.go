package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// Alerts takes what somebody else's watch says. It runs outside of workflows.
type Alerts struct {
	*ledger
	gate      *gate
	observer  *observer
	workflows *workflows
}

// Alert is what somebody else's watch says of a target: Firing opens an issue as a sweep would, else it is cleared.
type Alert struct {
	Type   string `json:"type"`
	Target string `json:"target"` // hostname of a node, or name of a PCU
	Firing bool   `json:"firing"`
	Reason string `json:"reason"`
}

// What became of an alert.
const (
	AlertOpened  = "opened" // or was open already
	AlertCleared = "cleared"
	AlertIgnored = "ignored"
)

// AlertAnswer is one of them, with the reason for an alert that was ignored.
type AlertAnswer struct {
	Outcome string `json:"outcome"`
	Why     string `json:"why,omitempty"`
}

func ignored(why string) AlertAnswer { return AlertAnswer{AlertIgnored, why} }

// Take opens or clears the issue of an alert and says why if it does neither. What others say is believed no more than
// what a sweep sees: only while a sweep is believed, of few targets at a time, and never against a fresh look of our
// own. An error is worth another try.
func (a *Alerts) Take(ctx context.Context, in Alert) (AlertAnswer, error) {
	in.Reason = clean.Line(in.Reason)
	typ, _ := issue.Lookup(in.Type)
	input := typ.Input(in.Target)
	ref, record, _, err := a.find(ctx, Ref{ID: in.Type + "/" + in.Target, Type: in.Type, Node: input.Node,
		PCU: input.PCU, Site: input.Site})
	var unknown *temporal.ApplicationError
	if errors.As(err, &unknown) && unknown.Type() == ErrNoSuchTarget {
		return ignored(unknown.Message()), nil
	}
	if err != nil {
		return AlertAnswer{}, err
	}
	if !in.Firing {
		err := a.workflows.Temporal.SignalWorkflow(ctx, ref.ID, "", SignalRecovered, nil)
		var none *serviceerror.NotFound
		if errors.As(err, &none) {
			return ignored(ref.ID + " is not open"), nil
		}
		return AlertAnswer{Outcome: AlertCleared}, err
	}
	why, err := a.againstAlert(ctx, ref, record)
	if err != nil {
		return AlertAnswer{}, err
	}
	if why != "" {
		return ignored(why), nil
	}
	return AlertAnswer{Outcome: AlertOpened}, a.workflows.openIssue(ctx, in.Type, ref, in.Reason, nil)
}

// againstAlert says why a firing alert opens nothing; empty: it does.
func (a *Alerts) againstAlert(ctx context.Context, ref Ref, record policy.Record) (string, error) {
	answer, err := a.gate.ask(ctx, policy.ActOpen, ref, observation{})
	if err != nil || !answer.Do {
		return answer.Reason, err
	}
	for _, ask := range []func(context.Context, Ref) (string, error){a.doubtsAlert, a.closedByOperator} {
		if why, err := ask(ctx, ref); err != nil || why != "" {
			return why, err
		}
	}
	seen, err := a.observer.observe(ctx, ref)
	if err != nil {
		return "", err
	}
	if seen.good {
		return "our own look finds it good: " + cmp.Or(seen.reason, string(record.Status)), nil
	}
	return "", nil
}

// doubtsAlert says whether the type of an issue is doubted, by the last sweep or because too many of it would open.
func (a *Alerts) doubtsAlert(ctx context.Context, ref Ref) (string, error) {
	last, err := a.Store.LastSweep(ctx)
	if err != nil {
		return "", err
	}
	if why := last.Doubts[ref.Type]; why != "" {
		return "the last sweep believes nothing of " + ref.Type + ": " + why, nil
	}
	if open, err := a.isOpen(ctx, ref.ID); err != nil || open {
		return "", err
	}
	since := a.now().Add(-a.Policy.Guard.Window)
	vouched, err := a.Store.LastVouched(ctx)
	if err != nil {
		return "", err
	}
	if vouched.After(since) {
		since = vouched
	}
	opened, err := a.Store.OpenedSince(ctx, since)
	if err != nil {
		return "", err
	}
	of, err := a.fleetOf(ctx, ref.Type, last)
	if err != nil {
		return "", err
	}
	d := policy.BelieveMany(a.Policy, ref.Type, opened[ref.Type]+1, of)
	if d.Do {
		return "", nil
	}
	return d.Reason, nil
}

// fleetOf is how many targets a type of issue has.
func (a *Alerts) fleetOf(ctx context.Context, typ string, last store.Sweep) (int, error) {
	t, _ := issue.Lookup(typ)
	switch t.Target {
	case issue.OfPCU:
		return last.Counts["pcus"], nil
	case issue.OfSite:
		sites, err := a.Store.Sites(ctx)
		return len(sites), err
	}
	return last.Counts["nodes"], nil
}

// closedByOperator says whether an operator has closed the issue, which holds until its target was good once.
func (a *Alerts) closedByOperator(ctx context.Context, ref Ref) (string, error) {
	closed, err := a.Store.LeftClosed(ctx)
	if c, left := closed[ref.ID]; err == nil && left {
		return fmt.Sprintf("%s closed it, and its target was not good since: %s", cmp.Or(c.By, "an operator"),
			c.Reason), nil
	}
	return "", err
}
