package answers

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/selection"
)

// Health is what a plug-in of Nagios answers, by its exit code.
type Health int

// All there is to answer.
const (
	HealthOK Health = iota
	HealthWarning
	HealthCritical
	HealthUnknown
)

func (h Health) String() string { return [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}[h] }

// MarshalText is the word.
func (h Health) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// Check is the answer of such a plug-in about one thing.
type Check struct {
	Of          string   `json:"of"` // node, site, pcu or plc
	Name        string   `json:"name,omitempty"`
	Health      Health   `json:"state"`
	Code        int      `json:"code"`
	Text        string   `json:"text"`
	Performance []string `json:"performance"`
}

// Line is the one line that such a plug-in prints. What stands behind a | is read as performance data, so that no text may
// hold one.
func (c Check) Line() string {
	text := strings.TrimSpace(c.Name + " " + c.Text)
	line := strings.ToUpper(c.Of) + " " + c.Health.String() + " - " + strings.ReplaceAll(clean.Line(text), "|", "/")
	if len(c.Performance) > 0 {
		line += " | " + strings.Join(c.Performance, " ")
	}
	return line
}

func checked(of, name string, h Health, text string, performance ...string) Check {
	return Check{of, clean.Line(name), h, int(h), clean.Line(text), append([]string{}, performance...)}
}

// CheckFailed is the answer where nothing could be found out.
func CheckFailed(of, name string, why error) Check {
	return checked(of, name, HealthUnknown, why.Error())
}

// Belief is when the last believed sweep ended, and why a later one was not. Not known: whoever asks may not read that.
type Belief struct {
	Known    bool
	Believed time.Time
	Doubt    string
}

// Clock is the time of a check, and how old what it goes by may be.
type Clock struct {
	Now    time.Time
	MaxAge time.Duration
}

// old says why what was last seen of a thing says nothing of today; empty: it does. What is never looked at itself goes by
// sweeps alone.
func (c Clock) old(b Belief, looked bool, seen time.Time) string {
	ago := func(t time.Time) string { return c.span(t) + " ago" }
	switch {
	case looked && seen.IsZero():
		return "was never looked at"
	case looked && c.Now.Sub(seen) > c.MaxAge:
		return "was last looked at " + ago(seen)
	case b.Known && b.Believed.IsZero():
		return "not known: no sweep has ever been believed" + because(b.Doubt)
	case b.Known && c.Now.Sub(b.Believed) > c.MaxAge:
		return "not known: the last sweep that is believed ended " + ago(b.Believed) + because(b.Doubt)
	}
	return ""
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

// CheckNode is the health of a node.
func CheckNode(v Node, b Belief, c Clock) Check {
	open := openOf(v.Issues)
	performance := []string{c.age(v.Seen), fmt.Sprintf("issues=%d;;;0", len(open))}
	if v.Uptime > 0 {
		performance = append(performance, fmt.Sprintf("uptime=%ds;;;0", int64(v.Uptime)))
	}
	say := func(h Health, text string) Check { return checked(KindNode, v.Hostname, h, text, performance...) }
	if v.Gone {
		return checked(KindNode, v.Hostname, HealthUnknown, "is gone: the inventory no longer has it")
	}
	if old := c.old(b, true, v.Seen); old != "" {
		return say(HealthUnknown, old)
	}
	h := HealthUnknown
	text := "was not judged yet"
	switch v.Status {
	case policy.StatusGood, policy.StatusOnline:
		h = HealthOK
	case policy.StatusOffline, policy.StatusSafeboot, policy.StatusDisabled:
		h = HealthWarning
	case policy.StatusDown, policy.StatusFailboot:
		h = HealthCritical
	}
	if v.Status != "" {
		text = "is " + string(v.Status) + c.since(v.Since)
	}
	if h != HealthOK && v.Reason != "" {
		text += ": " + v.Reason
	}
	if h == HealthOK && v.Firewall {
		h, text = HealthWarning, text+", behind a firewall"
	}
	if h == HealthOK && len(open) > 0 {
		h = HealthWarning
	}
	return say(h, text+told(open)+leftAlone(v.ExemptUntil, v.Blacklisted != nil, c.Now))
}

// CheckSite is the health of a site.
func CheckSite(v Site, b Belief, c Clock) Check {
	up := 0
	var seen time.Time
	for _, n := range v.Nodes {
		if n.Status == policy.StatusGood || n.Status == policy.StatusOnline {
			up++
		}
		if n.Seen.After(seen) {
			seen = n.Seen
		}
	}
	open := openOf(v.Issues)
	performance := []string{fmt.Sprintf("nodes_up=%d;;;0;%d", up, len(v.Nodes)), fmt.Sprintf("penalty=%d;0;1;0;2", v.Penalty),
		fmt.Sprintf("issues=%d;;;0", len(open))}
	if v.Gone {
		return checked(KindSite, v.LoginBase, HealthUnknown, "is gone: the inventory no longer has it")
	}
	if old := c.old(b, len(v.Nodes) > 0, seen); old != "" {
		return checked(KindSite, v.LoginBase, HealthUnknown, old, performance...)
	}
	h, text := judged(v.Status), "was not judged yet"
	if v.Status != "" {
		text = "is " + string(v.Status) + c.since(v.Since)
	}
	text += fmt.Sprintf(", %d of %d nodes up", up, len(v.Nodes))
	if v.Penalty > 0 {
		text += fmt.Sprintf(", penalty level %d", v.Penalty)
		if h == HealthOK {
			h = HealthWarning
		}
	}
	return checked(KindSite, v.LoginBase, h, text+told(open)+leftAlone(v.ExemptUntil, v.Blacklisted != nil, c.Now), performance...)
}

// judged is the health of a site or a PCU by its status alone.
func judged(status policy.Status) Health {
	switch status {
	case policy.StatusGood, policy.StatusOnline, policy.StatusNew:
		return HealthOK
	case policy.StatusOffline:
		return HealthWarning
	case policy.StatusDown:
		return HealthCritical
	}
	return HealthUnknown
}

// CheckPCU is the health of a PCU.
func CheckPCU(v selection.PCU, b Belief, c Clock) Check {
	performance := []string{c.age(v.SeenAt), fmt.Sprintf("nodes=%d;;;0", len(v.Nodes)), fmt.Sprintf("issues=%d;;;0", len(v.Issues))}
	say := func(h Health, text string) Check { return checked(KindPCU, v.Name, h, text, performance...) }
	if old := c.old(b, true, v.SeenAt); old != "" {
		return say(HealthUnknown, old)
	}
	h, text := judged(policy.Status(v.Status)), "was not judged yet"
	if v.Status != "" {
		text = "is " + v.Status + c.since(v.Changed)
	}
	if !v.OK {
		h, text = max(h, HealthWarning), text+", its last dry run failed"+because(v.Reason)
		if v.Status == "" {
			h = HealthWarning
		}
	}
	return say(h, text+told(v.Issues))
}

// CheckPLC is the health of PLC as the last sweep found it.
func CheckPLC(b Belief, c Clock) Check {
	if !b.Known {
		return checked("plc", "", HealthUnknown, "not known: how the last sweep went may not be read")
	}
	if old := c.old(b, false, time.Time{}); old != "" {
		return checked("plc", "", HealthUnknown, old)
	}
	performance := c.age(b.Believed)
	if b.Doubt != "" {
		return checked("plc", "", HealthWarning, "the last sweep is not believed"+because(b.Doubt), performance)
	}
	return checked("plc", "", HealthOK, "the last sweep read it", performance)
}

// age is how old a look is, as performance data.
func (c Clock) age(seen time.Time) string {
	if seen.IsZero() {
		return "age=U"
	}
	return fmt.Sprintf("age=%ds;;%d;0", int64(max(0, c.Now.Sub(seen)).Seconds()), int64(c.MaxAge.Seconds()))
}

func (c Clock) since(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " for " + c.span(t)
}

func (c Clock) span(since time.Time) string {
	return cmp.Or(selection.ShowDuration(c.Now.Sub(since)), "a moment")
}

// openOf are the types of the issues that are not closed.
func openOf(list []Issue) (types []string) {
	for _, i := range list {
		if i.Status != "closed" {
			types = append(types, cmp.Or(i.Type, i.ID))
		}
	}
	slices.Sort(types)
	return types
}

func told(issues []string) string {
	if len(issues) == 0 {
		return ""
	}
	return "; open issues: " + strings.Join(issues, ", ")
}

func leftAlone(until time.Time, listed bool, now time.Time) string {
	if listed || until.After(now) {
		return "; it is left alone"
	}
	return ""
}
