package activities

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/store"
)

func TestPCUsAreOnOtherMachines(t *testing.T) {
	own := func() ([]net.Addr, error) {
		return []net.Addr{
			&net.IPNet{IP: net.IPv4(192, 0, 2, 7), Mask: net.CIDRMask(24, 32)},
			&net.IPNet{IP: net.ParseIP("2001:db8::7"), Mask: net.CIDRMask(64, 128)},
		}, nil
	}
	for _, c := range []struct {
		networks []string
		address  string
		may      bool
	}{
		{nil, "198.51.100.1", true},
		{nil, "10.1.2.3", true},
		{nil, "192.0.2.8", true},
		{nil, "192.0.2.7", false},
		{nil, "2001:db8::7", false},
		{nil, "::ffff:192.0.2.7", false},
		{nil, "127.0.0.1", false},
		{nil, "127.8.9.10", false},
		{nil, "::ffff:127.0.0.1", false},
		{nil, "::1", false},
		{nil, "0.0.0.0", false},
		{nil, "::", false},
		{nil, "169.254.169.254", false},
		{nil, "fe80::1", false},
		{nil, "fd00:ec2::254", false},
		{nil, "100.100.100.200", false},
		{nil, "224.0.0.1", false},
		{nil, "ff02::1", false},
		{[]string{"10.1.0.0/16"}, "10.1.2.3", true},
		{[]string{"10.1.0.0/16"}, "10.2.2.3", false},
		{[]string{"10.1.0.0/16"}, "127.0.0.1", false},
		{[]string{"10.1.0.0/16", "127.0.0.0/8"}, "127.0.0.1", true},
		{[]string{"192.0.2.7/32"}, "192.0.2.7", true},
	} {
		r, err := NewReach(c.networks)
		if err != nil {
			t.Fatal(err)
		}
		r.Own = own
		if err := r.May(netip.MustParseAddr(c.address)); (err == nil) != c.may {
			t.Errorf("with %v, %s: %v", c.networks, c.address, err)
		}
	}
	if _, err := NewReach([]string{"10.1.0.0"}); err == nil {
		t.Error("a network that is none was taken")
	}
}

func TestClearTextIsForThoseThatNeverShowedAnythingBetter(t *testing.T) {
	for _, c := range []struct {
		rule   string
		pins   map[string]string
		port   int
		forbid bool
	}{
		{ClearRefuse, nil, 23, true},
		{ClearAllow, map[string]string{store.HostKey: "ssh-ed25519 AAAA"}, 22, false},
		{ClearRecord, nil, 0, false},
		{ClearRecord, nil, 23, false},
		{ClearRecord, nil, 22, true},
		{ClearRecord, nil, 443, true},
		{ClearRecord, map[string]string{store.HostKey: "ssh-ed25519 AAAA"}, 0, true},
		{ClearRecord, map[string]string{store.Certificate: "00ff"}, 0, true},
	} {
		if got := noClearText(c.rule, c.pins, c.port); got != c.forbid {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// What a device says may be the page of any server that a record in PLC leads to: the site that wrote the record does not get to read it.
func TestASiteIsToldWhatItsPCUDoesAndNothingThatItSaid(t *testing.T) {
	for _, kind := range []pcucontrol.Kind{pcucontrol.Auth, pcucontrol.NoOutlet, pcucontrol.Busy, pcucontrol.Refused, pcucontrol.Unexpected, pcucontrol.Ambiguous} {
		err := fmt.Errorf(
			"%w (wrapped)",
			&pcucontrol.Error{Kind: kind, Host: "pcu1", Doing: "log in", Detail: `heard "aws_secret"`},
		)
		if text := withoutItsWords(err).Error(); strings.Contains(text, "aws_secret") ||
			!strings.Contains(text, string(kind)) {
			t.Errorf("%s: %q", kind, text)
		}
	}
	for _, kind := range []pcucontrol.Kind{pcucontrol.Unreachable, pcucontrol.Timeout} {
		if text := withoutItsWords(&pcucontrol.Error{Kind: kind, Host: "pcu1", Doing: "connect", Detail: "port 23 is closed"}).Error(); !strings.Contains(
			text,
			"port 23",
		) {
			t.Errorf("%s: %q", kind, text)
		}
	}
	told := task{seen: observation{reason: `log in: unexpected: heard "aws_secret"`, forSite: "log in: unexpected"},
		Request: issue.Request{State: issue.State{Opening: issue.Opening{Evidence: []string{`heard "aws_secret"`}}}}}
	if lines := told.siteEvidence(); len(lines) != 1 || lines[0] != "log in: unexpected" {
		t.Errorf("the site is told %q", lines)
	}
	if lines := told.evidence(); len(lines) != 2 {
		t.Errorf("operators are told %q", lines)
	}
}
