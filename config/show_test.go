package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestShowSaysWhatIsInForceAndWhoSetIt(t *testing.T) {
	secret := write(t, "pw", "open-sesame\n")
	file := write(t, "monitor.yaml", `mode: act
database:
  url: postgres://monitor:open-sesame@db.example/monitor
plc:
  url: https://plc.example/PLCAPI/
  username: monitor@plc.example
  password_file: `+secret+`
mail:
  admins: [noc@plc.example]
  test_address: me@plc.example
sources:
  table:
    url: http://comon.example/t?apikey=open-sesame&format=csv
    node: name
    columns: {dns_fails: dns1}
`)
	o := Options{Path: file, Env: []string{"MONITOR_PROBE_SSH_USER=root"}, Flags: &Flags{Set: []string{"probe.timeout=7s"}}}
	list, err := Show(o)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]InForce{}
	for _, s := range list {
		got[s.Name] = s
	}
	for name, want := range map[string]string{
		"mode":              "act from monitor.yaml:1",
		"database.url":      "[secret] from monitor.yaml:3",
		"plc.url":           "https://plc.example/PLCAPI/ from monitor.yaml:5",
		"plc.password":      "[secret] from the file that monitor.yaml:7 names",
		"plc.password_file": secret + " from monitor.yaml:7",
		"probe.ssh_user":    "root from MONITOR_PROBE_SSH_USER",
		"probe.timeout":     "7s from --set probe.timeout",
		"sources.table.url": "http://comon.example/t?apikey=[secret]&format=csv from monitor.yaml:13",
		"mail.admins":       "[noc@plc.example] from monitor.yaml:9",
		"temporal.api_key":  " from default",
	} {
		if s := fmt.Sprintf("%v from %s", got[name].Value, got[name].Source); s != want {
			t.Errorf("%s is %q, not %q", name, s, want)
		}
	}
	text, err := json.Marshal(list)
	if err != nil || strings.Contains(string(text), "sesame") {
		t.Errorf("%v: a secret is told: %s", err, text)
	}
}

func TestShowNamesThePreset(t *testing.T) {
	list, err := Show(Options{Path: write(t, "monitor.yaml", "policy:\n  preset: ple\n"), Env: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	from := 0
	for _, s := range list {
		if s.Source == "policy.preset ple" {
			from++
		}
	}
	if from == 0 {
		t.Error("the preset sets nothing")
	}
}

func TestWhatAnAddressCarriesIsHidden(t *testing.T) {
	for text, want := range map[string]string{
		"https://me:sesame@h/x":              "https://me:[secret]@h/x",
		"https://h/x?a=1&access_token=se#f":  "https://h/x?a=1&access_token=[secret]#f",
		"socks5://:p@h, http://u:p%40@h:80/": "socks5://:[secret]@h, http://u:[secret]@h:80/",
		"https://h:8443/x?format=csv":        "https://h:8443/x?format=csv",
		"me@h":                               "me@h",
	} {
		if got := hideInAddress(text); got != want {
			t.Errorf("%s is shown as %s", text, got)
		}
	}
}
