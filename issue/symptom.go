package issue

import (
	"fmt"
	"time"

	"github.com/planetlab/monitor/policy"
)

// symptom calls for an issue when a look shows what the issue is named after, for long enough. A node that is disabled
// or in safeboot is in somebody's hands.
func symptom(name string) func(policy.Policy, Facts, time.Time) (string, bool) {
	return func(p policy.Policy, f Facts, now time.Time) (string, bool) {
		n := f.Node
		s, seen := n.Symptoms[name]
		if !seen || s.Stale || n.Record.Status == policy.StatusDisabled || n.Record.Status == policy.StatusSafeboot ||
			now.Sub(s.Since) < p.TroubleAfter {
			return "", false
		}
		return fmt.Sprintf("for %s: %s", p.Days(now.Sub(s.Since)), s.Reason), true
	}
}

// running is how most issues about a node end.
func running(f Facts) (bool, string) {
	if f.Node.Finding.State == policy.StateBoot {
		return true, "up: " + f.Node.Finding.Reason
	}
	return false, f.Node.Finding.Reason
}
