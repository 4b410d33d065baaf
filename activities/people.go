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

// SitePolicy gives a site's workflow its durations.
func (a *Activities) SitePolicy(context.Context) (SiteTimes, error) {
	n := a.Numbers
	return SiteTimes{Day: n.Day, GroupWait: n.GroupWait, PenaltyStep: n.PenaltyStep, ThanksGrace: n.ThanksGrace}, nil
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
		if l.Ref.Node != "" && !good {
			may, err := a.mayAct(ctx, l.Ref)
			if err != nil {
				return err
			}
			if !may.Do {
				if err := a.skip(ctx, in.Key+"/"+target, l.Ref, may.Reason); err != nil {
					return err
				}
				continue
			}
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
