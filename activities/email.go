package activities

import (
	"context"
	"fmt"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/probe"
	sites "github.com/planetlab/monitor/site"
)

// Email hands an issue's notice, and the penalty level it asks for, to the workflow of its site.
func (a *People) Email(ctx context.Context, req issue.Request) (issue.Result, error) {
	return a.rungs.run(ctx, req, a.email)
}

func (a *People) email(ctx context.Context, t task) (issue.Result, error) {
	ref := t.ref()
	typ, _ := issue.Lookup(ref.Type)
	now := a.now()
	if may := typ.MayNotifySite(a.Policy, t.seen.record, t.State.Opened, now); !may.Do {
		return issue.Result{Outcome: issue.Wait, Reason: may.Reason, Until: may.Until, Check: "age"}, nil
	}
	if answer, err := a.gate.ask(ctx, policy.ActNotify, ref, t.seen); err != nil || !answer.Do {
		if err != nil {
			return issue.Result{}, err
		}
		return a.rungs.refuse(ctx, t, answer)
	}
	request := sites.HoldRequest{
		Key: t.Key, Ref: ref, Level: max(t.Rung.Level, t.State.Level), Kind: typ.NoticeKind(), Since: t.State.Opened,
		Evidence: t.siteEvidence(), Deeds: t.State.Deeds, Coming: t.State.Coming(),
	}
	if f := t.seen.facts.Finding; f.Locked && ref.Type == issue.NodeConfig {
		request.Advice = adviceFor(f.Entry)
	}
	if r := t.seen.record; !r.Status.Healthy() && r.Changed.Before(t.State.Opened) {
		request.Since = r.Changed
	}
	answer, err := a.workflows.holdSite(ctx, request)
	if err != nil {
		return issue.Result{}, err
	}
	reason := fmt.Sprintf("handed to site %s, which is at penalty level %d", ref.Site, answer.Level)
	return issue.Result{Outcome: issue.Acted, Reason: reason, Told: true, Level: t.Rung.Level}, nil
}

// adviceFor is what helps against a way in that is shut.
func adviceFor(failure string) string {
	switch failure {
	case probe.Hang:
		return notify.AdviceHangs
	case probe.Strange, probe.Broken:
		return notify.AdviceStrange
	case probe.HostKeyChanged:
		return notify.AdviceHostKey
	}
	return notify.AdviceLocked
}
