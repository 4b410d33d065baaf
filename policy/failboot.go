package policy

import (
	"fmt"
	"time"
)

// FailbootVerdict says whether failboot may open for a node that a sweep just saw.
func FailbootVerdict(n Numbers, host, site string, r NodeRecord, f Finding, now time.Time) (Verdict, bool) {
	age := now.Sub(r.Changed)
	if r.Status != Failboot || age < n.FailbootAfter {
		return Verdict{}, false
	}
	return Verdict{Type: FailbootIssue, Target: host, Node: host, Site: site, Reason: fmt.Sprintf("in debug mode for %s: %s", n.Days(age), f.Reason)}, true
}
