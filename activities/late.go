package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/policy"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// mostLostTries is how often a message is sent once more to somebody who may have it already.
const mostLostTries = 5

// WriteToTheLate sends a message once more to each of those whose server has deferred it, and answers who is still
// without it. What becomes of each stands in the ledger.
func (a *People) WriteToTheLate(ctx context.Context, in sites.LateRequest) ([]string, error) {
	defer heartbeat(ctx)()
	action, err := a.Store.Action(ctx, in.Key)
	if err != nil {
		return nil, err
	}
	var l letter
	if err := json.Unmarshal(action.Data, &l); err != nil {
		return nil, fmt.Errorf("ledger %s: %w", in.Key, err)
	}
	if no, err := a.mayNotRepeat(ctx, in.Site, l); err != nil || no.Reason != "" {
		if err == nil {
			err = a.skipSite(ctx, in.Site, "deferred at first: "+about(l.Said), no.Reason)
		}
		return in.To, err
	}
	now, exempt, err := a.audience(ctx, in.Site, policy.Top)
	if err != nil {
		return nil, err
	}
	var left []string
	for _, to := range in.To {
		late, err := a.writeToOne(ctx, in, l, to, !slices.Contains(exempt, to) && slices.Contains(now, to))
		if err != nil {
			return nil, err
		}
		if late {
			left = append(left, to)
		}
	}
	return left, nil
}

// mayNotRepeat is why a message that was made before is not sent now: what was true then may be forbidden by now. No
// reason: it may be. As at first, only the mode holds good news back. That an order came meanwhile does not: somebody
// may have the message already.
func (a *People) mayNotRepeat(ctx context.Context, login string, l letter) (policy.Answer, error) {
	facts, err := a.gate.siteFacts(ctx, policy.ActNotify, login)
	if err != nil {
		return policy.Answer{}, err
	}
	facts.Ordered = ""
	if no := policy.Ask(a.Policy, facts, a.now()); !no.Do &&
		(slices.ContainsFunc(l.Said, said.bad) || no.Check == "mode") {
		return no, nil
	}
	controls, err := a.Store.Controls(ctx)
	if err != nil {
		return policy.Answer{}, err
	}
	for _, s := range l.Said {
		if why := a.gate.onlyLooked(controls, login, refOf(s.Issue).Type); why != "" {
			return policy.Answer{Decision: policy.No(time.Time{}, "%s", why), Check: "mode"}, nil
		}
		if no, err := a.silenced(ctx, login, s); err != nil || no.Reason != "" {
			return no, err
		}
	}
	return policy.Answer{}, nil
}

// bad says that a notice is no good news.
func (s said) bad() bool {
	return !sites.Ends(s.Kind) && s.Kind != sites.Cleared && s.Kind != sites.Eased
}

// silenced is why nothing bad is said of a machine for now; no reason: it may be.
func (a *People) silenced(ctx context.Context, login string, s said) (policy.Answer, error) {
	if !s.bad() {
		return policy.Answer{}, nil
	}
	entry, listed, err := a.Store.Blacklisted(ctx, s.Node, login, aboutPCU(refOf(s.Issue)), a.now())
	switch {
	case err != nil:
		return policy.Answer{}, err
	case listed:
		return policy.Answer{Decision: policy.No(entry.Until, "exempt: %s", entry.Reason), Check: "blacklist"}, nil
	case s.Node == "":
		return policy.Answer{}, nil
	}
	node, err := a.Store.Node(ctx, s.Node)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return policy.Answer{}, err
	}
	if node.ExemptUntil.After(a.now()) {
		return policy.Answer{Decision: policy.No(node.ExemptUntil, "the node is exempt in %s", a.from()), Check: "exempt"}, nil
	}
	return policy.Answer{}, nil
}

// writeNoMore ends the tries for one person. Who may have the message already stays one of whom that is not known.
func (a *People) writeNoMore(ctx context.Context, key, why string) error {
	begun, err := a.Store.Forgo(ctx, key, why)
	if err == nil && begun {
		err = a.Store.Outcome(ctx, key, store.Ambiguous, why)
	}
	return err
}

func (a *People) writeToOne(ctx context.Context, in sites.LateRequest, l letter, to string,
	still bool) (late bool, err error) {
	key := toOne(in.Key, to)
	action, _, err := a.Store.Intent(ctx, store.Action{Key: key, Kind: store.KindNotice, Issue: l.Said[0].Issue,
		Node: l.Said[0].Node, Site: in.Site, Reason: "deferred at first: " + about(l.Said)})
	if err != nil || action.Outcome != "" && action.Outcome != store.Ambiguous {
		return false, err
	}
	if !still {
		return false, a.writeNoMore(ctx, key, "is no contact of the site any more, or exempt")
	}
	if may, err := a.maySend(ctx, action); err != nil || !may {
		return false, err
	}
	if action.Begun() {
		action.Outcome = store.Ambiguous
	}
	m := l.Message
	m.Only = []string{to}
	receipt, sendErr := a.post.send(ctx, m)
	ctx = context.WithoutCancel(ctx)
	switch {
	case sendErr == nil:
		return false, a.Store.Outcome(ctx, key, store.Sent, receipt.String())
	case notify.FailureOf(sendErr) == notify.Permanent:
		var err error
		if why := receipt.Rejected[to]; isDead(receipt, why) {
			err = a.dead(ctx, in.Site, to, why)
		}
		return false, errors.Join(err, a.Store.Outcome(ctx, key, store.Refused, sendErr.Error()))
	case notify.FailureOf(sendErr) == notify.Ambiguous:
		return in.Tries < mostLostTries && !in.Last, a.Store.Outcome(ctx, key, store.Ambiguous, sendErr.Error())
	case in.Last && action.Outcome == store.Ambiguous:
		return false, nil
	case in.Last:
		return false, a.Store.Outcome(ctx, key, store.Failed,
			fmt.Sprintf("deferred since %s: %v", in.Since.UTC().Format(time.RFC3339), sendErr))
	}
	return true, a.Store.Withdraw(ctx, key)
}
