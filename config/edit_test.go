package config

import (
	"strings"
	"testing"
)

func TestEditSetsKeysAndLeavesTheRest(t *testing.T) {
	const before = `# Ours.
mode: observe
plc:
  url: https://old.example/PLCAPI/ # the old one
  username: monitor@plc.example
groups: {lab: "site=lab"}
`
	set := []Setting{{"plc.url", "https://plc.example/PLCAPI/"}, {"plc.password_file", "/etc/monitor/123"},
		{"mail.admins", "noc@example.org, ann@example.org"}, {"probe.port_map", "22=20022,80=20080"}, {"probe.tries", "2"},
		{"temporal.namespace", "007"}}
	after, err := Edit([]byte(before), set)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"# Ours.\nmode: observe", "url: https://plc.example/PLCAPI/ # the old one",
		"username: monitor@plc.example", `groups: {lab: "site=lab"}`, "admins: [noc@example.org, ann@example.org]",
		"port_map: {22: 20022, 80: 20080}", "tries: 2", `namespace: "007"`} {
		if !strings.Contains(string(after), part) {
			t.Errorf("no %q in\n%s", part, after)
		}
	}
	again, err := Edit(after, set)
	if err != nil || string(again) != string(after) {
		t.Errorf("the second time it is\n%s%v", again, err)
	}
	cfg := Default()
	l := &loader{cfg: &cfg, where: map[string]string{}}
	l.begin()
	l.readYAML("monitor.yaml", after)
	if len(l.errs) > 0 || cfg.Probe.PortMap[22] != 20022 || cfg.Temporal.Namespace != "007" || len(cfg.Mail.Admins) != 2 {
		t.Errorf("it reads as %+v, %v", cfg, l.errs)
	}
	if text, err := Edit(nil, []Setting{{"mode", "act"}}); err != nil || string(text) != "mode: act\n" {
		t.Errorf("a new file is %q, %v", text, err)
	}
}

func TestEditRefusesWhatNoFileShouldHold(t *testing.T) {
	for key, want := range map[string]string{"plc.password": "a file of its own", "plc.colour": "unknown key",
		"probe.tries": "not a whole number"} {
		if _, err := Edit(nil, []Setting{{key, "x"}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", key, err)
		}
	}
	if _, err := Edit([]byte("- a list"), []Setting{{"mode", "act"}}); err == nil {
		t.Error("a list passes for a configuration")
	}
}
