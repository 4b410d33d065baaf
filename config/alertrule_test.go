package config

import (
	"strings"
	"testing"
)

func TestAnAlertRuleMatchesAsPrometheusWould(t *testing.T) {
	r, err := ParseAlertRule(` {alertname="Down", job=~"planetlab|vini.*",site!="lab", team!~"x.*"}  nodedown instance strip-port `)
	if err != nil || r.Type != "nodedown" || r.Label != "instance" || !r.StripPort || len(r.Matchers) != 4 {
		t.Fatalf("got %+v, %v", r, err)
	}
	for text, want := range map[string]bool{
		"alertname=Down job=planetlab": true, "alertname=Down job=vini7": true, "alertname=Down job=planetlab2": false, "alertname=down job=planetlab": false,
		"alertname=Down job=planetlab site=lab": false, "alertname=Down job=planetlab team=xy": false, "alertname=Down job=planetlab team=y": true, "job=planetlab": false,
	} {
		labels := map[string]string{}
		for _, pair := range strings.Fields(text) {
			name, value, _ := strings.Cut(pair, "=")
			labels[name] = value
		}
		if got := r.Matches(labels); got != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
	quoted, err := ParseAlertRule(`{a="x, y=\"z\" . "} pcudown pcu`)
	if err != nil || !quoted.Matches(map[string]string{"a": `x, y="z" . `}) || quoted.Matches(map[string]string{"a": `x, y="z" x `}) || quoted.StripPort {
		t.Errorf("got %+v, %v", quoted, err)
	}
}

func TestAnAlertRuleThatCannotBeReadSaysWhy(t *testing.T) {
	for text, want := range map[string]string{
		"": "is not {label", "nodedown host": "is not {label", `{a="b"} nodedown`: "is not {label", `{a="b"} nodedown host drop-port`: "is not {label",
		`{} nodedown host`: "needs a matcher", `{a=b} nodedown host`: "is not label=", `{a="b" c="d"} nodedown host`: "is not label=", `{a=~"("} nodedown host`: "missing closing",
	} {
		if _, err := ParseAlertRule(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", text, err)
		}
	}
	if _, err := load(t, "alertmanager:\n  rules: ['{} nodedown host']\n"); err == nil || !strings.Contains(err.Error(), "monitor.yaml:2: alertmanager.rules") {
		t.Errorf("got %v", err)
	}
}

func TestTheTrackerAndTheWebhookAreChecked(t *testing.T) {
	for text, want := range map[string]string{
		"rt: {url: 'https://rt.x'}":                                       "rt.token: must be set",
		"rt: {url: 'https://rt.x', token: t}":                             "rt.queue: must be set",
		"rt: {url: 'http://rt.x', token: t, queue: q}":                    "must be https",
		"rt: {url: 'https://a:b@rt.x', token: t, queue: q}":               "without user and password",
		"rt: {token: t}":                                                  "rt.url: must be set",
		"webhook: {url: 'ftp://hooks.x/s3cret'}":                          "webhook.url: must be an http",
		"http: {listen: ''}\nalertmanager: {rules: ['{a=\"b\"} t host']}": "need http.listen",
	} {
		if _, err := load(t, text+"\n"); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v", text, err)
		}
	}
	if _, err := load(t, "rt: {url: 'http://127.0.0.1:8080/rt', token: t, queue: q}\n"); err != nil {
		t.Errorf("a tracker on this machine: %v", err)
	}
}
