package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// Email hands an issue's notice, and the penalty level it asks for, to the workflow of its site.
func (a *Activities) Email(ctx context.Context, in RungInput) (RungResult, error) {
	return a.rung(ctx, in, a.email)
}

func (a *Activities) email(ctx context.Context, in RungInput) (RungResult, error) {
	lean := Lean{Key: in.Key, Ref: in.Ref, Level: in.Level, Kind: string(notify.Down), Since: in.Since, Tried: in.Tried, Forecast: in.Forecast}
	record, reason := policy.Record{}, ""
	if in.Ref.Type == PCUDownType {
		p, err := a.Store.PCU(ctx, in.Ref.PCUID)
		if err != nil {
			return RungResult{}, err
		}
		lean.Kind, record, reason = string(notify.PCUDown), p.Record, p.Reason
	} else {
		n, err := a.Store.Node(ctx, in.Ref.Node)
		if err != nil {
			return RungResult{}, err
		}
		record, reason = n.Record, n.Reason
	}
	if record.Status != policy.IsDown {
		return RungResult{Outcome: Wait, Reason: fmt.Sprintf("nobody is written to before it is down; it is %s", record.Status), Until: record.Changed.Add(a.Numbers.OfflineToDown)}, nil
	}
	lean.Since, lean.Evidence = record.Changed, []string{reason}
	answer, err := a.askSite(ctx, in.Ref.Site, UpdateLean, in.Key, lean)
	if err != nil {
		return RungResult{}, err
	}
	return RungResult{Outcome: Acted, Reason: fmt.Sprintf("handed to site %s, which is at penalty level %d", in.Ref.Site, answer.Level), Told: true, Level: in.Level}, nil
}

// Flag tells the admins, once an issue, that Monitor is at its wits' end; after that the rung only looks.
func (a *Activities) Flag(ctx context.Context, in RungInput) (RungResult, error) {
	return a.rung(ctx, in, a.flag)
}

func (a *Activities) flag(ctx context.Context, in RungInput) (RungResult, error) {
	key := in.Ref.ID + "/" + in.Ref.Run + "/flag"
	action, existed, err := a.Store.Intent(ctx, store.Action{Key: key, Kind: "flag", Issue: in.Ref.ID, Node: in.Ref.Node, Site: in.Ref.Site, PCU: in.Ref.PCUID, Reason: "the last rung was reached"})
	if err != nil {
		return RungResult{}, err
	}
	if existed && action.Outcome != "" {
		return RungResult{Outcome: Acted, Reason: "still not good; the admins know"}, nil
	}
	if len(a.Admins) == 0 {
		return RungResult{Outcome: Acted, Reason: "flagged; mail.admins is empty, so nobody was written to"}, a.Store.Outcome(ctx, key, store.Done, "flagged")
	}
	_, err = a.send(ctx, notify.Notice{
		Kind: notify.Flagged, Site: in.Ref.Site, At: a.now().UTC(), To: a.Admins, MessageID: notify.MessageID(key, a.Domain),
		Items: []notify.Item{{Issue: in.Ref.ID, Type: in.Ref.Type, Target: in.Ref.Target(), Since: in.Since, Tried: in.Tried}},
	}, nil)
	if err != nil {
		return RungResult{}, err
	}
	return RungResult{Outcome: Acted, Reason: "flagged for the admins"}, a.Store.Outcome(ctx, key, store.Done, "flagged for the admins")
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
	if ok, reason := a.testPCU(ctx, p); ok {
		return RungResult{Outcome: Passed, Reason: "its PCU works: " + reason}, nil
	}
	if err := a.openIssue(ctx, PCUDownType, Ref{PCU: p.Name, Site: p.Site}, "", nil); err != nil {
		return RungResult{}, err
	}
	return RungResult{Outcome: Acted, Reason: "opened " + PCUDownType + "/" + p.Name}, nil
}

// SitePolicy gives a site's workflow its durations.
func (a *Activities) SitePolicy(context.Context) (SiteTimes, error) {
	n := a.Numbers
	return SiteTimes{Day: n.Day, GroupWait: n.GroupWait, PenaltyStep: n.PenaltyStep, ThanksGrace: n.ThanksGrace}, nil
}

// SetPenalty moves a site's penalty level by what policy allows: at most one step up, any number down. Every level is
// written to PLC and read back; a repeated call finds the work done.
func (a *Activities) SetPenalty(ctx context.Context, in PenaltyInput) (PenaltyResult, error) {
	res := PenaltyResult{Level: in.From, Applied: in.Applied}
	ref := Ref{ID: SiteType + "/" + in.Site, Site: in.Site}
	reason := in.Reason
	if in.To > in.From {
		decision, err := a.mayRaise(ctx, in)
		if err != nil {
			return res, err
		}
		if !decision.Do {
			res.Reason, res.Until = decision.Reason, decision.Until
			return res, a.skip(ctx, in.Key, ref, decision.Reason)
		}
		reason = decision.Reason + "; " + in.Reason
	}
	_, existed, err := a.Store.Intent(ctx, store.Action{Key: in.Key, Kind: "penalty", Issue: ref.ID, Site: in.Site, Reason: fmt.Sprintf("level %d to %d: %s", in.From, in.To, reason)})
	if err != nil {
		return res, err
	}
	applied, err := a.applyPenalty(ctx, in, existed)
	if err != nil {
		return res, err
	}
	res.Level, res.Applied, res.Reason = in.To, applied, reason
	if err := a.Store.SetPenaltyLevel(ctx, in.Site, in.To, a.now()); err != nil {
		return res, err
	}
	return res, a.Store.Outcome(ctx, in.Key, store.Done, fmt.Sprintf("level %d", in.To))
}

func (a *Activities) mayRaise(ctx context.Context, in PenaltyInput) (policy.Decision, error) {
	site, err := a.Store.Site(ctx, in.Site)
	if err != nil {
		return policy.Decision{}, err
	}
	decision, err := a.mayAct(ctx, Ref{Site: in.Site})
	if err != nil || !decision.Do {
		return decision, err
	}
	up, err := a.nodesUp(ctx, in.Site)
	if err != nil {
		return policy.Decision{}, err
	}
	spent, err := a.spent(ctx, "penalty", in.Site)
	if err != nil {
		return policy.Decision{}, err
	}
	return policy.MayPenalize(a.Numbers, policy.SiteFacts{Up: up, Record: site.Record, Pending: site.Pending, Created: site.Created, LastRaise: in.LastRaise}, spent, a.now()), nil
}

// applyPenalty makes PLC agree with the level. A retry that may have disabled the site itself claims it, so that it will
// also be undone.
func (a *Activities) applyPenalty(ctx context.Context, in PenaltyInput, retry bool) (Applied, error) {
	applied := in.Applied
	if in.To >= 1 && in.From < 1 {
		enabled, err := a.PLC.SiteEnabled(ctx, in.Site)
		if err != nil {
			return applied, err
		}
		applied.Disabled = enabled || retry
		if enabled {
			if err := a.PLC.SetSiteEnabled(ctx, in.Site, false); err != nil {
				return applied, err
			}
		}
	}
	if in.To >= 2 && in.From < 2 {
		slices, err := a.PLC.SuspendSlices(ctx, in.Site)
		if err != nil {
			return applied, err
		}
		applied.Slices = slices
	}
	if in.To < 2 && in.From >= 2 {
		if err := a.PLC.RestoreSlices(ctx, in.Site); err != nil {
			return applied, err
		}
		applied.Slices = nil
	}
	if in.To < 1 && in.From >= 1 && applied.Disabled {
		if err := a.PLC.SetSiteEnabled(ctx, in.Site, true); err != nil {
			return applied, err
		}
		applied.Disabled = false
	}
	return applied, nil
}

// nodesUp counts the nodes of a site that are not down; blacklisted ones count as up.
func (a *Activities) nodesUp(ctx context.Context, site string) (int, error) {
	nodes, err := a.Store.NodesOfSite(ctx, site)
	if err != nil {
		return 0, err
	}
	up := 0
	for _, n := range nodes {
		_, listed, err := a.Store.Blacklisted(ctx, n.Hostname, "", a.now())
		if err != nil {
			return 0, err
		}
		if listed || n.Record.Status != policy.IsDown {
			up++
		}
	}
	return up, nil
}

// SendNotices writes one message to a site's people about everything that has gathered.
func (a *Activities) SendNotices(ctx context.Context, in MailInput) error {
	now := a.now()
	ref := Ref{ID: SiteType + "/" + in.Site, Site: in.Site}
	site, err := a.Store.Site(ctx, in.Site)
	if err != nil {
		return err
	}
	decision, err := a.mayAct(ctx, ref)
	if err != nil {
		return err
	}
	good := in.Kind == string(notify.Online) || in.Kind == string(notify.Cleared)
	if !decision.Do && !good {
		return a.skip(ctx, in.Key, ref, decision.Reason)
	}
	notice := notify.Notice{Kind: notify.Kind(in.Kind), Site: in.Site, SiteName: site.Name, Level: in.Level, At: now.UTC(), MessageID: notify.MessageID(in.Key, a.Domain)}
	var targets []string
	for _, l := range in.Notices {
		target := l.Ref.Target()
		if target == "" {
			target = in.Site
		}
		last, err := a.Store.LastNotice(ctx, in.Kind, target)
		if err != nil {
			return err
		}
		if may := policy.MayNotify(a.Numbers, in.Kind, last, now); !may.Do {
			if err := a.skip(ctx, in.Key+"/"+target, l.Ref, may.Reason); err != nil {
				return err
			}
			continue
		}
		targets = append(targets, target)
		notice.Items = append(notice.Items, notify.Item{Issue: l.Ref.ID, Type: l.Ref.Type, Target: target, Since: l.Since.UTC(), Evidence: l.Evidence, Tried: l.Tried, Fix: l.Fix})
		for _, s := range l.Forecast {
			f := notify.Forecast{At: s.At.UTC(), What: s.What}
			if !slices.Contains(notice.Forecast, f) {
				notice.Forecast = append(notice.Forecast, f)
			}
		}
	}
	if len(targets) == 0 {
		return nil
	}
	to, exempt, err := a.Store.Contacts(ctx, in.Site, policy.Audience(in.Level), now)
	if err != nil {
		return err
	}
	if len(to) == 0 {
		return a.skip(ctx, in.Key, ref, fmt.Sprintf("nobody to write to: the site has no %v in PLC who is not exempt", policy.Audience(in.Level)))
	}
	for _, c := range to {
		notice.To = append(notice.To, c.Email)
	}
	action, existed, err := a.Store.Intent(ctx, store.Action{Key: in.Key, Kind: "notice", Issue: in.Notices[0].Ref.ID, Node: in.Notices[0].Ref.Node, Site: in.Site, Reason: fmt.Sprintf("%s about %v", in.Kind, targets)})
	if err != nil || (existed && action.Outcome != "") {
		return err
	}
	receipt, err := a.send(ctx, notice, nil)
	if err != nil {
		return err
	}
	for _, target := range targets {
		if err := a.Store.RecordNotice(ctx, store.Notice{Kind: in.Kind, Target: target, Site: in.Site, MessageID: notice.MessageID, Recipients: notice.To, At: now}); err != nil {
			return err
		}
	}
	detail := receipt
	if len(exempt) > 0 {
		detail += fmt.Sprintf("; %d exempt people left out", len(exempt))
	}
	return a.Store.Outcome(ctx, in.Key, store.Sent, detail)
}

// send renders and sends. While some recipients are only deferred it tries them again, and them alone; what is still left
// then is part of the receipt.
func (a *Activities) send(ctx context.Context, n notify.Notice, only []string) (string, error) {
	message, err := notify.Render(n)
	if err != nil {
		return "", err
	}
	message.Only = only
	accepted := 0
	for try := 0; ; try++ {
		receipt, err := a.Mail.Send(ctx, message)
		accepted += len(receipt.Accepted)
		if err == nil {
			return receipt.String(), nil
		}
		left := receipt.Left()
		if accepted == 0 || len(left) == 0 || try == 5 {
			if accepted > 0 || notify.FailureOf(err) == notify.Permanent {
				return receipt.String() + ": " + err.Error(), nil // part of it went out, or none ever will
			}
			return "", err
		}
		message.Only = left
		select {
		case <-ctx.Done():
			return "", errors.Join(err, ctx.Err())
		case <-time.After(time.Duration(try+1) * time.Second):
		}
	}
}
