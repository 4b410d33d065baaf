package main

import (
	"testing"
	"time"

	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/testbed/mailbox"
)

func TestAMailIsHeldAgainstItsLineOfTheLedger(t *testing.T) {
	intended := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	line := notify.Message{Subject: "planetlab1 is down", Text: "It was switched\noff and on."}
	sent := mailbox.Message{At: intended.Add(time.Second), MessageID: "<1@monitor>", Subject: line.Subject,
		Body: "It was switched off and on.\r\n"}
	change := func(do func(*mailbox.Message)) mailbox.Message { m := sent; do(&m); return m }
	for name, c := range map[string]struct {
		mail  mailbox.Message
		wrong bool
	}{
		"its words, folded otherwise": {mail: sent},
		"other words":                 {change(func(m *mailbox.Message) { m.Body = "It was reinstalled." }), true},
		"another subject":             {change(func(m *mailbox.Message) { m.Subject = "it is back" }), true},
		"sent before Postgres was restored": {mail: change(func(m *mailbox.Message) {
			m.Body, m.At = "x", intended.Add(-time.Hour)
		})},
		"not in the ledger that was restored": {mail: change(func(m *mailbox.Message) {
			m.Body, m.MessageID = "x", "<2@monitor>"
		})},
	} {
		t.Run(name, func(t *testing.T) {
			found := otherWords([]mailbox.Message{c.mail}, map[string]told{"<1@monitor>": {line, intended}})
			if (len(found) > 0) != c.wrong {
				t.Errorf("found %q", found)
			}
		})
	}
}
