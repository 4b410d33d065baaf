package activities

import (
	"context"
	"errors"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"

	"github.com/planetlab/monitor/issue"
)

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

// TakeAlert opens or clears the issue of an alert and says why if it does neither. An issue looks for itself before it acts,
// so that a false alarm costs one look. An error is worth another try.
func (a *Activities) TakeAlert(ctx context.Context, in Alert) (AlertAnswer, error) {
	typ, _ := issue.Lookup(in.Type)
	input := typ.Input(in.Target)
	ref, _, _, err := a.find(ctx, Ref{ID: in.Type + "/" + in.Target, Type: in.Type, Node: input.Node, PCU: input.PCU, Site: input.Site})
	var unknown *temporal.ApplicationError
	if errors.As(err, &unknown) && unknown.Type() == ErrNoSuchTarget {
		return ignored(unknown.Message()), nil
	}
	if err != nil {
		return AlertAnswer{}, err
	}
	if !in.Firing {
		err := a.Temporal.SignalWorkflow(ctx, ref.ID, "", SignalRecovered, nil)
		var none *serviceerror.NotFound
		if errors.As(err, &none) {
			return ignored(ref.ID + " is not open"), nil
		}
		return AlertAnswer{Outcome: AlertCleared}, err
	}
	decision, err := a.mayAct(ctx, ref)
	if err != nil {
		return AlertAnswer{}, err
	}
	if !decision.Do {
		return ignored(decision.Reason), nil
	}
	return AlertAnswer{Outcome: AlertOpened}, a.openIssue(ctx, in.Type, ref, in.Reason, nil)
}
