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

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// HoldClaim is what an issue's hold on its site is in the store. Who asks a site to hold takes it first, in one transaction with the intent,
// so that it outlives both workflows; a node that moves takes its hold along.
func HoldClaim(r sites.HoldRequest) store.Claim {
	return store.Claim{Kind: store.ClaimHold, Target: r.Ref.Target(), Site: r.Ref.Site, Issue: r.Ref.ID, RunID: r.Ref.Run, Key: r.Key, SetTo: strconv.Itoa(r.Level)}
}

// holdSite hands an issue's request to the workflow of its site. The claim comes first: what is asked of the site outlives both workflows, and
// the reconciler lets it go if nobody else does.
func (a *Activities) holdSite(ctx context.Context, r sites.HoldRequest) (sites.Answer, error) {
	if err := a.Store.Take(ctx, HoldClaim(r)); err != nil {
		return sites.Answer{}, err
	}
	return a.askSite(ctx, r.Ref.Site, sites.UpdateHold, r.Key, r)
}

// askSite starts the site's workflow if need be and waits for its answer. The key makes a repeated call harmless.
func (a *Activities) askSite(ctx context.Context, login, update, key string, arg any) (sites.Answer, error) {
	start := a.Temporal.NewWithStartWorkflowOperation(client.StartWorkflowOptions{
		ID: sites.ID(login), TaskQueue: TaskQueue,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		StaticSummary:            "what " + login + " is told and denied",
	}, sites.Type, sites.Input{Site: login})
	h, err := a.Temporal.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: start,
		UpdateOptions: client.UpdateWorkflowOptions{
			UpdateID: update + "/" + key, UpdateName: update, Args: []any{arg}, WaitForStage: client.WorkflowUpdateStageCompleted,
		},
	})
	var answer sites.Answer
	if err == nil {
		err = h.Get(ctx, &answer)
	}
	if err != nil {
		return answer, fmt.Errorf("ask site %s to %s: %w", login, update, err)
	}
	return answer, nil
}

// ReadSite says what the store and PLC say of a site: what is denied, who holds it, and whether the level might rise. On the way it puts
// right what an earlier life has left half done, and applies again what somebody has lifted by hand.
func (a *Activities) ReadSite(ctx context.Context, in sites.ReadRequest) (sites.Standing, error) {
	defer heartbeat(ctx)()
	st := sites.Standing{Times: sites.TimesOf(a.Policy)}
	if err := a.finishMoves(ctx, in.Site); err != nil {
		return st, err
	}
	row, gone, err := a.siteRow(ctx, in.Site)
	if err != nil {
		return st, err
	}
	claims, err := a.appliedTo(ctx, in.Site)
	if err != nil {
		return st, err
	}
	st.Level, st.LastRaise = row.PenaltyLevel, row.LastRaise
	if gone { // what was applied under its old name, or to what PLC no longer has, is undone
		st.Level = levelOf(claims)
	}
	if st.Holds, err = a.holdsOn(ctx, in.Site, gone); err != nil {
		return st, err
	}
	if st.Spared, err = a.spared(ctx, row, gone); err != nil {
		return st, err
	}
	if st.Reason, err = a.putRight(ctx, in, st, claims); err != nil {
		return st, err
	}
	want := 0
	for _, h := range st.Holds {
		want = max(want, h.Level)
	}
	if st.Spared == nil && want > st.Level {
		answer, err := a.mayRaise(ctx, sites.StepRequest{Site: in.Site, From: st.Level, To: st.Level + 1, LastRaise: st.LastRaise,
			Warned: &sites.Warning{Level: st.Level + 1, At: a.now()}})
		if err != nil {
			return st, err
		}
		st.Rise = answer.Decision
	}
	return st, nil
}

func (a *Activities) siteRow(ctx context.Context, login string) (row store.Site, gone bool, err error) {
	row, err = a.Store.Site(ctx, login)
	if errors.Is(err, store.ErrNotFound) {
		return store.Site{LoginBase: login}, true, nil
	}
	return row, row.Gone, err
}

// levelOf is the level that claims amount to.
func levelOf(claims []store.Claim) int {
	level := 0
	for _, c := range claims {
		switch c.Kind {
		case store.ClaimSiteDisabled:
			level = max(level, 1)
		case store.ClaimSliceSuspended:
			level = policy.Top
		}
	}
	return level
}

// finishMoves brings steps to their end that were begun, and whose worker died: a step up that may be done is done; one that surely was
// not, and a step down, are given up and decided anew.
func (a *Activities) finishMoves(ctx context.Context, login string) error {
	open, err := a.Store.Actions(ctx, store.ActionFilter{Kind: store.KindPenalty, Site: login, Unfinished: true})
	if err != nil {
		return err
	}
	for _, action := range slices.Backward(open) { // the oldest first
		var m move
		switch {
		case !action.Begun():
			err = a.Store.Settle(ctx, action.Key, store.Failed, "it was never begun", penaltyClaims())
		case json.Unmarshal(action.Data, &m) != nil || m.To < m.From:
			err = a.Store.Outcome(ctx, action.Key, store.Failed, "it did not come to its end, and is decided anew")
		default:
			_, err = a.carryOut(ctx, login, action)
		}
		if err != nil {
			return fmt.Errorf("finish %s: %w", action.Key, err)
		}
	}
	return nil
}

// holdsOn reads who holds a level of a site. A PCU that feeds no node holds nothing, and what belongs to another site by now is its story.
func (a *Activities) holdsOn(ctx context.Context, login string, gone bool) (map[string]sites.Hold, error) {
	claims, err := a.Store.Claims(ctx, store.ClaimFilter{Kind: store.ClaimHold, Site: login})
	if err != nil {
		return nil, err
	}
	holds := map[string]sites.Hold{}
	for _, c := range claims {
		i, err := a.Store.Issue(ctx, c.Issue)
		switch {
		case errors.Is(err, store.ErrNotFound):
			continue
		case err != nil:
			return nil, err
		case i.Status == string(issue.Closed) && (c.RunID == "" || c.RunID == i.RunID):
			if err := a.Store.Release(ctx, c.ID, "its issue is closed"); err != nil {
				return nil, err
			}
			continue
		}
		moved, err := a.movedFrom(ctx, login, i)
		if err != nil {
			return nil, err
		}
		if moved != "" {
			if err := a.moveHold(ctx, c, moved); err != nil {
				return nil, err
			}
			continue
		}
		if gone {
			continue
		}
		h, err := a.holdOf(ctx, c, i)
		if err != nil {
			return nil, err
		}
		holds[c.Issue] = h
	}
	return holds, nil
}

func (a *Activities) holdOf(ctx context.Context, c store.Claim, i store.Issue) (sites.Hold, error) {
	level, err := strconv.Atoi(c.SetTo)
	if err != nil {
		return sites.Hold{}, fmt.Errorf("hold of %s: level %q: %w", c.Issue, c.SetTo, err)
	}
	h := sites.Hold{Ref: issue.Ref{ID: i.ID, Run: i.RunID, Type: i.Type, Node: i.Node, Site: c.Site, PCUID: i.PCUID}, Level: level, Kind: i.Type, Since: i.Opened, At: c.Taken}
	typ, known := issue.Lookup(i.Type)
	if known {
		h.Kind = typ.NoticeKind()
	}
	if s, err := i.Memory(); err == nil && s.Ref.ID == i.ID {
		h.Coming = s.Coming()
	}
	if !known || typ.Target != issue.OfPCU {
		return h, nil
	}
	h.Ref.PCU = i.Target
	nodes, err := a.Store.NodesOfSite(ctx, c.Site)
	if !slices.ContainsFunc(nodes, func(n store.Node) bool { return n.PCUID == i.PCUID }) {
		h.Level = 0
	}
	return h, err
}

// movedFrom is the site where the target of an issue belongs now, if that is not the one that it holds.
func (a *Activities) movedFrom(ctx context.Context, login string, i store.Issue) (string, error) {
	now := login
	switch typ, _ := issue.Lookup(i.Type); typ.Target {
	case issue.OfNode:
		n, err := a.Store.Node(ctx, i.Node)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return "", err
		}
		if err == nil && !n.Gone {
			now = n.Site
		}
	case issue.OfPCU:
		p, err := a.Store.PCU(ctx, i.PCUID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return "", err
		}
		if err == nil && !p.Gone {
			now = p.Site
		}
	}
	if now == login || now == "" {
		return "", nil
	}
	return now, nil
}

// moveHold takes a hold to another site, which then reads it.
func (a *Activities) moveHold(ctx context.Context, c store.Claim, to string) error {
	c.Site = to
	if err := a.Store.Take(ctx, c); err != nil {
		return err
	}
	return a.lookAtSite(ctx, to)
}

// lookAtSite has a site read back what it is denied, and starts it if need be.
func (a *Activities) lookAtSite(ctx context.Context, login string) error {
	_, err := a.Temporal.SignalWithStartWorkflow(ctx, sites.ID(login), sites.SignalLook, nil,
		client.StartWorkflowOptions{ID: sites.ID(login), TaskQueue: TaskQueue, StaticSummary: "what " + login + " is told and denied"}, sites.Type, sites.Input{Site: login})
	if err != nil {
		return fmt.Errorf("let site %s look: %w", login, err)
	}
	return nil
}

// spared says why a site is to be denied nothing, whatever its issues ask.
func (a *Activities) spared(ctx context.Context, row store.Site, gone bool) (*sites.Spared, error) {
	now := a.now()
	if gone {
		return &sites.Spared{Why: sites.SparedGone, About: "PLC does not have it any more under this name"}, nil
	}
	entry, listed, err := a.Store.Blacklisted(ctx, "", row.LoginBase, now)
	switch {
	case err != nil:
		return nil, err
	case row.ExemptUntil.After(now):
		return &sites.Spared{Why: sites.SparedExempt, Until: row.ExemptUntil, About: "in PLC until " + row.ExemptUntil.UTC().Format(time.DateOnly)}, nil
	case listed:
		return &sites.Spared{Why: sites.SparedListed, Until: entry.Until, About: entry.Reason}, nil
	case row.Pending:
		return &sites.Spared{Why: sites.SparedPending}, nil
	case now.Sub(row.Created) < a.Policy.SiteNew:
		return &sites.Spared{Why: sites.SparedNew, Until: row.Created.Add(a.Policy.SiteNew)}, nil
	case row.Record.Status == policy.StatusGood:
		return &sites.Spared{Why: sites.SparedGood, About: fmt.Sprintf("enough of its nodes work since %s", row.Record.Changed.UTC().Format("2006-01-02 15:04 MST"))}, nil
	}
	return nil, nil
}

// putRight compares what a site is denied with PLC. What Monitor still holds above the level is given back; what somebody has lifted by
// hand is applied again, and the admins are told; a slice that is exempt by now runs again.
func (a *Activities) putRight(ctx context.Context, in sites.ReadRequest, st sites.Standing, claims []store.Claim) (string, error) {
	if levelOf(claims) > st.Level {
		if _, err := a.undoAbove(ctx, in.Site, st.Level); err != nil {
			return "what is left over of a level could not be given back: " + err.Error(), nil
		}
	}
	if st.Level == 0 || st.Spared != nil || in.Want < st.Level {
		return "", nil
	}
	if err := a.freeExempt(ctx, in.Site, claims); err != nil {
		return "PLC could not be asked: " + err.Error(), nil
	}
	facts, err := a.siteFacts(ctx, policy.ActNotify, in.Site)
	if err != nil {
		return "", err
	}
	if a.Mode == notify.ModeTest {
		facts.Mode = policy.ModeObserve
	}
	if answer := policy.Ask(a.Policy, facts, a.now()); !answer.Do {
		return "", nil
	}
	plan, err := a.lacks(ctx, in.Site, st.Level, st.Level)
	if err != nil {
		return "PLC could not be asked: " + err.Error(), nil
	}
	if plan.empty() {
		return "", nil
	}
	return a.applyAgain(ctx, in, plan)
}

func (a *Activities) applyAgain(ctx context.Context, in sites.ReadRequest, plan move) (string, error) {
	data, err := json.Marshal(plan)
	if err != nil {
		return "", err
	}
	reason := fmt.Sprintf("somebody lifted by hand what level %d holds: %s", plan.To, plan)
	_, existed, _, err := a.Store.Begin(ctx, store.Plan{Claims: plan.claims(),
		Action: store.Action{Key: in.Key, Kind: store.KindReconcile, Issue: sites.ID(in.Site), Site: in.Site, Reason: reason, Data: data}})
	if err != nil || existed {
		return reason, err
	}
	if mine, err := a.Store.Commit(ctx, in.Key); err != nil || !mine {
		return reason, err
	}
	ctx = context.WithoutCancel(ctx)
	refused, err := a.inflict(ctx, in.Site, in.Key, plan)
	if err != nil {
		return reason, a.Store.Outcome(ctx, in.Key, store.Ambiguous, err.Error())
	}
	if err := a.tellRepaired(ctx, in.Site, in.Key, plan, reason); err != nil {
		a.Log.Warn("the admins could not be told", "site", in.Site, "reason", reason, "error", err)
	}
	return reason, a.Store.Outcome(ctx, in.Key, store.Done, strings.Join(append([]string{"applied again"}, refused...), "; "))
}

// freeExempt lets slices run again that have become exempt since Monitor suspended them.
func (a *Activities) freeExempt(ctx context.Context, login string, claims []store.Claim) error {
	for id, list := range bySite(claims, store.ClaimSliceSuspended) {
		ref := plc.SiteRef{SiteID: id, LoginBase: loginIf(id, login)}
		states, err := a.PLC.SlicesOfSite(ctx, ref)
		if err != nil {
			return err
		}
		free := slices.DeleteFunc(list, func(c store.Claim) bool {
			return !slices.ContainsFunc(states, func(s plc.SliceState) bool { return s.Name == c.Target && s.ExemptUntil.After(a.now()) })
		})
		if len(free) == 0 {
			continue
		}
		if _, err := a.restore(ctx, ref, free, "exempt in PLC by now"); err != nil {
			return err
		}
	}
	return nil
}

// mayRaise asks the gate for a step up, on facts read now.
func (a *Activities) mayRaise(ctx context.Context, in sites.StepRequest) (policy.Answer, error) {
	no := func(format string, args ...any) (policy.Answer, error) {
		return policy.Answer{Decision: policy.No(time.Time{}, format, args...)}, nil
	}
	facts, err := a.siteFacts(ctx, policy.ActPenalize, in.Site)
	if err != nil {
		return policy.Answer{}, err
	}
	if a.Mode == notify.ModeTest {
		return no("mail goes to the test address alone, so nobody is told and nothing is denied")
	}
	row, gone, err := a.siteRow(ctx, in.Site)
	if err != nil {
		return policy.Answer{}, err
	}
	spared, err := a.spared(ctx, row, gone)
	if err != nil {
		return policy.Answer{}, err
	}
	if spared != nil {
		return policy.Answer{Decision: policy.No(spared.Until, "the site is spared: %s", spared)}, nil
	}
	holds, err := a.holdsOn(ctx, in.Site, gone)
	if err != nil {
		return policy.Answer{}, err
	}
	why := holdersOf(holds, in.To)
	if len(why) == 0 {
		return no("no open issue holds level %d", in.To)
	}
	if facts.Issue, facts.Site.To = why[0], in.To; in.Warned != nil && in.Warned.Level == in.To {
		if in.Warned.Issues == nil || slices.ContainsFunc(why, func(id string) bool { return slices.Contains(in.Warned.Issues, id) }) {
			facts.Site.Told, facts.Site.NotBefore = in.Warned.At, in.Warned.NotBefore
		}
	}
	if in.LastRaise.After(facts.Site.LastRaise) {
		facts.Site.LastRaise = in.LastRaise
	}
	up, down, err := a.nodesUp(ctx, in.Site)
	if err != nil {
		return policy.Answer{}, err
	}
	facts.Site.Up = up
	if answer := policy.Ask(a.Policy, facts, a.now()); !answer.Do {
		return answer, nil
	}
	back := a.runningNow(ctx, down)
	facts.Site.Up += len(back)
	answer := policy.Ask(a.Policy, facts, a.now())
	if len(back) > 0 {
		answer.Reason += "; back since the last sweep: " + strings.Join(back, ", ")
	}
	return answer, ctx.Err()
}

func holdersOf(holds map[string]sites.Hold, level int) []string {
	return sites.State{Holds: holds}.Holders(level)
}

// siteFacts gathers what the gate asks about a site as a whole.
func (a *Activities) siteFacts(ctx context.Context, act policy.Act, login string) (policy.GateFacts, error) {
	f := policy.GateFacts{Act: act, Target: "site " + login}
	row, gone, err := a.siteRow(ctx, login)
	if err != nil {
		return f, err
	}
	f.Exists, f.SiteExemptUntil, f.Ordered = !gone, row.ExemptUntil, a.ordered(ctx)
	f.Site = policy.SiteGate{Record: row.Record, Pending: row.Pending, Created: row.Created, LastRaise: row.LastRaise, Level: row.PenaltyLevel}
	entry, listed, err := a.Store.Blacklisted(ctx, "", login, a.now())
	if err != nil {
		return f, err
	}
	if listed {
		f.Listed = policy.Listing{Listed: true, Downtime: entry.Downtime, Until: entry.Until, Reason: entry.Reason}
	}
	if err := a.gateControls(ctx, siteRef(login), sight{}, &f); err != nil {
		return f, err
	}
	if f.Lease, err = a.lease(ctx); err != nil {
		return f, err
	}
	return f, a.gateBudget(ctx, siteRef(login), sight{}, &f)
}

// nodesUp counts the nodes of a site that are not down, and names the others; blacklisted ones count as up.
func (a *Activities) nodesUp(ctx context.Context, login string) (up int, down []store.Node, err error) {
	nodes, err := a.Store.NodesOfSite(ctx, login)
	if err != nil {
		return 0, nil, err
	}
	listed, err := a.blacklistedNodes(ctx, a.now())
	if err != nil {
		return 0, nil, err
	}
	for _, n := range nodes {
		if policy.CountsAsUp(n.Record, storedFacts(n).Finding, listed[n.Hostname]) {
			up++
		} else {
			down = append(down, n)
		}
	}
	return up, down, nil
}

// blacklistedNodes are the nodes on the blacklist now, not those of blacklisted sites.
func (a *Activities) blacklistedNodes(ctx context.Context, now time.Time) (map[string]bool, error) {
	entries, err := a.Store.Blacklist(ctx)
	listed := map[string]bool{}
	for _, e := range entries {
		if e.Kind == "node" && !e.Starts.After(now) && (e.Until.IsZero() || e.Until.After(now)) {
			listed[e.Target] = true
		}
	}
	return listed, err
}

// skipSite writes down why a site is not raised: once for each reason, with how often.
func (a *Activities) skipSite(ctx context.Context, login, what, reason string) error {
	return a.Store.Skip(ctx, store.Action{Key: sites.ID(login) + "/skip/" + what, Issue: sites.ID(login), Site: login, Reason: reason})
}

// flagSite tells the admins, once for each key, what no later try at a site will mend.
func (a *Activities) flagSite(ctx context.Context, login, key string, evidence []string) error {
	action, existed, err := a.Store.Intent(ctx, store.Action{Key: key, Kind: store.KindFlag, Issue: sites.ID(login), Site: login, Reason: strings.Join(evidence, "; ")})
	if err != nil || existed && action.Outcome != "" {
		return err
	}
	a.postEvent(notify.EventFlagged, key, siteRef(login), 0, action.Reason)
	if len(a.Admins) > 0 {
		_, err = a.send(ctx, notify.Notice{Kind: notify.Flagged, Site: login, At: a.now().UTC(), To: a.Admins, MessageID: notify.MessageID(key, a.Domain),
			Items: []notify.Item{{Evidence: evidence}}}, nil)
		if err != nil {
			a.Log.Warn("the admins could not be told", "site", login, "reason", action.Reason, "error", err)
			return nil // the ledger keeps it, unfinished, and the next occasion tries again
		}
	}
	return a.Store.Outcome(ctx, key, store.Done, "flagged for the admins")
}

// tellRepaired writes to the admins that a penalty was lifted by hand and is in force again, and how it ends for good.
func (a *Activities) tellRepaired(ctx context.Context, login, key string, plan move, reason string) error {
	if len(a.Admins) == 0 {
		return nil
	}
	_, err := a.send(ctx, notify.Notice{
		Kind: notify.Repaired, Site: login, Level: plan.To, At: a.now().UTC(), To: a.Admins, MessageID: notify.MessageID(key, a.Domain),
		Items: []notify.Item{{Evidence: []string{reason}}},
	}, nil)
	return err
}
