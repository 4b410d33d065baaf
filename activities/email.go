package activities

import (
	"context"
	"fmt"

	"github.com/planetlab/monitor/bootman"
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
	advice, err := a.advice(ctx, t)
	if err != nil {
		return issue.Result{}, err
	}
	level := t.Rung.Level
	request := sites.HoldRequest{
		Key: t.Key, Ref: ref, Level: max(level, t.State.Level), Kind: typ.NoticeKind(), Since: t.State.Opened,
		Evidence: t.siteEvidence(), Deeds: t.State.Deeds, Advice: advice, Coming: t.State.Coming(),
	}
	if advice == notify.AdvicePLCFails { // nobody is denied anything more for an error of PLC
		level = t.State.Level
		request.Level = level
		for i := range request.Coming {
			request.Coming[i].Level = min(request.Coming[i].Level, level)
		}
	}
	if r := t.seen.record; !r.Status.Healthy() && r.Changed.Before(t.State.Opened) {
		request.Since = r.Changed
	}
	answer, err := a.workflows.holdSite(ctx, request)
	if err != nil {
		return issue.Result{}, err
	}
	reason := fmt.Sprintf("handed to site %s, which is at penalty level %d", ref.Site, answer.Level)
	return issue.Result{Outcome: issue.Acted, Reason: reason, Told: true, Level: level}, nil
}

// advice is what helps against what was found, where that says more than the type of the issue: which way in is shut,
// or at what the boot has failed that is no trouble of the machine.
func (a *People) advice(ctx context.Context, t task) (string, error) {
	f := t.seen.facts.Finding
	switch typ := t.ref().Type; {
	case typ == issue.NodeConfig && f.Locked:
		return adviceOnEntry(f.Entry), nil
	case typ == issue.NodeConfig, typ == issue.Failboot:
		end, err := a.Store.BootEnd(ctx, t.ref().Node, t.seen.record.Changed)
		return adviceOnBoot(bootman.FaultOf(end)), err
	}
	return "", nil
}

// adviceOnBoot is what helps against a boot that fails for its medium or for PLC.
func adviceOnBoot(f bootman.Fault) string {
	switch f {
	case bootman.NoConfig:
		return notify.AdviceNoConfig
	case bootman.NotKnown:
		return notify.AdviceNotKnown
	case bootman.KeyRefused:
		return notify.AdviceNodeKey
	case bootman.PLCFails:
		return notify.AdvicePLCFails
	}
	return ""
}

// adviceOnEntry is what helps against a way in that is shut.
func adviceOnEntry(failure string) string {
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
