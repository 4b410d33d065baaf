package config

import "testing"

func TestCookiesAreKeptToTLSWherePeopleComeByIt(t *testing.T) {
	for name, c := range map[string]struct {
		url  string
		http HTTP
		want bool
	}{
		"nothing is said":       {"", HTTP{}, false},
		"its own TLS":           {"", HTTP{TLSCertFile: "cert.pem"}, true},
		"a proxy":               {"", HTTP{BehindProxy: true}, true},
		"a proxy that is named": {"https://monitor.example.org", HTTP{BehindProxy: true}, true},
		"the port of a container, on this machine": {"http://127.0.0.1:8081", HTTP{BehindProxy: true}, false},
	} {
		cfg := Config{HTTP: c.http, Web: Web{URL: c.url}}
		if got := cfg.Secure(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
