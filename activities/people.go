package activities

import (
	"context"
	"fmt"

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
	due := record.Changed.Add(a.Numbers.OfflineToDown)
	if record.Status != policy.IsDown && (in.Ref.Type != FailbootType || a.now().Before(due)) {
		return RungResult{Outcome: Wait, Reason: fmt.Sprintf("nobody is written to before it is down; it is %s", record.Status), Until: due}, nil
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
	a.announce(notify.EventFlagged, key, in.Ref, in.Held, in.Cause)
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
	return SiteTimes{Day: n.Day, GroupWait: n.GroupWait, PenaltyStep: n.PenaltyStep, ThanksGrace: n.ThanksGrace, ReplyPause: n.ReplyPause, TicketLook: n.TicketLook}, nil
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
	if a.observes() {
		res.Reason = fmt.Sprintf("observe mode: the penalty level would go from %d to %d: %s", in.From, in.To, reason)
		return res, a.skip(ctx, in.Key, ref, res.Reason)
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
	a.announce(notify.EventPenalty, in.Key, ref, in.To, fmt.Sprintf("level %d to %d: %s", in.From, in.To, reason))
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
