package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	// Level is the penalty level that an operator means to order; nil: none, it is asked about the next step.
	Level *int `json:"level,omitempty"`
	// Order is the operator's, with a level.
	Order policy.Order `json:"order,omitzero"`
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
	Would  []string             `json:"would,omitempty"` // what a penalty level would change at the site
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
		err = a.whyNoPenalty(ctx, &answer)
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
	var memory issue.State
	var seen observation
	if in.Act == policy.ActOpen {
		if before, err = a.called(ctx, typ, ref); err != nil {
			return nil, err
		}
	} else {
		if before, memory, err = a.laddersTurn(ctx, &ref, in.Act, in.At); err != nil {
			return nil, err
		}
		in.Issue = memory.Ref.ID
		if seen, err = a.observer.observe(ctx, ref); err != nil {
			return nil, err
		}
	}
	facts, err := a.gate.facts(ctx, in.Act, ref, seen)
	if err != nil {
		return nil, err
	}
	checks := []policy.CheckAnswer{before}
	if in.Act == policy.ActNotify && in.Issue != "" {
		checks = append(checks, policy.CheckAnswer{Name: "age",
			Decision: typ.MayNotifySite(a.Policy, seen.record, memory.Opened, in.At)})
	}
	checks = append(checks, policy.AskAll(a.Policy, goOnUntil(facts, a.now(), in.At), in.At)...)
	if pcu := facts.PCU.Manual; pcu != "" {
		d := policy.Yes("people are asked to do it by hand")
		if why := notByHand(in.Act, pcu, a.penalties.post.Admins); why != "" {
			d = policy.No(time.Time{}, "%s", why)
		}
		checks = append(checks, policy.CheckAnswer{Name: "by hand", Decision: d})
	}
	return checks, nil
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
	var rules map[string]policy.Symptom
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
		f.Node, rules = storedFacts(n), n.Rules()
	}
	why, open := typ.Call(a.Policy, f, a.now())
	if !open {
		return no("what the last sweep saw does not call for it: it opens when %s", typ.Opens)
	}
	last, err := a.Store.LastSweep(ctx)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return policy.CheckAnswer{}, err
	}
	if doubt := last.Doubts[typ.Name]; doubt != "" {
		return no("the last sweep believes nothing of %s: %s", typ.Name, doubt)
	}
	if typ.Name == issue.NodeFact {
		calling, doubted := rulesCalling(a.Policy, rules, a.now()), ""
		calling = slices.DeleteFunc(calling, func(r ruleCall) bool {
			if doubt := last.Doubts[ruleDoubt(r.name)]; doubt != "" {
				doubted = fmt.Sprintf("the last sweep believes nothing of the rule %s: %s", r.name, doubt)
				return true
			}
			return false
		})
		if len(calling) == 0 && doubted != "" {
			return no("%s", doubted)
		} else if len(calling) == 0 {
			return no("no rule has held of it for long enough: it opens when %s", typ.Opens)
		}
	}
	if story, dark, err := a.darkSite(ctx, ref.Site); err != nil || dark {
		if err != nil {
			return policy.CheckAnswer{}, err
		}
		return no("its whole site is one story: %s", story)
	}
	return policy.CheckAnswer{Name: "symptom", Decision: policy.Yes(why)}, nil
}

// darkSite says whether a site went down as a whole, by what the last sweep left of its nodes.
func (a *Explainer) darkSite(ctx context.Context, login string) (story string, dark bool, err error) {
	nodes, err := a.Store.NodesOfSite(ctx, login)
	if err != nil {
		return "", false, err
	}
	now := a.now()
	j := &judgement{now: now, news: now, sites: map[string]*policy.SiteSeen{}}
	if j.leftAlone, err = a.gate.leftAlone(ctx); err != nil {
		return "", false, err
	}
	for _, n := range nodes {
		if !n.SeenAt.IsZero() {
			j.see(n, storedFacts(n), time.Time{})
		}
	}
	if s := j.sites[login]; s != nil {
		story, dark, _ = policy.SiteOutage(a.Policy, *s, now)
	}
	return story, dark, nil
}

// laddersTurn says whether the open issue of a type would do an act at a time: no act but opening an issue is done
// without one, and each in its turn. It answers what the issue knows, too; nothing where none is open.
func (a *Explainer) laddersTurn(ctx context.Context, ref *Ref, act policy.Act, at time.Time) (policy.CheckAnswer,
	issue.State, error) {
	say := func(d policy.Decision) policy.CheckAnswer { return policy.CheckAnswer{Name: "issue", Decision: d} }
	id := ref.Type + "/" + ref.Target()
	i, err := a.Store.Issue(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && i.Status == string(issue.Closed) {
		return say(policy.No(time.Time{}, "no %s is open; ask why it is not opened", id)), issue.State{}, nil
	}
	if err != nil {
		return policy.CheckAnswer{}, issue.State{}, err
	}
	s, err := i.Memory()
	if err != nil {
		return policy.CheckAnswer{}, issue.State{}, err
	}
	ref.ID, ref.Run, s.Ref.ID = id, i.RunID, id
	for _, c := range s.Coming() {
		if !does(c.Do, act) {
			continue
		}
		if c.At.After(at) {
			return say(policy.No(c.At, "it is step %d of %s, and its turn comes later", c.Step, id)), s, nil
		}
		return say(policy.Yes(fmt.Sprintf("it is step %d of %s", c.Step, id))), s, nil
	}
	switch {
	case s.Pause != nil:
		return say(policy.No(s.Pause.Until, "%s is paused: %s", id, s.Pause)), s, nil
	case !s.RecoveredAt.IsZero():
		return say(policy.No(time.Time{}, "its target is good, and %s closes if that lasts", id)), s, nil
	}
	for _, v := range s.Vetoes {
		if does(s.Ladder.Rungs[v.Step-1].Do, act) {
			return say(policy.No(time.Time{}, "step %d of %s is %s", v.Step, id, v)), s, nil
		}
	}
	for step, r := range s.Ladder.Rungs {
		if why := s.Lacks(r); step >= s.Rung && does(r.Do, act) && why != "" {
			return say(policy.No(time.Time{}, "step %d of %s is passed over: %s", step+1, id, why)), s, nil
		}
	}
	return say(policy.No(time.Time{}, "no step ahead of %s does it", id)), s, nil
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

// whyNoPenalty answers for the next step up of a site, or for a level that an operator means to order.
func (a *Explainer) whyNoPenalty(ctx context.Context, q *WhyNotAnswer) error {
	login, at := q.Target, q.At
	s, err := a.penalties.workflows.siteState(ctx, login)
	if err != nil {
		return err
	}
	row, gone, err := a.siteRow(ctx, login)
	if err != nil {
		return err
	}
	if gone {
		return noTarget("no site %q in the inventory", login)
	}
	to := min(row.PenaltyLevel+1, policy.Top)
	if q.Level != nil {
		to = min(max(*q.Level, 0), policy.Top)
		if q.Would, err = a.penalties.wouldDeny(ctx, login, row.PenaltyLevel, to); err != nil {
			return err
		}
		if to <= row.PenaltyLevel {
			q.Checks = []policy.CheckAnswer{{Name: "level", Decision: policy.Yes("a level may always fall")}}
			return nil
		}
		to = row.PenaltyLevel + 1 // it rises by one step at a time
	}
	in := sites.StepRequest{Site: login, From: row.PenaltyLevel, To: to, LastRaise: s.LastRaise, Warned: s.Warned}
	facts, no, err := a.penalties.raiseFacts(ctx, in)
	if err != nil {
		return err
	}
	if q.Order.Given() { // it is not given yet, and would be a hold
		facts.Order = q.Order
		passes := slices.Contains([]string{"hold", "mode", "held off"}, no.Check)
		if passes || no.Check == "spared" && row.Record.Status == policy.StatusGood {
			no = policy.Answer{}
		}
	}
	switch {
	case row.PenaltyLevel == policy.Top:
		no = policy.Answer{Decision: policy.No(time.Time{}, "level %d is the highest", policy.Top), Check: "level"}
	case s.Pause != nil:
		no = policy.Answer{Decision: policy.No(s.Pause.Until, "it is paused: %s", s.Pause.Reason), Check: "pause"}
	}
	_, down, err := a.gate.nodesUp(ctx, login)
	if err != nil {
		return err
	}
	facts.Site.Up += len(a.observer.runningNow(ctx, down)) // since the last sweep
	if no.Check != "" {
		q.Checks = append(q.Checks, policy.CheckAnswer{Name: no.Check, Decision: no.Decision})
	}
	q.Checks = append(q.Checks, policy.AskAll(a.Policy, goOnUntil(facts, a.now(), at), at)...)
	if q.Level == nil {
		q.Checks = append(q.Checks, policy.CheckAnswer{Name: "turn", Decision: s.MayRise(at)})
	}
	return nil
}
