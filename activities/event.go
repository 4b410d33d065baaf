package activities

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/planetlab/monitor/notify"
)

// postEvent tells the webhook, if there is one. The key makes a repeated event known as the same.
func (a *Activities) postEvent(event, key string, ref Ref, level int, text string) {
	sum := sha256.Sum256([]byte(event + "/" + key))
	a.Hook.Tell(notify.Event{
		ID: hex.EncodeToString(sum[:16]), Event: event, Site: ref.Site, Issue: ref.ID, Type: ref.Type, Target: ref.Target(), Level: level, Text: text,
	})
}
