package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/testbed/debian"
	"github.com/planetlab/monitor/testbed/pcudev"
)

func TestRangesStandForNames(t *testing.T) {
	for text, want := range map[string]string{
		"rack1": "rack1", "rack[1-3]": "rack1 rack2 rack3", "rack[1,7-8]": "rack1 rack7 rack8",
		"bmc[08-11].lab": "bmc08.lab bmc09.lab bmc10.lab bmc11.lab",
		"a,b[1-2],c":     "a b1 b2 c", "r[1-2]:[3-4]": "r1:3 r1:4 r2:3 r2:4", "[::1]": "[::1]",
	} {
		if got, err := expand(text); err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q stands for %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "a,", "rack[1-", "rack[3-1]", "rack[x]", "rack]", "rack[1-9999]",
		"r[1-100]:[1-100]"} {
		if got, err := expand(text); err == nil {
			t.Errorf("%q stands for %d names", text, len(got))
		}
	}
}

// lab is two racks of eight outlets, and a file of PCUs that has a node fed by both.
type lab struct {
	racks [2]*rack
	dev   [2]pcudev.Device
	file  string
}

func build(t *testing.T) lab {
	t.Helper()
	alone(t)
	dir := t.TempDir()
	l := lab{file: filepath.Join(dir, "pcus.yaml")}
	text := "pcus:\n"
	for i, face := range []struct{ model, transport, host string }{{"APCControl12p3", "telnet", "127.0.0.1"},
		{"BayTechRPC3NC", "telnet", "localhost"}} {
		l.racks[i] = &rack{}
		d, err := pcudev.New(
			pcudev.Options{
				Model:     face.model,
				Transport: face.transport,
				User:      "apc",
				Password:  password,
				Outlets:   l.racks[i],
				OffTime:   50 * time.Millisecond,
			},
		)
		if err != nil {
			t.Fatal(err)
		}
		where, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = where.Close() })
		go func() { _ = d.Serve(where) }()
		l.dev[i] = d
		_, port, _ := net.SplitHostPort(where.Addr().String())
		text += fmt.Sprintf(
			"  rack%d: {model: %s, host: %s, port: %s, transport: %s, user: apc, password_file: pw, off_time: 100ms}\n",
			i+1, face.model, face.host, port, face.transport)
	}
	text += "aliases:\n  web: [rack1:1, rack2:1]\n  'node[1-4]': 'rack1:[5-8]'\n"
	for name, content := range map[string]string{l.file: text, filepath.Join(dir, "pw"): password + "\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// pcu runs a pcu command on targets of the lab's file.
func (l lab) pcu(ctx context.Context, args ...string) answer {
	return call(ctx, append(append([]string{"pcu"}, args...), "--pcus", l.file, "--timeout", "20s")...)
}

func TestManyTargetsOfAFileAreDrivenAtOnce(t *testing.T) {
	l := build(t)
	got := l.pcu(t.Context(), "off", "node[2-3]", "rack2:3")
	wantCode(t, got, exitOK)
	wantIn(t, got.out, "TARGET", "node2", "node3", "rack2:3")
	if l.racks[0].events() != "6 off, 7 off" && l.racks[0].events() != "7 off, 6 off" ||
		l.racks[1].events() != "3 off" {
		t.Errorf("the racks were switched %q and %q", l.racks[0].events(), l.racks[1].events())
	}
	got = l.pcu(t.Context(), "status", "node[1-4]", "-o", "json")
	wantCode(t, got, exitOK)
	var views []powerView
	if err := json.Unmarshal([]byte(got.out), &views); err != nil || len(views) != 4 || views[0].Target != "node1" ||
		views[0].After != "on" ||
		views[1].After != "off" {
		t.Errorf("the states are %+v, %v", views, err)
	}
	wantStable(t, got.out)
}

func TestAStateThatIsNotTheExpectedOneHasAnExitCode(t *testing.T) {
	l := build(t)
	wantCode(t, l.pcu(t.Context(), "status", "node[1-2]", "--expect", "on"), exitOK)
	wantCode(t, l.pcu(t.Context(), "off", "node1"), exitOK)
	got := l.pcu(t.Context(), "status", "node[1-2]", "--expect", "on")
	wantCode(t, got, exitNotExpected)
	wantIn(t, got.err, "not on as expected: node1 is off")
	wantCode(t, l.pcu(t.Context(), "status", "node1", "--expect", "off"), exitOK)
	wantCode(t, l.pcu(t.Context(), "status", "node1", "--expect", "maybe"), exitUsage)
}

func TestANodeOfSeveralFeedsIsOneTarget(t *testing.T) {
	l := build(t)
	got := l.pcu(t.Context(), "cycle", "web", "-o", "json")
	wantCode(t, got, exitOK)
	if l.racks[0].events() != "1 off, 1 on" || l.racks[1].events() != "1 off, 1 on" {
		t.Errorf("the feeds were switched %q and %q", l.racks[0].events(), l.racks[1].events())
	}
	var views []powerView
	if err := json.Unmarshal([]byte(got.out), &views); err != nil || len(views[0].Feeds) != 2 || !views[0].Verified {
		t.Errorf("a cycle is %+v, %v", views, err)
	}
	wantCode(t, l.pcu(t.Context(), "off", "rack2:1"), exitOK)
	got = l.pcu(t.Context(), "status", "web", "--expect", "on")
	wantCode(t, got, exitNotExpected)
}

func TestErrorsOfManyTargetsAreToldOfEach(t *testing.T) {
	l := build(t)
	l.dev[1].Break(pcudev.WrongPassword)
	got := l.pcu(t.Context(), "status", "rack1:1", "rack2:1")
	wantCode(t, got, 10)
	wantIn(t, got.err, "1 of 2 targets failed", "auth")
	wantIn(t, got.out, "rack1:1", "on", "rack2:1", "auth")
	got = l.pcu(t.Context(), "status", "rack1:9", "rack2:1")
	wantCode(t, got, exitFailure)
	if strings.Contains(got.out+got.err, password) {
		t.Errorf("the password shows in %s%s", got.out, got.err)
	}
}

func TestAllOutletsOfTheFilesPCUsAreListed(t *testing.T) {
	l := build(t)
	wantCode(t, l.pcu(t.Context(), "off", "rack2:2"), exitOK)
	got := l.pcu(t.Context(), "list")
	wantCode(t, got, exitOK)
	if n := strings.Count(got.out, "Outlet "); n != 16 {
		t.Errorf("%d outlets are listed:\n%s", n, got.out)
	}
	got = l.pcu(t.Context(), "list", "--trace")
	wantIn(t, got.err, "127.0.0.1 > ", "localhost > ", "********")
	if strings.Contains(got.err, password) {
		t.Errorf("the trace shows the password: %s", got.err)
	}
	got = l.pcu(t.Context(), "list", "rack2", "-o", "json")
	wantCode(t, got, exitOK)
	var views []outletsView
	if err := json.Unmarshal([]byte(got.out), &views); err != nil || len(views) != 1 || len(views[0].Outlets) != 8 ||
		views[0].Outlets[1].State != "off" {
		t.Errorf("the outlets are %+v, %v", views, err)
	}
}

func TestAMistakeInAFileOfPCUsIsTold(t *testing.T) {
	alone(t)
	for text, says := range map[string]string{
		"pcus:\n  a: {host: b}\n":                                          "a: model is missing",
		"pcus:\n  a: {model: b, pasword_file: c}\n":                        "pasword_file",
		"pcus:\n  'a[1-2]': {model: b, host: 'c[1-3]'}\n":                  "stands for 3 names beside 2",
		"pcus:\n  a: {model: b, off_time: long}\n":                         "is no time such as 5s",
		"pcus:\n  a: {model: b}\naliases:\n  n: z:1\n":                     "alias n: there is no PCU \"z\"",
		"pcus:\n  a: {model: b}\n  'a[1-]': {model: b}\n":                  "neither a number nor a range",
		"pcus:\n  a: {model: b, password_env: MONITOR_NO_SUCH_VARIABLE}\n": "MONITOR_NO_SUCH_VARIABLE is not set",
		"pcus:\n  a: {model: b, password_file: no-such-file}\n":            "no such file",
		"pcus:\n  x: {model: b}\n":                                         "has neither a PCU nor an alias \"a\"",
	} {
		file := filepath.Join(t.TempDir(), "pcus.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := call(t.Context(), "pcu", "status", "a:1", "--pcus", file)
		wantCode(t, got, exitUsage)
		wantIn(t, got.err, says)
	}
	wantIn(t, call(t.Context(), "pcu", "status", "a:1").err, // a name of Monitor's own
		"database.url: must be set", "a name of a file of PCUs needs --pcus")
	wantIn(t, call(t.Context(), "pcu", "off", "a:1").err, "--reason is missing", "a name of a file of PCUs needs --pcus")
	wantIn(t, call(t.Context(), "pcu", "status").err,
		"name targets of a file of PCUs (--pcus), or give --model and --host")
}

// fence is the agent with options on standard input.
func (l lab) fence(ctx context.Context, options ...string) answer {
	var out, errs bytes.Buffer
	a := &app{in: strings.NewReader(strings.Join(options, "\n") + "\n"), out: &out, err: &errs, now: noon, account: "alice"}
	code := a.execute(ctx, []string{"pcu", "fence"})
	return answer{code, out.String(), errs.String()}
}

func TestPacemakersActionsAreFencing(t *testing.T) {
	l := build(t)
	file := "pcus=" + l.file
	ctx := t.Context()
	for _, c := range []struct {
		options []string
		code    int
		events  string // of the first rack
	}{
		{[]string{"action=monitor", file, "plug=web"}, fenceDone, ""},
		{[]string{"action=validate-all", file, "plug=web"}, fenceDone, ""},
		{[]string{"action=status", file, "plug=node1"}, fenceDone, ""},
		{[]string{"action=off", file, "port=node1", "nodename=node1"}, fenceDone, "5 off"},
		{[]string{"# a comment", "action=status", file, "plug=node1"}, fenceOff, "5 off"},
		{[]string{"action=on", file, "plug=node1"}, fenceDone, "5 off, 5 on"},
		{[]string{"action=reboot", file, "plug=web"}, fenceDone, "5 off, 5 on, 1 off, 1 on"},
		// reboot is what is done without an action
		{[]string{file, "plug=node2"}, fenceDone, "5 off, 5 on, 1 off, 1 on, 6 off, 6 on"},
		{[]string{"action=off", file, "plug=rack1:2,rack2:2"}, fenceDone,
			"5 off, 5 on, 1 off, 1 on, 6 off, 6 on, 2 off"},
		{[]string{"action=dance", file, "plug=web"}, fenceFailed, "5 off, 5 on, 1 off, 1 on, 6 off, 6 on, 2 off"},
		{[]string{"action=off", file, "plug=nobody"}, exitUsage, "5 off, 5 on, 1 off, 1 on, 6 off, 6 on, 2 off"},
	} {
		got := l.fence(ctx, c.options...)
		if got.code != c.code && !(c.code == exitUsage && got.code == fenceFailed) || l.racks[0].events() != c.events {
			t.Errorf("%q ends with %d, says %s%s and switched %q", c.options, got.code, got.out, got.err,
				l.racks[0].events())
		}
	}
	got := l.fence(ctx, "action=list", file, "plug=rack1")
	if got.code != fenceDone || !strings.Contains(got.out, "rack1:3,Outlet 3\n") {
		t.Errorf("the list is %+v", got)
	}
}

func TestAFenceAgentWithoutAPlugSpeaksForItsWholeFile(t *testing.T) {
	l := build(t)
	file := "pcus=" + l.file
	for action, says := range map[string]string{
		"monitor": "", "validate-all": "",
		"list":        "node1,node1\nnode2,node2\nnode3,node3\nnode4,node4\nweb,web\n",
		"list-status": "node1,node1,on\nnode2,node2,on\nnode3,node3,on\nnode4,node4,on\nweb,web,on\n",
	} {
		if got := l.fence(t.Context(), "action="+action, file); got.code != fenceDone || got.out != says {
			t.Errorf("%s gives %+v", action, got)
		}
	}
	for _, action := range []string{"reboot", "off", "on", "status"} {
		if got := l.fence(t.Context(), "action="+action, file); got.code != fenceFailed ||
			!strings.Contains(got.err, "plug is missing") {
			t.Errorf("%s gives %+v", action, got)
		}
	}
	l.dev[1].Break(pcudev.WrongPassword)
	if got := l.fence(t.Context(), "action=monitor", file); got.code != fenceFailed ||
		!strings.Contains(got.err, "rack2: ") || strings.Contains(got.err, "rack1") {
		t.Errorf("a PCU that lets nobody in: monitor gives %+v", got)
	}
	if got := l.fence(t.Context(), "action=list-status", file); got.code != fenceDone ||
		!strings.Contains(got.out, "node4,node4,on\nweb,web,unknown\n") {
		t.Errorf("a PCU that lets nobody in: list-status gives %+v", got)
	}
	if l.racks[0].events()+l.racks[1].events() != "" {
		t.Errorf("the racks were switched %q and %q", l.racks[0].events(), l.racks[1].events())
	}
}

func TestAFenceAgentTakesNoMistakeForAReboot(t *testing.T) {
	l := build(t)
	for says, words := range map[string][]string{
		"shown to everybody":                  {"--action=off", "--password", password},
		"there is no option \"--acton\"":      {"--acton=status", "--pcus", l.file, "--plug=node1"},
		"there is no option \"status\"":       {"status", "--pcus", l.file, "--plug=node1"},
		"there is no option \"node1\"":        {"-o", "status", "--pcus", l.file, "node1"},
		"no action is \"dance\"":              {"-o", "dance", "--pcus", l.file, "-n", "node1"},
		"give pcus and plug, or model and ip": {"--action=status", "--plug=node1"},
		"\"soon\" is no number of seconds":    {"--delay=soon", "--pcus", l.file, "-n", "node1"},
	} {
		got := call(t.Context(), append([]string{"pcu", "fence"}, words...)...)
		if got.code != fenceFailed || !strings.Contains(got.err, says) {
			t.Errorf("%q gives %+v", words, got)
		}
	}
	if got := call(t.Context(), "pcu", "fence", "-o", "status", "--pcus", l.file, "-n", "node1", "-v"); got.code !=
		fenceDone || !strings.Contains(got.err, "Control Console") {
		t.Errorf("options of one letter give %+v", got)
	}
	if l.racks[0].events() != "" {
		t.Errorf("it was switched %q", l.racks[0].events())
	}
}

func TestAFenceOfWhatCannotTellFails(t *testing.T) {
	l := build(t)
	r := &rack{}
	d, err := pcudev.New(
		pcudev.Options{Model: "ePowerSwitchOld", Password: password, Outlets: r, OffTime: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	where, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer where.Close()
	go func() { _ = d.Serve(where) }()
	_, port, _ := net.SplitHostPort(where.Addr().String())
	got := l.fence(t.Context(), "action=reboot", "model=ePowerSwitchOld", "ip=127.0.0.1", "ipport="+port,
		"passwd="+password, "plug=3")
	if got.code != fenceFailed || !strings.Contains(got.err, "not enough for fencing") {
		t.Errorf("it gives %+v", got)
	}
}

// elements are the names of elements and their attributes in a text of XML.
func elements(t *testing.T, text string) (names, actions, parameters []string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if err == io.EOF {
			slices.Sort(names)
			return slices.Compact(names), actions, parameters
		}
		if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		for _, a := range e.Attr {
			names = append(names, e.Name.Local+" "+a.Name.Local)
			switch {
			case a.Name.Local == "name" && e.Name.Local == "action":
				actions = append(actions, a.Value)
			case a.Name.Local == "name" && e.Name.Local == "parameter":
				parameters = append(parameters, a.Value)
			}
		}
	}
}

func TestTheMetadataOfTheFenceAgentAreAsThoseOfDebians(t *testing.T) {
	theirs := debian.Need(t, "fence_apc", "fence-agents")
	xmllint := debian.Need(t, "xmllint", "libxml2-utils")
	alone(t)
	got := call(t.Context(), "pcu", "fence", "-o", "metadata")
	wantCode(t, got, exitOK)
	check := exec.CommandContext(t.Context(), xmllint, "--noout", "-")
	check.Stdin = strings.NewReader(got.out)
	if out, err := check.CombinedOutput(); err != nil {
		t.Fatalf("xmllint says %s: %s", out, got.out)
	}
	known, err := exec.CommandContext(t.Context(), theirs, "-o", "metadata").Output()
	if err != nil {
		t.Fatal(err)
	}
	theirNames, theirActions, theirParameters := elements(t, string(known))
	ourNames, ourActions, ourParameters := elements(t, got.out)
	for _, name := range ourNames {
		if !slices.Contains(theirNames, name) {
			t.Errorf("fence-agents know no %q; they have %v", name, theirNames)
		}
	}
	for _, name := range []string{"on", "off", "reboot", "status", "list", "list-status", "monitor", "metadata",
		"validate-all"} {
		if !slices.Contains(theirActions, name) || !slices.Contains(ourActions, name) {
			t.Errorf("the action %s: theirs are %v, ours %v", name, theirActions, ourActions)
		}
	}
	for _, name := range []string{"action", "ip", "ipaddr", "ipport", "username", "login", "password", "passwd", "plug",
		"port", "password_script", "delay", "power_timeout"} {
		if !slices.Contains(theirParameters, name) || !slices.Contains(ourParameters, name) {
			t.Errorf("the parameter %s: theirs are %v, ours %v", name, theirParameters, ourParameters)
		}
	}
}
