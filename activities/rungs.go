package activities

import (
	"context"
	"fmt"
	"slices"

	"go.temporal.io/sdk/activity"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/policy"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// Email hands an issue's notice, and the penalty level it asks for, to the workflow of its site.
func (a *Activities) Email(ctx context.Context, in RungInput) (RungResult, error) {
	res, err := a.rung(ctx, in, a.email)
	res.Leaned = !res.Told && activity.IsActivity(ctx) && activity.GetInfo(ctx).Attempt > 1
	return res, err
}

func (a *Activities) email(ctx context.Context, in RungInput) (RungResult, error) {
	if may := policy.MayNotifySite(a.Policy, in.Ref.Type, in.seen.record, in.Since, a.now()); !may.Do {
		return RungResult{Outcome: Wait, Reason: may.Reason, Until: may.Until}, nil
	}
	lean := sites.HoldRequest{
		Key: in.Key, Ref: issue.Ref(in.Ref), Level: in.Level, Kind: in.Ref.Type, Since: in.Since, Evidence: in.evidence(),
	}
	if in.seen.facts.Finding.Locked && in.Ref.Type == NodeConfigType {
		lean.Advice = notify.AdviceLocked
	}
	if in.Ref.Type == NodeDownType {
		lean.Kind = string(notify.Down)
	}
	if r := in.seen.record; !r.Status.Healthy() && r.Changed.Before(in.Since) {
		lean.Since = r.Changed
	}
	answer, err := a.holdSite(ctx, lean)
	if err != nil {
		return RungResult{}, err
	}
	reason := fmt.Sprintf("handed to site %s, which is at penalty level %d", in.Ref.Site, answer.Level)
	return RungResult{Outcome: Acted, Reason: reason, Told: true, Level: in.Level}, nil
}

// evidence is what people are shown: what was just seen, then what the issue was opened with.
func (in RungInput) evidence() []string {
	lines := []string{in.seen.reason}
	if t, seen := in.seen.facts.Symptoms[in.Ref.Type]; seen && t.Reason != in.seen.reason {
		lines = append(lines, t.Reason)
	}
	lines = append(lines, in.seen.silent...)
	for _, l := range in.Evidence {
		if !slices.Contains(lines, l) {
			lines = append(lines, l)
		}
	}
	return bounded(lines)
}

// Flag tells the admins, once an issue, that Monitor is at its wits' end; after that the rung only looks.
func (a *Activities) Flag(ctx context.Context, in RungInput) (RungResult, error) {
	return a.rung(ctx, in, func(ctx context.Context, in RungInput) (RungResult, error) {
		said, err := a.flagOnce(ctx, in, "flag", "the last rung was reached", "")
		return RungResult{Outcome: Acted, Reason: said}, err
	})
}

// flagOnce writes to the admins about an issue, once for each mark, and answers what became of that.
func (a *Activities) flagOnce(ctx context.Context, in RungInput, mark, reason, fix string) (string, error) {
	key := in.Ref.ID + "/" + in.Ref.Run + "/" + mark
	action, existed, err := a.Store.Intent(ctx, store.Action{
		Key: key, Kind: "flag", Issue: in.Ref.ID, Node: in.Ref.Node, Site: in.Ref.Site, PCU: in.Ref.PCUID, Reason: reason,
	})
	if err != nil {
		return "", err
	}
	if existed && action.Outcome != "" {
		return "still not good; the admins know", nil
	}
	a.announce(notify.EventFlagged, key, in.Ref, in.Held, in.Cause)
	if len(a.Admins) == 0 {
		return "flagged; mail.admins is empty, so nobody was written to", a.Store.Outcome(ctx, key, store.Done, "flagged")
	}
	_, err = a.send(ctx, notify.Notice{
		Kind: notify.Flagged, Site: in.Ref.Site, At: a.now().UTC(), To: a.Admins, MessageID: notify.MessageID(key, a.Domain),
		Items: []notify.Item{{
			Issue: in.Ref.ID, Type: in.Ref.Type, Target: in.Ref.Target(), Since: in.Since, Evidence: in.evidence(), Fix: fix,
		}},
	}, nil)
	if err != nil {
		return "", err
	}
	return "flagged for the admins", a.Store.Outcome(ctx, key, store.Done, "flagged for the admins")
}

// OpenPCUDown opens pcudown on the PCU of a node, unless that PCU works.
func (a *Activities) OpenPCUDown(ctx context.Context, in RungInput) (RungResult, error) {
	return a.rung(ctx, in, a.openPCUDown)
}

func (a *Activities) openPCUDown(ctx context.Context, in RungInput) (RungResult, error) {
	if in.Ref.PCUID == 0 {
		return RungResult{Outcome: Passed, Reason: "no PCU feeds it"}, nil
	}
	p, err := a.Store.PCU(ctx, in.Ref.PCUID)
	if err != nil {
		return RungResult{}, err
	}
	ok, reason, err := a.testPCU(ctx, p)
	if err != nil {
		return RungResult{}, err
	}
	if ok {
		return RungResult{Outcome: Passed, Reason: "its PCU works: " + reason}, nil
	}
	if err := a.openIssue(ctx, PCUDownType, Ref{PCU: p.Name, Site: p.Site}, "", []string{reason}); err != nil {
		return RungResult{}, err
	}
	return RungResult{Outcome: Acted, Reason: "opened " + PCUDownType + "/" + p.Name}, nil
}
