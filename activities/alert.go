package activities

import (
	"cmp"
	"context"
	"errors"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
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
	if why, _, err := a.gate.againstOpening(ctx, ref); err != nil || why != "" {
		return why, err
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
