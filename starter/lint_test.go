package main

import (
	"testing"

	"github.com/planetlab/monitor/lint"
)

func TestANameLeadsToAnAddressInAnySpelling(t *testing.T) {
	for ip, want := range map[string]bool{
		"10.0.0.1": true, "10.0.0.1:623": true, "::ffff:10.0.0.1": true, "2001:DB8:0::1": true, "10.0.0.2": false, "10.0.0.2:623": false,
		"no address": true, // which says nothing of the name
	} {
		if got := leadsTo([]string{"10.0.0.1", "2001:db8::1"}, ip); got != want {
			t.Errorf("%s: %t", ip, got)
		}
	}
}

func TestNamesThatNoNameServerHasAreNotAskedFor(t *testing.T) {
	f := lint.Fleet{Nodes: []lint.Node{{Host: "n1", DNS: lint.DNSMismatch}}, PCUs: []lint.PCU{{Hostname: "10.0.0.1", IP: "10.0.0.2"}, {}}}
	if unknown := askNames(t.Context(), f); unknown != 0 || f.Nodes[0].DNS != "" || f.PCUs[0].DNS != "" {
		t.Errorf("%d unknown, %+v", unknown, f)
	}
}
