package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/notify/proof"
	"github.com/planetlab/monitor/store"
)

// words is the scenario after all others: whatever they made Monitor say must have been true.
func words() scenario {
	return scenario{id: "Words", run: everyWord,
		name: "every message that went out is borne out by the facts from which it was made"}
}

// everyWord holds each message in the ledger against its facts. Whether each mail stands there is not asked: a Postgres that was restored has
// forgotten some.
func everyWord(ctx context.Context, s *stage) error {
	var wrong []string
	for _, kind := range []store.ActionKind{store.KindNotice, store.KindDigest} {
		list, err := s.Store.Actions(ctx, store.ActionFilter{Kind: kind, Limit: 100_000})
		if err != nil {
			return err
		}
		for _, action := range list {
			var l struct {
				Facts   notify.Notice
				Message notify.Message
			}
			if len(action.Data) == 0 {
				continue
			}
			if err := json.Unmarshal(action.Data, &l); err != nil {
				return fmt.Errorf("ledger %s: %w", action.Key, err)
			}
			for _, claim := range proof.Check(l.Facts, l.Message) {
				wrong = append(wrong, fmt.Sprintf("%s: %s, in\n%s\n\n%s", action.Key, claim, l.Message.Subject, l.Message.Text))
			}
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%d claims are not true, the first ones:\n%s", len(wrong), strings.Join(wrong[:min(len(wrong), 5)], "\n\n"))
	}
	return nil
}
