package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/notify/rt"
	"github.com/planetlab/monitor/policy"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// deliver takes a message to where the site's people are: into its ticket, or to their mailboxes.
func (a *People) deliver(ctx context.Context, in sites.MailRequest, l letter) (sites.MailResult, error) {
	res := a.sent(in, l, sites.MailResult{Outcome: sites.MailSent, Ticket: in.Ticket, Reached: !l.Test})
	var detail string
	var reached []string
	if a.RT != nil {
		var failure error
		var unsent bool
		res.Ticket, detail, unsent, failure = a.intoTicket(ctx, in, l)
		a.trackerSaid(ctx, failure)
		if failure != nil {
			if err := a.flagTracker(ctx, in.Site, "a message to the site's people waits", failure); err != nil {
				return res, err
			}
			return a.notDelivered(ctx, in, res, unsent, failure)
		}
		if reached = l.withinReach(); len(reached) == 0 && !l.Test {
			res.Reached, res.Reason = false, "mail to everybody on the ticket comes back"
			if err := a.flagUnreachable(ctx, in.Site, res.Reason); err != nil {
				return res, err
			}
		}
	} else {
		receipt, err := a.post.send(ctx, l.Message)
		detail = receipt.String()
		if err := a.refusedTo(ctx, in.Key, in.Site, l, receipt); err != nil {
			return res, err
		}
		reached = receipt.Accepted
		switch failure := notify.FailureOf(err); {
		case len(receipt.Accepted) > 0: // who is deferred is tried again, alone
			res.Deferred = receipt.Left()
			res.Missed = a.missed(ctx, in.Site, receipt)
			if err != nil {
				detail += ": " + err.Error()
			}
		case err == nil:
			res.Reached = false // observe mode of the sender
		case failure == notify.Permanent:
			res.Outcome, res.Reason, res.Reached = sites.MailRefused, detail+": "+err.Error(), false
			a.Log.Error("the mail server refuses a message, to everybody", "site", in.Site, "reason", res.Reason)
			return res, errors.Join(a.flagUnreachable(ctx, in.Site, res.Reason),
				a.Store.Outcome(ctx, in.Key, store.Refused, res.Reason))
		default:
			return a.notDelivered(ctx, in, res, failure != notify.Ambiguous, err)
		}
	}
	if len(l.Exempt) > 0 {
		detail += fmt.Sprintf("; %d exempt people left out", len(l.Exempt))
	}
	return res, a.delivered(ctx, in, l, res, detail, reached)
}

// delivered writes down that a message went out, and what it has come to. Nobody at the site knows of a test.
func (a *People) delivered(ctx context.Context, in sites.MailRequest, l letter, res sites.MailResult, detail string,
	reached []string) error {
	l.Result = &res
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	var notices []store.Notice
	for _, s := range l.Said {
		if !l.Test {
			notices = append(notices, store.Notice{Kind: s.Kind, Target: s.Target, Site: in.Site,
				MessageID: l.Message.MessageID, Recipients: reached, At: a.now()})
		}
	}
	return a.Store.Delivered(ctx, in.Key, detail, data, notices)
}

// withinReach are those whom a tracker can bring their mail, as far as it is known.
func (l letter) withinReach() []string {
	return slices.DeleteFunc(slices.Clone(l.Message.To), func(who string) bool {
		return !rt.Watchable(who) ||
			slices.ContainsFunc(l.Facts.Unreached, func(known string) bool { return strings.HasPrefix(known, who+": ") })
	})
}

// missed is the lowest level whose own people are deferred, and none of them has the message; 0: there is none. Where
// that is not known they hear of it again.
func (a *People) missed(ctx context.Context, login string, receipt notify.Receipt) int {
	below := map[string]bool{}
	for level := 0; level <= policy.Top && len(receipt.Deferred) > 0; level++ {
		people, _, err := a.Store.Contacts(ctx, login, policy.Audience(level), a.now())
		if err != nil {
			a.Log.Warn("it is not known whom a message has missed", "site", login, "error", err)
			return 1
		}
		had, late := false, false
		for _, p := range people {
			if !below[p.Email] {
				_, deferred := receipt.Deferred[p.Email]
				had, late = had || slices.Contains(receipt.Accepted, p.Email), late || deferred
			}
			below[p.Email] = true
		}
		if level > 0 && late && !had {
			return level
		}
	}
	return 0
}

// notDelivered is a message that nobody has, or of which nobody knows whether somebody has it.
func (a *People) notDelivered(ctx context.Context, in sites.MailRequest, res sites.MailResult, unsent bool,
	why error) (sites.MailResult, error) {
	a.Log.Warn("a message waits", "site", in.Site, "reason", why)
	res = sites.MailResult{Outcome: sites.MailLost, Reason: why.Error(), Ticket: res.Ticket, Waits: res.Waits}
	if !unsent {
		return res, a.Store.Outcome(ctx, in.Key, store.Ambiguous, why.Error())
	}
	left, err := a.Store.Unsent(ctx, in.Key, why.Error())
	if err == nil && !left { // else an earlier try may have got through, or another one does just now: it stays so
		res.Outcome = sites.MailWait
	}
	return res, err
}
