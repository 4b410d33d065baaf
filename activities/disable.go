package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// Disable sets the node of an issue disabled in PLC, since nothing but a human at the machine helps it. What it had
// before is a claim, and goes back to PLC when the issue ends.
func (a *Boot) Disable(ctx context.Context, req issue.Request) (issue.Result, error) {
	return a.rungs.run(ctx, req, a.disable)
}

func (a *Boot) disable(ctx context.Context, t task) (issue.Result, error) {
	ref := t.ref()
	node, err := a.Inventory.Node(ctx, ref.Node)
	if err != nil {
		return issue.Result{Outcome: issue.Wait, Reason: "its boot state could not be read: " + err.Error()}, nil
	}
	was := policy.CleanBootState(node.BootState)
	claims, err := a.Store.Claims(ctx, store.ClaimFilter{Kind: store.ClaimNodeDisabled, Target: ref.Node})
	if err != nil {
		return issue.Result{}, err
	}
	if was == "disabled" {
		return a.alreadyDisabled(ctx, t, claims)
	}
	if was, err = a.bootStates.own(ctx, ref.Node); err != nil {
		return issue.Result{Outcome: issue.Wait, Reason: "its boot state could not be read: " + err.Error()}, nil
	}
	answer, err := a.gate.ask(ctx, policy.ActDisable, ref, t.seen)
	if err != nil {
		return issue.Result{}, err
	}
	if !answer.Do {
		return a.rungs.refuse(ctx, t, answer)
	}
	action, _, _, err := a.Store.Begin(ctx, store.Plan{
		Action: store.Action{Key: t.Key, Kind: store.KindDisable, Issue: ref.ID, RunID: ref.Run, Node: ref.Node,
			Site: ref.Site, Reason: t.State.Cause},
		Claims: []store.Claim{{Kind: store.ClaimNodeDisabled, Target: ref.Node, Was: was, SetTo: "disabled"}},
	})
	if err != nil {
		return issue.Result{}, err
	}
	// an order stopped this very try, and its claim is gone: the next one has a key of its own
	if action.Outcome != "" {
		return issue.Result{Outcome: issue.Wait, Reason: action.Detail, Until: a.now().Add(a.Policy.Hour() / 4)}, nil
	}
	if order := a.workflows.ordered(ctx); order != "" && !action.Begun() {
		return a.giveUpDisable(ctx, t.Key, order, issue.Stopped)
	}
	return a.commandDisable(ctx, t, action, was)
}

// commandDisable writes to PLC. A try that was held up finds here at the latest that another has given its intent up:
// then nothing is written, or what it has written by then is given back, since no claim speaks of it any more.
func (a *Boot) commandDisable(ctx context.Context, t task, action store.Action, was string) (issue.Result, error) {
	const givenUp = "another try has given it up meanwhile"
	mine, err := a.Store.Commit(ctx, t.Key)
	if err != nil || !mine && !action.Begun() {
		return issue.Result{Outcome: issue.Unknown, Reason: givenUp}, err
	}
	if err := a.Inventory.SetBootState(ctx, t.ref().Node, "disabled"); err != nil { // it may have been done: the claim stays
		return issue.Result{Outcome: issue.Unknown, Reason: err.Error()}, nil
	}
	ctx = context.WithoutCancel(ctx)
	err = a.Store.Outcome(ctx, t.Key, store.Done, "it was "+was+" in "+a.from()+" before")
	if errors.Is(err, store.ErrEnded) {
		_, err = a.bootStates.release(ctx,
			store.ClaimFilter{Kind: store.ClaimNodeDisabled, Key: t.Key, Released: true}, givenUp)
		return issue.Result{Outcome: issue.Unknown, Reason: givenUp}, err
	}
	return a.disabled(a.now(), was), err
}

// alreadyDisabled is for a node that PLC has disabled: by an earlier try whose answer was lost, or by somebody else,
// who will undo it.
func (a *Boot) alreadyDisabled(ctx context.Context, t task, claims []store.Claim) (issue.Result, error) {
	if len(claims) == 0 {
		return issue.Result{Outcome: issue.Passed, Reason: "it is disabled in " + a.from() + " already"}, nil
	}
	c := claims[0]
	if c.Key == t.Key {
		if err := a.Store.Outcome(context.WithoutCancel(ctx), t.Key, store.Done,
			"it was "+c.Was+" in "+a.from()+" before"); err != nil {
			return issue.Result{}, err
		}
	}
	return a.disabled(a.now(), c.Was), nil
}

func (a *Boot) disabled(now time.Time, was string) issue.Result {
	return issue.Result{Outcome: issue.Acted, Reason: fmt.Sprintf("it was %s in %s before", was, a.from()),
		Deeds: []issue.Deed{{At: now, What: issue.DeedDisabled, How: was}}}
}

// finishDisable finds out whether a write whose answer was lost took effect.
func (a *Boot) finishDisable(ctx context.Context, t task, action store.Action) (issue.Result, error) {
	node, err := a.Inventory.Node(ctx, t.ref().Node)
	if err != nil {
		return issue.Result{Outcome: issue.Unknown, Reason: err.Error()}, nil
	}
	claims, err := a.Store.Claims(ctx, store.ClaimFilter{Kind: store.ClaimNodeDisabled, Key: action.Key})
	if err != nil {
		return issue.Result{}, err
	}
	if policy.CleanBootState(node.BootState) == "disabled" && len(claims) > 0 {
		return a.disabled(a.now(), claims[0].Was),
			a.Store.Outcome(ctx, action.Key, store.Done, "it was "+claims[0].Was+" in "+a.from()+" before")
	}
	for _, c := range claims {
		sure, err := a.bootStates.wasAnswered(ctx, c)
		if err != nil {
			return issue.Result{}, err
		}
		if action.Begun() && !sure {
			return issue.Result{Outcome: issue.Unknown,
				Reason: a.from() + " has not done it, but may still carry out a write whose answer was lost"}, nil
		}
	}
	detail := a.from() + " did not take it"
	switch {
	case action.Outcome != "":
	case action.Begun():
		err = a.Store.Settle(ctx, action.Key, store.Failed, detail, []store.ClaimKind{store.ClaimNodeDisabled})
	default:
		return a.giveUpDisable(ctx, action.Key, detail, issue.Wait)
	}
	return issue.Result{Outcome: issue.Wait, Reason: detail}, err
}

// giveUpDisable ends a write that was never begun, if no other try begins it just now.
func (a *Boot) giveUpDisable(ctx context.Context, key, why string, outcome issue.Outcome) (issue.Result, error) {
	begun, err := a.Store.GiveUp(context.WithoutCancel(ctx), key, why, store.ClaimNodeDisabled)
	if err != nil || begun {
		return issue.Result{Outcome: issue.Unknown, Reason: "another try writes to " + a.from() + " just now"}, err
	}
	return issue.Result{Outcome: outcome, Reason: why}, nil
}
