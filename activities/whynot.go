package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// Explainer says why an act is, or is not, done. It asks the same gate as whoever acts, on facts that are as fresh, and
// changes nothing.
type Explainer struct {
	*ledger
	gate      *gate
	observer  *observer
	penalties *Penalties
}

// WhyNotRequest asks about one act on one target.
type WhyNotRequest struct {
	Act policy.Act `json:"act"`
	// Type is the issue that would do it, as nodedown; of an act on a site as a whole it is empty.
	Type string `json:"type,omitempty"`
	// Target is a node, a PCU or a site, by the type; without one, a site.
	Target string `json:"target"`
	// At is when it would be done, if nothing but the time changes; zero: now.
	At time.Time `json:"at,omitzero"`
}

// WhyNotAnswer is what stands in the way of an act, and what does not.
type WhyNotAnswer struct {
	WhyNotRequest
	Do     bool                 `json:"do"`
	Check  string               `json:"check,omitempty"` // the first check that says no
	Reason string               `json:"reason"`
	Until  time.Time            `json:"until,omitzero"`  // when that may change by itself; zero: by no time in sight
	Issue  string               `json:"issue,omitempty"` // the open issue that would do it
	Checks []policy.CheckAnswer `json:"checks"`          // all of them, in the order in which they are asked
}

// WhyNot answers whether an act would be done, check by check: first those of the issue that does it, then the gate's.
func (a *Explainer) WhyNot(ctx context.Context, in WhyNotRequest) (WhyNotAnswer, error) {
	defer heartbeat(ctx)()
	answer := WhyNotAnswer{WhyNotRequest: in}
	if answer.At.IsZero() {
		answer.At = a.now()
	}
	var err error
	if in.Act == policy.ActPenalize {
		answer.Checks, err = a.whyNoPenalty(ctx, in.Target, answer.At)
	} else {
		answer.Checks, err = a.whyNoAct(ctx, &answer)
	}
	if err != nil {
		return answer, err
	}
	answer.Do, answer.Reason = true, "every check of the gate passes"
	for _, c := range answer.Checks {
		if !c.Do {
			answer.Do, answer.Check, answer.Reason, answer.Until = false, c.Name, c.Reason, c.Until
			break
		}
	}
	return answer, nil
}

func (a *Explainer) whyNoAct(ctx context.Context, in *WhyNotAnswer) ([]policy.CheckAnswer, error) {
	typ, known := issue.Lookup(in.Type)
	if !known {
		return nil, badRequest("%q is no type of issue", in.Type)
	}
	ref, _, _, err := a.find(ctx, refOf(in.Type+"/"+in.Target))
	if err != nil {
		return nil, err
	}
	var before policy.CheckAnswer
	var seen observation
	if in.Act == policy.ActOpen {
		if before, err = a.called(ctx, typ, ref); err != nil {
			return nil, err
		}
	} else {
		if before, in.Issue, err = a.laddersTurn(ctx, &ref, in.Act, in.At); err != nil {
			return nil, err
		}
		if seen, err = a.observer.observe(ctx, ref); err != nil {
			return nil, err
		}
	}
	facts, err := a.gate.facts(ctx, in.Act, ref, seen)
	if err != nil {
		return nil, err
	}
	return append([]policy.CheckAnswer{before},
		policy.AskAll(a.Policy, goOnUntil(facts, a.now(), in.At), in.At)...), nil
}

// goOnUntil lets sweeps go on as they do now until a time ahead.
func goOnUntil(f policy.GateFacts, now, at time.Time) policy.GateFacts {
	if at.After(now) && !f.Lease.Believed.IsZero() && !now.After(f.Lease.Until()) {
		f.Lease.Believed = at
	}
	return f
}

func badRequest(format string, args ...any) error {
	return temporal.NewNonRetryableApplicationError(fmt.Sprintf(format, args...), ErrBadInput, nil)
}

// called says whether a sweep would open the issue: for what was last seen, and unless an operator closed it.
func (a *Explainer) called(ctx context.Context, typ issue.Type, ref Ref) (policy.CheckAnswer, error) {
	no := func(format string, args ...any) (policy.CheckAnswer, error) {
		return policy.CheckAnswer{Name: "symptom", Decision: policy.No(time.Time{}, format, args...)}, nil
	}
	if id, err := a.openID(ctx, ref.Type, ref.Target()); err != nil {
		return policy.CheckAnswer{}, err
	} else if id != "" {
		return no("%s is open already", id)
	}
	closed, err := a.Store.LeftClosed(ctx)
	if err != nil {
		return policy.CheckAnswer{}, err
	}
	if c, left := closed[ref.ID]; left {
		return no("an operator closed it, and the target was not good since: %s (%s)", c.Reason, c.By)
	}
	if typ.Call == nil {
		return no("no sweep opens it: it opens when %s", typ.Opens)
	}
	var f issue.Facts
	switch typ.Target {
	case issue.OfPCU:
		p, err := a.Store.PCU(ctx, ref.PCUID)
		if err != nil {
			return policy.CheckAnswer{}, err
		}
		f.PCU = issue.PCUFacts{Name: p.Name, Site: p.Site, Record: p.Record, Passes: p.OK, Reason: p.Reason}
	case issue.OfSite:
		return no("the next sweep decides by all nodes of the site: it opens when %s", typ.Opens)
	default:
		n, err := a.Store.Node(ctx, ref.Node)
		if err != nil {
			return policy.CheckAnswer{}, err
		}
		f.Node = storedFacts(n)
	}
	why, open := typ.Call(a.Policy, f, a.now())
	if !open {
		return no("what the last sweep saw does not call for it: it opens when %s", typ.Opens)
	}
	return policy.CheckAnswer{Name: "symptom", Decision: policy.Yes(why)}, nil
}

// laddersTurn says whether the open issue of a type would do an act at a time: no act but opening an issue is done
// without one, and each in its turn.
func (a *Explainer) laddersTurn(ctx context.Context, ref *Ref, act policy.Act, at time.Time) (policy.CheckAnswer,
	string, error) {
	say := func(d policy.Decision) policy.CheckAnswer { return policy.CheckAnswer{Name: "issue", Decision: d} }
	id := ref.Type + "/" + ref.Target()
	i, err := a.Store.Issue(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && i.Status == string(issue.Closed) {
		return say(policy.No(time.Time{}, "no %s is open; ask why it is not opened", id)), "", nil
	}
	if err != nil {
		return policy.CheckAnswer{}, "", err
	}
	s, err := i.Memory()
	if err != nil {
		return policy.CheckAnswer{}, "", err
	}
	ref.ID, ref.Run = id, i.RunID
	for _, c := range s.Coming() {
		if !does(c.Do, act) {
			continue
		}
		if c.At.After(at) {
			return say(policy.No(c.At, "it is step %d of %s, and its turn comes later", c.Step, id)), id, nil
		}
		return say(policy.Yes(fmt.Sprintf("it is step %d of %s", c.Step, id))), id, nil
	}
	switch {
	case s.Pause != nil:
		return say(policy.No(s.Pause.Until, "%s is paused: %s", id, s.Pause)), id, nil
	case !s.RecoveredAt.IsZero():
		return say(policy.No(time.Time{}, "its target is good, and %s closes if that lasts", id)), id, nil
	}
	for _, v := range s.Vetoes {
		if does(s.Ladder.Rungs[v.Step-1].Do, act) {
			return say(policy.No(time.Time{}, "step %d of %s is %s", v.Step, id, v)), id, nil
		}
	}
	return say(policy.No(time.Time{}, "no step ahead of %s does it", id)), id, nil
}

// does reports whether a rung may do an act.
func does(do issue.Action, act policy.Act) bool {
	switch do {
	case issue.Reboot:
		return act == policy.ActReboot
	case issue.Reinstall:
		return act == policy.ActReinstall
	case issue.Disable:
		return act == policy.ActDisable
	case issue.Bootman:
		return act == policy.ActRepair || act == policy.ActRestart || act == policy.ActWipe
	case issue.Email:
		return act == policy.ActNotify
	}
	return false
}

// whyNoPenalty answers for the next step up of a site.
func (a *Explainer) whyNoPenalty(ctx context.Context, login string, at time.Time) ([]policy.CheckAnswer, error) {
	s, err := a.penalties.workflows.siteState(ctx, login)
	if err != nil {
		return nil, err
	}
	row, _, err := a.siteRow(ctx, login)
	if err != nil {
		return nil, err
	}
	in := sites.StepRequest{Site: login, From: row.PenaltyLevel, To: min(row.PenaltyLevel+1, policy.Top),
		LastRaise: s.LastRaise, Warned: s.Warned}
	facts, no, err := a.penalties.raiseFacts(ctx, in)
	if err != nil {
		return nil, err
	}
	var checks []policy.CheckAnswer
	switch {
	case row.PenaltyLevel == policy.Top:
		no = policy.Answer{Decision: policy.No(time.Time{}, "level %d is the highest", policy.Top), Check: "level"}
	case s.Pause != nil:
		no = policy.Answer{Decision: policy.No(s.Pause.Until, "it is paused: %s", s.Pause.Reason), Check: "pause"}
	}
	if no.Check != "" {
		checks = append(checks, policy.CheckAnswer{Name: no.Check, Decision: no.Decision})
	}
	return append(checks, policy.AskAll(a.Policy, goOnUntil(facts, a.now(), at), at)...), nil
}
