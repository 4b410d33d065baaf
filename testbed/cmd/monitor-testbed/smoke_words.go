package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/notify/proof"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed/mailbox"
)

// words is the scenario after all others: whatever they made Monitor say must have been true.
func words() scenario {
	return scenario{id: "Words", run: everyWord,
		name: "every message that went out is borne out by the facts from which it was made"}
}

// everyWord holds each message in the ledger against its facts, and each mail against the message. Whether each mail
// stands in the ledger is not asked: a Postgres that was restored has forgotten some.
func everyWord(ctx context.Context, s *stage) error {
	list, err := s.Store.Actions(ctx, store.ActionFilter{Limit: 1_000_000})
	if err != nil {
		return err
	}
	var wrong []string
	texts := map[string]told{}
	for _, action := range list {
		var l struct {
			Facts   notify.Notice
			Message notify.Message
		}
		if len(action.Data) == 0 {
			continue
		}
		if err := json.Unmarshal(action.Data, &l); err != nil &&
			(action.Kind == store.KindNotice || action.Kind == store.KindDigest) {
			return fmt.Errorf("ledger %s: %w", action.Key, err)
		}
		if l.Message.MessageID == "" { // its data are of another kind
			continue
		}
		texts[l.Message.MessageID] = told{l.Message, action.At}
		for _, claim := range proof.Check(l.Facts, l.Message) {
			wrong = append(wrong, fmt.Sprintf("%s: %s, in\n%s\n\n%s", action.Key, claim, l.Message.Subject,
				l.Message.Text))
		}
	}
	wrong = append(wrong, otherWords(s.Mail.Messages(), texts)...)
	if len(wrong) > 0 {
		return fmt.Errorf("%d claims are not true, the first ones:\n%s", len(wrong), strings.Join(wrong[:min(len(wrong), 5)], "\n\n"))
	}
	return nil
}

// told is a message of the ledger, with when it was intended.
type told struct {
	notify.Message
	at time.Time
}

// otherWords names the mails whose words are not those that the ledger has under their Message-ID. A mail that is older
// than its line of the ledger went out before Postgres was restored, and its matter was told again.
func otherWords(mails []mailbox.Message, texts map[string]told) (wrong []string) {
	flat := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	for _, m := range mails {
		meant, known := texts[m.MessageID]
		if known && m.At.After(meant.at) && (flat(m.Body) != flat(meant.Text) || flat(m.Subject) != flat(meant.Subject)) {
			wrong = append(wrong, fmt.Sprintf("a mail is not what the ledger says:\n%s\n\n%s", m.Subject, m.Body))
		}
	}
	return wrong
}
