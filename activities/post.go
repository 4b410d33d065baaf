package activities

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/planetlab/monitor/notify"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// post writes to the admins, who are told what no site can mend, and tells the webhook what happens.
type post struct {
	*ledger
	Mail   *notify.Sender
	Hook   *notify.Hook
	Admins []string
	Domain string // right side of Message-IDs
}

// event tells the webhook, if there is one. The key makes a repeated event known as the same.
func (a *post) event(event, key string, ref Ref, level int, text string) {
	sum := sha256.Sum256([]byte(event + "/" + key))
	a.Hook.Tell(notify.Event{
		ID: hex.EncodeToString(sum[:16]), Event: event, Site: ref.Site, Issue: ref.ID, Type: ref.Type,
		Target: ref.Target(), Level: level, Text: text,
	})
}

// tellAdmins writes to the admins and writes down that they know. A server that took the message and hung up may have
// delivered it: nobody gets it again every hour for that.
func (a *post) tellAdmins(ctx context.Context, key, outcome, said string, n notify.Notice) (string, error) {
	_, err := a.send(ctx, n, nil)
	if notify.FailureOf(err) == notify.Ambiguous {
		said, err = said+"; the mail server hung up before it said whether it took the message", nil
	}
	if err != nil {
		return "", err
	}
	return said, a.Store.Outcome(context.WithoutCancel(ctx), key, outcome, said)
}

// flagOnce writes to the admins about an issue, once for each mark, and answers what became of that.
func (a *post) flagOnce(ctx context.Context, t task, mark, reason, fix string) (string, error) {
	ref := t.ref()
	key := ref.Episode() + "/" + mark
	action, existed, err := a.Store.Intent(ctx, store.Action{
		Key: key, Kind: store.KindFlag, Issue: ref.ID, RunID: ref.Run, Node: ref.Node, Site: ref.Site, PCUID: ref.PCUID,
		Reason: reason,
	})
	if err != nil {
		return "", err
	}
	if existed && action.Outcome != "" {
		return "still not good; the admins know", nil
	}
	a.event(notify.EventFlagged, key, ref, t.State.Level, t.State.Cause)
	if len(a.Admins) == 0 {
		return "flagged; mail.admins is empty, so nobody was written to",
			a.Store.Outcome(ctx, key, store.Done, "flagged")
	}
	return a.tellAdmins(ctx, key, store.Done, "flagged for the admins", notify.Notice{
		Kind: notify.Flagged, Site: ref.Site, At: a.now().UTC(), To: a.Admins,
		MessageID: notify.MessageID(key, a.Domain),
		Items: []notify.Item{{
			Issue: ref.ID, Type: ref.Type, Target: ref.Target(), Since: t.State.Opened, Evidence: t.evidence(),
			Deeds: t.State.Deeds, Fix: fix,
		}},
	})
}

// flagSite tells the admins, once for each key, what no later try at a site will mend.
func (a *post) flagSite(ctx context.Context, login, key string, evidence []string) error {
	action, existed, err := a.Store.Intent(ctx, store.Action{Key: key, Kind: store.KindFlag, Issue: sites.ID(login),
		Site: login, Reason: strings.Join(evidence, "; ")})
	if err != nil || existed && action.Outcome != "" {
		return err
	}
	a.event(notify.EventFlagged, key, siteRef(login), 0, action.Reason)
	if len(a.Admins) > 0 {
		_, err = a.send(ctx, notify.Notice{Kind: notify.Flagged, Site: login, At: a.now().UTC(), To: a.Admins,
			MessageID: notify.MessageID(key, a.Domain),
			Items:     []notify.Item{{Evidence: evidence}}}, nil)
		if err != nil {
			a.Log.Warn("the admins could not be told", "site", login, "reason", action.Reason, "error", err)
			return nil // the ledger keeps it, unfinished, and the next occasion tries again
		}
	}
	return a.Store.Outcome(ctx, key, store.Done, "flagged for the admins")
}

// tellHeld writes to the admins that nothing is done, and why, and reports whether they know: what could not be told
// is told by whoever comes next.
func (a *post) tellHeld(ctx context.Context, key, why string) bool {
	if len(a.Admins) == 0 {
		return true
	}
	_, err := a.send(ctx, notify.Notice{
		Kind: notify.Held, Site: "fleet", At: a.now().UTC(), To: a.Admins, MessageID: notify.MessageID(key, a.Domain),
		Items: []notify.Item{{Issue: "guard", Type: "fleet", Target: "the fleet", Evidence: []string{why}}},
	}, nil)
	if err != nil {
		a.Log.Warn("the admins could not be told that the fleet guard holds", "error", err)
	}
	return err == nil || notify.FailureOf(err) == notify.Ambiguous
}

// tellDoubted writes to the admins, once for each key, that issues of one type are held back, and why.
func (a *post) tellDoubted(ctx context.Context, key, typ, why string) error {
	action, _, err := a.Store.Intent(ctx, store.Action{Key: key, Kind: store.KindFlag, Reason: why})
	if err != nil || action.Outcome != "" {
		return err
	}
	if len(a.Admins) == 0 {
		return a.Store.Outcome(ctx, key, store.Done, "mail.admins is empty, so nobody was written to")
	}
	_, err = a.tellAdmins(ctx, key, store.Done, "the admins know", notify.Notice{
		Kind: notify.Doubted, Site: "fleet", At: a.now().UTC(), To: a.Admins,
		MessageID: notify.MessageID(key, a.Domain),
		Items:     []notify.Item{{Issue: "guard", Type: typ, Target: "the fleet", Evidence: []string{why}}},
	})
	if err != nil { // the ledger keeps it, unfinished, and the next sweep tries again
		a.Log.Warn("the admins could not be told of a doubt", "type", typ, "reason", why, "error", err)
	}
	return nil
}

// tellRepaired writes to the admins that a penalty was lifted by hand and is in force again, and how it ends for good.
func (a *post) tellRepaired(ctx context.Context, login, key string, plan move, reason string) error {
	if len(a.Admins) == 0 {
		return nil
	}
	_, err := a.send(ctx, notify.Notice{
		Kind: notify.Repaired, Site: login, Level: plan.To, At: a.now().UTC(), To: a.Admins,
		MessageID: notify.MessageID(key, a.Domain),
		Items:     []notify.Item{{Evidence: []string{reason}}},
	}, nil)
	return err
}

// send is mail for those who have no other way to be told: that everybody is refused is part of its receipt.
func (a *post) send(ctx context.Context, n notify.Notice, only []string) (string, error) {
	message, err := notify.Render(n)
	if err != nil {
		return "", err
	}
	message.Only = only
	receipt, err := a.Mail.Send(ctx, message)
	if len(receipt.Accepted) > 0 || notify.FailureOf(err) == notify.Permanent {
		text := receipt.String()
		if err != nil {
			text += ": " + err.Error()
		}
		return text, nil
	}
	return receipt.String(), err
}
