package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// AlertRule leads alerts of Prometheus to an issue type.
type AlertRule struct {
	Matchers  []Matcher
	Type      string // of the issue
	Label     string // names the node or PCU
	StripPort bool   // the label carries a port, as instance does
}

// Matcher is one condition on a label, in the words of Prometheus. A label that an alert lacks is empty.
type Matcher struct {
	Label string
	Not   bool
	re    *regexp.Regexp
}

// Matches says whether all matchers hold.
func (r AlertRule) Matches(labels map[string]string) bool {
	for _, m := range r.Matchers {
		if m.re.MatchString(labels[m.Label]) == m.Not {
			return false
		}
	}
	return true
}

var (
	ruleForm    = regexp.MustCompile(`^\s*\{(.*)\}\s*([a-z]+)\s+([A-Za-z_][A-Za-z0-9_]*)(\s+strip-port)?\s*$`)
	matcherForm = regexp.MustCompile(`^\s*([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*")\s*(,|$)`)
)

// ParseAlertRule reads a rule such as {alertname="NodeDown",job=~"planetlab.*"} nodedown instance strip-port. It needs at
// least one matcher: a rule that would take every alert is more likely a mistake.
func ParseAlertRule(text string) (AlertRule, error) {
	form := ruleForm.FindStringSubmatch(text)
	if form == nil {
		return AlertRule{}, fmt.Errorf(`%q is not {label="value", ...} TYPE LABEL [strip-port]`, text)
	}
	r := AlertRule{Type: form[2], Label: form[3], StripPort: form[4] != ""}
	for rest := strings.TrimSpace(form[1]); rest != ""; {
		m := matcherForm.FindStringSubmatch(rest)
		if m == nil {
			return AlertRule{}, fmt.Errorf(`%q: %q is not label="value" with =, !=, =~ or !~`, text, rest)
		}
		rest = strings.TrimSpace(rest[len(m[0]):])
		value, err := strconv.Unquote(m[3])
		if err != nil {
			return AlertRule{}, fmt.Errorf("%q: %s is not a quoted text", text, m[3])
		}
		if !strings.HasSuffix(m[2], "~") {
			value = regexp.QuoteMeta(value)
		}
		re, err := regexp.Compile("^(?:" + value + ")$")
		if err != nil {
			return AlertRule{}, fmt.Errorf("%q: %w", text, err)
		}
		r.Matchers = append(r.Matchers, Matcher{Label: m[1], Not: m[2][0] == '!', re: re})
	}
	if len(r.Matchers) == 0 {
		return AlertRule{}, fmt.Errorf("%q: a rule needs a matcher, else it would take every alert", text)
	}
	return r, nil
}
