package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// move is what the ledger keeps of a step of a site's level, so that it can be finished, or undone, by whoever comes
// next.
type move struct {
	From    int      `json:"from"`
	To      int      `json:"to"`
	SiteID  int      `json:"site_id"`
	Disable bool     `json:"disable,omitempty"`
	Suspend []string `json:"suspend,omitempty"`
}

func (m move) empty() bool { return !m.Disable && len(m.Suspend) == 0 }

func (m move) String() string {
	var parts []string
	if m.Disable {
		parts = append(parts, "the site may create slices")
	}
	if len(m.Suspend) > 0 {
		parts = append(parts, "not suspended: "+strings.Join(m.Suspend, ", "))
	}
	return strings.Join(parts, "; ")
}

// claims are what the step will hold in PLC.
func (m move) claims() []store.Claim {
	data, _ := json.Marshal(map[string]int{"site_id": m.SiteID})
	var list []store.Claim
	if m.Disable {
		list = append(list, store.Claim{Kind: store.ClaimSiteDisabled, Target: strconv.Itoa(m.SiteID), Was: "enabled",
			SetTo: "disabled", Data: data})
	}
	for _, name := range m.Suspend {
		list = append(list, store.Claim{Kind: store.ClaimSliceSuspended, Target: name, Was: "running",
			SetTo: "suspended", Data: data})
	}
	return list
}

// MoveSite moves a site's penalty level: at most one step up, through the gate, or any number down, always. Everything
// is read again first. What will be changed is claimed in one transaction with the intent, then changed in PLC and read
// back; only what Monitor changed is undone.
func (a *Penalties) MoveSite(ctx context.Context, in sites.StepRequest) (sites.StepResult, error) {
	defer heartbeat(ctx)()
	res := sites.StepResult{Outcome: sites.StepRefused, Level: in.From}
	before, err := a.Store.Action(ctx, in.Key)
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return res, err
	case before.Outcome == store.Done: // by a worker that died before it could tell
		return stepDone(in, before)
	case before.Outcome != "":
		res.Reason = before.Detail
		return res, nil
	}
	if in.To < in.From {
		return a.lowerSite(ctx, in)
	}
	if before.Begun() {
		return a.resume(ctx, in.Site, before)
	}
	return a.raiseSite(ctx, in)
}

// stepDone answers for a step that an earlier try has done.
func stepDone(in sites.StepRequest, before store.Action) (sites.StepResult, error) {
	res := sites.StepResult{Outcome: sites.StepDone, Level: in.To, Reason: before.Reason}
	if in.To < in.From {
		return res, nil
	}
	var plan move
	if err := json.Unmarshal(before.Data, &plan); err != nil {
		return sites.StepResult{}, fmt.Errorf("ledger %s: %w", before.Key, err)
	}
	res.Applied = plan.applied(before.Key)
	return res, nil
}

// takenByAnother is why a try does not do what another one does just now.
const takenByAnother = "another try has taken it"

func (a *Penalties) raiseSite(ctx context.Context, in sites.StepRequest) (sites.StepResult, error) {
	res := sites.StepResult{Outcome: sites.StepRefused, Level: in.From}
	answer, err := a.mayRaise(ctx, in)
	if err != nil {
		return res, err
	}
	if !answer.Do {
		res.Reason, res.Until = answer.Reason, answer.Until
		return res, a.skipSite(ctx, in.Site, "level "+strconv.Itoa(in.To), answer.Reason)
	}
	plan, err := a.missingPenalty(ctx, in.Site, in.From, in.To)
	if err != nil {
		return a.refusedByPLC(ctx, in, res, err)
	}
	data, err := json.Marshal(plan)
	if err != nil {
		return res, err
	}
	action, _, over, err := a.Store.Begin(ctx, store.Plan{
		Action: store.Action{Key: in.Key, Kind: store.KindPenalty, Issue: sites.ID(in.Site), Site: in.Site, Data: data,
			Reason: fmt.Sprintf("level %d to %d: %s; %s", in.From, in.To, answer.Reason, in.Reason)},
		Claims: plan.claims(),
		Budget: a.gate.budget(policy.ActPenalize),
	})
	switch {
	case err != nil:
		return res, err
	case over != nil:
		res.Reason = fmt.Sprintf("the %s's budget of %d penalty steps an hour is spent", over.Where, over.Limit)
		res.Until = over.Free.Add(a.Policy.Hour())
		return res, nil
	}
	if a.workflows.ordered(ctx) != "" {
		const why = "an order came before it was done"
		begun, err := a.Store.Forgo(context.WithoutCancel(ctx), in.Key, why, penaltyClaims()...)
		if begun {
			res.Reason = takenByAnother
		} else {
			res.Outcome, res.Reason = sites.StepStopped, why
		}
		return res, err
	}
	if mine, err := a.Store.Commit(ctx, in.Key); err != nil || !mine {
		res.Reason = takenByAnother
		return res, err
	}
	return a.carryOut(context.WithoutCancel(ctx), in.Site, action)
}

// mayRaise asks the gate for a step up, on facts read now.
func (a *Penalties) mayRaise(ctx context.Context, in sites.StepRequest) (policy.Answer, error) {
	facts, no, err := a.raiseFacts(ctx, in)
	if err != nil || no.Check != "" {
		return no, err
	}
	if answer := policy.Ask(a.Policy, facts, a.now()); !answer.Do {
		return answer, nil
	}
	_, down, err := a.gate.nodesUp(ctx, in.Site)
	if err != nil {
		return policy.Answer{}, err
	}
	back := a.observer.runningNow(ctx, down)
	facts.Site.Up += len(back)
	answer := policy.Ask(a.Policy, facts, a.now())
	if len(back) > 0 {
		answer.Reason += "; back since the last sweep: " + strings.Join(back, ", ")
	}
	return answer, ctx.Err()
}

// raiseFacts gathers what the gate asks before a step up. An answer with a check says why the gate need not be asked.
func (a *Penalties) raiseFacts(ctx context.Context, in sites.StepRequest) (policy.GateFacts, policy.Answer, error) {
	no := func(check string, until time.Time, format string, args ...any) policy.Answer {
		return policy.Answer{Decision: policy.No(until, format, args...), Check: check}
	}
	facts, err := a.gate.siteFacts(ctx, policy.ActPenalize, in.Site)
	if err != nil {
		return facts, policy.Answer{}, err
	}
	row, gone, err := a.siteRow(ctx, in.Site)
	if err != nil {
		return facts, policy.Answer{}, err
	}
	spared, err := a.gate.spared(ctx, row, gone)
	if err != nil {
		return facts, policy.Answer{}, err
	}
	holds, err := a.holdsOn(ctx, in.Site, gone)
	if err != nil {
		return facts, policy.Answer{}, err
	}
	up, _, err := a.gate.nodesUp(ctx, in.Site)
	if err != nil {
		return facts, policy.Answer{}, err
	}
	facts.Site.Up, facts.Site.To = up, in.To
	if in.LastRaise.After(facts.Site.LastRaise) {
		facts.Site.LastRaise = in.LastRaise
	}
	if facts.Order, err = a.gate.orderOf(ctx, in.Site, in.To); err != nil {
		return facts, policy.Answer{}, err
	}
	holders := holdersOf(holds, in.To)
	why, looked, err := a.gate.acting(ctx, in.Site, holders)
	if err != nil {
		return facts, policy.Answer{}, err
	}
	off, err := a.gate.allHeldOff(ctx, why)
	if err != nil {
		return facts, policy.Answer{}, err
	}
	if len(why) > 0 {
		facts.Issue = why[0]
	}
	if warned(in, why) {
		facts.Site.Told, facts.Site.NotBefore = in.Warned.At, in.Warned.NotBefore
	}
	switch {
	case a.Mode == notify.ModeTest:
		return facts, no("mail", time.Time{},
			"mail goes to the test address alone, so nobody is told and nothing is denied"), nil
	case spared != nil:
		return facts, no("spared", spared.Until, "the site is spared: %s", spared), nil
	case len(why) == 0 && len(holders) > 0:
		return facts, no("mode", time.Time{}, "%s holds level %d, in %s", holders[0], in.To, looked), nil
	case off != "":
		return facts, no("held off", a.now().Add(a.Policy.Day/4), "%s", off), nil
	case len(why) == 0:
		return facts, no("hold", time.Time{}, "no open issue holds level %d", in.To), nil
	}
	return facts, policy.Answer{}, nil
}

// warned reports whether people were told of this very step, for one of the issues that hold it.
func warned(in sites.StepRequest, holders []string) bool {
	if in.Warned == nil || in.Warned.Level != in.To {
		return false
	}
	return in.Warned.Issues == nil || slices.ContainsFunc(holders, func(id string) bool {
		return slices.Contains(in.Warned.Issues, id)
	})
}

func holdersOf(holds map[string]sites.Hold, level int) []string {
	return sites.State{Holds: holds}.Holders(level)
}

// missingPenalty reads from PLC what a level asks for and is not in force. Slices that are exempt are left alone.
func (a *Penalties) missingPenalty(ctx context.Context, login string, from, to int) (move, error) {
	plan := move{From: from, To: to}
	row, err := a.Store.Site(ctx, login)
	if err != nil {
		return plan, err
	}
	plan.SiteID = row.SiteID
	ref := plc.SiteRef{SiteID: row.SiteID, LoginBase: login}
	if to >= 1 {
		if plan.Disable, err = a.Inventory.SiteEnabled(ctx, ref); err != nil {
			return plan, err
		}
	}
	if to < 2 {
		return plan, nil
	}
	exempt, err := a.exemptSlices(ctx)
	if err != nil {
		return plan, err
	}
	list, err := a.Inventory.SlicesOfSite(ctx, ref)
	for _, s := range list {
		if !s.Suspended && !s.ExemptUntil.After(a.now()) && !exempt[s.Name] {
			plan.Suspend = append(plan.Suspend, s.Name)
		}
	}
	return plan, err
}

// refusedByPLC is a step that cannot be begun: PLC does not have the site as one of ours, or is away.
func (a *Penalties) refusedByPLC(ctx context.Context, in sites.StepRequest, res sites.StepResult,
	err error) (sites.StepResult, error) {
	res.Reason, res.Until = err.Error(), a.now().Add(a.Policy.Hour())
	if neverDone(err) {
		res.Until = a.now().Add(a.Policy.Day)
		return res, a.post.flagSite(ctx, in.Site, causePLC,
			sites.ID(in.Site)+"/plc/"+a.now().UTC().Format("2006-01-02"),
			[]string{err.Error()})
	}
	return res, nil
}

func penaltyClaims() []store.ClaimKind {
	return []store.ClaimKind{store.ClaimSiteDisabled, store.ClaimSliceSuspended}
}

// carryOut changes in PLC what a step up has planned. What PLC refuses for one slice is told to the admins and stops no
// other.
func (a *Penalties) carryOut(ctx context.Context, login string, action store.Action) (sites.StepResult, error) {
	var plan move
	if err := json.Unmarshal(action.Data, &plan); err != nil {
		return sites.StepResult{}, fmt.Errorf("ledger %s: %w", action.Key, err)
	}
	res := sites.StepResult{Outcome: sites.StepDone, Level: plan.To, Reason: action.Reason,
		Applied: plan.applied(action.Key)}
	refused, err := a.inflict(ctx, login, action.Key, plan)
	if err != nil {
		return sites.StepResult{}, err
	}
	if undone, err := a.undoneMeanwhile(ctx, login, action.Key); err != nil || undone {
		return sites.StepResult{Outcome: sites.StepRefused, Level: plan.From,
			Reason: "it was undone meanwhile by whoever came after it"}, err
	}
	if plan.To == 1 && plan.Disable && len(refused) > 0 { // it was all that there was to do
		res = sites.StepResult{Outcome: sites.StepRefused, Level: plan.From, Reason: strings.Join(refused, "; "),
			Until: a.now().Add(a.Policy.Day)}
		return res, errors.Join(a.post.flagSite(ctx, login, causePLC, action.Key+"/refused", refused),
			a.Store.Settle(ctx, action.Key, store.Refused, res.Reason, penaltyClaims()))
	}
	if err := a.Store.SetPenaltyLevel(ctx, login, plan.To, a.now()); err != nil {
		return sites.StepResult{}, err
	}
	detail := fmt.Sprintf("level %d", plan.To)
	if len(refused) > 0 {
		detail += "; " + strings.Join(refused, "; ")
		if err := a.post.flagSite(ctx, login, causePLC, action.Key+"/refused", refused); err != nil {
			return sites.StepResult{}, err
		}
	}
	a.post.event(notify.EventPenalty, action.Key, siteRef(login), plan.To, action.Reason)
	return res, a.Store.Outcome(ctx, action.Key, store.Done, detail)
}

// inflict changes what a plan says, and releases the claim of what PLC refuses, with the reason.
func (a *Penalties) inflict(ctx context.Context, login, key string, plan move) (refused []string, err error) {
	ref := plc.SiteRef{SiteID: plan.SiteID, LoginBase: login}
	no := func(kind store.ClaimKind, target string, why error) error {
		refused = append(refused, fmt.Sprintf("%s %s: %v", kind, target, why))
		return a.releaseClaims(ctx, store.ClaimFilter{Kind: kind, Target: target, Site: login}, a.refusal())
	}
	if plan.Disable {
		err := a.Inventory.SetSiteEnabled(ctx, ref, false)
		if neverDone(err) {
			err = no(store.ClaimSiteDisabled, strconv.Itoa(plan.SiteID), err)
		} else if err == nil {
			a.markSite(ctx, login, ref)
		}
		if err != nil {
			return refused, err
		}
	}
	results, err := a.Inventory.SuspendSlices(ctx, ref, plan.Suspend)
	if err != nil && !neverDone(err) {
		return refused, err
	}
	for _, r := range results {
		if neverDone(r.Err) || errors.Is(r.Err, plc.ErrNotOrdinary) {
			if err := no(store.ClaimSliceSuspended, r.Name, r.Err); err != nil {
				return refused, err
			}
		} else if r.Err != nil {
			return refused, r.Err
		}
	}
	if len(plan.Suspend) > 0 {
		a.markSlices(ctx, login, ref)
	}
	return refused, nil
}

// refusal is how the claim of what PLC refuses ends.
func (a *Penalties) refusal() string { return a.from() + " refused it" }

// neverDone says that PLC refuses this target, and will if asked again. That it is away, or takes nothing from us, is
// another story.
func neverDone(err error) bool {
	for _, away := range []error{plc.ErrUnavailable, plc.ErrAuth, plc.ErrNotAdmin, context.Canceled,
		context.DeadlineExceeded} {
		if errors.Is(err, away) {
			return false
		}
	}
	return errors.Is(err, plc.ErrNotFound) || errors.Is(err, plc.ErrRefused)
}

func (a *Penalties) releaseClaims(ctx context.Context, f store.ClaimFilter, how string) error {
	list, err := a.Store.Claims(ctx, f)
	for _, c := range list {
		err = errors.Join(err, a.Store.Release(ctx, c.ID, how))
	}
	return err
}
