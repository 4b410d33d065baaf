package activities

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/planetlab/monitor/notify"
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

// wording is what the ledger keeps of a message beside whatever else it keeps of an act: the words, and the facts from
// which they were made.
type wording struct {
	Facts   notify.Notice  `json:"facts"`
	Message notify.Message `json:"message"`
}

// tellAdmins writes to the admins what stands in the ledger as intended, and then that they know. A server that took
// the message and hung up may have delivered it: nobody gets it again every hour for that.
func (a *post) tellAdmins(ctx context.Context, intended store.Action, outcome, said string,
	n notify.Notice) (string, error) {
	if may, err := a.maySend(ctx, intended); err != nil || !may {
		return "another try tells the admins", err
	}
	n.At, n.To, n.MessageID = a.now().UTC(), a.Admins, notify.MessageID(intended.Key, a.Domain)
	n.NoPLC = a.NoPLC != nil
	message, err := a.worded(ctx, intended, n)
	if err != nil {
		return "", err
	}
	_, err = a.mail(ctx, message)
	ctx = context.WithoutCancel(ctx)
	if notify.FailureOf(err) == notify.Ambiguous {
		said, err = said+"; the mail server hung up before it said whether it took the message", nil
	}
	if err != nil {
		return "", errors.Join(err, a.Store.Withdraw(ctx, intended.Key))
	}
	return said, a.Store.Outcome(ctx, intended.Key, outcome, said)
}

// worded puts a message to the admins into words, and keeps them in the ledger with their facts. One that may have left
// already is the same again.
func (a *post) worded(ctx context.Context, intended store.Action, n notify.Notice) (notify.Message, error) {
	if intended.Begun() && len(intended.Data) > 0 {
		var before wording
		if err := json.Unmarshal(intended.Data, &before); err != nil {
			return notify.Message{}, fmt.Errorf("ledger %s: %w", intended.Key, err)
		}
		if before.Message.MessageID != "" {
			return before.Message, nil
		}
	}
	message, err := notify.Render(n)
	if err != nil {
		return message, err
	}
	return message, a.Store.Attach(ctx, intended.Key, wording{n, message})
}

// told reports whether a message to the admins has ended. One that a worker left behind unsure is sent again.
func told(a store.Action) bool { return a.Outcome != "" && a.Outcome != store.Ambiguous }

// tellHeld writes to the admins that nothing is done, and why, and reports whether they know: what could not be told
// is told by whoever comes next.
func (a *post) tellHeld(ctx context.Context, intended store.Action, outcome, why string) bool {
	if told(intended) {
		return true
	}
	var err error
	if len(a.Admins) == 0 {
		err = a.Store.Outcome(ctx, intended.Key, outcome, why)
	} else {
		_, err = a.tellAdmins(ctx, intended, outcome, why, notify.Notice{
			Kind: notify.Held, Site: "fleet",
			Items: []notify.Item{{Issue: "guard", Type: "fleet", Target: "the fleet", Evidence: []string{why}}},
		})
	}
	if err != nil {
		a.Log.Warn("the admins could not be told that the fleet guard holds", "error", err)
	}
	return err == nil
}

// tellDoubted writes to the admins, once for each key, that issues of one type are held back, and why.
func (a *post) tellDoubted(ctx context.Context, key, typ, why string) error {
	action, _, err := a.Store.Intent(ctx, store.Action{Key: key, Kind: store.KindFlag, Reason: why})
	if err != nil || told(action) {
		return err
	}
	if len(a.Admins) == 0 {
		return a.Store.Outcome(ctx, key, store.Done, "mail.admins is empty, so nobody was written to")
	}
	_, err = a.tellAdmins(ctx, action, store.Done, "the admins know", notify.Notice{
		Kind: notify.Doubted, Site: "fleet",
		Items: []notify.Item{{Issue: "guard", Type: typ, Target: "the fleet", Evidence: []string{why}}},
	})
	if err != nil { // the ledger keeps it, unfinished, and the next sweep tries again
		a.Log.Warn("the admins could not be told of a doubt", "type", typ, "reason", why, "error", err)
	}
	return nil
}

// tellRepaired has the admins told that a penalty was lifted by hand and is in force again, and how it ends for good.
func (a *post) tellRepaired(ctx context.Context, login, key, reason string) error {
	return a.flagSiteAs(ctx, notify.Repaired, login, causeLifted, key+"/repaired", []string{reason})
}

// send is every mail's way out: whether the server takes it is written down.
func (a *post) send(ctx context.Context, message notify.Message) (notify.Receipt, error) {
	receipt, err := a.Mail.Send(ctx, message)
	a.mailSaid(ctx, err)
	return receipt, err
}

// mail is for those who have no other way to be told: that everybody is refused is part of its receipt.
func (a *post) mail(ctx context.Context, message notify.Message) (string, error) {
	receipt, err := a.send(ctx, message)
	if len(receipt.Accepted) > 0 || notify.FailureOf(err) == notify.Permanent {
		text := receipt.String()
		if err != nil {
			text += ": " + err.Error()
		}
		return text, nil
	}
	return receipt.String(), err
}
